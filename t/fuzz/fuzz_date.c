/* Dates of HTTP: any text is a time or none; a time's own text means that time, and the C library
 * means the same by it. */
#include "core/time.h"
#include "fuzz.h"

static void check_text(bl_str text)
{
    char form[BL_TIME_HTTP_LEN + 1] = "", expected[40];
    time_t t = bl_time_parse_http(text);
    struct tm tm;

    BL_ASSERT(t >= -1 && t <= 253402300799); /* the end of the year 9999 */
    if (t < 0)
        return;
    BL_ASSERT(bl_time_http(form, t) == form + BL_TIME_HTTP_LEN);
    BL_ASSERT(bl_time_parse_http(bl_str_of(form, BL_TIME_HTTP_LEN)) == t);
    gmtime_r(&t, &tm);
    strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    BL_ASSERT(strcmp(form, expected) == 0);
}

/* Times of all kinds: what can't be said becomes the nearest that can. */
static void check_time(bl_str in)
{
    char form[BL_TIME_HTTP_LEN], cookie[BL_TIME_HTTP_LEN];
    int64_t t = 0;

    memcpy(&t, in.p, BL_MIN(in.len, sizeof t));
    bl_time_http(form, (time_t)t);
    BL_ASSERT(bl_time_cookie(cookie, (time_t)t) <= cookie + sizeof cookie);
    if (t >= 0 && t <= 253402300799)
        BL_ASSERT(bl_time_parse_http(bl_str_of(form, sizeof form)) == t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size));

    check_text(text);
    check_time(text);
    free(text.p);
    return 0;
}
