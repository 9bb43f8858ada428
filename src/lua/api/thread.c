#include "lua/api/thread.h"
#include "lua/task.h"
#include "lua/vm.h"

static int l_spawn(lua_State *L)
{
    int count = lua_gettop(L);

    luaL_argcheck(L, count > 0 && lua_isfunction(L, 1), 1, "function expected");
    bl_task *task = bl_task_may_wait(L);
    task->run->spawned = bl_task_spawn(L, count - 1);
    task->run->spawned->spawner = L;
    bl_lua_now.pending = BL_PENDING_SPAWN;
    return lua_yield(L, 0);
}

/* The light thread at `index`; NULL: it is none, or has ended. */
static bl_task *thread_at(lua_State *L, int index)
{
    lua_State *co = lua_tothread(L, index);

    luaL_argcheck(L, co != NULL, index, "lua thread expected");
    return bl_task_of(L, co);
}

/* Whether the caller is its parent. (A coroutine may wander from one run to another.) */
static bool is_child(lua_State *L, const bl_task *task)
{
    return task->spawner == L && task->run == bl_lua_now.task->run;
}

/* Told from a plain coroutine: light threads are marked by the Lua side (the first upvalue holds
 * the coroutines that are not the program's to resume). */
static bool was_thread(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    lua_rawget(L, lua_upvalueindex(1));
    bool marked = lua_isfunction(L, -1);
    lua_pop(L, 1);
    return marked;
}

static int fail(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

static void forget_threads(bl_wait *w)
{
    bl_task *waiter = BL_CONTAINER(w, bl_task, own);

    BL_LIST_EACH (it, &waiter->run->tasks) {
        bl_task *task = BL_CONTAINER(it, bl_task, sibling);
        if (task->waiter == waiter)
            task->waiter = NULL;
    }
    waiter->awaited = 0;
}

static int l_wait(lua_State *L)
{
    int count = lua_gettop(L);
    bl_task *me = bl_task_may_wait(L);

    luaL_argcheck(L, count > 0, 1, "at least one coroutine should be specified");
    for (int i = 1; i <= count; i++) {
        bl_task *task = thread_at(L, i);
        if (task == NULL && was_thread(L, i))
            return fail(L, "already waited or killed");
        if (task == NULL || task->entry)
            return luaL_error(L, "attempt to wait on a coroutine that is not a user thread");
        if (!is_child(L, task))
            return luaL_error(L, "only the parent coroutine can wait on the thread");
        if (task->state == BL_TASK_ZOMBIE)
            return bl_task_join(task, L);
    }
    for (int i = 1; i <= count; i++) {
        bl_task *task = thread_at(L, i);
        me->awaited += task->waiter != me;
        task->waiter = me;
    }
    me->own.cancel = forget_threads;
    return bl_wait_begin(&me->own, L, -1);
}

static int l_kill(lua_State *L)
{
    bl_lua_gate(L, BL_LUA_WAITING);
    bl_task *task = thread_at(L, 1);

    if (task == NULL)
        return fail(L, was_thread(L, 1) ? "already waited or killed" : "not user thread");
    if (task->entry)
        return fail(L, "not user thread");
    if (!is_child(L, task))
        return fail(L, "killer not parent");
    if (task->state == BL_TASK_RUNNING) /* its parent runs inside it */
        return fail(L, "running");
    if (task->state == BL_TASK_ZOMBIE) {
        bl_task_bury(task);
        return fail(L, "already terminated");
    }
    if (task->wait && task->wait->unstoppable)
        return fail(L, "pending subrequests");
    bl_task_kill(task);
    lua_pushinteger(L, 1);
    return 1;
}

/* For coroutine.status: what a light thread is doing; nil: nothing that Lua would not know. */
static int l_status(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    bl_task *task = co ? bl_task_of(L, co) : NULL;

    if (task == NULL)
        lua_pushliteral(L, "dead");
    else if (task->state == BL_TASK_ZOMBIE)
        lua_pushliteral(L, "zombie");
    else if (task->state == BL_TASK_RUNNING)
        lua_pushnil(L);
    else
        lua_pushliteral(L, "running");
    return 1;
}

/* For coroutine.resume: a function that waits was called in a coroutine that can't hand its yield
 * on to the scheduler. */
static int l_give_up(lua_State *L BL_UNUSED)
{
    bl_task_give_up();
    return 0;
}

/* Called by the Lua side with its table of marks: what the functions are closed over. */
static int l_bind(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"spawn", l_spawn}, {"wait", l_wait}, {"kill", l_kill}, {"status", l_status}, {NULL, NULL}};

    lua_createtable(L, 0, 4);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushvalue(L, 1);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}

void bl_lua_open_thread(lua_State *L)
{
    lua_pushcfunction(L, l_bind);
    lua_setfield(L, -2, "thread");
    lua_pushcfunction(L, l_give_up);
    bl_lua_vm_offer(L, "bulan.give_up");
}
