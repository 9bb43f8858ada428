#include "event/tls.h"
#include "core/mem.h"
#include "event/tls_bio.h"
#include "event/tls_ctx.h"
#include "event/tls_error.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

enum {
    RECORD_HANDSHAKE = 0x16,
    SSLV2_HELLO = 0x80, /* the bit that is set in the first byte of one */
};

static void on_readable(bl_io *io);
static void on_writable(bl_io *io);

static void nothing(bl_io *io BL_UNUSED)
{
}

bl_conn *bl_tls_conn(const SSL *ssl)
{
    bl_conn *c = SSL_get_ex_data(ssl, bl_tls_ctx_conn_slot());

    BL_CHECK(c, BL_CONN_MAGIC);
    return c;
}

/* ------------------------------------------------------------- hooks */

void bl_tls_server_hook(bl_tls_server *server, int at, bl_tls_hook *hook)
{
    bl_tls_hook **tail = &server->hooks[at];

    while (*tail)
        tail = &(*tail)->next;
    hook->next = NULL;
    *tail = hook;
    if (at == BL_TLS_AT_SESSION)
        bl_tls_session_callbacks(server->ctx);
}

void bl_tls_server_store(bl_tls_server *server,
                         void (*store)(bl_conn *c, SSL_SESSION *session, void *data), void *data)
{
    server->store = store;
    server->store_data = data;
    bl_tls_session_callbacks(server->ctx);
}

static bl_status ask(bl_conn *c, bl_tls_hook *hook)
{
    bl_tls *tls = c->tls;

    if (tls->answered && tls->hook == hook) {
        tls->answered = false;
        return tls->answer;
    }
    tls->hook = hook;
    return hook->run(c, hook);
}

/* Asks them in order; goes on behind the one that has answered meanwhile. Once in a handshake, for
 * there may be a second hello (HelloRetryRequest). */
static bl_status ask_all(bl_conn *c, int at, bl_tls_hook *first)
{
    bl_tls *tls = c->tls;
    bl_tls_hook *hook = tls->answered ? tls->hook : first;

    if (tls->asked & 1u << at)
        return BL_OK;
    for (; hook; hook = hook->next) {
        bl_status status = ask(c, hook);
        tls->parked = status == BL_AGAIN;
        if (status != BL_OK)
            return status;
    }
    tls->hook = NULL;
    tls->asked |= 1u << at;
    return BL_OK;
}

/* ------------------------------------------------------------- the client hello */

bl_str bl_tls_hello_name(SSL *ssl)
{
    const unsigned char *p;
    size_t len;

    /* A list (2 bytes of length) of names: a type (0: host name), 2 bytes of length, the name. */
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) || len < 5 || p[2] != 0)
        return BL_STR_NONE;
    size_t list = (size_t)p[0] << 8 | p[1], name = (size_t)p[3] << 8 | p[4];
    if (list != len - 2 || name == 0 || name > len - 5)
        return BL_STR_NONE;
    return bl_str_of((const char *)p + 5, name);
}

/* SSL_set_SSL_CTX takes over the certificates; what else a server may have of its own is said
 * here. */
static void switch_server(bl_tls *tls, bl_tls_server *server)
{
    SSL *ssl = tls->ssl;
    SSL_CTX *ctx = server->ctx;

    tls->server = server;
    SSL_set_SSL_CTX(ssl, ctx);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), SSL_CTX_get_verify_callback(ctx));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(ctx));
    SSL_clear_options(ssl, SSL_get_options(ssl) & ~SSL_CTX_get_options(ctx));
    SSL_set_options(ssl, SSL_CTX_get_options(ctx));
    SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(ctx));
    SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx));
    if (server->groups)
        SSL_set1_groups_list(ssl, server->groups);
}

static void select_server(bl_conn *c)
{
    bl_tls *tls = c->tls;
    bl_str name = bl_tls_hello_name(tls->ssl);
    bl_tls_server *server = NULL;

    if (name.len && tls->select)
        server = tls->select(c, name);
    if (server && server != tls->initial)
        switch_server(tls, server);
    tls->selected = true;
}

bl_str bl_tls_hello_session(SSL *ssl)
{
    const unsigned char *id;
    size_t len = SSL_client_hello_get0_session_id(ssl, &id);

    return len ? bl_str_of((const char *)id, len) : BL_STR_NONE;
}

