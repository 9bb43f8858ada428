/* ngx.var, for the FFI. */
#ifndef BL_LUA_API_VAR_H
#define BL_LUA_API_VAR_H

#include "core/str.h"

/* The number of a variable, which resty.core.var remembers by name; -1: of a family, or none. */
int bl_lua_ffi_var_number(const char *name, size_t len);
/* 1 and the value; 0: it has none; -1: no request. By number, by name, by number of a capture. */
int bl_lua_ffi_var_get(int number, bl_str *value);
int bl_lua_ffi_var_get_name(const char *name, size_t len, bl_str *value);
int bl_lua_ffi_var_get_capture(int n, bl_str *value);
/* 0; 1: no such variable, 2: not changeable, -1: no request. `value` NULL: none from now on. */
int bl_lua_ffi_var_set(const char *name, size_t name_len, const char *value, size_t len);

#endif
