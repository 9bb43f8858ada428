/* geo: a variable whose value depends on an address.
 *
 * Networks stand in one hash by (length, prefix). A look-up tries the lengths that occur, the
 * longest first. With `ranges`, IPv4 ranges are kept sorted and disjoint: a later one cuts out its
 * part of those before it. */
#include "http/modules/geo.h"
#include "http/forwarded.h"
#include "http/variable.h"

#include <arpa/inet.h>

typedef struct network {
    bl_cidr cidr;
    bl_str value;
    bool used;
} network;

typedef struct range {
    uint32_t from, to; /* inclusive */
    bl_str value;
} range;

typedef struct geo {
    int source; /* of the variable with the address; -1: the client's */
    bool ranges_only, recursive, is_volatile;
    bl_str otherwise;
    network *networks; /* open addressing */
    uint32_t mask, count;
    bool lengths4[33], lengths6[129];
    bl_array ranges;  /* range */
    bl_array proxies; /* bl_cidr */
} geo;

enum {
    SIZE_AT_FIRST = 64,
};

/* ------------------------------------------------------------- networks */

static network *place_of(const geo *g, const bl_cidr *cidr)
{
    uint32_t at = (bl_hash((const char *)cidr->bytes, sizeof cidr->bytes) + cidr->bits) & g->mask;

    for (; g->networks[at].used; at = (at + 1) & g->mask) {
        const bl_cidr *there = &g->networks[at].cidr;
        if (there->family == cidr->family && there->bits == cidr->bits &&
            memcmp(there->bytes, cidr->bytes, sizeof cidr->bytes) == 0)
            break;
    }
    return &g->networks[at];
}

static void grow(bl_pool *pool, geo *g)
{
    network *old = g->networks;
    uint32_t size = g->mask + 1;

    g->mask = 2 * size - 1;
    g->networks = BL_NEW_ARRAY(pool, network, 2 * size);
    for (uint32_t i = 0; i < size; i++) {
        if (old[i].used)
            *place_of(g, &old[i].cidr) = old[i];
    }
}

/* The address cut down to `bits`. */
static void cut(bl_cidr *cidr, unsigned bits)
{
    unsigned bytes = cidr->family == AF_INET ? 4 : 16;

    cidr->bits = (uint8_t)bits;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned keep = bits > 8 * i ? BL_MIN(bits - 8 * i, 8u) : 0;
        cidr->bytes[i] &= (uint8_t)(0xff00u >> keep);
    }
}

static bl_str find_network(const geo *g, bl_cidr cidr)
{
    const bool *lengths = cidr.family == AF_INET ? g->lengths4 : g->lengths6;

    for (int bits = cidr.family == AF_INET ? 32 : 128; bits >= 0; bits--) {
        if (!lengths[bits])
            continue;
        cut(&cidr, (unsigned)bits);
        const network *found = place_of(g, &cidr);
        if (found->used && found->value.p)
            return found->value;
    }
    return g->otherwise;
}

/* ------------------------------------------------------------- ranges */

