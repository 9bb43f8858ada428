/* Tables of header fields and of arguments, as ngx.req.get_headers and its relatives return them.
 *
 * Making such a table is mostly making strings: Lua hashes each name and value anew, and a browser
 * sends a dozen. So for each spelling of a field's name is remembered where in the registry its
 * name in lower case is; and for header sections and query strings that come again, the table made
 * of the whole (lua/recall.h), of which lualib/resty/core/request.lua gives out clones. */
#ifndef BL_LUA_API_FIELDS_H
#define BL_LUA_API_FIELDS_H

#include "http/header.h"

#include <lua.h>

/* For the FFI: the number of the remembered table that stands for the current request's fields, or
 * its arguments; 0: there is none. */
int bl_lua_fields_known(void);
/* -1: there are no arguments. */
int bl_lua_args_known(void);

/* A table of at most `max` fields (0: all) on top of L, with room for `more`; names in lower case
 * unless `raw` (without, from within Lua only). False: there were more. */
bool bl_lua_push_fields(lua_State *L, const bl_headers *headers, int max, bool raw, int more);
/* The same for all of a request's, up to 100; what clients repeat is remembered. */
bool bl_lua_push_request_fields(lua_State *L, const bl_headers *headers);
bool bl_lua_push_request_args(lua_State *L, bl_str args);
/* A pair more for the table on top of L. */
void bl_lua_add_field(lua_State *L, bl_str name, bl_str value, bool raw);

void bl_lua_open_fields(lua_State *L);

#endif
