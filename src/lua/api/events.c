#include "lua/api/events.h"
#include "core/dict.h"
#include "http/http.h"
#include "lua/module.h"
#include "lua/vm.h"
#include "process/process.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdatomic.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/eventfd.h>
#endif

enum {
    SLOTS = 1024,
    SIZE_MIN = 128 * 1024,
};

typedef struct slot {
    _Atomic int pid; /* 0: free */
    _Atomic int worker;
    _Atomic int wake;
    _Atomic int waiting;
    char padding[64 - 4 * sizeof(int)];
} slot;

typedef struct zone {
    slot slots[SLOTS];
    char dict[];
} zone;

typedef struct settings {
    int64_t size;
    bl_zone *zone;
} settings;

static struct {
    zone *zone;
    int slot; /* -1: none */
    bl_lua_vm *vm;
    int bell; /* 0: none */
    bl_io listening;
} here = {.slot = -1};

static const char dispatcher_key; /* in the registry: the function that is run on waking up */

/* ------------------------------------------------------------- slots */

static bool is_gone(int pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static bool claim(slot *s)
{
    int before = s->pid;

    if (before != 0 && !is_gone(before))
        return false;
    return atomic_compare_exchange_strong(&s->pid, &before, getpid());
}

static bl_dict *dict(void)
{
    return (bl_dict *)here.zone->dict;
}

static void forget_inbox(int number)
{
    char key[16];
    int len = snprintf(key, sizeof key, "i%d", number);

    bl_dict_delete(dict(), bl_str_of(key, (size_t)len));
}

/* Its process is gone: so are the messages that it will not read. The slot is ours meanwhile; if we
 * die here, the next one finds it as we did. */
static void clear(int number)
{
    slot *s = &here.zone->slots[number];

    if (!claim(s))
        return;
    s->waiting = 0;
    forget_inbox(number);
    s->pid = 0;
}

bool bl_lua_events_clear(void)
{
    bool found = false;

    for (int i = 0; i < SLOTS; i++) {
        int pid = here.zone->slots[i].pid;
        if (pid == 0 || pid == getpid() || !is_gone(pid))
            continue;
        clear(i);
        found = true;
    }
    return found;
}

int bl_lua_events_count(void)
{
    return here.zone ? SLOTS : 0;
}

int bl_lua_events_mine(void)
{
    return here.slot;
}

int bl_lua_events_worker(int number)
{
    const slot *s = &here.zone->slots[number];

    if (!s->pid)
        return -1;
    return s->worker >= 0 ? s->worker : -2;
}

/* The privileged agent has another user, and takes no signals from workers: it listens to a bell
 * that all processes have from the master. Nobody reads it: each stroke is an edge for epoll, for
 * each agent that listens. */
static void ring(void)
{
    uint64_t stroke = 1;
    ssize_t ignored BL_UNUSED = here.bell > 0 ? write(here.bell, &stroke, sizeof stroke) : 0;
}

void bl_lua_events_wake(int number)
{
    slot *s = &here.zone->slots[number];
    int pid = s->pid;

    /* Now and then again: who was to send the signal may have died before, the process since. */
    if (pid == 0 || atomic_fetch_add(&s->wake, 1) % 64 != 0)
        return;
    if (kill(pid, SIGURG) == 0)
        return;
    if (errno == ESRCH)
        clear(number);
    else
        ring();
}

void bl_lua_events_waiting(int count)
{
    if (here.slot >= 0)
        here.zone->slots[here.slot].waiting = count;
}

void bl_lua_events_wake_waiting(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (here.zone->slots[i].waiting)
            bl_lua_events_wake(i);
    }
}

/* ------------------------------------------------------------- this process */

/* There is something in the inbox, or in a queue that a task waits for. */
static void on_wake(void)
{
    if (here.slot < 0)
        return;
    atomic_exchange(&here.zone->slots[here.slot].wake, 0);
    bl_run *run = bl_run_new(here.vm, NULL, BL_LUA_TIMER, bl_run_free);
    lua_pushlightuserdata(run->entry->L, (void *)&dispatcher_key);
    lua_rawget(run->entry->L, LUA_REGISTRYINDEX);
    bool listens = !lua_isnil(run->entry->L, -1);
    if (!listens)
        forget_inbox(here.slot);
    if (!listens || bl_run_start(run, 0))
        bl_run_free(run);
}

