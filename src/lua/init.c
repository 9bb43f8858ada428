#include "lua/init.h"
#include "lua/api/events.h"
#include "lua/api/errlog.h"
#include "lua/api/timer.h"
#include "lua/module.h"
#include "lua/reload.h"
#include "os/signal.h"
#include "lua/watch.h"
#include "process/process.h"
#include "process/stats.h"

static void drop_vm(void *data)
{
    bl_lua_events_leave(data);
    bl_lua_vm_drop(data);
}

/* A run without a request; false: it ended with an error, or its code could not be loaded. */
static bool run_code(bl_lua_vm *vm, bl_lua_code *code, uint32_t phase, void (*done)(bl_run *run))
{
    if (code == NULL)
        return true;
    bl_run *run = bl_run_new(vm, NULL, phase, done);
    int status = bl_lua_code_push(code, vm, NULL, run->entry->L);
    if (status == 0 && !bl_run_start(run, 0) && done)
        return true;
    bool ok = status == 0 && run->outcome != BL_RUN_ERROR;
    bl_run_free(run);
    return ok;
}

bool bl_lua_init_vm(bl_lua_vm *vm, bl_log *log BL_UNUSED)
{
    bool ok = run_code(vm, bl_lua_main_of(vm->generation)->init, BL_LUA_INIT, NULL);

    if (!bl_opts.tool) /* a script's globals are its own */
        bl_lua_vm_guard_globals(vm);
    return ok;
}

bool bl_lua_init_open(bl_generation *g)
{
    bl_lua_errlog_capture((size_t)bl_lua_main_of(g)->error_log_size);
    if (!bl_lua_main_of(g)->used)
        return true;
    bl_lua_vm *vm = bl_lua_vm_new(g, &bl_log_process);
    if (vm == NULL)
        return false;
    g->lua = vm;
    if (bl_lua_main_of(g)->watch)
        bl_lua_reload_watch(vm);
    bl_pool_cleanup(g->pool, drop_vm, vm);
    return bl_lua_init_vm(vm, vm->log);
}

static void take_memory(void)
{
    const bl_lua_vm *vm = bl_lua_vm_of(bl_current);

    if (vm)
        bl_stats_mine->lua_bytes = (uint64_t)lua_gc(vm->L, LUA_GCCOUNT, 0) * 1024;
}

bool bl_lua_init_worker_start(bl_generation *g)
{
    bl_lua_vm *vm = bl_lua_vm_of(g);
    const bl_lua_main *main = bl_lua_main_of(g);

    if (vm && !main->sa_restart)
        bl_signal_restart(false);
    if (vm) {
        bl_watch_start(vm, main->block_warn, main->block_abort);
        bl_lua_events_join(vm);
        bl_process_sample_hook = take_memory;
        run_code(vm, main->init_worker, BL_LUA_INIT_WORKER, bl_run_free);
    }
    return true;
}

void bl_lua_init_worker_quit(bl_generation *g)
{
    bl_lua_vm *vm = bl_lua_vm_of(g);

    bl_link kin;

    if (vm == NULL)
        return;
    bl_lua_timers_abort(vm);
    bl_list_init(&kin);
    bl_list_splice(&kin, &vm->kin);
    while (!bl_list_empty(&kin)) {
        bl_lua_vm *own = bl_lua_vm_hold(BL_LIST_FIRST(&kin, bl_lua_vm, kin));
        bl_list_remove(&own->kin);
        bl_list_push(&vm->kin, &own->kin);
        bl_lua_timers_abort(own);
        bl_lua_vm_drop(own);
    }
}

void bl_lua_init_worker_stop(bl_generation *g)
{
    bl_lua_vm *vm = bl_lua_vm_of(g);

    if (vm == NULL)
        return;
    vm->exiting = true;
    run_code(vm, bl_lua_main_of(g)->exit_worker, BL_LUA_EXIT_WORKER, NULL);
    bl_lua_events_leave(vm);
}
