#include "http/section.h"
#include "unit.h"

#include <stdio.h>

static bl_pool *pool;
static bl_header *known[BL_H_COUNT];

/* Cuts plain lines "Name: value" up, as the codec does. */
static void cut(bl_headers *headers, char *text)
{
    bl_headers_init(headers, known);
    for (char *at = text; *at != '\r'; at = strchr(at, '\n') + 1) {
        char *colon = strchr(at, ':'), *end = strchr(at, '\r');
        bl_headers_add(headers, pool, bl_str_of(at, (size_t)(colon - at)),
                       bl_str_of(colon + 2, (size_t)(end - colon - 2)));
    }
}

static bool recall(bl_headers *headers, const char *text)
{
    bl_headers_init(headers, known);
    return bl_section_recall(headers, pool, bl_pool_str(pool, bl_str_c(text)));
}

static void come(const char *text, int times)
{
    bl_headers headers;
    bl_str section = bl_pool_str(pool, bl_str_c(text));

    while (times-- > 0) {
        cut(&headers, section.p);
        bl_section_remember(&headers, section);
    }
}

static bool is(const bl_header *h, const char *name, const char *value)
{
    return h && bl_str_eq(h->name, bl_str_c(name)) && bl_str_eq(h->value, bl_str_c(value));
}

START_TEST(comes_twice)
{
    static const char text[] = "Host: a\r\nX-Other: \r\nCookie: b=1\r\ncookie: c=2\r\n\r\n";
    bl_headers h;

    pool = bl_pool_new();
    ck_assert(!recall(&h, text));
    come(text, 1);
    ck_assert(!recall(&h, text));
    come(text, 1);
    ck_assert(recall(&h, text));
    ck_assert_uint_eq(h.count, 4);
    ck_assert(is(h.first, "Host", "a"));
    ck_assert(is(h.first->next, "X-Other", ""));
    ck_assert(is(bl_headers_known(&h, BL_H_COOKIE), "Cookie", "b=1"));
    ck_assert(is(bl_headers_find(&h, BL_STR("COOKIE"), bl_headers_known(&h, BL_H_COOKIE)), "cookie",
                 "c=2"));
    ck_assert_ptr_null(bl_headers_known(&h, BL_H_RANGE));

    /* it is a list like any other */
    bl_headers_remove(&h, BL_STR("cookie"));
    bl_headers_add(&h, pool, BL_STR("Range"), BL_STR("x"));
    ck_assert_uint_eq(h.count, 3);
    ck_assert(is(bl_headers_known(&h, BL_H_RANGE), "Range", "x"));
    ck_assert(recall(&h, text));
    ck_assert_uint_eq(h.count, 4);
    bl_pool_free(pool);
}
END_TEST

START_TEST(nothing_else)
{
    bl_headers h;

    pool = bl_pool_new();
    come("Host: one\r\nAccept: text/html\r\n\r\n", 2);
    ck_assert(recall(&h, "Host: one\r\nAccept: text/html\r\n\r\n"));
    ck_assert(!recall(&h, "Host: one\r\nAccept: text/htmx\r\n\r\n"));
    ck_assert(!recall(&h, "Host: one\r\nAccept: text/html\r\n\r\nGET"));
    ck_assert(!recall(&h, "Host: one\r\nAccept: text/html\r\n"));
    ck_assert(!recall(&h, "host: one\r\nAccept: text/html\r\n\r\n"));
    ck_assert(!recall(&h, "\r\n\r\n"));
    ck_assert(!recall(&h, "\r\n"));
    ck_assert(!recall(&h, ""));
    bl_pool_free(pool);
}
END_TEST

START_TEST(too_many)
{
    bl_headers h;
    char text[70 * 8 + 3] = "";

    pool = bl_pool_new();
    for (int i = 0; i < 70; i++)
        strcat(text, "X: yz\r\n");
    strcat(text, "\r\n");
    come(text, 3);
    ck_assert(!recall(&h, text));
    bl_pool_free(pool);
}
END_TEST

/* Among thousands that come once or twice, what keeps coming is still found. */
START_TEST(crowd)
{
    static const char mine[] = "Host: mine\r\nX-Client: 1234567890\r\n\r\n";
    bl_headers h;
    char text[80];
    int found = 0;

    pool = bl_pool_new();
    come(mine, 2);
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "Host: h%d\r\nX-Client: %d\r\n\r\n", i, i * 7919);
        come(text, 1 + i % 2);
        found += recall(&h, mine);
        ck_assert(!recall(&h, text) || is(h.first, "Host", bl_pool_printf(pool, "h%d", i).p));
    }
    ck_assert_int_gt(found, 4000);
    bl_pool_free(pool);
}
END_TEST

UNIT_MAIN("section", comes_twice, nothing_else, too_many, crowd)
