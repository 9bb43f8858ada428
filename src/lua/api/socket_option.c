#include "lua/api/socket.h"

#include <errno.h>
#include <netinet/tcp.h>

typedef struct option {
    const char *name;
    int level, number;
    bool boolean;
} option;

static const option options[] = {
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, true},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, true},
    {"tcp-nodelay", IPPROTO_TCP, TCP_NODELAY, true},
    {"sndbuf", SOL_SOCKET, SO_SNDBUF, false},
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF, false},
    {"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, false},
    {"keepcnt", IPPROTO_TCP, TCP_KEEPCNT, false},
};

static const option *find(const char *name)
{
    for (size_t i = 0; i < BL_COUNTOF(options); i++) {
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    }
    return NULL;
}

/* A socket that reads a request's body stands for the client's connection. */
static bl_conn *conn_of(const bl_socket *s)
{
    return s->conn == NULL && s->request ? s->request->conn : s->conn;
}

/* The option of an open socket; NULL: *count results of a failure were pushed. */
static const option *check(lua_State *L, bl_socket **s, int *count)
{
    *s = bl_socket_check(L);
    if (lua_isnoneornil(L, 2)) {
        *count = bl_socket_fail(L, "missing the \"option\" argument");
        return NULL;
    }
    const char *name = luaL_checkstring(L, 2);
    const option *o = find(name);

    if (!bl_socket_is_open(*s) || conn_of(*s) == NULL)
        *count = bl_socket_fail(L, "closed");
    else if (o == NULL)
        *count = bl_socket_fail(L, lua_pushfstring(L, "unsupported option %s", name));
    else
        return o;
    return NULL;
}

static int value_of(lua_State *L, const option *o)
{
    if (o->boolean && lua_isboolean(L, 3))
        return lua_toboolean(L, 3);
    lua_Integer value = luaL_checkinteger(L, 3);
    return o->boolean ? value != 0 : (int)value;
}

int bl_socket_l_setoption(lua_State *L)
{
    bl_socket *s;
    int count;
    const option *o = check(L, &s, &count);

    if (o == NULL)
        return count;
    if (lua_isnoneornil(L, 3))
        return bl_socket_fail(L, "missing the \"value\" argument");
    int value = value_of(L, o);
    bl_conn *c = conn_of(s);
    if (setsockopt(c->io.fd, o->level, o->number, &value, sizeof value) != 0)
        return bl_socket_fail_errno(L, errno);
    if (o->number == TCP_NODELAY && o->level == IPPROTO_TCP)
        c->tcp_nodelay_on = value != 0;
    lua_pushboolean(L, true);
    return 1;
}

int bl_socket_l_getoption(lua_State *L)
{
    bl_socket *s;
    int count, value = 0;
    socklen_t len = sizeof value;
    const option *o = check(L, &s, &count);

    if (o == NULL)
        return count;
    if (getsockopt(conn_of(s)->io.fd, o->level, o->number, &value, &len) != 0)
        return bl_socket_fail_errno(L, errno);
    lua_pushinteger(L, value);
    return 1;
}

int bl_socket_l_getfd(lua_State *L)
{
    const bl_socket *s = bl_socket_check(L);

    if (!bl_socket_is_open(s) || s->conn == NULL)
        return bl_socket_fail(L, "closed");
    lua_pushinteger(L, s->conn->io.fd);
    return 1;
}
