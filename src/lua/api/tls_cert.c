#include "lua/api/tls_cert.h"
#include "lua/handshake.h"
#include "lua/proxy_tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>

typedef STACK_OF(X509) chain_t;

static SSL *ssl_of(bool upstream, const char **error)
{
    const bl_tls *tls = upstream ? bl_lua_proxy_tls_here(error) : bl_lua_handshake_tls(error);

    return tls ? tls->ssl : NULL;
}

static BIO *bio_of(const char *data, size_t len, const char **error)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;

    ERR_clear_error();
    if (bio == NULL)
        *error = "BIO_new_mem_buf() failed";
    return bio;
}

/* ------------------------------------------------------------- reading */

static bool add(chain_t *chain, X509 *certificate, const char **error)
{
    if (certificate && sk_X509_push(chain, certificate) > 0)
        return true;
    X509_free(certificate);
    *error = "sk_X509_push() failed";
    return false;
}

/* True at the end of the text; else what follows is no certificate. */
static bool is_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();

    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* A certificate that is encrypted is none: OpenSSL would ask for a password at the terminal. */
static char no_password[] = "";

static bool read_pem(BIO *bio, chain_t *chain, const char **error)
{
    X509 *next = PEM_read_bio_X509_AUX(bio, NULL, NULL, no_password);

    if (next == NULL) {
        *error = "PEM_read_bio_X509_AUX() failed";
        return false;
    }
    for (; next; next = PEM_read_bio_X509(bio, NULL, NULL, no_password)) {
        if (!add(chain, next, error))
            return false;
    }
    if (is_end_of_pem())
        return true;
    *error = "PEM_read_bio_X509() failed";
    return false;
}

static bool read_der(BIO *bio, chain_t *chain, const char **error)
{
    do {
        X509 *next = d2i_X509_bio(bio, NULL);
        if (next == NULL) {
            *error = "d2i_X509_bio() failed";
            return false;
        }
        if (!add(chain, next, error))
            return false;
    } while (!BIO_eof(bio));
    return true;
}

void *bl_lua_ffi_tls_parse_cert(const char *data, size_t len, bool pem, const char **error)
{
    BIO *bio = bio_of(data, len, error);
    chain_t *chain = sk_X509_new_null();
    bool ok = bio && chain && (pem ? read_pem(bio, chain, error) : read_der(bio, chain, error));

    BIO_free(bio);
    ERR_clear_error();
    if (ok)
        return chain;
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}

static int give_password(char *to, int size, int writing BL_UNUSED, void *data)
{
    const char *password = data;
    size_t len = password ? strlen(password) : 0;

    if (password == NULL || len > (size_t)size)
        return -1;
    memcpy(to, password, len);
    return (int)len;
}

static EVP_PKEY *read_key(const char *data, size_t len, bool pem, const char *password,
                          const char **error)
{
    BIO *bio = bio_of(data, len, error);
    EVP_PKEY *key = NULL;

    if (bio == NULL)
        return NULL;
    if (pem)
        key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)password);
    else
        key = d2i_PrivateKey_bio(bio, NULL);
    if (key == NULL)
        *error = pem ? "PEM_read_bio_PrivateKey() failed" : "d2i_PrivateKey_bio() failed";
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

void *bl_lua_ffi_tls_parse_key(const char *data, size_t len, bool pem, const char **error)
{
    return read_key(data, len, pem, NULL, error);
}

void bl_lua_ffi_tls_free_cert(void *chain)
{
    sk_X509_pop_free((chain_t *)chain, X509_free);
}

void bl_lua_ffi_tls_free_key(void *key)
{
    EVP_PKEY_free(key);
}

/* ------------------------------------------------------------- PEM to DER */

int bl_lua_ffi_tls_cert_der(const char *pem, size_t len, unsigned char *der, const char **error)
{
    chain_t *chain = bl_lua_ffi_tls_parse_cert(pem, len, true, error);
    unsigned char *end = der;

    if (chain == NULL)
        return -1;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        int size = i2d_X509(certificate, NULL);
        if (size < 0 || (size_t)size > len - (size_t)(end - der)) {
            *error = "i2d_X509() failed";
            end = NULL;
            break;
        }
        i2d_X509(certificate, &end);
    }
    bl_lua_ffi_tls_free_cert(chain);
    return end ? (int)(end - der) : -1;
}

