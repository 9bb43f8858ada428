#include "os/syslog.h"
#include "core/time.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *hostname(void)
{
    static char name[256];

    if (name[0] == '\0') {
        if (gethostname(name, sizeof name - 1) != 0)
            memcpy(name, "-", 2);
        bl_str_lower(name, bl_str_c(name));
    }
    return name;
}

static void disconnect(bl_syslog *to)
{
    if (to->fd >= 0)
        close(to->fd);
    to->fd = -1;
}

/* A descriptor that the master opened is not shared with its workers. */
static int ready(bl_syslog *to)
{
    if (to->fd >= 0 && to->fd_of == getpid())
        return 0;
    disconnect(to);
    to->fd = socket(to->addr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (to->fd < 0)
        return errno;
    to->fd_of = getpid();
    if (connect(to->fd, (const struct sockaddr *)&to->addr, to->addr_len) == 0)
        return 0;
    int err = errno;
    disconnect(to);
    return err;
}

static int send_parts(bl_syslog *to, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    int err = ready(to);

    if (err)
        return err;
    if (sendmsg(to->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    err = errno;
    if (err != EAGAIN)
        disconnect(to);
    return err;
}

int bl_syslog_send(bl_syslog *to, int severity, bl_str text)
{
    char head[400];
    bl_str now = bl_clock_syslog();

    int len =
        snprintf(head, sizeof head, "<%d>%.*s %s%s%s: ", to->facility * 8 + severity,
                 BL_STR_ARG(now), to->hostname ? hostname() : "", to->hostname ? " " : "", to->tag);
    struct iovec parts[] = {{head, (size_t)len}, {text.p, text.len}};
    int err = send_parts(to, parts, BL_COUNTOF(parts));
    if (err == ECONNREFUSED || err == ENOTCONN || err == ECONNRESET)
        err = send_parts(to, parts, BL_COUNTOF(parts));
    return err;
}
