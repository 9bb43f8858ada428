#include "lua/balancer.h"
#include "lua/code.h"
#include "lua/ctx.h"
#include "lua/module.h"

enum {
    KEEPALIVE = 30, /* idle connections of a group without a word */
};

bl_lua_balance *bl_lua_balance_here(const char **error)
{
    const bl_request *r = bl_lua_now.request;

    if (r == NULL)
        *error = "no request found";
    else if (r->upstream == NULL)
        *error = "no upstream found";
    else if (bl_lua_now.phase != BL_LUA_BALANCER)
        *error = "API disabled in the current context";
    else
        return r->upstream->choice.data;
    return NULL;
}

/* ------------------------------------------------------------- what a run has decided */

static bl_step pick(bl_lua_balance *b)
{
    bl_upstream *u = b->u;

    if (b->peer) {
        u->choice.peer = b->peer;
        return BL_NEXT;
    }
    if (u->choice.peers->count == 0) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "lua balancer: no peer set");
        return 500;
    }
    return bl_peers_choose(u);
}

static bl_step exit_step(bl_lua_balance *b, int status)
{
    if (status == 444 || status == 499)
        return BL_CLOSE;
    if (status >= 300)
        return status;
    return status >= 0 || status == -5 ? pick(b) : 500; /* -5: ngx.DECLINED */
}

static bl_step result(bl_lua_balance *b, bl_run *run)
{
    bl_outcome outcome = run->outcome;
    int status = run->status;

    bl_run_free(run);
    if (outcome == BL_RUN_RETURNED)
        return pick(b);
    return outcome == BL_RUN_EXIT ? exit_step(b, status) : 500;
}

/* ------------------------------------------------------------- waiting */

static void done_waiting(bl_lua_balance *b)
{
    b->run = NULL;
    b->u->r->client_gone = b->client_gone;
}

static void run_done(bl_run *run)
{
    bl_lua_balance *b = run->data;

    done_waiting(b);
    bl_upstream_chosen(b->u, result(b, run));
}

static void give_up(void *data)
{
    bl_lua_balance *b = data;

    if (b->run)
        bl_run_free(b->run);
    b->run = NULL;
}

static void client_gone(bl_request *r)
{
    bl_lua_balance *b = r->upstream->choice.data;

    give_up(b);
    done_waiting(b);
    r->client_gone(r);
}

static bl_step wait_for(bl_lua_balance *b, bl_run *run)
{
    bl_request *r = b->u->r;

    b->run = run;
    b->client_gone = r->client_gone;
    if (r->client_gone)
        r->client_gone = client_gone;
    return BL_WAIT;
}

/* ------------------------------------------------------------- the balancer */

static bl_step begin(bl_upstream *u)
{
    bl_lua_balance *b = BL_NEW(u->r->pool, bl_lua_balance);

    b->u = u;
    bl_pool_cleanup(u->r->pool, give_up, b);
    bl_step step = bl_peers_begin(u);
    u->choice.data = b;
    u->tries = BL_MAX(u->tries, 1);
    return step;
}

static bl_step choose(bl_upstream *u)
{
    bl_lua_balance *b = u->choice.data;
    bl_lua_vm *vm = bl_lua_ctx_of(u->r)->vm;

    if (BL_UNLIKELY(vm == NULL))
        return 500;
    b->peer = NULL;
    b->attempts++;
    u->keep.wanted = u->keep.wanted && u->group->keepalive_set;
    bl_run *run = bl_run_new(vm, u->r, BL_LUA_BALANCER, run_done);
    run->data = b;
    int status = bl_lua_code_push(u->group->balancer_data, vm, u->r, run->entry->L);
    if (BL_UNLIKELY(status)) {
        bl_run_free(run);
        return status;
    }
    return BL_LIKELY(bl_run_start(run, 0)) ? result(b, run) : wait_for(b, run);
}

static void done(bl_upstream *u, unsigned result)
{
    bl_lua_balance *b = u->choice.data;

    b->failure = result ? "failed" : "next";
    b->failure_status = u->trying->status;
    if (result & BL_PEER_AGAIN)
        b->attempts--;
    if (u->choice.peer != b->peer)
        bl_peers_done(u, result);
}

static bool compile(bl_conf *cf BL_UNUSED, bl_upstream_group *group)
{
    const int64_t *total = group->settings.of[BL_SERVER][bl_lua_balancer_module.index];

    if (*total >= 0)
        group->keepalive = *total;
    else if (!group->keepalive_set)
        group->keepalive = KEEPALIVE;
    if (!group->keepalive_set)
        group->keepalive_local = false;
    return true;
}

static const bl_balancer balancer = {
    .name = "lua balancer",
    .compile = compile,
    .begin = begin,
    .choose = choose,
    .done = done,
};

/* ------------------------------------------------------------- directives */

static bool read_balancer(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field BL_UNUSED)
{
    bl_upstream_group *group = bl_upstream_group_of(cf);

    if (group->balancer == &balancer)
        return bl_conf_error(cf, node, 0, "\"%.*s\" directive is duplicate",
                             BL_STR_ARG(bl_conf_arg(node, 0)));
    if (group->balancer || group->keepalive_set)
        bl_conf_warn(cf, node, 0, "load balancing method redefined");
    group->balancer = &balancer;
    group->balancer_data = bl_lua_code_read(cf, node, 1);
    return group->balancer_data != NULL;
}

static const bl_directive directives[] = {
    {"balancer_by_lua_block", BL_IN_UPSTREAM, BL_TAKE0 | BL_TAKE_LUA | BL_REPEATS, &bl_type_action,
     .set = read_balancer},
    {"balancer_by_lua_file", BL_IN_UPSTREAM, BL_TAKE1 | BL_REPEATS, &bl_type_action,
     .set = read_balancer},
    {"balancer_keepalive", BL_IN_UPSTREAM, BL_TAKE1, &bl_type_num, BL_SERVER, 0},
    {0},
};

bl_module bl_lua_balancer_module = {
    .name = "lua_balancer",
    .directives = directives,
    .size = {[BL_SERVER] = sizeof(int64_t)},
};
