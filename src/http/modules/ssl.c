/* The ssl_* directives of servers. A server with certificates (or ssl_reject_handshake) gets a
 * bl_tls_server when it is merged. Certificates whose paths have variables are loaded in each
 * handshake, through a request that is made for evaluating them alone. What a client certificate
 * was found to be worth, and whether the request is for the server that the handshake was with, is
 * checked by a step in front of server_rewrite; it is there only where some server verifies
 * clients. */
#include "http/modules/ssl.h"
#include "event/tls_cache.h"
#include "event/tls_info.h"
#include "http/core_module.h"
#include "http/parse.h"
#include "http/phases.h"
#include "http/server.h"
#include "http/value.h"
#include "http/variable.h"

enum {
    VERIFY_OFF = 0,
    VERIFY_ON,
    VERIFY_OPTIONAL,
    VERIFY_OPTIONAL_NO_CA,
    STATUS_BAD_CERTIFICATE = 495,
    STATUS_NO_CERTIFICATE = 496,
    STATUS_MISDIRECTED = 421,
};

typedef struct settings {
    bl_tls_settings tls;
    int reject;
    int certificate_compression;
    bl_str ech_file;
    bl_tls_cache *cache;
    const bl_conf_node *certificate_node;
} settings;

typedef struct main_settings {
    bool verifies; /* some server does */
} main_settings;

/* A pair that is loaded in the handshake. */
typedef struct late_pair {
    bl_value *certificate, *key;
    const settings *settings;
    bl_server *server;
    bl_tls_hook hook;
} late_pair;

/* ------------------------------------------------------------- values of their own */

static bool read_certificate(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                             void *field)
{
    settings *s = (settings *)((char *)field - d->offset);

    s->certificate_node = node;
    return bl_type_strs.read(cf, d, node, field);
}

static bool read_session_cache(bl_conf *cf, const bl_directive *d BL_UNUSED,
                               const bl_conf_node *node, void *field)
{
    bl_str *words = field;

    *words = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    for (int i = 2; i < node->count; i++)
        *words = bl_pool_printf(cf->pool, "%.*s %.*s", BL_STR_ARG(*words),
                                BL_STR_ARG(bl_conf_arg(node, i)));
    for (int i = 1; i < node->count; i++) {
        if (!bl_tls_session_cache_valid(bl_conf_arg(node, i)))
            return bl_conf_error(cf, node, i, "invalid session cache \"%.*s\"",
                                 BL_STR_ARG(bl_conf_arg(node, i)));
    }
    return true;
}

static bool read_certificate_cache(bl_conf *cf, const bl_directive *d BL_UNUSED,
                                   const bl_conf_node *node, void *field)
{
    return bl_tls_cache_read(cf, node, field);
}

static bool warn_compression(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                             void *field)
{
    if (*(int *)field)
        bl_conf_warn(cf, node, 0,
                     "\"ssl_certificate_compression\" is ignored: the OpenSSL library has none");
    return true;
}

static bool warn_ech(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    bl_conf_warn(cf, node, 0, "\"ssl_ech_file\" is ignored: the OpenSSL library has no ECH");
    return true;
}

static const bl_conf_word_value protocol_words[] = {{"SSLv2", BL_TLS_SSLV2},
                                                    {"SSLv3", BL_TLS_SSLV3},
                                                    {"TLSv1", BL_TLS_V1},
                                                    {"TLSv1.1", BL_TLS_V1_1},
                                                    {"TLSv1.2", BL_TLS_V1_2},
                                                    {"TLSv1.3", BL_TLS_V1_3},
                                                    {NULL, 0}};
static const bl_conf_word_value verify_words[] = {{"off", VERIFY_OFF},
                                                  {"on", VERIFY_ON},
                                                  {"optional", VERIFY_OPTIONAL},
                                                  {"optional_no_ca", VERIFY_OPTIONAL_NO_CA},
                                                  {NULL, 0}};

static const bl_conf_word_value ocsp_words[] = {
    {"off", BL_TLS_OCSP_OFF}, {"on", BL_TLS_OCSP_ON}, {"leaf", BL_TLS_OCSP_LEAF}, {NULL, 0}};

