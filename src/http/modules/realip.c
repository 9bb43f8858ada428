/* realip: puts the address that a trusted proxy names in place of the connection's, for the time of
 * the request. The connection gets its own back when the request is logged, or at the latest with
 * the request's memory, unless the connection has become another by then. */
#include "http/modules/realip.h"
#include "event/proxy_protocol.h"
#include "http/forwarded.h"
#include "http/phases.h"
#include "http/variable.h"

typedef struct settings {
    bl_array *from; /* bl_cidr; NULL: off */
    bl_str header;
    int recursive;
} settings;

/* What the connection was. */
typedef struct replaced {
    bl_conn *conn; /* NULL: given back */
    uint64_t number;
    bl_sockaddr peer;
} replaced;

static void give_back(void *data)
{
    replaced *x = data;

    if (x->conn && x->conn->number == x->number)
        x->conn->peer = x->peer;
    x->conn = NULL;
}

/* What was replaced for this request, or NULL. An internal redirect makes modules forget their
 * state; the cleanup stays. */
static replaced *replaced_by(const bl_request *r)
{
    for (const bl_cleanup *c = r->pool->cleanups; c; c = c->next) {
        if (c->run == give_back)
            return c->data;
    }
    return NULL;
}

static void replace(bl_request *r, const bl_addr *addr)
{
    replaced *x = BL_NEW(r->pool, replaced);

    *x = (replaced){.conn = r->conn, .number = r->conn->number, .peer = r->conn->peer};
    memcpy(&r->conn->peer, &addr->sa, BL_MIN((size_t)addr->len, sizeof r->conn->peer));
    bl_pool_cleanup(r->pool, give_back, x);
}

/* The list of addresses, from the field or the PROXY protocol; empty: none. */
static bl_str list_of(bl_request *r, const settings *s, int *port)
{
    if (bl_str_eq(s->header, BL_STR("proxy_protocol"))) {
        const bl_proxy_protocol *pp = r->conn->proxy_protocol;
        *port = pp ? pp->src_port : 0;
        return pp ? pp->src_addr : BL_STR_NONE;
    }
    return bl_headers_join(&r->in, r->pool, s->header, BL_STR(", "));
}

static bl_step find_client(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_realip_module);
    bl_addr addr = {.len = sizeof r->conn->peer};
    int port = 0;

    if (!bl_request_is_main(r) || replaced_by(r))
        return BL_NEXT;
    bl_str list = list_of(r, s, &port);
    if (list.len == 0)
        return BL_NEXT;
    memcpy(&addr.sa, &r->conn->peer, sizeof r->conn->peer);
    if (!bl_forwarded_follow(s->from, list, s->recursive, &addr))
        return BL_NEXT;
    if (port)
        bl_addr_set_port(&addr.sa, port);
    replace(r, &addr);
    return BL_NEXT;
}

static bl_step end_of_request(bl_request *r)
{
    replaced *x = replaced_by(r);

    if (x)
        give_back(x);
    return BL_NEXT;
}

/* ------------------------------------------------------------- variables */

static const bl_sockaddr *real_peer(bl_request *r)
{
    const replaced *x = replaced_by(r);

    return x && x->conn ? &x->peer : &r->conn->peer;
}

static bool get_addr(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                     bl_str *value)
{
    const bl_sockaddr *peer = real_peer(r);
    char *text = bl_pool_bytes(r->pool, BL_ADDR_TEXT);

    *value = bl_str_of(text, bl_addr_text(&peer->sa, sizeof *peer, text));
    return true;
}

static bool get_port(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                     bl_str *value)
{
    int port = bl_addr_port(&real_peer(r)->sa);

    *value = port > 0 ? bl_pool_printf(r->pool, "%d", port) : BL_STR("");
    return true;
}

static bool variables(bl_conf *cf)
{
    static const bl_variable rows[] = {
        {BL_STR_INIT("realip_remote_addr"), get_addr, .flags = BL_VAR_VOLATILE},
        {BL_STR_INIT("realip_remote_port"), get_port, .flags = BL_VAR_VOLATILE},
        {.get = NULL},
    };

    return bl_var_define_all(cf, rows);
}

/* ------------------------------------------------------------- configuration */

static bool add_host(bl_conf *cf, const bl_conf_node *node, bl_array *from)
{
    bl_array addrs;

    bl_array_init(&addrs, cf->pool, sizeof(bl_addr));
    if (!bl_addr_resolve_now(bl_conf_arg(node, 1), 0, &addrs))
        return bl_conf_error(cf, node, 1, "host not found in \"set_real_ip_from\" \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 1)));
    BL_ARRAY_EACH (bl_addr, addr, &addrs) {
        bl_cidr one;
        if (bl_cidr_of(&addr->sa, &one))
            *(bl_cidr *)bl_array_push(from) = one;
    }
    return true;
}

static bool read_from(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_array **from = field;
    bl_cidr network;

    if (*from == BL_UNSET_PTR)
        *from = bl_array_new(cf->pool, sizeof(bl_cidr));
    switch (bl_cidr_parse(bl_conf_arg(node, 1), &network)) {
    case BL_CIDR_INVALID:
        return add_host(cf, node, *from);
    case BL_CIDR_LOW_BITS:
        bl_conf_warn(cf, node, 1, "low address bits of %.*s are meaningless",
                     BL_STR_ARG(bl_conf_arg(node, 1)));
        break;
    default:
        break;
    }
    *(bl_cidr *)bl_array_push(*from) = network;
    return true;
}

static const bl_type type_from = {"address | CIDR | unix: | name", sizeof(bl_array *), read_from};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

static const bl_directive directives[] = {
    {"set_real_ip_from", BL_IN_HSL, BL_TAKE1 | BL_REPEATS, &type_from, FIELD(from)},
    {"real_ip_header", BL_IN_HSL, BL_TAKE1, &bl_type_str, FIELD(header), "X-Real-IP"},
    {"real_ip_recursive", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(recursive), "off"},
    {0},
};

enum {
    LOG_LAST = 255, /* behind every log */
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_realip_module);

    if (s->from == NULL)
        return true;
    if (loc->kind == BL_LOC_SERVER)
        bl_location_handler(cf, loc, BL_PHASE_SERVER_REWRITE, BL_PLACE_REALIP, find_client);
    bl_location_handler(cf, loc, BL_PHASE_PREACCESS, BL_PLACE_REALIP, find_client);
    bl_location_handler(cf, loc, BL_PHASE_LOG, LOG_LAST, end_of_request);
    return true;
}

static const bl_http_module http = {.variables = variables, .compile = compile};

bl_module bl_realip_module = {
    .name = "realip",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
