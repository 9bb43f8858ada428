#include "lua/api/socket.h"
#include "core/mem.h"

#include <errno.h>

enum {
    FIRST_SIZE = 4096,          /* bytes a growing string begins with */
    STEP_MAX = 1024 * 1024 * 4, /* it doubles up to here, then grows by this */
    MUCH = 65536,               /* whoever asks receiveany() for this is given more than a buffer */
};

/* ------------------------------------------------------------- bytes that grow */

void bl_socket_bytes_reserve(bl_socket_bytes *b, size_t more)
{
    size_t need = b->len + more;

    if (need <= b->size)
        return;
    size_t size = BL_MAX(b->size, (size_t)FIRST_SIZE);
    while (size < need)
        size += BL_MIN(size, (size_t)STEP_MAX);
    b->p = bl_realloc(b->p, size);
    b->size = size;
}

void bl_socket_bytes_add(bl_socket_bytes *b, const char *p, size_t len)
{
    if (len == 0)
        return;
    bl_socket_bytes_reserve(b, len);
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

void bl_socket_bytes_free(bl_socket_bytes *b)
{
    bl_free(b->p);
    *b = (bl_socket_bytes){0};
}

/* ------------------------------------------------------------- consuming */

static size_t have(const bl_socket *s)
{
    return (size_t)(s->last - s->pos);
}

/* An empty buffer goes back. */
static void consume(bl_socket *s, size_t n)
{
    s->pos += n;
    if (s->pos == s->last && s->buf) {
        bl_buf_done(s->buf);
        s->buf = NULL;
        s->floor = s->pos = s->last = NULL;
    }
}

static void keep(bl_socket *s, size_t n)
{
    bl_socket_bytes_add(&s->partial, s->pos, n);
    consume(s, n);
}

/* All CRs go (the documentation's words on "*l"). */
static size_t without_cr(char *p, size_t len)
{
    char *at = memchr(p, '\r', len);

    if (at == NULL || at == p + len - 1)
        return at ? len - 1 : len;
    char *to = at;
    for (char *end = p + len; at < end; at++) {
        if (*at != '\r')
            *to++ = *at;
    }
    return (size_t)(to - p);
}

static void push_line(lua_State *L, char *p, size_t len)
{
    lua_pushlstring(L, len ? p : "", len ? without_cr(p, len) : 0);
}

/* What the waiting call has so far, on the stack; it is forgotten. */
static void push_partial(bl_socket *s, lua_State *L)
{
    if (s->want == BL_WANT_LINE)
        push_line(L, s->partial.p, s->partial.len);
    else
        lua_pushlstring(L, s->partial.p ? s->partial.p : "", s->partial.len);
    bl_socket_bytes_free(&s->partial);
}

static bool take_line(bl_socket *s, lua_State *L)
{
    size_t n = have(s);
    char *lf = n ? memchr(s->pos, '\n', n) : NULL;

    if (lf == NULL) {
        keep(s, n);
        return false;
    }
    n = (size_t)(lf - s->pos);
    if (BL_LIKELY(s->partial.len == 0)) {
        push_line(L, s->pos, n);
        consume(s, n + 1);
        return true;
    }
    bl_socket_bytes_add(&s->partial, s->pos, n);
    consume(s, n + 1);
    push_partial(s, L);
    return true;
}

static bool take_size(bl_socket *s, lua_State *L)
{
    size_t need = s->want_size - s->partial.len;

    if (have(s) < need) {
        keep(s, have(s));
        return false;
    }
    if (BL_LIKELY(s->partial.len == 0)) {
        lua_pushlstring(L, s->pos ? s->pos : "", need);
        consume(s, need);
        return true;
    }
    keep(s, need);
    push_partial(s, L);
    return true;
}

static bool take_any(bl_socket *s, lua_State *L)
{
    size_t n = BL_MIN(have(s), s->want_size);

    if (n == 0 && s->partial.len) {
        push_partial(s, L);
        return true;
    }
    if (n == 0)
        return false;
    lua_pushlstring(L, s->pos, n);
    consume(s, n);
    return true;
}

/* ------------------------------------------------------------- receiveuntil */

/* Bytes that were gone over and turned out to be nobody's yet: in front of the rest again. */
static void give_back(bl_socket *s, size_t n)
{
    size_t rest = have(s);

    s->partial.len -= n;
    if ((size_t)(s->pos - s->floor) >= n) {
        s->pos -= n;
        return;
    }
    bl_buf *b = bl_buf_cached(n + rest);
    memcpy(b->start, s->partial.p + s->partial.len, n);
    if (rest)
        memcpy(b->start + n, s->pos, rest);
    if (s->buf)
        bl_buf_done(s->buf);
    s->buf = b;
    s->floor = s->pos = b->start;
    s->last = s->pos + n + rest;
}

static int take_until(bl_socket *s, lua_State *L)
{
    bl_socket_until *u = s->until;
    const bl_socket_match *m = u->match;
    size_t n = have(s), room = s->want_size ? s->want_size : SIZE_MAX;
    size_t over = bl_socket_match_run(m, &s->until_state, s->pos, n, s->partial.len, room);

    if (over) { /* there may be no buffer yet */
        bl_socket_bytes_add(&s->partial, s->pos, over);
        s->pos += over;
    }
    if (s->until_state == m->len) {
        u->ended = s->want_size > 0;
        if (!u->inclusive)
            s->partial.len -= m->len;
    } else if (s->partial.len - s->until_state >= room) {
        give_back(s, s->until_state);
    } else {
        consume(s, 0);
        return false;
    }
    consume(s, 0);
    push_partial(s, L);
    return true;
}

void bl_socket_until_drop(bl_socket_until *u)
{
    if (u && --u->refs == 0) {
        bl_free(u->match);
        bl_free(u);
    }
}

/* ------------------------------------------------------------- the operation */

static bool take(bl_socket *s, lua_State *L)
{
    switch (s->want) {
    case BL_WANT_LINE:
        return take_line(s, L);
    case BL_WANT_SIZE:
        return take_size(s, L);
    case BL_WANT_ANY:
        return take_any(s, L);
    case BL_WANT_UNTIL:
        return take_until(s, L);
    default:
        keep(s, have(s));
        return false;
    }
}

/* How many bytes the waiting call could take now; 0 when only their content tells. */
static size_t wanted(const bl_socket *s)
{
    switch (s->want) {
    case BL_WANT_SIZE:
        return s->want_size - s->partial.len;
    case BL_WANT_ALL:
        return SIZE_MAX;
    case BL_WANT_ANY:
        return s->want_size >= MUCH ? MUCH : 0;
    default:
        return 0;
    }
}

/* Long strings are read to where they are made, without a buffer between. */
static bl_status fill_long(bl_socket *s)
{
    size_t size = (size_t)s->conf->buffer_size, missing = wanted(s);
    bl_socket_bytes *b = &s->partial;

    if (s->source != &bl_socket_tcp || missing <= size || !s->conn->io.readable)
        return s->source->fill(s);
    size_t room = s->want == BL_WANT_ANY ? missing : BL_MAX(b->len, size);
    bl_socket_bytes_reserve(b, BL_MIN(missing, room));
    ssize_t n = bl_conn_read(s->conn, b->p + b->len, BL_MIN(missing, b->size - b->len));
    if (n > 0) {
        b->len += (size_t)n;
        return BL_OK;
    }
    if (n == BL_IO_AGAIN)
        return BL_AGAIN;
    s->eof = n == BL_IO_EOF;
    s->error =
        s->eof ? "closed" : bl_socket_errno_text(s->conn->failure ? s->conn->failure : ECONNRESET);
    return BL_ERROR;
}

static void forget_operation(bl_socket *s)
{
    bl_socket_until_drop(s->until);
    s->until = NULL;
}

static int at_end(bl_socket *s, lua_State *L)
{
    s->read_shut = true;
    if (s->want == BL_WANT_ALL && s->eof) {
        push_partial(s, L);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, s->error);
    push_partial(s, L);
    return 3;
}

/* >= 0: results that were pushed on L; -1: more must come. */
static int step(bl_socket *s, lua_State *L)
{
    int count = -1;

    for (;;) {
        if (take(s, L)) {
            count = 1;
            break;
        }
        bl_status status = fill_long(s);
        if (status == BL_AGAIN)
            return -1;
        if (status == BL_ERROR) {
            count = at_end(s, L);
            break;
        }
    }
    forget_operation(s);
    return count;
}

static int64_t limit_of(const bl_socket *s)
{
    return bl_socket_ms(s->read_ms, s->conf->read_timeout);
}

void bl_socket_readable(bl_socket *s)
{
    if (!bl_wait_armed(&s->reading))
        return;
    size_t before = s->partial.len;
    int count = step(s, bl_wait_stack(&s->reading));
    if (count >= 0)
        bl_socket_done(s, &s->reading, count);
    else if (s->partial.len != before)
        bl_wait_deadline(&s->reading, limit_of(s));
}

void bl_socket_on_read(bl_io *io)
{
    bl_socket *s = bl_conn_of(io)->data;

    if (s->stage == BL_SOCKET_OPEN)
        bl_socket_readable(s);
    else if (s->stage == BL_SOCKET_CONNECTING && io->hup && bl_wait_armed(&s->writing))
        bl_socket_go_on_connecting(s);
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, reading);

    bl_socket_log(s, BL_LOG_ERR, 0, "lua tcp socket read timed out");
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    push_partial(s, L);
    forget_operation(s);
    bl_socket_left(s);
    return 3;
}

