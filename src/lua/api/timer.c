#include "lua/api/timer.h"
#include "lua/handshake.h"
#include "lua/module.h"

#include <stdio.h>

/* A userdata, so that the program can hold it; kept alive by a reference while it is pending. Its
 * environment is the array { callback, arguments … }. */
typedef struct lua_timer {
    bl_link link; /* in vm->timers */
    bl_timer timer;
    bl_lua_vm *vm;
    int ref;          /* registry reference to itself; LUA_NOREF: not pending any more */
    int count;        /* of arguments, behind the callback */
    int64_t every;    /* ms; 0: once */
    int64_t deadline; /* of each run, ms; 0: none */
    char *name;       /* for the log; NULL: none */
    char *origin;     /* for the log: whose request made it; NULL: nobody's */
} lua_timer;

/* A run that has a deadline; run->data. */
typedef struct limited {
    bl_run *run;
    bl_timer timer;
    int64_t ms;
} limited;

static const char metatable[] = "bulan.timer";

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

/* It is pending no more. */
static void retire(lua_timer *t)
{
    bl_lua_vm *vm = t->vm;
    int ref = t->ref;

    bl_timer_stop(&t->timer);
    bl_list_remove(&t->link);
    bl_free(t->name);
    bl_free(t->origin);
    t->name = t->origin = NULL;
    t->ref = LUA_NOREF;
    vm->timers_pending--;
    luaL_unref(vm->L, LUA_REGISTRYINDEX, ref);
    bl_generation *generation = vm->generation;
    bl_lua_vm_drop(vm);
    bl_generation_drop(generation);
}

static void run_over(bl_run *run)
{
    limited *l = run->data;

    bl_debug(run->vm->log, "http lua close fake http connection");
    if (l)
        bl_timer_stop(&l->timer);
    bl_free(l);
    run->vm->timers_running--;
    bl_free((char *)run->origin);
    bl_run_free(run);
}

static void on_deadline(bl_timer *timer)
{
    limited *l = BL_CONTAINER(timer, limited, timer);

    bl_log_write(BL_LOG_ERR, l->run->vm->log, 0, "ngx.timer: ended at its deadline of %lld ms%s",
                 (long long)l->ms, l->run->origin ? l->run->origin : "");
    bl_run_end(l->run, BL_RUN_KILLED, 0);
}

static void limit(bl_run *run, int64_t ms)
{
    limited *l = bl_zalloc(sizeof *l);

    l->run = run;
    l->ms = ms;
    l->timer.fire = on_deadline;
    bl_timer_set(&l->timer, (uint64_t)ms);
    run->data = l;
}

/* ", timer: NAME, client: …", in memory to be freed; NULL when there is nothing to say. */
static char *describe_run(const lua_timer *t)
{
    const char *origin = t->origin ? t->origin : "";
    char *text;

    if (t->name == NULL)
        return copy(t->origin);
    size_t size = strlen(t->name) + strlen(origin) + sizeof ", timer: ";
    text = bl_alloc(size);
    snprintf(text, size, ", timer: %s%s", t->name, origin);
    return text;
}

static void push_args(const lua_timer *t, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, t->ref);
    lua_getfenv(L, -1);
    lua_remove(L, -2);
}

static bool has_room(const lua_timer *t)
{
    const bl_lua_vm *vm = t->vm;
    int64_t max = bl_lua_main_of(vm->generation)->max_running_timers;

    if (vm->timers_running < max)
        return true;
    lua_State *L = vm->L;
    lua_Debug ar;
    push_args(t, L);
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

    run->origin = describe_run(t);
    lua_checkstack(L, t->count + 4);
    push_args(t, L);
    lua_rawgeti(L, 1, 1);
    lua_pushboolean(L, premature);
    for (int i = 0; i < t->count; i++)
        lua_rawgeti(L, 1, i + 2);
    lua_remove(L, 1);
    t->vm->timers_running++;
    int count = t->count + 1;
    if (t->deadline)
        limit(run, t->deadline);
    if (t->every && !premature)
        bl_timer_set(&t->timer, (uint64_t)t->every);
    else
        retire(t);
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
        retire(t);
}

void bl_lua_timers_abort(bl_lua_vm *vm)
{
    bl_link pending;

    vm->exiting = true;
    if (!bl_list_empty(&vm->timers))
        bl_debug(vm->log, "lua abort pending timers");
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

/* A timer on top of the stack; the callback and its arguments, from 2 on, become its. */
static lua_timer *push_timer(lua_State *L, int count)
{
    lua_timer *t = lua_newuserdata(L, sizeof *t);

    memset(t, 0, sizeof *t);
    t->count = count;
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
    lua_createtable(L, count + 1, 0);
    for (int i = 0; i <= count; i++) {
        lua_pushvalue(L, i + 2);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfenv(L, -2);
    lua_pushvalue(L, -1);
    t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return t;
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
    lua_timer *t = push_timer(L, args);
    t->vm = bl_lua_vm_hold(vm);
    bl_generation_hold(vm->generation);
    t->timer.fire = on_timer;
    t->origin = current_origin();
    int64_t delay = (int64_t)(seconds * 1000);
    t->every = again ? delay : 0;
    vm->timers_pending++;
    bl_list_push(&vm->timers, &t->link);
    bl_timer_set(&t->timer, (uint64_t)delay);
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

static lua_timer *check_timer(lua_State *L)
{
    return luaL_checkudata(L, 1, metatable);
}

/* timer:cancel(): it will not fire (again). nil and "not pending" when there is nothing to cancel.
 * A run that has begun goes on. */
static int l_cancel(lua_State *L)
{
    lua_timer *t = check_timer(L);

    if (t->ref == LUA_NOREF)
        return fail(L, "not pending");
    retire(t);
    lua_pushboolean(L, true);
    return 1;
}

/* timer:name(NAME): in the error log. Returns the timer. */
static int l_name(lua_State *L)
{
    lua_timer *t = check_timer(L);
    const char *name = luaL_checkstring(L, 2);

    if (t->ref != LUA_NOREF) {
        bl_free(t->name);
        t->name = copy(name);
    }
    lua_settop(L, 1);
    return 1;
}

/* timer:deadline(SECONDS): each of its runs ends then at the latest. Returns the timer. */
static int l_deadline(lua_State *L)
{
    lua_timer *t = check_timer(L);
    lua_Number seconds = luaL_checknumber(L, 2);

    luaL_argcheck(L, seconds >= 0.001 && seconds < 1e9, 2, "a time in seconds expected");
    t->deadline = (int64_t)(seconds * 1000);
    lua_settop(L, 1);
    return 1;
}

static int l_pending(lua_State *L)
{
    lua_pushboolean(L, check_timer(L)->ref != LUA_NOREF);
    return 1;
}

/* Programs print what they take for the number 1. */
static int l_tostring(lua_State *L)
{
    lua_pushliteral(L, "1");
    return 1;
}

static int l_concat(lua_State *L)
{
    for (int i = 1; i <= 2; i++) {
        if (luaL_callmeta(L, i, "__tostring"))
            lua_replace(L, i);
    }
    lua_settop(L, 2);
    lua_concat(L, 2);
    return 1;
}

static void make_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"cancel", l_cancel},   {"name", l_name}, {"deadline", l_deadline},
        {"pending", l_pending}, {NULL, NULL},
    };

    luaL_newmetatable(L, metatable);
    lua_createtable(L, 0, 4);
    luaL_register(L, NULL, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, l_concat);
    lua_setfield(L, -2, "__concat");
    lua_pop(L, 1);
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

    make_metatable(L);
    lua_createtable(L, 0, 4);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "timer");
}
