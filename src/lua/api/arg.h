/* ngx.arg: the arguments of set_by_lua; chunk and end mark of a body filter. */
#ifndef BL_LUA_API_ARG_H
#define BL_LUA_API_ARG_H

#include <lua.h>

void bl_lua_open_arg(lua_State *L);

#endif
