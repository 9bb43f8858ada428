/* Lua code in handshakes of clients: ssl_client_hello_by_lua, ssl_session_fetch_by_lua,
 * ssl_certificate_by_lua and ssl_session_store_by_lua.
 *
 * There is no request yet. The code is a run without one (run->request is NULL), whose `conn` is
 * the connection that the handshake is for, and whose settings are those of its server{}.
 *
 *   event/tls hook ──> a run of the code ──> over: OK, or ERROR, which ends the handshake
 *                         │  ^
 *                         v  │
 *                  waits: AGAIN; then bl_tls_resume
 *
 * The client hello's code and the sessions' are those of the address's default server, since no
 * other one is selected yet. A session that is stored has no handshake to hold up: what waits there
 * goes on without its connection, with the session alone.
 *
 * ngx.ctx is one table for all of them, and requests of the connection begin with a copy of it
 * (bl_lua_handshake_ctx). It hangs off c->tls->data and goes with the connection. */
#ifndef BL_LUA_HANDSHAKE_H
#define BL_LUA_HANDSHAKE_H

#include "event/tls.h"
#include "lua/task.h"

extern bl_module bl_lua_handshake_module;

/* The client's connection of whoever runs: the request's, or the handshake's. NULL: none. */
bl_conn *bl_lua_handshake_conn(void);
/* Its TLS, or NULL and *error. */
bl_tls *bl_lua_handshake_tls(const char **error);

/* The session that ssl_session_store_by_lua is about; NULL elsewhere. */
SSL_SESSION *bl_lua_handshake_session(void);

/* The place of the connection's ngx.ctx for a request's VM, 0: there is none. */
int bl_lua_handshake_ctx(const bl_lua_vm *vm, const bl_conn *c);

#endif
