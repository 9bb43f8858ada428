/* Lua values as text, as ngx.say, ngx.req.set_body_data and their like take them: strings, numbers,
 * booleans, nil, ngx.null, and arrays of these in any depth. */
#ifndef BL_LUA_API_TEXT_H
#define BL_LUA_API_TEXT_H

#include "core/str.h"

#include <lua.h>

/* Arguments 1 to `count` that are objects become what their __tostring says: this runs Lua, so it
 * comes before the lengths are taken. */
void bl_lua_text_objects(lua_State *L, int count);
/* Arguments 1 to `count` that are tables become strings: for callers that run Lua between taking
 * the length and writing. */
void bl_lua_text_flatten(lua_State *L, int count, const char *name);
/* Bytes that the value at `index` takes. Raises "bad argument #n to 'NAME' (…)" for others. */
size_t bl_lua_text_len(lua_State *L, int index, const char *name);
/* Writes it; returns the end. The length must have been taken before, and no Lua have run since. */
char *bl_lua_text_put(lua_State *L, int index, char *at);

#endif
