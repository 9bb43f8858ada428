#include "http/upstream/store.h"
#include "core/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COPY_SIZE = 65536,
    DEFAULT_ACCESS = 0600,
};

static void give_up(bl_upstream *u, const char *what, bl_str path)
{
    bl_log_write(BL_LOG_CRIT, u->r->log, errno, "%s \"%.*s\" failed", what, BL_STR_ARG(path));
    u->store = NULL;
}

void bl_upstream_store_begin(bl_upstream *u)
{
    if (u->conf->store && u->buffering && u->head.status == 200 && !u->no_body)
        u->store = bl_temp_file_new(u->r, u->conf->temp_path, false);
}

void bl_upstream_store_add(bl_upstream *u, bl_str bytes)
{
    if (!bl_temp_file_write(u->r, u->store, bytes))
        u->store = NULL;
}

/* ------------------------------------------------------------- to its place */

static bool path_of(bl_upstream *u, bl_str *path)
{
    const bl_value *value = u->conf->store->path;
    size_t root_len;

    if (value == NULL)
        return bl_request_path(u->r, path, &root_len, 0);
    *path = bl_value_eval_z(u->r, value);
    if (path->len && path->p[0] != '/') {
        bl_str parts[] = {u->r->http->generation->prefix, *path};
        *path = bl_pool_concat(u->r->pool, parts, 2);
    }
    return path->len != 0;
}

static void make_folders(bl_upstream *u, bl_str path)
{
    mode_t mode = (mode_t)u->conf->store_access;
    char *text = bl_pool_cstr(u->r->pool, path);

    mode |= 0700 | (mode & 0444) >> 2;
    for (char *slash = strchr(text + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(text, mode);
        *slash = '/';
    }
}

static bool copy_bytes(const bl_temp_file *file, int to)
{
    char bytes[COPY_SIZE];

    for (off_t at = 0; at < file->size;) {
        ssize_t n = pread(file->fd, bytes, sizeof bytes, at);
        if (n <= 0 || write(to, bytes, (size_t)n) != n)
            return false;
        at += n;
    }
    return true;
}

/* To another file system: a copy beside the place, which then takes it. */
static bool copy_over(bl_upstream *u, bl_str path)
{
    bl_str beside = bl_pool_printf(u->r->pool, "%.*s.%d.new", BL_STR_ARG(path), (int)getpid());
    int fd = open(beside.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    bool ok = copy_bytes(u->store, fd) && fchmod(fd, (mode_t)u->conf->store_access) == 0;
    ok = close(fd) == 0 && ok;
    if (ok && rename(beside.p, path.p) == 0)
        return true;
    unlink(beside.p);
    return false;
}

static bool move(bl_upstream *u, bl_str path)
{
    const char *from = u->store->path.p;

    if (rename(from, path.p) == 0)
        return true;
    if (errno == ENOENT) {
        make_folders(u, path);
        if (rename(from, path.p) == 0)
            return true;
    }
    return errno == EXDEV && copy_over(u, path);
}

static void set_time(bl_upstream *u, bl_str path)
{
    const bl_header *h = u->head.known[BL_H_LAST_MODIFIED];
    time_t modified = h ? bl_time_parse_http(h->value) : -1;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = modified}};

    if (modified >= 0)
        utimensat(AT_FDCWD, path.p, times, 0);
}

void bl_upstream_store_end(bl_upstream *u)
{
    bl_str path = BL_STR_NONE;

    if (fchmod(u->store->fd, (mode_t)u->conf->store_access) != 0)
        give_up(u, "chmod()", u->store->path);
    else if (!path_of(u, &path) || !move(u, path))
        give_up(u, "storing as", path);
    else
        set_time(u, path);
    u->store = NULL;
}

/* ------------------------------------------------------------- configuration */

static bool read_store(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    bl_store_setting **to = field, *store = BL_NEW(cf->pool, bl_store_setting);
    bl_str word = bl_conf_arg(node, 1);

    *to = NULL;
    if (bl_str_eq(word, BL_STR("off")))
        return true;
    *to = store;
    if (bl_str_eq(word, BL_STR("on")))
        return true;
    store->path = bl_value_compile(cf, node, 1, word);
    return store->path != NULL;
}

const bl_type bl_type_store = {"on | off | path", sizeof(bl_store_setting *), read_store};

/* "rw", as bits of the others' place; -1: none of it. */
static int rights_of(bl_str text)
{
    if (bl_str_eq(text, BL_STR("rw")))
        return 06;
    if (bl_str_eq(text, BL_STR("r")))
        return 04;
    return bl_str_eq(text, BL_STR("w")) ? 02 : -1;
}

static bool read_store_access(bl_conf *cf, const bl_directive *d BL_UNUSED,
                              const bl_conf_node *node, void *field)
{
    static const struct {
        bl_str who;
        int shift;
    } whose[] = {{BL_STR_INIT("user:"), 6}, {BL_STR_INIT("group:"), 3}, {BL_STR_INIT("all:"), 0}};
    int64_t mode = DEFAULT_ACCESS;

    for (int i = 1; i < node->count; i++) {
        bl_str word = bl_conf_arg(node, i);
        int rights = -1;
        for (size_t w = 0; w < BL_COUNTOF(whose) && rights < 0; w++) {
            size_t len = whose[w].who.len;
            if (!bl_str_starts(word, whose[w].who))
                continue;
            rights = rights_of(bl_str_of(word.p + len, word.len - len));
            mode = (mode & ~(07 << whose[w].shift)) | (int64_t)(rights & 07) << whose[w].shift;
        }
        if (rights < 0)
            return bl_conf_invalid(cf, node, i);
    }
    *(int64_t *)field = mode;
    return true;
}

const bl_type bl_type_store_access = {"who:rights …", sizeof(int64_t), read_store_access};