static const bl_type type_certificate = {"file", sizeof(bl_array *), read_certificate};
static const bl_type type_session_cache = {"off | none | [builtin[:size]] [shared:name:size]",
                                           sizeof(bl_str), read_session_cache};
static const bl_type type_cache = {"off | max=N [inactive=time] [valid=time]",
                                   sizeof(bl_tls_cache *), read_certificate_cache};

#define TLS(name) BL_SERVER, offsetof(settings, tls.name)
#define SRV(name) BL_SERVER, offsetof(settings, name)
#define WHERE     BL_IN_HTTP | BL_IN_SERVER

// clang-format off
static const bl_directive directives[] = {
    {"ssl_certificate", WHERE, BL_TAKE1 | BL_REPEATS, &type_certificate, TLS(certificates)},
    {"ssl_certificate_key", WHERE, BL_TAKE1 | BL_REPEATS, &bl_type_strs, TLS(certificate_keys)},
    {"ssl_certificate_cache", WHERE, BL_TAKE123, &type_cache, SRV(cache)},
    {"ssl_certificate_compression", WHERE, BL_TAKE_FLAG, &bl_type_flag, SRV(certificate_compression), "off", .check = warn_compression},
    {"ssl_password_file", WHERE, BL_TAKE1, &bl_tls_passwords, TLS(passwords)},
    {"ssl_dhparam", WHERE, BL_TAKE1, &bl_type_str, TLS(dhparam)},
    {"ssl_ecdh_curve", WHERE, BL_TAKE1, &bl_type_str, TLS(curve), "auto"},
    {"ssl_ech_file", WHERE, BL_TAKE1 | BL_REPEATS, &bl_type_str, SRV(ech_file), .check = warn_ech},
    {"ssl_protocols", WHERE, BL_TAKE_1MORE, &bl_type_bits, TLS(protocols), "TLSv1.2 TLSv1.3", .arg = protocol_words},
    {"ssl_ciphers", WHERE, BL_TAKE1, &bl_type_str, TLS(ciphers), "HIGH:!aNULL:!MD5"},
    {"ssl_buffer_size", WHERE, BL_TAKE1, &bl_type_size, TLS(buffer_size), "16k"},
    {"ssl_verify_client", WHERE, BL_TAKE1, &bl_type_enum, TLS(verify), "off", .arg = verify_words},
    {"ssl_verify_depth", WHERE, BL_TAKE1, &bl_type_num, TLS(verify_depth), "1"},
    {"ssl_client_certificate", WHERE, BL_TAKE1, &bl_type_str, TLS(client_certificate)},
    {"ssl_trusted_certificate", WHERE, BL_TAKE1, &bl_type_str, TLS(trusted_certificate)},
    {"ssl_crl", WHERE, BL_TAKE1, &bl_type_str, TLS(crl)},
    {"ssl_prefer_server_ciphers", WHERE, BL_TAKE_FLAG, &bl_type_flag, TLS(prefer_server_ciphers), "off"},
    {"ssl_session_cache", WHERE, BL_TAKE12, &type_session_cache, TLS(session_cache), "none"},
    {"ssl_session_tickets", WHERE, BL_TAKE_FLAG, &bl_type_flag, TLS(session_tickets), "on"},
    {"ssl_session_ticket_key", WHERE, BL_TAKE1 | BL_REPEATS, &bl_type_strs, TLS(session_ticket_keys)},
    {"ssl_session_timeout", WHERE, BL_TAKE1, &bl_type_sec, TLS(session_timeout), "5m"},
    {"ssl_stapling", WHERE, BL_TAKE_FLAG, &bl_type_flag, TLS(stapling), "off"},
    {"ssl_stapling_file", WHERE, BL_TAKE1, &bl_type_str, TLS(stapling_file)},
    {"ssl_stapling_responder", WHERE, BL_TAKE1, &bl_type_str, TLS(stapling_responder)},
    {"ssl_stapling_verify", WHERE, BL_TAKE_FLAG, &bl_type_flag, TLS(stapling_verify), "off"},
    {"ssl_ocsp", WHERE, BL_TAKE1, &bl_type_enum, TLS(ocsp), "off", .arg = ocsp_words},
    {"ssl_ocsp_responder", WHERE, BL_TAKE1, &bl_type_str, TLS(ocsp_responder)},
    {"ssl_ocsp_cache", WHERE, BL_TAKE1, &bl_type_str, TLS(ocsp_cache), "off"},
    {"ssl_early_data", WHERE, BL_TAKE_FLAG, &bl_type_flag, TLS(early_data), "off"},
    {"ssl_conf_command", WHERE, BL_TAKE2 | BL_REPEATS, &bl_type_strs, TLS(conf_commands)},
    {"ssl_key_log", WHERE, BL_TAKE1, &bl_tls_key_log, TLS(key_log)},
    {"ssl_reject_handshake", WHERE, BL_TAKE_FLAG, &bl_type_flag, SRV(reject), "off"},
    {0},
};
// clang-format on

