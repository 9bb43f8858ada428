#include "process/pidfile.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(int level, const char *what, const char *path)
{
    bl_log_write((bl_log_level)level, &bl_log_process, errno, "%s \"%s\" failed", what, path);
    return false;
}

/* A device or a pipe: nothing to be replaced or removed. */
static bool is_special(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode);
}

static bool write_to(const char *name, const char *path)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);

    if (fd < 0)
        return fail(BL_LOG_EMERG, "open()", path);
    ssize_t n = write(fd, text, (size_t)len);
    errno = n >= 0 ? ENOSPC : errno;
    bool ok = n == len || fail(BL_LOG_EMERG, "write() to", path);
    close(fd);
    return ok;
}

/* Under another name first, so that whoever sees the file sees the number. In a folder that takes
 * no new files an old one may still be there for us. */
bool bl_pidfile_write(const char *path)
{
    char temporary[4096];

    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return fail(BL_LOG_EMERG, "open()", path);
    }
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? strndupa(path, (size_t)(slash - path) + 1) : ".";
    if (is_special(path) || (access(folder, W_OK) != 0 && access(path, W_OK) == 0))
        return write_to(path, path);
    bool ok = write_to(temporary, path);
    if (ok && rename(temporary, path) != 0)
        ok = fail(BL_LOG_EMERG, "rename() to", path);
    if (!ok)
        unlink(temporary);
    return ok;
}

void bl_pidfile_remove(const char *path)
{
    if (!is_special(path) && unlink(path) != 0)
        fail(BL_LOG_ALERT, "unlink()", path);
}

bool bl_pidfile_move(const char *from, const char *to)
{
    return is_special(from) || rename(from, to) == 0;
}

pid_t bl_pidfile_read(const char *path)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        fail(BL_LOG_ERR, "open()", path);
        return -1;
    }
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    int64_t pid = n > 0 ? bl_str_to_int(bl_str_of(text, (size_t)n)) : -1;
    if (pid > 0 && pid <= INT32_MAX)
        return (pid_t)pid;
    bl_log_write(BL_LOG_ERR, &bl_log_process, 0, "invalid PID number \"%.*s\" in \"%s\"",
                 (int)BL_MAX(n, 0), text, path);
    return -1;
}
