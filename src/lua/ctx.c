#include "lua/ctx.h"
#include "lua/api/socket.h"
#include "lua/init.h"
#include "lua/reload.h"
#include "lua/vm.h"
#include "lua/watch.h"

/* ngx.ctx's table and open sockets go with the request, a VM of its own too. */
static void cleanup(void *data)
{
    bl_lua_ctx *ctx = data;
    bl_lua_vm *vm = ctx->vm;

    if (bl_list_linked(&ctx->watched))
        bl_lua_reload_leave(ctx);
    if (ctx->sockets.next)
        bl_socket_close_list(&ctx->sockets);
    if (ctx->ctx_ref)
        bl_debug(&bl_log_process, "lua release ngx.ctx at ref %d", ctx->ctx_ref);
    if (ctx->ctx_ref)
        bl_lua_vm_unref_ctx(vm, ctx->ctx_ref);
    if (ctx->abort_ref)
        luaL_unref(vm->L, LUA_REGISTRYINDEX, ctx->abort_ref);
    if (vm->own) {
        bl_lua_vm_log_alone(vm); /* timers may still use it */
        bl_lua_vm_drop(vm);
    }
}

void bl_lua_ctx_cleanup(bl_lua_ctx *ctx)
{
    if (ctx->cleaned)
        return;
    ctx->cleaned = true;
    bl_pool_cleanup(ctx->r->pool, cleanup, ctx);
}

/* A VM that other parts of the same exchange have already, or a new one. */
static void give_own_vm(bl_lua_ctx *ctx, bl_request *r)
{
    bl_lua_ctx *main = r == r->main ? NULL : bl_request_ctx(r->main, &bl_lua_module);

    if (main && main->vm->own) {
        ctx->vm = bl_lua_vm_hold(main->vm);
    } else {
        bl_lua_vm *vm = bl_lua_vm_new(r->http->generation, r->log);
        if (vm == NULL)
            return;
        vm->own = true;
        bl_watch_attach(vm);
        bl_lua_init_vm(vm, r->log);
        ctx->vm = vm;
    }
    bl_lua_ctx_cleanup(ctx);
}

static bl_lua_ctx *new_ctx(bl_request *r)
{
    const bl_lua_location *settings = BL_LOC_SETTINGS(r, bl_lua_module);
    bl_lua_ctx *ctx = BL_NEW(r->pool, bl_lua_ctx);

    ctx->r = r;
    ctx->vm = bl_lua_vm_of(r->http->generation);
    if (BL_UNLIKELY(settings->code_cache == BL_CODE_CACHE_OFF))
        give_own_vm(ctx, r);
    bl_request_set_ctx(r, &bl_lua_module, ctx);
    if (BL_UNLIKELY(ctx->vm && ctx->vm->watch && !ctx->vm->own))
        bl_lua_reload_enter(ctx);
    return ctx;
}

bl_lua_ctx *bl_lua_ctx_of(bl_request *r)
{
    bl_lua_ctx *ctx = bl_request_ctx(r, &bl_lua_module);

    return BL_LIKELY(ctx != NULL) ? ctx : new_ctx(r);
}

bl_lua_vm *bl_lua_vm_for(bl_request *r)
{
    return bl_lua_ctx_of(r)->vm;
}
