/* Set-Cookie: cut up and joined again it says the same, what is dropped is gone, and nothing else
 * is. The input: a name to drop, the value. */
#include "fuzz.h"
#include "http/modules/set_cookie.h"

static uint32_t count_of(const bl_set_cookie *c, bl_str name)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < c->attributes.count; i++) {
        const bl_str *attribute = bl_array_at(&c->attributes, i);
        count += bl_str_ieq(bl_set_cookie_name(*attribute), name);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_str in = bl_str_of((const char *)data, size), name = bl_str_trim(fuzz_text(&in, 12));
    bl_str value = fuzz_copy(in);
    bl_set_cookie c, again;

    bl_set_cookie_cut(pool, value, &c);
    BL_ASSERT(fuzz_inside(c.first, value) && bl_str_chr(c.first, ';') < 0);
    bl_str joined = bl_set_cookie_join(pool, &c);
    bl_set_cookie_cut(pool, joined, &again);
    BL_ASSERT(bl_str_eq(c.first, again.first) && c.attributes.count == again.attributes.count);
    BL_ASSERT(bl_str_eq(bl_set_cookie_join(pool, &again), joined));

    uint32_t all = c.attributes.count, named = count_of(&c, name);
    bl_set_cookie_drop(&c, name);
    BL_ASSERT(c.attributes.count == all - named && count_of(&c, name) == 0);
    bl_set_cookie_add(&c, name);
    BL_ASSERT(c.attributes.count == all - named + 1);
    free(value.p);
    bl_pool_free(pool);
    return 0;
}
