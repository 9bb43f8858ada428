#include "lua/api/socket.h"
#include "core/mem.h"

#include <errno.h>

enum {
    DEPTH_MAX = 100,           /* of tables in tables */
    SCRATCH_KEPT = 256 * 1024, /* bytes; more is given back at once */
};

/* Where tables become one string: nothing waits while it is in use. */
static bl_socket_bytes scratch;

/* ------------------------------------------------------------- what is sent */

static void add(lua_State *L, int index)
{
    size_t len;
    const char *p;

    if (lua_type(L, index) == LUA_TNUMBER) {
        lua_pushvalue(L, index);
        p = lua_tolstring(L, -1, &len);
        bl_socket_bytes_add(&scratch, p, len);
        lua_pop(L, 1);
        return;
    }
    p = lua_tolstring(L, index, &len);
    bl_socket_bytes_add(&scratch, p, len);
}

static void add_table(lua_State *L, int index, int depth)
{
    size_t count = lua_objlen(L, index);

    if (count == 0) {
        lua_pushnil(L);
        if (lua_next(L, index))
            luaL_argerror(L, 2, "non-array table found");
        return;
    }
    luaL_checkstack(L, 4, "too many nested tables");
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        int type = lua_type(L, -1);
        if (type == LUA_TSTRING || type == LUA_TNUMBER)
            add(L, lua_gettop(L));
        else if (type == LUA_TTABLE && depth < DEPTH_MAX)
            add_table(L, lua_gettop(L), depth + 1);
        else
            luaL_argerror(L, 2, lua_pushfstring(L, "bad data type %s found", luaL_typename(L, -1)));
        lua_pop(L, 1);
    }
}

/* The bytes of argument 2, in Lua's memory, the scratch or the program's. */
static bl_str bytes_of(lua_State *L)
{
    bl_str bytes;

    switch (lua_type(L, 2)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
        bytes.p = (char *)lua_tolstring(L, 2, &bytes.len);
        return bytes;
    case LUA_TNIL:
        return BL_STR("nil");
    case LUA_TBOOLEAN:
        return lua_toboolean(L, 2) ? BL_STR("true") : BL_STR("false");
    case LUA_TTABLE:
        scratch.len = 0;
        add_table(L, 2, 0);
        return bl_str_of(scratch.p, scratch.len);
    default:
        luaL_argerror(L, 2,
                      lua_pushfstring(L,
                                      "string, number, boolean, nil, or array table expected, "
                                      "got %s",
                                      luaL_typename(L, 2)));
        return BL_STR_NONE;
    }
}

bl_str bl_socket_bytes_of(lua_State *L)
{
    return bytes_of(L);
}

void bl_socket_scratch_done(void)
{
    if (scratch.size > SCRATCH_KEPT)
        bl_socket_bytes_free(&scratch);
}

/* ------------------------------------------------------------- sending */

static bl_status push_out(bl_socket *s)
{
    return bl_conn_send(s->conn, &s->out_chain, 0);
}

/* The direction is over. */
static int failed(bl_socket *s, lua_State *L)
{
    int err = s->conn->failure;

    bl_free(s->out_copy);
    s->out_copy = NULL;
    s->write_shut = true;
    return err ? bl_socket_fail_errno(L, err) : bl_socket_fail(L, "closed");
}

static int finished(bl_socket *s, lua_State *L)
{
    bl_free(s->out_copy);
    s->out_copy = NULL;
    lua_pushinteger(L, (lua_Integer)s->out_len);
    return 1;
}

static int64_t limit_of(const bl_socket *s)
{
    return bl_socket_ms(s->send_ms, s->conf->send_timeout);
}

void bl_socket_go_on_writing(bl_socket *s)
{
    lua_State *L = bl_wait_stack(&s->writing);
    char *before = s->out.pos;
    bl_status status = push_out(s);

    if (status == BL_AGAIN) {
        if (s->out.pos != before)
            bl_wait_deadline(&s->writing, limit_of(s));
        return;
    }
    bl_socket_done(s, &s->writing, status == BL_OK ? finished(s, L) : failed(s, L));
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, writing);

    bl_socket_log(s, BL_LOG_ERR, 0, "lua tcp socket write timed out");
    bl_free(s->out_copy);
    s->out_copy = NULL;
    s->write_shut = true;
    s->conn->timed_out = true;
    int count = bl_socket_fail(L, "timeout");
    bl_socket_left(s);
    return count;
}

/* Part of it may be on its way: nothing can be sent behind that. */
static void cancelled(bl_wait *w)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, writing);

    bl_free(s->out_copy);
    s->out_copy = NULL;
    s->write_shut = true;
    bl_socket_left(s);
}

/* What is left is copied: the string may be collected while we wait. */
static int wait(bl_socket *s, lua_State *L)
{
    size_t left = (size_t)(s->out.last - s->out.pos);

    s->out_copy = bl_alloc(left + 1);
    memcpy(s->out_copy, s->out.pos, left);
    s->out.pos = s->out.start = s->out_copy;
    s->out.last = s->out.end = s->out_copy + left;
    bl_socket_scratch_done();
    int64_t ms = limit_of(s);
    bl_debug(bl_socket_log_of(s), "lua tcp socket send timeout: %lld", (long long)ms);
    s->writing.cancel = cancelled;
    s->writing.expire = timed_out;
    return bl_wait_begin(&s->writing, L, ms);
}

BL_HOT int bl_socket_l_send(lua_State *L)
{
    if (BL_UNLIKELY(lua_gettop(L) != 2))
        return luaL_error(L, "expecting 2 arguments (including the object), but got %d",
                          lua_gettop(L));
    bl_socket *s = bl_socket_check(L);
    if (s->stage == BL_SOCKET_CONNECTING || s->stage == BL_SOCKET_HANDSHAKING)
        return bl_socket_fail(L, "socket busy connecting");
    if (BL_UNLIKELY(s->stage != BL_SOCKET_OPEN || s->write_shut))
        return bl_socket_closed(s, L, "send data");
    if (BL_UNLIKELY(bl_wait_armed(&s->writing)))
        return bl_socket_fail(L, "socket busy writing");
    bl_str bytes = bytes_of(L);
    s->out_len = bytes.len;
    if (bytes.len == 0) {
        lua_pushinteger(L, 0);
        return 1;
    }
    s->out = (bl_buf){.fd = -1, .start = bytes.p, .pos = bytes.p};
    s->out.last = s->out.end = bytes.p + bytes.len;
    bl_chain_init(&s->out_chain);
    bl_chain_push(&s->out_chain, &s->out);
    bl_status status = push_out(s);
    if (BL_UNLIKELY(status == BL_AGAIN)) {
        s->write_shut = !lua_isyieldable(L);
        bl_task_may_wait(L);
        return wait(s, L);
    }
    bl_socket_scratch_done();
    return status == BL_OK ? finished(s, L) : failed(s, L);
}

void bl_socket_on_write(bl_io *io)
{
    bl_socket *s = bl_conn_of(io)->data;

    if (s->stage == BL_SOCKET_CONNECTING)
        bl_socket_go_on_connecting(s);
    else if (s->stage == BL_SOCKET_OPEN && bl_wait_armed(&s->writing))
        bl_socket_go_on_writing(s);
}
