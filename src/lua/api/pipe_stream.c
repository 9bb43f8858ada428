#include "core/mem.h"
#include "lua/api/pipe.h"
#include "lua/fault.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bl_pipe_stream *stream_of(bl_io *io)
{
    return BL_CONTAINER(io, bl_pipe_stream, io);
}

static int number_of(const bl_pipe_stream *s)
{
    return (int)(s - s->pipe->streams);
}

/* ------------------------------------------------------------- opening, closing */

static void on_read(bl_io *io);
static void on_write(bl_io *io);

void bl_pipe_stream_open(bl_pipe_stream *s, bl_pipe *p, int fd)
{
    s->pipe = p;
    s->io = (bl_io){.fd = fd, .slot = -1};
    s->over = false;
    if (number_of(s) == BL_PIPE_STDIN)
        s->io.on_write = on_write;
    else
        s->io.on_read = on_read;
}

void bl_pipe_stream_close(bl_pipe_stream *s)
{
    if (bl_wait_armed(&s->wait))
        return;
    if (s->io.fd >= 0) {
        bl_io_forget(&s->io);
        close(s->io.fd);
        s->io.fd = -1;
    }
    bl_socket_bytes_free(&s->bytes);
    s->at = s->searched = 0;
    s->over = true;
}

/* ------------------------------------------------------------- waiting */

static int timed_out(bl_wait *w, lua_State *L);
static void cancelled(bl_wait *w);

/* Readiness is told from now on. */
static bool watch(bl_pipe_stream *s)
{
    return s->io.added || bl_io_add(&s->io, s->io.fd);
}

static int suspend(bl_pipe_stream *s, lua_State *L, const char *doing)
{
    bl_log *log = bl_lua_log();

    if (s->ms > 0)
        bl_debug(log, "lua pipe add timer for %s: %lld(ms)",
                 number_of(s) == BL_PIPE_STDIN ? "writing" : "reading", (long long)s->ms);
    bl_debug(log, "lua pipe %s yielding", doing);
    s->wait.expire = timed_out;
    s->wait.cancel = cancelled;
    return bl_wait_begin(&s->wait, L, s->ms > 0 ? s->ms : -1);
}

static void cancelled(bl_wait *w)
{
    static const char *const names[] = {"write", "read stdout", "read stderr"};
    bl_pipe_stream *s = BL_CONTAINER(w, bl_pipe_stream, wait);
    int number = number_of(s);

    bl_debug(&bl_log_process, "lua pipe proc %s cleanup", names[number]);
    if (number == BL_PIPE_STDIN)
        bl_socket_bytes_free(&s->bytes);
    bl_pipe_left(s->pipe);
}

/* ------------------------------------------------------------- reading */

static size_t have(const bl_pipe_stream *s)
{
    return s->bytes.len - s->at;
}

/* Pushes `n` bytes and forgets them and `behind` more. */
static void push(bl_pipe_stream *s, lua_State *L, size_t n, size_t behind)
{
    lua_pushlstring(L, n ? s->bytes.p + s->at : "", n);
    s->at += n + behind;
    s->searched = 0;
    if (s->at == s->bytes.len) {
        bl_socket_bytes_free(&s->bytes);
        s->at = 0;
    }
}

static bool take_line(bl_pipe_stream *s, lua_State *L)
{
    const char *from = s->bytes.p + s->at;
    size_t n = have(s);
    const char *lf = n > s->searched ? memchr(from + s->searched, '\n', n - s->searched) : NULL;

    s->searched = n;
    if (lf == NULL)
        return false;
    size_t len = (size_t)(lf - from), ending = len && lf[-1] == '\r';
    push(s, L, len - ending, 1 + ending);
    return true;
}

/* Pushes what the call asked for, if it has come. */
static bool take(bl_pipe_stream *s, lua_State *L)
{
    switch (s->want) {
    case BL_WANT_LINE:
        return take_line(s, L);
    case BL_WANT_SIZE:
        if (have(s) < s->want_size)
            return false;
        push(s, L, s->want_size, 0);
        return true;
    case BL_WANT_ANY:
        if (have(s) == 0)
            return false;
        push(s, L, BL_MIN(have(s), s->want_size), 0);
        return true;
    default:
        return false;
    }
}

