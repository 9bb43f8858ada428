/* Header fields and arguments of a request as arrays of pairs, for the FFI: what Lua makes tables
 * of in compiled code (lualib/resty/core/request.lua). */
#ifndef BL_LUA_API_FIELDS_H
#define BL_LUA_API_FIELDS_H

#include "core/base.h"

/* Declared again in request.lua: keep the two alike. */
typedef struct bl_lua_pair {
    const char *key, *value;
    int key_len;
    int value_len; /* -1: an argument without "=" */
    int id;        /* of a header field: bl_header_id, 0 for others */
} bl_lua_pair;

/* The request's header fields, names in lower case. Returns their number; -1: there is no request
 * here, or there are more than `max`. */
int bl_lua_request_fields(bl_lua_pair *to, int max);
/* The arguments of the URI, decoded. As above. */
int bl_lua_request_args(bl_lua_pair *to, int max);

#endif
