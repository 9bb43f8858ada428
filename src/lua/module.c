#include "lua/module.h"
#include "http/http_block.h"
#include "http/phases.h"
#include "lua/handler.h"
#include "lua/init.h"
#include "lua/set.h"
#include "lua/trim.h"

void bl_lua_module_used(bl_conf *cf)
{
    bl_lua_main_of(cf->generation)->used = true;
}

/* ------------------------------------------------------------- what needs words of its own */

static bool read_content(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field)
{
    bl_location *loc = cf->block;

    loc->content = bl_lua_content;
    return bl_type_lua_code.read(cf, d, node, field);
}

static bool check_code_cache(bl_conf *cf, const bl_directive *d BL_UNUSED,
                             const bl_conf_node *node BL_UNUSED, void *field)
{
    bl_lua_main *main = bl_lua_main_of(cf->generation);

    main->watch |= *(int *)field == BL_CODE_CACHE_WATCH;
    if (*(int *)field == BL_CODE_CACHE_OFF && !main->warned) {
        main->warned = true;
        bl_log_write(BL_LOG_ALERT, &bl_log_process, 0,
                     "lua_code_cache is off; this will hurt performance in %.*s:%d",
                     BL_STR_ARG(node->file->path), node->words[0].line);
    }
    return true;
}

enum {
    CAPTURE_MIN = 4096,
    CAPTURE_MAX = 1024 * 1024 * 1024, /* it is there at once */
};

static bool check_capture(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field)
{
    int64_t size = *(int64_t *)field;

    if (size > CAPTURE_MAX)
        return bl_conf_invalid(cf, node, 1);
    if (size == 0 || size >= CAPTURE_MIN)
        return true;
    return bl_conf_error(cf, node, 1, "invalid capture error log size \"%.*s\", minimum size is %d",
                         BL_STR_ARG(bl_conf_arg(node, 1)), CAPTURE_MIN);
}

static bool warn_resty_core(bl_conf *cf BL_UNUSED, const bl_directive *d BL_UNUSED,
                            const bl_conf_node *node, void *field BL_UNUSED)
{
    bl_log_write(BL_LOG_WARN, &bl_log_process, 0,
                 "lua_load_resty_core is deprecated (the lua-resty-core library is required since "
                 "ngx_lua v0.10.16) in %.*s:%d",
                 BL_STR_ARG(node->file->path), node->words[0].line);
    return true;
}

/* ------------------------------------------------------------- directives */

static const bl_conf_word_value code_cache_words[] = {
    {"off", BL_CODE_CACHE_OFF},
    {"on", BL_CODE_CACHE_ON},
    {"watch", BL_CODE_CACHE_WATCH},
    {0},
};

#define HANDLER(directive, where, field, reader)                                                   \
    {directive,         where,       BL_TAKE1,                                                     \
     &bl_type_lua_code, BL_LOCATION, offsetof(bl_lua_location, field),                             \
     .set = reader},                                                                               \
        {directive "_block", where,       BL_TAKE0 | BL_TAKE_LUA,                                  \
         &bl_type_lua_code,  BL_LOCATION, offsetof(bl_lua_location, field),                        \
         .set = reader},                                                                           \
    {                                                                                              \
        directive "_file", where, BL_TAKE1, &bl_type_lua_code, BL_LOCATION,                        \
            offsetof(bl_lua_location, field), .set = reader                                        \
    }
/* Newer phases have no form in quotes. */
#define HANDLER2(directive, where, field)                                                          \
    {directive "_block", where,       BL_TAKE0 | BL_TAKE_LUA,                                      \
     &bl_type_lua_code,  BL_LOCATION, offsetof(bl_lua_location, field)},                           \
    {                                                                                              \
        directive "_file", where, BL_TAKE1, &bl_type_lua_code, BL_LOCATION,                        \
            offsetof(bl_lua_location, field)                                                       \
    }
