#include "lua/api/worker_thread.h"
#include "core/mem.h"
#include "event/thread_pool.h"
#include "lua/fault.h"
#include "lua/thread_vm.h"
#include "lua/vm.h"

/* One call: made by a task, worked off by a thread, and gone when it has come back, whether the
 * task still waits or not. The VM keeps its configuration alive as long. */
typedef struct call {
    bl_thread_task thread;
    bl_wait wait;
    bl_thread_vm *vm;
    bl_lua_vm *owner;
    bl_generation *generation;
    int args;
    bool ok;
} call;

static int fail(lua_State *L, const char *error, const char *where)
{
    lua_pushboolean(L, false);
    lua_pushfstring(L, "%s%s", error, where);
    return 2;
}

static void in_thread(bl_thread_task *task)
{
    call *c = BL_CONTAINER(task, call, thread);

    c->ok = bl_lua_thread_vm_call(c->vm, c->args);
}

/* ok and the results, or false and the error; their number. */
static int push_results(const call *c, lua_State *to)
{
    int count = lua_gettop(c->vm->L), base = lua_gettop(to);

    lua_pushboolean(to, c->ok);
    if (!c->ok) {
        lua_pushstring(to,
                       lua_isstring(c->vm->L, -1) ? lua_tostring(c->vm->L, -1) : "unknown error");
        return 2;
    }
    for (int i = 1; i <= count; i++) {
        const char *error = bl_lua_thread_vm_copy(c->vm->L, i, to);
        if (error) {
            lua_settop(to, base);
            return fail(to, error, " in the return value");
        }
    }
    return count + 1;
}

static void free_call(call *c)
{
    bl_lua_vm *owner = c->owner;
    bl_generation *generation = c->generation;

    bl_free(c);
    bl_lua_vm_drop(owner);
    bl_generation_drop(generation);
}

static void done(bl_thread_task *task)
{
    call *c = BL_CONTAINER(task, call, thread);
    bool awaited = bl_wait_armed(&c->wait);
    int count = awaited ? push_results(c, bl_wait_stack(&c->wait)) : 0;

    bl_lua_thread_vm_give(c->vm); /* the task may want it at once */
    if (awaited)
        bl_wait_end(&c->wait, count);
    free_call(c);
}

/* The arguments, from `first` on, to the thread's VM; NULL, or what is wrong. */
static const char *hand_over(lua_State *L, int first, lua_State *to)
{
    int count = lua_gettop(L);

    for (int i = first; i <= count; i++) {
        const char *error = bl_lua_thread_vm_copy(L, i, to);
        if (error)
            return error;
    }
    return NULL;
}

static const char *check_names(lua_State *L)
{
    static const char *const errors[] = {
        "threadpool should be a string",
        "module name should be a string",
        "function name should be a string",
    };

    if (lua_gettop(L) < 3)
        return "expecting at least 3 arguments";
    for (int i = 0; i < 3; i++) {
        if (lua_type(L, i + 1) != LUA_TSTRING)
            return errors[i];
    }
    return NULL;
}

static call *new_call(lua_State *L, bl_thread_vm *vm)
{
    call *c = bl_zalloc(sizeof *c);

    c->thread.run = in_thread;
    c->thread.done = done;
    c->vm = vm;
    c->owner = bl_lua_vm_hold(bl_lua_now.vm);
    c->generation = bl_generation_hold(bl_lua_now.vm->generation);
    c->args = lua_gettop(L) - 3;
    return c;
}

static int l_run(lua_State *L)
{
    const char *error = check_names(L);
    bl_str name;

    bl_task_may_wait(L);
    if (error)
        return fail(L, error, "");
    name.p = (char *)lua_tolstring(L, 1, &name.len);
    bl_thread_pool *threads = bl_thread_pool_find(bl_lua_now.vm->generation, name);
    if (threads == NULL) {
        lua_pushboolean(L, false);
        lua_pushfstring(L, "thread pool %s not found", name.p);
        return 2;
    }
    bl_thread_vm *vm = bl_lua_thread_vm_take(bl_lua_now.vm);
    if (vm == NULL)
        return fail(L, "no available Lua vm", "");
    if ((error = hand_over(L, 2, vm->L)) != NULL) {
        bl_lua_thread_vm_give(vm);
        return fail(L, error, " in the argument");
    }
    call *c = new_call(L, vm);
    if (!bl_thread_pool_post(threads, &c->thread, bl_lua_log())) {
        bl_lua_thread_vm_give(vm);
        free_call(c);
        return fail(L, "failed to post the task", "");
    }
    return bl_wait_begin(&c->wait, L, -1);
}

void bl_lua_open_worker_thread(lua_State *L)
{
    lua_pushcfunction(L, l_run);
    lua_setfield(L, -2, "run_worker_thread");
}
