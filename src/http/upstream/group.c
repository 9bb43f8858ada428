/* upstream { }: groups while the configuration is read. A group is made when it is first mentioned,
 * by its block or by a URL; names are looked up and peers made when all has been read. */
#include "conf/generation.h"
#include "http/http_block.h"
#include "http/upstream/peers.h"
#include "http/upstream/resolving.h"
#include "http/upstream/upstream.h"
#include "http/upstream/upstream_vars.h"

typedef struct main_settings {
    bl_array groups; /* bl_upstream_group * */
    bl_index hosts;  /* the first group of each host (in small letters) and port */
} main_settings;

static main_settings *main_of(const bl_http *http)
{
    return http->settings.of[BL_MAIN][bl_upstream_block_module.index];
}

static bool create(bl_conf *cf, int level, void *settings)
{
    main_settings *s = settings;

    if (level == BL_MAIN) {
        bl_array_init(&s->groups, cf->pool, sizeof(bl_upstream_group *));
        bl_index_init(&s->hosts, cf->pool);
    }
    return true;
}

bl_upstream_group *bl_upstream_group_of(bl_conf *cf)
{
    return cf->block;
}

/* ------------------------------------------------------------- finding and making */

enum {
    KEY_HOST = 256, /* bytes of the host that tell groups apart; those of longer ones share a key */
    KEY_MAX = KEY_HOST + sizeof(int),
};

static bl_str key_of(bl_str host, int port, char key[KEY_MAX])
{
    host.len = BL_MIN(host.len, (size_t)KEY_HOST);
    bl_str_lower(key, host);
    memcpy(key + host.len, &port, sizeof port);
    return bl_str_of(key, host.len + sizeof port);
}

/* The first group of that key; the others hang behind it in next_of_key. */
static bl_upstream_group *first_of(const bl_http *http, bl_str host, int port)
{
    char key[KEY_MAX];

    return bl_index_find(&main_of(http)->hosts, key_of(host, port, key));
}

static void add(bl_conf *cf, bl_upstream_group *g)
{
    main_settings *s = main_of(bl_http_of(cf));
    bl_upstream_group *first = first_of(bl_http_of(cf), g->host, g->port);
    char key[KEY_MAX];

    *(bl_upstream_group **)bl_array_push(&s->groups) = g;
    if (first == NULL) {
        bl_index_add(&s->hosts, bl_pool_str(cf->pool, key_of(g->host, g->port, key)), g);
        return;
    }
    while (first->next_of_key)
        first = first->next_of_key;
    first->next_of_key = g;
}

static int port_of(const bl_upstream_group *g)
{
    return g->port ? g->port : g->default_port;
}

/* A block answers to its name without a port; a URL's group also to the port that it implies. */
static bool answers_to(const bl_upstream_group *g, bl_str host, int port, int default_port)
{
    if (!bl_str_ieq(g->host, host))
        return false;
    if (g->explicit)
        return port == 0 || port == g->port;
    return port_of(g) == (port ? port : default_port);
}

const bl_array *bl_upstream_groups(const bl_http *http)
{
    return &main_of(http)->groups;
}

bl_upstream_group *bl_upstream_group_find(bl_http *http, bl_str host, int port, int default_port)
{
    bl_upstream_group *g = first_of(http, host, 0);

    while (g && !answers_to(g, host, port, default_port))
        g = g->next_of_key;
    if (g)
        return g;
    g = first_of(http, host, port ? port : default_port);
    while (g && !answers_to(g, host, port, default_port))
        g = g->next_of_key;
    return g;
}

static void close_idle(void *data)
{
    bl_uplink_close_idle(data);
}

static bl_upstream_group *make(bl_conf *cf, const bl_conf_node *node, int port, bl_str host)
{
    bl_upstream_group *g = BL_NEW(cf->pool, bl_upstream_group);

    g->host = bl_pool_str(cf->pool, host);
    g->node = node;
    bl_array_init(&g->servers, cf->pool, sizeof(bl_upstream_server));
    bl_list_init(&g->idle);
    g->keepalive_requests = 1000;
    g->keepalive_time = 3600000;
    g->keepalive_timeout = 60000;
    g->resolver_timeout = -1;
    g->settings = bl_http_of(cf)->settings;
    g->settings.of[BL_SERVER] = bl_settings_create(cf, &bl_http_modules, BL_SERVER);
    bl_pool_cleanup(cf->pool, close_idle, g);
    g->port = port;
    add(cf, g);
    return g;
}

