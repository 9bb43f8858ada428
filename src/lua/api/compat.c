#include "lua/api/compat.h"
#include "lua/api/balancer.h"
#include "lua/api/socket.h"
#include "lua/api/tls_cert.h"
#include "lua/api/tls_conn.h"

/* From our kind of result to theirs. */
static int result(const char *failure, const char **error)
{
    if (failure == NULL)
        return 0;
    *error = failure;
    return -1;
}

/* ------------------------------------------------------------- certificates */

int ngx_http_lua_ffi_cert_pem_to_der(const char *pem, size_t len, unsigned char *der,
                                     const char **error)
{
    return bl_lua_ffi_tls_cert_der(pem, len, der, error);
}

int ngx_http_lua_ffi_priv_key_pem_to_der(const char *pem, size_t len, const char *password,
                                         unsigned char *der, const char **error)
{
    return bl_lua_ffi_tls_key_der(pem, len, password, der, error);
}

void *ngx_http_lua_ffi_parse_pem_cert(const char *data, size_t len, const char **error)
{
    return bl_lua_ffi_tls_parse_cert(data, len, true, error);
}

void *ngx_http_lua_ffi_parse_pem_priv_key(const char *data, size_t len, const char **error)
{
    return bl_lua_ffi_tls_parse_key(data, len, true, error);
}

void *ngx_http_lua_ffi_parse_der_cert(const char *data, size_t len, const char **error)
{
    return bl_lua_ffi_tls_parse_cert(data, len, false, error);
}

void *ngx_http_lua_ffi_parse_der_priv_key(const char *data, size_t len, const char **error)
{
    return bl_lua_ffi_tls_parse_key(data, len, false, error);
}

void ngx_http_lua_ffi_free_cert(void *chain)
{
    bl_lua_ffi_tls_free_cert(chain);
}

void ngx_http_lua_ffi_free_priv_key(void *key)
{
    bl_lua_ffi_tls_free_key(key);
}

/* ------------------------------------------------------------- the handshake */

int ngx_http_lua_ffi_ssl_clear_certs(void *r BL_UNUSED, const char **error)
{
    return result(bl_lua_ffi_tls_clear(false), error);
}

int ngx_http_lua_ffi_ssl_set_der_certificate(void *r BL_UNUSED, const char *data, size_t len,
                                             const char **error)
{
    return result(bl_lua_ffi_tls_set_der_cert(false, data, len), error);
}

int ngx_http_lua_ffi_ssl_set_der_private_key(void *r BL_UNUSED, const char *data, size_t len,
                                             const char **error)
{
    return result(bl_lua_ffi_tls_set_der_key(false, data, len), error);
}

int ngx_http_lua_ffi_set_cert(void *r BL_UNUSED, void *chain, const char **error)
{
    return result(bl_lua_ffi_tls_set_cert(false, chain), error);
}

int ngx_http_lua_ffi_set_priv_key(void *r BL_UNUSED, void *key, const char **error)
{
    return result(bl_lua_ffi_tls_set_key(false, key), error);
}

int ngx_http_lua_ffi_ssl_verify_client(void *r BL_UNUSED, void *clients, void *trusted, int depth,
                                       const char **error)
{
    return result(bl_lua_ffi_tls_verify_client(clients, depth, trusted), error);
}

/* ------------------------------------------------------------- the connection */

void *ngx_http_lua_ffi_get_req_ssl_pointer(void *r BL_UNUSED)
{
    const char *error;

    return bl_lua_ffi_tls_pointer(false, &error);
}

int ngx_http_lua_ffi_ssl_client_random(void *r BL_UNUSED, unsigned char *to, size_t *len,
                                       const char **error)
{
    return result(bl_lua_ffi_tls_secret(BL_LUA_TLS_CLIENT_RANDOM, to, len), error);
}

int ngx_http_lua_ffi_ssl_server_random(void *r BL_UNUSED, unsigned char *to, size_t *len,
                                       const char **error)
{
    return result(bl_lua_ffi_tls_secret(BL_LUA_TLS_SERVER_RANDOM, to, len), error);
}

int ngx_http_lua_ffi_ssl_session_master_key(void *r BL_UNUSED, unsigned char *to, size_t *len,
                                            const char **error)
{
    return result(bl_lua_ffi_tls_secret(BL_LUA_TLS_MASTER_KEY, to, len), error);
}

int ngx_http_lua_ffi_req_shared_ssl_ciphers(void *r, uint16_t *to, uint16_t *count,
                                            int filter_grease, const char **error)
{
    if (r == NULL)
        return result("bad request", error);
    return result(bl_lua_ffi_tls_shared_ciphers(to, count, filter_grease), error);
}

/* ------------------------------------------------------------- others */

int ngx_http_lua_ffi_socket_tcp_settrustedstore(void *r BL_UNUSED, void *handle, void *store,
                                                const char **error)
{
    bl_socket *s = bl_socket_of_handle(handle);

    return result(s ? bl_socket_tls_trust(s, store) : "closed", error);
}

int ngx_http_lua_ffi_balancer_set_upstream_tls(void *r BL_UNUSED, int on, const char **error)
{
    return result(bl_lua_ffi_balancer_tls(on), error);
}
