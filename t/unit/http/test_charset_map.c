#include "http/modules/charset_map.h"
#include "unit.h"

static char text[256];

static const char *recode(const bl_charset_map *map, bl_charset_state *state, const char *s)
{
    bl_str in = bl_str_c(s);

    ck_assert_uint_le(bl_charset_map_room(map, in.len), sizeof text);
    *bl_charset_map_recode(map, state, in, text) = '\0';
    return text;
}

START_TEST(bytes)
{
    bl_pool *pool = bl_pool_new();
    bl_charset_map *map = bl_charset_map_new(pool, false, false);
    bl_charset_state state = {0};

    ck_assert(bl_charset_map_add(map, BL_STR("\xc1"), BL_STR("\xe1")));
    ck_assert(!bl_charset_map_add(map, BL_STR("ab"), BL_STR("c")));
    ck_assert_str_eq(recode(map, &state, "a\xc1\xc2z"), "a\xe1?z");
    ck_assert(bl_charset_map_keeps_length(map));
    bl_pool_free(pool);
}
END_TEST

START_TEST(to_utf8)
{
    bl_pool *pool = bl_pool_new();
    bl_charset_map *map = bl_charset_map_new(pool, false, true);
    bl_charset_state state = {0};

    ck_assert(bl_charset_map_add(map, BL_STR("\xc1"), BL_STR("\xd0\xb0")));
    ck_assert(!bl_charset_map_add(map, BL_STR("\xc2"), BL_STR("\xd0")));
    ck_assert_str_eq(recode(map, &state, "a\xc1\xc2"), "a\xd0\xb0?");
    bl_pool_free(pool);
}
END_TEST

START_TEST(from_utf8_in_pieces)
{
    bl_pool *pool = bl_pool_new();
    bl_charset_map *map = bl_charset_map_new(pool, true, false);
    bl_charset_state state = {0};

    ck_assert(bl_charset_map_add(map, BL_STR("\xd0\xb0"), BL_STR("\xc1")));
    ck_assert_str_eq(recode(map, &state, "a\xd0"), "a");
    ck_assert_str_eq(recode(map, &state,
                            "\xb0"
                            "b\xe2"),
                     "\xc1"
                     "b");
    ck_assert_str_eq(recode(map, &state, "\x82"), "");
    ck_assert_str_eq(recode(map, &state, "\xac."), "&#8364;.");
    ck_assert_str_eq(recode(map, &state, "\xd0z\xff\xf0\x9f\x8c\x99"), "?z?&#127769;");
    bl_pool_free(pool);
}
END_TEST

UNIT_MAIN("charset_map", bytes, to_utf8, from_utf8_in_pieces)
