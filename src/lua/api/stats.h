/* ngx.stats: the counters of all workers (process/stats.h), for programs. */
#ifndef BL_LUA_API_STATS_H
#define BL_LUA_API_STATS_H

#include <lua.h>

void bl_lua_open_stats(lua_State *L);

#endif
