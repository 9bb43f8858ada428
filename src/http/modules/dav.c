/* WebDAV's methods on files (RFC 4918): PUT, DELETE, MKCOL, COPY, MOVE, those of them that
 * dav_methods names. A URI that ends with a slash is a folder's, any other a file's. A PUT is
 * written beside and renamed, so that nobody sees a half of it. */
#include "http/modules/dav.h"
#include "core/time.h"
#include "http/body.h"
#include "http/core_module.h"
#include "http/escape.h"
#include "http/modules/dav_files.h"
#include "http/parse.h"
#include "http/phases.h"
#include "http/upstream/store.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INFINITE = -1,
    BAD_DEPTH = -2,
};

typedef struct settings {
    int methods; /* bits of BL_M_… */
    int create_full_put_path;
    int64_t min_delete_depth, access;
} settings;

#define SETTINGS(r) ((const settings *)BL_LOC_SETTINGS(r, bl_dav_module))

/* ------------------------------------------------------------- common */

static bl_step empty_answer(bl_request *r, int status)
{
    return bl_output_text(r, status, BL_STR_NONE, BL_STR(""));
}

/* Logs a failure and says what it is to the client. */
static bl_step failed(bl_request *r, const char *what, const char *path, int err)
{
    bool conflict = err == ENOENT || err == ENOTDIR || err == EISDIR || err == ENOTEMPTY;
    bl_log_level level = conflict ? BL_LOG_ERR : BL_LOG_CRIT;

    bl_log_write(level, r->log, err, "%s \"%s\" failed", what, path);
    if (err == ENOSPC)
        return 507;
    if (err == EACCES || err == EPERM || err == EROFS)
        return 403;
    return conflict ? 409 : 500;
}

static bool ends_with_slash(bl_str s)
{
    return s.len && s.p[s.len - 1] == '/';
}

static bool path_of(bl_request *r, bl_str *path)
{
    size_t root_len;

    return bl_request_path(r, path, &root_len, 0);
}

/* The path that another URI of this location would have. */
static bool path_of_uri(bl_request *r, bl_str uri, bl_str *path)
{
    bl_str own = r->uri;

    r->uri = uri;
    bool ok = path_of(r, path);
    r->uri = own;
    return ok;
}

static int depth_of(const bl_request *r, int without)
{
    const bl_header *h = bl_headers_find(&r->in, BL_STR("Depth"), NULL);

    if (h == NULL)
        return without;
    if (bl_str_eq(h->value, BL_STR("0")))
        return 0;
    if (bl_str_eq(h->value, BL_STR("1")))
        return 1;
    return bl_str_ieq(h->value, BL_STR("infinity")) ? INFINITE : BAD_DEPTH;
}

/* ------------------------------------------------------------- PUT */

static int place_file(bl_request *r, bl_str path, bool *created)
{
    const settings *s = SETTINGS(r);
    bl_temp_file *file = r->body.file;
    const bl_header *date = bl_headers_find(&r->in, BL_STR("Date"), NULL);
    struct stat st;
    int err;

    *created = stat(path.p, &st) != 0;
    if (!*created && S_ISDIR(st.st_mode))
        return EISDIR;
    fchmod(file->fd, (mode_t)s->access);
    time_t t = date ? bl_time_parse_http(date->value) : -1;
    if (t >= 0)
        futimens(file->fd, (struct timespec[]){{.tv_sec = t}, {.tv_sec = t}});
    err = bl_dav_move(file->path.p, path.p);
    if (err == ENOENT && s->create_full_put_path) {
        mode_t mode = (mode_t)s->access | 0700;
        err = bl_dav_make_way(path.p, mode | (mode & 0444) >> 2);
        if (err == 0)
            err = bl_dav_move(file->path.p, path.p);
    }
    file->keep |= err == 0;
    return err;
}

static bl_step put_file(bl_request *r)
{
    bool created;
    bl_str path;

    if (r->body.file == NULL && r->body.length > 0)
        return 500;
    if (!path_of(r, &path))
        return 500;
    if (r->body.file == NULL) { /* an empty body */
        r->body.file = bl_temp_file_new(r, r->loc->core->client_body_temp_path, false);
        if (r->body.file == NULL)
            return 500;
    }
    int err = place_file(r, path, &created);
    if (err)
        return failed(r, "PUT", path.p, err);
    if (!created)
        return empty_answer(r, 204);
    r->out.location = bl_escape_uri(r->pool, r->uri, BL_ESCAPE_PATH);
    return empty_answer(r, 201);
}

static void on_body(bl_request *r, bl_step step)
{
    bl_request_wake(r, step == BL_NEXT ? put_file(r) : step);
}

static bl_step put(bl_request *r)
{
    if (ends_with_slash(r->uri)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "cannot PUT to a collection");
        return 409;
    }
    if (bl_headers_find(&r->in, BL_STR("Content-Range"), NULL)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "PUT with range is unsupported");
        return 501;
    }
    bl_body_want(r, BL_BODY_IN_FILE_ONLY);
    bl_step step = bl_body_read(r, on_body);
    return step == BL_NEXT ? put_file(r) : step;
}

