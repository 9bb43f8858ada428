#include "event/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BIND_TRIES = 5,
    BIND_PAUSE_US = 500000,
    ACCEPT_PAUSE_MS = 500, /* when no descriptor is left */
    LAST_ACCEPTS = 1024,   /* from the queue of a socket that is left */
};

bool (*bl_listener_debug)(const struct sockaddr *peer);

static const bl_log *log_of(const bl_listener *l)
{
    return l->log.targets ? &l->log : &bl_log_process;
}

static bool set_int(bl_listener *l, int level, int option, int value, const char *name)
{
    if (setsockopt(l->fd, level, option, &value, sizeof value) == 0)
        return true;
    bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "setsockopt(%s) %.*s failed", name,
                 BL_STR_ARG(l->text));
    return false;
}

/* What has to be set before bind(). */
static bool prepare(bl_listener *l)
{
    bool ok = set_int(l, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");

#ifdef SO_REUSEPORT
    if (ok && l->reuseport)
        ok = set_int(l, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
#endif
    if (ok && l->addr.sa.sa_family == AF_INET6)
        ok = set_int(l, IPPROTO_IPV6, IPV6_V6ONLY, l->ipv6only, "IPV6_V6ONLY");
    return ok;
}

/* What may change from one generation to the next on a socket that stays open. */
static void tune(bl_listener *l)
{
    if (l->rcvbuf > 0)
        set_int(l, SOL_SOCKET, SO_RCVBUF, l->rcvbuf, "SO_RCVBUF");
    if (l->sndbuf > 0)
        set_int(l, SOL_SOCKET, SO_SNDBUF, l->sndbuf, "SO_SNDBUF");
    if (l->keepalive >= 0)
        set_int(l, SOL_SOCKET, SO_KEEPALIVE, l->keepalive, "SO_KEEPALIVE");
    if (l->keepalive == 1 && l->keepidle)
        set_int(l, IPPROTO_TCP, TCP_KEEPIDLE, l->keepidle, "TCP_KEEPIDLE");
    if (l->keepalive == 1 && l->keepintvl)
        set_int(l, IPPROTO_TCP, TCP_KEEPINTVL, l->keepintvl, "TCP_KEEPINTVL");
    if (l->keepalive == 1 && l->keepcnt)
        set_int(l, IPPROTO_TCP, TCP_KEEPCNT, l->keepcnt, "TCP_KEEPCNT");
#ifdef TCP_FASTOPEN
    if (l->fastopen > 0)
        set_int(l, IPPROTO_TCP, TCP_FASTOPEN, l->fastopen, "TCP_FASTOPEN");
#endif
#ifdef TCP_DEFER_ACCEPT
    if (l->type == SOCK_STREAM && l->addr.sa.sa_family != AF_UNIX && (l->deferred || l->inherited))
        set_int(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, l->deferred, "TCP_DEFER_ACCEPT");
#endif
}

static bool listen_on(bl_listener *l)
{
    if (l->type == SOCK_STREAM && listen(l->fd, l->backlog > 0 ? l->backlog : 511) != 0) {
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "listen() to %.*s, backlog %d failed",
                     BL_STR_ARG(l->text), l->backlog);
        return false;
    }
    return true;
}

typedef enum open_result {
    OPENED,
    IN_USE, /* worth another try */
    FAILED,
} open_result;

static open_result bind_once(bl_listener *l)
{
    l->fd = socket(l->addr.sa.sa_family, l->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "socket() %.*s failed",
                     BL_STR_ARG(l->text));
        return FAILED;
    }
    if (prepare(l) && bind(l->fd, &l->addr.sa, l->addr.len) == 0)
        return OPENED;
    int err = errno;
    bl_log_write(BL_LOG_EMERG, &bl_log_process, err, "bind() to %.*s failed", BL_STR_ARG(l->text));
    close(l->fd);
    l->fd = -1;
    return err == EADDRINUSE ? IN_USE : FAILED;
}

static bool open_one(bl_listener *l)
{
    for (int tries = 0; tries < BIND_TRIES; tries++) {
        if (tries > 0)
            usleep(BIND_PAUSE_US); /* the master, at start-up or reload: it serves nobody */
        open_result result = bind_once(l);
        if (result == OPENED) {
            if (l->addr.sa.sa_family == AF_UNIX)
                chmod(l->addr.un.sun_path, 0666);
            tune(l);
            return listen_on(l);
        }
        if (result == FAILED)
            return false;
    }
    bl_log_write(BL_LOG_EMERG, &bl_log_process, 0, "still could not bind()");
    return false;
}

static bool uses(const bl_generation *g, int fd)
{
    BL_LIST_EACH (it, &g->listeners) {
        if (BL_CONTAINER(it, bl_listener, link)->fd == fd)
            return true;
    }
    return false;
}

/* A socket of the generation before that `g` can go on with, and has not taken yet: best the same
 * worker's. It may have been for all workers and become the first of several (reuseport), or the
 * reverse; of sockets that another binary has left it is not known whose they were. */
static bl_listener *find_same(bl_generation *before, const bl_generation *g, const bl_listener *l)
{
    bl_listener *found = NULL;

    BL_LIST_EACH (it, &before->listeners) {
        bl_listener *other = BL_CONTAINER(it, bl_listener, link);
        if (other->fd < 0 || other->type != l->type ||
            !bl_addr_equal(&other->addr.sa, other->addr.len, &l->addr.sa, l->addr.len, true) ||
            uses(g, other->fd))
            continue;
        if (other->worker == l->worker)
            return other;
        if (found == NULL)
            found = other;
    }
    return found;
}

