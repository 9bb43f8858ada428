/* Virtual servers at run time: an address, and the name that the request asked for. */
#include "http/server.h"
#include "http/core_module.h"
#include "http/request.h"
#include "http/value.h"

bl_http_addr *bl_http_addr_of(bl_http_port *port, bl_conn *c)
{
    bl_http_addr **all = port->addrs.items;
    uint32_t count = port->addrs.count;

    if (BL_LIKELY(count == 1))
        return all[0];
    const struct sockaddr *local = bl_conn_local(c);
    for (uint32_t i = 0; i + 1 < count; i++) {
        const bl_addr *a = &all[i]->addr;
        if (bl_addr_equal(&a->sa, a->len, local, sizeof(struct sockaddr_in6), false))
            return all[i];
    }
    return all[count - 1];
}

static bl_server *find_exact(const bl_http_addr *addr, bl_str name)
{
    if (addr->exact == NULL)
        return NULL;
    for (uint32_t at = bl_hash(name.p, name.len) & addr->exact_mask; addr->exact[at];
         at = (at + 1) & addr->exact_mask) {
        if (bl_str_eq(addr->exact[at]->name, name))
            return addr->exact[at]->server;
    }
    return NULL;
}

static bool is_below(bl_str name, bl_str domain)
{
    return name.len > domain.len && name.p[name.len - domain.len - 1] == '.' &&
           bl_str_eq(bl_str_of(name.p + name.len - domain.len, domain.len), domain);
}

static bool matches_wild(const bl_server_name *n, bl_str name)
{
    if (n->kind == BL_NAME_HEAD)
        return is_below(name, n->name);
    return name.len > n->name.len + 1 && name.p[n->name.len] == '.' && bl_str_starts(name, n->name);
}

/* The longest wildcard; heads ("*.x") go before tails ("x.*"). */
static bl_server *find_wild(const bl_http_addr *addr, bl_str name)
{
    const bl_server_name *best = NULL;

    BL_ARRAY_EACH (bl_server_name, n, &addr->wild) {
        if (!matches_wild(n, name))
            continue;
        if (best == NULL || (n->kind == best->kind && n->name.len > best->name.len) ||
            (n->kind == BL_NAME_HEAD && best->kind == BL_NAME_TAIL))
            best = n;
    }
    return best ? best->server : NULL;
}

static bl_server *find_regex(const bl_http_addr *addr, bl_str name, bl_request *r)
{
    BL_ARRAY_EACH (bl_server_name, n, &addr->regexes) {
        int rc =
            r ? bl_regex_use_match(r, n->regex, name) : bl_regex_match(n->regex->regex, name, NULL);
        if (rc > 0)
            return n->server;
    }
    return NULL;
}

bl_server *bl_server_find(bl_http_addr *addr, bl_str name, bl_request *r)
{
    bl_server *server = NULL;

    if (addr->single)
        return addr->default_server;
    server = find_exact(addr, name);
    if (server == NULL && name.len)
        server = find_wild(addr, name);
    if (server == NULL && name.len && addr->regexes.count) {
        bl_str copy = r ? bl_pool_str(r->pool, name) : name;
        server = find_regex(addr, copy, r);
    }
    return server ? server : addr->default_server;
}
