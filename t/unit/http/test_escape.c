#include "http/escape.h"
#include "unit.h"

static bl_pool *pool;

static void expect(bl_str got, const char *wanted)
{
    ck_assert_uint_eq(got.len, strlen(wanted));
    ck_assert_mem_eq(got.p, wanted, got.len);
}

START_TEST(escapes_by_place)
{
    bl_str s = BL_STR("a/b c?d&e=%\x01\xc3#~");

    pool = bl_pool_new();
    expect(bl_escape_uri(pool, s, BL_ESCAPE_PATH), "a/b%20c%3Fd&e=%25%01%C3%23~");
    expect(bl_escape_uri(pool, s, BL_ESCAPE_ARGS), "a/b%20c%3Fd%26e=%25%01%C3%23~");
    expect(bl_escape_uri(pool, s, BL_ESCAPE_COMPONENT), "a%2Fb%20c%3Fd%26e%3D%25%01%C3%23~");
    expect(bl_escape_html(pool, BL_STR("<a b=\"&\">")), "&lt;a b=&quot;&amp;&quot;&gt;");
    bl_pool_free(pool);
}
END_TEST

START_TEST(leaves_alone_what_needs_nothing)
{
    bl_str s = BL_STR("plain-text_0.9~");

    pool = bl_pool_new();
    ck_assert_ptr_eq(bl_escape_uri(pool, s, BL_ESCAPE_COMPONENT).p, s.p);
    ck_assert_ptr_eq(bl_escape_html(pool, s).p, s.p);
    ck_assert_ptr_eq(bl_escape_undo(pool, s).p, s.p);
    bl_pool_free(pool);
}
END_TEST

START_TEST(undoes)
{
    pool = bl_pool_new();
    expect(bl_escape_undo(pool, BL_STR("a%20b%2fc%zz%4")), "a b/c%zz%4");
    expect(bl_escape_undo_redirect(pool, BL_STR("h%3A/%0D%20%41?%41")), "h:/%0D%20A?%41");
    expect(bl_escape_undo_redirect(pool, BL_STR("a%3Fb%41")), "a?b%41");
    bl_pool_free(pool);
}
END_TEST

START_TEST(ends_no_line)
{
    pool = bl_pool_new();
    expect(bl_escape_line(pool, BL_STR("a\r\nb: c\td")), "a%0D%0Ab: c\td");
    expect(bl_escape_line(pool, bl_str_of("\0", 1)), "%00");
    expect(bl_escape_line(pool, BL_STR("sixteen bytes, and then the end\n")),
           "sixteen bytes, and then the end%0A");
    ck_assert_uint_eq(bl_escape_line(pool, BL_STR_NONE).len, 0);
    bl_pool_free(pool);
}
END_TEST

UNIT_MAIN("escape", ends_no_line, escapes_by_place, leaves_alone_what_needs_nothing, undoes)
