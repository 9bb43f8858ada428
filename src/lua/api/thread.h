/* ngx.thread: light threads. */
#ifndef BL_LUA_API_THREAD_H
#define BL_LUA_API_THREAD_H

#include <lua.h>

void bl_lua_open_thread(lua_State *L);

#endif