static void on_bell(bl_io *io BL_UNUSED)
{
    if (here.slot >= 0 && here.zone->slots[here.slot].wake)
        on_wake();
}

static void listen_to_bell(void)
{
    if (bl_process != BL_PROCESS_AGENT || here.bell <= 0 || here.listening.added)
        return;
    here.listening.on_read = on_bell;
    bl_io_add(&here.listening, here.bell);
}

void bl_lua_events_join(bl_lua_vm *vm)
{
    const bl_http *http = vm->generation->http;
    const settings *s = http->settings.of[BL_MAIN][bl_lua_events_module.index];

    if (here.vm)
        bl_lua_events_leave(here.vm);
    if (s->zone == NULL)
        return;
    here.zone = s->zone->memory;
    here.vm = vm;
    for (int i = 0; i < SLOTS && here.slot < 0; i++) {
        slot *each = &here.zone->slots[i];
        if (!claim(each))
            continue;
        here.slot = i;
        each->worker = bl_worker;
        each->wake = each->waiting = 0;
        forget_inbox(i);
    }
    bl_process_wake_hook = on_wake;
    listen_to_bell();
    if (here.slot < 0)
        bl_log_write(BL_LOG_ALERT, vm->log, 0,
                     "there are more than %d processes: this one gets no messages from others",
                     SLOTS);
}

void bl_lua_events_leave(bl_lua_vm *vm)
{
    if (here.vm != vm)
        return;
    if (here.slot >= 0) {
        slot *mine = &here.zone->slots[here.slot];
        mine->waiting = 0;
        forget_inbox(here.slot);
        mine->pid = 0;
    }
    here.slot = -1;
    here.vm = NULL;
    here.zone = NULL;
}

/* ------------------------------------------------------------- configuration */

static bool init_zone(bl_zone *z, void *before)
{
    zone *memory = z->memory;

    z->data = memory;
    if (before || bl_dict_create(memory->dict, z->size - offsetof(zone, dict)))
        return true;
    bl_log_write(BL_LOG_EMERG, &bl_log_process, 0, "lua_worker_events is too small");
    return false;
}

static void make_bell(void)
{
#ifdef __linux__
    if (here.bell <= 0)
        here.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
#endif
}

static bool finish(bl_conf *cf, void *main)
{
    settings *s = main;

    if (!bl_lua_main_of(cf->generation)->used || s->size == 0)
        return true;
    s->zone = bl_zone_add(cf, BL_STR("bulan.worker.events"), (size_t)BL_MAX(s->size, SIZE_MIN),
                          &bl_lua_events_module);
    if (s->zone == NULL)
        return false;
    s->zone->init = init_zone;
    make_bell();
    return true;
}

static const bl_directive directives[] = {
    {"lua_worker_events", BL_IN_HTTP, BL_TAKE1, &bl_type_size, BL_MAIN, offsetof(settings, size),
     "1m"},
    {0},
};

bl_module bl_lua_events_module = {
    .name = "lua_worker_events",
    .directives = directives,
    .size = {[BL_MAIN] = sizeof(settings)},
    .finish = finish,
};

/* ------------------------------------------------------------- the family */

/* start(CALLBACK, DATA, INFO): a run of its own, which runs right now until it waits. */
static int l_start(lua_State *L)
{
    bl_run *run = bl_run_new(bl_lua_now.vm, NULL, BL_LUA_TIMER, bl_run_free);

    lua_settop(L, 3);
    lua_xmove(L, run->entry->L, 3);
    if (bl_run_start(run, 2))
        bl_run_free(run);
    return 0;
}

/* dispatch(FUNCTION): the function that is run when this process is woken. */
static int l_dispatch(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushlightuserdata(L, (void *)&dispatcher_key);
    lua_pushvalue(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

static int l_dict(lua_State *L)
{
    if (here.zone == NULL)
        return 0;
    lua_pushlightuserdata(L, dict());
    return 1;
}

void bl_lua_open_events(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"dispatch", l_dispatch},
        {"dict", l_dict},
        {"start", l_start},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 2);
    luaL_register(L, NULL, functions);
    bl_lua_vm_offer(L, "bulan.events");
}
