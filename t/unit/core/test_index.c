#include "core/index.h"
#include "unit.h"

enum {
    MANY = 5000
};

START_TEST(finds_what_was_added)
{
    static int things[MANY];
    bl_pool *pool = bl_pool_new();
    bl_index index;

    bl_index_init(&index, pool);
    ck_assert_ptr_null(bl_index_find(&index, BL_STR("7")));
    for (int i = 0; i < MANY; i++)
        bl_index_add(&index, bl_pool_printf(pool, "%d", i), &things[i]);
    for (int i = 0; i < MANY; i++)
        ck_assert_ptr_eq(bl_index_find(&index, bl_pool_printf(pool, "%d", i)), &things[i]);
    ck_assert_ptr_null(bl_index_find(&index, BL_STR("5000")));
    ck_assert_ptr_null(bl_index_find(&index, BL_STR("")));
    ck_assert_uint_eq(index.count, MANY);
    bl_pool_free(pool);
}
END_TEST

START_TEST(an_empty_key_is_one_too)
{
    bl_pool *pool = bl_pool_new();
    bl_index index;
    int thing;

    bl_index_init(&index, pool);
    bl_index_add(&index, BL_STR(""), &thing);
    ck_assert_ptr_eq(bl_index_find(&index, BL_STR("")), &thing);
    ck_assert_ptr_null(bl_index_find(&index, BL_STR("a")));
    bl_pool_free(pool);
}
END_TEST

UNIT_MAIN("index", finds_what_was_added, an_empty_key_is_one_too)
