#include "lua/api/ctx.h"
#include "lua/ctx.h"
#include "lua/handshake.h"

int bl_lua_ffi_ctx_get(void)
{
    const bl_lua_ctx *ctx = bl_lua_ctx_here();

    if (BL_LIKELY(ctx != NULL))
        return ctx->ctx_ref;
    return bl_lua_now.task ? bl_lua_now.task->run->ctx_ref : -1;
}

int bl_lua_ffi_ctx_before(void)
{
    const bl_request *r = bl_lua_now.request;

    return r ? bl_lua_handshake_ctx(bl_lua_now.vm, r->conn) : 0;
}

void bl_lua_ffi_ctx_set(int ref)
{
    bl_lua_ctx *ctx = bl_lua_ctx_here();

    if (ctx) {
        ctx->ctx_ref = ref;
        bl_lua_ctx_cleanup(ctx);
    } else {
        bl_lua_now.task->run->ctx_ref = ref;
    }
}

int bl_lua_ffi_is_subrequest(void)
{
    const bl_request *r = bl_lua_now.request;

    return r ? !bl_request_is_main(r) : -1;
}

int bl_lua_ffi_headers_sent(void)
{
    const bl_request *r = bl_lua_now.request;

    return r ? r->output.begun : -1;
}

int bl_lua_ffi_is_internal(void)
{
    const bl_request *r = bl_lua_now.request;

    return r ? r->internal : -1;
}
