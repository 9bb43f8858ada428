/* Lua code in handshakes with upstreams: proxy_ssl_certificate_by_lua, when the peer asks for a
 * certificate, and proxy_ssl_verify_by_lua, when its own has come.
 *
 * The code runs for the request that is passed on, which waits in the handshake anyway, so it may
 * wait as well; the time is proxy_connect_timeout's. An error of the code, or ngx.exit with one,
 * fails the handshake, and with it the try.
 *
 * A connection is kept for requests of the same location only. One whose certificate was chosen is
 * not kept: it speaks for whom the code has chosen, and another request may be somebody else's. */
#ifndef BL_LUA_PROXY_TLS_H
#define BL_LUA_PROXY_TLS_H

#include "event/tls.h"
#include "lua/task.h"

extern bl_module bl_lua_proxy_tls_module;

/* TLS of the current request's upstream, or NULL and *error. */
bl_tls *bl_lua_proxy_tls_here(const char **error);

#endif
