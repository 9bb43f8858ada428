#include "unit.h"
#include "os/environ.h"

static bl_array *names(bl_pool *pool, const char *a, const char *b)
{
    bl_array *array = bl_array_new(pool, sizeof(bl_str));

    *(bl_str *)bl_array_push(array) = bl_str_c(a);
    *(bl_str *)bl_array_push(array) = bl_str_c(b);
    return array;
}

START_TEST(chooses)
{
    bl_pool *pool = bl_pool_new();

    setenv("KEPT", "yes", 1);
    setenv("DROPPED", "no", 1);
    bl_environ_init();
    bl_environ_set(names(pool, "KEPT", "GIVEN=value"));
    ck_assert_str_eq(getenv("KEPT"), "yes");
    ck_assert_str_eq(getenv("GIVEN"), "value");
    ck_assert_ptr_null(getenv("DROPPED"));
    ck_assert_str_eq(bl_environ_original(BL_STR("DROPPED")), "no");

    bl_environ_set(names(pool, "DROPPED", "NEVER_THERE"));
    ck_assert_str_eq(getenv("DROPPED"), "no");
    ck_assert_ptr_null(getenv("KEPT"));
    ck_assert_ptr_null(getenv("NEVER_THERE"));
    bl_pool_free(pool);
}
END_TEST

START_TEST(for_another_program)
{
    bl_pool *pool = bl_pool_new();
    int given = 0, kept = 0;

    setenv("NGINX", "1;", 1);
    setenv("NGINX_ELSE", "x", 1);
    bl_environ_init();
    for (char **e = bl_environ_with(pool, "NGINX=5;6;"); *e; e++) {
        given += strncmp(*e, "NGINX=", 6) == 0;
        kept += strcmp(*e, "NGINX=5;6;") == 0 || strcmp(*e, "NGINX_ELSE=x") == 0;
    }
    ck_assert_int_eq(given, 1);
    ck_assert_int_eq(kept, 2);
    bl_pool_free(pool);
}
END_TEST

UNIT_MAIN("environ", chooses, for_another_program)
