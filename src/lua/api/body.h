/* ngx.req's functions of the body: reading it, and putting another in its place. */
#ifndef BL_LUA_API_BODY_H
#define BL_LUA_API_BODY_H

#include <lua.h>

/* Adds them to the table ngx.req. */
void bl_lua_open_body(lua_State *L);

#endif
