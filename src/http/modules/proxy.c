#include "http/modules/proxy.h"
#include "event/tls_cache.h"
#include "http/upstream/store.h"
#include "http/variable.h"
#include "http/version.h"

static const bl_conf_word_value next_words[] = {
    {"error", BL_UP_ERROR},
    {"timeout", BL_UP_TIMEOUT},
    {"invalid_header", BL_UP_INVALID_HEADER},
    {"http_500", BL_UP_HTTP_500},
    {"http_502", BL_UP_HTTP_502},
    {"http_503", BL_UP_HTTP_503},
    {"http_504", BL_UP_HTTP_504},
    {"http_403", BL_UP_HTTP_403},
    {"http_404", BL_UP_HTTP_404},
    {"http_429", BL_UP_HTTP_429},
    {"non_idempotent", BL_UP_NON_IDEMPOTENT},
    {"off", BL_UP_OFF},
    {NULL, 0},
};

static const bl_conf_word_value ignore_words[] = {
    {"X-Accel-Redirect", BL_IGNORE_REDIRECT},
    {"X-Accel-Expires", BL_IGNORE_EXPIRES_ACCEL},
    {"X-Accel-Limit-Rate", BL_IGNORE_LIMIT_RATE},
    {"X-Accel-Buffering", BL_IGNORE_BUFFERING},
    {"X-Accel-Charset", BL_IGNORE_CHARSET},
    {"Expires", BL_IGNORE_EXPIRES},
    {"Cache-Control", BL_IGNORE_CACHE_CONTROL},
    {"Set-Cookie", BL_IGNORE_SET_COOKIE},
    {"Vary", BL_IGNORE_VARY},
    {NULL, 0},
};

static const bl_conf_word_value version_words[] = {{"1.0", 1000}, {"1.1", 1001}, {NULL, 0}};

static const bl_conf_word_value protocol_words[] = {
    {"SSLv2", BL_TLS_SSLV2},
    {"SSLv3", BL_TLS_SSLV3},
    {"TLSv1", BL_TLS_V1},
    {"TLSv1.1", BL_TLS_V1_1},
    {"TLSv1.2", BL_TLS_V1_2},
    {"TLSv1.3", BL_TLS_V1_3},
    {NULL, 0},
};

/* Fields of the upstream that do not concern the client. */
static const bl_str hidden[] = {
    BL_STR_INIT("Date"),
    BL_STR_INIT("Server"),
    BL_STR_INIT("X-Pad"),
    BL_STR_INIT("X-Accel-Expires"),
    BL_STR_INIT("X-Accel-Redirect"),
    BL_STR_INIT("X-Accel-Limit-Rate"),
    BL_STR_INIT("X-Accel-Buffering"),
    BL_STR_INIT("X-Accel-Charset"),
};

/* ------------------------------------------------------------- values of their own */

/* proxy_bind ADDRESS [transparent] | off */
static bool read_bind(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_upstream_bind *bind = BL_NEW(cf->pool, bl_upstream_bind);
    bl_str text = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    bl_hostport hp;

    *(bl_upstream_bind **)field = bind;
    if (node->count == 2 && bl_str_eq(text, BL_STR("off")))
        return true;
    bind->value = bl_value_compile(cf, node, 1, text);
    if (bind->value == NULL)
        return false;
    if (bind->value->constant && (bl_hostport_parse(text, 0, &hp) != NULL || !hp.is_ip))
        return bl_conf_error(cf, node, 1, "invalid address \"%.*s\"", BL_STR_ARG(text));
    if (node->count == 3) {
        bind->transparent = bl_str_eq(bl_conf_arg(node, 2), BL_STR("transparent"));
        if (!bind->transparent)
            return bl_conf_error(cf, node, 2, "invalid parameter \"%.*s\"",
                                 BL_STR_ARG(bl_conf_arg(node, 2)));
    }
    return true;
}

