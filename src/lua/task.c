#include "lua/task.h"
#include "lua/api/socket.h"
#include "lua/fault.h"
#include "lua/vm.h"
#include "lua/watch.h"

bl_lua_here bl_lua_now;

enum {
    TURNS_MAX = 1000, /* of a run's tasks before others get theirs */
};

static void run_task(bl_task *task, int args);
static void enqueue(bl_task *task);

/* ------------------------------------------------------------- phases */

static const struct {
    uint32_t phase;
    const char *word, *context;
} phases[] = {
    {BL_LUA_SET, "set", "set_by_lua*"},
    {BL_LUA_REWRITE, "rewrite", "rewrite_by_lua*"},
    {BL_LUA_ACCESS, "access", "access_by_lua*"},
    {BL_LUA_CONTENT, "content", "content_by_lua*"},
    {BL_LUA_LOG, "log", "log_by_lua*"},
    {BL_LUA_HEADER_FILTER, "header_filter", "header_filter_by_lua*"},
    {BL_LUA_BODY_FILTER, "body_filter", "body_filter_by_lua*"},
    {BL_LUA_TIMER, "timer", "ngx.timer"},
    {BL_LUA_INIT_WORKER, "init_worker", "init_worker_by_lua*"},
    {BL_LUA_BALANCER, "balancer", "balancer_by_lua*"},
    {BL_LUA_SSL_CERT, "ssl_cert", "ssl_certificate_by_lua*"},
    {BL_LUA_SSL_SESSION_STORE, "ssl_session_store", "ssl_session_store_by_lua*"},
    {BL_LUA_SSL_SESSION_FETCH, "ssl_session_fetch", "ssl_session_fetch_by_lua*"},
    {BL_LUA_EXIT_WORKER, "exit_worker", "exit_worker_by_lua*"},
    {BL_LUA_SSL_CLIENT_HELLO, "ssl_client_hello", "ssl_client_hello_by_lua*"},
    {BL_LUA_SERVER_REWRITE, "server_rewrite", "server_rewrite_by_lua*"},
    {BL_LUA_PROXY_SSL_VERIFY, "proxy_ssl_verify", "proxy_ssl_verify_by_lua*"},
    {BL_LUA_PRECONTENT, "precontent", "precontent_by_lua*"},
    {BL_LUA_PROXY_SSL_CERT, "proxy_ssl_cert", "proxy_ssl_certificate_by_lua*"},
    {BL_LUA_INIT, "init", "init_by_lua*"},
};

const char *bl_lua_phase_context(uint32_t phase)
{
    for (size_t i = 0; i < BL_COUNTOF(phases); i++) {
        if (phases[i].phase == phase)
            return phases[i].context;
    }
    return "(unknown)";
}

const char *bl_lua_phase_word(uint32_t phase)
{
    for (size_t i = 0; i < BL_COUNTOF(phases); i++) {
        if (phases[i].phase == phase)
            return phases[i].word;
    }
    return "init";
}

/* ------------------------------------------------------------- gates */

void bl_lua_gate(lua_State *L, uint32_t allowed)
{
    if (BL_UNLIKELY(!(bl_lua_now.phase & allowed)))
        luaL_error(L, "API disabled in the context of %s", bl_lua_phase_context(bl_lua_now.phase));
}

bl_request *bl_lua_request(lua_State *L, uint32_t allowed)
{
    if (allowed == BL_LUA_REAL && !(bl_lua_now.phase & allowed))
        luaL_error(L, bl_lua_now.phase == BL_LUA_INIT ? "no request found"
                                                      : "API disabled in the current context");
    bl_lua_gate(L, allowed);
    if (BL_UNLIKELY(bl_lua_now.request == NULL))
        luaL_error(L, "no request found");
    return bl_lua_now.request;
}

