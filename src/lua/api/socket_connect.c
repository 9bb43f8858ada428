#include "lua/api/socket.h"
#include "core/mem.h"
#include "lua/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What connect's table of options says. */
typedef struct options {
    bl_str pool;           /* p NULL: not given */
    int64_t size, backlog; /* size 0, backlog -1: not given */
} options;

/* ------------------------------------------------------------- failures */

static void stop_asking(bl_socket *s)
{
    if (s->ask == NULL)
        return;
    bl_resolve_cancel(s->ask);
    bl_free(s->ask);
    s->ask = NULL;
}

static void stop_queueing(bl_socket *s)
{
    bl_sockpool *pool = s->pool;

    bl_list_remove(&s->queue);
    pool->waiting_count--;
    s->pool = NULL;
    s->stage = BL_SOCKET_CLOSED;
    bl_sockpool_settle(pool);
}

/* Whatever was begun is given up. */
static void give_up(bl_socket *s)
{
    stop_asking(s);
    if (s->stage == BL_SOCKET_QUEUED)
        stop_queueing(s);
    bl_socket_close(s);
}

int bl_socket_connect_fail(bl_socket *s, lua_State *L, const char *error)
{
    int count = bl_socket_fail(L, error);

    give_up(s);
    return count;
}

int bl_socket_connect_fail_errno(bl_socket *s, lua_State *L, int err)
{
    char message[BL_ADDR_TEXT + 160];

    if (s->port < 0) {
        snprintf(message, sizeof message, "connect() to %s failed", s->name);
        bl_socket_log(s, BL_LOG_CRIT, err, message);
    } else {
        bl_socket_log(s, BL_LOG_ERR, err, "connect() failed");
    }
    return bl_socket_connect_fail(s, L, bl_socket_errno_text(err));
}

/* ------------------------------------------------------------- waiting */

static int64_t limit_of(const bl_socket *s)
{
    return bl_socket_ms(s->connect_ms, s->conf->connect_timeout);
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, writing);
    char message[320];

    if (s->stage == BL_SOCKET_QUEUED) {
        snprintf(message, sizeof message,
                 "lua tcp socket queued connect timed out, when trying to connect to %s", s->name);
        bl_socket_log(s, BL_LOG_ERR, 0, message);
    } else {
        bl_socket_log(s, BL_LOG_ERR, 0, "lua tcp socket connect timed out");
    }
    int count = bl_socket_connect_fail(s, L, "timeout");
    bl_socket_left(s);
    return count;
}

static void cancelled(bl_wait *w)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, writing);

    if (s->stage == BL_SOCKET_QUEUED)
        bl_debug(bl_socket_log_of(s), "lua tcp socket abort queueing");
    give_up(s);
    bl_socket_left(s);
}

/* Waits, from now on for `ms`; the wait may be armed already, by a stage before. */
static void set_limit(bl_socket *s, int64_t ms)
{
    if (bl_wait_armed(&s->writing))
        bl_wait_deadline(&s->writing, ms);
}

/* A stage behind the first call has come to its end, or waits on. */
static void go_on(bl_socket *s, int count)
{
    if (count != BL_SOCKET_WAITS)
        bl_socket_done(s, &s->writing, count);
}

/* ------------------------------------------------------------- the connection */

static int connected(bl_socket *s, lua_State *L)
{
    s->stage = BL_SOCKET_OPEN;
    lua_pushinteger(L, 1);
    return 1;
}

static const bl_http_core_location *core_of(const bl_socket *s)
{
    if (s->request)
        return s->request->loc->core;
    const bl_http *http = bl_socket_vm(s)->generation->http;
    return http->settings.of[BL_LOCATION][bl_http_core_module.index];
}

void bl_socket_go_on_connecting(bl_socket *s)
{
    lua_State *L = bl_wait_stack(&s->writing);
    int err = bl_conn_connect_error(s->conn);

    if (err) {
        go_on(s, bl_socket_connect_fail_errno(s, L, err));
        return;
    }
    if (s->port >= 0 && core_of(s)->tcp_nodelay) {
        bl_debug(bl_socket_log_of(s), "lua socket tcp_nodelay");
        bl_conn_nodelay(s->conn);
    }
    go_on(s, connected(s, L));
}

/* Opens the connection to s->addr. */
int bl_socket_open_tcp(bl_socket *s, lua_State *L)
{
    bl_log log = *bl_socket_log_of(s);
    bl_conn *c = bl_conn_connect(&s->addr, s->bind, s->transparent, &log);

    if (c == NULL)
        return bl_socket_connect_fail_errno(s, L, errno);
    bl_socket_take_conn(s, c);
    s->reused = 0;
    s->stage = BL_SOCKET_CONNECTING;
    int64_t ms = limit_of(s);
    bl_debug(&log, "lua tcp socket connect timeout: %lld", (long long)ms);
    set_limit(s, ms);
    return BL_SOCKET_WAITS;
}