/* supported_versions: a list (1 byte of length) of versions. RFC 8446 section 4.2.1. */
static bool wants_v1_3(SSL *ssl)
{
    const unsigned char *p;
    size_t len;

    if (SSL_get_options(ssl) & SSL_OP_NO_TLSv1_3 ||
        (SSL_get_max_proto_version(ssl) && SSL_get_max_proto_version(ssl) < TLS1_3_VERSION) ||
        !SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &p, &len))
        return false;
    for (size_t i = 1; i + 1 < len; i += 2) {
        if ((p[i] << 8 | p[i + 1]) == TLS1_3_VERSION)
            return true;
    }
    return false;
}

/* Will the server have to know the session? A ticket would hold all of it. */
static bool asks_for_session(SSL *ssl)
{
    const unsigned char *p;
    size_t len;
    bool ticket = !(SSL_get_options(ssl) & SSL_OP_NO_TICKET) &&
                  SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_session_ticket, &p, &len) && len;

    return !ticket && bl_tls_hello_session(ssl).len && !wants_v1_3(ssl);
}

static bl_status ask_about_hello(bl_conn *c)
{
    const bl_tls *tls = c->tls;
    bl_tls_hook *const *hooks = tls->initial->hooks;
    bl_status status = ask_all(c, BL_TLS_AT_HELLO, hooks[BL_TLS_AT_HELLO]);

    if (status == BL_OK && hooks[BL_TLS_AT_SESSION] && asks_for_session(tls->ssl))
        status = ask_all(c, BL_TLS_AT_SESSION, hooks[BL_TLS_AT_SESSION]);
    return status;
}

int bl_tls_on_hello(SSL *ssl, int *alert, void *unused BL_UNUSED)
{
    bl_conn *c = bl_tls_conn(ssl);
    bl_tls *tls = c->tls;

    if (!tls->selected)
        select_server(c);
    bl_status status = ask_about_hello(c);
    if (status == BL_OK && tls->server->reject) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    if (status == BL_AGAIN)
        return SSL_CLIENT_HELLO_RETRY;
    *alert = SSL_AD_HANDSHAKE_FAILURE;
    return status == BL_OK ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

int bl_tls_on_certificate(SSL *ssl, void *unused BL_UNUSED)
{
    bl_conn *c = bl_tls_conn(ssl);
    const bl_tls *tls = c->tls;
    bl_tls_hook *hook = (tls->server ? tls->server->hooks : tls->own)[BL_TLS_AT_CERTIFICATE];
    bl_status status = ask_all(c, BL_TLS_AT_CERTIFICATE, hook);

    return status == BL_AGAIN ? -1 : status == BL_OK;
}

/* ------------------------------------------------------------- the peer's certificate */

static int accept_any(int ok BL_UNUSED, X509_STORE_CTX *store BL_UNUSED)
{
    return 1;
}

void bl_tls_conn_hook(bl_conn *c, int at, bl_tls_hook *hook)
{
    bl_tls *tls = c->tls;

    hook->next = tls->own[at];
    tls->own[at] = hook;
    if (at == BL_TLS_AT_CERTIFICATE)
        SSL_set_cert_cb(tls->ssl, bl_tls_on_certificate, NULL);
    else
        SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, accept_any);
}

void bl_tls_conn_skip_verify(bl_conn *c)
{
    c->tls->skip_verify = true;
}

/* OpenSSL asks again when a hook had to wait; it has verified nothing then. */
int bl_tls_on_verify(X509_STORE_CTX *store, void *unused BL_UNUSED)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    bl_conn *c = bl_tls_conn(ssl);
    bl_tls *tls = c->tls;
    int verified = 1;

    if (!tls->answered && !tls->skip_verify) {
        verified = X509_verify_cert(store);
        tls->verify_result = X509_STORE_CTX_get_error(store);
    }
    if (tls->own[BL_TLS_AT_VERIFY] == NULL)
        return verified;
    tls->unverified = X509_STORE_CTX_get0_cert(store);
    bl_status status = ask_all(c, BL_TLS_AT_VERIFY, tls->own[BL_TLS_AT_VERIFY]);
    if (status == BL_AGAIN) {
        SSL_set_retry_verify(ssl);
        return 1;
    }
    tls->unverified = NULL;
    X509_STORE_CTX_set_error(store, tls->verify_result);
    return status == BL_OK;
}

/* ------------------------------------------------------------- the handshake */

/* "NAME TLSv1.2 Kx=… Au=…", without the padding that OpenSSL puts in between. */
static void describe_cipher(const SSL *ssl, char *text, size_t size)
{
    size_t at = 0;

    SSL_CIPHER_description(SSL_get_current_cipher(ssl), text, (int)size);
    for (size_t i = 0; text[i] && text[i] != '\n'; i++) {
        if (text[i] != ' ' || (at && text[at - 1] != ' '))
            text[at++] = text[i];
    }
    while (at && text[at - 1] == ' ')
        at--;
    text[at] = '\0';
}

