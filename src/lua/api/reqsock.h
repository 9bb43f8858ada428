/* ngx.req.socket(): the request's body, decoded, as a socket to read from; and
 * ngx.req.socket(true): the client's connection itself, once the request's protocol has let go of
 * it. */
#ifndef BL_LUA_API_REQSOCK_H
#define BL_LUA_API_REQSOCK_H

#include <lua.h>

/* Adds `socket` to ngx.req; ngx is on top. */
void bl_lua_open_reqsock(lua_State *L);

#endif
