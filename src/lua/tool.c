#include "lua/tool.h"
#include "event/thread_pool.h"
#include "lua/tool_api.h"
#include "lua/tool_options.h"
#include "lua/vm.h"
#include "os/signal.h"
#include "process/process.h"
#include "process/stats.h"
#include "process/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bl_tool_options options;
static int status; /* of the process */

/* ------------------------------------------------------------- the Lua side */

static const char main_key; /* in the registry: the function that bulan.run returns */

static int load_main(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)&main_key);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "bulan.run");
    lua_call(L, 1, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

/* What the command line said: { command =, given = {{ name, value } …}, rest = {…} }, and the
 * functions of tool_api. */
static void push_tool(lua_State *L)
{
    int count = 0;

    lua_newtable(L);
    bl_tool_api_open(L);
    lua_pushstring(L, options.command);
    lua_setfield(L, -2, "command");
    lua_newtable(L);
    BL_ARRAY_EACH (const bl_tool_option, it, &options.given) {
        lua_createtable(L, 2, 0);
        lua_pushstring(L, it->name);
        lua_rawseti(L, -2, 1);
        lua_pushstring(L, it->value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "given");
    lua_newtable(L);
    for (int i = 0; options.rest[i]; i++) {
        lua_pushstring(L, options.rest[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "rest");
}

/* ngx.exit: small numbers are statuses of processes, larger ones of HTTP. */
static int of_exit(int code)
{
    if (code < 0)
        return 1;
    if (code < 100)
        return code;
    return code < 400 ? 0 : 1;
}

static void finished(bl_run *run)
{
    if (run->outcome == BL_RUN_EXIT)
        status = of_exit(run->status);
    else if (run->outcome == BL_RUN_RETURNED)
        status = bl_run_results(run) ? (int)lua_tointeger(run->entry->L, 1) : 0;
    else
        status = 1;
    bl_run_free(run);
    bl_terminating = true;
}

static void start(bl_lua_vm *vm)
{
    if (!bl_lua_vm_protected(vm, load_main, "loading bulan.run failed")) {
        status = 1;
        bl_terminating = true;
        return;
    }
    bl_run *run = bl_run_new(vm, NULL, BL_LUA_TIMER, finished);
    lua_State *L = run->entry->L;
    lua_pushlightuserdata(L, (void *)&main_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    push_tool(L);
    if (bl_run_start(run, 1))
        finished(run);
}

/* ------------------------------------------------------------- the process */

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* In the handler of a signal: while Lua computes, the loop would not hear of it. */
static void on_signal(int number)
{
    if (bl_lua_now.task == NULL || (number == SIGINT && bl_tool_api_interrupt_busy()))
        return;
    for (size_t i = 0; i < BL_COUNTOF(endings); i++) {
        if (number == endings[i]) {
            bl_tool_api_restore();
            _exit(128 + number);
        }
    }
}

static void take_signals(void)
{
    for (size_t i = 0; i < BL_COUNTOF(endings); i++) {
        if (!bl_signal_take(endings[i], NULL))
            continue;
        if (endings[i] == SIGINT && bl_tool_api_interrupt())
            continue;
        status = 128 + endings[i];
        bl_terminating = true;
    }
    if (bl_signal_take(SIGCHLD, NULL) && bl_process_child_hook)
        bl_process_child_hook();
    if (bl_signal_take(SIGURG, NULL) && bl_process_wake_hook)
        bl_process_wake_hook();
}

static bool open_all(bl_generation *g)
{
    if (g == NULL || !bl_process_open(g, NULL))
        return false;
    bl_process_switch(g, NULL);
    bl_log_to_stderr = false;
    if (!bl_signal_open())
        return false;
    bl_signal_first = on_signal;
    bl_stats_open(1);
    bl_process = BL_PROCESS_SINGLE;
    bl_stats_attach(0);
    return bl_worker_start(g, 0) && bl_worker_watch_signals(take_signals);
}

/* Threads that are still at work run on while exit() takes libraries down. */
static int leave(void)
{
    fflush(NULL);
    if (bl_thread_pool_busy())
        _exit(status);
    return status;
}

static void prepare(bl_pool *pool)
{
    char *here = getcwd(NULL, 0);
    bl_str prefix[] = {bl_str_c(here ? here : ""), BL_STR("/")};

    bl_opts.tool = true;
    bl_opts.prefix = bl_pool_concat(pool, prefix, BL_COUNTOF(prefix));
    bl_opts.conf_path = BL_STR("the command line");
    bl_opts.text = bl_tool_options_conf(&options, pool);
    bl_opts.globals = BL_STR("");
    bl_log_to_stderr = true;
    free(here);
}

bool bl_tool_named(char **argv)
{
    return argv[0] && argv[1] && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "test") == 0);
}

int bl_tool_main(char **argv)
{
    bl_pool *pool = bl_pool_new();

    bl_opts.argv = argv;
    if (!bl_tool_options_read(&options, pool, argv))
        return 2;
    if (options.help) {
        bl_tool_options_help(&options);
        return 0;
    }
    prepare(pool);
    if (!open_all(bl_generation_load(&bl_opts, NULL)))
        return 2;
    take_signals(); /* what came before the loop watched */
    start(bl_lua_vm_of(bl_current));
    while (bl_worker_turn())
        ;
    bl_worker_stop(bl_current);
    return leave();
}
