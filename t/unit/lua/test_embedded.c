#include "unit.h"
#include "lua/embedded.h"

START_TEST(every_library_is_found)
{
    for (size_t i = 0; i < bl_embedded_count; i++) {
        const bl_embedded *entry = &bl_embedded_table[i];

        ck_assert_ptr_eq(bl_embedded_find(bl_str_c(entry->name)), entry);
        ck_assert_uint_eq(strlen(entry->source), entry->length);
    }
    ck_assert_ptr_null(bl_embedded_table[bl_embedded_count].name);
}
END_TEST

START_TEST(others_are_not)
{
    ck_assert_ptr_null(bl_embedded_find(BL_STR("")));
    ck_assert_ptr_null(bl_embedded_find(BL_STR("no.such.library")));
    ck_assert_ptr_null(bl_embedded_find(BL_STR("~")));
}
END_TEST

UNIT_MAIN("embedded", every_library_is_found, others_are_not)
