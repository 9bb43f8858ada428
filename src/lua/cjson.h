/* The Lua modules `cjson` and `cjson.safe`: JSON for Lua, with the interface and the messages that
 * users of OpenResty's lua-cjson know. The VM preloads both; nothing else in the server needs to
 * know how they work (cjson_codec.h is for the codec's own files).
 *
 *     local cjson = require "cjson.safe"
 *     local doc, err = cjson.decode(text)      -- nil, "Expected value but found … at character 7"
 *     local text, err = cjson.encode(doc)
 */
#ifndef BL_LUA_CJSON_H
#define BL_LUA_CJSON_H

#include <lua.h>

/* Openers in Lua's own convention (lua_CFunction for package.preload). Each call makes a new module
 * table with its own settings and pushes it. `cjson` throws on malformed input, `cjson.safe`
 * returns nil and the message. Both throw on wrong use (a missing argument, an unknown option
 * value). */
int luaopen_cjson(lua_State *L);
int luaopen_cjson_safe(lua_State *L);

#endif
