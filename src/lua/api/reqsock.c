#include "lua/api/reqsock.h"

void bl_lua_open_reqsock(lua_State *L)
{
    lua_getfield(L, -1, "req");
    lua_pop(L, 1);
}
