/* ngx.run_worker_thread: a function of a module, called in a thread of a pool. */
#ifndef BL_LUA_API_WORKER_THREAD_H
#define BL_LUA_API_WORKER_THREAD_H

#include <lua.h>

void bl_lua_open_worker_thread(lua_State *L);

#endif