bl_task *bl_task_may_wait(lua_State *L)
{
    bl_lua_gate(L, BL_LUA_WAITING);
    if (BL_UNLIKELY(!lua_isyieldable(L)))
        luaL_error(L, "attempt to yield across C-call boundary");
    return bl_lua_now.task;
}

/* ------------------------------------------------------------- tasks: birth and death */

/* Memory of tasks is only used for tasks as long as the VM lives: coroutines that a task has made
 * refer to it (their exdata is inherited), and bl_task_of looks where that leads. */
static bl_task *task_memory(bl_lua_vm *vm)
{
    if (bl_list_empty(&vm->old_tasks))
        return bl_zalloc(sizeof(bl_task));
    bl_task *task = BL_LIST_FIRST(&vm->old_tasks, bl_task, sibling);
    bl_list_remove(&task->sibling);
    memset(task, 0, sizeof *task);
    return task;
}

static bl_task *new_task(bl_lua_vm *vm)
{
    bl_task *task = task_memory(vm);

    task->magic = BL_TASK_MAGIC;
    lua_rawgeti(vm->L, LUA_REGISTRYINDEX, vm->threads);
    task->L = lua_newthread(vm->L);
    task->ref = luaL_ref(vm->L, -2);
    lua_pop(vm->L, 1);
    lua_setexdata(task->L, task);
    return task;
}

static bl_task *take_task(bl_lua_vm *vm)
{
    if (BL_UNLIKELY(bl_list_empty(&vm->spare_tasks)))
        return new_task(vm);
    bl_task *task = BL_LIST_FIRST(&vm->spare_tasks, bl_task, sibling);
    bl_debug(vm->log, "lua reusing cached lua thread");
    bl_list_remove(&task->sibling);
    vm->spare_count--;
    return task;
}

static void join(bl_run *run, bl_task *task)
{
    task->run = run;
    task->state = BL_TASK_NEW;
    task->children = 0;
    bl_list_push(&run->tasks, &task->sibling);
    run->alive++;
}

static void free_task(bl_lua_vm *vm, bl_task *task)
{
    lua_setexdata(task->L, NULL);
    lua_rawgeti(vm->L, LUA_REGISTRYINDEX, vm->threads);
    luaL_unref(vm->L, -1, task->ref);
    lua_pop(vm->L, 1);
    task->magic = 0;
    task->L = NULL;
    task->run = NULL;
    bl_list_push(&vm->old_tasks, &task->sibling);
}

/* Entries that have returned are reused. What was killed or failed is not: closures may still refer
 * to variables on its stack. Nor are light threads: the program may hold their coroutines. */
void bl_task_bury(bl_task *task)
{
    BL_CHECK(task, BL_TASK_MAGIC);
    bl_lua_vm *vm = task->run->vm;
    bool clean = task->state == BL_TASK_NEW || (task->state == BL_TASK_ZOMBIE && !task->failed);

    bl_list_remove(&task->sibling);
    if (task->parent)
        task->parent->children--;
    task->parent = NULL;
    if (!task->entry || !clean || vm->spare_count >= vm->spare_max) {
        free_task(vm, task);
        return;
    }
    bl_debug(vm->log, "lua caching unused lua thread");
    if (task->state == BL_TASK_NEW || task->results)
        lua_settop(task->L, 0);
    task->state = BL_TASK_DEAD;
    task->run = NULL;
    bl_list_unshift(&vm->spare_tasks, &task->sibling);
    vm->spare_count++;
}

/* Out of everything that could resume it. */
static void detach(bl_task *task)
{
    if (task->wait)
        bl_wait_cancel(task->wait);
    else if (BL_UNLIKELY(task->own.lost != NULL))
        task->own.lost(&task->own);
    if (bl_list_linked(&task->link))
        bl_list_remove(&task->link);
}

bl_task *bl_task_of(lua_State *L BL_UNUSED, lua_State *co)
{
    bl_task *task = lua_getexdata(co);

    return task && task->L == co && task->run ? task : NULL;
}

