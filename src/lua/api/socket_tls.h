/* What resty.core.socket calls through the FFI. */
#ifndef BL_LUA_API_SOCKET_TLS_H
#define BL_LUA_API_SOCKET_TLS_H

/* Lets go of an SSL_SESSION that sslhandshake or getsslsession has pushed. */
void bl_socket_session_free(void *session);

#endif
