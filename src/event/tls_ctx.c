#include "event/tls_ctx.h"
#include "event/tls_error.h"
#include "event/tls_reuse.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

enum {
    RECORD_MAX = 16 * 1024,
    RECORD_MIN = 512,
};

static const struct {
    int bit, version;
    uint64_t off;
} versions[] = {
    {BL_TLS_SSLV3, SSL3_VERSION, SSL_OP_NO_SSLv3},
    {BL_TLS_V1, TLS1_VERSION, SSL_OP_NO_TLSv1},
    {BL_TLS_V1_1, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {BL_TLS_V1_2, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {BL_TLS_V1_3, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};

/* ------------------------------------------------------------- slots */

int bl_tls_ctx_conn_slot(void)
{
    static int slot = -1;

    if (slot < 0)
        slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    BL_ASSERT(slot >= 0);
    return slot;
}

int bl_tls_ctx_server_slot(void)
{
    static int slot = -1;

    if (slot < 0)
        slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    BL_ASSERT(slot >= 0);
    return slot;
}

SSL_CTX *bl_tls_server_ctx(bl_tls_server *server)
{
    return server->ctx;
}

SSL_CTX *bl_tls_client_ctx(bl_tls_client *client)
{
    return client->ctx;
}

/* ------------------------------------------------------------- common to both sides */

static void set_protocols(SSL_CTX *ctx, int protocols)
{
    int lowest = 0, highest = 0;

    for (size_t i = 0; i < BL_COUNTOF(versions); i++) {
        if (!(protocols & versions[i].bit)) {
            SSL_CTX_set_options(ctx, versions[i].off);
            continue;
        }
        highest = versions[i].version;
        lowest = lowest ? lowest : highest;
    }
    SSL_CTX_set_min_proto_version(ctx, lowest);
    SSL_CTX_set_max_proto_version(ctx, highest);
}

static bool run_command(bl_conf *cf, const bl_conf_node *node, SSL_CONF_CTX *run,
                        const bl_str *pair)
{
    char *name = bl_pool_cstr(cf->pool, pair[0]), *value = bl_pool_cstr(cf->pool, pair[1]);
    int type = SSL_CONF_cmd_value_type(run, name);

    if (type == SSL_CONF_TYPE_FILE || type == SSL_CONF_TYPE_DIR)
        value = bl_conf_path(cf, pair[1], true).p;
    ERR_clear_error();
    if (SSL_CONF_cmd(run, name, value) > 0)
        return true;
    return bl_tls_error_report(cf, node, "SSL_CONF_cmd(\"%s\", \"%s\") failed", name, value);
}

static bool run_commands(bl_conf *cf, const bl_conf_node *node, SSL_CTX *ctx,
                         const bl_array *commands)
{
    bool ok = true;

    if (bl_array_count(commands) == 0)
        return true;
    SSL_CONF_CTX *run = SSL_CONF_CTX_new();
    SSL_CONF_CTX_set_flags(run, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_SERVER | SSL_CONF_FLAG_CLIENT |
                                    SSL_CONF_FLAG_CERTIFICATE | SSL_CONF_FLAG_SHOW_ERRORS);
    SSL_CONF_CTX_set_ssl_ctx(run, ctx);
    for (uint32_t i = 0; ok && i + 1 < bl_array_count(commands); i += 2)
        ok = run_command(cf, node, run, bl_array_at(commands, i));
    if (ok && SSL_CONF_CTX_finish(run) != 1)
        ok = bl_tls_error_report(cf, node, "SSL_CONF_finish() failed");
    SSL_CONF_CTX_free(run);
    return ok;
}

static void set_record_size(SSL_CTX *ctx, int64_t size)
{
    if (size > 0 && size < RECORD_MAX)
        SSL_CTX_set_max_send_fragment(ctx, BL_MAX((long)size, (long)RECORD_MIN));
}

static bool read_key_log(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field)
{
    bl_open_file **file = field;

    *file = bl_conf_open_file(cf, bl_conf_path(cf, bl_conf_arg(node, 1), true));
    return *file != NULL;
}

const bl_type bl_tls_key_log = {"file", sizeof(bl_open_file *), read_key_log};

static int key_log_slot(void)
{
    static int slot = -1;

    if (slot < 0)
        slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return slot;
}

static void write_key(const SSL *ssl, const char *line)
{
    const bl_open_file *file = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), key_log_slot());
    char text[1024];
    size_t len = strlen(line);

    if (file == NULL || len >= sizeof text)
        return;
    memcpy(text, line, len);
    text[len] = '\n';
    if (write(file->fd, text, len + 1) < 0)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, 0, "a line of the TLS key log was lost");
}

static void set_key_log(SSL_CTX *ctx, bl_open_file *file)
{
    if (file == NULL)
        return;
    SSL_CTX_set_ex_data(ctx, key_log_slot(), file);
    SSL_CTX_set_keylog_callback(ctx, write_key);
}

static void free_ctx(void *ctx)
{
    SSL_CTX_free(ctx);
}

