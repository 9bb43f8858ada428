/* access_log: a line for each request, in one or several files or syslog servers.
 *
 * A path with variables names another file for each request; such files are opened for each line,
 * unless open_log_file_cache keeps them. */
#include "http/modules/access_log.h"
#include "conf/syslog.h"
#include "core/time.h"
#include "http/core_module.h"
#include "http/http_block.h"
#include "http/modules/log_format.h"
#include "http/modules/log_sink.h"
#include "http/phases.h"
#include "http/request.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct target {
    const bl_log_format *format;
    bl_log_sink *sink; /* one of these three: a file */
    bl_syslog *syslog;
    const bl_value *path; /* a file whose name has variables */
    bl_value *condition;  /* if=; NULL: always */
} target;

typedef struct file_cache {
    int64_t max, min_uses, valid, inactive; /* files, times, seconds */
    int64_t count;
    bl_link lru; /* the most recently used first */
} file_cache;

typedef struct cached_file {
    bl_link link;
    int fd; /* -1: not kept open, only counted */
    int64_t uses;
    time_t checked, accessed;
    dev_t dev;
    ino_t ino;
    bl_str path;
    char text[];
} cached_file;

typedef struct main_settings {
    bl_array formats;     /* bl_log_format * */
    bl_array *by_default; /* what applies where nothing is said; made when first needed */
} main_settings;

typedef struct settings {
    bl_array *targets; /* target; empty: off */
    file_cache *cache;
} settings;

/* ------------------------------------------------------------- files named by variables */

enum {
    OPEN_FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
};

static int open_log(bl_request *r, bl_str path)
{
    int fd = open(path.p, OPEN_FLAGS, 0644);

    if (fd < 0)
        bl_log_write(BL_LOG_CRIT, r->log, errno, "open() \"%.*s\" failed", BL_STR_ARG(path));
    return fd;
}

static void forget(file_cache *c, cached_file *f)
{
    bl_list_remove(&f->link);
    c->count--;
    if (f->fd >= 0)
        close(f->fd);
    bl_free(f);
}

/* Is what stands under the name still the file that is open? */
static bool is_current(const cached_file *f)
{
    struct stat st;

    return stat(f->path.p, &st) == 0 && st.st_ino == f->ino && st.st_dev == f->dev;
}

static cached_file *find_cached(file_cache *c, bl_str path)
{
    BL_LIST_EACH (it, &c->lru) {
        cached_file *f = BL_CONTAINER(it, cached_file, link);
        if (bl_str_eq(f->path, path))
            return f;
    }
    return NULL;
}

static void expire(file_cache *c)
{
    while (!bl_list_empty(&c->lru)) {
        cached_file *oldest = BL_CONTAINER(c->lru.prev, cached_file, link);
        if (c->count < c->max && oldest->accessed + c->inactive > bl_clock_now.sec)
            return;
        forget(c, oldest);
    }
}

static cached_file *add_cached(file_cache *c, bl_str path)
{
    cached_file *f = bl_zalloc(sizeof *f + path.len + 1);

    expire(c);
    memcpy(f->text, path.p, path.len);
    f->path = bl_str_of(f->text, path.len);
    f->fd = -1;
    c->count++;
    bl_list_unshift(&c->lru, &f->link);
    return f;
}

/* A file that is cached and still open, or NULL. */
static cached_file *use_cached(file_cache *c, bl_str path)
{
    cached_file *f = find_cached(c, path);

    if (f == NULL)
        return NULL;
    bl_list_remove(&f->link);
    bl_list_unshift(&c->lru, &f->link);
    f->uses++;
    f->accessed = bl_clock_now.sec;
    if (f->fd >= 0 && bl_clock_now.sec - f->checked >= c->valid) {
        if (!is_current(f)) {
            close(f->fd);
            f->fd = -1;
        }
        f->checked = bl_clock_now.sec;
    }
    return f;
}

