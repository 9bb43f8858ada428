/* A wait: the one thing that a suspended task waits for (bet 3), whatever it is: a deadline, a
 * socket, a subrequest, another task, a semaphore, an answer from the resolver. It stands inside
 * the object that is waited for (or is task->own) and is armed while a task waits.
 *
 *   bl_wait_begin ──> armed ── bl_wait_end ───────> resumed with the results that were pushed
 *                       ├───── deadline: expire ──> resumed with what expire pushed
 *                       └───── killed: cancel ────> never resumed
 *
 * Exactly one of the three happens. An unarmed wait is zeroed or has task == NULL. */
#ifndef BL_LUA_WAIT_H
#define BL_LUA_WAIT_H

#include "event/timer.h"

#include <lua.h>

typedef struct bl_task bl_task;
typedef struct bl_wait bl_wait;

struct bl_wait {
    bl_task *task;    /* NULL: not armed */
    bool unstoppable; /* can't be given up (a subrequest): the light thread is not killed */
    bl_timer timer;
    /* The task is killed: forget it (unlink, give up the operation). May be NULL. Must not run Lua.
     * The wait is disarmed already. */
    void (*cancel)(bl_wait *w);
    /* The deadline has come: gives up the operation, pushes results on L and returns their number.
     * Needed with a deadline only. The wait is disarmed already. */
    int (*expire)(bl_wait *w, lua_State *L);
    /* The task is killed when the wait is over but before it could go on: takes back what it was
     * given. Of task->own only, which lives that long; set before bl_wait_end. Must not run Lua. */
    void (*lost)(bl_wait *w);
    void *object; /* its owner's */
};

/* Suspends the running task: `return bl_wait_begin(w, L, ms)` in a lua_CFunction that has called
 * bl_task_may_wait. `ms` < 0: without a deadline. */
int bl_wait_begin(bl_wait *w, lua_State *L, int64_t ms);

/* Moves the deadline of an armed wait: `ms` from now; < 0: without one. */
void bl_wait_deadline(bl_wait *w, int64_t ms);

static inline bool bl_wait_armed(const bl_wait *w)
{
    return w->task != NULL;
}

/* Where the results go. */
lua_State *bl_wait_stack(const bl_wait *w);

/* The wait is over; `results` values were pushed on its stack. The last thing its caller does. */
void bl_wait_end(bl_wait *w, int results);

/* The same for those that must not run Lua: the task goes on later. */
void bl_wait_end_later(bl_wait *w, int results);

/* nil and a message: the usual failure. */
void bl_wait_fail(bl_wait *w, const char *error);

/* The scheduler's: the task is killed. */
void bl_wait_cancel(bl_wait *w);

#endif
