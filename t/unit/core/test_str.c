#include "unit.h"
#include "core/str.h"

START_TEST(equal_without_case)
{
    ck_assert(bl_str_ieq(BL_STR("Host"), BL_STR("hOST")));
    ck_assert(!bl_str_ieq(BL_STR("Host"), BL_STR("Hos")));
    ck_assert(!bl_str_eq(BL_STR("Host"), BL_STR("host")));
    ck_assert(bl_str_eq(BL_STR_NONE, BL_STR("")));
}
END_TEST

START_TEST(find)
{
    ck_assert_int_eq(bl_str_find(BL_STR("ababc"), BL_STR("abc")), 2);
    ck_assert_int_eq(bl_str_find(BL_STR("ab"), BL_STR("abc")), -1);
    ck_assert_int_eq(bl_str_ifind(BL_STR("xxChunked"), BL_STR("chunked")), 2);
    ck_assert_int_eq(bl_str_chr(BL_STR("a=b"), '='), 1);
    ck_assert_int_eq(bl_str_chr(BL_STR("a=b"), ';'), -1);
}
END_TEST

START_TEST(trim)
{
    ck_assert(bl_str_eq(bl_str_trim(BL_STR(" \ta b\t ")), BL_STR("a b")));
    ck_assert(bl_str_eq(bl_str_trim(BL_STR(" \t ")), BL_STR("")));
}
END_TEST

START_TEST(whole_numbers)
{
    ck_assert_int_eq(bl_str_to_int(BL_STR("0")), 0);
    ck_assert_int_eq(bl_str_to_int(BL_STR("9223372036854775807")), INT64_MAX);
    ck_assert_int_eq(bl_str_to_int(BL_STR("9223372036854775808")), -1);
    ck_assert_int_eq(bl_str_to_int(BL_STR("")), -1);
    ck_assert_int_eq(bl_str_to_int(BL_STR("-1")), -1);
    ck_assert_int_eq(bl_str_to_int(BL_STR("1x")), -1);
    ck_assert_int_eq(bl_str_to_hex(BL_STR("fF")), 255);
    ck_assert_int_eq(bl_str_to_hex(BL_STR("7fffffffffffffff")), INT64_MAX);
    ck_assert_int_eq(bl_str_to_hex(BL_STR("8000000000000000")), -1);
}
END_TEST

START_TEST(writes_numbers)
{
    char buffer[20];
    char *end = bl_u64_write(buffer, UINT64_MAX);

    ck_assert(bl_str_eq(bl_str_of(buffer, (size_t)(end - buffer)), BL_STR("18446744073709551615")));
    end = bl_u64_write(buffer, 0);
    ck_assert(bl_str_eq(bl_str_of(buffer, (size_t)(end - buffer)), BL_STR("0")));
}
END_TEST

UNIT_MAIN("str", equal_without_case, find, trim, whole_numbers, writes_numbers)
