/* Texts and numbers: what looks for or compares texts agrees with looking byte by byte; numbers of
 * the configuration are those of the C library, and come back from their text. */
#include "conf/conf.h"
#include "fuzz.h"

#include <errno.h>

static bool plain_ieq(bl_str a, bl_str b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++)
        if (bl_lower(a.p[i]) != bl_lower(b.p[i]))
            return false;
    return a.len == b.len;
}

static ssize_t plain_find(bl_str s, bl_str needle, bool caseless)
{
    for (size_t i = 0; i + needle.len <= s.len; i++) {
        bl_str part = bl_str_of(s.p + i, needle.len);
        if (caseless ? plain_ieq(part, needle) : bl_str_eq(part, needle))
            return (ssize_t)i;
    }
    return -1;
}

static void check_looking(bl_str s, bl_str needle)
{
    bl_str front = bl_str_of(s.p, BL_MIN(s.len, needle.len));

    BL_ASSERT(bl_str_find(s, needle) == plain_find(s, needle, false));
    BL_ASSERT(bl_str_ifind(s, needle) == plain_find(s, needle, true));
    BL_ASSERT(bl_str_ieq(front, needle) == plain_ieq(front, needle));
    BL_ASSERT(bl_str_istarts(s, needle) == plain_ieq(front, needle));
    BL_ASSERT((bl_str_cmp(s, needle) == 0) == bl_str_eq(s, needle));
    if (plain_ieq(front, needle))
        BL_ASSERT(bl_hash_lower(front.p, front.len) == bl_hash_lower(needle.p, needle.len));
}

/* A number that the C library finds in all of the text, if the text holds digits alone. */
static int64_t plain_number(bl_str s, int base)
{
    char copy[64], *end;

    if (s.len == 0 || s.len >= sizeof copy)
        return -1;
    for (size_t i = 0; i < s.len; i++)
        if (memchr("0123456789abcdefABCDEF", s.p[i], base == 10 ? 10 : 22) == NULL)
            return -1;
    memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    errno = 0;
    int64_t n = strtoll(copy, &end, base);
    return errno ? -1 : n;
}

static void check_numbers(bl_str s)
{
    char text[BL_U64_DIGITS];
    int64_t n = bl_str_to_int(s);

    if (s.len < 60) {
        BL_ASSERT(n == plain_number(s, 10));
        BL_ASSERT(bl_str_to_hex(s) == plain_number(s, 16));
    }
    if (n >= 0) {
        bl_str back = bl_str_of(text, (size_t)(bl_u64_write(text, (uint64_t)n) - text));
        BL_ASSERT(back.len <= s.len && bl_str_to_int(back) == n);
        BL_ASSERT(bl_conf_size(s) == n && bl_conf_off(s) == n && bl_conf_sec(s) == n);
    }
    BL_ASSERT(bl_conf_size(s) >= -1 && bl_conf_off(s) >= bl_conf_size(s));
    int64_t sec = bl_conf_sec(s), msec = bl_conf_msec(s);
    BL_ASSERT(sec >= -1 && msec >= -1);
    if (sec >= 0 && sec <= INT64_MAX / 1000)
        BL_ASSERT(msec == sec * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size), needle = fuzz_text(&in, 24);

    needle = fuzz_copy(needle);
    in = fuzz_copy(in);
    check_looking(in, needle);
    check_numbers(in);
    check_numbers(bl_str_trim(needle));
    free(needle.p);
    free(in.p);
    return 0;
}
