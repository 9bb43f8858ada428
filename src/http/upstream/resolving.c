#include "http/upstream/resolving.h"
#include "http/core_module.h"

#include <stdlib.h>

enum {
    AGAIN_MS = 1000, /* at the earliest, also behind an error */
};

typedef struct watched {
    bl_resolving *resolving;
    bl_upstream_server *server;
    bl_resolve ask;
    bl_timer timer;
    bool answered;
} watched;

struct bl_resolving {
    bl_upstream_group *group;
    bl_array watched;
    uint32_t unanswered; /* names that have not been answered yet */
    bl_link waiting;     /* bl_upstream.awaiting */
    bool stopped;
};

/* ------------------------------------------------------------- requests that wait */

bool bl_resolving_ready(bl_upstream *u, void (*go)(bl_upstream *u))
{
    bl_resolving *resolving = u->group->resolving;

    if (resolving == NULL || resolving->unanswered == 0)
        return true;
    u->go = go;
    bl_list_push(&resolving->waiting, &u->awaiting);
    return false;
}

void bl_resolving_forget(bl_upstream *u)
{
    if (bl_list_linked(&u->awaiting))
        bl_list_remove(&u->awaiting);
}

static void wake_waiting(bl_resolving *resolving)
{
    while (!bl_list_empty(&resolving->waiting)) {
        bl_upstream *u = BL_LIST_FIRST(&resolving->waiting, bl_upstream, awaiting);
        bl_list_remove(&u->awaiting);
        u->go(u);
    }
}

/* ------------------------------------------------------------- answers */

static void free_addresses(bl_upstream_server *server)
{
    bl_free(server->addrs.items);
    bl_free((void *)server->srvs);
    server->addrs.items = NULL;
    server->addrs.count = 0;
    server->srvs = NULL;
}

static bool is_same(const bl_upstream_server *server, const bl_resolve *ask)
{
    if (server->addrs.count != (uint32_t)ask->count ||
        (server->srvs != NULL) != (ask->srvs != NULL))
        return false;
    for (int i = 0; i < ask->count; i++) {
        const bl_addr *now = bl_array_at(&server->addrs, (size_t)i);
        const bl_resolve_srv *srv = server->srvs;
        if (now->len != ask->addrs[i].len || memcmp(&now->sa, &ask->addrs[i].sa, now->len) != 0)
            return false;
        if (srv &&
            (srv[i].priority != ask->srvs[i].priority || srv[i].weight != ask->srvs[i].weight))
            return false;
    }
    return true;
}

static void take_addresses(bl_upstream_server *server, const bl_resolve *ask)
{
    size_t count = (size_t)ask->count;

    free_addresses(server);
    if (count == 0)
        return;
    server->addrs.items = bl_alloc(bl_size_mul(count, sizeof *ask->addrs));
    server->addrs.count = (uint32_t)count;
    memcpy(server->addrs.items, ask->addrs, count * sizeof *ask->addrs);
    if (ask->srvs == NULL)
        return;
    bl_resolve_srv *srvs = bl_alloc(bl_size_mul(count, sizeof *srvs));
    memcpy(srvs, ask->srvs, count * sizeof *srvs);
    server->srvs = srvs;
}

/* The group gets new peers; requests under way keep the ones they have. */
static void renew(bl_upstream_group *group)
{
    bl_pool *pool = bl_pool_new();
    bl_peers *old = group->peers, *peers = bl_peers_of_servers(pool, &group->servers);

    peers->pool = pool;
    peers->refs = 1;
    if (group->zone && !bl_peers_share(group, peers, false))
        bl_log_write(BL_LOG_WARN, &bl_log_process, 0,
                     "zone \"%.*s\" is too small for all servers of upstream \"%.*s\"",
                     BL_STR_ARG(group->zone->name), BL_STR_ARG(group->host));
    group->peers = peers;
    if (old->pool)
        bl_peers_drop(old);
}

/* Addresses come in another order with each answer, to spread load. */
static int by_address(const void *a, const void *b)
{
    const bl_addr *x = a, *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return memcmp(&x->sa, &y->sa, x->len);
}

