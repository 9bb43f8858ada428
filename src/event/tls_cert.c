/* Certificates, keys and lists of authorities: from files, from "data:PEM" and, keys alone, from
 * "store:URI" (OSSL_STORE). Keys may be encrypted; each of the passwords is tried. */
#include "core/mem.h"
#include "event/tls_ctx.h"
#include "event/tls_error.h"
#include "event/tls_source.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <stdio.h>

enum {
    PASSWORD_MAX = 4096
};

struct bl_tls_pair {
    X509 *certificate;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    bool locked;
};

/* ------------------------------------------------------------- reading */

/* End of the file is an error to the PEM reader, but a good end of a list. */
static bool list_is_over(void)
{
    unsigned long error = ERR_peek_last_error();

    if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

/* A certificate that is encrypted is none: OpenSSL would ask for a password at the terminal. */
static char no_password[] = "";

/* The certificates behind the first, which becomes *first. False: OpenSSL's queue says why. */
static bool read_chain(BIO *bio, X509 **first, STACK_OF(X509) * *chain)
{
    X509 *next;

    *first = PEM_read_bio_X509_AUX(bio, NULL, NULL, no_password);
    *chain = sk_X509_new_null();
    if (*first == NULL || *chain == NULL)
        return false;
    while ((next = PEM_read_bio_X509(bio, NULL, NULL, no_password)) != NULL) {
        if (sk_X509_push(*chain, next) == 0) {
            X509_free(next);
            return false;
        }
    }
    return list_is_over();
}

/* ------------------------------------------------------------- keys */

static bool password_given; /* to the key that was read last */

static int give_password(char *to, int size, int writing BL_UNUSED, void *data)
{
    const bl_str *password = data;

    if (password == NULL || password->len > (size_t)size)
        return -1;
    password_given = true;
    memcpy(to, password->p, password->len);
    return (int)password->len;
}

static EVP_PKEY *key_from_store(const char *uri, const bl_str *password)
{
    UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(give_password, 0);
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, ui, (void *)password, NULL, NULL);
    EVP_PKEY *key = NULL;

    while (store && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    if (store)
        OSSL_STORE_close(store);
    UI_destroy_method(ui);
    return key;
}

static EVP_PKEY *key_once(bl_conf *cf, bl_str source, const bl_str *password)
{
    if (bl_str_starts(source, BL_STR("store:"))) {
        char uri[4096];
        if (source.len - 6 >= sizeof uri)
            return NULL;
        memcpy(uri, source.p + 6, source.len - 6);
        uri[source.len - 6] = '\0';
        ERR_clear_error();
        return key_from_store(uri, password);
    }
    BIO *bio = bl_tls_source_open(cf, source);
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)password) : NULL;
    BIO_free(bio);
    return key;
}

static EVP_PKEY *key_load(bl_conf *cf, bl_str source, const bl_array *passwords)
{
    EVP_PKEY *key = NULL;

    password_given = false;
    if (bl_array_count(passwords) == 0)
        return key_once(cf, source, NULL);
    for (uint32_t i = 0; key == NULL && i < bl_array_count(passwords); i++)
        key = key_once(cf, source, bl_array_at(passwords, i));
    return key;
}

/* ------------------------------------------------------------- pairs */

void bl_tls_pair_free(bl_tls_pair *pair)
{
    if (pair == NULL)
        return;
    X509_free(pair->certificate);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    bl_free(pair);
}

/* For messages: a certificate that stands in the configuration itself is not repeated. */
static bl_str shown(bl_str source)
{
    return bl_str_starts(source, BL_STR("data:")) ? BL_STR("data:...") : source;
}

