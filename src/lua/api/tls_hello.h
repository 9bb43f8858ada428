/* The client hello as Lua code sees it: ngx.ssl.clienthello and the session's side of it,
 * ngx.ssl.session, through the FFI. Texts that are results are error messages; NULL is success.
 * Pointers are good while the handshake waits for the code. */
#ifndef BL_LUA_API_TLS_HELLO_H
#define BL_LUA_API_TLS_HELLO_H

#include <stddef.h>
#include <stdint.h>

/* *name NULL: none. */
const char *bl_lua_ffi_tls_hello_name(const char **name, size_t *len);
/* An extension's bytes; *data NULL: it is not there. */
const char *bl_lua_ffi_tls_hello_ext(unsigned type, const char **data, size_t *len);
/* Types of extensions; at most *count, which is then their number. */
const char *bl_lua_ffi_tls_hello_exts(int *to, size_t *count);
/* Two bytes each. */
const char *bl_lua_ffi_tls_hello_ciphers(const unsigned char **data, size_t *len);
/* Bits of BL_TLS_… */
const char *bl_lua_ffi_tls_hello_protocols(int protocols);

/* The id that is looked for, or of the session that is stored. */
const char *bl_lua_ffi_tls_session_id(const char **id, size_t *len);
/* The session that is stored, in DER; with `to` NULL only *len, its length. */
const char *bl_lua_ffi_tls_session_get(unsigned char *to, size_t *len);
/* The session that was looked for. */
const char *bl_lua_ffi_tls_session_set(const char *der, size_t len);

#endif
