/* ngx.balancer: what lualib/ngx/balancer.lua calls through the FFI, while a balancer_by_lua runs.
 * Results that are texts are error messages; NULL is success. Times in milliseconds. */
#ifndef BL_LUA_API_BALANCER_H
#define BL_LUA_API_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address without a port, or with one (then `port` is 0). `name` is what TLS asks for (NULL: as
 * configured). */
const char *bl_lua_ffi_balancer_peer(const char *host, size_t len, int port, const char *name,
                                     size_t name_len);
/* `count` tries behind this one; *reduced if next_upstream_tries allows fewer. */
const char *bl_lua_ffi_balancer_tries(int count, bool *reduced);
/* *state "failed" or "next", and the status; *state NULL for a first try. */
const char *bl_lua_ffi_balancer_failure(const char **state, int *status);
/* 0: as configured. */
const char *bl_lua_ffi_balancer_timeouts(int64_t connect, int64_t send, int64_t read);
const char *bl_lua_ffi_balancer_rebuild(void);
/* 0: no limit. */
const char *bl_lua_ffi_balancer_keep(int64_t timeout, int64_t requests);
const char *bl_lua_ffi_balancer_bind(const char *addr, size_t len);
const char *bl_lua_ffi_balancer_tls(bool on);

#endif
