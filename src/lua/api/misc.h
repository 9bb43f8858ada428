/* Constants, ngx.worker, ngx.config: what is the same for all requests. */
#ifndef BL_LUA_API_MISC_H
#define BL_LUA_API_MISC_H

#include "conf/generation.h"

#include <lua.h>

/* For the FFI: bl_process_kind; pids; levels of the current log. */
int bl_lua_ffi_process_type(void);
int bl_lua_ffi_master_pid(void);
void bl_lua_ffi_graceful_exit(void);
/* In init_by_lua: there is to be a privileged agent, with so many connections at most. */
void bl_lua_ffi_enable_agent(int connections);
int bl_lua_ffi_log_level(void);
void bl_lua_ffi_raw_log(int level, const char *text, size_t len);

void bl_lua_open_misc(lua_State *L);
/* ngx.config of a configuration, in the table on top: also for VMs of threads. */
void bl_lua_misc_config(lua_State *L, const bl_generation *g);

#endif
