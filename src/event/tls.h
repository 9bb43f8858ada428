/* TLS on OpenSSL: the settings of a side that presents certificates (bl_tls_server) or checks them
 * (bl_tls_client), and the handshake that turns a plain connection's transport into this one. Who
 * configures it (http, stream, Lua sockets) fills in the settings; here is no directive.
 *
 *   tls.c          the handshake: accept, connect, choice of a server by name, hooks
 *   tls_io.c       the transport: reading, sending, closing
 *   tls_bio.c      between OpenSSL and the socket: what it writes is staged and sent as one
 *   tls_ctx.c      settings to SSL_CTX
 *   tls_source.c   the files that PEM texts come from
 *   tls_cert.c     certificates, keys, passwords, from files and from data
 *   tls_session.c  session caches and ticket keys, shared by the workers
 *   tls_ocsp.c     are clients' certificates revoked? (ocsp.c asks)
 *   tls_staple.c   OCSP responses about our own certificates
 *   tls_reuse.c    sessions of our own connections
 *   tls_error.c    OpenSSL's errors in the log
 */
#ifndef BL_EVENT_TLS_H
#define BL_EVENT_TLS_H

#include "conf/conf.h"
#include "event/conn.h"
#include "event/resolver.h"

#include <openssl/ssl.h>

typedef struct bl_tls bl_tls;
typedef struct bl_tls_server bl_tls_server;
typedef struct bl_tls_client bl_tls_client;
typedef struct bl_tls_hook bl_tls_hook;

/* Which settings serve the name that the client hello asks for; NULL: those given to accept. */
typedef bl_tls_server *(*bl_tls_select_fn)(bl_conn *c, bl_str server_name);

/* Where in a handshake hooks are asked; see below. */
enum {
    BL_TLS_AT_HELLO,       /* the client hello is there */
    BL_TLS_AT_SESSION,     /* the client asks to resume a session that the server is to know */
    BL_TLS_AT_CERTIFICATE, /* a certificate of ours is needed */
    BL_TLS_AT_VERIFY,      /* the peer's has come, on connections that we opened */
    BL_TLS_HOOKS
};

/* c->tls of a connection that speaks TLS. */
struct bl_tls {
    SSL *ssl;
    bl_tls_server *server;  /* the one chosen by SNI; NULL on our own connections */
    bl_tls_server *initial; /* the one given to accept: its session cache and ticket keys count */
    bool handshaked;
    bool in_early_data; /* bytes may be replays: the handshake is not over (RFC 8446 section 8) */
    void (*done)(bl_conn *c, bool ok);
    bl_tls_select_fn select;
    void *data;                 /* of hooks … */
    void (*forget)(void *data); /* … and its end, with the connection's; NULL: it needs none */
    SSL_SESSION *given;         /* by a hook of BL_TLS_AT_SESSION, to be resumed */
    int verify_result;          /* of the peer's certificate, for hooks of BL_TLS_AT_VERIFY */
    const char *revocation;     /* why ssl_ocsp finds fault with it; NULL: it does not */
    X509 *unverified;           /* that certificate, while they run */

    /* The rest is this room's. */
    struct bl_tls_ocsp *ocsp;       /* the client's certificates are being asked for */
    const char *action;             /* the log's, before the handshake */
    bl_tls_hook *own[BL_TLS_HOOKS]; /* of this connection alone */
    unsigned asked;                 /* bits: stages whose hooks have all answered */
    bl_tls_hook *hook;              /* being asked */
    bl_status answer;               /* of the hook that kept us waiting */
    bool answered;
    bool parked;      /* waits for bl_tls_resume */
    bool skip_verify; /* OpenSSL's own */
    bool checked;     /* ssl_ocsp has its answers */
    bool selected;
    bool established;  /* OpenSSL is through; perhaps not all is sent */
    bool early_end;    /* all early data was read */
    bool early_peeked; /* a byte of early data was read by the handshake */
    char early_byte;
    bool failed;
    int io_error; /* errno of the socket */
    char *unsent; /* records that the socket has not taken */
    size_t unsent_at, unsent_len, unsent_size;
    size_t owed;           /* clear text in them that is still in the sender's chain … */
    const bl_buf *owed_to; /* … whose first piece is this */
};

extern const bl_transport bl_transport_tls;

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
/* The same in two steps: between them c->tls->ssl may be given what this connection alone needs
 * (certificate, verification). Prepare: false when there is no SSL; the connection is of no use. */
bool bl_tls_prepare(bl_conn *c, bl_tls_client *client, void (*done)(bl_conn *c, bool ok));
void bl_tls_begin(bl_conn *c, bl_str name, SSL_SESSION *session);
/* NULL: the peer's certificate is good for `name` (p NULL: any); else the reason as text. */
const char *bl_tls_verify_error(bl_conn *c, bl_str name);

/* The server name of a client hello that is being read (RFC 6066 section 3); empty: none. Only
 * while hooks of BL_TLS_AT_HELLO or BL_TLS_AT_SESSION run, or are waited for. */
