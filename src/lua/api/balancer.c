#include "lua/api/balancer.h"
#include "lua/balancer.h"

/* The upstream's settings, as a copy that may be changed. */
static bl_upstream_settings *own_settings(bl_lua_balance *b)
{
    bl_upstream *u = b->u;

    if (b->conf == NULL) {
        b->conf = BL_NEW(u->r->pool, bl_upstream_settings);
        *b->conf = *u->conf;
        u->conf = b->conf;
    }
    return b->conf;
}

/* Brackets around an IPv6 address may be missing where the port stands apart. */
static const char *parse_host(bl_str host, int port, bl_addr *to)
{
    bl_hostport hp;

    if (bl_addr_parse_ip(host, to)) {
        bl_addr_set_port(&to->sa, port ? port : 80);
        return NULL;
    }
    const char *error = bl_hostport_parse(host, port ? port : 80, &hp);
    if (error)
        return error;
    if (!hp.is_ip && !hp.is_unix)
        return "no IP address: names have to be resolved before";
    if (hp.wildcard)
        return "no host";
    *to = hp.addr;
    return NULL;
}

const char *bl_lua_ffi_balancer_peer(const char *host, size_t len, int port, const char *name,
                                     size_t name_len)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);
    bl_addr addr = {0};

    if (b == NULL)
        return error;
    if (len == 0)
        return "no host";
    if (port < 0 || port > 65535)
        return "invalid port";
    bl_str text = bl_pool_str(b->u->r->pool, bl_str_of((char *)host, len));
    error = parse_host(text, port, &addr);
    if (error)
        return error;
    b->peer = &bl_peers_of_addrs(b->u->r->pool, &addr, 1, text)->all[0];
    b->u->tls_name = BL_STR_NONE;
    if (name)
        b->u->tls_name = bl_pool_str(b->u->r->pool, bl_str_of((char *)name, name_len));
    return NULL;
}

const char *bl_lua_ffi_balancer_tries(int count, bool *reduced)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);

    if (b == NULL)
        return error;
    int64_t limit = b->u->conf->next_upstream_tries;
    int64_t left = BL_MAX(limit - b->attempts, 0);
    *reduced = limit > 0 && count > left;
    b->u->tries = (*reduced ? (int)left : count) + 1;
    return NULL;
}

const char *bl_lua_ffi_balancer_failure(const char **state, int *status)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);

    if (b == NULL)
        return error;
    *state = b->failure;
    *status = b->failure_status;
    return NULL;
}

const char *bl_lua_ffi_balancer_timeouts(int64_t connect, int64_t send, int64_t read)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);

    if (b == NULL)
        return error;
    bl_upstream_settings *conf = own_settings(b);
    if (connect)
        conf->connect_timeout = connect;
    if (send)
        conf->send_timeout = send;
    if (read)
        conf->read_timeout = read;
    return NULL;
}

const char *bl_lua_ffi_balancer_rebuild(void)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);

    if (b == NULL)
        return error;
    return bl_upstream_rebuild(b->u) == BL_NEXT ? NULL : "failed to recreate the request";
}

const char *bl_lua_ffi_balancer_keep(int64_t timeout, int64_t requests)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);

    if (b == NULL)
        return error;
    if (b->peer == NULL)
        return "no current peer set";
    b->u->keep = (bl_uplink_keep_setting){b->u->group->keepalive > 0, timeout, requests};
    return NULL;
}

const char *bl_lua_ffi_balancer_bind(const char *addr, size_t len)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);
    bl_hostport hp;

    if (b == NULL)
        return error;
    bl_pool *pool = b->u->r->pool;
    bl_str text = bl_pool_str(pool, bl_str_of((char *)addr, len));
    if (bl_hostport_parse(text, 0, &hp) != NULL || !hp.is_ip)
        return "invalid addr";
    bl_upstream_bind *bind = BL_NEW(pool, bl_upstream_bind);
    bind->value = BL_NEW(pool, bl_value);
    *bind->value = bl_value_text(text);
    own_settings(b)->bind = bind;
    return NULL;
}

const char *bl_lua_ffi_balancer_tls(bool on)
{
    const char *error = NULL;
    bl_lua_balance *b = bl_lua_balance_here(&error);

    if (b == NULL)
        return error;
    if (on && b->u->conf->tls == NULL)
        return "no TLS configured for the upstream";
    b->u->tls = on;
    return NULL;
}
