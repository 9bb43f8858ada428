#include "lua/api/control.h"
#include "http/escape.h"
#include "lua/api/args.h"
#include "lua/api/header.h"
#include "lua/ctx.h"
#include "lua/fault.h"

/* ------------------------------------------------------------- exit */

enum {
    EXIT_PHASES =
        BL_LUA_ANY & ~(BL_LUA_INIT | BL_LUA_INIT_WORKER | BL_LUA_EXIT_WORKER | BL_LUA_SET),
};

static int l_exit(lua_State *L)
{
    int status = (int)luaL_checkinteger(L, 1);

    bl_lua_gate(L, EXIT_PHASES);
    if (status == -2 || status == -4)
        return luaL_error(L, "bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE");
    bl_debug(bl_lua_log(), "lua exit with code %d", status);
    return bl_task_end(L, BL_RUN_EXIT, status);
}

/* ------------------------------------------------------------- exec */

static bl_step jump_exec(bl_run *run)
{
    bl_request *r = run->request;

    if (run->jump_uri.p[0] == '@')
        return bl_request_redirect_named(r, run->jump_uri);
    return bl_request_redirect(r, run->jump_uri, run->jump_args);
}

/* A path that climbs, or ends where C would think it does, is logged and raised. */
static void check_path(lua_State *L, bl_request *r, bl_str uri)
{
    bool climbs = memmem(uri.p, uri.len, "/../", 4) != NULL ||
                  (uri.len >= 3 && memcmp(uri.p + uri.len - 3, "/..", 3) == 0);

    if (!climbs && memchr(uri.p, '\0', uri.len) == NULL)
        return;
    bl_log_write(BL_LOG_ERR, r->log, 0, "unsafe URI \"%.*s\" was detected", BL_STR_ARG(uri));
    luaL_error(L, "unsafe uri");
}

static int l_exec(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    bl_run *run = bl_lua_now.task->run;
    bl_str uri, args = BL_STR_NONE;

    if (lua_gettop(L) != 1 && lua_gettop(L) != 2)
        return luaL_error(L, "expecting one or two arguments, but got %d", lua_gettop(L));
    uri.p = (char *)luaL_checklstring(L, 1, &uri.len);
    if (uri.len == 0)
        return luaL_error(L, "The uri argument is empty");
    uri = bl_pool_str(r->pool, uri);
    if (!lua_isnoneornil(L, 2))
        args = bl_args_from_lua(L, 2, r->pool, "exec");
    if (r->output.begun)
        return luaL_error(L, "attempt to call ngx.exec after sending out response headers");
    ssize_t question = bl_str_chr(uri, '?');
    if (question >= 0) {
        bl_str own = bl_str_of(uri.p + question + 1, uri.len - (size_t)question - 1);
        bl_str joined[] = {own, BL_STR("&"), args};
        args = args.len ? bl_pool_concat(r->pool, joined, 3) : own;
        uri.len = (size_t)question;
    }
    check_path(L, r, uri);
    run->jump_uri = uri;
    run->jump_args = args;
    run->jump = jump_exec;
    return bl_task_end(L, BL_RUN_JUMP, 0);
}

/* ------------------------------------------------------------- redirect */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Bytes that would end the field, shown in the error. */
static void check_safe(lua_State *L, bl_request *r, bl_str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        unsigned char c = (unsigned char)uri.p[i];
        if (c >= 0x20 && c != 0x7f)
            continue;
        luaL_error(L, "unsafe byte \"0x%s\" in redirect uri \"%s\"",
                   bl_pool_printf(r->pool, "%02x", c).p, bl_lua_shown(r->pool, uri).p);
    }
}

static bl_step jump_redirect(bl_run *run)
{
    bl_lua_set_location(run->request, run->jump_uri);
    return run->status;
}

static int l_redirect(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    int count = lua_gettop(L), status = 302;
    bl_str uri;

    if (count != 1 && count != 2)
        return luaL_error(L, "expecting one or two arguments");
    uri.p = (char *)luaL_checklstring(L, 1, &uri.len);
    if (count == 2) {
        status = (int)luaL_checkinteger(L, 2);
        if (!is_redirect(status))
            return luaL_error(L, "only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, "
                                 "ngx.HTTP_PERMANENT_REDIRECT, ngx.HTTP_SEE_OTHER, and "
                                 "ngx.HTTP_TEMPORARY_REDIRECT are allowed");
    }
    if (r->output.begun)
        return luaL_error(L, "attempt to call ngx.redirect after sending out the headers");
    check_safe(L, r, uri);
    bl_run *run = bl_lua_now.task->run;
    run->jump_uri = bl_pool_str(r->pool, uri);
    run->jump = jump_redirect;
    return bl_task_end(L, BL_RUN_JUMP, status);
}

/* ------------------------------------------------------------- on_abort */

static int fail(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

static int l_on_abort(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    const bl_lua_location *settings = BL_LOC_SETTINGS(r, bl_lua_module);

    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (ctx->abort_ref)
        return fail(L, "duplicate call");
    if (!settings->check_client_abort)
        return fail(L, "lua_check_client_abort is off");
    lua_pushvalue(L, 1);
    ctx->abort_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    bl_lua_ctx_cleanup(ctx);
    lua_pushinteger(L, 1);
    return 1;
}

void bl_lua_open_control(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"exit", l_exit},         {"exec", l_exec}, {"redirect", l_redirect},
        {"on_abort", l_on_abort}, {NULL, NULL},
    };

    luaL_register(L, NULL, functions);
}
