#include "unit.h"
#include "event/ocsp.h"

START_TEST(urls)
{
    bl_str host, path;
    int port;

    ck_assert(bl_ocsp_url(BL_STR("http://a.test:81/x/y"), &host, &port, &path) == NULL);
    ck_assert(bl_str_eq(host, BL_STR("a.test")) && bl_str_eq(path, BL_STR("/x/y")));
    ck_assert_int_eq(port, 81);
    ck_assert(bl_ocsp_url(BL_STR("HTTP://[::1]"), &host, &port, &path) == NULL);
    ck_assert(bl_str_eq(path, BL_STR("/")));
    ck_assert_int_eq(port, 80);
    ck_assert(bl_ocsp_url(BL_STR("https://a.test/"), &host, &port, &path) != NULL);
    ck_assert(bl_ocsp_url(BL_STR("http:///x"), &host, &port, &path) != NULL);
    ck_assert(bl_ocsp_url(BL_STR("http://a.test:99999/"), &host, &port, &path) != NULL);
    ck_assert(bl_ocsp_url(BL_STR("http://unix:/x"), &host, &port, &path) != NULL);
}
END_TEST

static const char *parse(const char *text, bl_str *body, bool *more)
{
    *body = BL_STR_NONE;
    return bl_ocsp_parse(bl_str_c(text), body, more);
}

START_TEST(responses)
{
    bl_str body;
    bool more;

    ck_assert(parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\nxyz", &body, &more) == NULL);
    ck_assert(bl_str_eq(body, BL_STR("xyz")) && more);
    ck_assert(parse("HTTP/1.1 200\nContent-Length: 2\n\nxyz", &body, &more) == NULL);
    ck_assert(bl_str_eq(body, BL_STR("xy")) && !more);
    ck_assert(parse("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nxyz", &body, &more) == NULL);
    ck_assert(more);
    for (const char *part = "HTTP/1.0 200 OK\r\nA: b\r\n"; *part; part++)
        ck_assert(parse("HTTP/1.0 200 OK\r\nA: b\r\n", &body, &more) == NULL && more);
    ck_assert(body.p == NULL);
}
END_TEST

START_TEST(what_is_none)
{
    const char *none[] = {
        "HTTP/1.0 404 Not Found\r\n\r\n",
        "HTTP/1.0 2000 OK\r\n\r\n",
        "\n",
        "HTTP/1.0 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n",
    };
    bl_str body;
    bool more;

    for (size_t i = 0; i < BL_COUNTOF(none); i++)
        ck_assert_msg(parse(none[i], &body, &more) != NULL, "%s", none[i]);
}
END_TEST

UNIT_MAIN("ocsp", urls, responses, what_is_none)
