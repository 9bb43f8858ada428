/* Hot reload of code (lua_code_cache watch): files of Lua that have changed are compiled aside, and
 * put in the place of the old ones between two requests.
 *
 *   a request begins ──> 20 ms since the last look? ── no ──────────────────────> epoch N
 *                                 │ yes
 *                        stat(2) of each file in use ── none has changed ───────> epoch N
 *                                 │
 *                        compile, run the changed modules and those that require them
 *                                 │ an error: logged, all stays as it is ───────> epoch N
 *                        new.__reload(old); package.loaded; handlers' files ────> epoch N + 1
 *
 * A request remembers the epoch that it began in, and `require` and *_by_lua_file give it what was
 * valid then: so it finishes on the code it began with, however long it takes. Old versions go when
 * no request of their epoch is left. lualib/bulan/reload.lua does the work; here is what it needs
 * of the server. */
#ifndef BL_LUA_RELOAD_H
#define BL_LUA_RELOAD_H

#include "lua/ctx.h"

/* The VM looks after its files from now on; after its families are open. */
void bl_lua_reload_watch(bl_lua_vm *vm);
/* A main request begins, or ends, to use Lua. */
void bl_lua_reload_enter(bl_lua_ctx *ctx);
void bl_lua_reload_leave(bl_lua_ctx *ctx);

/* The function of a handler's file, of the current request's epoch, on top of L (the VM's main
 * thread). False: it is not known yet, nothing is pushed. */
bool bl_lua_reload_push(lua_State *L, const char *path);
/* The function on top of L is that file's. It stays there. */
void bl_lua_reload_keep(lua_State *L, const char *path);

/* For lualib/bulan/reload.lua: the current request's epoch (0: none), the oldest that a request
 * still lives in, and the beginning of a new one. */
double bl_lua_reload_epoch(void);
double bl_lua_reload_oldest(void);
double bl_lua_reload_next(void);

#endif