int bl_lua_ffi_tls_key_der(const char *pem, size_t len, const char *password, unsigned char *der,
                           const char **error)
{
    EVP_PKEY *key = read_key(pem, len, true, password, error);

    if (key == NULL)
        return -1;
    int size = i2d_PrivateKey(key, NULL);
    if (size < 0 || (size_t)size > len) {
        *error = "i2d_PrivateKey() failed";
        size = -1;
    } else {
        i2d_PrivateKey(key, &der);
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return size;
}

/* ------------------------------------------------------------- presenting */

static const char *use_chain(SSL *ssl, chain_t *chain)
{
    if (sk_X509_num(chain) < 1)
        return "sk_X509_num() failed";
    ERR_clear_error();
    if (SSL_use_certificate(ssl, sk_X509_value(chain, 0)) != 1)
        return "SSL_use_certificate() failed";
    SSL_clear_chain_certs(ssl);
    for (int i = 1; i < sk_X509_num(chain); i++) {
        if (SSL_add1_chain_cert(ssl, sk_X509_value(chain, i)) != 1)
            return "SSL_add1_chain_cert() failed";
    }
    return NULL;
}

const char *bl_lua_ffi_tls_set_cert(bool upstream, void *chain)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(upstream, &error);

    if (ssl)
        error = use_chain(ssl, chain);
    ERR_clear_error();
    return error;
}

const char *bl_lua_ffi_tls_set_key(bool upstream, void *key)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(upstream, &error);

    if (ssl && (key == NULL || SSL_use_PrivateKey(ssl, key) != 1))
        error = "SSL_use_PrivateKey() failed";
    ERR_clear_error();
    return error;
}

const char *bl_lua_ffi_tls_set_der_cert(bool upstream, const char *der, size_t len)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(upstream, &error);
    chain_t *chain = ssl ? bl_lua_ffi_tls_parse_cert(der, len, false, &error) : NULL;

    if (chain)
        error = use_chain(ssl, chain);
    bl_lua_ffi_tls_free_cert(chain);
    ERR_clear_error();
    return error;
}

const char *bl_lua_ffi_tls_set_der_key(bool upstream, const char *der, size_t len)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(upstream, &error);
    EVP_PKEY *key = ssl ? read_key(der, len, false, NULL, &error) : NULL;

    if (key)
        error = bl_lua_ffi_tls_set_key(upstream, key);
    EVP_PKEY_free(key);
    return error;
}

const char *bl_lua_ffi_tls_clear(bool upstream)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(upstream, &error);

    if (ssl)
        SSL_certs_clear(ssl);
    return error;
}

/* ------------------------------------------------------------- clients */

static int accept_any(int ok BL_UNUSED, X509_STORE_CTX *store BL_UNUSED)
{
    return 1;
}

static bool trust(X509_STORE *store, const chain_t *chain)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (X509_STORE_add_cert(store, sk_X509_value(chain, i)) != 1)
            return false;
    }
    return true;
}

/* What the configuration trusts already. */
static void trust_configured(X509_STORE *store, SSL *ssl)
{
    X509_STORE *configured = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(configured);

    trust(store, all);
    sk_X509_pop_free(all, X509_free);
}

static bool tell_names(SSL *ssl, const chain_t *chain)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(chain, i)));
        if (name == NULL || sk_X509_NAME_push(names, name) < 1) {
            X509_NAME_free(name);
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            return false;
        }
    }
    SSL_set_client_CA_list(ssl, names);
    return true;
}

const char *bl_lua_ffi_tls_verify_client(void *clients, int depth, void *trusted)
{
    const char *error = NULL;
    SSL *ssl = ssl_of(false, &error);

    if (ssl == NULL)
        return error;
    SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
    if (depth >= 0)
        SSL_set_verify_depth(ssl, depth);
    if (clients == NULL && trusted == NULL)
        return NULL;
    X509_STORE *store = X509_STORE_new();
    if (store == NULL)
        return "X509_STORE_new() failed";
    trust_configured(store, ssl);
    bool ok = trust(store, clients) && trust(store, trusted);
    SSL_set0_verify_cert_store(ssl, store);
    if (!ok)
        error = "X509_STORE_add_cert() failed";
    else if (clients && !tell_names(ssl, clients))
        error = "X509_NAME_dup() failed";
    ERR_clear_error();
    return error;
}
