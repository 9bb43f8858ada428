/* lua_socket_… and lua_ssl_…: what a location says about the sockets of its Lua code. */
#ifndef BL_LUA_API_SOCKET_CONF_H
#define BL_LUA_API_SOCKET_CONF_H

#include "event/tls.h"
#include "http/core_module.h"

typedef struct bl_socket_conf {
    int64_t connect_timeout, send_timeout, read_timeout, keepalive_timeout; /* ms */
    int64_t send_lowat, buffer_size;                                        /* bytes */
    int64_t pool_size;
    int log_errors;
    bl_tls_settings tls;
    bl_tls_client *client; /* NULL: no Lua code in the configuration */
} bl_socket_conf;

extern bl_module bl_lua_socket_module;

/* Of the current request's location, or of http{} where there is no request. */
const bl_socket_conf *bl_socket_conf_here(void);
/* The core module's of the same place: the resolver, tcp_nodelay. */
const bl_http_core_location *bl_socket_conf_core(void);

#endif
