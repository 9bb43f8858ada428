#include "lua/watch.h"
#include "core/mem.h"
#include "lua/fault.h"
#include "process/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <luajit.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    TICKS = 8,          /* of the watcher in the shortest time that is too long */
    FRAMES_MAX = 20,    /* of a traceback */
    AGAIN_MS = 60000,   /* a place is reported again */
    LATE = 25,          /* times the time that is too long: no safe point in sight */
    STACK = 256 * 1024, /* of the watcher's thread */
};

bl_watch bl_watch_now;

/* A place that was reported. */
typedef struct place {
    struct place *next;
    uint64_t at; /* when, ms */
    char name[];
} place;

static struct {
    _Atomic int64_t warn, abort; /* ms, 0: not */
    uint64_t tick;               /* ms */
    pthread_t worker, watcher;
    char stat[48]; /* path of the worker's thread in /proc */
    clockid_t cpu; /* the worker's thread's */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bl_lua_vm *vm; /* that has the profiler */
    place *places;
    _Atomic uint64_t accused; /* the turn that notice is about */
    _Atomic uint64_t since;   /* when it was first seen, ms */
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec t = {0};

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool is_accused(void)
{
    return atomic_load(&watch.accused) == atomic_load(&bl_watch_now.turn);
}

/* ------------------------------------------------------------- the watcher's thread */

/* The state letter of the worker's thread, '?' where it can't be told. */
static char thread_state(void)
{
    char text[256];
    int fd = open(watch.stat, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] ? end[2] : '?';
}

/* It has used so much processor time itself, or it sleeps in the kernel. Otherwise it wants to run
 * and the machine doesn't let it, which is no fault of its code. */
static bool is_guilty(uint64_t cpu_before, int64_t least)
{
    return clock_ms(watch.cpu) - cpu_before >= (uint64_t)least || thread_state() != 'R';
}

/* Sleeps until the worker runs Lua again. It may just have begun: so the watcher waits for one tick
 * in which the worker sees PARKED before it believes that nothing goes on. */
static void park(uint64_t turn)
{
    struct timespec tick = {(time_t)(watch.tick / 1000), (long)(watch.tick % 1000) * 1000000};

    atomic_fetch_or(&bl_watch_now.notice, BL_WATCH_PARKED);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
    pthread_mutex_lock(&watch.lock);
    while (atomic_load(&bl_watch_now.turn) == turn &&
           atomic_load(&bl_watch_now.notice) & BL_WATCH_PARKED)
        pthread_cond_wait(&watch.wake, &watch.lock);
    atomic_fetch_and(&bl_watch_now.notice, ~BL_WATCH_PARKED);
    pthread_mutex_unlock(&watch.lock);
}

static void accuse(uint64_t turn, uint64_t since, int notice, int signal)
{
    atomic_store(&watch.since, since);
    atomic_store(&watch.accused, turn);
    atomic_fetch_or(&bl_watch_now.notice, notice);
    pthread_kill(watch.worker, signal);
}

static void *watch_worker(void *data BL_UNUSED)
{
    struct timespec tick = {(time_t)(watch.tick / 1000), (long)(watch.tick % 1000) * 1000000};
    uint64_t seen = 0, since = 0, cpu = 0;
    uint64_t warn_at = 0, late_at = 0;

    for (;;) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
        uint64_t turn = atomic_load(&bl_watch_now.turn), now = clock_ms(CLOCK_MONOTONIC);
        if (turn != seen) {
            seen = turn;
            since = now;
            cpu = clock_ms(watch.cpu);
            warn_at = watch.warn ? since + (uint64_t)watch.warn : UINT64_MAX;
            late_at = watch.warn ? since + (uint64_t)watch.warn * LATE : UINT64_MAX;
            continue;
        }
        if (!(turn & 1)) {
            park(turn);
            continue;
        }
        if (now >= warn_at) {
            if (!is_guilty(cpu, watch.warn))
                continue;
            warn_at = UINT64_MAX;
            accuse(turn, since, BL_WATCH_WARN, SIGPROF);
        } else if (now >= late_at) {
            late_at = UINT64_MAX;
            pthread_kill(watch.worker, SIGVTALRM);
        }
        if (watch.abort && now - since >= (uint64_t)watch.abort && is_guilty(cpu, watch.abort))
            accuse(turn, since, BL_WATCH_ABORT, SIGVTALRM);
    }
    return NULL;
}

/* ------------------------------------------------------------- what the worker does about it */

/* Whether a place is to be reported now; forgets those of a minute ago. */
static bool is_news(const char *name, size_t len, uint64_t now)
{
    place **at = &watch.places, *p;

    while ((p = *at) != NULL) {
        if (now - p->at >= AGAIN_MS) {
            *at = p->next;
            bl_free(p);
        } else if (strlen(p->name) == len && memcmp(p->name, name, len) == 0) {
            return false;
        } else {
            at = &p->next;
        }
    }
    p = bl_zalloc(sizeof *p + len + 1);
    p->at = now;
    memcpy(p->name, name, len);
    p->next = watch.places;
    watch.places = p;
    return true;
}

static void report(const char *trace, size_t len)
{
    atomic_fetch_and(&bl_watch_now.notice, ~BL_WATCH_WARN);
    atomic_fetch_or(&bl_watch_now.notice, BL_WATCH_SAID);
    bl_stats_mine->lua_blocked++;
    bl_log_write(BL_LOG_ERR, bl_lua_log(), 0,
                 "Lua code has held the event loop for %llu ms in %s\nstack traceback:\n%.*s",
                 (unsigned long long)(clock_ms(CLOCK_MONOTONIC) - watch.since),
                 bl_lua_phase_context(bl_lua_now.phase), (int)len, trace);
}