static void log_agreement(const bl_conn *c)
{
    const SSL *ssl = c->tls->ssl;
    char cipher[256];

    if (!bl_log_on(&c->log, BL_LOG_DEBUG) || SSL_get_current_cipher(ssl) == NULL)
        return;
    describe_cipher(ssl, cipher, sizeof cipher);
    bl_debug(&c->log, "SSL: %s, cipher: \"%s\"", SSL_get_version(ssl), cipher);
    if (SSL_session_reused(ssl))
        bl_debug(&c->log, "SSL reused session");
}

static void checked(bl_conn *c);

static void finish(bl_conn *c, bool ok)
{
    bl_tls *tls = c->tls;

    bl_tls_ocsp_cancel(c);
    c->io.on_read = c->io.on_write = nothing;
    if (ok && !tls->checked && bl_tls_ocsp_begin(c, checked))
        return;
    if (ok && tls->ssl)
        log_agreement(c);
    tls->handshaked = ok;
    tls->failed = !ok;
    if (c->listener)
        bl_timer_stop(&c->timer);
    c->log.action = tls->action;
    if (ok && tls->ssl && SSL_has_pending(tls->ssl))
        c->io.readable = true;
    tls->done(c, ok);
}

static void checked(bl_conn *c)
{
    c->tls->checked = true;
    finish(c, true);
}

static void log_failure(bl_conn *c)
{
    if (c->eof && ERR_peek_error() == 0)
        bl_log_write(c->listener ? BL_LOG_INFO : BL_LOG_ERR, &c->log, 0,
                     "peer closed connection in SSL handshake");
    else
        bl_tls_error_log(c, "SSL_do_handshake()");
}

/* Early data counts as the end of the handshake: the request may be served. */
static int step_early(bl_tls *tls)
{
    size_t n = 0;

    switch (SSL_read_early_data(tls->ssl, &tls->early_byte, 1, &n)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        tls->early_peeked = n == 1;
        tls->in_early_data = true;
        return 1;
    case SSL_READ_EARLY_DATA_FINISH:
        tls->early_end = true;
        return SSL_do_handshake(tls->ssl);
    default:
        return 0;
    }
}

static int step(bl_tls *tls)
{
    bool early = tls->initial && tls->initial->early_data && !tls->early_end;

    ERR_clear_error();
    return early ? step_early(tls) : SSL_do_handshake(tls->ssl);
}

static void advance(bl_conn *c)
{
    bl_tls *tls = c->tls;
    int rc = tls->established ? 1 : step(tls);
    int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, rc);
    bl_status flushed = bl_tls_bio_flush(c);

    bl_debug(&c->log, "SSL_do_handshake: %d", rc);
    tls->established = rc == 1;
    if (rc != 1 &&
        (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN)) {
        log_failure(c);
        finish(c, false);
    } else if (flushed == BL_ERROR) {
        bl_log_write(c->listener ? BL_LOG_INFO : BL_LOG_ERR, &c->log, tls->io_error,
                     "send() failed");
        finish(c, false);
    } else if (rc == 1 && flushed == BL_OK) {
        finish(c, true);
    }
    ERR_clear_error();
}

static void on_readable(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);

    if (!c->tls->parked)
        advance(c);
}

static void on_writable(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);

    if (c->tls->unsent_len && !c->tls->parked)
        advance(c);
}

void bl_tls_resume(bl_conn *c, bl_status answer)
{
    bl_tls *tls = c->tls;

    BL_ASSERT(tls->parked && answer != BL_AGAIN);
    tls->parked = false;
    tls->answered = true;
    tls->answer = answer;
    advance(c);
}

static void on_timeout(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);

    c->timed_out = true;
    bl_log_write(BL_LOG_INFO, &c->log, ETIMEDOUT, "client timed out");
    finish(c, false);
}

