/* Stapling (RFC 6066 section 8): the OCSP response about our certificate that the client would have
 * to ask for. From a file, from a hook (bl_tls_staple), or from the certificate's responder: then
 * the first client who wants it starts the question and goes without; those behind it get the
 * answer. An answer serves until it says, is asked for anew every hour, and a responder that has
 * failed is left alone for a while. Each process asks for itself. */
#include "conf/generation.h"
#include "core/mem.h"
#include "event/ocsp.h"
#include "event/tls_ctx.h"
#include "os/slurp.h"

#include <openssl/err.h>

enum {
    FILE_MAX = 64 * 1024,
    REFRESH_S = 3600, /* an answer is asked for anew */
    RETRY_S = 300,    /* after a failure */
};

typedef struct bl_tls_staple {
    struct bl_tls_staple *next;
    bl_tls_server *server;
    X509 *certificate, *issuer;
    STACK_OF(X509) * chain; /* the SSL_CTX's */
    bl_ocsp ask;
    bool asking;
    bl_str responder;
    bool verify;
    int64_t refresh_at, valid_until; /* Unix time; 0: no answer so far */
    char *response;
    size_t len;
} staple;

/* ------------------------------------------------------------- showing it */

bool bl_tls_staple(bl_conn *c, bl_str response)
{
    unsigned char *copy = OPENSSL_memdup(response.p, response.len);

    return copy && SSL_set_tlsext_status_ocsp_resp(c->tls->ssl, copy, (long)response.len) == 1;
}

static void answered(bl_ocsp *ask)
{
    staple *s = ask->data;
    int64_t now = bl_clock_now.sec;

    s->asking = false;
    s->refresh_at = now + RETRY_S;
    if (ask->status < 0)
        return;
    if (ask->status != V_OCSP_CERTSTATUS_GOOD) {
        bl_log_write(BL_LOG_ERR, ask->log, 0,
                     "certificate status \"%s\" in the OCSP response, responder: %.*s",
                     OCSP_cert_status_str(ask->status), BL_STR_ARG(ask->host));
        s->valid_until = 0;
        return;
    }
    bl_free(s->response);
    s->response = bl_alloc(ask->response.len);
    s->len = ask->response.len;
    memcpy(s->response, ask->response.p, s->len);
    s->valid_until = ask->next_update ? ask->next_update : now + 2 * REFRESH_S;
    s->refresh_at = now + REFRESH_S;
    if (ask->next_update && ask->next_update - RETRY_S < s->refresh_at)
        s->refresh_at = BL_MAX(ask->next_update - RETRY_S, now + RETRY_S);
}

static void refresh(staple *s)
{
    s->asking = true;
    s->ask = (bl_ocsp){.certificate = s->certificate,
                       .issuer = s->issuer,
                       .store = SSL_CTX_get_cert_store(s->server->ctx),
                       .chain = s->chain,
                       .unchecked = !s->verify,
                       .responder = s->responder,
                       .resolver = s->server->resolver,
                       .resolver_ms = s->server->resolver_ms,
                       .log = &bl_log_process,
                       .done = answered,
                       .data = s};
    bl_ocsp_start(&s->ask);
}

static staple *staple_of(const bl_tls_server *server, const X509 *certificate)
{
    staple *s = server->staples;

    while (s && s->certificate != certificate && X509_cmp(s->certificate, certificate) != 0)
        s = s->next;
    return s;
}

static bl_str response_for(bl_conn *c)
{
    const bl_tls_server *server = c->tls->server;
    int64_t now = bl_clock_now.sec;

    if (server->staple.len || server->staples == NULL)
        return server->staple;
    const X509 *certificate = SSL_get_certificate(c->tls->ssl);
    staple *s = certificate ? staple_of(server, certificate) : NULL;
    if (s == NULL)
        return BL_STR_NONE;
    if (!s->asking && now >= s->refresh_at)
        refresh(s);
    return now < s->valid_until ? bl_str_of(s->response, s->len) : BL_STR_NONE;
}

