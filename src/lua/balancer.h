/* balancer_by_lua: Lua code chooses the peer of each try of a proxied request.
 *
 *   choose ──> a run of the code ──> returned ─┬─> the peer that ngx.balancer was told
 *                 │  ^                         └─> none: round robin among the group's servers
 *                 v  │                ngx.exit, error ─> a status
 *           waits: a timer, a socket
 *
 * The code may wait as any handler may: the request waits with it. What the code says through
 * ngx.balancer (api/balancer.c) is kept in a bl_lua_balance, which lives as long as the upstream;
 * peers that it names are the request's own. Connections are kept where the group has `keepalive`,
 * or the code asks for it, try by try; both use the group's one pool. */
#ifndef BL_LUA_BALANCER_H
#define BL_LUA_BALANCER_H

#include "http/upstream/upstream.h"
#include "lua/task.h"

extern bl_module bl_lua_balancer_module;

typedef struct bl_lua_balance {
    bl_upstream *u;
    bl_run *run;                        /* that the request waits for */
    void (*client_gone)(bl_request *r); /* the upstream's, put aside while it waits */
    bl_peer *peer;                      /* set for this try; NULL: none */
    bl_upstream_settings *conf;         /* the upstream's own, once something was changed */
    int attempts;                       /* this one included */
    const char *failure;                /* of the try before: "failed", "next"; NULL: none */
    int failure_status;
} bl_lua_balance;

/* The current request's, while its balancer runs; else NULL and *error. */
bl_lua_balance *bl_lua_balance_here(const char **error);

#endif