/* ------------------------------------------------------------- runs: birth and death */

bl_run *bl_run_new(bl_lua_vm *vm, bl_request *r, uint32_t phase, void (*done)(bl_run *run))
{
    bl_run *run = vm->spare_runs;

    if (BL_LIKELY(run != NULL))
        vm->spare_runs = run->data;
    else
        run = bl_alloc(sizeof *run);
    *run = (bl_run){.vm = vm, .request = r, .phase = phase, .done = done};
    bl_list_init(&run->tasks);
    bl_list_init(&run->posted);
    run->entry = take_task(vm);
    run->entry->entry = true;
    join(run, run->entry);
    vm->refs++;
    if (r == NULL)
        bl_generation_hold(vm->generation);
    return run;
}

bl_log *bl_run_log(const bl_run *run)
{
    if (run->request)
        return run->request->log;
    return run->log ? run->log : run->vm->log;
}

static void kill_tasks(bl_run *run)
{
    run->over = true;
    BL_LIST_EACH (it, &run->tasks)
        detach(BL_CONTAINER(it, bl_task, sibling));
}

void bl_run_free(bl_run *run)
{
    bl_lua_vm *vm = run->vm;

    BL_ASSERT(run->depth == 0);
    if (!run->over)
        kill_tasks(run);
    if (BL_UNLIKELY(run->sockets.next != NULL))
        bl_socket_close_list(&run->sockets);
    while (!bl_list_empty(&run->tasks))
        bl_task_bury(BL_LIST_FIRST(&run->tasks, bl_task, sibling));
    if (BL_UNLIKELY(run->ctx_ref)) {
        bl_debug(vm->log, "lua release ngx.ctx at ref %d", run->ctx_ref);
        bl_lua_vm_unref_ctx(vm, run->ctx_ref);
    }
    bl_generation *held = run->request ? NULL : vm->generation;
    run->data = vm->spare_runs;
    vm->spare_runs = run;
    bl_lua_vm_drop(vm);
    if (held)
        bl_generation_drop(held);
}

/* Tells its starter, once no frame of the scheduler works on it any more. */
static void leave(bl_run *run)
{
    if (--run->depth == 0 && run->over && run->done)
        run->done(run);
}

void bl_run_end(bl_run *run, bl_outcome outcome, int status)
{
    if (run->over)
        return;
    run->outcome = outcome;
    run->status = status;
    kill_tasks(run);
    run->depth++;
    leave(run);
}

bool bl_run_start(bl_run *run, int args)
{
    void (*done)(bl_run *) = run->done;

    run->done = NULL;
    run_task(run->entry, args);
    run->done = done;
    return run->over;
}

/* ------------------------------------------------------------- running */

/* Nobody else of those that the task's waiter waits for has to wake it. */
static void forget_others(bl_task *task)
{
    bl_task *waiter = task->waiter;
    int left = waiter->awaited - 1;

    task->waiter = NULL;
    BL_LIST_EACH (it, &task->run->tasks) {
        bl_task *other = BL_CONTAINER(it, bl_task, sibling);
        if (left == 0)
            break;
        if (other->waiter != waiter)
            continue;
        other->waiter = NULL;
        left--;
    }
    waiter->awaited = 0;
}

static void wake_waiter(bl_task *task)
{
    bl_task *waiter = task->waiter;

    forget_others(task);
    bl_wait_end(&waiter->own, bl_task_join(task, waiter->L));
}

/* Children of an ended task: nobody can ask for their results any more. */
static void orphan(bl_run *run, bl_task *parent)
{
    if (parent->children == 0)
        return;
    BL_LIST_EACH_SAFE (it, &run->tasks) {
        bl_task *child = BL_CONTAINER(it, bl_task, sibling);
        if (child->parent != parent)
            continue;
        child->parent = NULL;
        parent->children--;
        if (child->state == BL_TASK_ZOMBIE)
            bl_task_bury(child);
    }
}