/* ------------------------------------------------------------- the address */

static int fail_resolve(bl_socket *s, lua_State *L, bl_resolve_status status)
{
    lua_pushlstring(L, s->name, s->host_len);
    if (core_of(s)->resolver == NULL)
        return bl_socket_connect_fail(
            s, L, lua_pushfstring(L, "no resolver defined to resolve \"%s\"", lua_tostring(L, -1)));
    return bl_socket_connect_fail(s, L,
                                  lua_pushfstring(L, "%s could not be resolved (%d: %s)",
                                                  lua_tostring(L, -1), (int)status,
                                                  bl_resolve_error(status)));
}

static int use_answer(bl_socket *s, lua_State *L)
{
    bl_resolve_status status = s->ask->status;

    bl_free(s->ask);
    s->ask = NULL;
    return status == BL_RESOLVE_OK ? s->source->open(s, L) : fail_resolve(s, L, status);
}

/* One of the addresses, whichever. They are good until we return. */
static void resolved(bl_resolve *ask)
{
    bl_socket *s = ask->data;

    if (ask->status == BL_RESOLVE_OK && ask->count == 0)
        ask->status = BL_RESOLVE_NOT_FOUND;
    if (ask->status == BL_RESOLVE_OK) {
        s->addr = ask->addrs[(unsigned long)random() % (unsigned long)ask->count];
        bl_addr_set_port(&s->addr.sa, s->port);
    }
    if (s->stage == BL_SOCKET_RESOLVING)
        go_on(s, use_answer(s, bl_wait_stack(&s->writing)));
}

/* Asks for the address of the name. */
static int resolve(bl_socket *s, lua_State *L)
{
    const bl_http_core_location *core = core_of(s);
    bl_resolve *ask = s->ask = bl_zalloc(sizeof *ask);

    ask->resolver = core->resolver ? core->resolver : bl_resolver_system();
    ask->name = bl_str_of(s->name, s->host_len);
    ask->port = s->port;
    ask->timeout_ms = (uint64_t)core->resolver_timeout;
    ask->done = resolved;
    ask->data = s;
    if (bl_resolve_start(ask))
        return use_answer(s, L);
    s->stage = BL_SOCKET_RESOLVING;
    set_limit(s, -1);
    return BL_SOCKET_WAITS;
}

static bool is_unix_path(bl_socket *s)
{
    const char *path = s->name + 5;
    size_t len = strlen(path);

    if (len >= sizeof s->addr.un.sun_path)
        return false;
    s->addr = (bl_addr){.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)};
    s->addr.un.sun_family = AF_UNIX;
    memcpy(s->addr.un.sun_path, path, len + 1);
    return true;
}

/* From the name to the connection. */
int bl_socket_establish(bl_socket *s, lua_State *L)
{
    bl_str host = bl_str_of(s->name, s->host_len);

    s->addr.len = 0;
    if (s->port < 0)
        return is_unix_path(s)
                   ? s->source->open(s, L)
                   : bl_socket_connect_fail(s, L, "failed to parse host name: too long");
    if (host.len == 0)
        return bl_socket_connect_fail(s, L, "failed to parse host name \"\": no host");
    if (!bl_addr_parse_ip(host, &s->addr))
        return resolve(s, L);
    bl_addr_set_port(&s->addr.sa, s->port);
    return s->source->open(s, L);
}

/* ------------------------------------------------------------- the pool */

/* An idle connection of the pool becomes ours. */
static bool reuse(bl_socket *s)
{
    bl_conn *c = bl_sockpool_take(s->pool, &s->reused);

    if (c == NULL)
        return false;
    bl_socket_take_conn(s, c);
    memcpy(&s->addr.sa, &c->peer, sizeof c->peer);
    s->addr.len = sizeof c->peer;
    return true;
}

static void count_in(bl_socket *s)
{
    bl_sockpool_enter(s->pool);
    s->counted = true;
}

void bl_socket_unqueue(bl_socket *s)
{
    lua_State *L = bl_wait_stack(&s->writing);

    s->stage = BL_SOCKET_CLOSED;
    count_in(s);
    go_on(s, reuse(s) ? connected(s, L) : bl_socket_establish(s, L));
}

static int queue(bl_socket *s)
{
    bl_debug(bl_socket_log_of(s),
             "lua tcp socket queue connect operation for connection pool \"%s\"", s->pool->name);
    s->stage = BL_SOCKET_QUEUED;
    bl_list_push(&s->pool->waiting, &s->queue);
    s->pool->waiting_count++;
    return BL_SOCKET_WAITS;
}

