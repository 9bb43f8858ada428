/* autoindex: the contents of a folder that has no index, as HTML, JSON, JSONP or XML. */
#include "http/modules/autoindex.h"
#include "core/array.h"
#include "core/time.h"
#include "http/core_module.h"
#include "http/escape.h"
#include "http/output.h"
#include "http/parse.h"
#include "http/phases.h"
#include "http/request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    FORMAT_HTML,
    FORMAT_JSON,
    FORMAT_JSONP,
    FORMAT_XML,
};

enum {
    NAME_WIDTH = 50, /* columns of names in HTML */
    CALLBACK_MAX = 128,
};

typedef struct settings {
    int on, localtime, exact_size, format;
} settings;

typedef struct item {
    bl_str name;
    bool folder;
    time_t mtime;
    off_t size;
} item;

/* The page as it grows, in the request's pool. */
typedef struct page {
    bl_pool *pool;
    char *text;
    size_t len, room;
} page;

static void add(page *p, bl_str s)
{
    if (p->room - p->len < s.len) {
        size_t room = BL_MAX(p->room * 2, p->len + s.len + 4096);
        char *text = bl_pool_alloc(p->pool, room);
        if (p->len)
            memcpy(text, p->text, p->len);
        p->text = text;
        p->room = room;
    }
    if (s.len)
        memcpy(p->text + p->len, s.p, s.len);
    p->len += s.len;
}

static void BL_PRINTF(2, 3) addf(page *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(p, bl_pool_vprintf(p->pool, format, args));
    va_end(args);
}

/* ------------------------------------------------------------- reading the folder */

static bl_step fail(bl_request *r, bl_str path)
{
    int err = errno;
    bool missing = err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG;
    int status = missing ? 404 : err == EACCES ? 403 : 500;

    if (!missing || r->loc->core->log_not_found)
        bl_log_write(status == 500 ? BL_LOG_CRIT : BL_LOG_ERR, r->log, err,
                     "opendir() \"%.*s\" failed", BL_STR_ARG(path));
    return status;
}

static int by_kind_and_name(const void *a, const void *b)
{
    const item *x = a, *y = b;

    if (x->folder != y->folder)
        return x->folder ? -1 : 1;
    return bl_str_cmp(x->name, y->name);
}

static void take_entry(bl_request *r, DIR *dir, const struct dirent *entry, bl_array *items)
{
    struct stat st;

    if (entry->d_name[0] == '.')
        return;
    /* a link that leads nowhere is listed as itself */
    if (fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 &&
        fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    item *i = bl_array_push(items);
    *i = (item){.name = bl_pool_str(r->pool, bl_str_c(entry->d_name)),
                .folder = S_ISDIR(st.st_mode),
                .mtime = st.st_mtime,
                .size = st.st_size};
}

/* BL_NEXT, or a status. */
static bl_step read_folder(bl_request *r, bl_str path, bl_array *items)
{
    DIR *dir = opendir(path.p);
    const struct dirent *entry;

    if (dir == NULL)
        return fail(r, path);
    while ((entry = readdir(dir)) != NULL)
        take_entry(r, dir, entry, items);
    closedir(dir);
    if (items->count > 1)
        qsort(items->items, items->count, sizeof(item), by_kind_and_name);
    return BL_NEXT;
}

/* ------------------------------------------------------------- HTML */

/* Bytes of the first `columns` characters of `s`; *width: how many characters these are. */
static size_t take_columns(bl_str s, bool utf8, size_t columns, size_t *width)
{
    size_t at = 0;

    *width = 0;
    while (at < s.len && *width < columns) {
        at++;
        while (utf8 && at < s.len && ((unsigned char)s.p[at] & 0xc0) == 0x80)
            at++;
        (*width)++;
    }
    return at;
}

static void add_name(page *p, const item *i, bool utf8)
{
    size_t width, shown = take_columns(i->name, utf8, NAME_WIDTH - (i->folder ? 1 : 0), &width);
    bool whole = shown == i->name.len;

    if (!whole)
        shown = take_columns(i->name, utf8, NAME_WIDTH - 3, &width);
    add(p, bl_escape_html(p->pool, bl_str_of(i->name.p, shown)));
    if (whole && i->folder)
        add(p, BL_STR("/"));
    if (!whole)
        add(p, BL_STR("..&gt;"));
    width += !whole ? 3 : i->folder ? 1 : 0;
    addf(p, "</a>%*s", (int)(NAME_WIDTH + 1 - width), "");
}

static void add_date(page *p, time_t mtime, bool local)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;

    if (local)
        localtime_r(&mtime, &tm);
    else
        gmtime_r(&mtime, &tm);
    addf(p, "%02d-%s-%d %02d:%02d", tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
         tm.tm_min);
}

