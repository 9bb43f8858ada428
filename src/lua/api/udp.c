/* A datagram socket is a bl_socket with another source; it has no pool and no stream to cut up, so
 * reading and writing are its own. */
#include "lua/api/udp.h"
#include "lua/api/socket.h"

#include <errno.h>
#include <unistd.h>

enum {
    DATAGRAM_MAX = 65536
};

static const char udp_type[] = "bulan.socket.udp";

/* ------------------------------------------------------------- receiving */

static int fail_receive(bl_socket *s, lua_State *L, int err)
{
    bl_socket_log(s, BL_LOG_ERR, err, "recv() failed");
    return bl_socket_fail_errno(L, err);
}

/* Results, or BL_SOCKET_WAITS. An empty datagram is one, too. */
static int receive(bl_socket *s, lua_State *L)
{
    static char datagram[DATAGRAM_MAX];
    bl_conn *c = s->conn;
    ssize_t n;

    if (!c->io.readable)
        return BL_SOCKET_WAITS;
    do {
        n = recv(c->io.fd, datagram, s->want_size, 0);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        lua_pushlstring(L, datagram, (size_t)n);
        return 1;
    }
    if (errno != EAGAIN)
        return fail_receive(s, L, errno);
    c->io.readable = false;
    return BL_SOCKET_WAITS;
}

static void on_read(bl_io *io)
{
    bl_socket *s = bl_conn_of(io)->data;

    if (!bl_wait_armed(&s->reading))
        return;
    int count = receive(s, bl_wait_stack(&s->reading));
    if (count != BL_SOCKET_WAITS)
        bl_socket_done(s, &s->reading, count);
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, reading);

    bl_socket_log(s, BL_LOG_ERR, 0, "lua udp socket read timed out");
    int count = bl_socket_fail(L, "timeout");
    bl_socket_left(s);
    return count;
}

static void cancelled(bl_wait *w)
{
    bl_socket_left(BL_CONTAINER(w, bl_socket, reading));
}

static size_t size_of(lua_State *L)
{
    lua_Integer size = luaL_optinteger(L, 2, DATAGRAM_MAX);

    luaL_argcheck(L, size > 0, 2, "bad size argument");
    return (size_t)BL_MIN(size, (lua_Integer)DATAGRAM_MAX);
}

static int l_receive(lua_State *L)
{
    int count = lua_gettop(L);

    if (count != 1 && count != 2)
        return luaL_error(L, "expecting 1 or 2 arguments (including the object), but got %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    int failure = bl_socket_may_read(s, L);
    if (failure)
        return failure;
    s->want_size = size_of(L);
    bl_debug(bl_socket_log_of(s), "lua udp socket receive buffer size: %zu", s->want_size);
    count = receive(s, L);
    if (count != BL_SOCKET_WAITS)
        return count;
    bl_task_may_wait(L);
    s->reading.cancel = cancelled;
    s->reading.expire = timed_out;
    return bl_wait_begin(&s->reading, L, bl_socket_ms(s->read_ms, s->conf->read_timeout));
}

/* ------------------------------------------------------------- the peer */

/* A unix socket without a name could not be answered: the kernel gives it one (unix(7)). */
static int bind_local(const bl_socket *s, int fd)
{
    struct sockaddr any = {.sa_family = AF_UNIX};

    if (s->port < 0)
        return bind(fd, &any, sizeof any.sa_family);
    return s->bind ? bind(fd, &s->bind->sa, s->bind->len) : 0;
}

static int open_udp(bl_socket *s, lua_State *L)
{
    int fd = socket(s->addr.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return bl_socket_connect_fail_errno(s, L, errno);
    if (bind_local(s, fd) != 0 || connect(fd, &s->addr.sa, s->addr.len) != 0) {
        int err = errno;
        close(fd);
        return bl_socket_connect_fail_errno(s, L, err);
    }
    bl_conn *c = bl_conn_new(fd);
    if (c == NULL)
        return bl_socket_connect_fail(s, L, "no connection is left");
    bl_socket_take_conn(s, c);
    c->io.on_read = on_read;
    s->stage = BL_SOCKET_OPEN;
    lua_pushinteger(L, 1);
    return 1;
}

static int l_setpeername(lua_State *L)
{
    int count = lua_gettop(L);

    if (count != 2 && count != 3)
        return luaL_error(L,
                          "ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the "
                          "object), but seen %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    bl_task_may_wait(L);
    int failure = bl_socket_connect_busy(s, L);
    if (failure)
        return failure;
    if (s->stage == BL_SOCKET_OPEN) {
        bl_debug(bl_socket_log_of(s), "lua udp socket reconnect without shutting down");
        bl_socket_close(s);
    }
    if (s->conf)
        bl_debug(bl_socket_log_of(s), "lua reuse socket upstream ctx");
    failure = bl_socket_target(s, L);
    if (failure)
        return failure;
    bl_socket_adopt(s);
    count = bl_socket_establish(s, L);
    return count == BL_SOCKET_WAITS ? bl_socket_connect_wait(s, L) : count;
}

/* ------------------------------------------------------------- the source */

static void close_udp(bl_socket *s)
{
    if (s->conn)
        bl_conn_close(s->conn);
}

/* There is no stream to be filled from. */
static bl_status fill_udp(bl_socket *s BL_UNUSED)
{
    return BL_ERROR;
}

static const bl_socket_source bl_socket_udp = {"udp", fill_udp, close_udp, open_udp};

/* ------------------------------------------------------------- sending */

/* A datagram is sent or not; a full socket loses it as the network might. */
static int l_send(lua_State *L)
{
    if (lua_gettop(L) != 2)
        return luaL_error(L, "expecting 2 arguments (including the object), but got %d",
                          lua_gettop(L));
    bl_socket *s = bl_socket_check(L);
    if (s->stage != BL_SOCKET_OPEN)
        return bl_socket_closed(s, L, "send data");
    bl_str bytes = bl_socket_bytes_of(L);
    ssize_t n;
    do {
        n = send(s->conn->io.fd, bytes.p, bytes.len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    int err = errno;
    bl_socket_scratch_done();
    if (n < 0) {
        bl_socket_log(s, BL_LOG_ERR, err, "send() failed");
        return bl_socket_fail_errno(L, err);
    }
    bl_debug(bl_socket_log_of(s), "send: fd:%d %zd of %zu", s->conn->io.fd, n, bytes.len);
    lua_pushinteger(L, 1);
    return 1;
}

/* ------------------------------------------------------------- the API */

static int l_udp(lua_State *L)
{
    if (lua_gettop(L) != 0)
        return luaL_error(L, "expecting zero arguments, but got %d", lua_gettop(L));
    bl_lua_gate(L, BL_LUA_WAITING);
    bl_socket_push(L, &bl_socket_udp, udp_type);
    return 1;
}

void bl_lua_open_udp(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"setpeername", l_setpeername},
        {"send", l_send},
        {"receive", l_receive},
        {"settimeout", bl_socket_l_settimeout},
        {"bind", bl_socket_l_bind},
        {"close", bl_socket_l_close},
        {NULL, NULL},
    };

    bl_socket_metatable(L, udp_type, methods);
    lua_pop(L, 1);
    lua_getfield(L, -1, "socket");
    lua_pushcfunction(L, l_udp);
    lua_setfield(L, -2, "udp");
    lua_pop(L, 1);
}
