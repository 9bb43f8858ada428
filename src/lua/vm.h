/* A Lua VM: one a process and generation (bet 5), made in the master when the configuration has
 * been read, so that what init_by_lua loads is shared by fork. With lua_code_cache off each request
 * has one of its own.
 *
 *   bl_generation.lua ─> bl_lua_vm ─ lua_State
 *                             ├ run queue of tasks
 *                             ├ cache of ended tasks and runs (coroutines are reused)
 *                             └ integer references to what C needs: no look-up by name when running
 *
 * A family of the API (one file in lua/api) registers itself by a row in bl_lua_families
 * (lua/api/families.c): its `open` gets L with the table `ngx` on top, adds C functions to it and
 * leaves the stack as it was. Its Lua part is a library resty.core.FAMILY in lualib, named in
 * lualib/resty/core.lua, which is run once all families are open. */
#ifndef BL_LUA_VM_H
#define BL_LUA_VM_H

#include "conf/generation.h"
#include "lua/task.h"

enum {
    BL_LUA_VM_MAGIC = 0x6c75616d
};

typedef struct bl_lua_fields bl_lua_fields;

struct bl_lua_vm {
    uint32_t magic;
    int refs;     /* runs, requests with a VM of their own, the generation */
    lua_State *L; /* the main thread: never runs tasks */
    bl_generation *generation;
    bl_log own_log;
    bl_log *log;         /* of what has no request */
    bl_link ready;       /* bl_task.link: the run queue */
    bl_work work;        /* runs it at the end of the loop's turn */
    bl_link spare_tasks; /* bl_task.sibling, with a coroutine ready to use */
    bl_link old_tasks;   /* memory of ended ones, for new ones */
    bl_run *spare_runs;
    int spare_count;
    int spare_max;         /* lua_thread_cache_max_entries */
    int threads;           /* registry reference: array of coroutines, so that they live */
    int files;             /* table: path → function of a file */
    int ctxs;              /* array of ngx.ctx tables */
    int failed;            /* message handler of calls outside tasks */
    bl_lua_fields *fields; /* what is remembered of header fields: api/fields.c */
    int64_t timers_pending, timers_running;
    bl_link timers;      /* pending ones: api/timer.c */
    bl_link sockets;     /* bl_socket.link: shared ones; not made until there is one */
    bl_link thread_vms;  /* idle ones: thread_vm.h */
    int thread_vm_count; /* busy ones too */
    bool exiting;
    bool own;    /* of one request: lua_code_cache off */
    bl_link kin; /* the generation's VM: those of requests and handshakes; theirs: their place */
    bool watch;  /* lua_code_cache watch: reload.h */
    uint64_t epoch, looked_ms;
    bl_link watched; /* bl_lua_ctx.watched: of requests, the oldest first */
};

typedef struct bl_lua_family {
    const char *name;
    void (*open)(lua_State *L);
} bl_lua_family;

extern const bl_lua_family bl_lua_families[]; /* ends with an empty row */

/* A new one, with all families open and the package path of the configuration. NULL after the error
 * was logged. */
bl_lua_vm *bl_lua_vm_new(bl_generation *g, bl_log *log);
bl_lua_vm *bl_lua_vm_hold(bl_lua_vm *vm);
void bl_lua_vm_drop(bl_lua_vm *vm);

/* Runs a C function under protection, without a request; logs its error ("what: …"). */
bool bl_lua_vm_protected(bl_lua_vm *vm, lua_CFunction function, const char *what);

/* Whose log it was given is no more, or nobody's: it has one of its own from now on. */
void bl_lua_vm_log_alone(bl_lua_vm *vm);

/* A table of ngx.ctx is not used any more. */
void bl_lua_vm_unref_ctx(bl_lua_vm *vm, int ref);

/* Lua's own libraries, the server's, and where a configuration has others, for a bare L. */
void bl_lua_vm_libraries(lua_State *L, const bl_generation *g);

/* Pops the value on top; `require` of that name gives it from now on. */
void bl_lua_vm_offer(lua_State *L, const char *name);

/* From now on, assignments to globals that are not there yet are logged. */
void bl_lua_vm_guard_globals(bl_lua_vm *vm);

/* The process's VM of a generation. */
static inline bl_lua_vm *bl_lua_vm_of(const bl_generation *g)
{
    return g->lua;
}

/* The VM that serves a request. */
bl_lua_vm *bl_lua_vm_for(bl_request *r);

#endif
