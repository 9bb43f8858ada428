/* The ends of a process's Lua: init_by_lua in the master, init_worker_by_lua and exit_worker_by_lua
 * in workers. */
#ifndef BL_LUA_INIT_H
#define BL_LUA_INIT_H

#include "lua/vm.h"

/* Runs init_by_lua in a VM of a request's own. Errors are logged. */
bool bl_lua_init_vm(bl_lua_vm *vm, bl_log *log);

/* The module's hooks. */
bool bl_lua_init_open(bl_generation *g);
bool bl_lua_init_worker_start(bl_generation *g);
void bl_lua_init_worker_quit(bl_generation *g);
void bl_lua_init_worker_stop(bl_generation *g);

#endif