static int start(bl_socket *s, lua_State *L, const options *o)
{
    bl_str name = o->pool.p ? o->pool : bl_str_of(s->name, strlen(s->name));
    bl_sockpool *pool = s->pool = bl_sockpool_of(name);

    if (BL_UNLIKELY(o->size || o->backlog >= 0))
        bl_sockpool_fix(pool, o->size ? o->size : s->conf->pool_size, o->backlog);
    if (BL_LIKELY(reuse(s))) {
        count_in(s);
        return connected(s, L);
    }
    if (BL_UNLIKELY(bl_sockpool_full(pool))) {
        if (pool->waiting_count < pool->backlog)
            return queue(s);
        s->pool = NULL;
        return bl_socket_connect_fail(s, L, "too many waiting connect operations");
    }
    count_in(s);
    return bl_socket_establish(s, L);
}

/* ------------------------------------------------------------- arguments */

/* At most 2^31, so that sums are safe. */
static int64_t number_option(lua_State *L, int arg, const char *name, int64_t min)
{
    lua_getfield(L, arg, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return -1;
    }
    if (lua_type(L, -1) != LUA_TNUMBER)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "bad \"%s\" option type: %s", name, luaL_typename(L, -1)));
    lua_Number n = lua_tonumber(L, -1);
    if (!(n >= (lua_Number)min && n <= 2147483647))
        luaL_argerror(L, arg, lua_pushfstring(L, "bad \"%s\" option value: %f", name, n));
    lua_pop(L, 1);
    return (int64_t)n;
}

static void read_options(lua_State *L, int arg, options *o)
{
    *o = (options){.backlog = -1};
    if (BL_LIKELY(!lua_istable(L, arg)))
        return;
    int64_t size = number_option(L, arg, "pool_size", 1);
    o->size = size > 0 ? size : 0;
    o->backlog = number_option(L, arg, "backlog", 0);
    lua_getfield(L, arg, "pool"); /* stays on the stack, for its bytes */
    int type = lua_type(L, -1);
    if (type == LUA_TNUMBER || type == LUA_TSTRING)
        o->pool.p = (char *)lua_tolstring(L, -1, &o->pool.len);
    else if (type != LUA_TNIL)
        luaL_argerror(L, arg,
                      lua_pushfstring(L, "bad \"pool\" option type: %s", luaL_typename(L, -1)));
}

static char *name_room(bl_socket *s, size_t size)
{
    if (BL_UNLIKELY(size > s->name_size)) {
        s->name_size = BL_MAX(size, (size_t)64);
        s->name = bl_realloc(s->name, s->name_size);
    }
    return s->name;
}

/* "host:port". */
static void set_name(bl_socket *s, bl_str host, int port)
{
    char *at = bl_str_put(name_room(s, host.len + 8), host);

    s->host_len = host.len;
    s->port = port;
    *at++ = ':';
    *bl_u64_write(at, (uint64_t)port) = '\0';
}

static void set_unix_name(bl_socket *s, bl_str path)
{
    *bl_str_put(name_room(s, path.len + 1), path) = '\0';
    s->host_len = path.len;
    s->port = -1;
}

/* The port, or -1 after a failure was pushed. */
static int check_port(lua_State *L, int *count)
{
    if (BL_UNLIKELY(!lua_isnumber(L, 3))) {
        *count = bl_socket_fail(L, "missing the port number");
        return -1;
    }
    lua_Integer port = lua_tointeger(L, 3);
    if (BL_LIKELY(port >= 0 && port <= 65535))
        return (int)port;
    *count = bl_socket_fail(L, lua_pushfstring(L, "bad port number: %d", (int)port));
    return -1;
}

/* The socket is named; 0, or the number of results of a failure. */
int bl_socket_target(bl_socket *s, lua_State *L)
{
    bl_str host;
    int count = 0;

    host.p = (char *)luaL_checklstring(L, 2, &host.len);
    if (bl_str_istarts(host, BL_STR("unix:"))) {
        set_unix_name(s, host);
        return 0;
    }
    int port = check_port(L, &count);
    if (count == 0)
        set_name(s, host, port);
    return count;
}

int bl_socket_connect_busy(bl_socket *s, lua_State *L)
{
    if (s->stage == BL_SOCKET_QUEUED || s->stage == BL_SOCKET_RESOLVING)
        return bl_socket_fail(L, "socket busy connecting");
    return bl_socket_busy(s, L, true, true);
}

int bl_socket_connect_wait(bl_socket *s, lua_State *L)
{
    s->writing.cancel = cancelled;
    s->writing.expire = timed_out;
    /* The resolver has a limit of its own. */
    return bl_wait_begin(&s->writing, L, s->stage == BL_SOCKET_RESOLVING ? -1 : limit_of(s));
}