bl_str bl_tls_hello_name(SSL *ssl);
/* The OCSP response that the server shows, in DER; copied. False: no memory. */
bool bl_tls_staple(bl_conn *c, bl_str response);
/* The connection of an SSL. */
bl_conn *bl_tls_conn(const SSL *ssl);

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
    bl_str stapling_file, stapling_responder;
    int stapling_verify;
    int ocsp;                          /* BL_TLS_OCSP_… */
    bl_str ocsp_responder, ocsp_cache; /* URL; "off", "shared:name:size" */
    bl_str session_cache;          /* "off", "none", "builtin[:N]", "shared:name:size", the last two
                                      also together, with a space between */
    int64_t session_timeout;       /* seconds */
    bl_array *session_ticket_keys; /* bl_str paths */
    bl_array *conf_commands;       /* bl_str pairs */
    int64_t buffer_size;           /* bytes of a record; 0: as large as may be */
    bool reject_handshake;
    bl_str alpn;           /* wire form; empty: none */
    bl_open_file *key_log; /* secrets are written there, for debuggers; NULL: none */
    bl_str context; /* sessions are good for servers with the same context (and certificates) */
} bl_tls_settings;

enum {
    BL_TLS_OCSP_OFF,
    BL_TLS_OCSP_ON, /* of the whole chain */
    BL_TLS_OCSP_LEAF,
};

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

/* The type of ssl_key_log and its sisters: a bl_open_file *. */
extern const bl_type bl_tls_key_log;

/* The type of ssl_password_file and its sisters: a bl_array * of bl_str, one for each line. */
extern const bl_type bl_tls_passwords;

/* Responders are looked for with it; NULL: the system's. For stapling and ssl_ocsp. */
void bl_tls_server_resolver(bl_tls_server *server, bl_resolver *resolver, uint64_t timeout_ms);

/* Is this a word of a session_cache setting? */
bool bl_tls_session_cache_valid(bl_str word);

/* --- hooks: others' words in a handshake (certificates by variable, ssl_certificate_by_lua) ---
 *
 * Those of BL_TLS_AT_HELLO and BL_TLS_AT_SESSION are the initial server's, those of
 * BL_TLS_AT_CERTIFICATE the selected one's. A connection that we open has hooks of its own.
 *
 * Sessions: OpenSSL can't wait when it looks for one. But the session's id stands in the client
 * hello, where it can: so hooks of BL_TLS_AT_SESSION run then, and what they found is handed out
 * when OpenSSL asks. TLS 1.3 sessions have no id that a server would look up: they don't get there.
 */

struct bl_tls_hook {
    bl_tls_hook *next;
    /* OK, ERROR (the handshake fails), or AGAIN: the handshake waits for bl_tls_resume, and what
     * that says is the answer. */
    bl_status (*run)(bl_conn *c, bl_tls_hook *hook);
    /* The connection ends while it waits: no bl_tls_resume any more. */
    void (*cancel)(bl_conn *c, bl_tls_hook *hook);
    void *data;
};

/* At configuration time; hooks run in the order they were added. */
void bl_tls_server_hook(bl_tls_server *server, int at, bl_tls_hook *hook);
/* Between bl_tls_prepare and bl_tls_begin. With BL_TLS_AT_VERIFY the handshake fails when the hook
 * says so; what it leaves in tls->verify_result is the verdict on the certificate. OpenSSL's own
 * one stands there before, unless `skip_default`. */
void bl_tls_conn_hook(bl_conn *c, int at, bl_tls_hook *hook);
void bl_tls_conn_skip_verify(bl_conn *c);
/* Sessions that may be resumed by their id are handed to `store` (its connection's handshake is
 * about to end), which does not keep the reference, and to no cache. */
void bl_tls_server_store(bl_tls_server *server,
                         void (*store)(bl_conn *c, SSL_SESSION *session, void *data), void *data);
/* The session id of a client hello that is being read; empty: none. */
bl_str bl_tls_hello_session(SSL *ssl);
/* From the loop, not from within the hook. May call `done`. */
void bl_tls_resume(bl_conn *c, bl_status answer);

/* --- certificates outside the configuration (tls_cert.c) --- */

typedef struct bl_tls_pair bl_tls_pair; /* a certificate with its chain and key */

/* Reads files or "data:…". Passwords may be NULL. NULL and *error, in the process's memory until
 * the next call, when something is wrong. */
bl_tls_pair *bl_tls_pair_load(bl_str certificate, bl_str key, const bl_array *passwords,
                              const char **error);
void bl_tls_pair_free(bl_tls_pair *pair);
/* Was a password needed for the key? */
bool bl_tls_pair_was_locked(const bl_tls_pair *pair);
/* The connection presents it, beside those it has. NULL or an error as above. */
const char *bl_tls_pair_use(bl_conn *c, bl_tls_pair *pair);

#endif