#define HOOK(directive, field)                                                                     \
    {directive "_block", BL_IN_HTTP, BL_TAKE0 | BL_TAKE_LUA,                                       \
     &bl_type_lua_code,  BL_MAIN,    offsetof(bl_lua_main, field)},                                \
    {                                                                                              \
        directive "_file", BL_IN_HTTP, BL_TAKE1, &bl_type_lua_code, BL_MAIN,                       \
            offsetof(bl_lua_main, field)                                                           \
    }
#define MAIN(directive, type, field, def)                                                          \
    {                                                                                              \
        directive, BL_IN_HTTP, BL_TAKE1, type, BL_MAIN, offsetof(bl_lua_main, field), def          \
    }
#define FLAG(directive, field, def)                                                                \
    {                                                                                              \
        directive, BL_IN_HSLI, BL_TAKE_FLAG, &bl_type_flag, BL_LOCATION,                           \
            offsetof(bl_lua_location, field), def                                                  \
    }
#define SET_BY(directive, args)                                                                    \
    {                                                                                              \
        directive, BL_IN_SERVER | BL_IN_SERVER_IF | BL_IN_LOCATION | BL_IN_LOCATION_IF,            \
            args | BL_REPEATS, &bl_type_action, .set = bl_lua_set_read                             \
    }

static const bl_directive directives[] = {
    {"init_by_lua", BL_IN_HTTP, BL_TAKE1, &bl_type_lua_code, BL_MAIN, offsetof(bl_lua_main, init)},
    HOOK("init_by_lua", init),
    {"init_worker_by_lua", BL_IN_HTTP, BL_TAKE1, &bl_type_lua_code, BL_MAIN,
     offsetof(bl_lua_main, init_worker)},
    HOOK("init_worker_by_lua", init_worker),
    HOOK("exit_worker_by_lua", exit_worker),
    SET_BY("set_by_lua", BL_TAKE_2MORE),
    SET_BY("set_by_lua_block", BL_TAKE1 | BL_TAKE_LUA),
    SET_BY("set_by_lua_file", BL_TAKE_2MORE),
    HANDLER2("server_rewrite_by_lua", BL_IN_HTTP | BL_IN_SERVER, server_rewrite),
    HANDLER("rewrite_by_lua", BL_IN_HSLI, rewrite, NULL),
    HANDLER("access_by_lua", BL_IN_HSLI, access, NULL),
    HANDLER2("precontent_by_lua", BL_IN_HSLI, precontent),
    HANDLER("content_by_lua", BL_IN_LOCATION | BL_IN_LOCATION_IF, content, read_content),
    HANDLER("header_filter_by_lua", BL_IN_HSLI, header_filter, NULL),
    HANDLER("body_filter_by_lua", BL_IN_HSLI, body_filter, NULL),
    HANDLER("log_by_lua", BL_IN_HSLI, log, NULL),
    {"lua_code_cache", BL_IN_HSLI, BL_TAKE1, &bl_type_enum, BL_LOCATION,
     offsetof(bl_lua_location, code_cache), "on", .arg = code_cache_words,
     .check = check_code_cache},
    FLAG("lua_need_request_body", need_body, "off"),
    FLAG("lua_http10_buffering", http10_buffering, "on"),
    FLAG("lua_use_default_type", use_default_type, "on"),
    FLAG("lua_transform_underscores_in_response_headers", transform_underscores, "on"),
    FLAG("lua_check_client_abort", check_client_abort, "off"),
    MAIN("lua_package_path", &bl_type_str, package_path, NULL),
    MAIN("lua_package_cpath", &bl_type_str, package_cpath, NULL),
    MAIN("lua_max_pending_timers", &bl_type_num, max_pending_timers, "1024"),
    MAIN("lua_max_running_timers", &bl_type_num, max_running_timers, "256"),
    MAIN("lua_thread_cache_max_entries", &bl_type_num, thread_cache, "1024"),
    MAIN("lua_malloc_trim", &bl_type_num, malloc_trim, "0"),
    MAIN("lua_block_warn", &bl_type_msec, block_warn, "200ms"),
    MAIN("lua_block_abort", &bl_type_msec, block_abort, "0"),
    MAIN("lua_worker_thread_vm_pool_size", &bl_type_num, thread_vms, "10"),
    {"lua_capture_error_log", BL_IN_HTTP, BL_TAKE1, &bl_type_size, BL_MAIN,
     offsetof(bl_lua_main, error_log_size), "0", .check = check_capture},
    MAIN("lua_sa_restart", &bl_type_flag, sa_restart, "on"),
    {"lua_load_resty_core", BL_IN_HTTP, BL_TAKE_FLAG, &bl_type_flag, BL_MAIN,
     offsetof(bl_lua_main, load_resty_core), "on", .check = warn_resty_core},
    MAIN("rewrite_by_lua_no_postpone", &bl_type_flag, rewrite_no_postpone, "off"),
    MAIN("access_by_lua_no_postpone", &bl_type_flag, access_no_postpone, "off"),
    MAIN("precontent_by_lua_no_postpone", &bl_type_flag, precontent_no_postpone, "off"),
    {0},
};

