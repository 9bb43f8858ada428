#include "unit.h"
#include "conf/conf.h"

static int64_t size(const char *s)
{
    return bl_conf_size(bl_str_c(s));
}

static int64_t off(const char *s)
{
    return bl_conf_off(bl_str_c(s));
}

static int64_t msec(const char *s)
{
    return bl_conf_msec(bl_str_c(s));
}

static int64_t sec(const char *s)
{
    return bl_conf_sec(bl_str_c(s));
}

START_TEST(sizes)
{
    ck_assert_int_eq(size("0"), 0);
    ck_assert_int_eq(size("17"), 17);
    ck_assert_int_eq(size("8k"), 8192);
    ck_assert_int_eq(size("8K"), 8192);
    ck_assert_int_eq(size("1m"), 1048576);
    ck_assert_int_eq(size("1g"), -1);
    ck_assert_int_eq(off("1g"), 1073741824);
    ck_assert_int_eq(off("2G"), 2147483648);
}
END_TEST

START_TEST(sizes_that_are_none)
{
    const char *none[] = {
        "", "k", "-1", "1kk", "1.5k", "1 k", "x", "9223372036854775807k", "9223372036854775808"};

    for (size_t i = 0; i < BL_COUNTOF(none); i++) {
        ck_assert_msg(size(none[i]) == -1, "%s", none[i]);
        ck_assert_msg(off(none[i]) == -1, "%s", none[i]);
    }
}
END_TEST

START_TEST(times)
{
    ck_assert_int_eq(msec("0"), 0);
    ck_assert_int_eq(msec("5"), 5000);
    ck_assert_int_eq(msec("500ms"), 500);
    ck_assert_int_eq(msec("75s"), 75000);
    ck_assert_int_eq(msec("1m30s"), 90000);
    ck_assert_int_eq(msec("1m 30s"), 90000);
    ck_assert_int_eq(msec("1m30"), 90000);
    ck_assert_int_eq(msec("1h1ms"), 3600001);
    ck_assert_int_eq(sec("1y1M1w1d1h1m1s"), 31536000 + 2592000 + 604800 + 86400 + 3600 + 60 + 1);
    ck_assert_int_eq(sec("30"), 30);
}
END_TEST

START_TEST(times_that_are_none)
{
    const char *none[] = {"",
                          "s",
                          "1x",
                          "1s1m",
                          "1m1m",
                          "1 1",
                          "-1s",
                          "1s ms",
                          "ms",
                          "9223372036854775807y",
                          "9223372036854775807"};

    for (size_t i = 0; i < BL_COUNTOF(none); i++)
        ck_assert_msg(msec(none[i]) == -1, "%s", none[i]);
    ck_assert_int_eq(sec("5ms"), -1);
}
END_TEST

UNIT_MAIN("value", sizes, sizes_that_are_none, times, times_that_are_none)
