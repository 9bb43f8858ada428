/* Lua VMs for worker threads. Such a VM shares nothing with the process's: no request, no
 * scheduler, nothing that waits; of the API it has what only computes, and the shared dictionaries.
 * It is idle, and then belongs to the loop, or one thread works in it. Up to
 * lua_worker_thread_vm_pool_size of them are kept for a process's VM; modules that they have loaded
 * stay loaded. */
#ifndef BL_LUA_THREAD_VM_H
#define BL_LUA_THREAD_VM_H

#include "core/list.h"

#include <lua.h>

typedef struct bl_lua_vm bl_lua_vm;

typedef struct bl_thread_vm {
    bl_link link; /* in bl_lua_vm.thread_vms, while idle */
    lua_State *L;
    bl_lua_vm *owner;
    bool ready; /* has its libraries */
} bl_thread_vm;

/* An idle one, or a new one, still without libraries. NULL: all are busy. */
bl_thread_vm *bl_lua_thread_vm_take(bl_lua_vm *owner);
void bl_lua_thread_vm_give(bl_thread_vm *vm);

/* In the thread: calls the function `module`.`function`; both names and `args` arguments are on the
 * stack. True: its results are in their place. False: an error is. */
bool bl_lua_thread_vm_call(bl_thread_vm *vm, int args);

/* Copies the value at `index` of one VM to the top of another's stack. NULL, or what is wrong with
 * it (nothing is pushed then; static text). Booleans, numbers, strings, nil, ngx.null, and tables
 * of them. */
const char *bl_lua_thread_vm_copy(lua_State *from, int index, lua_State *to);

/* The owner ends: so do its idle ones. */
void bl_lua_thread_vms_close(bl_lua_vm *owner);

#endif
