#include "unit.h"
#include "event/cidr.h"

static bool in(const char *network, const char *address)
{
    bl_cidr cidr;
    bl_addr addr;

    ck_assert_int_ne(bl_cidr_parse(bl_str_c(network), &cidr), BL_CIDR_INVALID);
    ck_assert(bl_addr_parse_ip(bl_str_c(address), &addr));
    return bl_cidr_match(&cidr, &addr.sa);
}

START_TEST(networks)
{
    ck_assert(in("10.0.0.0/8", "10.255.0.1"));
    ck_assert(!in("10.0.0.0/8", "11.0.0.1"));
    ck_assert(in("192.168.1.128/25", "192.168.1.200"));
    ck_assert(!in("192.168.1.128/25", "192.168.1.127"));
    ck_assert(in("0.0.0.0/0", "1.2.3.4"));
    ck_assert(!in("0.0.0.0/0", "::1"));
    ck_assert(in("2001:db8::/33", "2001:db8:7fff::1"));
    ck_assert(!in("2001:db8::/33", "2001:db8:8000::1"));
    ck_assert(in("127.0.0.1", "::ffff:127.0.0.1"));
    ck_assert(in("::1", "::1"));
}
END_TEST

START_TEST(what_is_none)
{
    const char *none[] = {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::/129", "a.b/8", "10/8"};
    bl_cidr cidr;

    for (size_t i = 0; i < BL_COUNTOF(none); i++)
        ck_assert_msg(bl_cidr_parse(bl_str_c(none[i]), &cidr) == BL_CIDR_INVALID, "%s", none[i]);
    ck_assert_int_eq(bl_cidr_parse(BL_STR("10.1.1.1/8"), &cidr), BL_CIDR_LOW_BITS);
    ck_assert_int_eq(cidr.bytes[1], 0);
}
END_TEST

START_TEST(unix_sockets)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    bl_cidr cidr;

    ck_assert_int_eq(bl_cidr_parse(BL_STR("unix:"), &cidr), BL_CIDR_OK);
    ck_assert(bl_cidr_match(&cidr, (struct sockaddr *)&un));
    ck_assert(bl_cidr_of((struct sockaddr *)&un, &cidr));
    ck_assert_int_eq(cidr.family, AF_UNIX);
}
END_TEST

UNIT_MAIN("cidr", networks, what_is_none, unix_sockets)
