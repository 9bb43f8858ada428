/* What this server is made of. A new module is written beside its like, and its name added here. */
#include "conf/generation.h"
#include "http/core_module.h"
#include "http/http_block.h"
#include "http/modules/access.h"
#include "http/modules/auth_basic.h"
#include "http/modules/charset.h"
#include "http/modules/dav.h"
#include "http/modules/echo.h"
#include "http/modules/gunzip.h"
#include "http/modules/gzip.h"
#include "http/modules/gzip_static.h"
#include "http/modules/access_log.h"
#include "http/modules/headers.h"
#include "http/modules/headers_more.h"
#include "http/modules/index.h"
#include "http/modules/memc.h"
#include "http/modules/not_modified.h"
#include "http/modules/range.h"
#include "http/modules/map.h"
#include "http/modules/auth_request.h"
#include "http/modules/autoindex.h"
#include "http/modules/proxy.h"
#include "http/modules/proxy_cache.h"
#include "http/modules/set_misc.h"
#include "http/modules/split_clients.h"
#include "http/modules/empty_gif.h"
#include "http/modules/random_index.h"
#include "http/modules/secure_link.h"
#include "http/modules/realip.h"
#include "http/modules/geo.h"
#include "http/modules/redis2.h"
#include "http/modules/referer.h"
#include "http/modules/rewrite.h"
#include "http/modules/srcache.h"
#include "http/modules/ssl.h"
#include "http/modules/static.h"
#include "http/modules/stub_status.h"
#include "http/modules/temp_paths.h"
#include "http/modules/try_files.h"
#include "http/open_file.h"
#include "lua/api/regex.h"
#include "lua/api/events.h"
#include "lua/api/shdict.h"
#include "lua/api/socket_conf.h"
#include "lua/balancer.h"
#include "lua/handshake.h"
#include "lua/module.h"
#include "lua/proxy_tls.h"
#include "http/upstream/peers.h"
#include "process/core.h"
#include "process/features.h"

// clang-format off
static bl_module *const main_modules[] = {
    &bl_core_module,
    &bl_events_module,
    &bl_http_block_module,
    NULL,
};

static bl_module *const http_modules[] = {
    &bl_http_core_module,
    &bl_open_file_module,
    &bl_rewrite_module,
    &bl_set_misc_module,
    &bl_lua_module,
    &bl_lua_regex_module,
    &bl_lua_shdict_module,
    &bl_lua_events_module,
    &bl_lua_socket_module,
    &bl_lua_balancer_module,
    &bl_lua_handshake_module,
    &bl_lua_proxy_tls_module,
    &bl_access_module,
    &bl_auth_basic_module,
    &bl_auth_request_module,
    &bl_try_files_module,
    &bl_map_module,
    &bl_geo_module,
    &bl_realip_module,
    &bl_referer_module,
    &bl_secure_link_module,
    &bl_random_index_module,
    &bl_empty_gif_module,
    &bl_split_clients_module,
    &bl_gunzip_module,
    &bl_gzip_static_module,
    &bl_charset_module,
    &bl_echo_module,
    &bl_dav_module,
    &bl_autoindex_module,
    &bl_index_module,
    &bl_static_module,
    &bl_not_modified_module,
    &bl_headers_module,
    &bl_headers_more_module,
    &bl_gzip_module,
    &bl_range_module,
    &bl_ssl_module,
    &bl_stub_status_module,
    &bl_temp_paths_module,
    &bl_access_log_module,
    &bl_upstream_block_module,
    &bl_balance_module,
    &bl_proxy_module,
    &bl_proxy_cache_module,
    &bl_memc_module,
    &bl_srcache_module,
    &bl_redis2_module,
    NULL,
};

static bl_module *const stream_modules[] = {
    NULL,
};

bl_module_list bl_main_modules = {.modules = main_modules};
bl_module_list bl_http_modules = {.modules = http_modules};
bl_module_list bl_stream_modules = {.modules = stream_modules};

const char *const bl_feature_words[] = {
    "--with-http_ssl_module",
    "--with-http_auth_request_module",
    "--with-http_dav_module",
    "--with-http_gunzip_module",
    "--with-http_gzip_static_module",
    "--with-http_random_index_module",
    "--with-http_realip_module",
    "--with-http_secure_link_module",
    "--with-http_stub_status_module",
    "--with-pcre-jit",
    "--with-threads",
    NULL,
};

const char *const bl_feature_modules[] = {
    "ndk_http_module.so",
    "ngx_http_lua_module.so",
    "ngx_http_echo_module.so",
    "ngx_http_headers_more_filter_module.so",
    "ngx_http_memc_module.so",
    "ngx_http_redis2_module.so",
    "ngx_http_set_misc_module.so",
    NULL,
};

const bl_filter *const bl_head_filter_order[] = {
    &bl_not_modified_filter,
    &bl_lua_header_filter,
    &bl_srcache_filter,
    &bl_headers_filter,
    &bl_headers_more_filter,
    &bl_gunzip_filter,
    &bl_charset_filter,
    &bl_echo_filter,
    &bl_gzip_filter,
    &bl_range_filter,
    NULL,
};

const bl_filter *const bl_body_filter_order[] = {
    &bl_lua_body_filter,
    &bl_srcache_filter,
    &bl_trailers_filter,
    &bl_gunzip_filter,
    &bl_recode_filter,
    &bl_echo_filter,
    &bl_gzip_filter,
    NULL,
};
// clang-format on