/* An SSL_CTX with what both sides share. NULL after an error was reported. */
static SSL_CTX *ctx_new(bl_conf *cf, const bl_conf_node *node, const SSL_METHOD *kind,
                        const bl_tls_settings *s)
{
    SSL_CTX *ctx = SSL_CTX_new(kind);

    if (ctx == NULL) {
        bl_tls_error_report(cf, node, "SSL_CTX_new() failed");
        return NULL;
    }
    bl_pool_cleanup(cf->pool, free_ctx, ctx);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                 SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS);
    SSL_CTX_set_read_ahead(ctx, 1);
    set_protocols(ctx, s->protocols ? s->protocols : BL_TLS_V1_2 | BL_TLS_V1_3);
    set_record_size(ctx, s->buffer_size);
    set_key_log(ctx, s->key_log);
    if (s->ciphers.len && !SSL_CTX_set_cipher_list(ctx, bl_pool_cstr(cf->pool, s->ciphers))) {
        bl_tls_error_report(cf, node, "SSL_CTX_set_cipher_list(\"%.*s\") failed",
                            BL_STR_ARG(s->ciphers));
        return NULL;
    }
    return bl_tls_cert_setup(cf, node, ctx, s) ? ctx : NULL;
}

/* ------------------------------------------------------------- server */

/* Whatever is wrong with the client's certificate, the handshake goes on; the request will tell. */
static int accept_any(int ok BL_UNUSED, X509_STORE_CTX *store BL_UNUSED)
{
    return 1;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *unused BL_UNUSED)
{
    const bl_tls_server *server = bl_tls_conn(ssl)->tls->server;

    if (SSL_select_next_proto((unsigned char **)out, out_len, (unsigned char *)server->alpn.p,
                              (unsigned)server->alpn.len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_groups(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server, bl_str curve)
{
    if (curve.len == 0 || bl_str_eq(curve, BL_STR("auto")))
        return true;
    server->groups = bl_pool_cstr(cf->pool, curve);
    if (SSL_CTX_set1_groups_list(server->ctx, server->groups))
        return true;
    return bl_tls_error_report(cf, node, "SSL_CTX_set1_curves_list(\"%.*s\") failed",
                               BL_STR_ARG(curve));
}

static void set_early_data(SSL_CTX *ctx)
{
    SSL_CTX_set_max_early_data(ctx, RECORD_MAX);
    SSL_CTX_set_recv_max_early_data(ctx, RECORD_MAX);
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY); /* $ssl_early_data is for the application */
}

bl_tls_server *bl_tls_server_new(bl_conf *cf, const bl_conf_node *node, const bl_tls_settings *s)
{
    bl_tls_server *server = BL_NEW(cf->pool, bl_tls_server);
    SSL_CTX *ctx = server->ctx = ctx_new(cf, node, TLS_server_method(), s);

    if (ctx == NULL)
        return NULL;
    server->alpn = s->alpn;
    server->reject = s->reject_handshake;
    server->early_data = s->early_data;
    SSL_CTX_set_ex_data(ctx, bl_tls_ctx_server_slot(), server);
    SSL_CTX_set_options(ctx,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_DH_USE | SSL_OP_SINGLE_ECDH_USE);
    SSL_CTX_set_client_hello_cb(ctx, bl_tls_on_hello, NULL);
    SSL_CTX_set_cert_cb(ctx, bl_tls_on_certificate, NULL);
    SSL_CTX_set_tlsext_status_cb(ctx, bl_tls_staple_callback);
    if (s->prefer_server_ciphers)
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (s->verify)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
    if (s->alpn.len)
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (s->early_data)
        set_early_data(ctx);
    bool ok = set_groups(cf, node, server, s->curve) && bl_tls_session_setup(cf, node, server, s) &&
              bl_tls_staple_setup(cf, node, server, s) && bl_tls_ocsp_setup(cf, node, server, s) &&
              run_commands(cf, node, ctx, s->conf_commands);
    return ok ? server : NULL;
}

/* ------------------------------------------------------------- client */

bl_tls_client *bl_tls_client_new(bl_conf *cf, const bl_conf_node *node, const bl_tls_settings *s)
{
    bl_tls_client *client = BL_NEW(cf->pool, bl_tls_client);

    client->ctx = ctx_new(cf, node, TLS_client_method(), s);
    client->verify = s->verify;
    client->reuse = bl_tls_reuse_new(cf->pool);
    if (client->ctx == NULL)
        return NULL;
    SSL_CTX_set_cert_verify_callback(client->ctx, bl_tls_on_verify, NULL);
    /* The verdict is asked for with bl_tls_verify_error, when the name is known. */
    SSL_CTX_set_verify(client->ctx, s->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, accept_any);
    if (s->alpn.len &&
        SSL_CTX_set_alpn_protos(client->ctx, (unsigned char *)s->alpn.p, (unsigned)s->alpn.len)) {
        bl_tls_error_report(cf, node, "SSL_CTX_set_alpn_protos() failed");
        return NULL;
    }
    if (s->curve.len && !SSL_CTX_set1_groups_list(client->ctx, bl_pool_cstr(cf->pool, s->curve))) {
        bl_tls_error_report(cf, node, "SSL_CTX_set1_curves_list(\"%.*s\") failed",
                            BL_STR_ARG(s->curve));
        return NULL;
    }
    return run_commands(cf, node, client->ctx, s->conf_commands) ? client : NULL;
}
