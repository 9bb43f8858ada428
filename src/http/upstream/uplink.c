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
    link->conn = c;
    link->u = u;
    link->addr = *addr;
    c->data = link;
    return link;
}

/* ------------------------------------------------------------- idle ones */

static void close_of(bl_conn *c)
{
    bl_uplink_close(c->data);
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

static bool has_tls_of(const bl_uplink *link, bl_upstream *u)
{
    if (!u->tls)
        return link->tls == NULL;
    return link->tls == u->conf->tls && bl_str_eq(link->tls_name, bl_upstream_tls_name(u));
}

bl_uplink *bl_uplink_take(bl_upstream *u)
{
    bl_upstream_group *group = u->group;
    const bl_addr *addr = &u->choice.peer->addr;

    BL_LIST_EACH (it, &group->idle) {
        bl_uplink *link = BL_CONTAINER(it, bl_uplink, in_pool);
        if (link->addr.len != addr->len || memcmp(&link->addr.sa, &addr->sa, addr->len) != 0)
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
        return link;
    }
    return NULL;
}

static bool name_tls(bl_upstream *u, bl_uplink *link)
{
    if (link->tls || !u->tls)
        return true;
    bl_str name = bl_upstream_tls_name(u);
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

void bl_uplink_keep(bl_upstream *u, bl_uplink *link)
{
    bl_upstream_group *group = u->group;
    bl_conn *c = link->conn;

    link->requests++;
    if (link->requests >= (uint32_t)group->keepalive_requests || c->eof || c->io.hup ||
        bl_now_ms() - c->start_ms > (uint64_t)group->keepalive_time || !name_tls(u, link)) {
        bl_uplink_close(link);
        return;
    }
    if (group->idle_count >= group->keepalive)
        bl_uplink_close(BL_CONTAINER(group->idle.prev, bl_uplink, in_pool));
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
    bl_timer_set(&c->timer, (uint64_t)group->keepalive_timeout);
    bl_conn_set_idle(c, true);
}

void bl_uplink_close_idle(bl_upstream_group *group)
{
    while (group->idle.next && !bl_list_empty(&group->idle))
        bl_uplink_close(BL_CONTAINER(group->idle.next, bl_uplink, in_pool));
}
