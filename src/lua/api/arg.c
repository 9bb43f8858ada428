#include "lua/api/arg.h"
#include "lua/filter.h"
#include "lua/set.h"

static int get_set_arg(lua_State *L, int n)
{
    bl_str value = bl_lua_set_arg(bl_lua_now.task->run, n);

    if (value.p)
        lua_pushlstring(L, value.p, value.len);
    else
        lua_pushnil(L);
    return 1;
}

static int l_get(lua_State *L)
{
    int n = (int)luaL_checkinteger(L, 1);

    bl_lua_gate(L, BL_LUA_SET | BL_LUA_BODY_FILTER);
    if (bl_lua_now.phase == BL_LUA_SET)
        return get_set_arg(L, n);
    if (n == 1)
        bl_lua_filter_push_chunk(L);
    else if (n == 2)
        lua_pushboolean(L, bl_lua_filter_eof());
    else
        lua_pushnil(L);
    return 1;
}

static int l_set(lua_State *L)
{
    int n = (int)luaL_checkinteger(L, 1);

    bl_lua_gate(L, BL_LUA_BODY_FILTER);
    if (n == 1)
        bl_lua_filter_set_chunk(L, 2);
    else if (n == 2)
        bl_lua_filter_set_eof(lua_toboolean(L, 2));
    else
        return luaL_error(L, "attempt to write to ngx.arg[%d]", n);
    return 0;
}

/* Functions for resty.core.param, which makes the table of them. */
void bl_lua_open_arg(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, l_get);
    lua_setfield(L, -2, "get");
    lua_pushcfunction(L, l_set);
    lua_setfield(L, -2, "set");
    lua_setfield(L, -2, "arg");
}
