#include "event/cidr.h"

/* The address's bytes as IPv4 where it is one in disguise. NULL: neither IPv4 nor IPv6. */
static const uint8_t *address_bytes(const struct sockaddr *sa, sa_family_t *family)
{
    *family = sa->sa_family;
    if (sa->sa_family == AF_INET)
        return (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    if (sa->sa_family != AF_INET6)
        return NULL;
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    if (!IN6_IS_ADDR_V4MAPPED(in6))
        return in6->s6_addr;
    *family = AF_INET;
    return in6->s6_addr + 12;
}

static uint8_t byte_mask(unsigned bits)
{
    return (uint8_t)(0xff00 >> BL_MIN(bits, 8u));
}

/* Clears what lies behind the network's bits; true when something was there. */
static bool clear_low(bl_cidr *network, unsigned length)
{
    bool cleared = false;

    for (unsigned i = 0; i < length; i++) {
        uint8_t mask = network->bits > 8 * i ? byte_mask(network->bits - 8 * i) : 0;
        cleared |= (network->bytes[i] & ~mask) != 0;
        network->bytes[i] &= mask;
    }
    return cleared;
}

bl_cidr_result bl_cidr_parse(bl_str text, bl_cidr *to)
{
    ssize_t slash = bl_str_chr(text, '/');
    bl_str ip = slash < 0 ? text : bl_str_of(text.p, (size_t)slash);
    bl_addr addr;

    *to = (bl_cidr){.family = AF_UNIX};
    if (bl_str_eq(text, BL_STR("unix:")))
        return BL_CIDR_OK;
    if (!bl_addr_parse_ip(ip, &addr))
        return BL_CIDR_INVALID;
    bool is6 = addr.sa.sa_family == AF_INET6;
    unsigned length = is6 ? 16 : 4;
    memcpy(to->bytes, is6 ? (void *)&addr.in6.sin6_addr : (void *)&addr.in.sin_addr, length);
    to->family = addr.sa.sa_family;
    to->bits = (uint8_t)(8 * length);
    if (slash < 0)
        return BL_CIDR_OK;
    int64_t bits = bl_str_to_int(bl_str_of(ip.p + ip.len + 1, text.len - ip.len - 1));
    if (bits < 0 || bits > 8 * length)
        return BL_CIDR_INVALID;
    to->bits = (uint8_t)bits;
    return clear_low(to, length) ? BL_CIDR_LOW_BITS : BL_CIDR_OK;
}

bool bl_cidr_match(const bl_cidr *network, const struct sockaddr *sa)
{
    sa_family_t family;
    const uint8_t *bytes = address_bytes(sa, &family);

    if (family != network->family)
        return false;
    if (bytes == NULL)
        return true;
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] & byte_mask(rest)) == network->bytes[whole];
}

bool bl_cidr_of(const struct sockaddr *sa, bl_cidr *to)
{
    sa_family_t family;
    const uint8_t *bytes = address_bytes(sa, &family);

    if (bytes == NULL && family != AF_UNIX)
        return false;
    *to = (bl_cidr){.family = family};
    if (bytes == NULL)
        return true;
    unsigned length = family == AF_INET ? 4 : 16;
    to->bits = (uint8_t)(8 * length);
    memcpy(to->bytes, bytes, length);
    return true;
}
