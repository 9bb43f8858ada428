#include "unit.h"
#include "event/proxy_protocol.h"

#include <stdio.h>
#include <unistd.h>

static bl_pool *pool;

static ssize_t parse(const char *bytes, size_t len, bl_proxy_protocol *pp)
{
    pool = bl_pool_new();
    memset(pp, 0, sizeof *pp);
    return bl_proxy_protocol_parse(pool, bl_str_of(bytes, len), pp);
}

#define PARSE(literal, pp) parse(literal, sizeof(literal) - 1, pp)
#define SIGNATURE          "\r\n\r\n\0\r\nQUIT\n"
#define TCP4_PAIR          "\xc0\0\2\1\xc0\0\2\2\0\x7b\x16\x2e"

START_TEST(version_1)
{
    bl_proxy_protocol pp;

    ck_assert_int_eq(PARSE("PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\nGET", &pp), 41);
    ck_assert(bl_str_eq(pp.src_addr, BL_STR("192.0.2.1")));
    ck_assert(bl_str_eq(pp.dst_addr, BL_STR("192.0.2.2")));
    ck_assert_int_eq(pp.src_port, 123);
    ck_assert_int_eq(pp.dst_port, 5678);
    ck_assert_int_eq(PARSE("PROXY TCP6 2001:Db8::1 ::1 1 65535\r\n", &pp), 36);
    ck_assert(bl_str_eq(pp.src_addr, BL_STR("2001:Db8::1")));
    ck_assert_int_eq(PARSE("PROXY UNKNOWN\r\n", &pp), 15);
    ck_assert_uint_eq(pp.src_addr.len, 0);
    ck_assert_int_eq(PARSE("PROXY UNKNOWN 1 2 3\r\n", &pp), 21);
}
END_TEST

START_TEST(not_whole)
{
    static const char whole[] = "PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n";
    static const char v2[] = SIGNATURE "\x21\x11\0\x0c" TCP4_PAIR;
    bl_proxy_protocol pp;

    for (size_t i = 0; i < sizeof whole - 1; i++)
        ck_assert_int_eq(parse(whole, i, &pp), 0);
    for (size_t i = 0; i < sizeof v2 - 1; i++)
        ck_assert_int_eq(parse(v2, i, &pp), 0);
}
END_TEST

START_TEST(malformed)
{
    static const char *lines[] = {
        "GET / HTTP/1.0\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 123 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 123\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2 123 1\r\n",
        "PROXY TCP4 ::1 ::1 123 1\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 123 1\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 123 1\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 123 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 1\r\n",
        "PROXY UNKNOWNX\r\n",
    };
    bl_proxy_protocol pp;
    char longer[200];

    for (size_t i = 0; i < BL_COUNTOF(lines); i++)
        ck_assert_msg(parse(lines[i], strlen(lines[i]), &pp) == -1, "%s", lines[i]);
    memset(longer, ' ', sizeof longer);
    memcpy(longer, "PROXY UNKNOWN", 13);
    ck_assert_int_eq(parse(longer, 106, &pp), 0);
    ck_assert_int_eq(parse(longer, 107, &pp), -1);
    ck_assert_int_eq(PARSE(SIGNATURE "\x31\x11\0\x0c" TCP4_PAIR, &pp), -1); /* version 3 */
    ck_assert_int_eq(PARSE(SIGNATURE "\x22\x11\0\x0c" TCP4_PAIR, &pp), -1); /* command 2 */
    ck_assert_int_eq(PARSE(SIGNATURE "\x21\x11\0\x0b" TCP4_PAIR, &pp), -1); /* too short */
}
END_TEST

START_TEST(version_2)
{
    bl_proxy_protocol pp;
    bl_str value;

    ck_assert_int_eq(PARSE(SIGNATURE "\x21\x11\0\x22" TCP4_PAIR "\1\0\2h2"
                                     "\x20\0\x0e\1\0\0\0\0\x22\0\6a.test!",
                           &pp),
                     16 + 0x22);
    ck_assert(bl_str_eq(pp.src_addr, BL_STR("192.0.2.1")));
    ck_assert_int_eq(pp.src_port, 123);
    ck_assert(bl_proxy_protocol_tlv(&pp, 1, 0, &value));
    ck_assert(bl_str_eq(value, BL_STR("h2")));
    ck_assert(bl_proxy_protocol_tlv(&pp, 0x20, 0x22, &value));
    ck_assert(bl_str_eq(value, BL_STR("a.test")));
    ck_assert(!bl_proxy_protocol_tlv(&pp, 0x20, 0x21, &value));
    ck_assert(!bl_proxy_protocol_tlv(&pp, 2, 0, &value));
    ck_assert_int_eq(PARSE(SIGNATURE "\x20\x11\0\x0c" TCP4_PAIR, &pp), 28); /* LOCAL */
    ck_assert_uint_eq(pp.src_addr.len, 0);
    ck_assert_int_eq(PARSE(SIGNATURE "\x21\0\0\0", &pp), 16); /* UNSPEC */
}
END_TEST

static void nothing(bl_io *io BL_UNUSED)
{
}

START_TEST(written)
{
    int pair[2];
    char line[128];

    ck_assert(bl_loop_open(NULL, 16));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    bl_conn *c = bl_conn_new(pair[0]);
    c->io.on_read = c->io.on_write = nothing;
    size_t len = bl_proxy_protocol_write(c, line);
    ck_assert(bl_str_eq(bl_str_of(line, len), BL_STR("PROXY UNKNOWN\r\n")));

    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    local.sin6_addr.s6_addr[15] = 1;
    c->local = (struct sockaddr *)&local;
    c->peer.in.sin_family = AF_INET;
    c->peer.in.sin_addr.s_addr = htonl(0xc0000201);
    c->peer.in.sin_port = htons(123);
    len = bl_proxy_protocol_write(c, line);
    ck_assert(
        bl_str_eq(bl_str_of(line, len), BL_STR("PROXY TCP6 ::ffff:192.0.2.1 ::1 123 443\r\n")));
}
END_TEST

UNIT_MAIN("proxy_protocol", version_1, not_whole, malformed, version_2, written)