static void ended(bl_task *task, int results)
{
    bl_run *run = task->run;

    task->state = BL_TASK_ZOMBIE;
    task->results = results;
    if (BL_LIKELY(--run->alive == 0)) {
        run->over = true;
        return;
    }
    orphan(run, task);
    if (task->waiter)
        wake_waiter(task);
    else if (!task->entry && task->parent == NULL)
        bl_task_bury(task);
}

static void failed(bl_task *task)
{
    bl_run *run = task->run;

    task->failed = true;
    if (task->entry) {
        run->outcome = BL_RUN_ERROR;
        kill_tasks(run);
        return;
    }
    ended(task, 1);
}

/* A new light thread runs at once; its parent goes on in its turn. */
static void give_way(bl_task *parent)
{
    bl_run *run = parent->run;
    bl_task *child = run->spawned;

    run->spawned = NULL;
    lua_pushthread(child->L);
    lua_xmove(child->L, parent->L, 1);
    parent->state = child->state = BL_TASK_READY;
    parent->results = 1;
    bl_list_unshift(&run->posted, &child->link);
    bl_list_push(&run->posted, &parent->link);
}

/* Once into Lua and out. */
static void resume(bl_task *task, int args)
{
    bl_run *run = task->run;
    bl_lua_here outer = bl_lua_now;

    bl_lua_now = (bl_lua_here){task, run->request, run->phase, BL_PENDING_NONE, run->vm};
    task->state = BL_TASK_RUNNING;
    task->own.lost = NULL;
    bl_watch_enter();
    int code = lua_resume(task->L, args);
    bl_watch_leave(task->L, outer.task != NULL);
    int pending = bl_lua_now.pending;
    bl_lua_now.pending = BL_PENDING_NONE;
    if (BL_UNLIKELY(code > LUA_YIELD))
        bl_fault_report(task);
    bl_lua_now = outer;
    if (code == 0) {
        ended(task, lua_gettop(task->L));
    } else if (code != LUA_YIELD) {
        failed(task);
    } else if (pending == BL_PENDING_END) {
        kill_tasks(run);
    } else if (pending == BL_PENDING_WAIT) {
        task->state = BL_TASK_WAITING;
    } else if (pending == BL_PENDING_SPAWN) {
        give_way(task);
    } else if (pending == BL_PENDING_NONE) {
        lua_settop(task->L, 0);
        bl_task_ready(task, 0);
    }
}

/* The tasks of a run that can go on do so, in turn, before the process does anything else; but not
 * for ever, lest others starve. */
static void run_posted(bl_run *run)
{
    for (int turns = 0; !run->over && !bl_list_empty(&run->posted); turns++) {
        bl_task *task = BL_LIST_FIRST(&run->posted, bl_task, link);
        bl_list_remove(&task->link);
        if (turns < TURNS_MAX)
            resume(task, task->results);
        else
            enqueue(task);
    }
}

static void run_task(bl_task *task, int args)
{
    bl_run *run = task->run;

    run->depth++;
    resume(task, args);
    run_posted(run);
    leave(run);
}

static void run_ready(bl_work *work)
{
    bl_lua_vm *vm = BL_CONTAINER(work, bl_lua_vm, work);
    bl_link now;

    bl_list_init(&now);
    bl_list_splice(&now, &vm->ready);
    bl_generation *generation = bl_generation_hold(vm->generation);
    vm->refs++;
    while (!bl_list_empty(&now)) {
        bl_task *task = BL_LIST_FIRST(&now, bl_task, link);
        bl_list_remove(&task->link);
        run_task(task, task->results);
    }
    bl_lua_vm_drop(vm);
    bl_generation_drop(generation);
}

/* To the queue of the VM: the end of the loop's turn. */
static void enqueue(bl_task *task)
{
    bl_lua_vm *vm = task->run->vm;

    bl_list_push(&vm->ready, &task->link);
    vm->work.run = run_ready;
    bl_work_post(&vm->work);
}