/* ------------------------------------------------------------- certificates by variable */

static bl_str absolute(bl_request *r, bl_str path)
{
    bl_str prefix = r->http->generation->conf_prefix;

    if (bl_str_starts(path, BL_STR("data:")) || bl_str_starts(path, BL_STR("store:")) ||
        (path.len && path.p[0] == '/'))
        return path;
    const bl_str parts[] = {prefix, path};
    return bl_pool_concat(r->pool, parts, 2);
}

static const char *load_late(bl_conn *c, bl_request *r, const late_pair *late)
{
    bl_str certificate = absolute(r, bl_value_eval(r, late->certificate));
    bl_str key = absolute(r, bl_value_eval(r, late->key));
    const char *error = NULL;

    bl_tls_pair *pair = bl_tls_cache_get(late->settings->cache, certificate, key,
                                         late->settings->tls.passwords, &error);
    return pair ? bl_tls_pair_use(c, pair) : error;
}

/* There is no request yet, only somebody for variables to ask. */
static bl_status use_late(bl_conn *c, bl_tls_hook *hook)
{
    const late_pair *late = hook->data;
    bl_pool *pool = bl_pool_new();
    bl_request *r = bl_request_new(c, late->server->http, pool);

    r->server = late->server;
    r->loc = late->server->loc;
    const char *error = load_late(c, r, late);
    if (error)
        bl_log_write(BL_LOG_ERR, &c->log, 0, "%s", error);
    bl_pool_free(pool);
    return error ? BL_ERROR : BL_OK;
}

static bool has_variables(bl_str text)
{
    return bl_str_chr(text, '$') >= 0;
}

static late_pair *late_pair_new(bl_conf *cf, bl_server *server, const settings *s,
                                bl_str certificate, bl_str key)
{
    late_pair *late = BL_NEW(cf->pool, late_pair);
    const bl_conf_node *node = s->certificate_node;

    late->certificate = bl_value_compile(cf, node, 1, certificate);
    late->key = late->certificate ? bl_value_compile(cf, node, 1, key) : NULL;
    late->settings = s;
    late->server = server;
    late->hook = (bl_tls_hook){.run = use_late, .data = late};
    return late->key ? late : NULL;
}

/* Moves pairs with variables from the settings to hooks. */
static bool split_pairs(bl_conf *cf, bl_server *server, const settings *s, bl_tls_settings *fixed,
                        bl_array *late)
{
    fixed->certificates = bl_array_new(cf->pool, sizeof(bl_str));
    fixed->certificate_keys = bl_array_new(cf->pool, sizeof(bl_str));
    for (uint32_t i = 0; i < bl_array_count(s->tls.certificates); i++) {
        bl_str certificate = *(bl_str *)bl_array_at(s->tls.certificates, i);
        bl_str key = *(bl_str *)bl_array_at(s->tls.certificate_keys, i);
        if (!has_variables(certificate) && !has_variables(key)) {
            *(bl_str *)bl_array_push(fixed->certificates) = certificate;
            *(bl_str *)bl_array_push(fixed->certificate_keys) = key;
            continue;
        }
        late_pair *pair = late_pair_new(cf, server, s, certificate, key);
        if (pair == NULL)
            return false;
        *(late_pair **)bl_array_push(late) = pair;
        fixed->context = bl_pool_printf(cf->pool, "%.*s %.*s", BL_STR_ARG(fixed->context),
                                        BL_STR_ARG(certificate));
    }
    return true;
}

/* ------------------------------------------------------------- a server's TLS */