/* Index of the first range that does not end before `address`. */
static uint32_t first_at(const bl_array *ranges, uint32_t address)
{
    uint32_t low = 0, high = ranges->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const range *r = bl_array_at(ranges, middle);
        if (r->to < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bl_str find_range(const geo *g, uint32_t address)
{
    uint32_t at = first_at(&g->ranges, address);

    if (at < g->ranges.count) {
        const range *r = bl_array_at(&g->ranges, at);
        if (r->from <= address)
            return r->value;
    }
    return g->otherwise;
}

/* Takes from..to out of all ranges; true if there was any of it. */
static bool cut_range(geo *g, uint32_t from, uint32_t to)
{
    bl_array kept;
    bool found = false;

    bl_array_init(&kept, g->ranges.pool, sizeof(range));
    BL_ARRAY_EACH (range, r, &g->ranges) {
        if (r->to < from || r->from > to) {
            *(range *)bl_array_push(&kept) = *r;
            continue;
        }
        found = true;
        if (r->from < from)
            *(range *)bl_array_push(&kept) = (range){r->from, from - 1, r->value};
        if (r->to > to)
            *(range *)bl_array_push(&kept) = (range){to + 1, r->to, r->value};
    }
    if (found)
        g->ranges = kept;
    return found;
}

static void add_range(geo *g, uint32_t from, uint32_t to, bl_str value)
{
    uint32_t last = g->ranges.count;

    if (last && ((range *)bl_array_at(&g->ranges, last - 1))->to >= from)
        cut_range(g, from, to);
    uint32_t at = first_at(&g->ranges, from);
    bl_array_push(&g->ranges);
    range *all = g->ranges.items;
    memmove(all + at + 1, all + at, sizeof *all * (g->ranges.count - 1 - at));
    all[at] = (range){from, to, value};
}

/* ------------------------------------------------------------- the variable */

static void no_address(bl_addr *addr)
{
    *addr = (bl_addr){.len = sizeof addr->in};
    addr->in.sin_family = AF_INET;
    addr->in.sin_addr.s_addr = INADDR_NONE;
}

static void address_of(bl_request *r, const geo *g, bl_addr *addr)
{
    bl_str text;

    no_address(addr);
    if (g->source >= 0) {
        if (bl_var_get(r, g->source, &text) && !bl_addr_parse_ip(text, addr))
            no_address(addr);
        return;
    }
    if (r->conn->peer.sa.sa_family == AF_INET || r->conn->peer.sa.sa_family == AF_INET6)
        memcpy(&addr->sa, &r->conn->peer, sizeof r->conn->peer);
    if (g->proxies.count == 0)
        return;
    bl_str list = bl_headers_join(&r->in, r->pool, BL_STR("X-Forwarded-For"), BL_STR(", "));
    if (list.len)
        bl_forwarded_follow(&g->proxies, list, g->recursive, addr);
}

static bool get(bl_request *r, const bl_variable *v, bl_str name BL_UNUSED, bl_str *value)
{
    const geo *g = v->data;
    bl_addr addr;
    bl_cidr cidr;

    address_of(r, g, &addr);
    if (!bl_cidr_of(&addr.sa, &cidr)) {
        *value = g->otherwise;
        return true;
    }
    if (!g->ranges_only) {
        *value = find_network(g, cidr);
        return true;
    }
    uint32_t address;
    memcpy(&address, cidr.bytes, sizeof address);
    *value = cidr.family == AF_INET ? find_range(g, ntohl(address)) : g->otherwise;
    return true;
}

/* ------------------------------------------------------------- configuration */

static bool parse_ipv4(bl_str text, uint32_t *to)
{
    bl_addr addr;

    if (!bl_addr_parse_ip(text, &addr) || addr.sa.sa_family != AF_INET)
        return false;
    *to = ntohl(addr.in.sin_addr.s_addr);
    return true;
}

static bool read_range(bl_conf *cf, geo *g, const bl_conf_node *node, int word, bl_str value)
{
    bl_str text = bl_conf_arg(node, word);
    ssize_t dash = bl_str_chr(text, '-');
    uint32_t from, to;

    if (dash < 0 || !parse_ipv4(bl_str_of(text.p, (size_t)dash), &from) ||
        !parse_ipv4(bl_str_of(text.p + dash + 1, text.len - (size_t)dash - 1), &to) || from > to)
        return bl_conf_error(cf, node, word, "invalid range \"%.*s\"", BL_STR_ARG(text));
    if (value.p)
        add_range(g, from, to, value);
    else if (!cut_range(g, from, to))
        bl_conf_warn(cf, node, word, "no address range \"%.*s\" to delete", BL_STR_ARG(text));
    return true;
}

static bool parse_network(bl_conf *cf, const bl_conf_node *node, int word, bl_cidr *cidr)
{
    bl_str text = bl_conf_arg(node, word);

    switch (bl_cidr_parse(text, cidr)) {
    case BL_CIDR_INVALID:
        return bl_conf_error(cf, node, word, "invalid network \"%.*s\"", BL_STR_ARG(text));
    case BL_CIDR_LOW_BITS:
        bl_conf_warn(cf, node, word, "low address bits of %.*s are meaningless", BL_STR_ARG(text));
        return true;
    default:
        return true;
    }
}

static bool read_network(bl_conf *cf, geo *g, const bl_conf_node *node, int word, bl_str value)
{
    bl_cidr cidr;

    if (!parse_network(cf, node, word, &cidr))
        return false;
    network *n = place_of(g, &cidr);
    if (value.p == NULL) {
        if (!n->used || n->value.p == NULL)
            bl_conf_warn(cf, node, word, "no network \"%.*s\" to delete",
                         BL_STR_ARG(bl_conf_arg(node, word)));
        n->value = BL_STR_NONE;
        return true;
    }
    if (n->used && n->value.p)
        bl_conf_warn(cf, node, word,
                     "duplicate network \"%.*s\", value: \"%.*s\", old value: \"%.*s\"",
                     BL_STR_ARG(bl_conf_arg(node, word)), BL_STR_ARG(value), BL_STR_ARG(n->value));
    g->count += !n->used;
    *n = (network){.cidr = cidr, .value = value, .used = true};
    (cidr.family == AF_INET ? g->lengths4 : g->lengths6)[cidr.bits] = true;
    if (g->count * 2 > g->mask)
        grow(cf->pool, g);
    return true;
}

static bool read_word(geo *g, const bl_conf_node *node)
{
    bl_str word = bl_conf_arg(node, 0);

    if (node->count != 1)
        return false;
    if (bl_str_eq(word, BL_STR("ranges")))
        g->ranges_only = true;
    else if (bl_str_eq(word, BL_STR("proxy_recursive")))
        g->recursive = true;
    else if (bl_str_eq(word, BL_STR("volatile")))
        g->is_volatile = true;
    else
        return false;
    return true;
}

static bool read_entry(bl_conf *cf, geo *g, const bl_conf_node *node)
{
    bl_str key = bl_conf_arg(node, 0);
    bl_cidr proxy;

    if (read_word(g, node))
        return true;
    if (node->count != 2)
        return bl_conf_error(cf, node, 0, "invalid number of the geo parameters");
    if (bl_str_eq(key, BL_STR("proxy"))) {
        if (!parse_network(cf, node, 1, &proxy))
            return false;
        *(bl_cidr *)bl_array_push(&g->proxies) = proxy;
        return true;
    }
    bool drop = bl_str_eq(key, BL_STR("delete"));
    bl_str value = drop ? BL_STR_NONE : bl_conf_arg(node, 1);
    if (bl_str_eq(key, BL_STR("default"))) {
        g->otherwise = value;
        return true;
    }
    return g->ranges_only ? read_range(cf, g, node, drop, value)
                          : read_network(cf, g, node, drop, value);
}

static bool check_name(bl_conf *cf, const bl_conf_node *node, int word)
{
    bl_str name = bl_conf_arg(node, word);

    return (name.len > 1 && name.p[0] == '$') ||
           bl_conf_error(cf, node, word, "invalid variable name \"%.*s\"", BL_STR_ARG(name));
}

static bool read_geo(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    geo *g = BL_NEW(cf->pool, geo);
    bl_str name = bl_conf_arg(node, node->count - 1), source = bl_conf_arg(node, 1);
    bool ok = true;

    if (!check_name(cf, node, 1) || !check_name(cf, node, node->count - 1))
        return false;
    g->otherwise = BL_STR("");
    g->mask = SIZE_AT_FIRST - 1;
    g->networks = BL_NEW_ARRAY(cf->pool, network, SIZE_AT_FIRST);
    bl_array_init(&g->ranges, cf->pool, sizeof(range));
    bl_array_init(&g->proxies, cf->pool, sizeof(bl_cidr));
    g->source = node->count == 3 ? bl_var_index(cf, bl_str_of(source.p + 1, source.len - 1)) : -1;
    for (const bl_conf_node *n = node->children; n; n = n->next)
        ok = read_entry(cf, g, n) && ok;
    uint32_t flags = BL_VAR_CHANGEABLE | (g->is_volatile ? BL_VAR_VOLATILE : 0u);
    return bl_var_define(cf, bl_str_of(name.p + 1, name.len - 1), get, NULL, g, flags) && ok;
}

static const bl_directive directives[] = {
    {"geo", BL_IN_HTTP, BL_TAKE12 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = read_geo},
    {0},
};

bl_module bl_geo_module = {.name = "geo", .directives = directives};
