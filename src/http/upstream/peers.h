/* Groups of servers, and choosing among them.
 *
 * A group is what `upstream NAME { }` describes, or what a proxy_pass to an address or name
 * implies. Its servers are peers: one for each address. What changes about a peer while it serves
 * (failures, connections, the balancing's weights) stands apart in bl_peer_state, so that it can be
 * put into shared memory (`zone`).
 *
 * A balancer is a table of functions; which one a group has is said by its block (least_conn, hash,
 * balancer_by_lua …), round robin without a word. Choosing may wait (BL_WAIT): bl_upstream_chosen
 * goes on. */
#ifndef BL_HTTP_UPSTREAM_PEERS_H
#define BL_HTTP_UPSTREAM_PEERS_H

#include "core/rlock.h"
#include "event/resolver.h"
#include "http/http.h"

struct bl_upstream;
typedef struct bl_upstream_group bl_upstream_group;

typedef struct bl_peer_state {
    int64_t current_weight, effective_weight;
    int64_t conns, fails;
    uint64_t failed_at, checked_at, used_at; /* mono ms; 0: never */
    bool down;
} bl_peer_state;

typedef struct bl_peer {
    bl_addr addr;
    bl_str name;   /* "127.0.0.1:8080" */
    bl_str server; /* as configured */
    int64_t weight, max_fails, max_conns;
    uint64_t fail_timeout; /* ms */
    bool backup;
    bl_peer_state *state;
} bl_peer;

typedef struct bl_peers {
    bl_peer *all; /* primaries first */
    int count, primaries;
    int usable, usable_backups; /* not down: how many tries make sense */
    bl_rlock *lock;             /* NULL: of this process alone */
    bl_pool *pool; /* of those that come and go (resolve); NULL: the generation's or a request's */
    int refs;
} bl_peers;

/* What a request remembers of its choice. */
typedef struct bl_peer_choice {
    bl_peers *peers;
    bl_peer *peer; /* chosen, NULL: none */
    uint64_t tried_few;
    uint64_t *tried; /* bits by index */
    void *data;      /* the balancer's */
} bl_peer_choice;

enum {
    BL_PEER_FAILED = 1, /* counts against it */
    BL_PEER_AGAIN = 2,  /* a kept connection was stale: it may be asked again */
};

typedef struct bl_balancer {
    const char *name;
    /* When the group is complete. May be NULL. */
    bool (*compile)(bl_conf *cf, bl_upstream_group *group);
    /* Begins for a request: u->choice, u->tries. BL_NEXT or a status. */
    bl_step (*begin)(struct bl_upstream *u);
    /* BL_NEXT: u->choice.peer is set; BL_WAIT; else the status: nobody is left. */
    bl_step (*choose)(struct bl_upstream *u);
    /* The peer has served or failed (BL_PEER_… bits). */
    void (*done)(struct bl_upstream *u, unsigned result);
} bl_balancer;

/* A `server` line. */
typedef struct bl_upstream_server {
    bl_str name;
    const bl_conf_node *node;
    bl_array addrs;             /* bl_addr */
    const bl_resolve_srv *srvs; /* one for each address, or NULL */
    int64_t weight, max_fails, max_conns;
    uint64_t fail_timeout;
    bool down, backup;
    bool resolve; /* addresses are looked up while we serve */
    bl_str host, service;
    int port;
} bl_upstream_server;

struct bl_upstream_group {
    bl_str host; /* name of the block, or host of the URL; in lower case */
    int port;    /* 0: none was given */
    int default_port;
    bool explicit;
    const bl_conf_node *node; /* the block, or what mentioned it first */
    bl_array servers;         /* bl_upstream_server */
    bl_settings settings;     /* BL_SERVER level: of modules with directives in the block */
    const bl_balancer *balancer;
    void *balancer_data;
    bool no_backups; /* the balancer knows none */
    bl_peers *peers;
    bl_zone *zone;
    bl_upstream_group *next_in_zone, *next_of_key;
    bl_resolver *resolver; /* of the block; NULL: http{}'s */
    int64_t resolver_timeout;
    struct bl_resolving *resolving; /* NULL: all addresses are known */
    /* keepalive: uplink.h */
    int64_t keepalive, keepalive_requests, keepalive_time, keepalive_timeout;
    bool keepalive_local, keepalive_set;
    bl_link idle; /* bl_uplink.in_pool, newest first */
    int64_t idle_count;
};

extern bl_module bl_upstream_block_module, bl_balance_module;
extern const bl_balancer bl_balancer_rr;

/* While the configuration is read. The group that a URL's host and port mean: one that exists, or a
 * new implicit one, whose addresses are looked up when everything is read. */
bl_upstream_group *bl_upstream_group_for(bl_conf *cf, const bl_conf_node *node, bl_str host,
                                         int port, int default_port);
/* At run time, for URLs with variables: NULL when there is none of that name. */
bl_upstream_group *bl_upstream_group_find(bl_http *http, bl_str host, int port, int default_port);
/* All groups, in the order in which they were mentioned: bl_upstream_group *. */
const bl_array *bl_upstream_groups(const bl_http *http);
/* The group whose block is being read. */
bl_upstream_group *bl_upstream_group_of(bl_conf *cf);

/* Peers of a request's own: addresses found at run time. */
bl_peers *bl_peers_of_addrs(bl_pool *pool, const bl_addr *addrs, int count, bl_str server);

/* A group's: one for each address of its servers, primaries first. Their states are their own. */
bl_peers *bl_peers_of_servers(bl_pool *pool, const bl_array *servers);
/* A reference for as long as the request lives, for peers that come and go; and giving one up. */
void bl_peers_hold(struct bl_upstream *u, bl_peers *peers);
void bl_peers_drop(bl_peers *peers);

/* Takes peer `index` out of the choice, or back into it, for this process, and with a zone for all;
 * the others then count what is usable when they say the same. */
void bl_peers_set_down(bl_peers *peers, int index, bool down);

/* peers_shared.c: the zones of groups. The states of a group's peers move into its zone; those that
 * find no room stay the process's own. `for_ever`: they are never pushed out by others. False: not
 * all found room. */
bool bl_peers_share(bl_upstream_group *group, bl_peers *peers, bool for_ever);
/* The zone's init. */
bool bl_peers_zone_init(bl_zone *zone, void *before);

/* For balancers: may this one be asked now? */
bool bl_peer_is_usable(const bl_peer *peer, uint64_t now);
bool bl_peer_was_tried(const bl_peer_choice *choice, int index);
void bl_peer_take(struct bl_upstream *u, int index);
/* Round robin's functions, which most balancers begin and end with, and fall back on. */
bl_step bl_peers_begin(struct bl_upstream *u);
bl_step bl_peers_choose(struct bl_upstream *u);
void bl_peers_done(struct bl_upstream *u, unsigned result);

static inline void bl_peers_lock(bl_peers *peers)
{
    if (BL_UNLIKELY(peers->lock != NULL) && bl_rlock_take(peers->lock) == BL_RLOCK_ORPHANED)
        bl_rlock_heal(peers->lock); /* counters only: any state is a good one */
}

static inline void bl_peers_unlock(bl_peers *peers)
{
    if (BL_UNLIKELY(peers->lock != NULL))
        bl_rlock_drop(peers->lock);
}

#endif