static bool check_pairs(bl_conf *cf, const settings *s)
{
    uint32_t certificates = bl_array_count(s->tls.certificates);
    uint32_t keys = bl_array_count(s->tls.certificate_keys);

    if (keys >= certificates)
        return true;
    return bl_conf_error(cf, s->certificate_node, 1,
                         "no \"ssl_certificate_key\" is defined for certificate \"%.*s\"",
                         BL_STR_ARG(*(bl_str *)bl_array_at(s->tls.certificates, certificates - 1)));
}

static bool check_verify(bl_conf *cf, const bl_conf_node *node, const settings *s)
{
    if (s->tls.verify == VERIFY_OFF || s->tls.verify == VERIFY_OPTIONAL_NO_CA ||
        s->tls.client_certificate.len || s->tls.trusted_certificate.len)
        return true;
    return bl_conf_error(cf, node, 0, "no ssl_client_certificate for ssl_verify_client");
}

static bool tls_server_new(bl_conf *cf, bl_server *server, const settings *s)
{
    const bl_conf_node *node = s->certificate_node ? s->certificate_node : server->node;
    bl_tls_settings fixed = s->tls;
    bl_array late;

    if (!check_pairs(cf, s) || !check_verify(cf, node, s))
        return false;
    bl_array_init(&late, cf->pool, sizeof(late_pair *));
    fixed.reject_handshake = s->reject;
    fixed.context = BL_STR("HTTP");
    fixed.alpn = BL_STR("\10http/1.1\10http/1.0\10http/0.9");
    if (!split_pairs(cf, server, s, &fixed, &late))
        return false;
    server->tls = bl_tls_server_new(cf, node, &fixed);
    if (server->tls == NULL)
        return false;
    BL_ARRAY_EACH (late_pair *, pair, &late)
        bl_tls_server_hook(server->tls, BL_TLS_AT_CERTIFICATE, &(*pair)->hook);
    return true;
}

static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    settings *outer = parent, *s = child;
    bl_http *http = cf->generation->http;

    if (level != BL_SERVER || outer == NULL)
        return true;
    if (s->certificate_node == NULL)
        s->certificate_node = outer->certificate_node;
    main_settings *top = bl_settings_of(&http->settings, BL_MAIN, &bl_ssl_module);
    top->verifies = top->verifies || s->tls.verify;
    if (bl_array_count(s->tls.certificates) == 0 && !s->reject)
        return true;
    return tls_server_new(cf, ((bl_location *)cf->block)->server, s);
}

static bool has_tls(const bl_server *server)
{
    const settings *s = bl_settings_of(&server->loc->settings, BL_SERVER, &bl_ssl_module);

    return server->tls && (s->reject || bl_array_count(s->tls.certificates));
}

/* Certificates may be the default server's; a default that rejects has none to lend. */
static bool check_address(bl_conf *cf, const bl_http_addr *addr)
{
    const settings *s =
        bl_settings_of(&addr->default_server->loc->settings, BL_SERVER, &bl_ssl_module);
    bool lends = has_tls(addr->default_server) && !s->reject;

    if (!addr->ssl || lends)
        return true;
    BL_ARRAY_EACH (bl_server *, server, &addr->servers) {
        if (!has_tls(*server))
            return bl_conf_error(
                cf, (*server)->node, 0,
                "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive");
    }
    return true;
}

static bool finish(bl_conf *cf, void *main BL_UNUSED)
{
    bl_http *http = cf->generation->http;
    bool ok = true;

    BL_ARRAY_EACH (bl_server *, server, &http->servers) {
        const bl_http_core_location *core = (*server)->loc->core;
        if ((*server)->tls)
            bl_tls_server_resolver((*server)->tls, core->resolver,
                                   (uint64_t)core->resolver_timeout);
    }
    BL_ARRAY_EACH (bl_http_addr *, addr, &http->addrs)
        ok = check_address(cf, *addr) && ok;
    return ok;
}

/* ------------------------------------------------------------- what clients may do */

/* The server that the handshake asked for; NULL: the client named none. */
static const bl_server *named_server(bl_request *r)
{
    const char *name = SSL_get_servername(r->conn->tls->ssl, TLSEXT_NAMETYPE_host_name);
    bl_str host;
    int port;

    if (name == NULL)
        return NULL;
    char *lower = bl_pool_bytes(r->pool, strlen(name) + 1);
    if (!bl_parse_host(bl_str_c(name), lower, &host, &port))
        return NULL;
    return bl_server_find(bl_http_addr_of(r->conn->listener->data, r->conn), host, NULL);
}

