#include "process/master.h"
#include "core/mem.h"
#include "event/listener.h"
#include "os/signal.h"
#include "os/title.h"
#include "process/child.h"
#include "process/core.h"
#include "process/pidfile.h"
#include "process/process.h"
#include "process/upgrade.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum {
    KILL_AFTER_MS = 2000,    /* from TERM to KILL */
    EARLY_DEATH_MS = 1000,   /* a worker that lives shorter was not well */
    FIRST_PAUSE_MS = 100,    /* before it is replaced; doubled each time */
    LONGEST_PAUSE_MS = 5000, /* … up to this */
    FORK_PAUSE_MS = 1000,    /* when there was no process to be had */
    PATIENCE_MS = 10000,     /* with new workers that do not say they serve */
};

/* One per worker of the current generation, and one for its agent. */
typedef struct slot {
    uint64_t not_before; /* mono ms: when it may be started */
    unsigned early_deaths;
} slot;

static struct {
    char **argv;
    bool detached;
    pid_t parent;     /* of a new binary: the old master, at the start; else 0 */
    pid_t new_binary; /* 0: none runs */
    slot *slots;
    int slot_count;
    bool quitting, terminating;
    bool resting;       /* WINCH: no workers are started */
    uint64_t kill_at;   /* mono ms, 0: not terminating, or done */
    uint64_t switching; /* when the last reload forked its workers; 0: the old ones know */
} master;

static bool going(void)
{
    return master.quitting || master.terminating;
}

static void make_slots(void)
{
    master.slot_count = (int)bl_core_of(bl_current)->workers + (bl_current->agent_connections > 0);
    bl_free(master.slots);
    master.slots = bl_zalloc(bl_size_mul((size_t)master.slot_count, sizeof *master.slots));
}

/* Starts the workers that are missing and whose time has come. Returns the ms until the next. */
static int64_t start_workers(void)
{
    int64_t next = -1;

    if (going() || master.resting)
        return -1;
    for (int i = 0; i < master.slot_count; i++) {
        slot *s = &master.slots[i];
        if (bl_child_find(i, bl_current->number))
            continue;
        if (s->not_before <= bl_now_ms()) {
            if (bl_child_start(i))
                continue;
            s->not_before = bl_now_ms() + FORK_PAUSE_MS;
        }
        int64_t left = (int64_t)(s->not_before - bl_now_ms());
        next = next < 0 ? left : BL_MIN(next, left);
    }
    return next;
}

static void worker_died(const bl_child *ended)
{
    if (ended->quitting || going() || ended->generation != bl_current->number)
        return;
    slot *s = &master.slots[ended->number];
    if (bl_now_ms() - ended->started >= EARLY_DEATH_MS) {
        *s = (slot){0};
        return;
    }
    unsigned pause = BL_MIN((unsigned)FIRST_PAUSE_MS << BL_MIN(s->early_deaths, 10u),
                            (unsigned)LONGEST_PAUSE_MS);
    s->early_deaths++;
    s->not_before = bl_now_ms() + pause;
    bl_log_write(BL_LOG_WARN, &bl_log_process, 0,
                 "worker process %d ended right after its start, it is started again in %u ms",
                 (int)ended->pid, pause);
}

/* Workers are started again; those that are finishing belong to the past. */
static void wake(void)
{
    master.resting = false;
    for (int i = 0; i < master.slot_count; i++)
        master.slots[i] = (slot){0};
    bl_current->number++;
}

static void new_binary_died(void)
{
    const bl_core_settings *core = bl_core_of(bl_current);

    master.new_binary = 0;
    if (!bl_pidfile_move(core->old_pid.p, core->pid.p))
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "rename() \"%s\" back to \"%s\" failed",
                     core->old_pid.p, core->pid.p);
    if (!going() && master.resting)
        wake();
}

static void reap(void)
{
    bl_child ended;
    pid_t pid;

    while (bl_child_reap(&ended, &pid)) {
        if (ended.pid)
            worker_died(&ended);
        else if (pid == master.new_binary)
            new_binary_died();
    }
}

static const char *pid_path(const bl_generation *g)
{
    const bl_core_settings *core = bl_core_of(g);

    return master.new_binary ? core->old_pid.p : core->pid.p;
}

/* The pid file follows the configuration: where the new one can't be written, `g` is not good. */
static bool open_all(bl_generation *g, bl_generation *before)
{
    bool moves = strcmp(pid_path(before), pid_path(g)) != 0;

    if (moves && !bl_pidfile_write(pid_path(g)))
        return false;
    bool ok = bl_process_open(g, before);
    if (moves)
        bl_pidfile_remove(pid_path(ok ? before : g));
    return ok;
}

static bool reload(void)
{
    bl_generation *before = bl_current;
    bl_generation *g = bl_generation_load(&bl_opts, before);

    if (g == NULL || !open_all(g, before)) {
        bl_log_write(BL_LOG_ERR, &bl_log_process, 0,
                     "the new configuration is not used, the old one serves on");
        if (g)
            bl_generation_drop(g);
        return false;
    }
    bl_process_switch(g, before);
    bl_generation_drop(before);
    make_slots();
    master.switching = bl_now_ms();
    return true;
}

/* Behind WINCH, HUP brings the workers back; beside a new binary, as they were. */
static void hang_up(void)
{
    bool resting = master.resting;

    if (going())
        return;
    if (resting && master.new_binary) {
        wake();
        return;
    }
    master.resting = false;
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "reconfiguring");
    if (!reload() && resting)
        wake();
}

/* Does another binary listen on the same sockets? */
static bool shares_sockets(void)
{
    return master.new_binary || (master.parent && getppid() == master.parent);
}

