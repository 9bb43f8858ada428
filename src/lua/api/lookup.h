/* bulan.lookup: the addresses of a name from the server's own resolver (the directive `resolver`,
 * else the system's), with its cache; for lualib/resty/dns/resolver.lua.
 *
 *     local addresses, seconds = require("bulan.lookup")("example.com")
 *
 * addresses is a list of texts and seconds the time they are good for; else nil, a number
 * (bl_resolve_status) and a text. Waits. */
#ifndef BL_LUA_API_LOOKUP_H
#define BL_LUA_API_LOOKUP_H

#include <lua.h>

void bl_lua_open_lookup(lua_State *L);

#endif
