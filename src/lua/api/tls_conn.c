#include "lua/api/tls_conn.h"
#include "lua/api/tls_cert.h"
#include "lua/handshake.h"
#include "lua/proxy_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/un.h>

static SSL *ssl_of(bool upstream, const char **error)
{
    const bl_tls *tls = upstream ? bl_lua_proxy_tls_here(error) : bl_lua_handshake_tls(error);

    return tls ? tls->ssl : NULL;
}

bool bl_lua_ffi_tls_has_conn(void)
{
    return bl_lua_handshake_conn() != NULL;
}

void *bl_lua_ffi_tls_pointer(bool upstream, const char **error)
{
    return ssl_of(upstream, error);
}

int bl_lua_ffi_tls_reused(void *ssl)
{
    return SSL_session_reused(ssl);
}

/* ------------------------------------------------------------- names and addresses */

const char *bl_lua_ffi_tls_server_name(const char **name, size_t *len)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(false, &error);

    *name = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    *len = *name ? strlen(*name) : 0;
    return error;
}

const char *bl_lua_ffi_tls_server_port(int *port)
{
    const char *error = NULL;

    if (bl_lua_handshake_tls(&error) == NULL)
        return error;
    const struct sockaddr *sa = bl_conn_local(bl_lua_handshake_conn());
    if (sa->sa_family == AF_UNIX)
        return "unix domain has no port";
    *port = ntohs(sa->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)sa)->sin6_port
                                            : ((const struct sockaddr_in *)sa)->sin_port);
    return NULL;
}

/* The path that the server listens on; of clients none is known. */
static void unix_addr(bool client, const struct sockaddr *sa, const char **addr, size_t *len)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)sa;

    *addr = client ? "" : un->sun_path;
    *len = client ? 0 : strnlen(un->sun_path, sizeof un->sun_path);
}

const char *bl_lua_ffi_tls_addr(bool client, const char **addr, size_t *len, const char **kind)
{
    const char *error = NULL;

    if (bl_lua_handshake_tls(&error) == NULL)
        return error;
    bl_conn *c = bl_lua_handshake_conn();
    const struct sockaddr *sa = client ? &c->peer.sa : bl_conn_local(c);
    switch (sa->sa_family) {
    case AF_UNIX:
        *kind = "unix";
        unix_addr(client, sa, addr, len);
        return NULL;
    case AF_INET6:
        *kind = "inet6";
        *addr = (const char *)&((const struct sockaddr_in6 *)sa)->sin6_addr;
        *len = 16;
        return NULL;
    default:
        *kind = "inet";
        *addr = (const char *)&((const struct sockaddr_in *)sa)->sin_addr;
        *len = 4;
        return NULL;
    }
}

/* ------------------------------------------------------------- what was agreed upon */

int bl_lua_ffi_tls_version(bool upstream, const char **error)
{
    const SSL *ssl = ssl_of(upstream, error);

    return ssl ? SSL_version(ssl) : -1;
}

const char *bl_lua_ffi_tls_secret(int which, unsigned char *to, size_t *len)
{
    const char *error = NULL;
    const SSL *ssl = ssl_of(false, &error);

    if (ssl == NULL)
        return error;
    if (which == BL_LUA_TLS_CLIENT_RANDOM) {
        *len = SSL_get_client_random(ssl, to, *len);
    } else if (which == BL_LUA_TLS_SERVER_RANDOM) {
        *len = SSL_get_server_random(ssl, to, *len);
    } else {
        const SSL_SESSION *session = SSL_get0_session(ssl);
        if (session == NULL)
            return "bad session";
        *len = SSL_SESSION_get_master_key(session, to, *len);
    }
    return NULL;
}

const char *bl_lua_ffi_tls_export(unsigned char *to, size_t len, const char *label,
                                  size_t label_len, const char *context, size_t context_len,
                                  bool early)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(false, &error);
    const unsigned char *bytes = (const unsigned char *)context;

    if (ssl == NULL)
        return error;
    int rc =
        early ? SSL_export_keying_material_early(ssl, to, len, label, label_len, bytes, context_len)
              : SSL_export_keying_material(ssl, to, len, label, label_len, bytes, context_len,
                                           context != NULL);
    ERR_clear_error();
    if (rc == 1)
        return NULL;
    return early ? "SSL_export_keying_material_early() failed"
                 : "SSL_export_keying_material() failed";
}

/* RFC 8701: values that mean nothing, 0x0a0a, 0x1a1a … 0xfafa. */
static bool is_grease(unsigned id)
{
    return (id & 0x0f0f) == 0x0a0a && id >> 8 == (id & 0xff);
}

const char *bl_lua_ffi_tls_shared_ciphers(uint16_t *to, uint16_t *count, bool filter_grease)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(false, &error);
    const STACK_OF(SSL_CIPHER) *theirs = ssl ? SSL_get_client_ciphers(ssl) : NULL;
    STACK_OF(SSL_CIPHER) *ours = ssl ? SSL_get1_supported_ciphers(ssl) : NULL;
    uint16_t room = *count;

    *count = 0;
    if (ssl && (theirs == NULL || ours == NULL))
        error = "no ciphers";
    for (int i = 0; error == NULL && i < sk_SSL_CIPHER_num(theirs); i++) {
        SSL_CIPHER *cipher = (SSL_CIPHER *)sk_SSL_CIPHER_value(theirs, i);
        uint16_t id = SSL_CIPHER_get_protocol_id(cipher);
        if (sk_SSL_CIPHER_find(ours, cipher) < 0 || (filter_grease && is_grease(id)))
            continue;
        if (*count == room)
            break;
        to[(*count)++] = id;
    }
    sk_SSL_CIPHER_free(ours);
    return error;
}

/* ------------------------------------------------------------- the upstream's certificate */

static bl_tls *verifying(const char **error)
{
    if (bl_lua_now.phase == BL_LUA_PROXY_SSL_VERIFY)
        return bl_lua_proxy_tls_here(error);
    *error = "API disabled in the current context";
    return NULL;
}

const char *bl_lua_ffi_tls_set_verify_result(int result)
{
    const char *error = NULL;
    bl_tls *tls = verifying(&error);

    if (tls)
        tls->verify_result = result;
    return error;
}

int bl_lua_ffi_tls_get_verify_result(const char **error)
{
    const bl_tls *tls = verifying(error);

    return tls ? tls->verify_result : -1;
}

void *bl_lua_ffi_tls_verify_cert(const char **error)
{
    const bl_tls *tls = verifying(error);

    if (tls == NULL)
        return NULL;
    if (tls->unverified == NULL) {
        *error = "no certificate";
        return NULL;
    }
    X509_up_ref(tls->unverified);
    return tls->unverified;
}

void bl_lua_ffi_tls_free_x509(void *certificate)
{
    X509_free(certificate);
}
