#include "conf/openfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

bl_str bl_conf_path(bl_conf *cf, bl_str path, bool conf_prefix)
{
    bl_str parts[] = {conf_prefix ? cf->generation->conf_prefix : cf->generation->prefix, path};

    if (path.len && path.p[0] == '/')
        return bl_pool_str(cf->pool, path);
    return bl_pool_concat(cf->pool, parts, BL_COUNTOF(parts));
}

bl_open_file *bl_conf_open_file(bl_conf *cf, bl_str path)
{
    bool is_stderr = path.len == 0;
    bl_str name = is_stderr ? path : bl_conf_path(cf, path, false);
    bl_open_file *file = bl_index_find(&cf->generation->file_names, name);

    if (file)
        return file;
    file = BL_NEW(cf->pool, bl_open_file);
    file->path = is_stderr ? NULL : name.p;
    file->fd = is_stderr ? STDERR_FILENO : -1;
    bl_list_push(&cf->generation->open_files, &file->link);
    bl_index_add(&cf->generation->file_names, name, file);
    return file;
}

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
}

bool bl_open_files_open(bl_generation *g)
{
    BL_LIST_EACH (it, &g->open_files) {
        bl_open_file *file = BL_CONTAINER(it, bl_open_file, link);
        if (file->fd >= 0)
            continue;
        file->fd = open_log(file->path);
        if (file->fd < 0) {
            bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "open() \"%s\" failed", file->path);
            bl_open_files_close(g);
            return false;
        }
    }
    return true;
}

/* A file that is not there yet is judged by its folder. */
static bool writable(bl_pool *pool, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (access(path, W_OK) == 0)
        return true;
    if (errno != ENOENT || slash == NULL)
        return false;
    return access(bl_pool_cstr(pool, bl_str_of(path, (size_t)(slash - path) + 1)), W_OK | X_OK) ==
           0;
}

bool bl_open_files_check(bl_generation *g)
{
    bool ok = true;

    BL_LIST_EACH (it, &g->open_files) {
        const bl_open_file *file = BL_CONTAINER(it, bl_open_file, link);
        if (file->path == NULL || writable(g->pool, file->path))
            continue;
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "open() \"%s\" failed", file->path);
        ok = false;
    }
    return ok;
}

static void give_to(int fd, const char *path, uid_t owner)
{
    struct stat st;

    if (owner == (uid_t)-1 || geteuid() != 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    if (st.st_uid != owner && fchown(fd, owner, (gid_t)-1) != 0)
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "chown(\"%s\", %d) failed", path,
                     (int)owner);
    if ((st.st_mode & 0600) != 0600 && fchmod(fd, st.st_mode | 0600) != 0)
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "chmod() \"%s\" failed", path);
}

static void reopen(bl_open_file *file, uid_t owner)
{
    int fd = open_log(file->path);

    if (fd < 0) {
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "open() \"%s\" failed", file->path);
        return;
    }
    give_to(fd, file->path, owner);
    if (dup3(fd, file->fd, O_CLOEXEC) < 0)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "dup3() of \"%s\" failed", file->path);
    close(fd);
}

void bl_open_files_reopen(bl_generation *g, uid_t owner)
{
    BL_LIST_EACH (it, &g->open_files) {
        bl_open_file *file = BL_CONTAINER(it, bl_open_file, link);
        if (file->path == NULL || file->fd < 0)
            continue;
        if (file->flush)
            file->flush(file);
        reopen(file, owner);
    }
}

void bl_open_files_close(bl_generation *g)
{
    BL_LIST_EACH (it, &g->open_files) {
        bl_open_file *file = BL_CONTAINER(it, bl_open_file, link);
        if (file->path == NULL || file->fd < 0)
            continue;
        close(file->fd);
        file->fd = -1;
    }
}
