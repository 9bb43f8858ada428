#include "lua/api/pipe.h"
#include "core/mem.h"
#include "lua/fault.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 10000,
    WEIGHT_KB = 16, /* of a program, for the collector, which sees its handle's few bytes only */
};

typedef struct handle {
    uint32_t magic;
    bl_pipe *pipe;
} handle;

static const char type_name[] = "bulan.pipe.process";

int bl_pipe_fail(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

bl_pipe *bl_pipe_check(lua_State *L)
{
    const handle *h = lua_touserdata(L, 1);

    if (h == NULL || lua_islightuserdata(L, 1) || lua_objlen(L, 1) != sizeof *h ||
        h->magic != BL_PIPE_MAGIC)
        luaL_error(L, "not a process instance");
    BL_CHECK(h->pipe, BL_PIPE_MAGIC);
    return h->pipe;
}

/* ------------------------------------------------------------- the end of the object */

static void destroy(bl_pipe *p)
{
    bl_debug(&bl_log_process, "lua pipe destroy process:%p pid:%d", (void *)p, (int)p->pid);
    if (p->program) {
        bl_debug(&bl_log_process, "lua pipe kill process:%p pid:%d", (void *)p, (int)p->pid);
        bl_program_drop(p->program);
    }
    for (int i = 0; i < BL_PIPE_STREAMS; i++)
        bl_pipe_stream_close(&p->streams[i]);
    p->magic = 0;
    bl_free(p);
}

static bool is_waited_for(const bl_pipe *p)
{
    for (int i = 0; i < BL_PIPE_STREAMS; i++) {
        if (bl_wait_armed(&p->streams[i].wait))
            return true;
    }
    return bl_wait_armed(&p->waiting);
}

void bl_pipe_left(bl_pipe *p)
{
    if (!p->held && !is_waited_for(p))
        destroy(p);
}

/* As bl_wait_end, but the object is let go before the task runs. */
void bl_pipe_done(bl_pipe *p, bl_wait *w, int results)
{
    bl_task *task = w->task;

    if (p->held) {
        bl_wait_end(w, results);
        return;
    }
    bl_timer_stop(&w->timer);
    w->task = NULL;
    task->wait = NULL;
    bl_pipe_left(p);
    bl_task_wake(task, results);
}

static int l_gc(lua_State *L)
{
    handle *h = lua_touserdata(L, 1);

    if (h->pipe == NULL)
        return 0;
    h->magic = 0;
    h->pipe->held = false;
    bl_pipe_left(h->pipe);
    return 0;
}

/* ------------------------------------------------------------- the end of the program */

static int push_status(bl_pipe *p, lua_State *L)
{
    bool by_signal = WIFSIGNALED(p->status);
    int code = by_signal ? WTERMSIG(p->status) : WEXITSTATUS(p->status);

    p->waited = true;
    lua_pushboolean(L, !by_signal && code == 0);
    lua_pushstring(L, by_signal ? "signal" : "exit");
    lua_pushinteger(L, code);
    bl_pipe_stream_close(&p->streams[BL_PIPE_STDIN]);
    for (int i = BL_PIPE_STDOUT; i < BL_PIPE_STREAMS && !p->keep_output; i++)
        bl_pipe_stream_close(&p->streams[i]);
    return 3;
}

static void on_end(bl_program *program)
{
    bl_pipe *p = program->data;

    p->ended = true;
    p->status = program->status;
    p->program = NULL;
    bl_program_drop(program);
    if (bl_wait_armed(&p->waiting))
        bl_pipe_done(p, &p->waiting, push_status(p, bl_wait_stack(&p->waiting)));
}

static int wait_timed_out(bl_wait *w, lua_State *L)
{
    bl_pipe *p = BL_CONTAINER(w, bl_pipe, waiting);

    bl_pipe_left(p);
    return bl_pipe_fail(L, "timeout");
}

static void wait_cancelled(bl_wait *w)
{
    bl_pipe *p = BL_CONTAINER(w, bl_pipe, waiting);

    bl_debug(&bl_log_process, "lua pipe proc wait cleanup");
    bl_pipe_left(p);
}

static int l_wait(lua_State *L)
{
    bl_pipe *p = bl_pipe_check(L);

    if (bl_wait_armed(&p->waiting))
        return bl_pipe_fail(L, "pipe busy waiting");
    if (p->waited)
        return bl_pipe_fail(L, "exited");
    bl_task_may_wait(L);
    bl_debug(bl_lua_log(), "lua pipe wait process:%p pid:%d", (void *)p, (int)p->pid);
    if (p->ended)
        return push_status(p, L);
    if (p->wait_ms > 0)
        bl_debug(bl_lua_log(), "lua pipe add timer for waiting: %lld(ms)", (long long)p->wait_ms);
    p->waiting.expire = wait_timed_out;
    p->waiting.cancel = wait_cancelled;
    return bl_wait_begin(&p->waiting, L, p->wait_ms > 0 ? p->wait_ms : -1);
}

/* ------------------------------------------------------------- small methods */

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, bl_pipe_check(L)->pid);
    return 1;
}