static const settings *settings_of(const bl_server *server)
{
    return bl_settings_of(&server->loc->settings, BL_SERVER, &bl_ssl_module);
}

static bool same_authorities(const settings *a, const settings *b)
{
    return a->tls.verify == b->tls.verify &&
           bl_str_eq(a->tls.client_certificate, b->tls.client_certificate) &&
           bl_str_eq(a->tls.trusted_certificate, b->tls.trusted_certificate) &&
           bl_str_eq(a->tls.crl, b->tls.crl);
}

/* A certificate that one server checked must not open another that would have asked for one of
 * other authorities. */
static bool is_misdirected(bl_request *r)
{
    const bl_server *named = named_server(r);
    const settings *wanted = settings_of(r->server);

    if (named)
        return named != r->server && settings_of(named)->tls.verify != VERIFY_OFF;
    named = bl_http_addr_of(r->conn->listener->data, r->conn)->default_server;
    return named != r->server && wanted->tls.verify != VERIFY_OFF &&
           !same_authorities(settings_of(named), wanted);
}

static bl_step refuse(bl_request *r, int status)
{
    SSL *ssl = r->conn->tls->ssl;

    SSL_CTX_remove_session(SSL_get_SSL_CTX(ssl), SSL_get0_session(ssl));
    return status;
}

static bl_step check_client(bl_request *r)
{
    bl_tls *tls = r->conn->tls;

    if (tls == NULL || r->conn->listener == NULL)
        return BL_NEXT;
    if (is_misdirected(r)) {
        bl_log_write(BL_LOG_INFO, r->log, 0,
                     "client attempted to request the server name different from the one that was "
                     "negotiated");
        return STATUS_MISDIRECTED;
    }
    int verify = settings_of(r->server)->tls.verify;
    if (verify == VERIFY_OFF)
        return BL_NEXT;
    long result = SSL_get_verify_result(tls->ssl);
    if (result != X509_V_OK &&
        (verify != VERIFY_OPTIONAL_NO_CA || !bl_tls_info_only_unknown(result))) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client SSL certificate verify error: (%ld:%s)",
                     result, X509_verify_cert_error_string(result));
        return refuse(r, STATUS_BAD_CERTIFICATE);
    }
    if (tls->revocation) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client SSL certificate verify error: %s",
                     tls->revocation);
        return refuse(r, STATUS_BAD_CERTIFICATE);
    }
    if (verify == VERIFY_ON && SSL_get0_peer_certificate(tls->ssl) == NULL) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client sent no required SSL certificate");
        return refuse(r, STATUS_NO_CERTIFICATE);
    }
    return BL_NEXT;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const main_settings *top = bl_settings_of(&loc->settings, BL_MAIN, &bl_ssl_module);

    if (loc->kind == BL_LOC_SERVER && top->verifies)
        bl_location_handler(cf, loc, BL_PHASE_SERVER_REWRITE, BL_PLACE_SSL, check_client);
    return true;
}

/* ------------------------------------------------------------- variables */

static bool get_info(bl_request *r, const bl_variable *v, bl_str name BL_UNUSED, bl_str *value)
{
    const bl_tls_info *info = v->data;

    return r->conn->tls && info->get(r->conn, r->pool, value);
}

static bool define(bl_conf *cf)
{
    for (const bl_tls_info *info = bl_tls_infos; info->name; info++) {
        bool changes = bl_str_eq(bl_str_c(info->name), BL_STR("ssl_early_data"));
        if (bl_var_define(cf, bl_str_c(info->name), get_info, NULL, info,
                          changes ? BL_VAR_VOLATILE : 0) == NULL)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------- module */

static const bl_http_module http = {.variables = define, .compile = compile};

bl_module bl_ssl_module = {
    .name = "http_ssl",
    .directives = directives,
    .size = {[BL_MAIN] = sizeof(main_settings), [BL_SERVER] = sizeof(settings)},
    .merge = merge,
    .finish = finish,
    .http = &http,
};
