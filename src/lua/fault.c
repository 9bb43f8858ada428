#include "lua/fault.h"
#include "lua/vm.h"

enum {
    COROUTINES_MAX = 10, /* in a report */
};

bl_log *bl_lua_log(void)
{
    if (bl_lua_now.request)
        return bl_lua_now.request->log;
    if (bl_lua_now.task)
        return bl_run_log(bl_lua_now.task->run);
    return bl_lua_now.vm ? bl_lua_now.vm->log : &bl_log_process;
}

static int call_tostring(lua_State *L)
{
    if (!luaL_callmeta(L, 1, "__tostring"))
        lua_pushnil(L);
    return 1;
}

/* An object that knows how to say what it is; asked on the VM's main thread, where the failed one's
 * state does no harm. */
static const char *object_text(lua_State *L)
{
    lua_State *main = bl_lua_now.vm ? bl_lua_now.vm->L : L;
    const char *text = NULL;

    lua_pushcfunction(main, call_tostring);
    lua_pushvalue(L, L == main ? -2 : -1);
    if (L != main)
        lua_xmove(L, main, 1);
    if (lua_pcall(main, 1, 1, 0) == 0)
        text = lua_tostring(main, -1);
    if (text) { /* anchored until the next such error */
        lua_pushvalue(main, -1);
        lua_setfield(main, LUA_REGISTRYINDEX, "bulan.error");
    }
    lua_pop(main, 1);
    return text;
}

const char *bl_fault_text(lua_State *L)
{
    const char *text = NULL;

    if (lua_isstring(L, -1))
        text = lua_tostring(L, -1);
    else if (lua_gettop(L) > 0 && luaL_getmetafield(L, -1, "__tostring")) {
        lua_pop(L, 1);
        text = object_text(L);
    }
    return text ? text : "unknown reason";
}

/* A handler is loaded as a function (code.h); to its author it is a chunk. */
static void push_main_chunk(lua_State *L, const char *lines)
{
    static const char mark[] = ": in function <";
    const char *last = strrchr(lines, '\n');
    const char *at = strstr(last ? last : lines, mark);
    size_t len = strlen(lines);

    if (at && len > 3 && strcmp(lines + len - 3, ":1>") == 0) {
        lua_pushlstring(L, lines, (size_t)(at - lines));
        lua_pushliteral(L, ": in main chunk");
        lua_concat(L, 2);
    } else {
        lua_pushstring(L, lines);
    }
}

/* Adds the lines of a coroutine to the text on top of L. */
static void add_traceback(lua_State *L, lua_State *co, int n)
{
    luaL_traceback(L, co, NULL, 0);
    const char *text = lua_tostring(L, -1);
    const char *lines = text ? strchr(text, '\n') : NULL;

    push_main_chunk(L, lines ? lines + 1 : "");
    const char *final = lua_tostring(L, -1);
    lua_pushfstring(L, "%s\ncoroutine %d:\n%s", lua_tostring(L, 1), n, final);
    lua_replace(L, 1);
    lua_settop(L, 1);
}

/* The coroutines inside the task that the error came through; their number. */
static int add_inner(lua_State *L, bl_task *task)
{
    bl_lua_vm *vm = task->run->vm;
    int n = 0;

    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->failed);
    lua_getfield(L, -1, "message");
    lua_pushvalue(task->L, -1);
    lua_xmove(task->L, L, 1);
    bool same = lua_rawequal(L, -1, -2);
    lua_settop(L, 1);
    while (same && n < COROUTINES_MAX) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, vm->failed);
        lua_rawgeti(L, -1, n + 1);
        lua_State *co = lua_tothread(L, -1);
        if (co == NULL)
            break;
        add_traceback(L, co, n++);
    }
    lua_settop(L, 1);
    return n;
}

/* The whole text, on top of L, which was empty. */
static const char *push_all_tracebacks(bl_task *task, lua_State *L)
{
    lua_pushliteral(L, "stack traceback:");
    int n = add_inner(L, task);
    for (bl_task *t = task; t && n < COROUTINES_MAX; t = t->parent)
        add_traceback(L, t->L, n++);
    return lua_tostring(L, -1);
}

static const char *kind_of(const bl_task *task)
{
    switch (task->run->phase) {
    case BL_LUA_SET:
    case BL_LUA_HEADER_FILTER:
    case BL_LUA_BODY_FILTER:
    case BL_LUA_LOG:
    case BL_LUA_BALANCER:
    case BL_LUA_SSL_SESSION_STORE:
        return "failed to run ";
    case BL_LUA_INIT:
    case BL_LUA_INIT_WORKER:
    case BL_LUA_EXIT_WORKER:
        return "";
    default:
        return "lua entry thread aborted: runtime error: ";
    }
}

/* Log watchers know this one by a shorter name. */
static const char *name_of(uint32_t phase)
{
    const char *name = bl_lua_phase_context(phase);

    return phase == BL_LUA_SSL_SESSION_STORE ? name + strlen("ssl_") : name;
}

void bl_fault_report(bl_task *task)
{
    lua_State *L = lua_newthread(task->run->vm->L);
    const char *text = bl_fault_text(task->L);
    const char *trace = push_all_tracebacks(task, L);
    const char *kind = kind_of(task);
    bl_log *log = bl_lua_log();

    if (!task->entry)
        bl_log_write(BL_LOG_ERR, log, 0, "lua user thread aborted: runtime error: %s\n%s", text,
                     trace);
    else if (*kind == 'l')
        bl_log_write(BL_LOG_ERR, log, 0, "%s%s\n%s", kind, text, trace);
    else if (*kind)
        bl_log_write(BL_LOG_ERR, log, 0, "%s%s: %s\n%s", kind, name_of(task->run->phase), text,
                     trace);
    else
        bl_log_write(BL_LOG_ERR, log, 0, "%s_by_lua error: %s\n%s",
                     bl_lua_phase_word(task->run->phase), text, trace);
    lua_pop(task->run->vm->L, 1);
}
