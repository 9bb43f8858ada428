#include "http/modules/not_modified.h"
#include "unit.h"

static bool has(const char *list, const char *etag, bool weak)
{
    return bl_not_modified_has_etag(bl_str_c(list), bl_str_c(etag), weak);
}

START_TEST(lists)
{
    ck_assert(has("\"a\"", "\"a\"", false));
    ck_assert(has("\"b\" , \"a\"", "\"a\"", false));
    ck_assert(has("*", "", false));
    ck_assert(!has("\"b\",\"c\"", "\"a\"", true));
    ck_assert(!has("\"ab\"", "\"a\"", true));
    ck_assert(!has("a", "\"a\"", true));
    ck_assert(!has("\"a\"", "", true));
    ck_assert(!has("", "\"a\"", true));
    ck_assert(!has("\"a", "\"a\"", true));
}
END_TEST

START_TEST(weak_tags)
{
    ck_assert(has("W/\"a\"", "\"a\"", true));
    ck_assert(has("\"a\"", "W/\"a\"", true));
    ck_assert(has("W/\"b\", W/\"a\"", "W/\"a\"", true));
    ck_assert(!has("W/\"a\"", "\"a\"", false));
    ck_assert(!has("W/\"a\"", "W/\"a\"", false));
    ck_assert(!has("\"a\"", "W/\"a\"", false));
}
END_TEST

UNIT_MAIN("not_modified", lists, weak_tags)