/* A descriptor for the path; *keep: it stays open. A file that can't be opened is not cached. */
static int cached_fd(bl_request *r, file_cache *c, bl_str path, bool *keep)
{
    cached_file *f = use_cached(c, path);
    struct stat st;

    if (f && f->fd >= 0) {
        *keep = true;
        return f->fd;
    }
    int fd = open_log(r, path);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fd;
    if (f == NULL) {
        f = add_cached(c, path);
        f->uses = 1;
        f->accessed = bl_clock_now.sec;
    }
    if (f->uses >= c->min_uses) {
        f->fd = fd;
        f->dev = st.st_dev;
        f->ino = st.st_ino;
        f->checked = bl_clock_now.sec;
        *keep = true;
    }
    return fd;
}

static void write_named(bl_request *r, const settings *s, const target *t, bl_str line)
{
    static time_t said, full;
    bl_str path = bl_value_eval_z(r, t->path);
    bool keep = false;

    if (path.len && path.p[0] != '/') {
        bl_str parts[] = {r->http->generation->prefix, path};
        path = bl_pool_concat(r->pool, parts, 2);
    }
    int fd = s->cache ? cached_fd(r, s->cache, path, &keep) : open_log(r, path);
    if (fd < 0)
        return;
    bl_log_sink_write_fd(fd, path.p, line, &said, &full);
    if (!keep)
        close(fd);
}

/* ------------------------------------------------------------- the handler */

static void write_syslog(bl_syslog *to, bl_str line)
{
    int err = bl_syslog_send(to, to->severity, line);

    if (err == 0 || to->failed == bl_clock_now.sec)
        return;
    to->failed = bl_clock_now.sec;
    bl_log_write(BL_LOG_ALERT, &bl_log_process, err, "sending to syslog failed");
}

static bl_step log_request(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_access_log_module);

    BL_ARRAY_EACH (target, t, s->targets) {
        if (t->condition && !bl_str_is_true(bl_value_eval(r, t->condition)))
            continue;
        bl_str line = bl_log_format_line(r, t->format, t->syslog == NULL);
        if (t->sink)
            bl_log_sink_write(t->sink, line);
        else if (t->syslog)
            write_syslog(t->syslog, line);
        else
            write_named(r, s, t, line);
    }
    return BL_NEXT;
}

/* ------------------------------------------------------------- configuration */

static main_settings *main_of(bl_conf *cf)
{
    return bl_http_of(cf)->settings.of[BL_MAIN][bl_access_log_module.index];
}

static bl_log_format *find_format(main_settings *m, bl_str name)
{
    BL_ARRAY_EACH (bl_log_format *, f, &m->formats) {
        if (bl_str_eq((*f)->name, name))
            return *f;
    }
    return NULL;
}

static bool read_format(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    main_settings *m = main_of(cf);
    bl_str name = bl_conf_arg(node, 1);

    if (find_format(m, name) || bl_str_eq(name, BL_STR("combined")))
        return bl_conf_error(cf, node, 1, "duplicate \"log_format\" name \"%.*s\"",
                             BL_STR_ARG(name));
    bl_log_format *f = bl_log_format_read(cf, node);
    if (f)
        *(bl_log_format **)bl_array_push(&m->formats) = f;
    return f != NULL;
}

static bl_log_format *format_of(bl_conf *cf, const bl_conf_node *node, int word)
{
    main_settings *m = main_of(cf);
    bl_str name = word < node->count ? bl_conf_arg(node, word) : BL_STR("combined");
    bl_log_format *f = find_format(m, name);

    if (f)
        return f;
    if (!bl_str_eq(name, BL_STR("combined"))) {
        bl_conf_error(cf, node, word, "unknown log format \"%.*s\"", BL_STR_ARG(name));
        return NULL;
    }
    f = bl_log_format_combined(cf, node);
    if (f)
        *(bl_log_format **)bl_array_push(&m->formats) = f;
    return f;
}

static bl_str behind(bl_str word, size_t prefix)
{
    return bl_str_of(word.p + prefix, word.len - prefix);
}

static bool read_gzip(bl_str word, bl_log_sink_options *o)
{
    int64_t level = word.len > 5 ? bl_str_to_int(behind(word, 5)) : 1;

    o->gzip = (int)level;
    if (o->buffer == 0)
        o->buffer = 64 * 1024;
    return level >= 1 && level <= 9;
}

