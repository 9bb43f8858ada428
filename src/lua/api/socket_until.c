#include "lua/api/socket.h"
#include "core/mem.h"

static const char type_name[] = "bulan.socket.until";

static int l_gc(lua_State *L)
{
    bl_socket_until **u = lua_touserdata(L, 1);

    bl_socket_until_drop(*u);
    *u = NULL;
    return 0;
}

/* Behind a match that was read in pieces stands one nil, that says so. */
static int nothing(lua_State *L)
{
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
}

static int l_iterate(lua_State *L)
{
    lua_Integer size = luaL_optinteger(L, 1, 0);
    bl_socket_until *u = *(bl_socket_until **)lua_touserdata(L, lua_upvalueindex(2));

    luaL_argcheck(L, size >= 0, 1, "bad size argument");
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    bl_socket *s = bl_socket_check(L);
    if (u->ended && !bl_wait_armed(&s->reading)) {
        u->ended = false;
        return nothing(L);
    }
    int failure = bl_socket_may_read(s, L);
    if (failure)
        return failure;
    s->want = BL_WANT_UNTIL;
    s->want_size = (size_t)size;
    s->until = u;
    u->refs++;
    return bl_socket_read(s, L);
}

static bool option_inclusive(lua_State *L)
{
    if (lua_isnoneornil(L, 3))
        return false;
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_getfield(L, 3, "inclusive");
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
        luaL_error(L, "bad \"inclusive\" option value type: %s", luaL_typename(L, -1));
    bool inclusive = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return inclusive;
}

int bl_socket_l_receiveuntil(lua_State *L)
{
    int count = lua_gettop(L);
    bl_str pattern;

    if (count != 2 && count != 3)
        return luaL_error(L, "expecting 2 or 3 arguments (including the object), but got %d",
                          count);
    bl_socket_any(L);
    pattern.p = (char *)luaL_checklstring(L, 2, &pattern.len);
    bool inclusive = option_inclusive(L);
    if (pattern.len == 0)
        return bl_socket_fail(L, "pattern is empty");
    lua_pushvalue(L, 1);
    bl_socket_until **u = lua_newuserdata(L, sizeof *u);
    *u = bl_zalloc(sizeof **u);
    (*u)->refs = 1;
    (*u)->inclusive = inclusive;
    (*u)->match = bl_socket_match_new(pattern);
    if (luaL_newmetatable(L, type_name)) {
        lua_pushcfunction(L, l_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, l_iterate, 2);
    return 1;
}