bl_upstream_group *bl_upstream_group_for(bl_conf *cf, const bl_conf_node *node, bl_str host,
                                         int port, int default_port)
{
    bl_upstream_group *g = first_of(bl_http_of(cf), host, port);

    for (; g; g = g->next_of_key) {
        if (bl_str_ieq(g->host, host) && (g->explicit || g->default_port == default_port))
            return g;
    }
    g = make(cf, node, port, host);
    g->default_port = default_port;
    return g;
}

/* The one that URLs have mentioned already becomes the block's. */
static bl_upstream_group *named(bl_conf *cf, const bl_conf_node *node, bl_str name)
{
    bl_upstream_group *g = first_of(bl_http_of(cf), name, 0);

    while (g && !bl_str_ieq(g->host, name))
        g = g->next_of_key;
    if (g && g->explicit) {
        bl_conf_error(cf, node, 1, "duplicate upstream \"%.*s\"", BL_STR_ARG(name));
        return NULL;
    }
    return g ? g : make(cf, node, 0, name);
}

/* ------------------------------------------------------------- the block */

static bool read_upstream(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field BL_UNUSED)
{
    bl_upstream_group *g = named(cf, node, bl_conf_arg(node, 1));

    if (g == NULL)
        return false;
    g->explicit = true;
    g->node = node;
    g->keepalive = 32;
    g->keepalive_local = true;
    if (!bl_conf_apply(cf, node, &bl_http_modules, BL_IN_UPSTREAM, &g->settings, g))
        return false;
    if (g->servers.count == 0 && g->balancer == NULL)
        return bl_conf_error(cf, node, 1, "no servers are inside upstream");
    return true;
}

static bool value_of(bl_str word, const char *name, bl_str *value)
{
    size_t len = strlen(name);

    if (!bl_str_starts(word, bl_str_of(name, len)))
        return false;
    *value = bl_str_of(word.p + len, word.len - len);
    return true;
}

static bool read_number(bl_str value, int64_t least, int64_t *to)
{
    *to = bl_str_to_int(value);
    return *to >= least;
}

static bool read_parameter(bl_conf *cf, const bl_conf_node *node, int i, bl_upstream_server *s)
{
    bl_str word = bl_conf_arg(node, i), value;
    bool ok = true;

    if (value_of(word, "weight=", &value)) {
        ok = read_number(value, 1, &s->weight);
    } else if (value_of(word, "max_fails=", &value)) {
        ok = read_number(value, 0, &s->max_fails);
    } else if (value_of(word, "max_conns=", &value)) {
        ok = read_number(value, 0, &s->max_conns);
    } else if (value_of(word, "fail_timeout=", &value)) {
        int64_t ms = bl_conf_sec(value) * 1000;
        ok = ms >= 0;
        s->fail_timeout = (uint64_t)ms;
    } else if (bl_str_eq(word, BL_STR("backup"))) {
        s->backup = true;
    } else if (bl_str_eq(word, BL_STR("down"))) {
        s->down = true;
    } else if (bl_str_eq(word, BL_STR("resolve"))) {
        s->resolve = true;
    } else if (value_of(word, "service=", &value)) {
        s->service = bl_pool_str(cf->pool, value);
        ok = value.len != 0;
    } else {
        ok = false;
    }
    return ok || bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"", BL_STR_ARG(word));
}

static bool look_up(bl_conf *cf, const bl_conf_node *node, bl_str text, int default_port,
                    bl_upstream_server *s)
{
    bl_array *addrs = &s->addrs;
    bl_hostport hp;
    const char *error = bl_hostport_parse(text, default_port, &hp);

    if (error)
        return bl_conf_error(cf, node, 1, "%s in upstream \"%.*s\"", error, BL_STR_ARG(text));
    if (hp.wildcard && hp.host.len == 0)
        return bl_conf_error(cf, node, 1, "no host in upstream \"%.*s\"", BL_STR_ARG(text));
    if (hp.is_ip) {
        *(bl_addr *)bl_array_push(addrs) = hp.addr;
        return true;
    }
    s->host = bl_pool_str(cf->pool, hp.host);
    s->port = hp.port > 0 ? hp.port : default_port;
    if (s->service.len && hp.port > 0)
        return bl_conf_error(cf, node, 1, "service upstream server \"%.*s\" may not have port",
                             BL_STR_ARG(text));
    if (s->resolve)
        return true;
    if (bl_addr_resolve_now(hp.host, hp.port > 0 ? hp.port : default_port, addrs))
        return true;
    return bl_conf_error(cf, node, 1, "host not found in upstream \"%.*s\"", BL_STR_ARG(text));
}