/* OK: more has come; AGAIN; ERROR: the end. */
static bl_status fill(bl_pipe_stream *s)
{
    bl_socket_bytes *b = &s->bytes;
    size_t room = s->pipe->buffer_size;
    ssize_t n;

    if (!s->io.added && !watch(s))
        return BL_ERROR;
    if (!s->io.readable)
        return BL_AGAIN;
    if (s->at) { /* what is left of an earlier read is less than one buffer, mostly */
        memmove(b->p, b->p + s->at, have(s));
        b->len -= s->at;
        s->at = 0;
    }
    bl_socket_bytes_reserve(b, room);
    if (s->want == BL_WANT_ALL || s->want == BL_WANT_SIZE)
        room = b->size - b->len;
    do
        n = read(s->io.fd, b->p + b->len, room);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        b->len += (size_t)n;
        s->io.readable = (size_t)n == room || s->io.hup;
        return BL_OK;
    }
    s->io.readable = false;
    return n < 0 && errno == EAGAIN ? BL_AGAIN : BL_ERROR;
}

static int at_end(bl_pipe_stream *s, lua_State *L)
{
    int count = 1;

    if (s->want != BL_WANT_ALL) {
        bl_pipe_fail(L, "closed");
        count = s->want == BL_WANT_ANY ? 2 : 3;
    }
    if (count != 2)
        push(s, L, have(s), 0);
    return count;
}

/* >= 0: results that were pushed on L; -1: more must come. */
static int step(bl_pipe_stream *s, lua_State *L)
{
    for (;;) {
        if (take(s, L))
            return 1;
        bl_status status = fill(s);
        if (status == BL_AGAIN)
            return -1;
        if (status == BL_ERROR) {
            s->over = true;
            return at_end(s, L);
        }
    }
}

static void on_read(bl_io *io)
{
    bl_pipe_stream *s = stream_of(io);

    if (!bl_wait_armed(&s->wait))
        return;
    size_t before = have(s);
    int count = step(s, bl_wait_stack(&s->wait));
    if (count < 0) {
        if (have(s) != before && s->ms > 0)
            bl_wait_deadline(&s->wait, s->ms);
        return;
    }
    bl_pipe *p = s->pipe;
    bl_task *task = s->wait.task;
    s->wait.task = NULL; /* for a moment: the streams of those who wait are not closed */
    if (s->over)
        bl_pipe_stream_close(s);
    s->wait.task = task;
    bl_pipe_done(p, &s->wait, count);
}

static int read_now(bl_pipe_stream *s, lua_State *L)
{
    int count;

    bl_debug(bl_lua_log(), "lua pipe read process:%p pid:%d", (void *)s->pipe, (int)s->pipe->pid);
    if (s->pipe->merged && number_of(s) == BL_PIPE_STDERR)
        return bl_pipe_fail(L, "merged to stdout");
    if (bl_wait_armed(&s->wait))
        return bl_pipe_fail(L, "pipe busy reading");
    if (s->over)
        return bl_pipe_fail(L, "closed");
    bl_task_may_wait(L);
    s->searched = 0;
    count = step(s, L);
    if (count < 0)
        return suspend(s, L, "read");
    if (s->over)
        bl_pipe_stream_close(s);
    return count;
}

static int read_for(lua_State *L, int stream, bl_socket_want want, const char *complaint)
{
    bl_pipe_stream *s = &bl_pipe_check(L)->streams[stream];

    s->want = bl_wait_armed(&s->wait) ? s->want : want;
    if (complaint == NULL)
        return read_now(s, L);
    lua_Number size = lua_isnumber(L, 2) ? lua_tonumber(L, 2) : -1;
    if (!(size >= (want == BL_WANT_ANY ? 1 : 0) && size <= 1e15))
        return luaL_error(L, "%s", complaint);
    if (size < 1) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (!bl_wait_armed(&s->wait))
        s->want_size = (size_t)size;
    return read_now(s, L);
}

#define READ_METHODS(stream, NUMBER)                                                               \
    static int l_##stream##_read_all(lua_State *L)                                                 \
    {                                                                                              \
        return read_for(L, NUMBER, BL_WANT_ALL, NULL);                                             \
    }                                                                                              \
    static int l_##stream##_read_line(lua_State *L)                                                \
    {                                                                                              \
        return read_for(L, NUMBER, BL_WANT_LINE, NULL);                                            \
    }                                                                                              \
    static int l_##stream##_read_bytes(lua_State *L)                                               \
    {                                                                                              \
        return read_for(L, NUMBER, BL_WANT_SIZE, "bad len argument");                              \
    }                                                                                              \
    static int l_##stream##_read_any(lua_State *L)                                                 \
    {                                                                                              \
        return read_for(L, NUMBER, BL_WANT_ANY, "bad max argument");                               \
    }

READ_METHODS(stdout, BL_PIPE_STDOUT)
READ_METHODS(stderr, BL_PIPE_STDERR)

