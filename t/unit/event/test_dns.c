#include "unit.h"
#include "event/dns.h"

#include <arpa/inet.h>

static bl_pool *pool;

static void setup(void)
{
    pool = bl_pool_new();
}

static bl_str query(const char *name, uint16_t type)
{
    uint8_t *to = (uint8_t *)bl_pool_bytes(pool, BL_DNS_QUERY_MAX);

    return bl_str_of((char *)to, bl_dns_query(to, 0x1234, bl_str_c(name), type));
}

static bool parse(const char *bytes, size_t len, bl_dns_answer *answer)
{
    return bl_dns_parse(pool, bl_str_of(bytes, len), answer);
}

#define PARSE(literal, answer) parse(literal, sizeof(literal) - 1, answer)

static void collect(void *data, const bl_dns_record *record)
{
    char text[64];

    inet_ntop(AF_INET, &record->a, text, sizeof text);
    strcat(strcat(data, text), " ");
}

START_TEST(queries)
{
    setup();
    bl_str q = query("a.test", BL_DNS_AAAA);
    static const char expected[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\4test\0\0\34\0\1";
    ck_assert(bl_str_eq(q, bl_str_of(expected, sizeof expected - 1)));
    ck_assert(bl_str_eq(query("a.test.", BL_DNS_AAAA), q));
}
END_TEST

START_TEST(names_that_cannot_be)
{
    char label[70] = "", name[300] = "";

    setup();
    memset(label, 'x', 63);
    ck_assert_uint_ne(query(label, 1).len, 0);
    label[63] = 'x';
    ck_assert_uint_eq(query(label, 1).len, 0);
    for (int i = 0; i < 126; i++)
        strcat(name, "a.");
    strcat(name, "bcd");
    ck_assert_uint_eq(strlen(name), 255);
    ck_assert_uint_ne(query(name, 1).len, 0);
    ck_assert_uint_eq(query(strcat(name, "e"), 1).len, 0);
    ck_assert_uint_eq(query("", 1).len, 0);
    ck_assert_uint_eq(query(".", 1).len, 0);
    ck_assert_uint_eq(query("a..b", 1).len, 0);
    ck_assert_uint_eq(query(".a", 1).len, 0);
    ck_assert_uint_eq(query("a..", 1).len, 0);
}
END_TEST

#define HEAD(flags, answers) "\x12\x34" flags "\0\1\0" answers "\0\0\0\0"
#define ASKED_A              "\1a\4test\0\0\1\0\1"
#define A(owner, ttl, addr)  owner "\0\1\0\1\0\0\0" ttl "\0\4" addr

START_TEST(addresses)
{
    bl_dns_answer answer;
    char found[100] = "";
    uint32_t ttl = UINT32_MAX;
    bl_str last;

    setup();
    ck_assert(PARSE(HEAD("\x81\x80", "\2") ASKED_A A("\xc0\x0c", "\x3c", "\x7f\0\0\1")
                        A("\1A\4TEST\0", "\x1e", "\x7f\0\0\2"),
                    &answer));
    ck_assert_uint_eq(answer.id, 0x1234);
    ck_assert_int_eq(answer.code, 0);
    ck_assert(bl_str_eq(answer.name, BL_STR("a.test")));
    ck_assert_uint_eq(answer.count, 2);
    ck_assert_uint_eq(bl_dns_follow(&answer, BL_STR("A.test"), &last, &ttl, collect, found), 2);
    ck_assert_str_eq(found, "127.0.0.1 127.0.0.2 ");
    ck_assert_uint_eq(ttl, 30);
}
END_TEST

/* a.test is another name of b.test, whose address is in the answer, or is not. */
START_TEST(aliases)
{
    static const char whole[] = HEAD("\x81\x80", "\2") ASKED_A
        "\xc0\x0c\0\5\0\1\0\0\0\5\0\4\1b\xc0\x0e" A("\xc0\x24", "\x3c", "\x7f\0\0\3");
    static const char half[] =
        HEAD("\x81\x80", "\1") ASKED_A "\xc0\x0c\0\5\0\1\0\0\0\5\0\4\1b\xc0\x0e";
    static const char circle[] =
        HEAD("\x81\x80", "\1") ASKED_A "\xc0\x0c\0\5\0\1\0\0\0\5\0\2\xc0\x0c";
    bl_dns_answer answer;
    char found[100] = "";
    uint32_t ttl = UINT32_MAX;
    bl_str last;

    setup();
    ck_assert(PARSE(whole, &answer));
    ck_assert_uint_eq(bl_dns_follow(&answer, answer.name, &last, &ttl, collect, found), 1);
    ck_assert_str_eq(found, "127.0.0.3 ");
    ck_assert_uint_eq(ttl, 5);
    ck_assert(PARSE(half, &answer));
    ck_assert_uint_eq(bl_dns_follow(&answer, answer.name, &last, &ttl, collect, found), 0);
    ck_assert(bl_str_eq(last, BL_STR("b.test")));
    ck_assert(PARSE(circle, &answer));
    ck_assert_uint_eq(bl_dns_follow(&answer, answer.name, &last, &ttl, collect, found), 0);
    ck_assert(bl_str_eq(last, answer.name));
}
END_TEST

START_TEST(services)
{
    static const char text[] =
        HEAD("\x81\x80", "\1") "\2_x\4_tcp\1a\4test\0\0\x21\0\1"
                               "\xc0\x0c\0\x21\0\1\0\0\0\x3c\0\x0e\0\x0a\0\5\x1f\x90\1b\4test\0";
    bl_dns_answer answer;

    setup();
    ck_assert(PARSE(text, &answer));
    ck_assert_uint_eq(answer.count, 1);
    ck_assert(bl_str_eq(answer.records[0].target, BL_STR("b.test")));
    ck_assert_int_eq(answer.records[0].priority, 10);
    ck_assert_int_eq(answer.records[0].weight, 5);
    ck_assert_int_eq(answer.records[0].port, 8080);
}
END_TEST

START_TEST(what_is_no_answer)
{
    bl_dns_answer answer;

    setup();
    ck_assert(!PARSE("", &answer));
    ck_assert(!PARSE(HEAD("\1\0", "\0") ASKED_A, &answer));                 /* a query */
    ck_assert(!PARSE("\x12\x34\x81\x80\0\2\0\0\0\0\0\0" ASKED_A, &answer)); /* two questions */
    ck_assert(!PARSE(HEAD("\x81\x80", "\0") "\xc0\x0c\0\1\0\1", &answer));  /* points at itself */
    ck_assert(!PARSE(HEAD("\x81\x80", "\0") "\1a\4te", &answer));
    ck_assert(!PARSE(HEAD("\x81\x80", "\0") "\3a.b\0\0\1\0\1", &answer)); /* a dot in a label */
    ck_assert(!PARSE(HEAD("\x81\x80", "\1") ASKED_A "\xc0\x0c\0\1\0\1\0\0\0\5\0\5\1\2\3\4",
                     &answer)); /* longer than the message */
    ck_assert(PARSE(HEAD("\x83\x80", "\1") ASKED_A, &answer));
    ck_assert(answer.truncated);
    ck_assert(PARSE(HEAD("\x81\x83", "\0") ASKED_A, &answer));
    ck_assert_int_eq(answer.code, 3);
}
END_TEST

UNIT_MAIN("dns", queries, names_that_cannot_be, addresses, aliases, services, what_is_no_answer)