/* ------------------------------------------------------------- DELETE, MKCOL */

static int segments_of(bl_str uri)
{
    int n = 0;

    for (size_t i = 0; i + 1 < uri.len; i++)
        n += uri.p[i] == '/';
    return n;
}

static bl_step delete_it(bl_request *r)
{
    const settings *s = SETTINGS(r);
    struct stat st;
    bl_str path;

    if (s->min_delete_depth && segments_of(r->uri) < s->min_delete_depth) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "insufficient URI depth to DELETE \"%.*s\"",
                     BL_STR_ARG(r->uri));
        return 409;
    }
    if (!path_of(r, &path))
        return 500;
    if (lstat(path.p, &st) != 0)
        return errno == ENOTDIR ? 409 : 404;
    int depth = depth_of(r, S_ISDIR(st.st_mode) ? INFINITE : 0);
    if (S_ISDIR(st.st_mode)) {
        if (!ends_with_slash(r->uri)) {
            bl_log_write(BL_LOG_ERR, r->log, EISDIR, "DELETE \"%s\" failed", path.p);
            return 409;
        }
        if (depth != INFINITE)
            return 400;
    } else if (depth != 0 && depth != INFINITE) {
        return 400;
    }
    while (path.len > 1 && path.p[path.len - 1] == '/')
        path.p[--path.len] = '\0';
    int err = bl_dav_remove(path.p);
    return err ? failed(r, "DELETE", path.p, err) : empty_answer(r, 204);
}

static bl_step make_collection(bl_request *r)
{
    mode_t mode = (mode_t)SETTINGS(r)->access | 0700;
    bl_str path;

    if (!ends_with_slash(r->uri)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "MKCOL can create a collection only");
        return 409;
    }
    if (!path_of(r, &path))
        return 500;
    if (mkdir(path.p, mode | (mode & 0444) >> 2) != 0)
        return errno == EEXIST ? 405 : failed(r, "MKCOL", path.p, errno);
    r->out.location = bl_escape_uri(r->pool, r->uri, BL_ESCAPE_PATH);
    return empty_answer(r, 201);
}

/* ------------------------------------------------------------- COPY, MOVE */

/* Is `s` that host, with or without a port, and what is behind it? */
static bool skip_host(bl_str *s, bl_str host)
{
    if (!bl_str_istarts(*s, host))
        return false;
    bl_str rest = bl_str_of(s->p + host.len, s->len - host.len);
    if (rest.len && rest.p[0] == ':') {
        do
            rest = bl_str_of(rest.p + 1, rest.len - 1);
        while (rest.len && rest.p[0] >= '0' && rest.p[0] <= '9');
    }
    *s = rest;
    return rest.len == 0 || rest.p[0] == '/';
}

static bool climbs(bl_str path)
{
    return memmem(path.p, path.len, "/../", 4) != NULL ||
           (path.len >= 3 && memcmp(path.p + path.len - 3, "/..", 3) == 0);
}

bl_dav_destination_result bl_dav_destination(bl_pool *pool, bl_str value, bl_str host,
                                             bool merge_slashes, bl_str *uri)
{
    bl_str s = value, args = BL_STR_NONE,
           scheme = bl_str_istarts(s, BL_STR("https://")) ? BL_STR("https://") : BL_STR("http://");

    if (bl_str_istarts(s, scheme) && host.len) {
        s = bl_str_of(s.p + scheme.len, s.len - scheme.len);
        if (!skip_host(&s, host))
            return BL_DAV_ELSEWHERE;
    }
    bool safe = s.len && !climbs(bl_escape_undo(pool, s)) &&
                bl_parse_path(s, merge_slashes, bl_pool_bytes(pool, s.len), uri, &args) &&
                bl_str_chr(*uri, '\0') < 0;
    return safe ? BL_DAV_HERE : BL_DAV_UNSAFE;
}

/* Where an alias stands for the location's name, only what begins with the name has a path. */
static bool is_of_location(const bl_request *r, bl_str uri)
{
    const bl_root_setting *root = &r->loc->core->root;

    if (!root->alias || root->covers == BL_ALIAS_ALL)
        return true;
    return r->uri.len >= root->covers && bl_str_starts(uri, bl_str_of(r->uri.p, root->covers));
}