static bool read_server(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    bl_upstream_group *g = bl_upstream_group_of(cf);
    bl_upstream_server *s = bl_array_push(&g->servers);

    *s = (bl_upstream_server){.name = bl_pool_str(cf->pool, bl_conf_arg(node, 1)),
                              .node = node,
                              .weight = 1,
                              .max_fails = 1,
                              .fail_timeout = 10000};
    bl_array_init(&s->addrs, cf->pool, sizeof(bl_addr));
    for (int i = 2; i < node->count; i++) {
        if (!read_parameter(cf, node, i, s))
            return false;
    }
    if (s->service.len && !s->resolve)
        return bl_conf_error(cf, node, 1,
                             "service upstream server \"%.*s\" requires \"resolve\" parameter",
                             BL_STR_ARG(s->name));
    return look_up(cf, node, s->name, 80, s);
}

static bool read_resolver(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field BL_UNUSED)
{
    bl_upstream_group *g = bl_upstream_group_of(cf);

    g->resolver = bl_resolver_read(cf, node);
    return g->resolver != NULL;
}

/* ------------------------------------------------------------- keepalive */

static bool read_keepalive(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                           void *field BL_UNUSED)
{
    bl_upstream_group *g = bl_upstream_group_of(cf);

    g->keepalive_local = false;
    g->keepalive_set = true;
    g->keepalive = bl_str_to_int(bl_conf_arg(node, 1));
    if (g->keepalive < 0)
        return bl_conf_invalid(cf, node, 1);
    if (node->count == 2)
        return true;
    g->keepalive_local = bl_str_eq(bl_conf_arg(node, 2), BL_STR("local"));
    return g->keepalive_local || bl_conf_invalid(cf, node, 2);
}

/* keepalive_requests, keepalive_time, …: `arg` tells where it goes. */
static bool read_group_number(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                              void *field BL_UNUSED)
{
    size_t offset = (size_t)(uintptr_t)d->arg;
    int64_t *to = (int64_t *)((char *)bl_upstream_group_of(cf) + offset);
    bl_str text = bl_conf_arg(node, 1);

    *to = offset == offsetof(bl_upstream_group, keepalive_requests) ? bl_str_to_int(text)
                                                                    : bl_conf_msec(text);
    return *to >= 0 || bl_conf_invalid(cf, node, 1);
}

/* ------------------------------------------------------------- zone */

static bool read_zone(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    bl_upstream_group *g = bl_upstream_group_of(cf);
    int64_t size = 0;

    if (bl_conf_arg(node, 1).len == 0)
        return bl_conf_error(cf, node, 1, "invalid zone name \"\"");
    if (node->count == 3) {
        size = bl_conf_size(bl_conf_arg(node, 2));
        if (size < 0)
            return bl_conf_error(cf, node, 2, "invalid zone size \"%.*s\"",
                                 BL_STR_ARG(bl_conf_arg(node, 2)));
        if (size < 8 * 4096)
            return bl_conf_error(cf, node, 1, "zone \"%.*s\" is too small",
                                 BL_STR_ARG(bl_conf_arg(node, 1)));
    }
    g->zone = bl_zone_add(cf, bl_conf_arg(node, 1), (size_t)size, &bl_upstream_block_module);
    if (g->zone == NULL)
        return false;
    g->next_in_zone = g->zone->data;
    g->zone->data = g;
    g->zone->init = bl_peers_zone_init;
    g->zone->fresh = true;
    return true;
}

/* ------------------------------------------------------------- when all has been read */

