/* lua_capture_error_log: the last lines of the error log, kept in the process's memory for
 * ngx.errlog.get_logs. */
#ifndef BL_LUA_API_ERRLOG_H
#define BL_LUA_API_ERRLOG_H

#include "core/log.h"

/* Keeps what is logged from now on in `size` bytes, the oldest going first; 0: nothing. */
void bl_lua_errlog_capture(size_t size);

/* For the FFI. Only lines of that level and worse; -1: nothing is captured. */
int bl_lua_ffi_errlog_level(int level);
/* The oldest line, which is taken out: its level (-1: none is left), time in seconds, and bytes,
 * good until the next line is logged. -2: nothing is captured. */
int bl_lua_ffi_errlog_take(double *time, const char **text, size_t *len);

#endif
