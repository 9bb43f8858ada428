/* C functions under the names that lua-nginx-module gives them, for libraries that call these
 * through the FFI by themselves (they declare them, too). They stand for our own functions. `r`,
 * which resty.core.base's get_request gives, is only asked whether there is one: who runs is known.
 * Results: 0, or -1 and *error; lengths; pointers. */
#ifndef BL_LUA_API_COMPAT_H
#define BL_LUA_API_COMPAT_H

#include <stddef.h>
#include <stdint.h>

int ngx_http_lua_ffi_cert_pem_to_der(const char *pem, size_t len, unsigned char *der,
                                     const char **error);
int ngx_http_lua_ffi_priv_key_pem_to_der(const char *pem, size_t len, const char *password,
                                         unsigned char *der, const char **error);
void *ngx_http_lua_ffi_parse_pem_cert(const char *data, size_t len, const char **error);
void *ngx_http_lua_ffi_parse_pem_priv_key(const char *data, size_t len, const char **error);
void *ngx_http_lua_ffi_parse_der_cert(const char *data, size_t len, const char **error);
void *ngx_http_lua_ffi_parse_der_priv_key(const char *data, size_t len, const char **error);
void ngx_http_lua_ffi_free_cert(void *chain);
void ngx_http_lua_ffi_free_priv_key(void *key);

int ngx_http_lua_ffi_ssl_clear_certs(void *r, const char **error);
int ngx_http_lua_ffi_ssl_set_der_certificate(void *r, const char *data, size_t len,
                                             const char **error);
int ngx_http_lua_ffi_ssl_set_der_private_key(void *r, const char *data, size_t len,
                                             const char **error);
int ngx_http_lua_ffi_set_cert(void *r, void *chain, const char **error);
int ngx_http_lua_ffi_set_priv_key(void *r, void *key, const char **error);
int ngx_http_lua_ffi_ssl_verify_client(void *r, void *clients, void *trusted, int depth,
                                       const char **error);

void *ngx_http_lua_ffi_get_req_ssl_pointer(void *r);
int ngx_http_lua_ffi_ssl_client_random(void *r, unsigned char *to, size_t *len, const char **error);
int ngx_http_lua_ffi_ssl_server_random(void *r, unsigned char *to, size_t *len, const char **error);
int ngx_http_lua_ffi_ssl_session_master_key(void *r, unsigned char *to, size_t *len,
                                            const char **error);
int ngx_http_lua_ffi_req_shared_ssl_ciphers(void *r, uint16_t *to, uint16_t *count,
                                            int filter_grease, const char **error);

int ngx_http_lua_ffi_socket_tcp_settrustedstore(void *r, void *handle, void *store,
                                                const char **error);
int ngx_http_lua_ffi_balancer_set_upstream_tls(void *r, int on, const char **error);

#endif