static off_t rounded(off_t size, off_t unit)
{
    return size / unit + (size % unit >= unit / 2);
}

static void add_size(page *p, const item *i, bool exact)
{
    enum {
        K = 1024,
        M = K * 1024,
        G = M * 1024
    };

    if (exact && i->folder)
        addf(p, "%20s", "-");
    else if (exact)
        addf(p, "%20lld", (long long)i->size);
    else if (i->folder)
        addf(p, "%8s", "-");
    else if (i->size >= G)
        addf(p, "%7lldG", (long long)rounded(i->size, G));
    else if (i->size >= M)
        addf(p, "%7lldM", (long long)rounded(i->size, M));
    else if (i->size > 9999)
        addf(p, "%7lldK", (long long)rounded(i->size, K));
    else
        addf(p, "%8lld", (long long)i->size);
}

static void write_html(bl_request *r, const settings *s, const bl_array *items, page *p)
{
    bl_str title = bl_escape_html(r->pool, r->uri);
    bool utf8 = bl_str_ieq(r->out.charset, BL_STR("utf-8"));

    addf(p,
         "<html>\r\n<head><title>Index of %.*s</title></head>\r\n<body>\r\n"
         "<h1>Index of %.*s</h1><hr><pre><a href=\"../\">../</a>\r\n",
         BL_STR_ARG(title), BL_STR_ARG(title));
    BL_ARRAY_EACH (item, i, items) {
        addf(p, "<a href=\"%.*s%s\">",
             BL_STR_ARG(bl_escape_uri(r->pool, i->name, BL_ESCAPE_COMPONENT)),
             i->folder ? "/" : "");
        add_name(p, i, utf8);
        add_date(p, i->mtime, s->localtime);
        add_size(p, i, s->exact_size);
        add(p, BL_STR("\r\n"));
    }
    add(p, BL_STR("</pre><hr></body>\r\n</html>\r\n"));
}

/* ------------------------------------------------------------- JSON, XML */

static void add_json_string(page *p, bl_str s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        add(p, bl_str_of(s.p + from, i - from));
        if (c < 0x20)
            addf(p, "\\u%04X", c);
        else
            addf(p, "\\%c", c);
        from = i + 1;
    }
    add(p, bl_str_of(s.p + from, s.len - from));
}

static void write_json(const bl_array *items, page *p)
{
    char date[BL_TIME_HTTP_LEN];
    const char *separator = "";

    add(p, BL_STR("["));
    BL_ARRAY_EACH (item, i, items) {
        addf(p, "%s\r\n{ \"name\":\"", separator);
        add_json_string(p, i->name);
        bl_time_http(date, i->mtime);
        addf(p, "\", \"type\":\"%s\", \"mtime\":\"%.*s\"", i->folder ? "directory" : "file",
             BL_TIME_HTTP_LEN, date);
        if (!i->folder)
            addf(p, ", \"size\":%lld", (long long)i->size);
        add(p, BL_STR(" }"));
        separator = ",";
    }
    add(p, BL_STR("\r\n]"));
}

