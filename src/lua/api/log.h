/* ngx.log and print: "[lua] FILE:LINE: FUNCTION(): text" in the error log. */
#ifndef BL_LUA_API_LOG_H
#define BL_LUA_API_LOG_H

#include <lua.h>

void bl_lua_open_log(lua_State *L);

#endif
