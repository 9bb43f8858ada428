/* Certificates and keys of Lua programs, and their use in a handshake: what ngx.ssl and
 * ngx.ssl.proxysslcert call through the FFI.
 *
 * A chain is a STACK_OF(X509) with the leaf first, a key an EVP_PKEY; both are the program's until
 * it frees them. As text a chain is PEM, or the DER of its certificates one behind the other.
 *
 * `upstream` says which of the current request's two connections is meant. Results that are texts
 * are error messages; NULL is success. */
#ifndef BL_LUA_API_TLS_CERT_H
#define BL_LUA_API_TLS_CERT_H

#include <stdbool.h>
#include <stddef.h>

/* PEM to DER: bytes written to `der`, which has room for `len`; or -1 and *error. */
int bl_lua_ffi_tls_cert_der(const char *pem, size_t len, unsigned char *der, const char **error);
/* `password` may be NULL. */
int bl_lua_ffi_tls_key_der(const char *pem, size_t len, const char *password, unsigned char *der,
                           const char **error);

/* NULL and *error when it is none. */
void *bl_lua_ffi_tls_parse_cert(const char *data, size_t len, bool pem, const char **error);
void *bl_lua_ffi_tls_parse_key(const char *data, size_t len, bool pem, const char **error);
void bl_lua_ffi_tls_free_cert(void *chain);
void bl_lua_ffi_tls_free_key(void *key);

/* The connection presents these, in place of those it has for that kind of key. */
const char *bl_lua_ffi_tls_set_cert(bool upstream, void *chain);
const char *bl_lua_ffi_tls_set_key(bool upstream, void *key);
const char *bl_lua_ffi_tls_set_der_cert(bool upstream, const char *der, size_t len);
const char *bl_lua_ffi_tls_set_der_key(bool upstream, const char *der, size_t len);
const char *bl_lua_ffi_tls_clear(bool upstream);

/* The client is asked for a certificate. `clients` (names that it is told, and trusted) and
 * `trusted` may be NULL; `depth` below zero: as configured. What the check finds is for the
 * request: the handshake goes on. */
const char *bl_lua_ffi_tls_verify_client(void *clients, int depth, void *trusted);

#endif
