/* ngx.ctx and what little else ngx tells through its metatable, for the FFI. The tables stand in an
 * array of the VM (package.loaded["bulan.ctxs"] for resty.core.ctx); a request, or a run without
 * one, remembers its place there. */
#ifndef BL_LUA_API_CTX_H
#define BL_LUA_API_CTX_H

#include "core/base.h"

/* The place of the current table: 0: none so far; -1: there can be none (init). */
int bl_lua_ffi_ctx_get(void);
/* The place of the table that the connection's handshake has left, for a request's to begin as a
 * copy of; 0: none. */
int bl_lua_ffi_ctx_before(void);
/* Remembers it; the place that was used before is given back by the caller. */
void bl_lua_ffi_ctx_set(int ref);

/* 1 or 0; -1 without a request. */
int bl_lua_ffi_is_subrequest(void);
int bl_lua_ffi_headers_sent(void);
int bl_lua_ffi_is_internal(void);

#endif
