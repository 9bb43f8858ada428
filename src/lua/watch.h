/* The watchdog for blocking code: Lua that holds the event loop is named in the error log
 * (lua_block_warn), and ended when it holds it for very long (lua_block_abort).
 *
 *      worker's thread                           watcher's thread, every warn / 8
 *      ---------------                           --------------------------------
 *      bl_watch_enter: turn++ ──────────────────> the turn it saw before? in Lua? since when?
 *      Lua …                                        longer than warn:  notice WARN,  SIGPROF ─┐
 *        safe point: traceback, log   <──────────────────────────────────────────────────────┤
 *                                                   longer than abort: notice ABORT, SIGVTALRM ┤
 *        next instruction: error      <─────────────────────────────────────────────────────┘
 *      bl_watch_leave: turn++, log "after … ms"
 *
 * While nothing blocks, that is two stores and two tests a resume, and no signal. The watcher goes
 * to sleep when the worker is idle, and is woken by the next resume.
 *
 * The safe point is LuaJIT's: SIGPROF is the signal of its sampling profiler, which is started here
 * without its timer, and told to put a test into every compiled loop: so compiled code without end
 * gets there, too. Where no safe point comes (a call of the system that takes its time) the report
 * has no traceback. A place that blocks is reported once a minute. A worker that the machine is too
 * busy to run is not blocked: it is sleeping in the kernel or burning processor time, or there is
 * no report. */
#ifndef BL_LUA_WATCH_H
#define BL_LUA_WATCH_H

#include "lua/vm.h"

#include <stdatomic.h>

enum {
    BL_WATCH_PARKED = 1, /* the watcher sleeps, or is about to */
    BL_WATCH_WARN = 2,   /* the accused turn has been too long */
    BL_WATCH_SAID = 4,   /* that was logged; its end will be, too */
    BL_WATCH_ABORT = 8,  /* it has to end */
};

typedef struct bl_watch {
    /* Of the scheduler: two more whenever it enters or leaves Lua; the lowest bit says that Lua
     * runs. */
    _Atomic uint64_t turn;
    _Atomic int notice; /* BL_WATCH_… */
} bl_watch;

extern bl_watch bl_watch_now;

/* Watches this process from now on, after fork(); with `warn` and `abort` (ms) both 0 nothing is
 * watched. */
void bl_watch_start(bl_lua_vm *vm, int64_t warn, int64_t abort);
/* One VM at a time is interrupted: this one. When one of a request's own goes, it is the
 * generation's again. */
void bl_watch_attach(bl_lua_vm *vm);
void bl_watch_detach(const bl_lua_vm *vm);

/* From now on bl_watch_break works, whatever is watched. */
void bl_watch_breakable(bl_lua_vm *vm);
/* In a signal handler, while Lua runs: `hook` is called before its next instruction, in compiled
 * code too. The hook takes itself away. */
void bl_watch_break(lua_State *L, lua_Hook hook);

void bl_watch_attend_enter(void);
void bl_watch_attend_leave(lua_State *L);

/* The scheduler enters Lua; the watcher only reads the turn, so that it takes no locked
 * instruction. */
static inline void bl_watch_enter(void)
{
    uint64_t turn = atomic_load_explicit(&bl_watch_now.turn, memory_order_relaxed);

    atomic_store_explicit(&bl_watch_now.turn, (turn + 2) | 1, memory_order_relaxed);
    if (BL_UNLIKELY(atomic_load_explicit(&bl_watch_now.notice, memory_order_relaxed)))
        bl_watch_attend_enter();
}

/* It has left the coroutine L; `inside`: another one, further out, goes on. */
static inline void bl_watch_leave(lua_State *L, bool inside)
{
    uint64_t turn = atomic_load_explicit(&bl_watch_now.turn, memory_order_relaxed);

    if (BL_UNLIKELY(atomic_load_explicit(&bl_watch_now.notice, memory_order_relaxed)))
        bl_watch_attend_leave(L);
    turn = ((turn + 2) & ~UINT64_C(1)) | inside;
    atomic_store_explicit(&bl_watch_now.turn, turn, memory_order_relaxed);
}

#endif
