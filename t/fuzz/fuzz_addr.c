/* Addresses: of listen and proxy_pass, of networks, and those that proxies put into
 * X-Forwarded-For. What is an address has a text that is the same address. */
#include "fuzz.h"
#include "http/forwarded.h"
#include "http/modules/proxy.h"

static void check_same(const bl_addr *addr)
{
    char text[BL_ADDR_TEXT];
    bl_addr again;
    size_t len = bl_addr_text(&addr->sa, addr->len, text);

    BL_ASSERT(bl_addr_parse_ip(bl_str_of(text, len), &again));
    BL_ASSERT(bl_addr_equal(&addr->sa, addr->len, &again.sa, again.len, false));
}

static void check_hostport(bl_str text)
{
    bl_hostport hp;

    if (bl_hostport_parse(text, 80, &hp) != NULL)
        return;
    BL_ASSERT(hp.port == -1 || (hp.port >= 1 && hp.port <= 65535));
    BL_ASSERT(fuzz_inside(hp.host, text) && (hp.host.len > 0 || hp.wildcard));
    if (!hp.is_ip || hp.is_unix)
        return;
    char form[BL_ADDR_TEXT];
    bl_hostport again;
    size_t len = bl_addr_text_port(&hp.addr.sa, hp.addr.len, form);
    BL_ASSERT(bl_hostport_parse(bl_str_of(form, len), 1, &again) == NULL && again.is_ip);
    BL_ASSERT(bl_addr_equal(&hp.addr.sa, hp.addr.len, &again.addr.sa, again.addr.len, true));
}

static void check_network(bl_str text)
{
    bl_cidr network, one;
    bl_addr addr;

    if (bl_cidr_parse(text, &network) == BL_CIDR_INVALID || network.family == AF_UNIX)
        return;
    BL_ASSERT(network.bits <= (network.family == AF_INET ? 32 : 128));
    ssize_t slash = bl_str_chr(text, '/');
    BL_ASSERT(bl_addr_parse_ip(slash < 0 ? text : bl_str_of(text.p, (size_t)slash), &addr));
    bool mapped = addr.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr.in6.sin6_addr);
    BL_ASSERT(mapped || bl_cidr_match(&network, &addr.sa));
    BL_ASSERT(bl_cidr_of(&addr.sa, &one) && bl_cidr_match(&one, &addr.sa));
}

/* With everybody trusted it ends at the first of the addresses, or at what is none. */
static void check_forwarded(bl_pool *pool, bl_str list)
{
    bl_array *all = bl_array_new(pool, sizeof(bl_cidr));
    bl_addr addr, last;

    BL_ASSERT(bl_cidr_parse(BL_STR("0.0.0.0/0"), bl_array_push(all)) == BL_CIDR_OK);
    BL_ASSERT(bl_cidr_parse(BL_STR("::/0"), bl_array_push(all)) == BL_CIDR_OK);
    BL_ASSERT(bl_addr_parse_ip(BL_STR("127.0.0.1"), &addr));
    last = addr;
    bool moved = bl_forwarded_follow(all, list, true, &addr);
    BL_ASSERT(moved == bl_forwarded_follow(all, list, false, &last));
    if (addr.sa.sa_family == AF_INET || addr.sa.sa_family == AF_INET6)
        check_same(&addr);
}

static void check_url(bl_str text)
{
    bl_proxy_url url;

    if (bl_proxy_url_parse(text, &url) != NULL)
        return;
    BL_ASSERT(fuzz_inside(url.authority, text) && fuzz_inside(url.uri, text));
    BL_ASSERT(url.host.len > 0 && fuzz_inside(url.host, url.authority));
    BL_ASSERT(url.port >= 0 && url.port <= 65535);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size));
    bl_addr addr;

    if (bl_addr_parse_ip(text, &addr))
        check_same(&addr);
    check_hostport(text);
    check_network(text);
    check_forwarded(pool, text);
    check_url(text);
    free(text.p);
    bl_pool_free(pool);
    return 0;
}
