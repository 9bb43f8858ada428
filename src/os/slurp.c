#include "os/slurp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FIRST_READ = 16 * 1024,
};

/* A growing buffer, since a device has no size and a file may be growing. One byte more than
 * `room` is asked for, so that the end of a file of known size is met without growing. */
static int read_all(bl_pool *pool, int fd, size_t room, size_t max, bl_str *text)
{
    char *bytes = bl_pool_bytes(pool, room + 1);
    size_t len = 0;

    for (;;) {
        ssize_t n = read(fd, bytes + len, room + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        len += (size_t)n;
        if (len > max)
            return EFBIG;
        if (n == 0)
            break;
        if (len > room) {
            room *= 2;
            bytes = memcpy(bl_pool_bytes(pool, room + 1), bytes, len);
        }
    }
    bytes[len] = '\0';
    *text = bl_str_of(bytes, len);
    return 0;
}

static int read_open(bl_pool *pool, int fd, size_t max, bl_str *text)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
        return EISDIR;
    if (st.st_size > 0 && (uintmax_t)st.st_size > max)
        return EFBIG;
    return read_all(pool, fd, st.st_size > 0 ? (size_t)st.st_size : FIRST_READ, max, text);
}

int bl_slurp(bl_pool *pool, const char *path, size_t max, bl_str *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return errno;
    int err = read_open(pool, fd, max, text);
    close(fd);
    return err;
}
