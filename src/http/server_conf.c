/* Virtual servers while the configuration is read: the server block, listen and server_name, and at
 * the end the tables of names for each address and the sockets to listen on. */
#include "http/core_module.h"
#include "http/http_block.h"
#include "http/location.h"
#include "http/proto/h1.h"
#include "http/server.h"
#include "http/value.h"

#include <stdlib.h>
#include <unistd.h>

/* ------------------------------------------------------------- server { } */

static bl_server *server_of(bl_conf *cf)
{
    return ((bl_location *)cf->block)->server;
}

static bool listen_by_default(bl_conf *cf, bl_server *server);

bool bl_server_read(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                    void *field BL_UNUSED)
{
    bl_http *http = bl_http_of(cf);
    bl_server *server = BL_NEW(cf->pool, bl_server);
    bl_location *loc = BL_NEW(cf->pool, bl_location);

    server->http = http;
    server->node = node;
    server->loc = loc;
    bl_array_init(&server->names, cf->pool, sizeof(bl_server_name));
    bl_array_init(&server->named, cf->pool, sizeof(bl_location *));
    loc->kind = BL_LOC_SERVER;
    loc->server = server;
    loc->node = node;
    bl_array_init(&loc->children, cf->pool, sizeof(bl_location *));
    loc->settings.of[BL_MAIN] = http->settings.of[BL_MAIN];
    loc->settings.of[BL_SERVER] = bl_settings_create(cf, &bl_http_modules, BL_SERVER);
    loc->settings.of[BL_LOCATION] = bl_settings_create(cf, &bl_http_modules, BL_LOCATION);
    loc->core = bl_settings_of(&loc->settings, BL_LOCATION, &bl_http_core_module);
    server->core = bl_settings_of(&loc->settings, BL_SERVER, &bl_http_core_module);
    *(bl_server **)bl_array_push(&http->servers) = server;
    if (!bl_conf_apply(cf, node, &bl_http_modules, BL_IN_SERVER, &loc->settings, loc))
        return false;
    return server->listens || listen_by_default(cf, server);
}

/* ------------------------------------------------------------- server_name */

static bool is_bad_wildcard(bl_str name)
{
    ssize_t star = bl_str_chr(name, '*');

    if (star < 0)
        return false;
    bool head = star == 0 && name.len > 2 && name.p[1] == '.';
    bool tail = (size_t)star == name.len - 1 && name.len > 2 && name.p[star - 1] == '.';
    bl_str rest = bl_str_of(name.p + star + 1, name.len - (size_t)star - 1);
    return !(head || tail) || bl_str_chr(rest, '*') >= 0;
}

static bool add_regex_name(bl_conf *cf, const bl_conf_node *node, int word, bl_server_name *n)
{
    bl_str pattern = bl_conf_arg(node, word);

    n->kind = BL_NAME_REGEX;
    n->name = pattern;
    if (pattern.len == 1)
        return bl_conf_error(cf, node, word, "empty regex in server name \"%.*s\"",
                             BL_STR_ARG(pattern));
    n->regex = bl_regex_use_new(cf, node, word, bl_str_of(pattern.p + 1, pattern.len - 1),
                                BL_REGEX_CASELESS);
    return n->regex != NULL;
}

static bool add_name(bl_conf *cf, const bl_conf_node *node, int word)
{
    bl_server *server = server_of(cf);
    bl_server_name *n = bl_array_push(&server->names);
    bl_str name = bl_conf_arg(node, word);

    n->server = server;
    if (name.len && name.p[0] == '~')
        return add_regex_name(cf, node, word, n);
    if (bl_str_eq(name, BL_STR("$hostname"))) {
        char host[256] = "";
        gethostname(host, sizeof host - 1);
        name = bl_str_c(host);
    }
    if (bl_str_chr(name, '/') >= 0)
        bl_conf_warn(cf, node, word, "server name \"%.*s\" has suspicious symbols",
                     BL_STR_ARG(name));
    if (is_bad_wildcard(name))
        return bl_conf_error(cf, node, word, "server name \"%.*s\" is invalid", BL_STR_ARG(name));
    name = bl_pool_str(cf->pool, name);
    bl_str_lower(name.p, name);
    n->kind = BL_NAME_EXACT;
    if (name.len > 1 && name.p[0] == '.') {
        n->kind = BL_NAME_DOT;
        name = bl_str_of(name.p + 1, name.len - 1);
    } else if (name.len && name.p[0] == '*') {
        n->kind = BL_NAME_HEAD;
        name = bl_str_of(name.p + 2, name.len - 2);
    } else if (name.len && name.p[name.len - 1] == '*') {
        n->kind = BL_NAME_TAIL;
        name.len -= 2;
    }
    n->name = name;
    return true;
}

