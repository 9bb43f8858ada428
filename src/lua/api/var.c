#include "lua/api/var.h"
#include "http/variable.h"
#include "lua/task.h"

enum {
    NAME_MAX_LEN = 512,
};

/* `name` in lower case in `to`; false: too long for any variable. */
static bool lowered(const char *name, size_t len, char *to, bl_str *lower)
{
    if (len > NAME_MAX_LEN)
        return false;
    *lower = bl_str_of(to, len);
    bl_str_lower(to, bl_str_of(name, len));
    return true;
}

int bl_lua_ffi_var_number(const char *name, size_t len)
{
    char bytes[NAME_MAX_LEN];
    bl_str lower;

    if (bl_lua_now.request == NULL || !lowered(name, len, bytes, &lower))
        return -1;
    return bl_var_number(bl_lua_now.request->http, lower);
}

BL_HOT int bl_lua_ffi_var_get(int number, bl_str *value)
{
    if (BL_UNLIKELY(bl_lua_now.request == NULL))
        return -1;
    return bl_var_get_numbered(bl_lua_now.request, number, value);
}

int bl_lua_ffi_var_get_name(const char *name, size_t len, bl_str *value)
{
    char bytes[NAME_MAX_LEN];
    bl_str lower;
    bool known;

    if (bl_lua_now.request == NULL)
        return -1;
    return lowered(name, len, bytes, &lower) &&
           bl_var_get_by_name(bl_lua_now.request, lower, value, &known);
}

int bl_lua_ffi_var_get_capture(int n, bl_str *value)
{
    const bl_request *r = bl_lua_now.request;

    if (r == NULL)
        return -1;
    const bl_captures *c = &r->captures;
    if (n < 1 || n >= c->count || c->from[n] < 0)
        return 0;
    *value = bl_str_of(c->subject.p + c->from[n], (size_t)(c->to[n] - c->from[n]));
    return 1;
}

/* $arg_x and its like exist in any number, but not for writing. */
static bool is_member(bl_str name)
{
    return bl_str_starts(name, BL_STR("arg_")) || bl_str_starts(name, BL_STR("http_")) ||
           bl_str_starts(name, BL_STR("cookie_")) || bl_str_starts(name, BL_STR("sent_")) ||
           bl_str_starts(name, BL_STR("upstream_"));
}

int bl_lua_ffi_var_set(const char *name, size_t name_len, const char *value, size_t len)
{
    char bytes[NAME_MAX_LEN];
    bl_request *r = bl_lua_now.request;
    bl_str lower, copy = BL_STR("");

    if (r == NULL)
        return -1;
    if (!lowered(name, name_len, bytes, &lower))
        return 1;
    int index = bl_var_find(r->http, lower);
    const bl_variable *row = index >= 0 ? bl_var_row(r->http, index) : NULL;
    if (row && !(row->flags & BL_VAR_CHANGEABLE) && row->set == NULL)
        return 2;
    if (value)
        copy = bl_pool_str(r->pool, bl_str_of(value, len));
    if (!bl_var_set_by_name(r, lower, copy)) {
        bl_str old;
        bool known;
        bl_var_get_by_name(r, lower, &old, &known);
        return known && !is_member(lower) ? 2 : 1;
    }
    if (value == NULL && bl_str_eq(lower, BL_STR("args")))
        r->args = BL_STR_NONE;
    if (value == NULL && index >= 0 && row->set == NULL)
        r->vars[index] = (bl_var_slot){.state = BL_VAR_NOT_FOUND};
    return 0;
}