static bool make_peers(bl_conf *cf, bl_upstream_group *g)
{
    bl_peers *peers = bl_peers_of_servers(cf->pool, &g->servers);

    g->peers = peers;
    if (g->no_backups && peers->primaries != peers->count)
        return bl_conf_error(cf, g->node, 0,
                             "balancing method does not support parameter \"backup\"");
    if (peers->primaries == 0 && peers->count > 0 && g->resolving == NULL)
        return bl_conf_error(cf, g->node, 0, "no servers in upstream \"%.*s\"",
                             BL_STR_ARG(g->host));
    return true;
}

/* What a URL implied: one server, its addresses found now. */
static bool look_up_implicit(bl_conf *cf, bl_upstream_group *g)
{
    bl_upstream_server *s = bl_array_push(&g->servers);
    bool ip6 = bl_str_chr(g->host, ':') >= 0 && !bl_str_starts(g->host, BL_STR("unix:"));
    bl_str text = g->host;

    if (g->port == 0 && g->default_port == 0)
        return bl_conf_error(cf, g->node, 0, "no port in upstream \"%.*s\"", BL_STR_ARG(g->host));
    if (ip6 && text.p[0] != '[')
        text = bl_pool_printf(cf->pool, "[%.*s]", BL_STR_ARG(g->host));
    *s = (bl_upstream_server){
        .name = g->host, .node = g->node, .weight = 1, .max_fails = 1, .fail_timeout = 10000};
    bl_array_init(&s->addrs, cf->pool, sizeof(bl_addr));
    return look_up(cf, g->node, text, port_of(g), s);
}

static bool finish(bl_conf *cf, void *settings)
{
    main_settings *s = settings;
    bool ok = true;

    BL_ARRAY_EACH (bl_upstream_group *, each, &s->groups) {
        bl_upstream_group *g = *each;
        if (g->balancer == NULL)
            g->balancer = &bl_balancer_rr;
        if (!g->explicit && !look_up_implicit(cf, g)) {
            ok = false;
            continue;
        }
        ok = bl_resolving_prepare(cf, g) && make_peers(cf, g) && ok;
        if (ok && g->balancer->compile)
            ok = g->balancer->compile(cf, g);
    }
    return ok;
}

#define GROUP(field) (const void *)offsetof(bl_upstream_group, field)

// clang-format off
static const bl_directive directives[] = {
    {"upstream", BL_IN_HTTP, BL_TAKE1 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = read_upstream},
    {"server", BL_IN_UPSTREAM, BL_TAKE_1MORE | BL_REPEATS, &bl_type_action, .set = read_server},
    {"resolver", BL_IN_UPSTREAM, BL_TAKE_1MORE, &bl_type_action, .set = read_resolver},
    {"resolver_timeout", BL_IN_UPSTREAM, BL_TAKE1, &bl_type_action, .arg = GROUP(resolver_timeout), .set = read_group_number},
    {"zone", BL_IN_UPSTREAM, BL_TAKE12, &bl_type_action, .set = read_zone},
    {"keepalive", BL_IN_UPSTREAM, BL_TAKE12, &bl_type_action, .set = read_keepalive},
    {"keepalive_requests", BL_IN_UPSTREAM, BL_TAKE1, &bl_type_action, .arg = GROUP(keepalive_requests), .set = read_group_number},
    {"keepalive_time", BL_IN_UPSTREAM, BL_TAKE1, &bl_type_action, .arg = GROUP(keepalive_time), .set = read_group_number},
    {"keepalive_timeout", BL_IN_UPSTREAM, BL_TAKE1, &bl_type_action, .arg = GROUP(keepalive_timeout), .set = read_group_number},
    {0},
};
// clang-format on

static bool start_worker(bl_generation *generation)
{
    BL_ARRAY_EACH (bl_upstream_group *, g, &main_of(generation->http)->groups) {
        if ((*g)->resolving)
            bl_resolving_start((*g)->resolving);
    }
    return true;
}

static void quit_worker(bl_generation *generation)
{
    BL_ARRAY_EACH (bl_upstream_group *, g, &main_of(generation->http)->groups) {
        if ((*g)->resolving)
            bl_resolving_stop((*g)->resolving);
    }
}

static const bl_http_module http = {.variables = bl_upstream_vars_define};

bl_module bl_upstream_block_module = {
    .name = "upstream",
    .directives = directives,
    .size = {sizeof(main_settings)},
    .create = create,
    .finish = finish,
    .start_worker = start_worker,
    .quit_worker = quit_worker,
    .http = &http,
};