static const bl_type type_bind = {"address [transparent] | off", sizeof(bl_upstream_bind *),
                                  read_bind};

/* Pairs of words, one directive after the other. */
static bool read_ssl_command(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                             void *field)
{
    return bl_type_strs.read(cf, d, node, field);
}

static const bl_type type_pairs = {"name value", sizeof(bl_array *), read_ssl_command};

static bool read_certificate_cache(bl_conf *cf, const bl_directive *d BL_UNUSED,
                                   const bl_conf_node *node, void *field)
{
    return bl_tls_cache_read(cf, node, field);
}

static const bl_type type_cache = {"off | max=N [inactive=time] [valid=time]",
                                   sizeof(bl_tls_cache *), read_certificate_cache};

static bool read_file(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    *(bl_str *)field =
        bl_conf_arg(node, 1).len ? bl_conf_path(cf, bl_conf_arg(node, 1), true) : BL_STR("");
    return true;
}

static const bl_type type_file = {"file", sizeof(bl_str), read_file};

/* ------------------------------------------------------------- directives */

#define LOC(field) BL_LOCATION, offsetof(bl_proxy_location, field)
#define UP(field)  BL_LOCATION, offsetof(bl_proxy_location, up.field)
#define TLS(field) BL_LOCATION, offsetof(bl_proxy_location, tls.field)