void bl_task_ready(bl_task *task, int results)
{
    task->state = BL_TASK_READY;
    task->results = results;
    if (task->run->depth > 0)
        bl_list_push(&task->run->posted, &task->link);
    else
        enqueue(task);
}

void bl_task_wake(bl_task *task, int results)
{
    BL_CHECK(task, BL_TASK_MAGIC);
    if (bl_lua_now.task || task->run->depth > 0)
        bl_task_ready(task, results);
    else
        run_task(task, results);
}

/* Whether a task of the run waits for something that can't be given up. */
static bool has_unstoppable(const bl_run *run)
{
    BL_LIST_EACH (it, &run->tasks) {
        const bl_wait *wait = BL_CONTAINER(it, bl_task, sibling)->wait;
        if (wait && wait->unstoppable)
            return true;
    }
    return false;
}

static bool breaks_off(bl_outcome outcome, int status)
{
    return outcome == BL_RUN_EXIT &&
           (status == -1 || status == 408 || status == 444 || status == 499);
}

int bl_task_end(lua_State *L, bl_outcome outcome, int status)
{
    bl_run *run = bl_lua_now.task->run;

    if (!lua_isyieldable(L))
        return luaL_error(L, "attempt to yield across C-call boundary");
    if (run->alive > 1 && !breaks_off(outcome, status) && has_unstoppable(run))
        return luaL_error(L, "attempt to abort with pending subrequests");
    run->outcome = outcome;
    run->status = status;
    bl_lua_now.pending = BL_PENDING_END;
    return lua_yield(L, 0);
}

void bl_task_give_up(void)
{
    bl_task *task = bl_lua_now.task;
    bl_run *run = task->run;
    int pending = bl_lua_now.pending;

    bl_lua_now.pending = BL_PENDING_NONE;
    detach(task);
    if (pending == BL_PENDING_SPAWN) {
        bl_task *child = run->spawned;
        run->spawned = NULL;
        bl_task_kill(child);
    } else if (pending == BL_PENDING_END) {
        run->outcome = BL_RUN_RETURNED;
        run->status = 0;
    }
}

/* ------------------------------------------------------------- light threads */

/* An error raised in code of the configuration itself is told without its place, which stands in
 * the error log: programs compare such messages. */
static void strip_place(lua_State *L)
{
    static const char mark[] = "_by_lua(";
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    const char *at = strstr(text, mark);
    size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyz_");

    if (at == NULL || text + word != at + sizeof mark - 2 || (at = strstr(at, "):")) == NULL)
        return;
    at += 2;
    at += strspn(at, "0123456789");
    if (at[0] != ':' || at[1] != ' ')
        return;
    lua_pushstring(L, at + 2);
    lua_remove(L, -2);
}

int bl_task_join(bl_task *task, lua_State *to)
{
    int count = task->results;

    BL_ASSERT(task->state == BL_TASK_ZOMBIE);
    lua_checkstack(to, count + 1);
    lua_pushboolean(to, !task->failed);
    lua_xmove(task->L, to, count);
    if (task->failed)
        strip_place(to);
    bl_task_bury(task);
    return count + 1;
}

bl_task *bl_task_add(bl_run *run, lua_State *from, int args)
{
    bl_task *task = new_task(run->vm);

    join(run, task);
    lua_checkstack(task->L, args + 1);
    lua_xmove(from, task->L, args + 1);
    return task;
}

bl_task *bl_task_spawn(lua_State *L, int args)
{
    bl_task *task = bl_task_add(bl_lua_now.task->run, L, args);

    task->parent = bl_lua_now.task;
    task->parent->children++;
    task->results = args;
    return task;
}

void bl_task_kill(bl_task *task)
{
    bl_run *run = task->run;

    detach(task);
    orphan(run, task);
    run->alive--;
    task->state = BL_TASK_DEAD;
    bl_task_bury(task);
}
