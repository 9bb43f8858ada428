/* ssl_ocsp: once the handshake is over, and before anything is served, responders are asked about
 * the client's certificate, and perhaps about those between it and the root. A certificate that was
 * found good or revoked is remembered in a zone, if there is one, until the answer says.
 *
 *   handshake ── chain built anew (a resumed session has only the leaf) ── cache? ── responder
 *                                                    next certificate <─────┴──────────┘
 *
 * The connection goes on whatever comes of it: tls->revocation is for the request's check. */
#include "conf/generation.h"
#include "core/dict.h"
#include "core/mem.h"
#include "event/ocsp.h"
#include "event/tls_ctx.h"

#include <openssl/err.h>

enum {
    VALID_S = 3600, /* of an answer that does not say */
    ID_MAX = 256,   /* bytes of a certificate's id */
};

typedef struct bl_tls_ocsp_cache {
    bl_dict *dict;
} cache;

typedef struct bl_tls_ocsp {
    bl_conn *conn;
    STACK_OF(X509) * chain;
    int at, last;
    bl_ocsp ask;
    bool in_begin;
    void (*done)(bl_conn *c);
} check;

static const char zone_owner[] = "OCSP answers";
static const char failed[] = "certificate status request failed";

/* ------------------------------------------------------------- the cache */

static bool init_zone(bl_zone *zone, void *before)
{
    cache *c = zone->data;

    c->dict = zone->memory;
    if (before || bl_dict_create(zone->memory, zone->size))
        return true;
    bl_log_write(BL_LOG_EMERG, &bl_log_process, 0, "OCSP cache \"%.*s\" is too small",
                 BL_STR_ARG(zone->name));
    return false;
}

/* The id of a certificate, in `to`. Its length; 0: it has none. */
static size_t id_of(const bl_ocsp *ask, unsigned char *to)
{
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, ask->certificate, ask->issuer);
    int len = id ? i2d_OCSP_CERTID(id, NULL) : 0;

    if (len > 0 && len <= ID_MAX)
        i2d_OCSP_CERTID(id, &to);
    else
        len = 0;
    OCSP_CERTID_free(id);
    return (size_t)len;
}

static int recall(const cache *c, const bl_ocsp *ask)
{
    unsigned char id[ID_MAX];
    bl_dict_value value;
    char status;
    size_t len = c ? id_of(ask, id) : 0;

    if (len == 0 || bl_dict_get(c->dict, bl_str_of((char *)id, len), bl_now_ms(), &status, 1,
                                &value) != BL_DICT_OK)
        return -1;
    return status;
}

static void remember(const cache *c, const bl_ocsp *ask)
{
    unsigned char id[ID_MAX];
    char status = (char)ask->status;
    bl_dict_value value = {.type = BL_DICT_STRING, .str = bl_str_of(&status, 1)};
    int64_t left = ask->next_update ? ask->next_update - (int64_t)bl_clock_now.sec : VALID_S;
    size_t len = c && left > 0 ? id_of(ask, id) : 0;

    if (len)
        bl_dict_set(c->dict, bl_str_of((char *)id, len), &value, (uint64_t)left * 1000, bl_now_ms(),
                    NULL);
}

/* ------------------------------------------------------------- the chain */

static STACK_OF(X509) * chain_of(SSL *ssl)
{
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    STACK_OF(X509) *chain = NULL;

    if (store && X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                                     SSL_get0_peer_certificate(ssl), SSL_get_peer_cert_chain(ssl)))
        chain = X509_verify_cert(store) == 1 ? X509_STORE_CTX_get1_chain(store) : NULL;
    X509_STORE_CTX_free(store);
    ERR_clear_error();
    return chain;
}

static void go_on(check *k);

static void drop(check *k)
{
    k->conn->tls->ocsp = NULL;
    sk_X509_pop_free(k->chain, X509_free);
    bl_free(k);
}

static void end(check *k, const char *revocation)
{
    bl_conn *c = k->conn;
    void (*done)(bl_conn *) = k->in_begin ? NULL : k->done;

    c->tls->revocation = revocation;
    drop(k);
    if (done)
        done(c);
}

/* What the status of the certificate that is asked about means. */
static void judge(check *k, int status)
{
    if (status == V_OCSP_CERTSTATUS_GOOD) {
        k->at++;
        go_on(k);
    } else {
        end(k, status == V_OCSP_CERTSTATUS_REVOKED ? "certificate revoked" : failed);
    }
}

