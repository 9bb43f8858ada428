/* Opening files, and the cache of open ones.
 *
 * The cache belongs to the location that says `open_file_cache`, and is shared by those that
 * inherit it; each worker has its own contents.
 *
 *   path ── hash ──> entry ── fd, what it is, or errno
 *                      │      valid: trusted for that long, then compared with one stat()
 *                    LRU      inactive: dropped when not asked for that long
 *
 * An entry keeps its descriptor once it was asked for min_uses times; requests that use the
 * descriptor hold a reference, so an entry that was dropped closes it with the last of them. */
#include "http/open_file.h"
#include "core/time.h"
#include "http/core_module.h"
#include "http/value.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

enum {
    BUCKETS = 1024,
    OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
};

/* How links on a path are taken: BL_SYMLINKS_…, and how much of its front is trusted. */
typedef struct links {
    int mode;
    size_t from; /* ends before a slash */
} links;

typedef struct entry entry;
typedef struct cache {
    int64_t max, inactive; /* entries, seconds */
    int64_t count;
    bl_link lru; /* the most recently used first */
    entry *buckets[BUCKETS];
} cache;

struct entry {
    bl_link link;
    entry *next;
    uint32_t hash;
    int refs; /* requests that use the descriptor */
    int64_t uses;
    time_t checked, accessed;
    bool gone; /* no longer in the cache */
    bl_open_file_info info;
    struct links links; /* what `info` is true for */
    bl_str path;
    char text[];
};

typedef struct settings {
    cache *cache; /* NULL: off */
    int64_t valid, min_uses;
    int errors;
    int events; /* accepted: what is asked about is always asked of the kernel */
} settings;

static const settings *settings_of(const bl_request *r)
{
    return BL_LOC_SETTINGS(r, bl_open_file_module);
}

/* ------------------------------------------------------------- without a cache */

static void take_stat(bl_open_file_info *info, const struct stat *st)
{
    info->mode = st->st_mode;
    info->size = st->st_size;
    info->mtime = st->st_mtime;
    info->ino = st->st_ino;
    info->dev = st->st_dev;
}

static bool fail(bl_open_file_info *info, const char *call)
{
    info->err = errno;
    info->failed = call;
    if (info->fd >= 0)
        close(info->fd);
    info->fd = -1;
    return false;
}

/* disable_symlinks: a path is walked component by component, each opened beside its folder, so that
 * no link can be put in between the look and the use. */

static void close_folder(int folder)
{
    int err = errno;

    if (folder >= 0)
        close(folder);
    errno = err;
}

