#include "lua/api/socket_conf.h"
#include "lua/module.h"
#include "lua/vm.h"

/* ------------------------------------------------------------- whose settings */

static const void *settings_here(const bl_module *module)
{
    const bl_request *r = bl_lua_now.request;

    if (r)
        return r->loc->settings.of[BL_LOCATION][module->index];
    if (bl_lua_now.task && bl_lua_now.task->run->location)
        return bl_lua_now.task->run->location->settings.of[BL_LOCATION][module->index];
    const bl_http *http = bl_lua_now.vm->generation->http;
    return http->settings.of[BL_LOCATION][module->index];
}

const bl_socket_conf *bl_socket_conf_here(void)
{
    return settings_here(&bl_lua_socket_module);
}

const bl_http_core_location *bl_socket_conf_core(void)
{
    return settings_here(&bl_http_core_module);
}

/* ------------------------------------------------------------- directives */

static const bl_conf_word_value protocols[] = {{"SSLv2", BL_TLS_SSLV2},
                                               {"SSLv3", BL_TLS_SSLV3},
                                               {"TLSv1", BL_TLS_V1},
                                               {"TLSv1.1", BL_TLS_V1_1},
                                               {"TLSv1.2", BL_TLS_V1_2},
                                               {"TLSv1.3", BL_TLS_V1_3},
                                               {NULL, 0}};

#define CONF(field) BL_LOCATION, offsetof(bl_socket_conf, field)

// clang-format off
static const bl_directive directives[] = {
    {"lua_socket_connect_timeout", BL_IN_HSLI, BL_TAKE1, &bl_type_msec, CONF(connect_timeout), "60s"},
    {"lua_socket_send_timeout", BL_IN_HSLI, BL_TAKE1, &bl_type_msec, CONF(send_timeout), "60s"},
    {"lua_socket_send_lowat", BL_IN_HSLI, BL_TAKE1, &bl_type_size, CONF(send_lowat), "0"},
    {"lua_socket_read_timeout", BL_IN_HSLI, BL_TAKE1, &bl_type_msec, CONF(read_timeout), "60s"},
    {"lua_socket_buffer_size", BL_IN_HSLI, BL_TAKE1, &bl_type_size, CONF(buffer_size), "4k"},
    {"lua_socket_pool_size", BL_IN_HSLI, BL_TAKE1, &bl_type_num, CONF(pool_size), "30"},
    {"lua_socket_keepalive_timeout", BL_IN_HSLI, BL_TAKE1, &bl_type_msec, CONF(keepalive_timeout), "60s"},
    {"lua_socket_log_errors", BL_IN_HSLI, BL_TAKE_FLAG, &bl_type_flag, CONF(log_errors), "on"},
    {"lua_ssl_ciphers", BL_IN_HSL, BL_TAKE1, &bl_type_str, CONF(tls.ciphers), "DEFAULT"},
    {"lua_ssl_crl", BL_IN_HSL, BL_TAKE1, &bl_type_str, CONF(tls.crl)},
    {"lua_ssl_protocols", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, CONF(tls.protocols), "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", .arg = protocols},
    {"lua_ssl_certificate", BL_IN_HSL, BL_TAKE1 | BL_REPEATS, &bl_type_strs, CONF(tls.certificates)},
    {"lua_ssl_certificate_key", BL_IN_HSL, BL_TAKE1 | BL_REPEATS, &bl_type_strs, CONF(tls.certificate_keys)},
    {"lua_ssl_trusted_certificate", BL_IN_HSL, BL_TAKE1, &bl_type_str, CONF(tls.trusted_certificate)},
    {"lua_ssl_verify_depth", BL_IN_HSL, BL_TAKE1, &bl_type_num, CONF(tls.verify_depth), "1"},
    {"lua_ssl_key_log", BL_IN_HSL, BL_TAKE1, &bl_tls_key_log, CONF(tls.key_log)},
    {"lua_ssl_conf_command", BL_IN_HSL, BL_TAKE2 | BL_REPEATS, &bl_type_strs, CONF(tls.conf_commands)},
    {0},
};
// clang-format on

/* ------------------------------------------------------------- TLS */

static bool make_client(bl_conf *cf, bl_socket_conf *conf)
{
    const bl_conf_node *node = cf->node;

    conf->tls.verify = 1; /* sslhandshake turns it off where it is not asked for */
    conf->client = bl_tls_client_new(cf, node, &conf->tls);
    return conf->client != NULL;
}

static bool same_tls(const bl_tls_settings *a, const bl_tls_settings *b)
{
    return a->certificates == b->certificates && a->certificate_keys == b->certificate_keys &&
           a->conf_commands == b->conf_commands && a->protocols == b->protocols &&
           a->verify_depth == b->verify_depth && bl_str_eq(a->ciphers, b->ciphers) &&
           bl_str_eq(a->crl, b->crl) && bl_str_eq(a->trusted_certificate, b->trusted_certificate);
}

/* Locations that say nothing of their own share what is above them. */
static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    bl_socket_conf *conf = child;
    const bl_socket_conf *above = parent;

    if (level != BL_LOCATION || !bl_lua_main_of(cf->generation)->used)
        return true;
    if (above && above->client && above->tls.key_log == conf->tls.key_log &&
        same_tls(&above->tls, &conf->tls)) {
        conf->client = above->client;
        return true;
    }
    return make_client(cf, conf);
}

bl_module bl_lua_socket_module = {
    .name = "lua_socket",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(bl_socket_conf)},
    .merge = merge,
};