const luaL_Reg bl_pipe_read_methods[] = {
    {"stdout_read_all", l_stdout_read_all},
    {"stdout_read_line", l_stdout_read_line},
    {"stdout_read_bytes", l_stdout_read_bytes},
    {"stdout_read_any", l_stdout_read_any},
    {"stderr_read_all", l_stderr_read_all},
    {"stderr_read_line", l_stderr_read_line},
    {"stderr_read_bytes", l_stderr_read_bytes},
    {"stderr_read_any", l_stderr_read_any},
    {NULL, NULL},
};

/* ------------------------------------------------------------- writing */

/* Writes from `*p` on. AGAIN: *p is where to go on; ERROR: the program does not read any more. */
static bl_status put(bl_pipe_stream *s, const char **p, const char *end)
{
    while (*p < end) {
        ssize_t n = write(s->io.fd, *p, (size_t)(end - *p));
        if (n >= 0) {
            *p += n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN && watch(s))
            return BL_AGAIN;
        bl_log_write(BL_LOG_INFO, bl_lua_log(), 0, "lua pipe write data error pipe:%0*lX (%d: %s)",
                     (int)sizeof(void *) * 2, (unsigned long)(uintptr_t)s->pipe, errno,
                     strerror(errno));
        return BL_ERROR;
    }
    return BL_OK;
}

/* Results of a write that is over. */
static int written(bl_pipe_stream *s, lua_State *L, bl_status status)
{
    bl_socket_bytes_free(&s->bytes);
    s->at = 0;
    if (status == BL_ERROR) {
        s->over = true;
        return bl_pipe_fail(L, "closed");
    }
    lua_pushnumber(L, (lua_Number)s->total);
    return 1;
}

static void on_write(bl_io *io)
{
    bl_pipe_stream *s = stream_of(io);
    const char *p = s->bytes.p + s->at, *end = s->bytes.p + s->bytes.len;

    if (!bl_wait_armed(&s->wait))
        return;
    bl_status status = put(s, &p, end);
    if (status == BL_AGAIN) {
        size_t at = (size_t)(p - s->bytes.p);
        if (at != s->at && s->ms > 0)
            bl_wait_deadline(&s->wait, s->ms);
        s->at = at;
        return;
    }
    bl_pipe_done(s->pipe, &s->wait, written(s, bl_wait_stack(&s->wait), status));
}

static void check_data(lua_State *L)
{
    int type = lua_type(L, 2);

    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TTABLE)
        luaL_error(L, "bad data arg: string, number, or table expected, got %s",
                   lua_typename(L, type == LUA_TNONE ? LUA_TNIL : type));
}

int bl_pipe_l_write(lua_State *L)
{
    bl_pipe_stream *s = &bl_pipe_check(L)->streams[BL_PIPE_STDIN];

    check_data(L);
    if (bl_wait_armed(&s->wait))
        return bl_pipe_fail(L, "pipe busy writing");
    if (s->over)
        return bl_pipe_fail(L, "closed");
    bl_task_may_wait(L);
    bl_str data = bl_socket_bytes_of(L);
    const char *p = data.p, *end = data.p + data.len;
    s->total = data.len;
    bl_status status = put(s, &p, end);
    if (status == BL_AGAIN)
        bl_socket_bytes_add(&s->bytes, p, (size_t)(end - p));
    bl_socket_scratch_done();
    return status == BL_AGAIN ? suspend(s, L, "write") : written(s, L, status);
}

/* ------------------------------------------------------------- given up */

/* Results of a call that is given up; what it had is its, too. */
static int push_failure(bl_pipe_stream *s, lua_State *L, const char *error)
{
    bl_pipe_fail(L, error);
    if (number_of(s) == BL_PIPE_STDIN) {
        bl_socket_bytes_free(&s->bytes);
        s->at = 0;
        return 2;
    }
    if (s->want == BL_WANT_ANY)
        return 2;
    push(s, L, have(s), 0);
    return 3;
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_pipe_stream *s = BL_CONTAINER(w, bl_pipe_stream, wait);
    int count = push_failure(s, L, "timeout");

    bl_pipe_left(s->pipe);
    return count;
}

void bl_pipe_stream_shut(bl_pipe_stream *s)
{
    bl_wait mine = s->wait;

    if (!bl_wait_armed(&mine)) {
        bl_pipe_stream_close(s);
        return;
    }
    int count = push_failure(s, bl_wait_stack(&mine), "aborted");
    s->wait.task = NULL; /* for a moment: the streams of those who wait are not closed */
    bl_pipe_stream_close(s);
    s->wait.task = mine.task;
    bl_pipe_done(s->pipe, &s->wait, count);
}
