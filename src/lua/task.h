/* Tasks: what runs Lua. The one scheduler of the Lua room (bet 3).
 *
 *   bl_run    one run of a handler (access_by_lua of a request, a timer's callback, init_worker):
 *             the entry task and the light threads that it spawned. Over when all have ended, or
 *             when one of them ends it for all (ngx.exit, ngx.exec, an error of the entry).
 *   bl_task   one Lua coroutine that the scheduler resumes: an entry, or a light thread.
 *   bl_wait   what a suspended task waits for: wait.h.
 *
 *            bl_run_start                     bl_wait_begin (lua_yield)
 *   new ───────────────────> running ─────────────────────────────────> waiting
 *                              │  ^                                        │ bl_wait_end
 *                   returns,   │  └──────── ready (run queue) <────────────┤ from within Lua
 *                   error,exit v  └────────────────────────────────────────┘ from the event loop
 *                             dead
 *
 * Lua is resumed by bl_task code alone. At most one task runs at a time in a process; it is
 * bl_lua_now.task. (A filter's run may be nested inside the task that sends: then bl_lua_now is put
 * back behind it.) No exdata, no registry look-up: an API function finds everything there.
 *
 * HOW AN API FUNCTION IS WRITTEN
 *
 *   Request, task.   bl_request *r = bl_lua_request(L, BL_LUA_REAL);    phase gate, raises the
 *                                                                       documented errors
 *                    bl_task *task = bl_lua_now.task;                   never NULL while Lua runs
 *   Through the FFI: C functions that neither call Lua nor raise errors; they read bl_lua_now and
 *                    return codes; the Lua side (lualib/resty/core) raises errors.
 *   Waiting.         In a lua_CFunction only:
 *
 *                        bl_task *task = bl_task_may_wait(L);      raises where waiting can't be
 *                        ... start the operation; has it completed already? push results, return n
 *                        w->cancel = forget;                       unlinks w; called when killed
 *                        w->expire = push_timeout;                 pushes results, returns count
 *                        return bl_wait_begin(w, L, ms);           ms < 0: without limit
 *
 *   Waking.          In a callback of the event loop (or in another task's API function):
 *
 *                        lua_State *to = bl_wait_stack(w);
 *                        push results on `to`
 *                        bl_wait_end(w, count);    LAST: the task runs in it; everything, w and the
 *                                                  request too, may be gone afterwards
 *
 *                    From a callback the task is resumed at once; from within Lua it is queued and
 *                    runs at the end of the loop's turn. The waker need not know which.
 *   Ending the run.  bl_task_end(L, outcome, status): what ngx.exit does; `return` it.
 *
 * Yielding through user coroutines (bet 2). Where the function that waits runs inside coroutines of
 * the user, lua_yield only gets to the nearest coroutine.resume. bl_lua_now.pending is set then:
 * the wrapper around resume sees it and yields in its turn, up to the scheduler; resumed, it
 * resumes its child with what it was given. API functions need not care. */
#ifndef BL_LUA_TASK_H
#define BL_LUA_TASK_H

#include "core/list.h"
#include "http/request.h"
#include "lua/wait.h"

#include <lauxlib.h>
#include <lua.h>

typedef struct bl_lua_vm bl_lua_vm;
typedef struct bl_run bl_run;

/* Phases, with the numbers that ngx.get_phase's users know. */
enum {
    BL_LUA_SET = 0x1,
    BL_LUA_REWRITE = 0x2,
    BL_LUA_ACCESS = 0x4,
    BL_LUA_CONTENT = 0x8,
    BL_LUA_LOG = 0x10,
    BL_LUA_HEADER_FILTER = 0x20,
    BL_LUA_BODY_FILTER = 0x40,
    BL_LUA_TIMER = 0x80,
    BL_LUA_INIT_WORKER = 0x100,
    BL_LUA_BALANCER = 0x200,
    BL_LUA_SSL_CERT = 0x400,
    BL_LUA_SSL_SESSION_STORE = 0x800,
    BL_LUA_SSL_SESSION_FETCH = 0x1000,
    BL_LUA_EXIT_WORKER = 0x2000,
    BL_LUA_SSL_CLIENT_HELLO = 0x4000,
    BL_LUA_SERVER_REWRITE = 0x8000,
    BL_LUA_PROXY_SSL_VERIFY = 0x10000,
    BL_LUA_PRECONTENT = 0x20000,
    BL_LUA_PROXY_SSL_CERT = 0x40000,
    BL_LUA_INIT = 0x80000,