/* False: 400 was explained in the log. */
static bool destination(bl_request *r, bl_str *uri)
{
    const bl_header *h = bl_headers_find(&r->in, BL_STR("Destination"), NULL);

    if (h == NULL) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "client sent no \"Destination\" header");
        return false;
    }
    bl_dav_destination_result result =
        bl_dav_destination(r->pool, h->value, r->host, r->server->core->merge_slashes, uri);
    if (result == BL_DAV_HERE && is_of_location(r, *uri))
        return true;
    if (result == BL_DAV_ELSEWHERE)
        bl_log_write(BL_LOG_ERR, r->log, 0,
                     "\"Destination\" URI \"%.*s\" is handled by different repository than the "
                     "source URI",
                     BL_STR_ARG(h->value));
    else
        bl_log_write(BL_LOG_ERR, r->log, 0, "client sent invalid \"Destination\" header: \"%.*s\"",
                     BL_STR_ARG(h->value));
    return false;
}

/* 0, or the status: may the destination be written over? *there: it exists. */
static int check_overwrite(bl_request *r, const char *to, bool *there)
{
    const bl_header *h = bl_headers_find(&r->in, BL_STR("Overwrite"), NULL);
    bool never = h && bl_str_ieq(h->value, BL_STR("F"));
    struct stat st;

    if (h && !never && !bl_str_ieq(h->value, BL_STR("T"))) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "client sent invalid \"Overwrite\" header: \"%.*s\"",
                     BL_STR_ARG(h->value));
        return 400;
    }
    *there = lstat(to, &st) == 0;
    return *there && never ? 412 : 0;
}

static bl_step transfer(bl_request *r, bl_str from, bl_str to, bool deep)
{
    bool there, moving = r->method == BL_M_MOVE;
    int status = check_overwrite(r, to.p, &there), err = 0;

    if (status)
        return status;
    if (there && ends_with_slash(to))
        err = bl_dav_remove(to.p);
    if (err == 0)
        err = moving ? bl_dav_move(from.p, to.p) : bl_dav_copy(from.p, to.p, deep);
    if (err)
        return failed(r, moving ? "MOVE" : "COPY", from.p, err);
    return empty_answer(r, ends_with_slash(to) ? 201 : 204);
}

static bl_step copy_or_move(bl_request *r)
{
    int depth = depth_of(r, INFINITE);
    bl_str uri, from, to;
    struct stat st;

    if (!destination(r, &uri))
        return 400;
    if (ends_with_slash(uri) != ends_with_slash(r->uri)) {
        bl_log_write(BL_LOG_ERR, r->log, 0,
                     "both URI \"%.*s\" and \"Destination\" URI \"%.*s\" should be either "
                     "collections or non-collections",
                     BL_STR_ARG(r->uri), BL_STR_ARG(uri));
        return 409;
    }
    if (depth != INFINITE && (depth != 0 || r->method != BL_M_COPY)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "client sent invalid \"Depth\" header");
        return 400;
    }
    if (!path_of(r, &from) || !path_of_uri(r, uri, &to))
        return 500;
    if (lstat(from.p, &st) != 0)
        return failed(r, "lstat()", from.p, errno) == 409 ? 404 : 500;
    if (S_ISDIR(st.st_mode) != ends_with_slash(r->uri))
        return failed(r, "COPY or MOVE", from.p, EISDIR);
    if (bl_dav_overlap(from.p, to.p)) { /* RFC 4918 sections 9.8.5 and 9.9.4, and what is like it */
        bl_log_write(BL_LOG_ERR, r->log, 0, "\"%s\" and \"%s\" are the same, or in each other",
                     from.p, to.p);
        return 403;
    }
    return transfer(r, from, to, depth == INFINITE);
}

/* ------------------------------------------------------------- the handler */

static bl_step serve(bl_request *r)
{
    if (!(SETTINGS(r)->methods & (int)r->method))
        return BL_NEXT;
    if (r->method == BL_M_PUT)
        return put(r);
    if (r->body.expected) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "%.*s with body is unsupported",
                     BL_STR_ARG(r->method_name));
        return 415;
    }
    if (r->method == BL_M_DELETE)
        return delete_it(r);
    return r->method == BL_M_MKCOL ? make_collection(r) : copy_or_move(r);
}

/* ------------------------------------------------------------- directives */

static const bl_conf_word_value method_words[] = {
    {"off", 0},
    {"PUT", BL_M_PUT},
    {"DELETE", BL_M_DELETE},
    {"MKCOL", BL_M_MKCOL},
    {"COPY", BL_M_COPY},
    {"MOVE", BL_M_MOVE},
    {NULL, 0},
};

#define LOC(field) BL_LOCATION, offsetof(settings, field)

// clang-format off
static const bl_directive directives[] = {
    {"dav_methods", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, LOC(methods), .arg = method_words},
    {"dav_access", BL_IN_HSL, BL_TAKE123, &bl_type_store_access, LOC(access), "user:rw"},
    {"create_full_put_path", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(create_full_put_path), "off"},
    {"min_delete_depth", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(min_delete_depth), "0"},
    {0},
};
// clang-format on

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = loc->settings.of[BL_LOCATION][bl_dav_module.index];

    if (s->methods)
        bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_DAV, serve);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_dav_module = {
    .name = "dav",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .http = &http,
};
