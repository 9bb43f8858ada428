/* TLS on OpenSSL: the settings of a side that presents certificates (bl_tls_server) or checks them
 * (bl_tls_client), and the handshake that turns a plain connection's transport into this one. Who
 * configures it (http, stream, Lua sockets) fills in the settings; here is no directive. */
#ifndef BL_EVENT_TLS_H
#define BL_EVENT_TLS_H

#include "conf/conf.h"
#include "event/conn.h"

#include <openssl/ssl.h>

typedef struct bl_tls_server bl_tls_server;
typedef struct bl_tls_client bl_tls_client;

/* c->tls of a connection that speaks TLS. */
typedef struct bl_tls {
    SSL *ssl;
    bl_tls_server *server; /* the one chosen by SNI; NULL on our own connections */
    bool handshaked;
    void (*done)(bl_conn *c, bool ok);
    bl_tls_server *(*select)(bl_conn *c, bl_str server_name);
    void *data;
} bl_tls;

extern const bl_transport bl_transport_tls;

/* Which settings serve the name that the client hello asks for; NULL: those given to accept. */
typedef bl_tls_server *(*bl_tls_select_fn)(bl_conn *c, bl_str server_name);

/* Begins as a server. `done` is called once, from the loop or at once; with ok and c->tls == NULL
 * when the client did not begin with a TLS record (plain HTTP sent to a TLS port: the answer is
 * 497). `server` NULL or without certificate: the handshake is refused. */
void bl_tls_accept(bl_conn *c, bl_tls_server *server, bl_tls_select_fn select, int64_t timeout_ms,
                   void (*done)(bl_conn *c, bool ok));

/* Begins as a client on an established connection. `name` for SNI and verification (p NULL: none);
 * `session` to resume, or NULL. Time is the caller's (c->timer). After done(ok) the peer's
 * certificate has been checked if the settings ask for it; bl_tls_verify_error says why not. */
void bl_tls_connect(bl_conn *c, bl_tls_client *client, bl_str name, SSL_SESSION *session,
                    void (*done)(bl_conn *c, bool ok));
/* NULL: the peer's certificate is good for `name`; else the reason as text. */
const char *bl_tls_verify_error(bl_conn *c, bl_str name);

/* --- settings --- */

typedef struct bl_tls_settings {
    bl_array *certificates;     /* bl_str paths ("data:…" is a PEM text) */
    bl_array *certificate_keys; /* bl_str, the same number */
    bl_array *passwords;        /* bl_str, from ssl_password_file */
    int protocols;              /* BL_TLS_… bits */
    bl_str ciphers, curve, dhparam;
    bl_str client_certificate, trusted_certificate, crl;
    int verify; /* 0 off, 1 on, 2 optional, 3 optional_no_ca */
    int64_t verify_depth;
    int prefer_server_ciphers, session_tickets, early_data, stapling;
    bl_str session_cache;          /* "off", "none", "builtin[:N]", "shared:name:size" */
    int64_t session_timeout;       /* seconds */
    bl_array *session_ticket_keys; /* bl_str paths */
    bl_array *conf_commands;       /* bl_str pairs */
    bool reject_handshake;
    bl_str alpn; /* wire form; empty: none */
} bl_tls_settings;

enum {
    BL_TLS_SSLV2 = 1,
    BL_TLS_SSLV3 = 2,
    BL_TLS_V1 = 4,
    BL_TLS_V1_1 = 8,
    BL_TLS_V1_2 = 16,
    BL_TLS_V1_3 = 32,
};

/* Made at configuration time, gone with the pool. NULL after an error was reported at `node`. */
bl_tls_server *bl_tls_server_new(bl_conf *cf, const bl_conf_node *node,
                                 const bl_tls_settings *settings);
bl_tls_client *bl_tls_client_new(bl_conf *cf, const bl_conf_node *node,
                                 const bl_tls_settings *settings);
SSL_CTX *bl_tls_server_ctx(bl_tls_server *server);
SSL_CTX *bl_tls_client_ctx(bl_tls_client *client);

#endif
