/* ngx.timer: tasks that begin later, without a request. */
#ifndef BL_LUA_API_TIMER_H
#define BL_LUA_API_TIMER_H

#include "lua/vm.h"

/* The worker is going to exit: all pending timers run now, told that they are premature. */
void bl_lua_timers_abort(bl_lua_vm *vm);

void bl_lua_open_timer(lua_State *L);

#endif
