/* ngx.header, ngx.status, ngx.resp: the head of the response. */
#ifndef BL_LUA_API_HEADER_H
#define BL_LUA_API_HEADER_H

#include "http/request.h"

#include <lua.h>

enum {
    BL_LUA_NAMES_MAX = 500, /* of fields that programs set are remembered */
};

/* For the FFI. */

/* The value of a response header field: its first, and how many there are of that name (0: none).
 * Names are as given, with "_" for "-" already translated. */
int bl_lua_ffi_header_get(const char *name, size_t len, bl_str *value);
/* The number of a name that programs set, for bl_lua_ffi_header_put; -1: there are too many. */
int bl_lua_ffi_header_name(const char *name, size_t len);
/* Replaces a field by one of that value; `value` NULL: takes it out. `append`: adds one. 0, also
 * when it was too late (logged); 2: there is no request; 3: it can't be a value of that field. */
int bl_lua_ffi_header_put(int name, const char *value, size_t len, int append);
/* The same by name. */
int bl_lua_ffi_header_set(const char *name, size_t name_len, const char *value, size_t len,
                          int append);
/* The status that the response has so far; -1 without a request. */
int bl_lua_ffi_get_status(void);
int bl_lua_ffi_set_status(int status);
int bl_lua_ffi_set_status_line(int status, const char *reason, size_t len);
/* lua_transform_underscores_in_response_headers. */
int bl_lua_ffi_transform_underscores(void);
void bl_lua_ffi_bypass_if_checks(void);

/* ngx.header.location and ngx.redirect: a path stays one, only what the server itself redirects to
 * is made absolute. p NULL: none. */
void bl_lua_set_location(bl_request *r, bl_str value);

/* A name or value with bytes that have no place in one as %XX: a value can't become fields. */
bl_str bl_lua_safe_field(bl_pool *pool, bl_str s, bool name);

/* The fields of the response that have places of their own, and all others. */
bool bl_lua_push_response_headers(lua_State *L, bl_request *r, int max, bool raw);

void bl_lua_open_header(lua_State *L);

#endif