/* The safe point. No function of Lua may be called here but the one that writes the stack out. */
static void at_safe_point(void *data BL_UNUSED, lua_State *L, int samples BL_UNUSED,
                          int state BL_UNUSED)
{
    size_t len;

    if (!(atomic_load(&bl_watch_now.notice) & BL_WATCH_WARN) || !is_accused())
        return;
    const char *trace = luaJIT_profile_dumpstack(L, "\tpl (f)\nZ", FRAMES_MAX, &len);
    const char *end = memchr(trace, '\n', len);
    if (is_news(trace, end ? (size_t)(end - trace) : len, clock_ms(CLOCK_MONOTONIC)))
        report(trace, len);
    else
        atomic_fetch_and(&bl_watch_now.notice, ~BL_WATCH_WARN);
}

/* There will be none, or not soon: a compiled loop, or a call of the system that takes its time.
 * Runs in a signal handler, so nothing is allocated. */
static void report_late(void)
{
    static const char text[] = "\t(none: it is in compiled code or in a call of the system)";

    report(text, sizeof text - 1);
}

/* Ends the coroutine, however often the program catches the error. */
static void raise_error(lua_State *L, lua_Debug *ar BL_UNUSED)
{
    if (atomic_load(&bl_watch_now.notice) & BL_WATCH_ABORT && is_accused())
        luaL_error(L, "ended after it held the event loop for %d ms (lua_block_abort)",
                   (int)(clock_ms(CLOCK_MONOTONIC) - watch.since));
    lua_sethook(L, NULL, 0, 0);
}

/* Hooks may be set from within a signal handler; compiled code notices the profiler's signal. */
void bl_watch_break(lua_State *L, lua_Hook hook)
{
    lua_sethook(L, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    raise(SIGPROF);
}

static void on_signal(int signal BL_UNUSED)
{
    int err = errno, notice = atomic_load(&bl_watch_now.notice);

    bl_log_in_handler = 1;
    if (notice & BL_WATCH_WARN && is_accused())
        report_late();
    bl_log_in_handler = 0;
    if (notice & BL_WATCH_ABORT && is_accused() && bl_lua_now.task)
        bl_watch_break(bl_lua_now.task->L, raise_error);
    errno = err;
}

void bl_watch_attend_enter(void)
{
    pthread_mutex_lock(&watch.lock);
    atomic_fetch_and(&bl_watch_now.notice, ~BL_WATCH_PARKED);
    pthread_cond_signal(&watch.wake);
    pthread_mutex_unlock(&watch.lock);
}

void bl_watch_attend_leave(lua_State *L)
{
    int notice = atomic_load(&bl_watch_now.notice);

    if (notice & BL_WATCH_WARN && is_accused())
        report_late();
    if (notice & BL_WATCH_SAID && is_accused())
        bl_log_write(BL_LOG_ERR, bl_lua_log(), 0, "Lua code let the event loop go after %llu ms",
                     (unsigned long long)(clock_ms(CLOCK_MONOTONIC) - watch.since));
    if (notice & BL_WATCH_ABORT)
        lua_sethook(L, NULL, 0, 0);
    atomic_fetch_and(&bl_watch_now.notice, BL_WATCH_PARKED);
}

/* ------------------------------------------------------------- start */

void bl_watch_attach(bl_lua_vm *vm)
{
    static const struct itimerval never;

    if (watch.tick == 0 || watch.vm == vm)
        return;
    if (watch.vm)
        luaJIT_profile_stop(watch.vm->L);
    watch.vm = vm;
    luaJIT_profile_start(vm->L, "li1000000", at_safe_point, NULL);
    setitimer(ITIMER_PROF, &never, NULL);
}

void bl_watch_detach(const bl_lua_vm *vm)
{
    if (watch.vm != vm)
        return;
    luaJIT_profile_stop(vm->L);
    watch.vm = NULL;
    bl_lua_vm *current = bl_current ? bl_lua_vm_of(bl_current) : NULL;
    if (vm->own && current)
        bl_watch_attach(current);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void bl_watch_breakable(bl_lua_vm *vm)
{
    handle(SIGPROF, SIG_IGN);
    watch.tick = BL_MAX(watch.tick, 1);
    bl_watch_attach(vm);
}

static bool start_thread(void)
{
    pthread_attr_t attr;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    int error = pthread_create(&watch.watcher, &attr, watch_worker, NULL);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, error,
                     "the watcher of Lua code can't be started");
    return error == 0;
}

void bl_watch_start(bl_lua_vm *vm, int64_t warn, int64_t abort)
{
    int64_t least = warn && (!abort || warn < abort) ? warn : abort;

    watch.warn = warn;
    watch.abort = abort;
    if (watch.tick) { /* a reload of a single process: it goes on with the new times */
        bl_watch_attach(vm);
        return;
    }
    if (least == 0)
        return;
    watch.worker = pthread_self();
    pthread_getcpuclockid(watch.worker, &watch.cpu);
    snprintf(watch.stat, sizeof watch.stat, "/proc/self/task/%ld/stat", syscall(SYS_gettid));
    handle(SIGPROF, SIG_IGN); /* what LuaJIT puts back when somebody stops the profiler */
    handle(SIGVTALRM, on_signal);
    watch.tick = (uint64_t)BL_MAX(least / TICKS, 1);
    if (start_thread())
        bl_watch_attach(vm);
    else
        watch.tick = 0;
}
