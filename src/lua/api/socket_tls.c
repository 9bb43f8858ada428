#include "lua/api/socket.h"

void bl_socket_tls_methods(lua_State *L)
{
    (void)L;
}

void bl_socket_tls_free(bl_socket *s)
{
    (void)s;
}