/* Whether `name` is a link whose owner is not that of `fd`, which it leads to. */
static bool is_foreign_link(int folder, const char *name, int fd)
{
    struct stat link, target;

    return fstatat(folder, name, &link, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(link.st_mode) &&
           fstat(fd, &target) == 0 && link.st_uid != target.st_uid;
}

static int open_component(int folder, const char *name, int links, int flags)
{
    int fd = openat(folder, name, flags | (links == BL_SYMLINKS_ON ? O_NOFOLLOW : 0));
    struct stat st;

    if (fd < 0 && errno == ENOTDIR && links == BL_SYMLINKS_ON &&
        fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
    if (fd >= 0 && links == BL_SYMLINKS_IF_NOT_OWNER && is_foreign_link(folder, name, fd)) {
        close(fd);
        errno = ELOOP;
        return -1;
    }
    return fd;
}

static bool is_last(const char *slash)
{
    return slash == NULL || slash[strspn(slash, "/")] == '\0';
}

/* The folder that the walk begins in. */
static int open_trusted(const char *path, size_t from)
{
    char front[PATH_MAX];

    if (from >= sizeof front) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (from == 0 && path[0] != '/')
        return AT_FDCWD;
    memcpy(front, path, from);
    memcpy(front + from, "/", 2);
    return open(front, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_no_links(const char *path, links links, int flags)
{
    char part[NAME_MAX + 1];
    int folder = open_trusted(path, links.from);

    if (folder == -1)
        return -1;
    path += links.from;
    for (;;) {
        path += strspn(path, "/");
        const char *slash = strchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : strlen(path);
        if (len >= sizeof part) {
            errno = ENAMETOOLONG;
            close_folder(folder);
            return -1;
        }
        memcpy(part, len ? path : ".", len ? len : 1);
        part[len ? len : 1] = '\0';
        bool last = is_last(slash);
        int fd = open_component(folder, part, links.mode,
                                last ? flags : O_PATH | O_DIRECTORY | O_CLOEXEC);
        close_folder(folder);
        if (fd < 0 || last)
            return fd;
        folder = fd;
        path = slash;
    }
}

static bool look(bl_str path, links links, int how, bl_open_file_info *info)
{
    struct stat st;

    *info = (bl_open_file_info){.fd = -1};
    if (how & BL_OPEN_FILE_TEST && links.mode == BL_SYMLINKS_OFF) {
        if (stat(path.p, &st) < 0)
            return fail(info, "stat()");
        take_stat(info, &st);
        return true;
    }
    info->fd = links.mode == BL_SYMLINKS_OFF ? open(path.p, OPEN_FLAGS)
                                             : open_no_links(path.p, links, OPEN_FLAGS);
    if (info->fd < 0)
        return fail(info, "open()");
    if (fstat(info->fd, &st) < 0)
        return fail(info, "fstat()");
    take_stat(info, &st);
    if (!S_ISREG(st.st_mode) || how & BL_OPEN_FILE_TEST) {
        close(info->fd);
        info->fd = -1;
    }
    return true;
}

/* For this path: `from` counts if it is the front of it, and if it is all of it there is nothing
 * to check. */
static links links_of(bl_request *r, bl_str path)
{
    const bl_symlinks_setting *setting = &r->loc->core->disable_symlinks;
    links links = {.mode = setting->mode};

    if (links.mode == BL_SYMLINKS_OFF || setting->from == NULL)
        return links;
    bl_str from = bl_value_eval(r, setting->from);
    while (from.len && from.p[from.len - 1] == '/')
        from.len--;
    if (from.len == 0 || !bl_str_starts(path, from))
        return links;
    if (path.len == from.len)
        links.mode = BL_SYMLINKS_OFF;
    else if (path.p[from.len] == '/')
        links.from = from.len;
    return links;
}

static void close_fd(void *fd)
{
    close((int)(intptr_t)fd);
}

static bool look_once(bl_request *r, bl_str path, int how, bl_open_file_info *info)
{
    if (!look(path, links_of(r, path), how, info))
        return false;
    if (info->fd >= 0)
        bl_pool_cleanup(r->pool, close_fd, (void *)(intptr_t)info->fd);
    return true;
}

/* ------------------------------------------------------------- the cache */

static void entry_free(entry *e)
{
    if (e->info.fd >= 0)
        close(e->info.fd);
    bl_free(e);
}

static void drop(cache *c, entry *e)
{
    entry **at = &c->buckets[e->hash % BUCKETS];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    bl_list_remove(&e->link);
    c->count--;
    e->gone = true;
    if (e->refs == 0)
        entry_free(e);
}

/* The least recently used two when their time is up; `full`: the oldest in any case. */
static void expire(cache *c, bool full)
{
    for (int i = 0; i < 2 && !bl_list_empty(&c->lru); i++) {
        entry *oldest = BL_CONTAINER(c->lru.prev, entry, link);
        if (!(full && i == 0) && oldest->accessed + c->inactive > bl_clock_now.sec)
            return;
        drop(c, oldest);
    }
}

static entry *find(cache *c, bl_str path, uint32_t hash)
{
    for (entry *e = c->buckets[hash % BUCKETS]; e; e = e->next) {
        if (e->hash == hash && bl_str_eq(e->path, path))
            return e;
    }
    return NULL;
}

static entry *insert(cache *c, bl_str path, uint32_t hash)
{
    entry *e = bl_zalloc(sizeof *e + path.len + 1);

    memcpy(e->text, path.p, path.len);
    e->path = bl_str_of(e->text, path.len);
    e->hash = hash;
    e->info.fd = -1;
    expire(c, c->count >= c->max);
    e->next = c->buckets[hash % BUCKETS];
    c->buckets[hash % BUCKETS] = e;
    bl_list_unshift(&c->lru, &e->link);
    c->count++;
    return e;
}

static void release(void *data)
{
    entry *e = data;

    if (--e->refs == 0 && e->gone)
        entry_free(e);
}

/* Still the same file? */
static bool unchanged(const entry *e)
{
    bl_open_file_info now;

    if (!look(e->path, e->links, BL_OPEN_FILE_TEST, &now))
        return e->info.err == now.err;
    return e->info.err == 0 && now.ino == e->info.ino && now.dev == e->info.dev &&
           now.mtime == e->info.mtime && now.size == e->info.size;
}

/* Whether what the entry knows is enough to answer. */
static bool suffices(const entry *e, int how)
{
    return e->info.err || e->info.fd >= 0 || how & BL_OPEN_FILE_TEST || !S_ISREG(e->info.mode);
}

static bool use(bl_request *r, entry *e, bl_open_file_info *info)
{
    *info = e->info;
    if (e->info.fd >= 0) {
        e->refs++;
        bl_pool_cleanup(r->pool, release, e);
    }
    return e->info.err == 0;
}

/* Asks the kernel and remembers its answer. */
static bool fill(bl_request *r, const settings *s, entry *e, bl_str path, uint32_t hash, int how,
                 bl_open_file_info *info)
{
    links links = links_of(r, path);
    bool ok = look(path, links, how, info);
    int64_t uses = e ? e->uses : 1;

    if (e && e->info.fd >= 0) {
        drop(s->cache, e);
        e = NULL;
    }
    if (!ok && !s->errors) {
        if (e)
            drop(s->cache, e);
        return false;
    }
    if (e == NULL)
        e = insert(s->cache, path, hash);
    e->info = *info;
    e->links = links;
    e->uses = uses;
    e->checked = e->accessed = bl_clock_now.sec;
    if (info->fd < 0)
        return ok;
    if (uses >= s->min_uses)
        return use(r, e, info);
    e->info.fd = -1;
    bl_pool_cleanup(r->pool, close_fd, (void *)(intptr_t)info->fd);
    return true;
}

static bool look_cached(bl_request *r, const settings *s, bl_str path, int how,
                        bl_open_file_info *info)
{
    uint32_t hash = bl_hash(path.p, path.len);
    entry *e = find(s->cache, path, hash);

    if (e) {
        if (e->accessed + s->cache->inactive <= bl_clock_now.sec)
            e->uses = 0;
        e->uses++;
        e->accessed = bl_clock_now.sec;
        bl_list_remove(&e->link);
        bl_list_unshift(&s->cache->lru, &e->link);
        links links = links_of(r, path);
        bool same = links.mode == e->links.mode && links.from == e->links.from;
        bool fresh = same && bl_clock_now.sec - e->checked < s->valid;
        if (same && !fresh && unchanged(e)) {
            e->checked = bl_clock_now.sec;
            fresh = true;
        }
        if (fresh && suffices(e, how))
            return use(r, e, info);
    }
    return fill(r, s, e, path, hash, how, info);
}

/* ------------------------------------------------------------- for handlers */

bool bl_open_file_get(bl_request *r, bl_str path, int how, bl_open_file_info *info)
{
    const settings *s = settings_of(r);

    return s->cache ? look_cached(r, s, path, how, info) : look_once(r, path, how, info);
}

int bl_open_file_status(bl_request *r, bl_str path, const bl_open_file_info *info)
{
    bl_log_level level = BL_LOG_ERR;
    int status;

    switch (info->err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        status = 404;
        break;
    case EACCES:
    case EMLINK:
    case ELOOP:
        status = 403;
        break;
    default:
        level = BL_LOG_CRIT;
        status = 500;
    }
    if (status != 404 || r->loc->core->log_not_found)
        bl_log_write(level, r->log, info->err, "%s \"%.*s\" failed", info->failed,
                     BL_STR_ARG(path));
    return status;
}

bool bl_open_file_is_plain(const bl_request *r)
{
    return settings_of(r)->cache == NULL && r->loc->core->disable_symlinks.mode == BL_SYMLINKS_OFF;
}

/* ------------------------------------------------------------- configuration */

static void free_cache(void *data)
{
    cache *c = data;

    while (!bl_list_empty(&c->lru))
        drop(c, BL_CONTAINER(c->lru.next, entry, link));
}

static bool read_cache_word(bl_conf *cf, const bl_conf_node *node, int i, cache *c)
{
    bl_str word = bl_conf_arg(node, i);

    if (bl_str_starts(word, BL_STR("max="))) {
        c->max = bl_str_to_int(bl_str_of(word.p + 4, word.len - 4));
        return c->max > 0 ||
               bl_conf_error(cf, node, i, "invalid \"open_file_cache\" parameter \"%.*s\"",
                             BL_STR_ARG(word));
    }
    if (bl_str_starts(word, BL_STR("inactive="))) {
        c->inactive = bl_conf_sec(bl_str_of(word.p + 9, word.len - 9));
        return c->inactive >= 0 ||
               bl_conf_error(cf, node, i, "invalid \"open_file_cache\" parameter \"%.*s\"",
                             BL_STR_ARG(word));
    }
    return bl_conf_error(cf, node, i, "invalid \"open_file_cache\" parameter \"%.*s\"",
                         BL_STR_ARG(word));
}

static bool read_cache(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    cache **to = field;

    if (node->count == 2 && bl_str_eq(bl_conf_arg(node, 1), BL_STR("off"))) {
        *to = NULL;
        return true;
    }
    cache *c = BL_NEW(cf->pool, cache);
    bl_list_init(&c->lru);
    c->inactive = 60;
    for (int i = 1; i < node->count; i++) {
        if (!read_cache_word(cf, node, i, c))
            return false;
    }
    if (c->max == 0)
        return bl_conf_error(cf, node, 0, "\"open_file_cache\" must have the \"max\" parameter");
    bl_pool_cleanup(cf->pool, free_cache, c);
    *to = c;
    return true;
}

static const bl_type type_cache = {"off | max=number [inactive=time]", sizeof(cache *), read_cache};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"open_file_cache", BL_IN_HSL, BL_TAKE12, &type_cache, FIELD(cache), "off"},
    {"open_file_cache_valid", BL_IN_HSL, BL_TAKE1, &bl_type_sec, FIELD(valid), "60s"},
    {"open_file_cache_min_uses", BL_IN_HSL, BL_TAKE1, &bl_type_num, FIELD(min_uses), "1"},
    {"open_file_cache_errors", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(errors), "off"},
    {"open_file_cache_events", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(events), "off"},
    {0},
};
// clang-format on

bl_module bl_open_file_module = {
    .name = "open_file",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
};
