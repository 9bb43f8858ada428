#include "lua/api/misc.h"
#include "http/modules/set_misc.h"
#include "lua/fault.h"
#include "lua/vm.h"
#include "process/core.h"
#include "process/features.h"
#include "process/process.h"
#include "process/stats.h"

#include <config.h>
#include <lauxlib.h>
#include <signal.h>
#include <unistd.h>

static const struct {
    const char *name;
    int value;
} constants[] = {
    {"OK", 0},
    {"ERROR", -1},
    {"AGAIN", -2},
    {"DONE", -4},
    {"DECLINED", -5},
    {"HTTP_GET", BL_M_GET},
    {"HTTP_HEAD", BL_M_HEAD},
    {"HTTP_POST", BL_M_POST},
    {"HTTP_PUT", BL_M_PUT},
    {"HTTP_DELETE", BL_M_DELETE},
    {"HTTP_MKCOL", BL_M_MKCOL},
    {"HTTP_COPY", BL_M_COPY},
    {"HTTP_MOVE", BL_M_MOVE},
    {"HTTP_OPTIONS", BL_M_OPTIONS},
    {"HTTP_PROPFIND", BL_M_PROPFIND},
    {"HTTP_PROPPATCH", BL_M_PROPPATCH},
    {"HTTP_LOCK", BL_M_LOCK},
    {"HTTP_UNLOCK", BL_M_UNLOCK},
    {"HTTP_PATCH", BL_M_PATCH},
    {"HTTP_TRACE", BL_M_TRACE},
    {"HTTP_CONTINUE", 100},
    {"HTTP_SWITCHING_PROTOCOLS", 101},
    {"HTTP_OK", 200},
    {"HTTP_CREATED", 201},
    {"HTTP_ACCEPTED", 202},
    {"HTTP_NO_CONTENT", 204},
    {"HTTP_PARTIAL_CONTENT", 206},
    {"HTTP_SPECIAL_RESPONSE", 300},
    {"HTTP_MOVED_PERMANENTLY", 301},
    {"HTTP_MOVED_TEMPORARILY", 302},
    {"HTTP_SEE_OTHER", 303},
    {"HTTP_NOT_MODIFIED", 304},
    {"HTTP_TEMPORARY_REDIRECT", 307},
    {"HTTP_PERMANENT_REDIRECT", 308},
    {"HTTP_BAD_REQUEST", 400},
    {"HTTP_UNAUTHORIZED", 401},
    {"HTTP_PAYMENT_REQUIRED", 402},
    {"HTTP_FORBIDDEN", 403},
    {"HTTP_NOT_FOUND", 404},
    {"HTTP_NOT_ALLOWED", 405},
    {"HTTP_NOT_ACCEPTABLE", 406},
    {"HTTP_REQUEST_TIMEOUT", 408},
    {"HTTP_CONFLICT", 409},
    {"HTTP_GONE", 410},
    {"HTTP_UPGRADE_REQUIRED", 426},
    {"HTTP_TOO_MANY_REQUESTS", 429},
    {"HTTP_CLOSE", 444},
    {"HTTP_ILLEGAL", 451},
    {"HTTP_INTERNAL_SERVER_ERROR", 500},
    {"HTTP_NOT_IMPLEMENTED", 501},
    {"HTTP_METHOD_NOT_IMPLEMENTED", 501},
    {"HTTP_BAD_GATEWAY", 502},
    {"HTTP_SERVICE_UNAVAILABLE", 503},
    {"HTTP_GATEWAY_TIMEOUT", 504},
    {"HTTP_VERSION_NOT_SUPPORTED", 505},
    {"HTTP_INSUFFICIENT_STORAGE", 507},
};

/* ------------------------------------------------------------- ngx.worker */

static int l_exiting(lua_State *L)
{
    lua_pushboolean(L, bl_quitting || bl_terminating);
    return 1;
}

static int l_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

static int l_id(lua_State *L)
{
    if (bl_worker < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, bl_worker);
    return 1;
}

/* Those of the configured number of workers; a process that serves alone is its only one. */
static int l_pids(lua_State *L)
{
    int count = (int)bl_core_of(bl_lua_now.vm->generation)->workers, found = 0;

    if (bl_lua_now.phase & (BL_LUA_INIT | BL_LUA_INIT_WORKER)) {
        lua_pushnil(L);
        lua_pushliteral(L, "API disabled in the current context");
        return 2;
    }
    lua_createtable(L, count, 0);
    for (int i = 0; i < count && bl_process >= BL_PROCESS_WORKER; i++) {
        int64_t pid = bl_stats_pid(i);
        if (pid == 0)
            continue;
        lua_pushinteger(L, (lua_Integer)pid);
        lua_rawseti(L, -2, ++found);
    }
    if (found == 0) {
        l_pid(L);
        lua_rawseti(L, -2, 1);
    }
    return 1;
}