static bl_tls_pair *load(bl_conf *cf, bl_str certificate, bl_str key, const bl_array *passwords,
                         const char **error)
{
    bl_tls_pair *pair = bl_zalloc(sizeof *pair);
    BIO *bio = bl_tls_source_open(cf, certificate);

    bool read = bio && read_chain(bio, &pair->certificate, &pair->chain);
    BIO_free(bio);
    if (!read)
        *error = bl_tls_error_message("cannot load certificate \"%.*s\":",
                                      BL_STR_ARG(shown(certificate)));
    else if ((pair->key = key_load(cf, key, passwords)) == NULL)
        *error =
            bl_tls_error_message("cannot load certificate key \"%.*s\":", BL_STR_ARG(shown(key)));
    else {
        ERR_clear_error();
        pair->locked = password_given;
        return pair;
    }
    bl_tls_pair_free(pair);
    return NULL;
}

bl_tls_pair *bl_tls_pair_load(bl_str certificate, bl_str key, const bl_array *passwords,
                              const char **error)
{
    return load(NULL, certificate, key, passwords, error);
}

bool bl_tls_pair_was_locked(const bl_tls_pair *pair)
{
    return pair->locked;
}

const char *bl_tls_pair_use(bl_conn *c, bl_tls_pair *pair)
{
    ERR_clear_error();
    if (SSL_use_cert_and_key(c->tls->ssl, pair->certificate, pair->key, pair->chain, 1) == 1)
        return NULL;
    return bl_tls_error_message("SSL_use_certificate() failed");
}

/* ------------------------------------------------------------- files of passwords */

static void add_password(bl_pool *pool, bl_array *passwords, char *line)
{
    size_t len = strcspn(line, "\r\n");

    if (len)
        *(bl_str *)bl_array_push(passwords) = bl_pool_str(pool, bl_str_of(line, len));
    OPENSSL_cleanse(line, len);
}

static bool read_passwords(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                           void *field)
{
    bl_array **passwords = field;
    bl_str path = bl_conf_path(cf, bl_conf_arg(node, 1), true);
    char line[PASSWORD_MAX];
    FILE *file = fopen(path.p, "re"); /* may be a FIFO */

    if (file == NULL)
        return bl_conf_error(cf, node, 1, "open() \"%.*s\" failed (%d: %s)", BL_STR_ARG(path),
                             errno, strerror(errno));
    *passwords = bl_array_new(cf->pool, sizeof(bl_str));
    while (fgets(line, sizeof line, file))
        add_password(cf->pool, *passwords, line);
    fclose(file);
    return true;
}

const bl_type bl_tls_passwords = {"file", sizeof(bl_array *), read_passwords};

/* ------------------------------------------------------------- what the settings name */

static bl_str source_path(bl_conf *cf, bl_str source)
{
    if (bl_str_starts(source, BL_STR("data:")) || bl_str_starts(source, BL_STR("store:")))
        return source;
    return bl_conf_path(cf, source, true);
}

static bool use_pair(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx, bl_str certificate,
                     bl_str key, const bl_array *passwords)
{
    const char *error;
    bl_str key_path = source_path(cf, key);
    bl_tls_pair *pair = load(cf, source_path(cf, certificate), key_path, passwords, &error);

    if (pair == NULL)
        return bl_conf_error(cf, node, 0, "%s", error);
    bool ok = SSL_CTX_use_cert_and_key(ctx, pair->certificate, pair->key, pair->chain, 1) == 1;
    bl_tls_pair_free(pair);
    return ok || bl_tls_error_report(cf, node, "SSL_CTX_use_PrivateKey(\"%.*s\") failed",
                                     BL_STR_ARG(key_path));
}

/* Adds a certificate's subject to a list of authorities, once. */
static bool add_name(STACK_OF(X509_NAME) * names, X509 *certificate)
{
    const X509_NAME *name = X509_get_subject_name(certificate);

    for (int i = 0; i < sk_X509_NAME_num(names); i++) {
        if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
            return true;
    }
    X509_NAME *copy = X509_NAME_dup(name);
    if (copy && sk_X509_NAME_push(names, copy))
        return true;
    X509_NAME_free(copy);
    return false;
}