bool bl_server_names(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    bl_server *server = server_of(cf);

    for (int i = 1; i < node->count; i++) {
        if (!add_name(cf, node, i))
            return false;
    }
    const bl_server_name *first = server->names.items;
    if (server->core->server_name.p == NULL) {
        bl_str text = bl_conf_arg(node, 1);
        server->core->server_name = first->kind == BL_NAME_EXACT ? first->name : text;
        if (first->kind == BL_NAME_DOT)
            server->core->server_name = bl_str_of(text.p + 1, text.len - 1);
    }
    return true;
}

/* ------------------------------------------------------------- listen */

static bool is_at(const bl_http_addr *a, const bl_addr *addr)
{
    return bl_addr_equal(&a->addr.sa, a->addr.len, &addr->sa, addr->len, true);
}

/* `first`: of those that look the same, which nearly always is the same (but for IPv6's scopes). */
static bl_http_addr *find_addr(bl_http *http, const bl_addr *addr, bl_http_addr *first)
{
    if (first == NULL || is_at(first, addr))
        return first;
    BL_ARRAY_EACH (bl_http_addr *, a, &http->addrs) {
        if (is_at(*a, addr))
            return *a;
    }
    return NULL;
}

static bl_http_addr *addr_for(bl_conf *cf, const bl_addr *addr)
{
    bl_http *http = bl_http_of(cf);
    char text[BL_ADDR_TEXT];
    bl_str shown = bl_str_of(text, bl_addr_text_port(&addr->sa, addr->len, text));
    bl_http_addr *first = bl_index_find(&http->addr_texts, shown);
    bl_http_addr *a = find_addr(http, addr, first);

    if (a)
        return a;
    a = BL_NEW(cf->pool, bl_http_addr);
    a->addr = *addr;
    a->http = http;
    a->text = bl_pool_str(cf->pool, shown);
    if (first == NULL)
        bl_index_add(&http->addr_texts, a->text, a);
    bl_array_init(&a->servers, cf->pool, sizeof(bl_server *));
    bl_array_init(&a->wild, cf->pool, sizeof(bl_server_name));
    bl_array_init(&a->regexes, cf->pool, sizeof(bl_server_name));
    a->options = (bl_listener){.keepalive = -1, .ipv6only = true, .backlog = -1, .fastopen = -1};
    *(bl_http_addr **)bl_array_push(&http->addrs) = a;
    return a;
}

static bool read_keepalive(bl_listener *o, bl_str value)
{
    int *fields[] = {&o->keepidle, &o->keepintvl, &o->keepcnt};

    if (bl_str_eq(value, BL_STR("on")) || bl_str_eq(value, BL_STR("off"))) {
        o->keepalive = value.len == 2;
        return true;
    }
    o->keepalive = 1;
    for (int i = 0; i < 3; i++) {
        ssize_t colon = bl_str_chr(value, ':');
        bl_str one = colon < 0 ? value : bl_str_of(value.p, (size_t)colon);
        if (one.len) {
            int64_t n = i == 2 ? bl_str_to_int(one) : bl_conf_sec(one);
            if (n < 0 || n > INT32_MAX)
                return false;
            *fields[i] = (int)n;
        }
        if (colon < 0)
            return true;
        value = bl_str_of(value.p + colon + 1, value.len - (size_t)colon - 1);
    }
    return false;
}

/* "name=value" of a listen parameter. */
static bool value_of(bl_str word, const char *name, bl_str *value)
{
    size_t len = strlen(name);

    if (!bl_str_starts(word, bl_str_of(name, len)))
        return false;
    *value = bl_str_of(word.p + len, word.len - len);
    return true;
}

