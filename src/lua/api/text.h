/* Lua values as text, as ngx.say, ngx.req.set_body_data and their like take them: strings, numbers,
 * booleans, nil, ngx.null, and arrays of these in any depth. */
#ifndef BL_LUA_API_TEXT_H
#define BL_LUA_API_TEXT_H

#include "core/str.h"

#include <lua.h>

/* Bytes that the value at `index` takes. Raises "bad argument #n to 'NAME' (…)" for others. */
size_t bl_lua_text_len(lua_State *L, int index, const char *name);
/* Writes it; returns the end. The length must have been taken before. */
char *bl_lua_text_put(lua_State *L, int index, char *at);

#endif