static void write_xml(bl_request *r, const bl_array *items, page *p)
{
    struct tm tm;

    add(p, BL_STR("<?xml version=\"1.0\"?>\r\n<list>\r\n"));
    BL_ARRAY_EACH (item, i, items) {
        const char *kind = i->folder ? "directory" : "file";
        gmtime_r(&i->mtime, &tm);
        addf(p, "<%s mtime=\"%4d-%02d-%02dT%02d:%02d:%02dZ\"", kind, tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (!i->folder)
            addf(p, " size=\"%lld\"", (long long)i->size);
        addf(p, ">%.*s</%s>\r\n", BL_STR_ARG(bl_escape_html(r->pool, i->name)), kind);
    }
    add(p, BL_STR("</list>\r\n"));
}

/* ------------------------------------------------------------- the handler */

/* The function's name that a JSONP client asks for; empty: plain JSON. False: not fit to be one. */
static bool take_callback(bl_request *r, bl_str *callback)
{
    *callback = BL_STR_NONE;
    if (!bl_parse_arg(r->args, BL_STR("callback"), callback) || callback->len == 0)
        return true;
    for (size_t i = 0; i < callback->len; i++) {
        char c = callback->p[i], letter = (char)(c | 0x20);
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '.')
            return false;
    }
    return callback->len <= CALLBACK_MAX;
}

static bl_str type_of(int format, bl_str callback)
{
    switch (format) {
    case FORMAT_HTML:
        return BL_STR("text/html");
    case FORMAT_XML:
        return BL_STR("text/xml");
    default:
        return callback.len ? BL_STR("application/javascript") : BL_STR("application/json");
    }
}

static void write_page(bl_request *r, const settings *s, const bl_array *items, bl_str callback,
                       page *p)
{
    switch (s->format) {
    case FORMAT_HTML:
        write_html(r, s, items, p);
        return;
    case FORMAT_XML:
        write_xml(r, items, p);
        return;
    default:
        if (callback.len)
            addf(p, "/* callback */\r\n%.*s(", BL_STR_ARG(callback));
        write_json(items, p);
        if (callback.len)
            add(p, BL_STR(");"));
    }
}

static bl_step serve(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_autoindex_module);
    bl_str path, callback = BL_STR_NONE;
    page p = {.pool = r->pool};
    bl_array items;
    bl_chain chain;
    size_t root_len;

    if (r->uri.len == 0 || r->uri.p[r->uri.len - 1] != '/')
        return BL_NEXT;
    if (!(r->method & (BL_M_GET | BL_M_HEAD)))
        return BL_NEXT;
    if (s->format == FORMAT_JSONP && !take_callback(r, &callback)) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client sent invalid JSONP callback name: \"%.*s\"",
                     BL_STR_ARG(callback));
        return 400;
    }
    if (!bl_request_path(r, &path, &root_len, 0))
        return 404;
    bl_array_init(&items, r->pool, sizeof(item));
    bl_step step = read_folder(r, path, &items);
    if (step != BL_NEXT)
        return step;
    r->out.status = 200;
    r->out.content_type = type_of(s->format, callback);
    if (s->format == FORMAT_XML)
        r->out.charset = BL_STR("utf-8");
    if (bl_output_head(r) == BL_ERROR) /* first: it says which charset columns are counted in */
        return BL_CLOSE;
    write_page(r, s, &items, callback, &p);
    bl_buf *b = bl_buf_ref(r->pool, bl_str_of(p.text, p.len));
    b->eof = 1;
    bl_chain_init(&chain);
    bl_chain_push(&chain, b);
    return bl_output_body(r, &chain) == BL_ERROR ? BL_CLOSE : BL_DONE;
}

/* ------------------------------------------------------------- configuration */

static const bl_conf_word_value format_words[] = {{"html", FORMAT_HTML},
                                                  {"json", FORMAT_JSON},
                                                  {"jsonp", FORMAT_JSONP},
                                                  {"xml", FORMAT_XML},
                                                  {NULL, 0}};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"autoindex", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(on), "off"},
    {"autoindex_format", BL_IN_HSL, BL_TAKE1, &bl_type_enum, FIELD(format), "html", .arg = format_words},
    {"autoindex_localtime", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(localtime), "off"},
    {"autoindex_exact_size", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(exact_size), "on"},
    {0},
};
// clang-format on

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_autoindex_module);

    if (s->on)
        bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_AUTOINDEX, serve);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_autoindex_module = {
    .name = "autoindex",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
