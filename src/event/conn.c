#include "event/conn.h"
#include "core/mem.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    SLAB = 64
};

bool bl_quitting;

typedef struct slab {
    struct slab *next;
    bl_conn conns[SLAB];
} slab;

static struct {
    slab *slabs;
    bl_conn *free; /* linked through data */
    bl_link idle;  /* oldest first */
    unsigned used, weak, limit;
    uint64_t last_number;
} conns = {.limit = 512};

static void grow(void)
{
    slab *more = bl_zalloc(sizeof *more);

    more->next = conns.slabs;
    conns.slabs = more;
    for (int i = 0; i < SLAB; i++) {
        more->conns[i].data = conns.free;
        conns.free = &more->conns[i];
    }
    if (conns.idle.next == NULL)
        bl_list_init(&conns.idle);
}

void bl_conn_limit(unsigned connections)
{
    conns.limit = connections;
}

unsigned bl_conn_used(void)
{
    return conns.used;
}

unsigned bl_conn_holding(void)
{
    return conns.used - conns.weak;
}

void bl_conn_set_weak(bl_conn *c, bool weak)
{
    if (c->weak == weak)
        return;
    c->weak = weak;
    conns.weak += weak ? 1 : -1u;
}

/* The oldest idle one that may be closed at will, or NULL. */
static bl_conn *oldest_idle(void)
{
    BL_LIST_EACH (it, &conns.idle) {
        bl_conn *c = BL_CONTAINER(it, bl_conn, link);
        if (c->keep_until <= bl_now_ms())
            return c;
    }
    return NULL;
}

bool bl_conn_make_room(void)
{
    bl_conn *c = conns.idle.next ? oldest_idle() : NULL;

    if (c)
        c->on_idle_close(c);
    return c != NULL;
}

/* Once a second: whoever opens connections should not fill the log with it. */
static void say_full(bl_log_level level, const char *what)
{
    static time_t said[BL_LOG_DEBUG + 1];

    if (said[level] == bl_clock_now.sec)
        return;
    said[level] = bl_clock_now.sec;
    bl_log_write(level, &bl_log_process, 0, "%u worker_connections are not enough%s", conns.limit,
                 what);
}

/* NULL when the limit is reached and no idle connection can make room. */
static bl_conn *take(void)
{
    if (conns.free == NULL)
        grow();
    if (conns.used >= conns.limit && bl_conn_make_room())
        say_full(BL_LOG_WARN, ", closing an idle keepalive connection");
    if (conns.used >= conns.limit) {
        say_full(BL_LOG_ALERT, "");
        return NULL;
    }
    bl_conn *c = conns.free;
    conns.free = c->data;
    conns.used++;
    return c;
}

bl_conn *bl_conn_new(int fd)
{
    bl_conn *c = take();

    if (c == NULL) {
        close(fd);
        errno = ENFILE;
        return NULL;
    }
    memset(c, 0, sizeof *c);
    c->magic = BL_CONN_MAGIC;
    c->transport = &bl_transport_plain;
    c->number = ++conns.last_number;
    c->start_ms = bl_now_ms();
    c->log.targets = bl_log_process.targets;
    c->log.connection = c->number;
    if (!bl_io_add(&c->io, fd)) {
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "a descriptor could not be watched");
        c->io.slot = -1;
        bl_conn_close(c);
        return NULL;
    }
    return c;
}

void bl_conn_close(bl_conn *c)
{
    BL_CHECK(c, BL_CONN_MAGIC);
    bl_debug(&c->log, "close connection: %d", c->io.fd);
    bl_timer_stop(&c->timer);
    bl_work_cancel(&c->work);
    bl_conn_set_idle(c, false);
    bl_conn_set_weak(c, false);
    if (c->transport->shutdown)
        c->transport->shutdown(c);
    if (c->transport->close)
        c->transport->close(c);
    bl_io_forget(&c->io);
    if (c->pool)
        bl_pool_free(c->pool);
    bl_free(c->local);
    if (close(c->io.fd) != 0)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "close() of socket %d failed", c->io.fd);
    c->magic = 0;
    c->data = conns.free;
    conns.free = c;
    conns.used--;
}

