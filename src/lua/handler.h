/* The handlers of a request's phases: each is a run of the location's code, and its result a step
 * of the engine. */
#ifndef BL_LUA_HANDLER_H
#define BL_LUA_HANDLER_H

#include "lua/ctx.h"

bl_step bl_lua_server_rewrite(bl_request *r);
bl_step bl_lua_rewrite(bl_request *r);
bl_step bl_lua_access(bl_request *r);
bl_step bl_lua_precontent(bl_request *r);
bl_step bl_lua_content(bl_request *r);
bl_step bl_lua_log_handler(bl_request *r);

/* What the end of a handler's run means for the request; frees the run. */
bl_step bl_lua_handler_result(bl_run *run);

#endif
