#include "lua/api/socket.h"
#include "core/mem.h"
#include "lua/api/reqsock.h"
#include "lua/api/udp.h"
#include "lua/ctx.h"
#include "lua/vm.h"

#include <errno.h>
#include <stdio.h>

enum {
    HANDLE_MAGIC = 0x736f6368,
    SPARE_MAX = 64,
    TIMEOUT_MAX = 0x7fffffff, /* ms */
};

/* What Lua holds. */
typedef struct handle {
    uint32_t magic;
    bl_socket *socket;
} handle;

static const char handle_type[] = "bulan.socket.handle";
static const char tcp_type[] = "bulan.socket.tcp";
static int handle_ref, tcp_ref; /* metatables in the registry: the same numbers in every VM */

static bl_link spare; /* bl_socket.link */
static int spare_count;
static const bl_log_targets silence = {0};

/* ------------------------------------------------------------- birth and death */

static bl_socket *new_socket(const bl_socket_source *source)
{
    bl_socket *s;
    char *name = NULL;
    size_t name_size = 0;

    if (BL_LIKELY(spare_count > 0)) {
        s = BL_LIST_FIRST(&spare, bl_socket, link);
        bl_list_remove(&s->link);
        spare_count--;
        name = s->name;
        name_size = s->name_size;
    } else {
        s = bl_alloc(sizeof *s);
    }
    memset(s, 0, sizeof *s);
    s->magic = BL_SOCKET_MAGIC;
    s->source = source;
    s->connect_ms = s->send_ms = s->read_ms = -1;
    s->held = true;
    s->name = name;
    s->name_size = name_size;
    return s;
}

static void free_socket(bl_socket *s)
{
    bl_socket_close(s);
    bl_socket_tls_free(s);
    bl_free(s->bind);
    s->magic = 0;
    if (spare.next == NULL)
        bl_list_init(&spare);
    if (spare_count >= SPARE_MAX) {
        bl_free(s->name);
        bl_free(s);
        return;
    }
    bl_list_unshift(&spare, &s->link);
    spare_count++;
}

bl_socket *bl_socket_push(lua_State *L, const bl_socket_source *source, const char *metatable)
{
    lua_createtable(L, 1, 0);
    handle *h = lua_newuserdata(L, sizeof *h);
    h->magic = HANDLE_MAGIC;
    h->socket = new_socket(source);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handle_ref);
    lua_setmetatable(L, -2);
    lua_rawseti(L, -2, 1);
    if (metatable == tcp_type)
        lua_rawgeti(L, LUA_REGISTRYINDEX, tcp_ref);
    else
        luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
    return h->socket;
}

static bool is_waited_for(const bl_socket *s)
{
    return bl_wait_armed(&s->reading) || bl_wait_armed(&s->writing);
}

static int l_gc(lua_State *L)
{
    handle *h = lua_touserdata(L, 1);
    bl_socket *s = h->socket;

    h->magic = 0;
    s->held = false;
    if (bl_socket_is_open(s))
        bl_debug(&bl_log_process, "lua finalize socket");
    if (!is_waited_for(s))
        free_socket(s);
    return 0;
}

void bl_socket_left(bl_socket *s)
{
    if (BL_UNLIKELY(!s->held) && !is_waited_for(s))
        free_socket(s);
}

void bl_socket_done(bl_socket *s, bl_wait *w, int results)
{
    bl_wait *other = w == &s->reading ? &s->writing : &s->reading;

    if (BL_UNLIKELY(!s->held) && !bl_wait_armed(other)) {
        bl_wait mine = *w;
        bl_task *task = mine.task;
        bl_timer_stop(&w->timer);
        w->task = NULL;
        task->wait = NULL;
        free_socket(s);
        bl_task_wake(task, results);
        return;
    }
    bl_wait_end(w, results);
}

/* ------------------------------------------------------------- the owner */

