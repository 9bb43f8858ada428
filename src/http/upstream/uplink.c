#include "http/upstream/uplink.h"
#include "http/upstream/upstream.h"
#include "http/upstream/upstream_tls.h"

enum {
    TLS_NAME_MAX = 256, /* longer names are not kept */
};

static void forget(bl_uplink *link)
{
    if (link->group == NULL)
        return;
    bl_list_remove(&link->in_pool);
    link->group->idle_count--;
    link->group = NULL;
}

void bl_uplink_close(bl_uplink *link)
{
    forget(link);
    bl_conn_close(link->conn);
    if (link->tls_name.p)
        bl_free(link->tls_name.p);
    bl_free(link);
}

bl_uplink *bl_uplink_open(bl_upstream *u, const bl_addr *bind, bool transparent)
{
    const bl_addr *addr = &u->choice.peer->addr;
    bl_conn *c = bl_conn_connect(addr, bind, transparent, u->r->log);

    if (c == NULL)
        return NULL;
    bl_uplink *link = bl_zalloc(sizeof *link);
    link->magic = BL_UPLINK_MAGIC;
    link->conn = c;
    link->u = u;
    link->addr = *addr;
    if (bind)
        link->local = *bind;
    c->data = link;
    return link;
}

/* ------------------------------------------------------------- idle ones */

static void close_of(bl_conn *c)
{
    bl_uplink *link = bl_uplink_of(c);

    bl_debug(&c->log, "%s: keepalive closing connection %llX", link->group->balancer->name,
             (unsigned long long)(uintptr_t)c);
    bl_uplink_close(link);
}

/* An idle connection says something: it is being closed, or what it says was not asked for. */
static void on_idle_read(bl_io *io)
{
    close_of(bl_conn_of(io));
}

static void on_idle_write(bl_io *io BL_UNUSED)
{
}

static void on_idle_timeout(bl_timer *timer)
{
    close_of(BL_CONTAINER(timer, bl_conn, timer));
}

static bool same_addr(const bl_addr *a, const bl_addr *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(&a->sa, &b->sa, a->len) == 0);
}

static bool has_tls_of(const bl_uplink *link, bl_upstream *u)
{
    const bl_location *loc = u->r->loc;

    if (!u->tls)
        return link->tls == NULL;
    return link->tls == u->conf->tls && link->hooked == (loc->upstream_tls ? loc : NULL) &&
           bl_str_eq(link->tls_name, bl_upstream_tls_identity(u));
}

static void tell(bl_upstream *u, const char *what, const bl_conn *c)
{
    bl_str name = u->tls ? bl_upstream_tls_name(u) : BL_STR("");
    const char *balancer = u->group->balancer->name;

    if (c)
        bl_debug(u->r->log, "%s: keepalive %s connection %llX, host: %.*s, name: %.*s", balancer,
                 what, (unsigned long long)(uintptr_t)c, BL_STR_ARG(u->choice.peer->name),
                 BL_STR_ARG(name));
    else
        bl_debug(u->r->log, "%s: keepalive %s connection, host: %.*s, name: %.*s", balancer, what,
                 BL_STR_ARG(u->choice.peer->name), BL_STR_ARG(name));
}

#define TELL(u, what, c)                                                                           \
    do {                                                                                           \
        if (bl_log_on((u)->r->log, BL_LOG_DEBUG))                                                  \
            tell(u, what, c);                                                                      \
    } while (0)

bl_uplink *bl_uplink_take(bl_upstream *u)
{
    bl_upstream_group *group = u->group;
    const bl_addr *addr = &u->choice.peer->addr;

    BL_LIST_EACH (it, &group->idle) {
        bl_uplink *link = BL_CONTAINER(it, bl_uplink, in_pool);
        if (!same_addr(&link->addr, addr) || !same_addr(&link->local, &u->local))
            continue;
        if (!has_tls_of(link, u) || (group->keepalive_local && link->owner != u->owner))
            continue;
        forget(link);
        bl_conn_set_idle(link->conn, false);
        link->u = u;
        link->reused = true;
        link->conn->log = *u->r->log;
        link->received_before = link->conn->received;
        link->sent_before = link->conn->sent;
        TELL(u, "reusing", link->conn);
        return link;
    }
    TELL(u, "no free", NULL);
    return NULL;
}

static bool name_tls(bl_upstream *u, bl_uplink *link)
{
    if (link->tls || !u->tls)
        return true;
    bl_str name = bl_upstream_tls_identity(u);
    if (name.len > TLS_NAME_MAX)
        return false;
    link->tls = u->conf->tls;
    link->tls_name = bl_str_of(bl_alloc(name.len + 1), name.len);
    if (name.len)
        memcpy(link->tls_name.p, name.p, name.len);
    return true;
}

static void stop_logging(bl_conn *c)
{
    c->log.describe = NULL;
    c->log.action = NULL;
    c->log.targets = bl_log_process.targets;
}

/* Nothing has come behind the response. What was read may have filled its buffer to the last byte:
 * then nobody has seen yet whether more waits, and no event will tell. It would be taken for the
 * response to the next request. */
static bool is_silent(bl_conn *c)
{
    char byte;

    return !c->io.readable || bl_conn_read(c, &byte, 1) == BL_IO_AGAIN;
}

void bl_uplink_keep(bl_upstream *u, bl_uplink *link)
{
    bl_upstream_group *group = u->group;
    bl_conn *c = link->conn;

    link->requests++;
    if ((u->keep.requests && link->requests >= u->keep.requests) || c->eof || c->io.hup ||
        link->personal || bl_now_ms() - c->start_ms > (uint64_t)group->keepalive_time ||
        !name_tls(u, link) || !is_silent(c)) {
        TELL(u, "not saving", c);
        bl_uplink_close(link);
        return;
    }
    if (group->idle_count >= group->keepalive)
        close_of(BL_CONTAINER(group->idle.prev, bl_uplink, in_pool)->conn);
    TELL(u, "saving", c);
    link->u = NULL;
    link->owner = u->owner;
    link->group = group;
    bl_list_unshift(&group->idle, &link->in_pool);
    group->idle_count++;
    stop_logging(c);
    c->io.on_read = on_idle_read;
    c->io.on_write = on_idle_write;
    c->on_idle_close = close_of;
    c->timer.fire = on_idle_timeout;
    if (u->keep.timeout)
        bl_timer_set(&c->timer, (uint64_t)u->keep.timeout);
    else
        bl_timer_stop(&c->timer);
    bl_conn_set_idle(c, true);
}

void bl_uplink_close_idle(bl_upstream_group *group)
{
    while (group->idle.next && !bl_list_empty(&group->idle))
        bl_uplink_close(BL_CONTAINER(group->idle.next, bl_uplink, in_pool));
}