static bool read_option(bl_conf *cf, const bl_conf_node *node, int i, target *t,
                        bl_log_sink_options *o)
{
    bl_str word = bl_conf_arg(node, i);

    if (bl_str_starts(word, BL_STR("buffer="))) {
        o->buffer = bl_conf_size(behind(word, 7));
        return o->buffer > 0 || bl_conf_error(cf, node, i, "invalid buffer size \"%.*s\"",
                                              BL_STR_ARG(behind(word, 7)));
    }
    if (bl_str_starts(word, BL_STR("flush="))) {
        o->flush = bl_conf_msec(behind(word, 6));
        return o->flush > 0 || bl_conf_error(cf, node, i, "invalid flush time \"%.*s\"",
                                             BL_STR_ARG(behind(word, 6)));
    }
    if (bl_str_eq(word, BL_STR("gzip")) || bl_str_starts(word, BL_STR("gzip=")))
        return read_gzip(word, o) ||
               bl_conf_error(cf, node, i, "invalid compression level \"%.*s\"", BL_STR_ARG(word));
    if (bl_str_starts(word, BL_STR("if="))) {
        t->condition = bl_value_compile(cf, node, i, behind(word, 3));
        return t->condition != NULL;
    }
    return bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"", BL_STR_ARG(word));
}