static bl_link *list_of_owner(const bl_socket *s)
{
    bl_request *r = bl_lua_now.request;
    bl_link *list;

    if (s->vm) {
        list = &s->vm->sockets;
    } else if (r) {
        bl_lua_ctx *ctx = bl_lua_ctx_of(r);
        bl_lua_ctx_cleanup(ctx);
        list = &ctx->sockets;
    } else {
        list = &bl_lua_now.task->run->sockets;
    }
    if (list->next == NULL)
        bl_list_init(list);
    return list;
}

void bl_socket_adopt(bl_socket *s)
{
    BL_ASSERT(!bl_list_linked(&s->link));
    s->request = s->vm ? NULL : bl_lua_now.request;
    s->run = s->vm ? NULL : bl_lua_now.task->run;
    s->conf = bl_socket_conf_here();
    bl_list_push(list_of_owner(s), &s->link);
}

void bl_socket_close_list(bl_link *sockets)
{
    while (!bl_list_empty(sockets)) {
        bl_socket *s = BL_LIST_FIRST(sockets, bl_socket, link);
        if (s->conn)
            s->conn->log.describe = NULL;
        bl_socket_close(s);
    }
}

bl_socket *bl_socket_of_handle(void *data)
{
    const handle *h = data;

    return BL_LIKELY(h != NULL && h->magic == HANDLE_MAGIC) ? h->socket : NULL;
}

bl_socket *bl_socket_any(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_rawgeti(L, 1, 1);
    bl_socket *s = bl_socket_of_handle(lua_touserdata(L, -1));
    if (BL_UNLIKELY(s == NULL))
        luaL_argerror(L, 1, "socket expected");
    lua_pop(L, 1);
    return s;
}

bl_socket *bl_socket_check(lua_State *L)
{
    bl_socket *s = bl_socket_any(L);

    if (bl_list_linked(&s->link) && s->vm == NULL &&
        BL_UNLIKELY(s->request ? s->request != bl_lua_now.request : s->run != bl_lua_now.task->run))
        luaL_error(L, "bad request");
    return s;
}

/* ------------------------------------------------------------- failures */