/* The names of a file's certificates, "trusted" ones too. NULL: OpenSSL's queue says why. */
static STACK_OF(X509_NAME) * names_of(bl_conf *cf, bl_str path)
{
    BIO *bio = bl_tls_source_open(cf, path);
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    X509 *certificate;
    bool ok = bio && names;

    while (ok && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, no_password)) != NULL) {
        ok = add_name(names, certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    if (ok && sk_X509_NAME_num(names) && list_is_over())
        return names;
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return NULL;
}

/* All certificates and lists of revoked ones in a file; one that was there already is no error.
 * False: OpenSSL's queue says why. */
static bool fill_store(bl_conf *cf, X509_STORE *store, bl_str path)
{
    BIO *bio = bl_tls_source_open(cf, path);
    STACK_OF(X509_INFO) *all = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, no_password) : NULL;
    int found = 0;
    bool ok = all != NULL;

    for (int i = 0; ok && i < sk_X509_INFO_num(all); i++) {
        const X509_INFO *info = sk_X509_INFO_value(all, i);
        found += info->x509 != NULL || info->crl != NULL;
        ok = (info->x509 == NULL || X509_STORE_add_cert(store, info->x509)) &&
             (info->crl == NULL || X509_STORE_add_crl(store, info->crl));
    }
    if (ok && found == 0)
        ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    BIO_free(bio);
    return ok && found;
}

static bool trust(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx, bl_str file, bool tell)
{
    bl_str path = bl_conf_path(cf, file, true);

    if (!fill_store(cf, SSL_CTX_get_cert_store(ctx), path))
        return bl_tls_error_report(cf, node, "SSL_CTX_load_verify_locations(\"%.*s\") failed",
                                   BL_STR_ARG(path));
    ERR_clear_error(); /* an authority that was there already is no error */
    if (!tell)
        return true;
    STACK_OF(X509_NAME) *names = names_of(cf, path);
    if (names == NULL)
        return bl_tls_error_report(cf, node, "SSL_load_client_CA_file(\"%.*s\") failed",
                                   BL_STR_ARG(path));
    SSL_CTX_set_client_CA_list(ctx, names);
    return true;
}

static bool use_crl(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx, bl_str file)
{
    bl_str path = bl_conf_path(cf, file, true);
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);

    if (!fill_store(cf, store, path))
        return bl_tls_error_report(cf, node, "X509_LOOKUP_load_file(\"%.*s\") failed",
                                   BL_STR_ARG(path));
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return true;
}

static bool use_dhparam(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx, bl_str file)
{
    bl_str path = bl_conf_path(cf, file, true);
    BIO *bio = bl_tls_source_open(cf, path);
    EVP_PKEY *dh = bio ? PEM_read_bio_Parameters(bio, NULL) : NULL;

    BIO_free(bio);
    if (dh == NULL)
        return bl_tls_error_report(cf, node, "PEM_read_bio_DHparams(\"%.*s\") failed",
                                   BL_STR_ARG(path));
    if (SSL_CTX_set0_tmp_dh_pkey(ctx, dh) == 1)
        return true;
    EVP_PKEY_free(dh);
    return bl_tls_error_report(cf, node, "SSL_CTX_set_tmp_dh(\"%.*s\") failed", BL_STR_ARG(path));
}

bool bl_tls_cert_setup(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx,
                       const bl_tls_settings *s)
{
    for (uint32_t i = 0; i < bl_array_count(s->certificates); i++) {
        const bl_str *certificate = bl_array_at(s->certificates, i);
        const bl_str *key = bl_array_at(s->certificate_keys, i);
        if (!use_pair(cf, node, ctx, *certificate, *key, s->passwords))
            return false;
    }
    bool asks = s->verify && s->client_certificate.len;
    if (s->verify_depth > 0 || asks)
        SSL_CTX_set_verify_depth(ctx, (int)s->verify_depth);
    return (!asks || trust(cf, node, ctx, s->client_certificate, true)) &&
           (s->trusted_certificate.len == 0 ||
            trust(cf, node, ctx, s->trusted_certificate, false)) &&
           (s->crl.len == 0 || use_crl(cf, node, ctx, s->crl)) &&
           (s->dhparam.len == 0 || use_dhparam(cf, node, ctx, s->dhparam));
}
