#include "http/modules/range.h"
#include "unit.h"

static bl_array ranges;

static bl_range_result parse(const char *value, off_t length, int64_t max)
{
    static bl_pool *pool;

    if (pool)
        bl_pool_free(pool);
    pool = bl_pool_new();
    bl_array_init(&ranges, pool, sizeof(bl_range));
    return bl_range_parse(bl_str_c(value), length, max, &ranges);
}

static void expect(uint32_t i, off_t from, off_t to)
{
    const bl_range *range = bl_array_at(&ranges, i);

    ck_assert_int_eq(range->from, from);
    ck_assert_int_eq(range->to, to);
}

START_TEST(one)
{
    ck_assert_int_eq(parse("bytes=0-0", 10, 9), BL_RANGE_OK);
    expect(0, 0, 1);
    ck_assert_int_eq(parse("bytes= 3 - ", 10, 9), BL_RANGE_OK);
    expect(0, 3, 10);
    ck_assert_int_eq(parse("bytes=-4", 10, 9), BL_RANGE_OK);
    expect(0, 6, 10);
    ck_assert_int_eq(parse("bytes=-40", 10, 9), BL_RANGE_OK);
    expect(0, 0, 10);
    ck_assert_int_eq(parse("bytes=5-9999999999", 10, 9), BL_RANGE_OK);
    expect(0, 5, 10);
}
END_TEST

START_TEST(several)
{
    ck_assert_int_eq(parse("bytes=0-1 , 4-5,-1", 10, 9), BL_RANGE_OK);
    ck_assert_uint_eq(ranges.count, 3);
    expect(2, 9, 10);
    ck_assert_int_eq(parse("bytes=0-1,20-30", 10, 9),
                     BL_RANGE_OK); /* what lies behind is left out */
    ck_assert_uint_eq(ranges.count, 1);
}
END_TEST

START_TEST(bad)
{
    static const char *const values[] = {
        "bytes=",     "bytes=-",    "bytes=a-b",
        "bytes=1",    "bytes=10-",  "bytes=20-30",
        "bytes=1-2;", "bytes=0-1,", "bytes=1-99999999999999999999999",
    };

    for (size_t i = 0; i < BL_COUNTOF(values); i++)
        ck_assert_msg(parse(values[i], 10, 9) == BL_RANGE_BAD, "%s", values[i]);
}
END_TEST

START_TEST(ignored)
{
    ck_assert_int_eq(parse("bytes=0-1,2-3", 10, 1), BL_RANGE_IGNORE);
    ck_assert_int_eq(parse("bytes=0-,0-", 10, 9), BL_RANGE_IGNORE);
    ck_assert_int_eq(parse("bytes=0-", 0, 9), BL_RANGE_IGNORE);
}
END_TEST

UNIT_MAIN("range", one, several, bad, ignored)
