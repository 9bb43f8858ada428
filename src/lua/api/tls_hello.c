#include "lua/api/tls_hello.h"
#include "lua/handshake.h"

#include <limits.h>
#include <openssl/err.h>

static SSL *hello(const char **error)
{
    if (bl_lua_now.phase != BL_LUA_SSL_CLIENT_HELLO) {
        *error = "API disabled in the current context";
        return NULL;
    }
    const bl_tls *tls = bl_lua_handshake_tls(error);
    return tls ? tls->ssl : NULL;
}

const char *bl_lua_ffi_tls_hello_name(const char **name, size_t *len)
{
    const char *error = NULL;
    SSL *ssl = hello(&error);
    bl_str found = ssl ? bl_tls_hello_name(ssl) : BL_STR_NONE;

    *name = found.len ? found.p : NULL;
    *len = found.len;
    return error;
}

const char *bl_lua_ffi_tls_hello_ext(unsigned type, const char **data, size_t *len)
{
    const char *error = NULL;
    SSL *ssl = hello(&error);

    if (ssl == NULL || !SSL_client_hello_get0_ext(ssl, type, (const unsigned char **)data, len))
        *data = NULL;
    else if (*data == NULL)
        *data = ""; /* there, without a content */
    return error;
}

const char *bl_lua_ffi_tls_hello_exts(int *to, size_t *count)
{
    const char *error = NULL;
    SSL *ssl = hello(&error);
    int *present = NULL;
    size_t found = 0;

    if (ssl && !SSL_client_hello_get1_extensions_present(ssl, &present, &found))
        error = "SSL_client_hello_get1_extensions_present() failed";
    *count = BL_MIN(*count, found);
    if (present)
        memcpy(to, present, *count * sizeof *to);
    OPENSSL_free(present);
    return error;
}

const char *bl_lua_ffi_tls_hello_ciphers(const unsigned char **data, size_t *len)
{
    const char *error = NULL;
    SSL *ssl = hello(&error);

    *len = ssl ? SSL_client_hello_get0_ciphers(ssl, data) : 0;
    return error;
}

const char *bl_lua_ffi_tls_hello_protocols(int protocols)
{
    static const struct {
        int bit;
        uint64_t off;
    } all[] = {
        {BL_TLS_SSLV3, SSL_OP_NO_SSLv3},  {BL_TLS_V1, SSL_OP_NO_TLSv1},
        {BL_TLS_V1_1, SSL_OP_NO_TLSv1_1}, {BL_TLS_V1_2, SSL_OP_NO_TLSv1_2},
        {BL_TLS_V1_3, SSL_OP_NO_TLSv1_3},
    };
    const char *error = NULL;
    SSL *ssl = hello(&error);

    if (ssl == NULL)
        return error;
    SSL_set_min_proto_version(ssl, 0);
    SSL_set_max_proto_version(ssl, 0);
    for (size_t i = 0; i < BL_COUNTOF(all); i++) {
        if (protocols & all[i].bit)
            SSL_clear_options(ssl, all[i].off);
        else
            SSL_set_options(ssl, all[i].off);
    }
    return NULL;
}

/* ------------------------------------------------------------- sessions */

const char *bl_lua_ffi_tls_session_id(const char **id, size_t *len)
{
    const char *error = NULL;
    const SSL_SESSION *stored = bl_lua_handshake_session();
    unsigned stored_len = 0;

    if (stored) {
        *id = (const char *)SSL_SESSION_get_id(stored, &stored_len);
        *len = stored_len;
        return NULL;
    }
    const bl_tls *tls = bl_lua_handshake_tls(&error);
    if (tls == NULL)
        return error;
    if (bl_lua_now.phase != BL_LUA_SSL_SESSION_FETCH)
        return "bad session in lua context";
    bl_str wanted = bl_tls_hello_session(tls->ssl);
    *id = wanted.p;
    *len = wanted.len;
    return NULL;
}

const char *bl_lua_ffi_tls_session_get(unsigned char *to, size_t *len)
{
    const SSL_SESSION *stored = bl_lua_handshake_session();
    int size = stored ? i2d_SSL_SESSION((SSL_SESSION *)stored, NULL) : 0;

    if (stored == NULL)
        return "bad session in lua context";
    if (size <= 0)
        return "failed to serialize session";
    if (to && *len >= (size_t)size)
        i2d_SSL_SESSION((SSL_SESSION *)stored, &to);
    *len = (size_t)size;
    return NULL;
}

const char *bl_lua_ffi_tls_session_set(const char *der, size_t len)
{
    const char *error = NULL;
    bl_tls *tls = bl_lua_handshake_tls(&error);
    const unsigned char *p = (const unsigned char *)der;

    if (tls == NULL)
        return error;
    if (bl_lua_now.phase != BL_LUA_SSL_SESSION_FETCH)
        return "bad session in lua context";
    SSL_SESSION *session = len <= INT_MAX ? d2i_SSL_SESSION(NULL, &p, (long)len) : NULL;
    ERR_clear_error();
    if (session == NULL)
        return "failed to de-serialize session";
    SSL_SESSION_free(tls->given);
    tls->given = session;
    return NULL;
}
