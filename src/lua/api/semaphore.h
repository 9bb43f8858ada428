/* Counting semaphores between tasks: ngx.semaphore, and what `require` waits with. A userdata with
 * the methods of the documented module. */
#ifndef BL_LUA_API_SEMAPHORE_H
#define BL_LUA_API_SEMAPHORE_H

#include <lua.h>

void bl_lua_open_semaphore(lua_State *L);

#endif