static int l_kill(lua_State *L)
{
    bl_pipe *p = bl_pipe_check(L);

    if (lua_type(L, 2) != LUA_TNUMBER)
        return luaL_error(L, "bad signal arg: number expected, got %s",
                          lua_typename(L, lua_isnone(L, 2) ? LUA_TNIL : lua_type(L, 2)));
    if (p->ended)
        return bl_pipe_fail(L, "exited");
    lua_Number number = lua_tonumber(L, 2);
    if (!(number >= 0 && number <= INT32_MAX))
        return bl_pipe_fail(L, "invalid signal");
    int err = bl_program_signal(p->program, (int)number);
    if (err)
        return bl_pipe_fail(L, err == EINVAL ? "invalid signal" : strerror(err));
    lua_pushboolean(L, true);
    return 1;
}

static int l_shutdown(lua_State *L)
{
    static const char *const names[BL_PIPE_STREAMS] = {"stdin", "stdout", "stderr"};
    bl_pipe *p = bl_pipe_check(L);
    const char *name = lua_tostring(L, 2);
    int i = 0;

    while (i < BL_PIPE_STREAMS && (name == NULL || strcmp(name, names[i]) != 0))
        i++;
    if (i == BL_PIPE_STREAMS)
        return luaL_error(L, "bad shutdown arg: %s", name ? name : luaL_typename(L, 2));
    if (p->merged && i == BL_PIPE_STDERR)
        return bl_pipe_fail(L, "merged to stdout");
    if (p->waited && !p->keep_output)
        return bl_pipe_fail(L, "closed");
    bl_pipe_stream_shut(&p->streams[i]);
    lua_pushboolean(L, true);
    return 1;
}

/* ------------------------------------------------------------- timeouts */

/* Milliseconds, or nil: *ms stays. */
static void read_timeout(lua_State *L, int index, int64_t *ms, const char *name)
{
    if (lua_isnoneornil(L, index))
        return;
    lua_Number value = lua_isnumber(L, index) ? lua_tonumber(L, index) : -1;
    if (!(value >= 0 && value <= 4294967295.0))
        luaL_error(L, "bad %s option", name);
    *ms = (int64_t)ceil(value);
}

static const char *const timeouts[] = {"write_timeout", "stdout_read_timeout",
                                       "stderr_read_timeout", "wait_timeout"};

static int l_set_timeouts(lua_State *L)
{
    bl_pipe *p = bl_pipe_check(L);
    int64_t ms[] = {p->streams[0].ms, p->streams[1].ms, p->streams[2].ms, p->wait_ms};

    for (int i = 0; i < (int)BL_COUNTOF(ms); i++)
        read_timeout(L, i + 2, &ms[i], timeouts[i]);
    for (int i = 0; i < BL_PIPE_STREAMS; i++)
        p->streams[i].ms = ms[i];
    p->wait_ms = ms[3];
    return 0;
}

/* ------------------------------------------------------------- spawn */

/* The strings of an array, for execve; the vector is left on the stack, the table keeps them. */
static char **vector(lua_State *L, int index)
{
    size_t count = lua_objlen(L, index);
    char **texts = lua_newuserdata(L, bl_size_mul(count + 1, sizeof(char *)));

    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        texts[i] = (char *)luaL_checkstring(L, -1);
        lua_rawseti(L, index, (int)i + 1); /* a number has become a string that nobody held */
    }
    texts[count] = NULL;
    return texts;
}