static bool read_options(bl_conf *cf, const bl_conf_node *node, target *t, bl_log_sink_options *o)
{
    for (int i = 3; i < node->count; i++) {
        if (!read_option(cf, node, i, t, o))
            return false;
    }
    if (o->flush && o->buffer == 0)
        return bl_conf_error(cf, node, 0, "no buffer is defined for access_log \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 1)));
    return true;
}

static bool read_destination(bl_conf *cf, const bl_conf_node *node, target *t,
                             const bl_log_sink_options *o)
{
    bl_str path = bl_conf_arg(node, 1);

    if (bl_str_starts(path, BL_STR("syslog:"))) {
        if (o->buffer || o->gzip)
            return bl_conf_error(cf, node, 0, "logs to syslog cannot be buffered");
        t->syslog = bl_conf_syslog(cf, node, 1);
        return t->syslog != NULL;
    }
    if (bl_str_chr(path, '$') >= 0) {
        if (o->buffer || o->gzip)
            return bl_conf_error(cf, node, 0, "buffered logs cannot have variables in name");
        t->path = bl_value_compile(cf, node, 1, path);
        return t->path != NULL;
    }
    t->sink = bl_log_sink_of(cf, node, path, o);
    return t->sink != NULL;
}

static bool read_access_log(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                            void *field)
{
    bl_array **targets = field;
    bl_log_sink_options options = {0};
    target t = {0};

    if (*targets == BL_UNSET_PTR)
        *targets = bl_array_new(cf->pool, sizeof(target));
    if (bl_str_eq(bl_conf_arg(node, 1), BL_STR("off"))) {
        (*targets)->count = 0;
        return node->count == 2 || bl_conf_error(cf, node, 2, "invalid parameter \"%.*s\"",
                                                 BL_STR_ARG(bl_conf_arg(node, 2)));
    }
    t.format = format_of(cf, node, 2);
    if (t.format == NULL || !read_options(cf, node, &t, &options) ||
        !read_destination(cf, node, &t, &options))
        return false;
    *(target *)bl_array_push(*targets) = t;
    return true;
}

static bool read_cache_word(file_cache *c, bl_str word)
{
    if (bl_str_starts(word, BL_STR("max=")))
        return (c->max = bl_str_to_int(behind(word, 4))) > 0;
    if (bl_str_starts(word, BL_STR("min_uses=")))
        return (c->min_uses = bl_str_to_int(behind(word, 9))) > 0;
    if (bl_str_starts(word, BL_STR("inactive=")))
        return (c->inactive = bl_conf_sec(behind(word, 9))) >= 0;
    if (bl_str_starts(word, BL_STR("valid=")))
        return (c->valid = bl_conf_sec(behind(word, 6))) >= 0;
    return false;
}

static void free_cache(void *data)
{
    file_cache *c = data;

    while (!bl_list_empty(&c->lru))
        forget(c, BL_CONTAINER(c->lru.next, cached_file, link));
}

static bool read_cache(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    file_cache **to = field;

    if (node->count == 2 && bl_str_eq(bl_conf_arg(node, 1), BL_STR("off"))) {
        *to = NULL;
        return true;
    }
    file_cache *c = BL_NEW(cf->pool, file_cache);
    *c = (file_cache){.min_uses = 1, .valid = 60, .inactive = 10};
    bl_list_init(&c->lru);
    for (int i = 1; i < node->count; i++) {
        if (!read_cache_word(c, bl_conf_arg(node, i)))
            return bl_conf_error(cf, node, i, "invalid \"open_log_file_cache\" parameter \"%.*s\"",
                                 BL_STR_ARG(bl_conf_arg(node, i)));
    }
    if (c->max == 0)
        return bl_conf_error(cf, node, 0, "\"open_log_file_cache\" must have \"max\" parameter");
    bl_pool_cleanup(cf->pool, free_cache, c);
    *to = c;
    return true;
}

static const bl_type type_access_log = {"path [format [parameter …]] | off", sizeof(bl_array *),
                                        read_access_log};
static const bl_type type_cache = {"max=N [inactive=time] [min_uses=N] [valid=time] | off",
                                   sizeof(file_cache *), read_cache};

// clang-format off
static const bl_directive directives[] = {
    {"log_format", BL_IN_HTTP, BL_TAKE_2MORE | BL_REPEATS, &bl_type_action, BL_MAIN, .set = read_format},
    {"access_log", BL_IN_HSLI | BL_IN_LIMIT_EXCEPT, BL_TAKE_1MORE | BL_REPEATS, &type_access_log, BL_LOCATION, offsetof(settings, targets)},
    {"open_log_file_cache", BL_IN_HSL, BL_TAKE1234, &type_cache, BL_LOCATION, offsetof(settings, cache), "off"},
    {0},
};
// clang-format on

static bool create(bl_conf *cf, int level, void *own)
{
    if (level == BL_MAIN) {
        main_settings *m = own;
        bl_array_init(&m->formats, cf->pool, sizeof(bl_log_format *));
    }
    return true;
}

/* What applies where no access_log is in sight. */
static bl_array *targets_by_default(bl_conf *cf)
{
    main_settings *m = main_of(cf);
    bl_conf_node node = {.words = (bl_conf_word[]){{BL_STR_INIT("access_log")}}, .count = 1};
    bl_log_sink_options plain = {0};

    if (m->by_default)
        return m->by_default;
    m->by_default = bl_array_new(cf->pool, sizeof(target));
    target *t = bl_array_push(m->by_default);
    t->format = format_of(cf, &node, 2);
    t->sink = bl_log_sink_of(cf, &node, BL_STR("logs/access.log"), &plain);
    return t->format && t->sink ? m->by_default : NULL;
}

static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    settings *s = child;

    if (level == BL_LOCATION && parent && s->targets == NULL)
        s->targets = targets_by_default(cf);
    return true;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_access_log_module);

    if (s->targets && s->targets->count)
        bl_location_handler(cf, loc, BL_PHASE_LOG, BL_PLACE_LOG, log_request);
    return true;
}

static void stop_worker(bl_generation *g)
{
    BL_LIST_EACH (it, &g->open_files) {
        bl_open_file *file = BL_CONTAINER(it, bl_open_file, link);
        if (file->flush)
            file->flush(file);
    }
}

static const bl_http_module http = {.compile = compile};

bl_module bl_access_log_module = {
    .name = "access_log",
    .directives = directives,
    .size = {[BL_MAIN] = sizeof(main_settings), [BL_LOCATION] = sizeof(settings)},
    .create = create,
    .merge = merge,
    .stop_worker = stop_worker,
    .http = &http,
};
