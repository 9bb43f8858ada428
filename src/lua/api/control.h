/* Leaving a handler for another place: ngx.exit, ngx.exec, ngx.redirect, ngx.req.set_uri with jump;
 * and ngx.on_abort. */
#ifndef BL_LUA_API_CONTROL_H
#define BL_LUA_API_CONTROL_H

#include <lua.h>

void bl_lua_open_control(lua_State *L);

#endif
