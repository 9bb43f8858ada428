/* ngx.location.capture and capture_multi: subrequests whose responses are Lua tables. */
#ifndef BL_LUA_API_CAPTURE_H
#define BL_LUA_API_CAPTURE_H

#include <lua.h>

void bl_lua_open_capture(lua_State *L);

#endif