static bool read_number(bl_str value, int *to)
{
    int64_t n = bl_conf_size(value);

    if (n <= 0 || n > INT32_MAX)
        return false;
    *to = (int)n;
    return true;
}

/* A parameter that changes the socket itself: it may stand in one listen of an address only. */
static bool read_socket_option(bl_str word, bl_listener *o, bool *known)
{
    bl_str value;

    *known = true;
    if (value_of(word, "backlog=", &value))
        return read_number(value, &o->backlog);
    if (value_of(word, "rcvbuf=", &value))
        return read_number(value, &o->rcvbuf);
    if (value_of(word, "sndbuf=", &value))
        return read_number(value, &o->sndbuf);
    if (value_of(word, "fastopen=", &value))
        return read_number(value, &o->fastopen);
    if (value_of(word, "so_keepalive=", &value))
        return read_keepalive(o, value);
    if (value_of(word, "ipv6only=", &value)) {
        o->ipv6only = bl_str_eq(value, BL_STR("on"));
        o->ipv6only_set = true;
        return o->ipv6only || bl_str_eq(value, BL_STR("off"));
    }
    if (value_of(word, "accept_filter=", &value))
        return true;
    if (bl_str_eq(word, BL_STR("deferred")))
        return o->deferred = true;
    if (bl_str_eq(word, BL_STR("reuseport")))
        return o->reuseport = true;
    if (bl_str_eq(word, BL_STR("bind")) || value_of(word, "setfib=", &value))
        return true;
    *known = false;
    return true;
}

static bool set_default(bl_conf *cf, const bl_conf_node *node, int word, bl_http_addr *a)
{
    if (a->default_set)
        return bl_conf_error(cf, node, word, "a duplicate default server for %.*s",
                             BL_STR_ARG(a->text));
    a->default_set = true;
    a->default_server = server_of(cf);
    return true;
}

static bool read_parameter(bl_conf *cf, const bl_conf_node *node, int i, bl_http_addr *a)
{
    bl_str word = bl_conf_arg(node, i);
    bool known;

    if (bl_str_eq(word, BL_STR("default_server")) || bl_str_eq(word, BL_STR("default")))
        return set_default(cf, node, i, a);
    if (bl_str_eq(word, BL_STR("ssl")))
        return a->ssl = true;
    if (bl_str_eq(word, BL_STR("proxy_protocol")))
        return a->proxy_protocol = true;
    if (bl_str_eq(word, BL_STR("http2")))
        return a->http2 = true;
    if (!read_socket_option(word, &a->options, &known))
        return bl_conf_invalid(cf, node, i);
    if (!known)
        return bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"", BL_STR_ARG(word));
    if (a->node && a->node != node)
        return bl_conf_error(cf, node, i, "duplicate listen options for %.*s", BL_STR_ARG(a->text));
    a->node = node;
    a->options.bind_set = true;
    return true;
}

static bool add_server(bl_conf *cf, const bl_conf_node *node, bl_http_addr *a)
{
    bl_server *server = server_of(cf);

    BL_ARRAY_EACH (bl_server *, other, &a->servers) {
        if (*other == server)
            return bl_conf_error(cf, node, 1, "a duplicate listen %.*s", BL_STR_ARG(a->text));
    }
    *(bl_server **)bl_array_push(&a->servers) = server;
    if (a->default_server == NULL)
        a->default_server = server;
    server->listens = true;
    return true;
}

static bool listen_on(bl_conf *cf, const bl_conf_node *node, const bl_addr *addr)
{
    bl_http_addr *a = addr_for(cf, addr);

    if (!add_server(cf, node, a))
        return false;
    for (int i = 2; i < node->count; i++) {
        if (!read_parameter(cf, node, i, a))
            return false;
    }
    return true;
}