/* ------------------------------------------------------------- compiling */

enum {
    EARLY = 1, /* place of a handler with no_postpone: in front of all others */
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const bl_lua_main *main = loc->settings.of[BL_MAIN][bl_lua_module.index];
    const bl_lua_location *s = loc->settings.of[BL_LOCATION][bl_lua_module.index];

    if (s->server_rewrite && loc->kind == BL_LOC_SERVER)
        bl_location_handler(cf, loc, BL_PHASE_SERVER_REWRITE, BL_PLACE_LUA_SERVER_REWRITE,
                            bl_lua_server_rewrite);
    if (s->rewrite && loc->kind != BL_LOC_SERVER)
        bl_location_handler(cf, loc, BL_PHASE_REWRITE,
                            main->rewrite_no_postpone ? EARLY : BL_PLACE_LUA_REWRITE,
                            bl_lua_rewrite);
    if (s->access)
        bl_location_handler(cf, loc, BL_PHASE_ACCESS,
                            main->access_no_postpone ? EARLY : BL_PLACE_LUA_ACCESS, bl_lua_access);
    if (s->precontent)
        bl_location_handler(cf, loc, BL_PHASE_PRECONTENT,
                            main->precontent_no_postpone ? EARLY : BL_PLACE_LUA_PRECONTENT,
                            bl_lua_precontent);
    if (main->malloc_trim > 0)
        bl_location_handler(cf, loc, BL_PHASE_LOG, BL_PLACE_LUA_LOG, bl_lua_trim);
    if (s->log)
        bl_location_handler(cf, loc, BL_PHASE_LOG, BL_PLACE_LUA_LOG, bl_lua_log_handler);
    if (s->header_filter)
        bl_location_filter(cf, loc, &bl_lua_header_filter);
    if (s->body_filter)
        bl_location_filter(cf, loc, &bl_lua_body_filter);
    return true;
}

static const bl_http_module http = {
    .compile = compile,
};

/* A script needs a VM whatever its configuration holds. */
static bool create(bl_conf *cf BL_UNUSED, int level, void *settings)
{
    if (level == BL_MAIN)
        ((bl_lua_main *)settings)->used = bl_opts.tool;
    return true;
}

bl_module bl_lua_module = {
    .name = "lua",
    .directives = directives,
    .create = create,
    .size = {[BL_MAIN] = sizeof(bl_lua_main), [BL_LOCATION] = sizeof(bl_lua_location)},
    .open = bl_lua_init_open,
    .start_worker = bl_lua_init_worker_start,
    .quit_worker = bl_lua_init_worker_quit,
    .stop_worker = bl_lua_init_worker_stop,
    .http = &http,
};
