/* The C half of ngx.upstream (lualib/ngx/upstream.lua): the groups of servers, their peers, and
 * taking peers out of the choice. */
#ifndef BL_LUA_API_UPSTREAM_H
#define BL_LUA_API_UPSTREAM_H

#include <lua.h>

void bl_lua_open_upstream(lua_State *L);

#endif
