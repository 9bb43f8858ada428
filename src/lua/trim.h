/* lua_malloc_trim: memory that is free goes back to the system, now and then. */
#ifndef BL_LUA_TRIM_H
#define BL_LUA_TRIM_H

#include "http/request.h"

/* A log handler: every so many requests as the directive says. */
bl_step bl_lua_trim(bl_request *r);

#endif
