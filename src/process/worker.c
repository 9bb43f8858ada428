#include "process/worker.h"
#include "event/listener.h"
#include "event/thread_pool.h"
#include "os/affinity.h"
#include "os/limits.h"
#include "os/signal.h"
#include "os/title.h"
#include "process/core.h"
#include "process/process.h"
#include "process/program.h"
#include "process/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LAST_MOMENT_MS = 1000, /* from the end of worker_shutdown_timeout to the process's */
};

static bl_io signal_io;
static void (*signals_arrived)(void);
static bl_timer shutdown_timer;

static void say(bl_log_level level, int err, const char *what)
{
    if (err)
        bl_log_write(level, &bl_log_process, err, "%s failed", what);
}

bool bl_worker_is_agent(const bl_generation *g, int number)
{
    return g->agent_connections > 0 && number == bl_core_of(g)->workers;
}

/* Failures are said and lived with, except for the user: a worker never serves as root by
 * accident. */
static bool take_limits(const bl_core_settings *core, int number)
{
    const char *what;
    cpu_set_t cpus;

    if (core->priority)
        say(BL_LOG_ALERT, bl_limits_priority(core->priority), "setpriority()");
    if (core->rlimit_nofile)
        say(BL_LOG_ALERT, bl_limits_files(core->rlimit_nofile), "setrlimit(RLIMIT_NOFILE)");
    if (core->rlimit_core >= 0)
        say(BL_LOG_ALERT, bl_limits_core(core->rlimit_core), "setrlimit(RLIMIT_CORE)");
    if (bl_core_affinity(core, number, &cpus) && !bl_affinity_set(&cpus))
        say(BL_LOG_ALERT, errno, "sched_setaffinity()");
    if (geteuid() == 0 && core->user_name.len && bl_process != BL_PROCESS_AGENT) {
        int err = bl_limits_user(core->user_name.p, core->user, core->group, &what);
        say(BL_LOG_EMERG, err, what);
        if (err)
            return false;
    }
    if (core->working_directory.len && chdir(core->working_directory.p) != 0)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "chdir(\"%s\") failed",
                     core->working_directory.p);
    return true;
}

static void on_signal(bl_io *io BL_UNUSED)
{
    bl_signal_drain();
    signals_arrived();
}

bool bl_worker_watch_signals(void (*arrived)(void))
{
    signals_arrived = arrived;
    signal_io = (bl_io){.level = true, .on_read = on_signal};
    if (bl_io_add(&signal_io, bl_signal_fd()))
        return true;
    say(BL_LOG_ALERT, errno, "watching signals");
    return false;
}

bool bl_worker_start(bl_generation *g, int number)
{
    const bl_events_settings *events = bl_events_of(g);
    bool agent = bl_worker_is_agent(g, number);

    bl_worker = agent ? -1 : number;
    if (!bl_loop_open(events->use, (int)events->events)) {
        say(BL_LOG_EMERG, errno, "opening the event loop");
        return false;
    }
    bl_conn_limit((unsigned)(agent ? g->agent_connections : events->connections));
    bl_loop_resolution((uint64_t)bl_core_of(g)->timer_resolution);
    bl_panic_stops = bl_core_of(g)->debug_points == BL_DEBUG_POINTS_STOP;
    return bl_generation_start_worker(g) && (agent || bl_listeners_start(g, number));
}

static void give_up(bl_timer *timer BL_UNUSED)
{
    bl_terminating = true;
}

/* Requests get a moment to meet the end of their connections, and to be logged. */
static void out_of_time(bl_timer *timer)
{
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0,
                 "worker_shutdown_timeout has run out, %u connections are closed", bl_conn_used());
    bl_conn_shutdown_all();
    timer->fire = give_up;
    bl_timer_set(timer, LAST_MOMENT_MS);
}

void bl_worker_quit(bl_generation *g)
{
    int64_t timeout = bl_core_of(g)->shutdown_timeout;

    if (bl_quitting)
        return;
    bl_quitting = true;
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "gracefully shutting down");
    bl_listeners_stop(g);
    if (bl_process == BL_PROCESS_SINGLE)
        bl_listeners_close(g, NULL);
    else
        bl_listeners_release(g, NULL);
    if (timeout > 0) {
        shutdown_timer.fire = out_of_time;
        shutdown_timer.weak = true;
        bl_timer_set(&shutdown_timer, (uint64_t)timeout);
    }
    bl_generation_quit_worker(g);
}

static bool is_idle(void)
{
    return bl_conn_holding() == 0 && !bl_timer_any() && bl_thread_pool_busy() == 0;
}

static void count(void)
{
    static time_t sampled;

    bl_stats_mine->timers_fired = bl_timer_counted.fired;
    bl_stats_mine->timers_late_ms = bl_timer_counted.late_ms;
    if (BL_UNLIKELY(bl_clock_now.sec != sampled) && bl_process_sample_hook) {
        sampled = bl_clock_now.sec;
        bl_process_sample_hook();
    }
}

bool bl_worker_turn(void)
{
    if (bl_quitting)
        bl_conn_close_idle();
    if (bl_terminating || (bl_quitting && is_idle()))
        return false;
    bl_loop_turn(-1);
    count();
    return true;
}

void bl_worker_stop(bl_generation *g)
{
    bl_timer_stop(&shutdown_timer);
    bl_generation_stop_worker(g);
    bl_program_end();
    bl_loop_close();
}

static void take_signals(void)
{
    pid_t from;

    if (bl_signal_take(SIGTERM, &from) || bl_signal_take(SIGINT, &from))
        bl_terminating = true;
    /* First the logs: what is said about the end belongs into the new ones. */
    if (bl_signal_take(SIGUSR1, &from)) {
        bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "reopening logs");
        bl_process_reopen(bl_current);
    }
    if (bl_signal_take(SIGQUIT, &from)) {
        bl_title_set("nginx: worker process is shutting down");
        bl_worker_quit(bl_current);
    }
    if (bl_signal_take(SIGCHLD, &from) && bl_process_child_hook)
        bl_process_child_hook();
    if (bl_signal_take(SIGURG, &from) && bl_process_wake_hook)
        bl_process_wake_hook();
}

/* Who the process is. */
static void become(const bl_generation *g, int number)
{
    bool agent = bl_worker_is_agent(g, number);

    bl_process = agent ? BL_PROCESS_AGENT : BL_PROCESS_WORKER;
    bl_title_set(agent ? "nginx: privileged agent process" : "nginx: worker process");
}

static bool begin(bl_generation *g, int number)
{
    become(g, number);
    bl_clock_update();
    if (!bl_signal_open())
        return false;
    srandom((unsigned)(getpid() ^ (pid_t)bl_clock_now.sec ^ (pid_t)(bl_clock_now.msec << 20)));
    return take_limits(bl_core_of(g), number) && bl_worker_start(g, number) &&
           bl_worker_watch_signals(take_signals);
}

void bl_worker_main(bl_generation *g, int number, int ready_fd)
{
    if (!begin(g, number))
        exit(2);
    ssize_t ignored BL_UNUSED = write(ready_fd, "", 1);
    close(ready_fd);
    take_signals(); /* what came before the loop watched */
    while (bl_worker_turn())
        ;
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "exiting");
    bl_worker_stop(g);
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "exit");
    if (bl_thread_pool_busy()) /* they run on while exit() takes libraries down */
        _exit(0);
    exit(0);
}