/* ours[] and spawn->fds[]. False: errno, and none is open. */
static bool open_pipes(bl_spawn *spawn, int ours[BL_PIPE_STREAMS], bool merged)
{
    int ends[BL_PIPE_STREAMS][2], i;

    for (i = 0; i < BL_PIPE_STREAMS - merged; i++) {
        int mine = i == BL_PIPE_STDIN;
        if (!bl_spawn_pipe(ends[i], mine))
            break;
        ours[i] = ends[i][mine];
        spawn->fds[i] = ends[i][!mine];
    }
    if (i == BL_PIPE_STREAMS - merged) {
        if (merged)
            spawn->fds[BL_PIPE_STDERR] = spawn->fds[BL_PIPE_STDOUT];
        return true;
    }
    int saved = errno;
    while (i-- > 0) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
    errno = saved;
    return false;
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static int spawn_failed(lua_State *L, const char *what)
{
    lua_pushnil(L);
    lua_pushfstring(L, "%s failed: %s", what, strerror(errno));
    return 2;
}

/* The descriptors of programs that nobody holds any more come back with their handles: collects
 * these when there are no others left, but not again before a program has been started. */
static bool find_pipes(lua_State *L, bl_spawn *spawn, int ours[BL_PIPE_STREAMS], bool merged)
{
    static bool may_help;

    if (open_pipes(spawn, ours, merged)) {
        may_help = true;
        return true;
    }
    if (errno != EMFILE || !may_help)
        return false;
    may_help = false;
    lua_gc(L, LUA_GCCOLLECT, 0);
    return open_pipes(spawn, ours, merged);
}

/* Starts the program for p. 0, or results of the failure. */
static int start(lua_State *L, bl_pipe *p, bl_spawn *spawn)
{
    int ours[BL_PIPE_STREAMS], count = BL_PIPE_STREAMS - p->merged;

    if (!find_pipes(L, spawn, ours, p->merged))
        return spawn_failed(L, "pipe()");
    p->program = bl_program_start(spawn);
    int saved = errno;
    close_all(spawn->fds, count);
    errno = saved;
    if (p->program == NULL) {
        close_all(ours, count);
        errno = saved;
        return spawn_failed(L, "fork()");
    }
    p->pid = p->program->pid;
    p->program->data = p;
    p->program->on_end = on_end;
    for (int i = 0; i < count; i++)
        bl_pipe_stream_open(&p->streams[i], p, ours[i]);
    return 0;
}

static bl_pipe *new_pipe(lua_State *L)
{
    handle *h = lua_newuserdata(L, sizeof *h);
    bl_pipe *p = bl_zalloc(sizeof *p);

    p->magic = BL_PIPE_MAGIC;
    p->held = true;
    for (int i = 0; i < BL_PIPE_STREAMS; i++) {
        p->streams[i].pipe = p;
        p->streams[i].io.fd = -1;
        p->streams[i].over = true;
    }
    h->magic = BL_PIPE_MAGIC;
    h->pipe = p;
    luaL_getmetatable(L, type_name);
    lua_setmetatable(L, -2);
    return p;
}

/* To the process's log, whose lines end with the reason. */
static void say_failure(const bl_spawn *spawn)
{
    if (spawn->failed)
        bl_log_write(BL_LOG_ERR, &bl_log_process, 0,
                     "lua pipe child %s failed while executing %s (%d: %s)", spawn->failed,
                     spawn->args[0], spawn->failure, strerror(spawn->failure));
}

/* spawn(ARGS, ENVIRON, DIRECTORY, FLAGS, BUFFER SIZE, four timeouts), all checked by
 * lualib/ngx/pipe.lua. */
static int l_spawn(lua_State *L)
{
    enum {
        MERGE = 1,
        GROUP = 2,
        KEEP = 4,
    };
    int flags = (int)luaL_checkinteger(L, 4);
    int64_t ms[] = {TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS, TIMEOUT_MS};

    if (bl_lua_now.phase == BL_LUA_INIT) {
        lua_pushliteral(L, "API disabled in the current context");
        return lua_error(L);
    }
    for (int i = 0; i < (int)BL_COUNTOF(ms); i++)
        read_timeout(L, i + 6, &ms[i], timeouts[i]);
    lua_settop(L, 5);
    bl_spawn spawn = {
        .args = vector(L, 1),
        .environ = lua_isnil(L, 2) ? NULL : vector(L, 2),
        .directory = lua_tostring(L, 3),
        .group = flags & GROUP,
    };
    bl_pipe *p = new_pipe(L);
    p->merged = flags & MERGE;
    p->keep_output = flags & KEEP;
    p->buffer_size = (size_t)luaL_checkinteger(L, 5);
    p->wait_ms = ms[3];
    for (int i = 0; i < BL_PIPE_STREAMS; i++)
        p->streams[i].ms = ms[i];
    int failure = start(L, p, &spawn);
    if (failure)
        return failure;
    bl_debug(bl_lua_log(), "lua pipe spawn process:%0*lX pid:%d merge_stderr:%d buffer_size:%zu",
             (int)sizeof(void *) * 2, (unsigned long)(uintptr_t)p, (int)p->pid, p->merged,
             p->buffer_size);
    say_failure(&spawn);
    lua_gc(L, LUA_GCSTEP, WEIGHT_KB);
    return 1;
}

/* ------------------------------------------------------------- the family */

/* What ngx.pipe is made of, under a name that programs don't see. */
void bl_lua_open_pipe(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"pid", l_pid},
        {"wait", l_wait},
        {"kill", l_kill},
        {"shutdown", l_shutdown},
        {"write", bl_pipe_l_write},
        {"set_timeouts", l_set_timeouts},
        {NULL, NULL},
    };

    luaL_newmetatable(L, type_name);
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    luaL_register(L, NULL, bl_pipe_read_methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_pushcfunction(L, l_spawn);
    lua_setfield(L, -2, "bulan.pipe");
    lua_pop(L, 2);
}