void bl_conn_shutdown_all(void)
{
    for (slab *each = conns.slabs; each; each = each->next) {
        for (int i = 0; i < SLAB; i++) {
            if (each->conns[i].magic == BL_CONN_MAGIC)
                shutdown(each->conns[i].io.fd, SHUT_RDWR);
        }
    }
}

bl_pool *bl_conn_pool(bl_conn *c)
{
    if (c->pool == NULL)
        c->pool = bl_pool_new();
    return c->pool;
}

const struct sockaddr *bl_conn_local(bl_conn *c)
{
    if (c->local == NULL) {
        bl_addr a = {.len = sizeof a - offsetof(bl_addr, sa)};
        if (getsockname(c->io.fd, &a.sa, &a.len) != 0)
            memset(&a, 0, sizeof a);
        c->local = bl_zalloc(sizeof(struct sockaddr_un));
        memcpy(c->local, &a.sa, BL_MIN((size_t)a.len, sizeof(struct sockaddr_un)));
    }
    return c->local;
}

void bl_conn_set_idle(bl_conn *c, bool idle)
{
    if (c->idle == idle)
        return;
    c->idle = idle;
    if (idle)
        bl_list_push(&conns.idle, &c->link);
    else
        bl_list_remove(&c->link);
}

void bl_conn_close_idle(void)
{
    if (conns.idle.next == NULL)
        return;
    BL_LIST_EACH_SAFE (it, &conns.idle) {
        bl_conn *c = BL_CONTAINER(it, bl_conn, link);
        if (c->requests && c->keep_until <= bl_now_ms())
            c->on_idle_close(c);
        else if (c->requests)
            bl_timer_set(&c->timer, c->keep_until - bl_now_ms());
    }
}

void bl_conn_shutdown_write(bl_conn *c)
{
    if (shutdown(c->io.fd, SHUT_WR) != 0 && errno != ENOTCONN && errno != ECONNRESET)
        bl_log_write(BL_LOG_ALERT, &c->log, errno, "shutdown() failed");
}

void bl_conn_reset(bl_conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void set_tcp_option(bl_conn *c, int option, int value, const char *name)
{
    if (setsockopt(c->io.fd, IPPROTO_TCP, option, &value, sizeof value) != 0 &&
        errno != ECONNRESET && errno != EINVAL && errno != EOPNOTSUPP)
        bl_log_write(BL_LOG_ALERT, &c->log, errno, "setsockopt(%s) failed", name);
}

void bl_conn_nodelay(bl_conn *c)
{
    if (c->tcp_nodelay_on || c->peer.sa.sa_family == AF_UNIX)
        return;
    set_tcp_option(c, TCP_NODELAY, 1, "TCP_NODELAY");
    c->tcp_nodelay_on = true;
}

static bool bind_local(int fd, const bl_addr *local, bool transparent)
{
    int on = 1;

#ifdef IP_TRANSPARENT
    if (transparent && setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on) != 0)
        return false;
#endif
#ifdef IP_BIND_ADDRESS_NO_PORT
    if (bl_addr_port(&local->sa) == 0)
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
#endif
    return bind(fd, &local->sa, local->len) == 0;
}

bl_conn *bl_conn_connect(const bl_addr *addr, const bl_addr *local, bool transparent, bl_log *log)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        bl_log_write(BL_LOG_ALERT, log, errno, "socket() failed");
        return NULL;
    }
    if (local && !bind_local(fd, local, transparent)) {
        int err = errno;
        char text[BL_ADDR_TEXT];
        size_t len = bl_addr_text(&local->sa, local->len, text);
        bl_log_write(BL_LOG_CRIT, log, err, "bind(%.*s) failed", (int)len, text);
        close(fd);
        errno = err;
        return NULL;
    }
    bl_conn *c = bl_conn_new(fd);
    if (c == NULL)
        return NULL;
    memcpy(&c->peer, &addr->sa, BL_MIN((size_t)addr->len, sizeof c->peer));
    c->log = *log;
    if (connect(fd, &addr->sa, addr->len) == 0 || errno == EINPROGRESS)
        return c;
    int err = errno;
    bl_conn_close(c);
    errno = err;
    return NULL;
}

int bl_conn_connect_error(bl_conn *c)
{
    int err = 0;
    socklen_t len = sizeof err;

    if (getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return errno;
    return err;
}
