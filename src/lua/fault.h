/* What the error log says about a Lua error: the message, then a traceback of every coroutine from
 * the one that failed to the entry, in the words that users of OpenResty (and their log watchers)
 * know:
 *
 *   lua entry thread aborted: runtime error: access_by_lua(nginx.conf:42):3: attempt to …
 *   stack traceback:
 *   coroutine 0:
 *           [C]: in function 'error'
 *           access_by_lua(nginx.conf:42):3: in function <access_by_lua(nginx.conf:42):1>, … */
#ifndef BL_LUA_FAULT_H
#define BL_LUA_FAULT_H

#include "lua/task.h"

/* Logs the error value on top of the failed task's stack. */
void bl_fault_report(bl_task *task);

/* The error value on top of L as text; L is left as it was. Lives as long as that value, or the
 * next call. */
const char *bl_fault_text(lua_State *L);

/* Where the current task logs: its request's log, else the VM's. */
bl_log *bl_lua_log(void);

#endif
