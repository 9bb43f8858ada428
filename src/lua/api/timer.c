#include "lua/api/timer.h"
#include "lua/handshake.h"
#include "lua/module.h"

typedef struct lua_timer {
    bl_link link; /* in vm->timers */
    bl_timer timer;
    bl_lua_vm *vm;
    int args;      /* registry reference: array { callback, args … } */
    int count;     /* of arguments, behind the callback */
    int64_t every; /* ms; 0: once */
    char *origin;  /* for the log: whose request made it; NULL: nobody's */
} lua_timer;

static char *copy(const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;

    return text ? memcpy(bl_alloc(size), text, size) : NULL;
}

/* Who a timer goes back to: the client of the current request, or what the current timer says. */
static char *current_origin(void)
{
    char text[512], peer[BL_ADDR_TEXT];
    const bl_conn *c = bl_lua_handshake_conn();

    if (c == NULL)
        return copy(bl_lua_now.task->run->origin);
    const bl_listener *listener = c->listener;
    size_t len = bl_addr_text(&c->peer.sa, sizeof c->peer, peer);
    bl_str server = listener ? listener->text : BL_STR("");
    bl_log_put(text, text + sizeof text, ", client: %.*s, server: %.*s%c", (int)len, peer,
               BL_STR_ARG(server), 0);
    return copy(text);
}

static void free_timer(lua_timer *t)
{
    bl_timer_stop(&t->timer);
    bl_list_remove(&t->link);
    luaL_unref(t->vm->L, LUA_REGISTRYINDEX, t->args);
    t->vm->timers_pending--;
    bl_lua_vm_drop(t->vm);
    bl_free(t->origin);
    bl_free(t);
}

static void run_over(bl_run *run)
{
    bl_debug(run->vm->log, "http lua close fake http connection");
    run->vm->timers_running--;
    bl_free((char *)run->origin);
    bl_run_free(run);
}

static bool has_room(const lua_timer *t)
{
    const bl_lua_vm *vm = t->vm;
    int64_t max = bl_lua_main_of(vm->generation)->max_running_timers;

    if (vm->timers_running < max)
        return true;
    lua_State *L = vm->L;
    lua_Debug ar;
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->args);
    lua_rawgeti(L, -1, 1);
    lua_getinfo(L, ">S", &ar);
    lua_pop(L, 1);
    bl_log_write(BL_LOG_ALERT, vm->log, 0,
                 "lua failed to run timer with function defined at %s:%d: %lld "
                 "lua_max_running_timers are not enough",
                 ar.source, ar.linedefined, (long long)max);
    return false;
}

/* The callback, `premature`, and its arguments, on the stack of a new run. */
static void run_callback(lua_timer *t, bool premature)
{
    bl_run *run = bl_run_new(t->vm, NULL, BL_LUA_TIMER, run_over);
    lua_State *L = run->entry->L;

    run->origin = copy(t->origin);
    lua_checkstack(L, t->count + 4);
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->args);
    lua_rawgeti(L, 1, 1);
    lua_pushboolean(L, premature);
    for (int i = 0; i < t->count; i++)
        lua_rawgeti(L, 1, i + 2);
    lua_remove(L, 1);
    t->vm->timers_running++;
    int count = t->count + 1;
    if (t->every && !premature)
        bl_timer_set(&t->timer, (uint64_t)t->every);
    else
        free_timer(t);
    if (bl_run_start(run, count))
        run_over(run);
}

static void on_timer(bl_timer *timer)
{
    lua_timer *t = BL_CONTAINER(timer, lua_timer, timer);

    bl_debug(t->vm->log, "lua ngx.timer expired");
    if (has_room(t))
        run_callback(t, false);
    else if (t->every)
        bl_timer_set(&t->timer, (uint64_t)t->every);
    else
        free_timer(t);
}

void bl_lua_timers_abort(bl_lua_vm *vm)
{
    bl_link pending;

    vm->exiting = true;
    bl_list_init(&pending);
    bl_list_splice(&pending, &vm->timers);
    while (!bl_list_empty(&pending))
        run_callback(BL_LIST_FIRST(&pending, lua_timer, link), true);
}

/* ------------------------------------------------------------- the API */

static int fail(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

/* The callback and its arguments, from the stack into an array of the registry. */
static int keep_args(lua_State *L, int count)
{
    lua_createtable(L, count + 1, 0);
    lua_insert(L, 2);
    for (int i = count + 1; i >= 1; i--)
        lua_rawseti(L, 2, i);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static int add(lua_State *L, bool again)
{
    int args = lua_gettop(L) - 2;
    bl_lua_vm *vm = bl_lua_now.vm;

    bl_lua_gate(L, BL_LUA_ANY & ~(BL_LUA_INIT | BL_LUA_EXIT_WORKER));
    if (args < 0)
        return luaL_error(L, "expecting at least 2 arguments but got %d", args + 2);
    double seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, lua_isfunction(L, 2) && !lua_iscfunction(L, 2), 2, "Lua function expected");
    if (seconds < 0 || (again && seconds < 0.001))
        return luaL_error(L, again ? "delay cannot be 0" : "delay cannot be negative");
    if (vm->exiting && seconds > 0)
        return fail(L, "process exiting");
    if (vm->timers_pending >= bl_lua_main_of(vm->generation)->max_pending_timers)
        return fail(L, "too many pending timers");
    lua_timer *t = bl_zalloc(sizeof *t);
    t->vm = bl_lua_vm_hold(vm);
    t->count = args;
    t->args = keep_args(L, args);
    t->timer.fire = on_timer;
    t->origin = current_origin();
    int64_t delay = (int64_t)(seconds * 1000);
    t->every = again ? delay : 0;
    vm->timers_pending++;
    bl_list_push(&vm->timers, &t->link);
    bl_timer_set(&t->timer, (uint64_t)delay);
    lua_pushinteger(L, 1);
    return 1;
}

static int l_at(lua_State *L)
{
    return add(L, false);
}

static int l_every(lua_State *L)
{
    return add(L, true);
}

static int l_running_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)bl_lua_now.vm->timers_running);
    return 1;
}

static int l_pending_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)bl_lua_now.vm->timers_pending);
    return 1;
}

void bl_lua_open_timer(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"at", l_at},
        {"every", l_every},
        {"running_count", l_running_count},
        {"pending_count", l_pending_count},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 4);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "timer");
}
