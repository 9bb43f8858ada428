/* ngx.sleep. */
#ifndef BL_LUA_API_SLEEP_H
#define BL_LUA_API_SLEEP_H

#include <lua.h>

void bl_lua_open_sleep(lua_State *L);

#endif
