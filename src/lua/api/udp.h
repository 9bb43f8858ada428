/* ngx.socket.udp: datagrams to one peer, over UDP or a unix socket. */
#ifndef BL_LUA_API_UDP_H
#define BL_LUA_API_UDP_H

#include <lua.h>

/* Adds `udp` to ngx.socket; ngx is on top. */
void bl_lua_open_udp(lua_State *L);

#endif
