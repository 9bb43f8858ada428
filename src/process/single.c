#include "process/single.h"
#include "event/listener.h"
#include "os/signal.h"
#include "process/core.h"
#include "process/pidfile.h"
#include "process/process.h"
#include "process/stats.h"
#include "process/worker.h"

static void reload(void)
{
    bl_generation *before = bl_current;

    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "reconfiguring");
    bl_generation *g = bl_generation_load(&bl_opts, before);
    if (g && bl_process_open(g, before)) {
        bl_listeners_stop(before);
        bl_process_switch(g, before);
        bl_generation_quit_worker(before);
        if (!bl_generation_start_worker(g) || !bl_listeners_start(g, 0))
            bl_terminating = true;
        bl_generation_drop(before);
        return;
    }
    bl_log_write(BL_LOG_ERR, &bl_log_process, 0,
                 "the new configuration is not used, the old one serves on");
    if (g)
        bl_generation_drop(g);
}

static void take_signals(void)
{
    pid_t from;

    if (bl_signal_take(SIGTERM, &from) || bl_signal_take(SIGINT, &from))
        bl_terminating = true;
    if (bl_signal_take(SIGQUIT, &from))
        bl_worker_quit(bl_current);
    if (bl_signal_take(SIGHUP, &from) && !bl_quitting)
        reload();
    if (bl_signal_take(SIGUSR1, &from)) {
        bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "reopening logs");
        bl_process_reopen(bl_current);
    }
    if (bl_signal_take(SIGCHLD, &from) && bl_process_child_hook)
        bl_process_child_hook();
    if (bl_signal_take(SIGURG, &from) && bl_process_wake_hook)
        bl_process_wake_hook();
}

int bl_single_run(void)
{
    bl_process = BL_PROCESS_SINGLE;
    bl_stats_attach(0);
    if (!bl_worker_start(bl_current, 0) || !bl_worker_watch_signals(take_signals))
        return 2;
    take_signals();
    while (bl_worker_turn())
        ;
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "exiting");
    bl_worker_stop(bl_current);
    bl_listeners_close(bl_current, NULL);
    bl_pidfile_remove(bl_core_of(bl_current)->pid.p);
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "exit");
    return 0;
}
