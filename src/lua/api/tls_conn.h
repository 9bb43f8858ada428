/* What Lua code may know of its client's TLS connection, and of its request's upstream's: ngx.ssl,
 * ngx.proxyssl, ngx.ssl.proxysslverify, through the FFI. Texts that are results are error messages;
 * NULL is success. */
#ifndef BL_LUA_API_TLS_CONN_H
#define BL_LUA_API_TLS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is there a connection that could have TLS? False: "no request found". */
bool bl_lua_ffi_tls_has_conn(void);

/* The SSL *, or NULL and *error. */
void *bl_lua_ffi_tls_pointer(bool upstream, const char **error);
/* 1 or 0. */
int bl_lua_ffi_tls_reused(void *ssl);

/* *name NULL: the client named none. */
const char *bl_lua_ffi_tls_server_name(const char **name, size_t *len);
const char *bl_lua_ffi_tls_server_port(int *port);
/* The address's bytes, as long as the connection; *kind "inet", "inet6" or "unix". */
const char *bl_lua_ffi_tls_addr(bool client, const char **addr, size_t *len, const char **kind);

/* 0x0301 …; -1 and *error. */
int bl_lua_ffi_tls_version(bool upstream, const char **error);

enum {
    BL_LUA_TLS_CLIENT_RANDOM,
    BL_LUA_TLS_SERVER_RANDOM,
    BL_LUA_TLS_MASTER_KEY,
};

/* Copies at most *len bytes of it; *len is then their number, or with 0 before, of all there are.
 */
const char *bl_lua_ffi_tls_secret(int which, unsigned char *to, size_t *len);
/* RFC 5705, RFC 8446 section 7.5. `context` NULL: none. */
const char *bl_lua_ffi_tls_export(unsigned char *to, size_t len, const char *label,
                                  size_t label_len, const char *context, size_t context_len,
                                  bool early);
/* Ciphers that both sides know, in the client's order; *count is the room, then their number. */
const char *bl_lua_ffi_tls_shared_ciphers(uint16_t *to, uint16_t *count, bool filter_grease);

/* ngx.ssl.proxysslverify: the verdict on the upstream's certificate, while its code runs. */
const char *bl_lua_ffi_tls_set_verify_result(int result);
int bl_lua_ffi_tls_get_verify_result(const char **error);
/* Its certificate, an X509 * that is the caller's; NULL and *error. */
void *bl_lua_ffi_tls_verify_cert(const char **error);
void bl_lua_ffi_tls_free_x509(void *certificate);

#endif