/* PORT1-PORT2 behind the host: one listen for each. */
static bool split_range(bl_str text, bl_str *first, int *last)
{
    ssize_t dash = -1;

    for (size_t i = text.len; i > 0 && dash < 0 && text.p[i - 1] != ':' && text.p[i - 1] != ']';
         i--) {
        if (text.p[i - 1] == '-')
            dash = (ssize_t)i - 1;
        else if (((unsigned)text.p[i - 1] - '0') > 9)
            break;
    }
    *first = text;
    *last = 0;
    if (dash <= 0)
        return true;
    *first = bl_str_of(text.p, (size_t)dash);
    int64_t port = bl_str_to_int(bl_str_of(text.p + dash + 1, text.len - (size_t)dash - 1));
    *last = (int)port;
    return port > 0 && port < 65536;
}

static bool listen_on_name(bl_conf *cf, const bl_conf_node *node, bl_str host, int port)
{
    bl_array addrs;

    bl_array_init(&addrs, cf->pool, sizeof(bl_addr));
    if (!bl_addr_resolve_now(host, port, &addrs))
        return bl_conf_error(cf, node, 1, "host not found in \"%.*s\" of the \"listen\" directive",
                             BL_STR_ARG(bl_conf_arg(node, 1)));
    BL_ARRAY_EACH (bl_addr, addr, &addrs) {
        if (!listen_on(cf, node, addr))
            return false;
    }
    return true;
}

bool bl_server_listen(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    bl_str text = bl_conf_arg(node, 1), first = text;
    bl_hostport hp;
    int last = 0;

    if (!bl_str_starts(text, BL_STR("unix:")) && !split_range(text, &first, &last))
        return bl_conf_error(cf, node, 1, "invalid port in \"%.*s\" of the \"listen\" directive",
                             BL_STR_ARG(text));
    const char *error = bl_hostport_parse(first, 80, &hp);
    if (error)
        return bl_conf_error(cf, node, 1, "%s in \"%.*s\" of the \"listen\" directive", error,
                             BL_STR_ARG(text));
    int port = hp.port > 0 ? hp.port : 80;
    if (last && (last < port || hp.port < 0))
        return bl_conf_error(cf, node, 1,
                             "invalid port range in \"%.*s\" of the \"listen\" directive",
                             BL_STR_ARG(text));
    for (; port <= BL_MAX(last, port); port++) {
        if (!hp.is_ip)
            return listen_on_name(cf, node, hp.host, port);
        bl_addr_set_port(&hp.addr.sa, port);
        if (!listen_on(cf, node, &hp.addr))
            return false;
        if (port >= last)
            break;
    }
    return true;
}

/* Without a listen directive: *:80, or *:8000 for those who may not take ports below 1024. */
static bool listen_by_default(bl_conf *cf, bl_server *server)
{
    bl_addr addr = {.len = sizeof addr.in, .in.sin_family = AF_INET};
    bl_location *block = cf->block;

    bl_addr_set_port(&addr.sa, geteuid() == 0 ? 80 : 8000);
    cf->block = server->loc;
    bl_http_addr *a = addr_for(cf, &addr);
    bool ok = add_server(cf, server->node, a);
    cf->block = block;
    return ok;
}

/* ------------------------------------------------------------- compiling */

static void insert_exact(bl_conf *cf, bl_http_addr *a, bl_server_name *n)
{
    uint32_t at = bl_hash(n->name.p, n->name.len) & a->exact_mask;

    while (a->exact[at] && !bl_str_eq(a->exact[at]->name, n->name))
        at = (at + 1) & a->exact_mask;
    if (a->exact[at] == NULL)
        a->exact[at] = n;
    else if (a->exact[at]->server != n->server)
        bl_conf_warn(cf, n->server->node, 0, "conflicting server name \"%.*s\" on %.*s, ignored",
                     BL_STR_ARG(n->name), BL_STR_ARG(a->text));
}

static void insert_name(bl_conf *cf, bl_http_addr *a, bl_server_name *n)
{
    if (n->kind == BL_NAME_REGEX) {
        *(bl_server_name *)bl_array_push(&a->regexes) = *n;
        return;
    }
    if (n->kind == BL_NAME_EXACT || n->kind == BL_NAME_DOT)
        insert_exact(cf, a, n);
    if (n->kind == BL_NAME_EXACT)
        return;
    bl_server_name *wild = bl_array_push(&a->wild);
    *wild = *n;
    if (n->kind == BL_NAME_DOT)
        wild->kind = BL_NAME_HEAD;
}