    /* Sets for gates. */
    BL_LUA_HANDLERS =
        BL_LUA_SERVER_REWRITE | BL_LUA_REWRITE | BL_LUA_ACCESS | BL_LUA_PRECONTENT | BL_LUA_CONTENT,
    BL_LUA_REAL = BL_LUA_SET | BL_LUA_HANDLERS | BL_LUA_HEADER_FILTER | BL_LUA_BODY_FILTER |
                  BL_LUA_LOG | BL_LUA_BALANCER | BL_LUA_PROXY_SSL_CERT | BL_LUA_PROXY_SSL_VERIFY,
    BL_LUA_ANY = 0xfffff,
    /* Where the loop runs and a task may wait. */
    BL_LUA_WAITING = BL_LUA_ANY & ~(BL_LUA_INIT | BL_LUA_EXIT_WORKER),
};

/* "access_by_lua*" … "ngx.timer", for messages; and "access" … "timer", ngx.get_phase's words. */
const char *bl_lua_phase_context(uint32_t phase);
const char *bl_lua_phase_word(uint32_t phase);

/* What runs now; Lua reads it through the FFI (`ffi.C.bl_lua_now`, declared in
 * lualib/resty/core/base.lua: keep the two alike). All NULL and zero while no Lua runs. */
typedef struct bl_lua_here {
    bl_task *task;
    bl_request *request; /* NULL: none (timer, init_worker, init) */
    uint32_t phase;
    int pending; /* a task yields to the scheduler, through all coroutines on the way: BL_PENDING_…
                  */
    bl_lua_vm *vm;
} bl_lua_here;

extern bl_lua_here bl_lua_now;

enum {
    BL_PENDING_NONE = 0,
    BL_PENDING_WAIT,  /* for task->wait */
    BL_PENDING_END,   /* the run is to end: run->outcome */
    BL_PENDING_SPAWN, /* for run->spawned, which runs first */
};

/* How a run ended. */
typedef enum bl_outcome {
    BL_RUN_RETURNED, /* all of its tasks returned */
    BL_RUN_EXIT,     /* ngx.exit(status), redirect; status BL_RUN_STATUS_… below zero too */
    BL_RUN_JUMP,     /* ngx.exec, set_uri with jump: what to do next stands in `jump` */
    BL_RUN_ERROR,    /* a Lua error in the entry (logged), or it could not be loaded */
    BL_RUN_KILLED,   /* from outside */
} bl_outcome;

typedef enum bl_task_state {
    BL_TASK_NEW,
    BL_TASK_READY,
    BL_TASK_RUNNING,
    BL_TASK_WAITING,
    BL_TASK_ZOMBIE, /* ended; its parent has not asked for the results yet */
    BL_TASK_DEAD,
} bl_task_state;

enum {
    BL_TASK_MAGIC = 0x7461736b
};

struct bl_task {
    uint32_t magic;
    bl_task_state state;
    lua_State *L;
    int ref;     /* of L in the VM's table of threads */
    int results; /* values on L to resume it with (ready), or that it returned (zombie) */
    bool entry;
    bool failed; /* ended by an error: the message is the one value on L */
    bl_run *run;
    lua_State *spawner; /* of a light thread: the coroutine that may wait for it */
    bl_task *parent;    /* of a light thread; NULL once the parent has ended */
    int children;       /* whose parent it is */
    int awaited;        /* tasks whose waiter it is */
    bl_wait *wait;      /* what it waits for; NULL when ready */
    bl_wait own;        /* for API functions that have no object of their own (sleep) */
    bl_task *waiter;    /* the task that waits for this one's end (thread.wait) */
    bl_link link;       /* in the VM's run queue */
    bl_link sibling;    /* in run->tasks; the VM's cache links here too */
};

