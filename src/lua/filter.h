/* header_filter_by_lua and body_filter_by_lua: Lua on the way out. A run that waits parks the
 * output in front of its filter (http/output.h). */
#ifndef BL_LUA_FILTER_H
#define BL_LUA_FILTER_H

#include "lua/task.h"

/* ngx.arg of the body filter that runs. [1]: the bytes of this call, pushed on L. */
void bl_lua_filter_push_chunk(lua_State *L);
/* Replaces them by the value at `index`; nil: nothing goes on. */
void bl_lua_filter_set_chunk(lua_State *L, int index);
/* [2]: whether the body ends with them. */
bool bl_lua_filter_eof(void);
void bl_lua_filter_set_eof(bool eof);

#endif