int bl_tls_staple_callback(SSL *ssl, void *unused BL_UNUSED)
{
    bl_conn *c = bl_tls_conn(ssl);
    const unsigned char *set;

    if (SSL_get_tlsext_status_ocsp_resp(ssl, &set) > 0)
        return SSL_TLSEXT_ERR_OK; /* by a hook */
    bl_str response = response_for(c);
    return response.len && bl_tls_staple(c, response) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* ------------------------------------------------------------- set-up */

static bool read_staple(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                        const bl_tls_settings *s)
{
    bl_str path = bl_conf_path(cf, s->stapling_file, true);
    int error = bl_slurp(cf->pool, path.p, FILE_MAX, &server->staple);

    if (error == 0)
        return true;
    return bl_conf_error(cf, node, 0, "reading \"%.*s\" failed (%d: %s)", BL_STR_ARG(path), error,
                         strerror(error));
}

static X509 *find_issuer(SSL_CTX *ctx, X509 *certificate)
{
    STACK_OF(X509) *chain = NULL;
    X509 *issuer = NULL;

    SSL_CTX_get0_chain_certs(ctx, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (X509_check_issued(sk_X509_value(chain, i), certificate) == X509_V_OK) {
            X509_up_ref(sk_X509_value(chain, i));
            return sk_X509_value(chain, i);
        }
    }
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    if (store && X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx), NULL, NULL) &&
        X509_STORE_CTX_get1_issuer(&issuer, store, certificate) != 1)
        issuer = NULL;
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return issuer;
}

static void free_staple(void *data)
{
    staple *s = data;

    if (s->asking)
        bl_ocsp_cancel(&s->ask);
    X509_free(s->issuer);
    bl_free(s->response);
}

static void ignored(bl_conf *cf, const bl_conf_node *node, const char *why)
{
    bl_conf_warn(cf, node, 0, "\"ssl_stapling\" ignored, %s", why);
}

static bool names_responder(X509 *certificate)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(certificate);
    bool names = sk_OPENSSL_STRING_num(urls) > 0;

    X509_email_free(urls);
    return names;
}

/* For the current certificate of the SSL_CTX. */
static void add_staple(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                       const bl_tls_settings *settings)
{
    X509 *certificate = SSL_CTX_get0_certificate(server->ctx);
    X509 *issuer = certificate ? find_issuer(server->ctx, certificate) : NULL;

    if (certificate == NULL)
        return;
    if (issuer == NULL) {
        ignored(cf, node, "issuer certificate not found");
        return;
    }
    if (settings->stapling_responder.len == 0 && !names_responder(certificate)) {
        X509_free(issuer);
        ignored(cf, node, "no OCSP responder URL in the certificate");
        return;
    }
    staple *s = BL_NEW(cf->pool, staple);
    s->server = server;
    s->certificate = certificate;
    s->issuer = issuer;
    SSL_CTX_get0_chain_certs(server->ctx, &s->chain);
    s->verify = settings->stapling_verify;
    if (settings->stapling_responder.len)
        s->responder = settings->stapling_responder;
    s->next = server->staples;
    server->staples = s;
    bl_pool_cleanup(cf->pool, free_staple, s);
}

bool bl_tls_staple_setup(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                         const bl_tls_settings *s)
{
    bl_str host, path;
    int port;

    if (!s->stapling)
        return true;
    if (s->stapling_file.len)
        return read_staple(cf, node, server, s);
    const char *error =
        s->stapling_responder.len ? bl_ocsp_url(s->stapling_responder, &host, &port, &path) : NULL;
    if (error) {
        ignored(cf, node, error);
        return true;
    }
    for (int more = SSL_CTX_set_current_cert(server->ctx, SSL_CERT_SET_FIRST); more;
         more = SSL_CTX_set_current_cert(server->ctx, SSL_CERT_SET_NEXT))
        add_staple(cf, node, server, s);
    return true;
}
