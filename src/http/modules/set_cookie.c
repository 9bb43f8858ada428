#include "http/modules/set_cookie.h"

static bl_str trim_left(bl_str s)
{
    while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = bl_str_of(s.p + 1, s.len - 1);
    return s;
}

void bl_set_cookie_cut(bl_pool *pool, bl_str value, bl_set_cookie *cookie)
{
    bl_array_init(&cookie->attributes, pool, sizeof(bl_str));
    for (bool first = true;; first = false) {
        ssize_t semicolon = bl_str_chr(value, ';');
        bl_str one = semicolon < 0 ? value : bl_str_of(value.p, (size_t)semicolon);
        if (first)
            cookie->first = one;
        else
            bl_set_cookie_add(cookie, trim_left(one));
        if (semicolon < 0)
            return;
        value = bl_str_of(value.p + semicolon + 1, value.len - (size_t)semicolon - 1);
    }
}

bl_str bl_set_cookie_name(bl_str attribute)
{
    ssize_t equals = bl_str_chr(attribute, '=');

    return bl_str_trim(equals < 0 ? attribute : bl_str_of(attribute.p, (size_t)equals));
}

void bl_set_cookie_drop(bl_set_cookie *cookie, bl_str name)
{
    bl_str *all = bl_array_items(&cookie->attributes);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < cookie->attributes.count; i++) {
        if (!bl_str_ieq(bl_set_cookie_name(all[i]), name))
            all[kept++] = all[i];
    }
    cookie->attributes.count = kept;
}

void bl_set_cookie_add(bl_set_cookie *cookie, bl_str attribute)
{
    *(bl_str *)bl_array_push(&cookie->attributes) = attribute;
}

bl_str bl_set_cookie_join(bl_pool *pool, const bl_set_cookie *cookie)
{
    uint32_t count = cookie->attributes.count;
    bl_str *parts = BL_NEW_ARRAY(pool, bl_str, 1 + 2 * (size_t)count);
    const bl_str *all = bl_array_items(&cookie->attributes);

    parts[0] = cookie->first;
    for (uint32_t i = 0; i < count; i++) {
        parts[1 + 2 * i] = BL_STR("; ");
        parts[2 + 2 * i] = all[i];
    }
    return bl_pool_concat(pool, parts, 1 + 2 * (size_t)count);
}
