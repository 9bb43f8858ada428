#include "lua/api/stats.h"
#include "lua/vm.h"
#include "process/stats.h"

#include <lauxlib.h>

/* sum(): a table of the counters by name, of all workers together. */
static int l_sum(lua_State *L)
{
    bl_stats sum = bl_stats_sum();

    lua_createtable(L, 0, 24);
#define X(name, about)                                                                             \
    lua_pushnumber(L, (lua_Number)sum.name);                                                       \
    lua_setfield(L, -2, #name);
    BL_STATS_COUNTERS(X)
#undef X
    return 1;
}

/* about(): what each of them counts, by name. */
static int l_about(lua_State *L)
{
    lua_createtable(L, 0, 24);
#define X(name, about)                                                                             \
    lua_pushliteral(L, about);                                                                     \
    lua_setfield(L, -2, #name);
    BL_STATS_COUNTERS(X)
#undef X
    return 1;
}

void bl_lua_open_stats(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sum", l_sum},
        {"about", l_about},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 2);
    luaL_register(L, NULL, functions);
    bl_lua_vm_offer(L, "ngx.stats");
}
