#include "lua/wait.h"
#include "lua/task.h"
#include "lua/vm.h"

static void disarm(bl_wait *w)
{
    bl_timer_stop(&w->timer);
    w->task->wait = NULL;
    w->task = NULL;
}

static void on_deadline(bl_timer *timer)
{
    bl_wait *w = BL_CONTAINER(timer, bl_wait, timer);
    bl_task *task = w->task;

    disarm(w);
    bl_task_wake(task, w->expire(w, task->L));
}

void bl_wait_deadline(bl_wait *w, int64_t ms)
{
    if (ms < 0) {
        bl_timer_stop(&w->timer);
        return;
    }
    w->timer.fire = on_deadline;
    bl_timer_set(&w->timer, (uint64_t)ms);
}

int bl_wait_begin(bl_wait *w, lua_State *L, int64_t ms)
{
    bl_task *task = bl_lua_now.task;

    BL_ASSERT(w->task == NULL && task->wait == NULL);
    w->task = task;
    task->wait = w;
    if (ms >= 0)
        bl_wait_deadline(w, ms);
    bl_lua_now.pending = BL_PENDING_WAIT;
    return lua_yield(L, 0);
}

lua_State *bl_wait_stack(const bl_wait *w)
{
    return w->task->L;
}

void bl_wait_end(bl_wait *w, int results)
{
    bl_task *task = w->task;

    disarm(w);
    bl_task_wake(task, results);
}

void bl_wait_end_later(bl_wait *w, int results)
{
    bl_task *task = w->task;

    disarm(w);
    bl_task_ready(task, results);
}

void bl_wait_fail(bl_wait *w, const char *error)
{
    lua_State *L = bl_wait_stack(w);

    lua_pushnil(L);
    lua_pushstring(L, error);
    bl_wait_end(w, 2);
}

void bl_wait_cancel(bl_wait *w)
{
    disarm(w);
    if (w->cancel)
        w->cancel(w);
}
