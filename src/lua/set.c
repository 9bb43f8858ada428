#include "lua/set.h"
#include "http/modules/rewrite.h"
#include "http/variable.h"
#include "lua/ctx.h"

typedef struct set_op {
    bl_lua_code *code;
    int variable;
    bl_value **args;
    int args_count;
} set_op;

bl_str bl_lua_set_arg(const bl_run *run, int n)
{
    const set_op *op = run->data;

    return n >= 1 && n <= op->args_count ? bl_value_eval(run->request, op->args[n - 1])
                                         : BL_STR_NONE;
}

/* Stores the first value that the code returned; false: there was an error. */
static bl_step store(bl_run *run)
{
    bl_request *r = run->request;
    const set_op *op = run->data;
    bl_str value = BL_STR("");

    if (run->outcome != BL_RUN_RETURNED)
        return run->outcome == BL_RUN_EXIT && run->status >= 200 ? run->status : 500;
    if (bl_run_results(run) > 0) {
        const char *text = lua_tolstring(run->entry->L, 1, &value.len);
        value.p = (char *)text;
    }
    bl_var_set(r, op->variable, value.p ? bl_pool_str(r->pool, value) : BL_STR(""));
    return BL_NEXT;
}

static void done(bl_run *run)
{
    bl_request *r = run->request;
    bl_step step = store(run);

    bl_run_free(run);
    bl_request_wake(r, step);
}

static bl_step run_set(bl_request *r, void *data)
{
    const set_op *op = data;
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (ctx->vm == NULL)
        return 500;
    bl_run *run = bl_run_new(ctx->vm, r, BL_LUA_SET, done);
    run->data = data;
    int status = bl_lua_code_push(op->code, ctx->vm, r, run->entry->L);
    if (status == 0 && !bl_run_start(run, 0))
        return BL_WAIT;
    bl_step step = status ? 500 : store(run);
    bl_run_free(run);
    return step;
}

static bool read_args(bl_conf *cf, const bl_conf_node *node, set_op *op, int from)
{
    op->args_count = BL_MAX(node->count - from, 0);
    op->args = BL_NEW_ARRAY(cf->pool, bl_value *, (size_t)op->args_count + 1);
    for (int i = 0; i < op->args_count; i++) {
        op->args[i] = bl_value_compile(cf, node, from + i, bl_conf_arg(node, from + i));
        if (op->args[i] == NULL)
            return false;
    }
    return true;
}

bool bl_lua_set_read(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    set_op *op = BL_NEW(cf->pool, set_op);

    op->variable = bl_rewrite_define(cf, node, 1);
    if (op->variable < 0)
        return false;
    op->code = bl_lua_code_read(cf, node, 2);
    return op->code && read_args(cf, node, op, 3) && bl_rewrite_add_op(cf, run_set, op);
}
