#include "lua/handler.h"
#include "http/body.h"
#include "http/core_module.h"
#include "lua/api/output.h"
#include "lua/fault.h"
#include "lua/vm.h"

/* ------------------------------------------------------------- from a run to a step */

/* The program has spoken for itself: nothing more is sent. */
static bl_step end_raw(bl_request *r)
{
    bl_lua_out_drop(bl_lua_ctx_of(r));
    if (r->out.status == 0)
        r->out.status = 200;
    return BL_CLOSE;
}

/* The response is whole: what the handler has said, and the end. */
static bl_step end_response(bl_request *r)
{
    return bl_lua_out_end(bl_lua_ctx_of(r)) == BL_ERROR ? BL_CLOSE : BL_DONE;
}

static bool has_output(bl_request *r)
{
    const bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    return ctx->out || ctx->holding || r->output.begun;
}

/* ngx.exit(status) with a status of HTTP, or one of ngx.OK, ngx.ERROR … */
static bl_step exit_step(bl_request *r, uint32_t phase, int status)
{
    if (status == 0) {
        if (phase == BL_LUA_CONTENT || has_output(r))
            return end_response(r);
        return phase == BL_LUA_ACCESS ? BL_SKIP : BL_NEXT;
    }
    if (status == -5 && phase != BL_LUA_CONTENT) /* ngx.DECLINED */
        return BL_NEXT;
    if (status < 0 || status == 408 || status == 444 || status == 499) {
        if (!r->output.begun && (status > 0 || r->sub))
            r->out.status = status > 0 ? status : 500;
        bl_lua_out_drop(bl_lua_ctx_of(r));
        return BL_CLOSE;
    }
    if (r->output.begun || bl_lua_ctx_of(r)->holding) {
        if (status >= 300 && status != r->out.status)
            bl_log_write(BL_LOG_ERR, r->log, 0,
                         "attempt to set status %d via ngx.exit after sending out the response "
                         "status %d",
                         status, r->out.status);
        return end_response(r);
    }
    if (status >= 300) {
        bl_lua_out_drop(bl_lua_ctx_of(r));
        r->out.status = status; /* ngx.status of an error page that Lua makes */
        return status;
    }
    if (r->out.status == 0)
        r->out.status = status;
    return end_response(r);
}

static bl_step returned_step(bl_request *r, uint32_t phase)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (phase == BL_LUA_CONTENT || ctx->eof)
        return end_response(r);
    if (has_output(r))
        return end_response(r);
    /* Where one who allows is enough, not to refuse is to allow. */
    return phase == BL_LUA_ACCESS && r->loc->core->satisfy == BL_SATISFY_ANY ? BL_SKIP : BL_NEXT;
}

bl_step bl_lua_handler_result(bl_run *run)
{
    bl_request *r = run->request;
    bl_step step;

    if (BL_UNLIKELY(bl_lua_ctx_of(r)->raw) &&
        (run->phase == BL_LUA_CONTENT || run->outcome != BL_RUN_RETURNED)) {
        bl_run_free(run);
        return end_raw(r);
    }
    switch (run->outcome) {
    case BL_RUN_RETURNED:
        step = returned_step(r, run->phase);
        break;
    case BL_RUN_EXIT:
        step = exit_step(r, run->phase, run->status);
        break;
    case BL_RUN_JUMP:
        bl_lua_out_drop(bl_lua_ctx_of(r));
        step = run->jump(run);
        break;
    default:
        step = r->output.begun ? BL_CLOSE : 500;
        bl_lua_out_drop(bl_lua_ctx_of(r));
    }
    bl_run_free(run);
    return step;
}

/* ------------------------------------------------------------- waiting */

static void done(bl_run *run)
{
    bl_request *r = run->request;

    bl_lua_ctx_of(r)->run = NULL;
    bl_step step = bl_lua_handler_result(run);
    bl_request_wake(r, step);
}

/* The client went away while the handler waits: ngx.on_abort's function runs as a light thread, or
 * all ends. */
