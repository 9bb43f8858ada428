/* set_by_lua: a step of the rewrite program that gives a variable what Lua code returns. */
#ifndef BL_LUA_SET_H
#define BL_LUA_SET_H

#include "lua/task.h"

/* The directive in its three forms. */
bool bl_lua_set_read(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);

/* ngx.arg[n] of a run of set_by_lua, from 1; p NULL: there is none. */
bl_str bl_lua_set_arg(const bl_run *run, int n);

#endif