static void cancelled(bl_wait *w)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, reading);

    if (s->vm && s->partial.len) /* what comes next is the rest of somebody's answer */
        s->read_shut = true;
    bl_socket_bytes_free(&s->partial);
    forget_operation(s);
    bl_socket_left(s);
}

void bl_socket_read_reset(bl_socket *s)
{
    if (s->buf)
        bl_buf_done(s->buf);
    s->buf = NULL;
    s->floor = s->pos = s->last = NULL;
    bl_socket_bytes_free(&s->partial);
    forget_operation(s);
    s->read_shut = s->write_shut = s->eof = false;
}

int bl_socket_read(bl_socket *s, lua_State *L)
{
    s->until_state = 0;
    int count = step(s, L);
    if (count >= 0)
        return count;
    if (BL_UNLIKELY(!lua_isyieldable(L))) { /* an error: what was gone over is nobody's yet */
        forget_operation(s);
        give_back(s, s->partial.len);
    }
    bl_task_may_wait(L);
    int64_t ms = limit_of(s);
    bl_debug(bl_socket_log_of(s), "lua tcp socket read timeout: %lld", (long long)ms);
    s->reading.cancel = cancelled;
    s->reading.expire = timed_out;
    return bl_wait_begin(&s->reading, L, ms);
}