int bl_socket_fail(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

const char *bl_socket_errno_text(int err)
{
    static char text[128];
    const char *from = strerror(err);
    size_t i = 0;

    for (; from[i] && i < sizeof text - 1; i++)
        text[i] = bl_lower(from[i]);
    text[i] = '\0';
    return text;
}

int bl_socket_fail_errno(lua_State *L, int err)
{
    return bl_socket_fail(L, bl_socket_errno_text(err));
}

int bl_socket_busy(bl_socket *s, lua_State *L, bool reading, bool writing)
{
    if (s->stage == BL_SOCKET_CONNECTING || s->stage == BL_SOCKET_HANDSHAKING)
        return bl_socket_fail(L, "socket busy connecting");
    if (reading && bl_wait_armed(&s->reading))
        return bl_socket_fail(L, "socket busy reading");
    if (writing && bl_wait_armed(&s->writing))
        return bl_socket_fail(L, "socket busy writing");
    return 0;
}

int bl_socket_closed(bl_socket *s, lua_State *L, const char *attempt)
{
    const bl_socket_conf *conf = bl_socket_conf_here();

    if (conf->log_errors)
        bl_log_write(BL_LOG_ERR, bl_socket_log_of(s), 0, "attempt to %s on a closed socket: %p",
                     attempt, (void *)s);
    return bl_socket_fail(L, "closed");
}

/* ------------------------------------------------------------- logging */

bl_lua_vm *bl_socket_vm(const bl_socket *s)
{
    return s->vm ? s->vm : s->run->vm;
}

bl_log *bl_socket_log_of(const bl_socket *s)
{
    if (bl_lua_now.task)
        return bl_run_log(bl_lua_now.task->run);
    if (s->request)
        return s->request->log;
    return s->run ? bl_run_log(s->run) : s->vm->log;
}

static char *describe(void *data, char *at, char *end)
{
    const bl_socket *s = data;
    const bl_log *log = bl_socket_log_of(s);
    char ip[BL_ADDR_TEXT];

    if (s->name && s->source->open) {
        at = bl_log_put(at, end, ", upstream: %s", s->name);
        if (s->addr.len && s->port >= 0) {
            size_t n = bl_addr_text(&s->addr.sa, s->addr.len, ip);
            at = bl_log_put(at, end, "(%.*s)", (int)n, ip);
        }
    }
    return log->describe ? log->describe(log->data, at, end) : at;
}

void bl_socket_log(bl_socket *s, bl_log_level level, int err, const char *message)
{
    if (s->conf && !s->conf->log_errors)
        return;
    bl_log log = *bl_socket_log_of(s);
    log.describe = describe;
    log.data = s;
    bl_log_write(level, &log, err, "%s", message);
}

void bl_socket_take_conn(bl_socket *s, bl_conn *c)
{
    const bl_log *log = bl_socket_log_of(s);

    s->conn = c;
    bl_conn_set_weak(c, s->vm != NULL);
    c->data = s;
    c->io.on_read = bl_socket_on_read;
    c->io.on_write = bl_socket_on_write;
    c->log.targets = s->conf->log_errors ? log->targets : &silence;
    c->log.connection = log->connection;
    c->log.describe = describe;
    c->log.data = s;
}

/* ------------------------------------------------------------- the end */

/* Of a connection we opened. */
static void close_tcp(bl_socket *s)
{
    if (s->conn)
        bl_conn_close(s->conn);
}

bl_status bl_socket_fill_conn(bl_socket *s)
{
    bl_conn *c = s->conn;

    if (!c->io.readable)
        return BL_AGAIN;
    size_t size = (size_t)s->conf->buffer_size;
    if (s->buf == NULL)
        s->buf = bl_buf_cached(size);
    ssize_t n = bl_conn_read(c, s->buf->start, size);
    if (n > 0) {
        s->floor = s->pos = s->buf->start;
        s->last = s->pos + n;
        return BL_OK;
    }
    bl_buf_done(s->buf);
    s->buf = NULL;
    if (n == BL_IO_AGAIN)
        return BL_AGAIN;
    s->eof = n == BL_IO_EOF;
    s->error = s->eof ? "closed" : bl_socket_errno_text(c->failure ? c->failure : ECONNRESET);
    return BL_ERROR;
}

const bl_socket_source bl_socket_tcp = {"tcp", bl_socket_fill_conn, close_tcp, bl_socket_open_tcp};

void bl_socket_close(bl_socket *s)
{
    bl_sockpool *pool = s->counted ? s->pool : NULL;

    BL_CHECK(s, BL_SOCKET_MAGIC);
    bl_socket_read_reset(s);
    s->source->close(s);
    s->conn = NULL;
    bl_free(s->out_copy);
    s->out_copy = NULL;
    s->stage = BL_SOCKET_CLOSED;
    s->counted = false;
    s->pool = NULL;
    s->request = NULL;
    s->run = NULL;
    if (bl_list_linked(&s->link))
        bl_list_remove(&s->link);
    if (pool)
        bl_sockpool_leave(pool);
}

int bl_socket_l_close(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    bl_socket *s = bl_socket_check(L);

    if (!bl_socket_is_open(s) && s->stage != BL_SOCKET_CONNECTING)
        return bl_socket_fail(L, "closed");
    int busy = bl_socket_busy(s, L, true, true);
    if (busy)
        return busy;
    bool gone = s->read_shut && s->write_shut;
    bl_socket_close(s);
    if (gone)
        return bl_socket_fail(L, "closed");
    lua_pushinteger(L, 1);
    return 1;
}

/* ------------------------------------------------------------- timeouts */

/* -1: as configured. */
static int64_t check_ms(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return -1;
    lua_Number ms = luaL_checknumber(L, arg);
    if (!(ms >= 0 && ms <= TIMEOUT_MAX))
        luaL_error(L, "bad timeout value");
    return ms > 0 ? (int64_t)ms : -1;
}

int bl_socket_l_settimeout(lua_State *L)
{
    bl_socket *s = bl_socket_any(L);

    s->connect_ms = s->send_ms = s->read_ms = check_ms(L, 2);
    return 0;
}

int bl_socket_l_settimeouts(lua_State *L)
{
    bl_socket *s = bl_socket_any(L);

    if (lua_gettop(L) != 4)
        return luaL_error(
            L,
            "ngx.socket settimeouts: expecting 4 arguments (including the object) but "
            "seen %d",
            lua_gettop(L));
    s->connect_ms = check_ms(L, 2);
    s->send_ms = check_ms(L, 3);
    s->read_ms = check_ms(L, 4);
    return 0;
}

/* ------------------------------------------------------------- the family */

static int l_getreusedtimes(lua_State *L)
{
    bl_socket *s = bl_socket_check(L);

    if (s->conn == NULL)
        return bl_socket_fail(L, "closed");
    lua_pushinteger(L, (lua_Integer)s->reused);
    return 1;
}

static void share(bl_socket *s)
{
    s->vm = bl_lua_now.vm;
    s->reading.timer.weak = s->writing.timer.weak = true;
}

/* ngx.socket.tcp(), ngx.socket.tcp{shared = true} */
static int l_tcp(lua_State *L)
{
    bool options = lua_gettop(L) == 1 && lua_istable(L, 1);

    if (lua_gettop(L) != options)
        return luaL_error(L, "expecting zero arguments, but got %d", lua_gettop(L));
    bl_lua_gate(L, BL_LUA_WAITING);
    bl_socket *s = bl_socket_push(L, &bl_socket_tcp, tcp_type);
    if (options) {
        lua_getfield(L, 1, "shared");
        if (lua_toboolean(L, -1))
            share(s);
        lua_pop(L, 1);
    }
    return 1;
}

static void keep_metatable(lua_State *L, int *ref)
{
    int number = luaL_ref(L, LUA_REGISTRYINDEX);

    BL_ASSERT(*ref == 0 || *ref == number);
    *ref = number;
}

static const luaL_Reg methods[] = {
    {"connect", bl_socket_l_connect},
    {"bind", bl_socket_l_bind},
    {"send", bl_socket_l_send},
    {"receive", bl_socket_l_receive},
    {"receiveany", bl_socket_l_receiveany},
    {"receiveuntil", bl_socket_l_receiveuntil},
    {"close", bl_socket_l_close},
    {"settimeout", bl_socket_l_settimeout},
    {"settimeouts", bl_socket_l_settimeouts},
    {"setkeepalive", bl_socket_l_setkeepalive},
    {"getreusedtimes", l_getreusedtimes},
    {"setoption", bl_socket_l_setoption},
    {"getoption", bl_socket_l_getoption},
    {"getfd", bl_socket_l_getfd},
    {NULL, NULL},
};

void bl_socket_metatable(lua_State *L, const char *name, const luaL_Reg *functions)
{
    luaL_newmetatable(L, name);
    luaL_register(L, NULL, functions);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
}

static void make_metatables(lua_State *L)
{
    luaL_newmetatable(L, handle_type);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    keep_metatable(L, &handle_ref);
    bl_socket_metatable(L, tcp_type, methods);
    bl_socket_tls_methods(L);
    lua_pushvalue(L, -1);
    bl_lua_vm_offer(L, "bulan.socket");
    keep_metatable(L, &tcp_ref);
}

/* ngx.socket; its `connect` and the wrapping of TLS sessions are resty.core.socket's. */
void bl_lua_open_socket(lua_State *L)
{
    make_metatables(L);
    lua_createtable(L, 0, 5);
    lua_pushcfunction(L, l_tcp);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "stream");
    lua_setfield(L, -2, "tcp");
    lua_setfield(L, -2, "socket");
    bl_lua_open_udp(L);
    bl_lua_open_reqsock(L);
}