static void compile_names(bl_conf *cf, bl_http_addr *a)
{
    uint32_t count = 0, size = 8;

    BL_ARRAY_EACH (bl_server *, server, &a->servers) {
        /* A server without a name answers requests without a host. */
        if ((*server)->names.count == 0) {
            bl_server_name *n = bl_array_push(&(*server)->names);
            *n = (bl_server_name){.name = BL_STR(""), .kind = BL_NAME_EXACT, .server = *server};
        }
        count += (*server)->names.count;
    }
    while (size < count * 2)
        size *= 2;
    a->exact = BL_NEW_ARRAY(cf->pool, bl_server_name *, size);
    a->exact_mask = size - 1;
    BL_ARRAY_EACH (bl_server *, server, &a->servers) {
        BL_ARRAY_EACH (bl_server_name, n, &(*server)->names) {
            insert_name(cf, a, n);
        }
    }
    a->single = a->servers.count == 1 && a->regexes.count == 0;
}

static bool is_wildcard(const bl_addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == INADDR_ANY;
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

static bool same_port(const bl_addr *a, const bl_addr *b)
{
    return a->sa.sa_family == b->sa.sa_family && a->sa.sa_family != AF_UNIX &&
           bl_addr_port(&a->sa) == bl_addr_port(&b->sa);
}

/* The wildcard address whose socket takes connections to `a` too; NULL: it has its own. */
static bl_http_addr *covered_by(const bl_array *wildcards, const bl_http_addr *a)
{
    if (a->options.bind_set || is_wildcard(&a->addr))
        return NULL;
    BL_ARRAY_EACH (bl_http_addr *, other, wildcards) {
        if (same_port(&(*other)->addr, &a->addr))
            return *other;
    }
    return NULL;
}

static bl_array *find_wildcards(bl_conf *cf, const bl_http *http)
{
    bl_array *wildcards = bl_array_new(cf->pool, sizeof(bl_http_addr *));

    BL_ARRAY_EACH (bl_http_addr *, a, &http->addrs) {
        if (is_wildcard(&(*a)->addr))
            *(bl_http_addr **)bl_array_push(wildcards) = *a;
    }
    return wildcards;
}

static bl_listener *add_listener(bl_conf *cf, bl_http_addr *a, bl_http_port *port)
{
    bl_listener *l = BL_NEW(cf->pool, bl_listener);

    *l = a->options;
    l->generation = cf->generation;
    l->addr = a->addr;
    l->text = a->text;
    l->fd = -1;
    l->type = SOCK_STREAM;
    l->worker =
        a->options.reuseport ? 0 : -1; /* the other workers' are made when they are opened */
    l->ssl = a->ssl;
    l->proxy_protocol = a->proxy_protocol;
    l->accepted = bl_h1_accepted;
    l->data = port;
    l->log.targets = a->default_server->loc->core->error_log;
    bl_list_push(&cf->generation->listeners, &l->link);
    return l;
}

static void add_port(bl_conf *cf, bl_http *http, const bl_array *wildcards, bl_http_addr *a)
{
    bool covers = is_wildcard(&a->addr);
    bl_http_port *port = BL_NEW(cf->pool, bl_http_port);

    port->http = http;
    bl_array_init(&port->addrs, cf->pool, sizeof(bl_http_addr *));
    BL_ARRAY_EACH (bl_http_addr *, other, covers ? &http->addrs : NULL) {
        if (covered_by(wildcards, *other) == a)
            *(bl_http_addr **)bl_array_push(&port->addrs) = *other;
    }
    *(bl_http_addr **)bl_array_push(&port->addrs) = a;
    add_listener(cf, a, port);
}

bool bl_server_finish_all(bl_conf *cf, bl_http *http)
{
    const bl_array *wildcards = find_wildcards(cf, http);

    BL_ARRAY_EACH (bl_http_addr *, a, &http->addrs) {
        compile_names(cf, *a);
        if (covered_by(wildcards, *a) == NULL)
            add_port(cf, http, wildcards, *a);
    }
    return cf->errors == 0;
}