struct bl_run {
    bl_lua_vm *vm;
    bl_request *request; /* NULL: none */
    uint32_t phase;
    bl_outcome outcome;
    int status; /* of BL_RUN_EXIT */
    bool over;
    int depth;        /* frames of the scheduler that work on it */
    int alive;        /* tasks that have not ended */
    bl_task *spawned; /* to be run before its parent goes on */
    bl_link posted;   /* bl_task.link: those that go on before the scheduler leaves the run */
    bl_task *entry;
    bl_link tasks;                /* bl_task.sibling, zombies too */
    bl_task *on_abort;            /* the task that waits for the client's going away, or NULL */
    bl_step (*jump)(bl_run *run); /* BL_RUN_JUMP: performs it, returns the step */
    bl_str jump_uri, jump_args;
    /* Called when it is over, unless that was already so when bl_run_start returned. The run is
     * given back by the one who started it: bl_run_free. */
    void (*done)(bl_run *run);
    void *data;
    bl_conn *conn;               /* whose handshake it is for, without a request; NULL: none */
    const bl_location *location; /* whose settings count, without a request; NULL: http{}'s */
    bl_log *log;                 /* without a request; NULL: the VM's */
    const char *origin;          /* for the log, without a request: "client: …"; NULL: nobody's */
    int ctx_ref;                 /* of its ngx.ctx, without a request */
    bl_link sockets; /* bl_socket.link: its own, without a request; not made until there is one */
};

/* A run for a request (NULL: none), with an entry task from the VM's cache. Push the function and
 * its arguments on run->entry->L, then start. */
bl_run *bl_run_new(bl_lua_vm *vm, bl_request *r, uint32_t phase, void (*done)(bl_run *run));
/* Runs until it waits or is over. True: over, `done` will not be called. `args` stand on the
 * entry's stack above the function. */
bool bl_run_start(bl_run *run, int args);
/* Ends it from outside, as bl_task_end does from inside; `done` is called. */
void bl_run_end(bl_run *run, bl_outcome outcome, int status);
/* Also kills what is left of it; `done` is not called any more. Not from within itself. */
void bl_run_free(bl_run *run);

/* Where it logs. */
bl_log *bl_run_log(const bl_run *run);

/* Number of values that the entry returned; they stand on run->entry->L until bl_run_free. */
static inline int bl_run_results(const bl_run *run)
{
    return run->entry->results;
}

/* --- for API functions --- */

/* The current request, if the phase is one of `phases`. Raises "API disabled in the context of
 * …" otherwise, "no request found" without one. */
bl_request *bl_lua_request(lua_State *L, uint32_t phases);
/* The gate alone. */
void bl_lua_gate(lua_State *L, uint32_t phases);

/* The current task, if it may wait here. Raises where it can't: phases without a loop, and below a
 * C function that can't be suspended (table.sort's comparison, string.gsub's replacement). */
bl_task *bl_task_may_wait(lua_State *L);

/* Ends the current task's run; what it returns the API function has to return. */
int bl_task_end(lua_State *L, bl_outcome outcome, int status);

/* Takes back what the current task was about to suspend itself for (pending): its yield can't reach
 * the scheduler. */
void bl_task_give_up(void);

/* A light thread of the current run; the function and `args` arguments are moved from the top of L.
 * NULL never; runs when the scheduler comes to it (bl_task_ready). */
bl_task *bl_task_spawn(lua_State *L, int args);
/* The same for any run; the function and `args` arguments come from the top of `from`. No parent.
 */
bl_task *bl_task_add(bl_run *run, lua_State *from, int args);
/* To the run queue; `results` values stand on task->L. */
void bl_task_ready(bl_task *task, int results);
/* Resumes a task that waited: at once, or from the queue when called from within Lua. */
void bl_task_wake(bl_task *task, int results);
/* Ends one light thread, without results. */
void bl_task_kill(bl_task *task);
/* Its results have been fetched, or nobody will: its coroutine goes back. */
void bl_task_bury(bl_task *task);
/* The results of a light thread that has ended (a zombie): true or false and its values, on `to`;
 * their number. It is buried. */
int bl_task_join(bl_task *task, lua_State *to);
/* The task of a coroutine, or NULL when it is a plain one. */
bl_task *bl_task_of(lua_State *L, lua_State *co);

#endif
