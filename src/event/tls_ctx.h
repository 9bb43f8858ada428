/* What stands behind bl_tls_server and bl_tls_client; for the files of TLS alone. */
#ifndef BL_EVENT_TLS_CTX_H
#define BL_EVENT_TLS_CTX_H

#include "event/tls.h"

struct bl_tls_sessions;

struct bl_tls_server {
    SSL_CTX *ctx;
    bl_str alpn;
    bool reject;
    bool early_data;
    const char *groups; /* ssl_ecdh_curve, or NULL */
    struct bl_tls_sessions *sessions;
    bl_array
        *ticket_keys; /* bl_tls_ticket_key, the first encrypts; NULL: the library's or shared */
    bl_str staple;    /* a DER OCSP response; empty: none */
    struct bl_tls_staple *staples; /* those that responders give, one for each certificate */
    int ocsp;                      /* BL_TLS_OCSP_…: of clients */
    bl_str ocsp_responder;
    struct bl_tls_ocsp_cache *ocsp_cache;
    bl_resolver *resolver;
    uint64_t resolver_ms;
    bl_tls_hook *hooks[BL_TLS_HOOKS];
    void (*store)(bl_conn *c, SSL_SESSION *session, void *data); /* instead of the cache */
    void *store_data;
};

struct bl_tls_client {
    SSL_CTX *ctx;
    struct bl_tls_reuse *reuse;
    bool verify;
};

/* Slots of OpenSSL objects that point back: SSL → bl_conn, SSL_CTX → bl_tls_server. */
int bl_tls_ctx_conn_slot(void);
int bl_tls_ctx_server_slot(void);

/* tls.c: callbacks that every server's SSL_CTX has. */
int bl_tls_on_hello(SSL *ssl, int *alert, void *nothing);
int bl_tls_on_certificate(SSL *ssl, void *nothing);
/* … and every client's. */
int bl_tls_on_verify(X509_STORE_CTX *store, void *nothing);

/* tls_staple.c: what the settings ask for. False: an error was reported. And OpenSSL's callback. */
bool bl_tls_staple_setup(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                         const bl_tls_settings *settings);
int bl_tls_staple_callback(SSL *ssl, void *nothing);

/* tls_ocsp.c: the same for clients' certificates. */
bool bl_tls_ocsp_setup(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                       const bl_tls_settings *settings);
/* The handshake is over: asks about the client's certificates. True: `done` will be called (from
 * the loop, or was already); false: there is nothing to ask. What comes of it: tls->revocation. */
bool bl_tls_ocsp_begin(bl_conn *c, void (*done)(bl_conn *c));
/* The connection ends, or its time has: no `done` any more. */
void bl_tls_ocsp_cancel(bl_conn *c);

/* tls_session.c: OpenSSL asks and tells us about sessions from now on. */
void bl_tls_session_callbacks(SSL_CTX *ctx);

/* tls_session.c: caches and tickets as the settings ask for them. False: an error was reported. */
bool bl_tls_session_setup(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                          const bl_tls_settings *settings);

/* tls_cert.c: what the settings name, into the SSL_CTX. False: an error was reported. */
bool bl_tls_cert_setup(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx,
                       const bl_tls_settings *settings);

#endif