static bool take_over(bl_listener *l, const bl_listener *same)
{
    l->fd = same->fd;
    l->inherited = true;
#ifdef SO_REUSEPORT
    if (l->reuseport && !set_int(l, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"))
        return false;
#endif
    tune(l);
    return listen_on(l);
}

void bl_listeners_undo(bl_generation *g)
{
    BL_LIST_EACH (it, &g->listeners) {
        bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        if (l->fd < 0 || l->inherited)
            continue;
        close(l->fd);
        l->fd = -1;
        if (l->addr.sa.sa_family == AF_UNIX)
            unlink(l->addr.un.sun_path);
    }
}

/* reuseport: a socket for each worker, the first of which stands in the list already. */
static void multiply(bl_generation *g, int workers)
{
    bl_link *last = g->listeners.prev;

    for (bl_link *it = g->listeners.next;; it = it->next) {
        bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        for (int worker = 1; it != &g->listeners && l->worker == 0 && worker < workers; worker++) {
            bl_listener *copy = bl_pool_alloc(g->pool, sizeof *copy);
            *copy = *l;
            copy->fd = -1;
            copy->worker = worker;
            bl_list_push(&g->listeners, &copy->link);
        }
        if (it == last || it == &g->listeners)
            break;
    }
}

bool bl_listeners_open(bl_generation *g, bl_generation *before, int workers)
{
    multiply(g, workers);
    BL_LIST_EACH (it, &g->listeners) {
        bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        bl_listener *same = before ? find_same(before, g, l) : NULL;
        if (!(same ? take_over(l, same) : open_one(l))) {
            bl_listeners_undo(g);
            return false;
        }
    }
    return true;
}

static void close_all(bl_generation *g, bl_generation *keep, bool names)
{
    BL_LIST_EACH (it, &g->listeners) {
        bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        if (l->fd < 0 || (keep && uses(keep, l->fd)))
            continue;
        close(l->fd);
        l->fd = -1;
        if (names && l->addr.sa.sa_family == AF_UNIX)
            unlink(l->addr.un.sun_path);
    }
}

void bl_listeners_close(bl_generation *g, bl_generation *keep)
{
    close_all(g, keep, true);
}

void bl_listeners_release(bl_generation *g, bl_generation *keep)
{
    close_all(g, keep, false);
}

static bool is_abandoned(const bl_listener *l)
{
    int fd = socket(AF_UNIX, l->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, &l->addr.sa, l->addr.len) != 0 && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return refused;
}

void bl_listeners_tidy(const bl_generation *g)
{
    BL_LIST_EACH (it, &g->listeners) {
        const bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        if (l->addr.sa.sa_family == AF_UNIX && is_abandoned(l))
            unlink(l->addr.un.sun_path);
    }
}

static bool watch(bl_listener *l);

static void go_on(bl_timer *timer)
{
    watch(BL_CONTAINER(timer, bl_listener, pause));
}

/* The connection stays in its queue until an idle one has made room, or time has. Said once a
 * second. */
static void out_of_descriptors(bl_listener *l)
{
    static time_t said;

    if (said != bl_clock_now.sec)
        bl_log_write(BL_LOG_CRIT, log_of(l), errno, "accept4() failed");
    said = bl_clock_now.sec;
    if (bl_conn_make_room())
        return;
    bl_io_remove(&l->io);
    l->pause.fire = go_on;
    l->pause.weak = true;
    bl_timer_set(&l->pause, ACCEPT_PAUSE_MS);
}

static void accept_failed(bl_listener *l)
{
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        out_of_descriptors(l);
    else if (errno != EAGAIN && errno != EINTR)
        bl_log_write(errno == ECONNABORTED ? BL_LOG_ERR : BL_LOG_ALERT, log_of(l), errno,
                     "accept4() failed");
}

static bool accept_one(bl_listener *l)
{
    bl_addr peer;

    peer.len = sizeof peer - offsetof(bl_addr, sa);
    int fd = accept4(l->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        accept_failed(l);
        return false;
    }
    bl_conn *c = bl_conn_new(fd);
    if (c == NULL)
        return false;
    c->listener = l;
    if (peer.sa.sa_family == AF_UNIX)
        c->peer.sa.sa_family = AF_UNIX;
    else
        memcpy(&c->peer, &peer.sa, BL_MIN((size_t)peer.len, sizeof c->peer));
    c->log.targets = log_of(l)->targets;
    c->log.debug = bl_listener_debug && bl_listener_debug(&peer.sa);
    l->accepted(c);
    return true;
}

static void on_connection(bl_io *io)
{
    accept_one(BL_CONTAINER(io, bl_listener, io));
}

static bool watch(bl_listener *l)
{
    l->io = (bl_io){.level = true, .on_read = on_connection};
    if (bl_io_add(&l->io, l->fd))
        return true;
    bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "%.*s could not be watched",
                 BL_STR_ARG(l->text));
    return false;
}

bool bl_listeners_start(bl_generation *g, int worker)
{
    BL_LIST_EACH (it, &g->listeners) {
        bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        bool others = l->worker >= 0 && l->worker != worker;
        if (others && l->fd >= 0)
            close(l->fd);
        if (others)
            l->fd = -1;
        else if (l->fd >= 0 && !watch(l))
            return false;
    }
    return true;
}

void bl_listeners_stop(bl_generation *g)
{
    BL_LIST_EACH (it, &g->listeners) {
        bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        bool served = l->io.added;
        bl_timer_stop(&l->pause);
        bl_io_remove(&l->io);
        for (int i = 0; served && l->worker >= 0 && i < LAST_ACCEPTS; i++) {
            if (!accept_one(l))
                break;
        }
        bl_timer_stop(&l->pause);
    }
}
