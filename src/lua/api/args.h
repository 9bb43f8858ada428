/* Query strings: Lua tables to "a=1&b=2" and back, for ngx.req.get_uri_args, get_post_args,
 * set_uri_args, ngx.exec, ngx.location.capture, ngx.encode_args and ngx.decode_args. */
#ifndef BL_LUA_API_ARGS_H
#define BL_LUA_API_ARGS_H

#include "core/pool.h"

#include <lua.h>

enum {
    BL_ARGS_MAX = 100, /* read unless the program says otherwise */
};

/* The arguments at `index`: text as it is, a number, or a table that is encoded. In the pool.
 * Raises an error that names the function for anything else. */
bl_str bl_args_from_lua(lua_State *L, int index, bl_pool *pool, const char *function);
/* Encodes a table. */
bl_str bl_args_encode(lua_State *L, int index, bl_pool *pool);

/* What a table was made of. */
typedef struct bl_lua_made {
    bool whole; /* all that there was is in it */
    bool flat;  /* no name had several values: there are no lists in it */
} bl_lua_made;

/* Decodes `text` into the table on top of L, which may be known to be empty: at most `max`
 * arguments (0: all). */
bl_lua_made bl_args_decode(lua_State *L, bl_str text, int max, bool empty);

/* `s` with bytes that can't be printed as \xHH, for messages; zero-terminated. */
bl_str bl_lua_shown(bl_pool *pool, bl_str s);

#endif