static int l_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)bl_core_of(bl_lua_now.vm->generation)->workers);
    return 1;
}

/* ------------------------------------------------------------- ngx.config */

static int l_prefix(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

static int l_configure(lua_State *L)
{
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    for (const char *const *word = bl_feature_words; *word; word++) {
        luaL_addchar(&b, ' ');
        luaL_addstring(&b, *word);
    }
    luaL_addstring(&b, *BL_CONFIGURE_ARGS ? " " BL_CONFIGURE_ARGS : "");
    luaL_pushresult(&b);
    return 1;
}

static void open_worker(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"exiting", l_exiting}, {"pid", l_pid},     {"pids", l_pids},
        {"id", l_id},           {"count", l_count}, {NULL, NULL},
    };

    lua_createtable(L, 0, 8);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "worker");
}

void bl_lua_misc_config(lua_State *L, const bl_generation *g)
{
    lua_createtable(L, 0, 8);
    lua_pushliteral(L, "http");
    lua_setfield(L, -2, "subsystem");
    lua_pushboolean(L, BL_DEBUG);
    lua_setfield(L, -2, "debug");
    lua_pushinteger(L, 1031004);
    lua_setfield(L, -2, "nginx_version");
    lua_pushinteger(L, 10030);
    lua_setfield(L, -2, "ngx_lua_version");
    lua_pushlstring(L, g->prefix.p, g->prefix.len);
    lua_pushcclosure(L, l_prefix, 1);
    lua_setfield(L, -2, "prefix");
    lua_pushcfunction(L, l_configure);
    lua_setfield(L, -2, "nginx_configure");
    lua_setfield(L, -2, "config");
}

/* ------------------------------------------------------------- ndk.set_var */

/* name, text -> text, or nil; nothing when there is no directive of that name. */
static int l_set_misc(lua_State *L)
{
    bl_str name, text;

    name.p = (char *)luaL_checklstring(L, 1, &name.len);
    bl_set_misc_fn run = bl_set_misc_find(name);
    if (run == NULL)
        return 0;
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_pushliteral(L, "");
    }
    text.p = (char *)luaL_checklstring(L, 2, &text.len);
    bl_pool *pool = bl_pool_new();
    bl_str value = run(pool, text);
    if (value.p)
        lua_pushlstring(L, value.p, value.len);
    else
        lua_pushnil(L);
    bl_pool_free(pool);
    return 1;
}

/* For resty.core.ndk, which takes it away. */
static void open_set_misc(lua_State *L)
{
    lua_pushcfunction(L, l_set_misc);
    bl_lua_vm_offer(L, "bulan.set_misc");
}

void bl_lua_open_misc(lua_State *L)
{
    open_set_misc(L);
    for (size_t i = 0; i < BL_COUNTOF(constants); i++) {
        lua_pushinteger(L, constants[i].value);
        lua_setfield(L, -2, constants[i].name);
    }
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    open_worker(L);
    bl_lua_misc_config(L, bl_lua_now.vm->generation);
}

/* ------------------------------------------------------------- for ngx.process, ngx.errlog */

int bl_lua_ffi_process_type(void)
{
    if (bl_process != BL_PROCESS_STARTING)
        return bl_process;
    return bl_core_of(bl_lua_now.vm->generation)->master_process ? BL_PROCESS_MASTER
                                                                 : BL_PROCESS_SINGLE;
}

int bl_lua_ffi_master_pid(void)
{
    return bl_process >= BL_PROCESS_WORKER ? getppid() : getpid();
}

void bl_lua_ffi_enable_agent(int connections)
{
    if (connections == 0)
        bl_log_write(
            BL_LOG_ALERT, bl_lua_log(), 0,
            "0 worker_connection is not enough, privileged agent process cannot be spawned");
    bl_lua_now.vm->generation->agent_connections = connections;
}

void bl_lua_ffi_graceful_exit(void)
{
    kill(getpid(), SIGQUIT);
}

int bl_lua_ffi_log_level(void)
{
    return (int)bl_lua_log()->targets->level;
}

void bl_lua_ffi_raw_log(int level, const char *text, size_t len)
{
    bl_log *log = bl_lua_log();

    if (bl_log_on(log, (bl_log_level)level))
        bl_log_text((bl_log_level)level, log, bl_str_of(text, len));
}