BL_HOT int bl_socket_l_connect(lua_State *L)
{
    int count = lua_gettop(L);
    options o;

    if (BL_UNLIKELY(count < 2 || count > 4))
        return luaL_error(L,
                          "ngx.socket connect: expecting 2, 3, or 4 arguments (including the "
                          "object), but seen %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    bl_task_may_wait(L);
    int failure = bl_socket_connect_busy(s, L);
    if (BL_UNLIKELY(failure))
        return failure;
    read_options(L, lua_istable(L, 4) ? 4 : 3, &o);
    if (BL_UNLIKELY(s->stage == BL_SOCKET_OPEN)) {
        bl_debug(bl_socket_log_of(s), "lua tcp socket reconnect without shutting down");
        bl_socket_close(s);
    }
    if (s->conf)
        bl_debug(bl_socket_log_of(s), "lua reuse socket upstream ctx");
    failure = bl_socket_target(s, L);
    if (BL_UNLIKELY(failure))
        return failure;
    bl_socket_adopt(s);
    s->write_shut = s->read_shut = s->eof = false;
    count = start(s, L, &o);
    if (count != BL_SOCKET_WAITS)
        return count;
    return bl_socket_connect_wait(s, L);
}

/* ------------------------------------------------------------- bind */

int bl_socket_l_bind(lua_State *L)
{
    int count = lua_gettop(L);
    bl_addr addr = {0};
    bl_str ip;

    if (count != 2 && count != 3)
        return luaL_error(L, "expecting 2 or 3 arguments, but got %d", count);
    bl_socket *s = bl_socket_check(L);
    ip.p = (char *)luaL_checklstring(L, 2, &ip.len);
    if (!bl_addr_parse_ip(ip, &addr))
        return bl_socket_fail(L, "bad address");
    if (count == 3)
        bl_addr_set_port(&addr.sa, (int)luaL_checkinteger(L, 3));
    if (s->bind == NULL)
        s->bind = bl_alloc(sizeof *s->bind);
    *s->bind = addr;
    bl_debug(bl_socket_log_of(s), "lua tcp socket bind ip: %s", ip.p);
    lua_pushinteger(L, 1);
    return 1;
}

/* ------------------------------------------------------------- setkeepalive */

/* What a connection holds that nobody has read: NULL when none. */
static const char *leftover(bl_socket *s)
{
    bl_conn *c = s->conn;
    char byte;

    if (s->pos != s->last)
        return "unread data in buffer";
    if (!c->io.readable)
        return NULL;
    if (c->tls) {
        ssize_t n = bl_conn_read(c, &byte, 1);
        return n == BL_IO_AGAIN ? NULL : n > 0 ? "connection in dubious state" : "closed";
    }
    ssize_t n = recv(c->io.fd, &byte, 1, MSG_PEEK);
    if (n < 0 && errno == EAGAIN) {
        c->io.readable = false;
        return NULL;
    }
    return n > 0 ? "connection in dubious state" : "closed";
}

BL_HOT int bl_socket_l_setkeepalive(lua_State *L)
{
    int count = lua_gettop(L);

    if (BL_UNLIKELY(count < 1 || count > 3))
        return luaL_error(L,
                          "ngx.socket setkeepalive: expecting 1 to 3 arguments (including the "
                          "object), but got %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    lua_Number ms = lua_isnoneornil(L, 2) ? -1 : luaL_checknumber(L, 2);
    lua_Integer size = lua_isnoneornil(L, 3) ? -1 : luaL_checkinteger(L, 3);
    if (s->stage < BL_SOCKET_CONNECTING || s->read_shut || s->write_shut)
        return bl_socket_fail(L, "closed");
    int failure = bl_socket_busy(s, L, true, true);
    if (failure)
        return failure;
    if (size != -1 && size < 1)
        luaL_argerror(L, 3, lua_pushfstring(L, "bad \"pool_size\" option value: %d", (int)size));
    const char *why = leftover(s);
    if (why)
        return bl_socket_fail(L, why);
    bl_sockpool *pool = s->pool;
    if (BL_UNLIKELY(bl_quitting)) {
        bl_debug(bl_socket_log_of(s), "lua tcp socket set keepalive while process exiting, closing "
                                      "connection");
    } else {
        if (BL_UNLIKELY(pool->size == 0))
            bl_sockpool_fix(pool, size > 0 ? size : s->conf->pool_size, -1);
        bl_conn_set_weak(s->conn, false);
        bl_sockpool_put(pool, s->conn, s->reused,
                        ms < 0 ? s->conf->keepalive_timeout : (int64_t)ms);
        s->conn = NULL;
    }
    bl_socket_close(s);
    lua_pushinteger(L, 1);
    return 1;
}
