/* One of the functions again, the classical way: a module of Lua's C API, to compare. */
#include "geo.h"

#include <lauxlib.h>
#include <lua.h>

static int radians(lua_State *L)
{
    lua_pushnumber(L, geo_radians(luaL_checknumber(L, 1)));
    return 1;
}

int luaopen_geo_capi(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, radians);
    lua_setfield(L, -2, "radians");
    return 1;
}