static void upgrade(void)
{
    const bl_core_settings *core = bl_core_of(bl_current);

    if (going())
        return;
    if (shares_sockets()) {
        bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0,
                     "the changing binary signal is ignored: end the old or the new binary first");
        return;
    }
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "changing binary");
    if (!bl_pidfile_move(core->pid.p, core->old_pid.p)) {
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno,
                     "rename() %s to %s failed before executing new binary process", core->pid.p,
                     core->old_pid.p);
        return;
    }
    master.new_binary = bl_upgrade_start(bl_current, master.argv);
    if (master.new_binary < 0)
        new_binary_died();
}

static void close_sockets(void)
{
    if (shares_sockets())
        bl_listeners_release(bl_current, NULL);
    else
        bl_listeners_close(bl_current, NULL);
}

/* Nobody accepts any more, so nobody may wait in a queue. */
static void quit(void)
{
    master.quitting = true;
    bl_child_signal(SIGQUIT, 0, false);
    close_sockets();
}

static void terminate(void)
{
    if (master.terminating)
        return;
    master.terminating = true;
    master.kill_at = bl_now_ms() + KILL_AFTER_MS;
    bl_child_signal(SIGTERM, 0, false);
}

static void reopen(void)
{
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "reopening logs");
    bl_process_reopen(bl_current);
    bl_child_signal(SIGUSR1, 0, false);
}

/* In the foreground the signal means that the terminal has changed its size. */
static void rest(void)
{
    if (!master.detached)
        return;
    master.resting = true;
    bl_child_signal(SIGQUIT, 0, false);
}

static const struct {
    int number;
    const char *meaning;
    void (*act)(void);
} actions[] = {
    {SIGCHLD, "", reap},
    {SIGTERM, ", exiting", terminate},
    {SIGINT, ", exiting", terminate},
    {SIGQUIT, ", shutting down", quit},
    {SIGHUP, ", reconfiguring", hang_up},
    {SIGUSR1, ", reopening logs", reopen},
    {SIGUSR2, ", changing binary", upgrade},
    {SIGWINCH, "", rest},
};

static void take_signals(void)
{
    pid_t from;

    bl_signal_drain();
    for (size_t i = 0; i < BL_COUNTOF(actions); i++) {
        if (!bl_signal_take(actions[i].number, &from))
            continue;
        bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "signal %d (%s) received from %d%s",
                     actions[i].number, bl_signal_name(actions[i].number), (int)from,
                     actions[i].meaning);
        actions[i].act();
    }
}

/* How many of the current generation's workers serve. */
static int serving(void)
{
    int count = 0;

    BL_LIST_EACH (it, &bl_children) {
        const bl_child *child = BL_CONTAINER(it, bl_child, link);
        count += child->generation == bl_current->number && child->serves;
    }
    return count;
}

/* Behind a reload: the old workers go when the new ones serve. When only some do, not for ever. */
static void finish_switch(void)
{
    if (master.switching == 0 || going())
        return;
    int count = serving();
    bool late = bl_now_ms() - master.switching >= PATIENCE_MS;
    if (count < master.slot_count && !(late && count > 0))
        return;
    master.switching = 0;
    bl_child_signal(SIGQUIT, bl_current->number, true);
}

static int64_t kill_late(void)
{
    if (master.kill_at == 0)
        return -1;
    if (master.kill_at > bl_now_ms())
        return (int64_t)(master.kill_at - bl_now_ms());
    master.kill_at = 0;
    bl_child_signal(SIGKILL, 0, false);
    return -1;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : BL_MIN(a, b);
}

/* Waits for signals, or for new workers to say that they serve. */
static void wait_for_news(int64_t timeout)
{
    enum {
        WATCHED = 64
    };
    struct pollfd fds[WATCHED] = {{.fd = bl_signal_fd(), .events = POLLIN}};
    bl_child *of[WATCHED];
    nfds_t count = 1;

    BL_LIST_EACH (it, &bl_children) {
        bl_child *child = BL_CONTAINER(it, bl_child, link);
        if (child->ready_fd < 0 || count == WATCHED)
            continue;
        of[count] = child;
        fds[count++] = (struct pollfd){.fd = child->ready_fd, .events = POLLIN};
    }
    int news = poll(fds, count, (int)timeout);
    bl_clock_update();
    for (nfds_t i = 1; news > 0 && i < count; i++) {
        if (fds[i].revents)
            bl_child_ready(of[i], fds[i].revents & POLLIN);
    }
}

static void turn(void)
{
    int64_t timeout = sooner(start_workers(), kill_late());

    finish_switch();
    if (master.switching)
        timeout = sooner(timeout, PATIENCE_MS / 10);
    wait_for_news(timeout);
    take_signals();
}

static void end(void)
{
    bl_pidfile_remove(pid_path(bl_current));
    close_sockets();
    bl_listeners_tidy(bl_current);
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "exit");
}

static void set_title(void)
{
    bl_pool *pool = bl_pool_new();
    bl_str title = BL_STR("nginx: master process");

    for (char **arg = master.argv; *arg; arg++)
        title = bl_pool_printf(pool, "%.*s %s", BL_STR_ARG(title), *arg);
    bl_title_set("%.*s", BL_STR_ARG(title));
    bl_pool_free(pool);
}

int bl_master_run(char **argv, bool detached)
{
    bl_process = BL_PROCESS_MASTER;
    master.argv = argv;
    master.detached = detached;
    set_title();
    master.parent = bl_upgraded ? getppid() : 0;
    make_slots();
    while (!going() || !bl_list_empty(&bl_children))
        turn();
    end();
    return 0;
}