/* May this call read? 0, or results of the failure. */
int bl_socket_may_read(bl_socket *s, lua_State *L)
{
    if (s->stage == BL_SOCKET_CONNECTING || s->stage == BL_SOCKET_HANDSHAKING)
        return bl_socket_fail(L, "socket busy connecting");
    if (BL_UNLIKELY(s->stage != BL_SOCKET_OPEN || s->read_shut))
        return bl_socket_closed(s, L, "receive data");
    if (BL_UNLIKELY(bl_wait_armed(&s->reading)))
        return bl_socket_fail(L, "socket busy reading");
    return 0;
}

/* ------------------------------------------------------------- the API */

/* A size, also as a string, or "*l", "*a". */
static void read_pattern(lua_State *L, bl_socket *s)
{
    if (lua_isnoneornil(L, 2)) {
        s->want = BL_WANT_LINE;
        return;
    }
    if (lua_isnumber(L, 2)) {
        lua_Integer size = lua_tointeger(L, 2);
        if (size < 0)
            luaL_argerror(L, 2, "bad number argument");
        s->want = BL_WANT_SIZE;
        s->want_size = (size_t)size;
        return;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_argerror(L, 2,
                      lua_pushfstring(L, "bad pattern argument: string or number expected, got %s",
                                      luaL_typename(L, 2)));
    const char *pattern = lua_tostring(L, 2);
    if (pattern[0] != '*' || (pattern[1] != 'l' && pattern[1] != 'a') || pattern[2] != '\0')
        luaL_argerror(L, 2, lua_pushfstring(L, "bad pattern argument: %s", pattern));
    s->want = pattern[1] == 'l' ? BL_WANT_LINE : BL_WANT_ALL;
}

BL_HOT int bl_socket_l_receive(lua_State *L)
{
    int count = lua_gettop(L);

    if (BL_UNLIKELY(count != 1 && count != 2))
        return luaL_error(L, "expecting 1 or 2 arguments (including the object), but got %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    int failure = bl_socket_may_read(s, L);
    if (BL_UNLIKELY(failure))
        return failure;
    read_pattern(L, s);
    return bl_socket_read(s, L);
}

int bl_socket_l_receiveany(lua_State *L)
{
    int count = lua_gettop(L);

    if (count != 2)
        return luaL_error(L, "expecting 2 arguments (including the object), but got %d", count);
    bl_socket *s = bl_socket_check(L);
    lua_Integer max = lua_isnumber(L, 2) ? lua_tointeger(L, 2) : 0;
    luaL_argcheck(L, max > 0, 2, "bad max argument");
    int failure = bl_socket_may_read(s, L);
    if (failure)
        return failure;
    bl_debug(bl_socket_log_of(s), "lua tcp socket read any");
    bl_debug(bl_socket_log_of(s),
             "lua tcp socket calling receiveany() method to read at most %lld bytes",
             (long long)max);
    s->want = BL_WANT_ANY;
    s->want_size = (size_t)max;
    return bl_socket_read(s, L);
}