static void answered(bl_ocsp *ask)
{
    check *k = ask->data;

    if (ask->status == V_OCSP_CERTSTATUS_GOOD || ask->status == V_OCSP_CERTSTATUS_REVOKED)
        remember(k->conn->tls->server->ocsp_cache, ask);
    judge(k, ask->status);
}

static void go_on(check *k)
{
    const bl_tls_server *server = k->conn->tls->server;
    SSL *ssl = k->conn->tls->ssl;

    if (k->at == k->last) {
        end(k, NULL);
        return;
    }
    k->ask = (bl_ocsp){.certificate = sk_X509_value(k->chain, k->at),
                       .issuer = sk_X509_value(k->chain, k->at + 1),
                       .store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                       .chain = k->chain,
                       .responder = server->ocsp_responder,
                       .resolver = server->resolver,
                       .resolver_ms = server->resolver_ms,
                       .log = &k->conn->log,
                       .done = answered,
                       .data = k};
    int status = recall(server->ocsp_cache, &k->ask);
    if (status >= 0)
        judge(k, status);
    else
        bl_ocsp_start(&k->ask);
}

bool bl_tls_ocsp_begin(bl_conn *c, void (*done)(bl_conn *c))
{
    bl_tls *tls = c->tls;

    if (tls->server == NULL || tls->server->ocsp == BL_TLS_OCSP_OFF ||
        SSL_get0_peer_certificate(tls->ssl) == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK)
        return false;
    STACK_OF(X509) *chain = chain_of(tls->ssl);
    if (chain == NULL) {
        tls->revocation = failed;
        return false;
    }
    check *k = bl_zalloc(sizeof *k);
    k->conn = c;
    k->chain = chain;
    k->done = done;
    k->last = sk_X509_num(chain) - 1;
    if (tls->server->ocsp == BL_TLS_OCSP_LEAF)
        k->last = BL_MIN(k->last, 1);
    k->in_begin = true;
    tls->ocsp = k;
    go_on(k);
    if (tls->ocsp == NULL)
        return false;
    k->in_begin = false;
    return true;
}

void bl_tls_ocsp_cancel(bl_conn *c)
{
    check *k = c->tls->ocsp;

    if (k == NULL)
        return;
    bl_ocsp_cancel(&k->ask);
    drop(k);
}

/* ------------------------------------------------------------- set-up */

static bool read_cache(bl_conf *cf, const bl_conf_node *node, bl_str text, cache **to)
{
    if (text.len == 0 || bl_str_eq(text, BL_STR("off")))
        return true;
    ssize_t colon = -1;
    if (bl_str_starts(text, BL_STR("shared:"))) {
        text = bl_str_of(text.p + 7, text.len - 7);
        colon = bl_str_chr(text, ':');
    }
    int64_t size = -1;
    if (colon > 0)
        size = bl_conf_size(bl_str_of(text.p + colon + 1, text.len - (size_t)colon - 1));
    if (size < BL_DICT_SIZE_MIN)
        return bl_conf_error(cf, node, 0, "invalid OCSP cache \"%.*s\"", BL_STR_ARG(text));
    bl_zone *zone = bl_zone_add(cf, bl_str_of(text.p, (size_t)colon), (size_t)size, zone_owner);
    if (zone == NULL)
        return false;
    if (zone->data == NULL) {
        zone->data = BL_NEW(cf->pool, cache);
        zone->init = init_zone;
    }
    *to = zone->data;
    return true;
}

bool bl_tls_ocsp_setup(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                       const bl_tls_settings *s)
{
    enum {
        OPTIONAL_NO_CA = 3
    };
    bl_str host, path;
    int port;

    if (s->ocsp == BL_TLS_OCSP_OFF)
        return true;
    if (s->verify == OPTIONAL_NO_CA)
        return bl_conf_error(cf, node, 0,
                             "\"ssl_ocsp\" is incompatible with "
                             "\"ssl_verify_client optional_no_ca\"");
    if (s->ocsp_responder.len) {
        const char *error = bl_ocsp_url(s->ocsp_responder, &host, &port, &path);
        if (error)
            return bl_conf_error(cf, node, 0, "%s \"%.*s\" in \"ssl_ocsp_responder\"", error,
                                 BL_STR_ARG(s->ocsp_responder));
        server->ocsp_responder = s->ocsp_responder;
    }
    server->ocsp = s->ocsp;
    return read_cache(cf, node, s->ocsp_cache, &server->ocsp_cache);
}

void bl_tls_server_resolver(bl_tls_server *server, bl_resolver *resolver, uint64_t timeout_ms)
{
    server->resolver = resolver;
    server->resolver_ms = timeout_ms;
}
