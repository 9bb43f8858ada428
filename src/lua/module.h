/* The module of http{} that brings Lua into requests: its directives and settings, and the
 * compilation of handlers into locations. */
#ifndef BL_LUA_MODULE_H
#define BL_LUA_MODULE_H

#include "http/http.h"
#include "lua/code.h"

extern bl_module bl_lua_module;
extern const bl_filter bl_lua_header_filter, bl_lua_body_filter;

enum {
    BL_CODE_CACHE_OFF,
    BL_CODE_CACHE_ON,
    BL_CODE_CACHE_WATCH,
};

typedef struct bl_lua_main {
    bl_lua_code *init, *init_worker, *exit_worker;
    bl_str package_path, package_cpath; /* len 0: LuaJIT's */
    int64_t max_pending_timers, max_running_timers;
    int64_t thread_cache, malloc_trim, error_log_size;
    int64_t block_warn, block_abort; /* ms, 0: off */
    int64_t thread_vms;              /* at most, for ngx.run_worker_thread */
    int sa_restart, load_resty_core;
    int rewrite_no_postpone, access_no_postpone, precontent_no_postpone;
    bool used;   /* some directive holds code: a VM is needed */
    bool watch;  /* lua_code_cache watch, somewhere */
    bool warned; /* about lua_code_cache off */
} bl_lua_main;

typedef struct bl_lua_location {
    bl_lua_code *server_rewrite, *rewrite, *access, *precontent, *content;
    bl_lua_code *header_filter, *body_filter, *log;
    int code_cache, need_body, http10_buffering, use_default_type;
    int transform_underscores, check_client_abort;
} bl_lua_location;

static inline bl_lua_main *bl_lua_main_of(const bl_generation *g)
{
    const bl_http *http = g->http;

    return http->settings.of[BL_MAIN][bl_lua_module.index];
}

/* While the configuration is read: there is Lua code in it. */
void bl_lua_module_used(bl_conf *cf);

#endif
