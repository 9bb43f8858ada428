#include "unit.h"
#include "core/str.h"

START_TEST(equal_without_case)
{
    ck_assert(bl_str_ieq(BL_STR("Host"), BL_STR("hOST")));
    ck_assert(!bl_str_ieq(BL_STR("Host"), BL_STR("Hos")));
    ck_assert(!bl_str_eq(BL_STR("Host"), BL_STR("host")));
    ck_assert(bl_str_eq(BL_STR_NONE, BL_STR("")));
    ck_assert(bl_str_ieq(BL_STR_NONE, BL_STR("")) && bl_str_istarts(BL_STR_NONE, BL_STR("")));
    ck_assert(bl_str_ieq(BL_STR("Accept-Encoding"), BL_STR("aCCEPT-eNCODING")));
    ck_assert(!bl_str_ieq(BL_STR("[\\]^_`{|}~\x7f\xc1"), BL_STR("{|}~\x7f@[\\]^_\xe1")));
}
END_TEST

START_TEST(nul_is_a_byte)
{
    ck_assert(bl_str_ieq(BL_STR("a\0b"), BL_STR("A\0B")));
    ck_assert(!bl_str_ieq(BL_STR("a\0b"), BL_STR("a\0c")));
    ck_assert(!bl_str_ieq(BL_STR("example\0.org"), BL_STR("example\0.net")));
    ck_assert(!bl_str_istarts(BL_STR("a\0bc"), BL_STR("a\0c")));
    ck_assert_int_eq(bl_str_ifind(BL_STR("a\0b a\0C"), BL_STR("A\0c")), 4);
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

UNIT_MAIN("str", equal_without_case, nul_is_a_byte, find, trim, whole_numbers, writes_numbers)
