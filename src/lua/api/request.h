/* ngx.req.*, all but the body's functions: the request as the program sees and changes it. */
#ifndef BL_LUA_API_REQUEST_H
#define BL_LUA_API_REQUEST_H

#include <lua.h>

/* Makes the table ngx.req. */
void bl_lua_open_request(lua_State *L);

#endif