// clang-format off
static const bl_directive directives[] = {
    {"proxy_pass", BL_IN_LOCATION | BL_IN_LOCATION_IF | BL_IN_LIMIT_EXCEPT, BL_TAKE1, &bl_type_proxy_pass, BL_LOCATION},
    {"proxy_redirect", BL_IN_HSL, BL_TAKE12 | BL_REPEATS, &bl_type_proxy_redirect, LOC(redirects)},
    {"proxy_cookie_domain", BL_IN_HSL, BL_TAKE12 | BL_REPEATS, &bl_type_proxy_cookie_domain, LOC(cookie_domains)},
    {"proxy_cookie_path", BL_IN_HSL, BL_TAKE12 | BL_REPEATS, &bl_type_proxy_cookie_path, LOC(cookie_paths)},
    {"proxy_cookie_flags", BL_IN_HSL, BL_TAKE1234 | BL_REPEATS, &bl_type_proxy_cookie_flags, LOC(cookie_flags)},
    {"proxy_set_header", BL_IN_HSL, BL_TAKE2 | BL_REPEATS, &bl_type_proxy_fields, LOC(set_headers)},
    {"proxy_headers_hash_max_size", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(headers_hash_max_size), "512"},
    {"proxy_headers_hash_bucket_size", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(headers_hash_bucket_size), "64"},
    {"proxy_set_body", BL_IN_HSL, BL_TAKE1, &bl_type_value, LOC(set_body)},
    {"proxy_method", BL_IN_HSL, BL_TAKE1, &bl_type_value, LOC(method)},
    {"proxy_http_version", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(http_version), "1.1", .arg = version_words},
    {"proxy_pass_request_headers", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(pass_request_headers), "on"},
    {"proxy_pass_request_body", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(pass_request_body), "on"},
    {"proxy_pass_trailers", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(pass_trailers), "off"},
    {"proxy_buffering", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(buffering), "on"},
    {"proxy_request_buffering", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(request_buffering), "on"},
    {"proxy_ignore_client_abort", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(ignore_client_abort), "off"},
    {"proxy_intercept_errors", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(intercept_errors), "off"},
    {"proxy_force_ranges", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(force_ranges), "off"},
    {"proxy_bind", BL_IN_HSL, BL_TAKE12, &type_bind, UP(bind)},
    {"proxy_socket_keepalive", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(socket_keepalive), "off"},
    {"proxy_socket_rcvbuf", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(rcvbuf), "0"},
    {"proxy_socket_sndbuf", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(sndbuf), "0"},
    {"proxy_send_lowat", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(send_lowat), "0"},
    {"proxy_connect_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(connect_timeout), "60s"},
    {"proxy_send_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(send_timeout), "60s"},
    {"proxy_read_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(read_timeout), "60s"},
    {"proxy_buffer_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(buffer_size), "4k"},
    {"proxy_buffers", BL_IN_HSL, BL_TAKE2, &bl_type_bufs, UP(buffers), "8 4k"},
    {"proxy_busy_buffers_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(busy_buffers_size), "8k"},
    {"proxy_max_temp_file_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(max_temp_file_size), "1024m"},
    {"proxy_temp_file_write_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(temp_file_write_size), "8k"},
    {"proxy_temp_path", BL_IN_HSL, BL_TAKE1234, &bl_type_temp_path, UP(temp_path), "proxy_temp"},
    {"proxy_store", BL_IN_HSL, BL_TAKE1, &bl_type_store, UP(store), "off"},
    {"proxy_store_access", BL_IN_HSL, BL_TAKE123, &bl_type_store_access, UP(store_access), "user:rw"},
    {"proxy_limit_rate", BL_IN_HSL, BL_TAKE1, &bl_type_value_size, UP(limit_rate)},
    {"proxy_next_upstream", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, UP(next_upstream), "error timeout", .arg = next_words},
    {"proxy_next_upstream_tries", BL_IN_HSL, BL_TAKE1, &bl_type_num, UP(next_upstream_tries), "0"},
    {"proxy_next_upstream_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(next_upstream_timeout), "0"},
    {"proxy_pass_header", BL_IN_HSL, BL_TAKE1 | BL_REPEATS, &bl_type_strs, UP(pass)},
    {"proxy_hide_header", BL_IN_HSL, BL_TAKE1 | BL_REPEATS, &bl_type_strs, UP(hide)},
    {"proxy_ignore_headers", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, UP(ignore_headers), .arg = ignore_words},
    {"proxy_ssl_session_reuse", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, TLS(session_reuse), "on"},
    {"proxy_ssl_protocols", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, TLS(settings.protocols), "TLSv1.2 TLSv1.3", .arg = protocol_words},
    {"proxy_ssl_ciphers", BL_IN_HSL, BL_TAKE1, &bl_type_str, TLS(settings.ciphers), "DEFAULT"},
    {"proxy_ssl_name", BL_IN_HSL, BL_TAKE1, &bl_type_value, TLS(name)},
    {"proxy_ssl_server_name", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, TLS(server_name), "off"},
    {"proxy_ssl_verify", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, TLS(verify), "off"},
    {"proxy_ssl_verify_depth", BL_IN_HSL, BL_TAKE1, &bl_type_num, TLS(settings.verify_depth), "1"},
    {"proxy_ssl_trusted_certificate", BL_IN_HSL, BL_TAKE1, &type_file, TLS(settings.trusted_certificate)},
    {"proxy_ssl_crl", BL_IN_HSL, BL_TAKE1, &type_file, TLS(settings.crl)},
    {"proxy_ssl_certificate", BL_IN_HSL, BL_TAKE1, &bl_type_value, TLS(certificate)},
    {"proxy_ssl_certificate_key", BL_IN_HSL, BL_TAKE1, &bl_type_value, TLS(certificate_key)},
    {"proxy_ssl_certificate_cache", BL_IN_HSL, BL_TAKE123, &type_cache, TLS(cache)},
    {"proxy_ssl_key_log", BL_IN_HSL, BL_TAKE1, &bl_tls_key_log, TLS(settings.key_log)},
    {"proxy_ssl_password_file", BL_IN_HSL, BL_TAKE1, &bl_tls_passwords, TLS(settings.passwords)},
    {"proxy_ssl_conf_command", BL_IN_HSL, BL_TAKE2 | BL_REPEATS, &type_pairs, TLS(settings.conf_commands)},
    {0},
};
// clang-format on

/* ------------------------------------------------------------- merging */

static bool is_part_of_location(const bl_location *loc)
{
    return loc->kind == BL_LOC_IF || loc->kind == BL_LOC_LIMIT_EXCEPT;
}

/* `if` and limit_except go where the location around them goes. */
static void inherit_target(bl_location *loc, const bl_proxy_location *outer,
                           bl_proxy_location *conf)
{
    if (conf->target || outer->target == NULL || !is_part_of_location(loc))
        return;
    conf->target = outer->target;
    if (loc->content == NULL)
        loc->content = loc->parent->content;
}

static bl_array *one_path(bl_conf *cf, bl_str path)
{
    bl_array *paths = bl_array_new(cf->pool, sizeof(bl_str));

    *(bl_str *)bl_array_push(paths) =
        bl_str_starts(path, BL_STR("data:")) ? path : bl_conf_path(cf, path, true);
    return paths;
}

/* A fixed certificate is the client's, one with variables each handshake's. */
static bool settle_certificate(bl_conf *cf, const bl_proxy_location *outer, bl_proxy_location *conf)
{
    bl_upstream_tls *tls = &conf->tls;
    bool none = tls->certificate == NULL || tls->certificate->text.len == 0;

    if (none)
        return true;
    if (tls->certificate_key == NULL)
        return bl_conf_error(cf, conf->target->node, 0,
                             "no \"proxy_ssl_certificate_key\" is defined for certificate \"%.*s\"",
                             BL_STR_ARG(tls->certificate->text));
    tls->late = !tls->certificate->constant || !tls->certificate_key->constant;
    if (tls->late)
        return true;
    if (outer && outer->tls.settings.certificates && outer->tls.certificate == tls->certificate &&
        outer->tls.certificate_key == tls->certificate_key) {
        tls->settings.certificates = outer->tls.settings.certificates;
        tls->settings.certificate_keys = outer->tls.settings.certificate_keys;
        return true;
    }
    tls->settings.certificates = one_path(cf, tls->certificate->text);
    tls->settings.certificate_keys = one_path(cf, tls->certificate_key->text);
    return true;
}

static bool same_tls(const bl_upstream_tls *a, const bl_upstream_tls *b)
{
    return memcmp(&a->settings, &b->settings, sizeof a->settings) == 0;
}

static bool make_tls_client(bl_conf *cf, const bl_proxy_location *outer, bl_proxy_location *conf)
{
    if (!conf->target->tls && conf->target->url == NULL)
        return true;
    conf->up.tls = &conf->tls;
    conf->tls.settings.verify = conf->tls.verify;
    if (!settle_certificate(cf, outer, conf))
        return false;
    if (conf->tls.name == NULL) {
        conf->tls.name = bl_value_compile(cf, conf->target->node, 0, BL_STR("$proxy_host"));
        if (conf->tls.name == NULL)
            return false;
    }
    if (outer && outer->tls.client && same_tls(&outer->tls, &conf->tls)) {
        conf->tls.client = outer->tls.client;
        return true;
    }
    conf->tls.client = bl_tls_client_new(cf, conf->target->node, &conf->tls.settings);
    return conf->tls.client != NULL;
}

static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    bl_proxy_location *outer = parent, *conf = child;
    bl_location *loc = cf->block;

    if (level != BL_LOCATION)
        return true;
    if (outer && loc)
        inherit_target(loc, outer, conf);
    if (conf->target == NULL)
        return true;
    conf->redirect =
        conf->redirects ? conf->redirects : bl_proxy_default_redirect(cf, conf->target);
    return bl_upstream_settings_compile(cf, &conf->up, hidden, BL_COUNTOF(hidden)) &&
           bl_proxy_compile(cf, conf) && make_tls_client(cf, outer, conf);
}

/* ------------------------------------------------------------- the handler */

static const bl_upstream_module module = {
    .codec = &bl_upstream_h1,
    .build = bl_proxy_build,
    .rewrite = bl_proxy_rewrite,
};

/* May the body be passed on while it comes? A chunked one needs an upstream that knows chunks. */
static bool may_stream(const bl_request *r, const bl_proxy_location *conf)
{
    if (conf->up.request_buffering || conf->set_body || !conf->up.pass_request_body)
        return false;
    if (!r->body.expected || r->body.whole || !bl_request_is_main(r))
        return false;
    return !r->body.chunked || conf->http_version >= 1001;
}

bl_step bl_proxy_handler(bl_request *r)
{
    const bl_proxy_location *conf = BL_LOC_SETTINGS(r, bl_proxy_module);

    if (conf->target == NULL)
        return 500;
    bl_upstream *u = bl_upstream_new(r, &conf->up, &module);
    bl_proxy *proxy = BL_NEW(r->pool, bl_proxy);
    proxy->conf = conf;
    u->data = proxy;
    u->owner = conf;
    int status = bl_proxy_aim(u, proxy);
    if (status)
        return status;
    u->stream_body = may_stream(r, conf);
    u->stream_chunked = u->stream_body && r->body.chunked;
    return bl_upstream_start(u);
}

/* ------------------------------------------------------------- variables */

static const bl_proxy_target *target_of(bl_request *r)
{
    const bl_proxy_location *conf = BL_LOC_SETTINGS(r, bl_proxy_module);

    if (r->upstream && r->upstream->module == &module) {
        const bl_proxy *proxy = r->upstream->data;
        if (proxy->conf == conf)
            return proxy->target;
    }
    return conf->target && conf->target->url == NULL ? conf->target : NULL;
}

static bool get_host(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                     bl_str *value)
{
    const bl_proxy_target *target = target_of(r);

    if (target == NULL)
        return false;
    *value = target->host_port;
    return true;
}

static bool get_port(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                     bl_str *value)
{
    const bl_proxy_target *target = target_of(r);

    if (target == NULL)
        return false;
    *value = target->port;
    return true;
}

/* The client's list with its address behind it. */
static bool get_forwarded_for(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                              bl_str *value)
{
    char text[BL_ADDR_TEXT];
    size_t len = bl_addr_text(&r->conn->peer.sa, sizeof r->conn->peer, text);
    bl_str before = bl_headers_join(&r->in, r->pool, BL_STR("X-Forwarded-For"), BL_STR(", "));

    *value = before.len ? bl_pool_printf(r->pool, "%.*s, %.*s", BL_STR_ARG(before), (int)len, text)
                        : bl_pool_str(r->pool, bl_str_of(text, len));
    return true;
}

/* The client's Via with this server behind it (RFC 9110 section 7.6.3). */
static bool get_via(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                    bl_str *value)
{
    bl_str before = bl_headers_join(&r->in, r->pool, BL_STR("Via"), BL_STR(", "));

    *value = bl_pool_printf(r->pool, "%.*s%s%d.%d %s", BL_STR_ARG(before), before.len ? ", " : "",
                            r->http_version / 1000, r->http_version % 1000, BL_SERVER_NAME);
    return true;
}

static const bl_variable rows[] = {
    {.name = BL_STR_INIT("proxy_host"), .get = get_host, .flags = BL_VAR_VOLATILE},
    {.name = BL_STR_INIT("proxy_port"), .get = get_port, .flags = BL_VAR_VOLATILE},
    {.name = BL_STR_INIT("proxy_add_x_forwarded_for"),
     .get = get_forwarded_for,
     .flags = BL_VAR_VOLATILE},
    {.name = BL_STR_INIT("proxy_add_via"), .get = get_via, .flags = BL_VAR_VOLATILE},
    {.name = {NULL, 0}},
};

static bool define_variables(bl_conf *cf)
{
    return bl_var_define_all(cf, rows);
}

static const bl_http_module http = {.variables = define_variables};

bl_module bl_proxy_module = {
    .name = "proxy",
    .directives = directives,
    .size = {0, 0, sizeof(bl_proxy_location)},
    .merge = merge,
    .http = &http,
};