static bool start_ssl(bl_conn *c, SSL_CTX *ctx)
{
    bl_tls *tls = c->tls;
    BIO *bio = bl_tls_bio_new(c);

    tls->ssl = bio ? SSL_new(ctx) : NULL;
    if (tls->ssl == NULL || !SSL_set_ex_data(tls->ssl, bl_tls_ctx_conn_slot(), c)) {
        bl_tls_error_log(c, "SSL_new()");
        BIO_free(bio);
        return false;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    c->io.on_read = on_readable;
    c->io.on_write = on_writable;
    return true;
}

static bl_tls *attach(bl_conn *c, void (*done)(bl_conn *c, bool ok))
{
    bl_tls *tls = bl_zalloc(sizeof *tls);

    tls->done = done;
    tls->action = c->log.action;
    c->tls = tls;
    c->transport = &bl_transport_tls;
    return tls;
}

/* ------------------------------------------------------------- accepting */

/* Plain HTTP on a port for TLS. */
static void detach(bl_conn *c)
{
    bl_tls *tls = c->tls;

    bl_timer_stop(&c->timer);
    c->log.action = tls->action;
    c->transport = &bl_transport_plain;
    c->tls = NULL;
    tls->done(c, true);
    bl_free(tls);
}

static void begin_accept(bl_conn *c)
{
    bl_tls *tls = c->tls;

    if (tls->initial == NULL) {
        bl_log_write(BL_LOG_ERR, &c->log, 0,
                     "no \"ssl_certificate\" is defined in server "
                     "listening on SSL port");
        finish(c, false);
        return;
    }
    tls->server = tls->initial;
    bl_debug(&c->log, "reusable connection: %d", c->reusable);
    if (!start_ssl(c, tls->initial->ctx)) {
        finish(c, false);
        return;
    }
    bl_conn_nodelay(c); /* flights and tickets must not hold up what follows them */
    SSL_set_accept_state(tls->ssl);
    advance(c);
}

static void on_first_byte(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    unsigned char byte;
    ssize_t n = recv(io->fd, &byte, 1, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        io->readable = false;
        return;
    }
    if (n < 0)
        bl_log_write(BL_LOG_INFO, &c->log, errno, "recv() failed");
    if (n <= 0)
        finish(c, false);
    else if (byte == RECORD_HANDSHAKE || (byte & SSLV2_HELLO))
        begin_accept(c);
    else
        detach(c);
}

void bl_tls_accept(bl_conn *c, bl_tls_server *server, bl_tls_select_fn select, int64_t timeout_ms,
                   void (*done)(bl_conn *c, bool ok))
{
    bl_tls *tls = attach(c, done);

    tls->initial = server;
    tls->select = select;
    c->log.action = "SSL handshaking";
    c->io.on_read = on_first_byte;
    c->io.on_write = nothing;
    c->timer.fire = on_timeout;
    bl_timer_set(&c->timer, (uint64_t)timeout_ms);
    if (c->io.readable)
        on_first_byte(&c->io);
}

/* ------------------------------------------------------------- connecting */

static bool set_server_name(bl_conn *c, bl_str name)
{
    char text[256];
    bl_addr literal;

    if (name.len == 0 || name.len >= sizeof text || bl_addr_parse_ip(name, &literal))
        return true; /* RFC 6066 section 3: literal addresses are not sent */
    memcpy(text, name.p, name.len);
    text[name.len] = '\0';
    if (SSL_set_tlsext_host_name(c->tls->ssl, text))
        return true;
    bl_tls_error_log(c, "SSL_set_tlsext_host_name()");
    return false;
}

bool bl_tls_prepare(bl_conn *c, bl_tls_client *client, void (*done)(bl_conn *c, bool ok))
{
    attach(c, done);
    return start_ssl(c, client->ctx);
}

void bl_tls_begin(bl_conn *c, bl_str name, SSL_SESSION *session)
{
    if (!set_server_name(c, name)) {
        finish(c, false);
        return;
    }
    if (session && !SSL_set_session(c->tls->ssl, session))
        ERR_clear_error(); /* a whole handshake, then */
    bl_conn_nodelay(c);
    SSL_set_connect_state(c->tls->ssl);
    advance(c);
}

void bl_tls_connect(bl_conn *c, bl_tls_client *client, bl_str name, SSL_SESSION *session,
                    void (*done)(bl_conn *c, bool ok))
{
    if (bl_tls_prepare(c, client, done))
        bl_tls_begin(c, name, session);
    else
        finish(c, false);
}

static bool is_for(X509 *certificate, bl_str name)
{
    char text[256];
    bl_addr literal;

    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.p, name.len);
    text[name.len] = '\0';
    if (bl_addr_parse_ip(name, &literal)) {
        size_t brackets = name.len && name.p[0] == '[';
        text[name.len - brackets] = '\0';
        return X509_check_ip_asc(certificate, text + brackets, 0) == 1;
    }
    return X509_check_host(certificate, text, name.len, 0, NULL) == 1;
}

const char *bl_tls_verify_error(bl_conn *c, bl_str name)
{
    SSL *ssl = c->tls->ssl;
    long result = SSL_get_verify_result(ssl);
    X509 *certificate = SSL_get0_peer_certificate(ssl);

    if (result != X509_V_OK)
        return X509_verify_cert_error_string(result);
    if (certificate == NULL)
        return "peer sent no certificate";
    if (name.p && !is_for(certificate, name))
        return "certificate does not match the name";
    return NULL;
}