static void client_gone(bl_request *r)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    bl_run *run = ctx->run;

    if (run == NULL)
        return;
    if (ctx->abort_ref == 0) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client prematurely closed connection");
        bl_run_end(run, BL_RUN_EXIT, 499);
        return;
    }
    lua_rawgeti(run->vm->L, LUA_REGISTRYINDEX, ctx->abort_ref);
    luaL_unref(run->vm->L, LUA_REGISTRYINDEX, ctx->abort_ref);
    ctx->abort_ref = 0;
    bl_task_ready(bl_task_add(run, run->vm->L, 0), 0);
}

static void watch_client(bl_request *r)
{
    const bl_lua_location *s = BL_LOC_SETTINGS(r, bl_lua_module);

    if (!s->check_client_abort || !bl_request_is_main(r))
        return;
    r->client_gone = client_gone;
    if (r->codec->watch)
        r->codec->watch(r, true);
}

/* ------------------------------------------------------------- running */

BL_HOT static bl_step run_code(bl_request *r, bl_lua_code *code, uint32_t phase)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (BL_UNLIKELY(ctx->vm == NULL))
        return 500;
    bl_run *run = bl_run_new(ctx->vm, r, phase, done);
    int status = bl_lua_code_push(code, ctx->vm, r, run->entry->L);
    if (BL_UNLIKELY(status)) {
        bl_run_free(run);
        return status;
    }
    if (BL_LIKELY(bl_run_start(run, 0)))
        return bl_lua_handler_result(run);
    ctx->run = run;
    bl_lua_out_waiting(ctx);
    watch_client(r);
    return BL_WAIT;
}

static void body_read(bl_request *r, bl_step step)
{
    if (step == BL_NEXT)
        step = r->at->run(r);
    if (step != BL_WAIT)
        bl_request_wake(r, step);
}

/* lua_need_request_body: NEXT when the body is there. */
static bl_step need_body(bl_request *r, const bl_lua_location *s)
{
    if (BL_LIKELY(!s->need_body))
        return BL_NEXT;
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    if (ctx->body_done)
        return BL_NEXT;
    ctx->body_done = true;
    return bl_body_read(r, body_read);
}

#define SETTINGS(r) ((const bl_lua_location *)BL_LOC_SETTINGS(r, bl_lua_module))

static bl_step run_with_body(bl_request *r, bl_lua_code *code, uint32_t phase)
{
    bl_step step = need_body(r, SETTINGS(r));

    return step == BL_NEXT ? run_code(r, code, phase) : step;
}

bl_step bl_lua_server_rewrite(bl_request *r)
{
    return run_with_body(r, SETTINGS(r)->server_rewrite, BL_LUA_SERVER_REWRITE);
}

bl_step bl_lua_rewrite(bl_request *r)
{
    if (r->uri_changed) /* it is another location's from here on */
        return BL_NEXT;
    return run_with_body(r, SETTINGS(r)->rewrite, BL_LUA_REWRITE);
}

bl_step bl_lua_access(bl_request *r)
{
    return run_with_body(r, SETTINGS(r)->access, BL_LUA_ACCESS);
}

bl_step bl_lua_precontent(bl_request *r)
{
    return run_with_body(r, SETTINGS(r)->precontent, BL_LUA_PRECONTENT);
}

BL_HOT bl_step bl_lua_content(bl_request *r)
{
    return run_with_body(r, SETTINGS(r)->content, BL_LUA_CONTENT);
}

/* ------------------------------------------------------------- log */

static void log_done(bl_run *run)
{
    bl_request *r = run->request;

    bl_run_free(run);
    bl_request_log_done(r);
}

bl_step bl_lua_log_handler(bl_request *r)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (ctx->vm == NULL)
        return BL_NEXT;
    bl_run *run = bl_run_new(ctx->vm, r, BL_LUA_LOG, log_done);
    if (bl_lua_code_push(SETTINGS(r)->log, ctx->vm, r, run->entry->L) != 0 ||
        bl_run_start(run, 0)) {
        bl_run_free(run);
        return BL_NEXT;
    }
    return BL_WAIT;
}