/* An error leaves what was known, except for the news that there is no such name. */
static bool take_answer(watched *w)
{
    bl_resolve *ask = &w->ask;
    bl_addr *sorted = NULL;

    if (ask->status != BL_RESOLVE_OK) {
        bl_log_write(BL_LOG_ERR, &bl_log_process, 0, "%.*s could not be resolved (%d: %s)",
                     BL_STR_ARG(w->server->host), (int)ask->status, bl_resolve_error(ask->status));
        if (ask->status != BL_RESOLVE_NOT_FOUND)
            return false;
        ask->count = 0;
    }
    if (ask->count && ask->srvs == NULL) {
        size_t size = bl_size_mul((size_t)ask->count, sizeof *sorted);
        sorted = memcpy(bl_alloc(size), ask->addrs, size);
        qsort(sorted, (size_t)ask->count, sizeof *sorted, by_address);
        ask->addrs = sorted;
    }
    bool changed = !is_same(w->server, ask);
    if (changed)
        take_addresses(w->server, ask);
    bl_free(sorted);
    return changed;
}

static void on_answer(bl_resolve *ask)
{
    watched *w = ask->data;
    bl_resolving *resolving = w->resolving;
    uint64_t again = ask->status == BL_RESOLVE_OK ? ask->valid_ms : 0;
    bool changed = take_answer(w);

    if (!resolving->stopped)
        bl_timer_set(&w->timer, BL_MAX(again, (uint64_t)AGAIN_MS));
    if (changed)
        renew(resolving->group);
    if (w->answered)
        return;
    w->answered = true;
    if (--resolving->unanswered == 0)
        wake_waiting(resolving);
}

static void ask_for(watched *w)
{
    const bl_upstream_group *group = w->resolving->group;

    w->ask = (bl_resolve){.resolver = group->resolver,
                          .name = w->server->host,
                          .service = w->server->service,
                          .port = w->server->port,
                          .timeout_ms = (uint64_t)group->resolver_timeout,
                          .done = on_answer,
                          .data = w};
    bl_resolve_start(&w->ask);
}

static void on_timer(bl_timer *timer)
{
    ask_for(BL_CONTAINER(timer, watched, timer));
}

/* ------------------------------------------------------------- the worker's life */

void bl_resolving_start(bl_resolving *resolving)
{
    BL_ARRAY_EACH (watched, w, &resolving->watched) {
        w->timer.fire = on_timer;
        w->timer.weak = true;
        ask_for(w);
    }
}

void bl_resolving_stop(bl_resolving *resolving)
{
    resolving->stopped = true;
    BL_ARRAY_EACH (watched, w, &resolving->watched) {
        bl_timer_stop(&w->timer);
        if (w->answered && w->ask.started)
            bl_resolve_cancel(&w->ask);
    }
}

static void end(void *data)
{
    bl_resolving *resolving = data;
    bl_peers *peers = resolving->group->peers;

    bl_resolving_stop(resolving);
    BL_ARRAY_EACH (watched, w, &resolving->watched) {
        if (w->ask.started)
            bl_resolve_cancel(&w->ask);
        free_addresses(w->server);
    }
    if (peers && peers->pool)
        bl_peers_drop(peers);
}

/* ------------------------------------------------------------- configuration */

static bool find_resolver(bl_conf *cf, bl_upstream_group *g)
{
    const bl_http_core_location *core =
        bl_settings_of(&g->settings, BL_LOCATION, &bl_http_core_module);

    if (g->resolver == NULL)
        g->resolver = core->resolver;
    if (g->resolver_timeout < 0)
        g->resolver_timeout = core->resolver_timeout;
    return g->resolver != NULL ||
           bl_conf_error(cf, g->node, 1,
                         "no resolver defined to resolve names at run time in upstream \"%.*s\"",
                         BL_STR_ARG(g->host));
}

static void watch(bl_conf *cf, bl_upstream_group *g, bl_upstream_server *server)
{
    if (g->resolving == NULL) {
        g->resolving = BL_NEW(cf->pool, bl_resolving);
        g->resolving->group = g;
        bl_list_init(&g->resolving->waiting);
        bl_array_init(&g->resolving->watched, cf->pool, sizeof(watched));
        bl_pool_cleanup(cf->pool, end, g->resolving);
    }
    watched *w = bl_array_push(&g->resolving->watched);
    w->resolving = g->resolving;
    w->server = server;
    g->resolving->unanswered++;
}

/* An address, or a socket's path, needs no looking up: look_up has it already. */
bool bl_resolving_prepare(bl_conf *cf, bl_upstream_group *group)
{
    BL_ARRAY_EACH (bl_upstream_server, s, &group->servers) {
        if (s->resolve && s->addrs.count == 0)
            watch(cf, group, s);
    }
    if (group->resolving == NULL)
        return true;
    if (group->zone == NULL)
        return bl_conf_error(cf, group->node, 1,
                             "resolving names at run time requires upstream \"%.*s\" to be in "
                             "shared memory",
                             BL_STR_ARG(group->host));
    return find_resolver(cf, group);
}
