#include "lua/api/output.h"
#include "http/core_module.h"
#include "http/mime.h"
#include "lua/api/text.h"

enum {
    OUT_SIZE = 4096 - 64, /* of the buffer; more when a piece is larger */
};

static const bl_lua_location *settings_of(const bl_request *r)
{
    return BL_LOC_SETTINGS(r, bl_lua_module);
}

/* ------------------------------------------------------------- to the pipeline */

bl_status bl_lua_out_head(bl_lua_ctx *ctx)
{
    bl_request *r = ctx->r;

    if (r->output.begun)
        return r->output.failed ? BL_ERROR : BL_OK;
    if (r->out.content_type.p == NULL && !ctx->no_type && r->out.status != 304 &&
        settings_of(r)->use_default_type)
        r->out.content_type = bl_mime_of(r);
    return bl_output_head(r);
}

/* HTTP/1.0: everything is kept for the end. */
static bool wants_holding(const bl_lua_ctx *ctx)
{
    const bl_request *r = ctx->r;

    return r->http_version < 1001 && bl_request_is_main(r) && !r->output.begun &&
           r->out.content_length < 0 && r->method != BL_M_HEAD && settings_of(r)->http10_buffering;
}

/* The head may be sent from here: nothing of it runs Lua. */
static bool may_begin(const bl_request *r)
{
    return r->http_version >= 1001 && settings_of(r)->header_filter == NULL;
}

/* A body filter in Lua sees each piece by itself, as its program says it, and the end alone. */
static bool piece_by_piece(const bl_lua_ctx *ctx)
{
    return settings_of(ctx->r)->body_filter != NULL && !ctx->holding;
}

static void take_out(bl_lua_ctx *ctx, bl_chain *chain)
{
    bl_chain_init(chain);
    if (ctx->holding) {
        bl_chain_append(chain, &ctx->held);
        ctx->holding = false;
    }
    if (ctx->out) {
        bl_chain_push(chain, ctx->out);
        ctx->out = NULL;
    }
}

bl_status bl_lua_out_push(bl_lua_ctx *ctx, bool flush)
{
    bl_chain chain;

    take_out(ctx, &chain);
    if (flush) {
        bl_buf *mark = bl_buf_mark(ctx->r->pool);
        mark->flush = 1;
        bl_chain_push(&chain, mark);
    }
    if (bl_chain_empty(&chain))
        return BL_OK;
    if (bl_lua_out_head(ctx) == BL_ERROR) {
        bl_chain_done(&chain);
        return BL_ERROR;
    }
    return bl_output_body(ctx->r, &chain);
}

bl_status bl_lua_out_end(bl_lua_ctx *ctx)
{
    bl_request *r = ctx->r;
    bl_chain chain;
    bool held = ctx->holding;

    if (ctx->eof)
        return r->output.failed ? BL_ERROR : BL_OK;
    ctx->eof = true;
    take_out(ctx, &chain);
    if (!r->output.begun && held)
        r->out.content_length = bl_chain_len(&chain);
    if (BL_UNLIKELY(bl_lua_out_head(ctx) == BL_ERROR)) {
        bl_chain_done(&chain);
        return BL_ERROR;
    }
    if (bl_chain_empty(&chain))
        bl_chain_push(&chain, bl_buf_mark(r->pool));
    for (bl_buf *b = chain.first; b; b = b->next)
        b->eof = b->next == NULL;
    return bl_output_body(r, &chain);
}

void bl_lua_out_drop(bl_lua_ctx *ctx)
{
    bl_chain chain;

    take_out(ctx, &chain);
    bl_chain_done(&chain);
}

void bl_lua_out_waiting(bl_lua_ctx *ctx)
{
    int64_t worth = ctx->r->loc->core->postpone_output;

    if (ctx->out && !ctx->holding && ctx->out->last - ctx->out->pos >= worth)
        bl_lua_out_push(ctx, false);
}

/* ------------------------------------------------------------- room */

/* Room for `len` bytes in ctx->out; what was there goes on its way. */
static bl_status make_room(bl_lua_ctx *ctx, size_t len)
{
    bl_status status = BL_OK;

    if (ctx->out && ctx->holding) {
        bl_chain_push(&ctx->held, ctx->out);
        ctx->out = NULL;
    } else if (ctx->out) {
        status = bl_lua_out_push(ctx, false);
    }
    ctx->out = bl_buf_cached(BL_MAX(len, (size_t)OUT_SIZE));
    return status;
}

static bool has_room(const bl_lua_ctx *ctx, size_t len)
{
    return ctx->out && (size_t)(ctx->out->end - ctx->out->last) >= len;
}

/* Before the first byte: the head is sent, or everything is going to be held. */
static bl_status begin(bl_lua_ctx *ctx)
{
    if (wants_holding(ctx)) {
        if (!ctx->holding) {
            ctx->holding = true;
            bl_chain_init(&ctx->held);
        }
        return BL_OK;
    }
    return bl_lua_out_head(ctx) == BL_ERROR ? BL_ERROR : BL_OK;
}

BL_HOT int bl_lua_ffi_room(size_t len)
{
    bl_request *r = bl_lua_now.request;

    if (BL_UNLIKELY(!(bl_lua_now.phase & BL_LUA_HANDLERS) || r == NULL))
        return 1;
    bl_lua_ctx *ctx = bl_request_ctx(r, &bl_lua_module);
    if (BL_UNLIKELY(ctx == NULL || ctx->eof || ctx->raw || r->output.failed || r->head_only ||
                    piece_by_piece(ctx)))
        return 1;
    if (!r->output.begun && !ctx->holding && (!may_begin(r) || bl_lua_out_head(ctx) == BL_ERROR))
        return 1;
    if (BL_LIKELY(has_room(ctx, len)))
        return 0;
    if (ctx->out)
        return 1;
    ctx->out = bl_buf_cached(BL_MAX(len, (size_t)OUT_SIZE));
    return 0;
}

void bl_lua_ffi_put(const char *text, size_t len)
{
    bl_lua_ctx *ctx = bl_request_ctx(bl_lua_now.request, &bl_lua_module);

    ctx->out->last = (char *)memcpy(ctx->out->last, text, len) + len;
}

BL_HOT int bl_lua_ffi_say(const char *text, size_t len, int newline)
{
    if (bl_lua_ffi_room(len + 1) != 0)
        return 1;
    bl_buf *b = ((bl_lua_ctx *)bl_request_ctx(bl_lua_now.request, &bl_lua_module))->out;
    b->last = (char *)memcpy(b->last, text, len) + len;
    if (newline)
        *b->last++ = '\n';
    return 0;
}

int bl_lua_ffi_say_number(double n, int newline)
{
    char text[24];
    uint64_t whole = n >= 1 && n < 1e14 ? (uint64_t)n : 0;

    if (whole == 0 || (double)whole != n)
        return 1;
    return bl_lua_ffi_say(text, (size_t)(bl_u64_write(text, whole) - text), newline);
}

/* ------------------------------------------------------------- the C functions */

static int fail(lua_State *L, const char *error)
{
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

/* A filter in Lua runs while output is on its way. */
static bool has_lua_filter(const bl_request *r)
{
    const bl_lua_location *s = settings_of(r);

    return s->header_filter != NULL || s->body_filter != NULL;
}

static int put(lua_State *L, bool newline, const char *name)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    int count = lua_gettop(L);
    size_t len = newline ? 1 : 0;

    bl_lua_text_objects(L, count);
    if (has_lua_filter(r))
        bl_lua_text_flatten(L, count, name);
    for (int i = 1; i <= count; i++)
        len += bl_lua_text_len(L, i, name);
    if (ctx->raw)
        return fail(L, "raw request socket acquired");
    if (ctx->eof)
        return fail(L, "seen eof");
    if (r->output.failed || begin(ctx) == BL_ERROR)
        return fail(L, "nginx output filter error");
    if (r->head_only)
        return fail(L, "header only");
    if (len && !has_room(ctx, len) && make_room(ctx, len) == BL_ERROR)
        return fail(L, "nginx output filter error");
    if (len) {
        char *at = ctx->out->last;
        for (int i = 1; i <= count; i++)
            at = bl_lua_text_put(L, i, at);
        if (newline)
            *at++ = '\n';
        ctx->out->last = at;
        if (piece_by_piece(ctx) && bl_lua_out_push(ctx, false) == BL_ERROR)
            return fail(L, "nginx output filter error");
    }
    lua_pushinteger(L, 1);
    return 1;
}

static int l_print(lua_State *L)
{
    return put(L, false, "print");
}

static int l_say(lua_State *L)
{
    return put(L, true, "say");
}

static int l_send_headers(lua_State *L)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(bl_lua_request(L, BL_LUA_HANDLERS));

    if (ctx->raw)
        return fail(L, "raw request socket acquired");
    if (!wants_holding(ctx) && bl_lua_out_head(ctx) == BL_ERROR)
        return fail(L, "nginx output filter error");
    lua_pushinteger(L, 1);
    return 1;
}

static int l_eof(lua_State *L)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(bl_lua_request(L, BL_LUA_HANDLERS));

    if (ctx->raw)
        return fail(L, "raw request socket acquired");
    if (ctx->eof)
        return fail(L, "seen eof");
    if (bl_lua_out_end(ctx) == BL_ERROR)
        return fail(L, "nginx output filter error");
    lua_pushinteger(L, 1);
    return 1;
}

/* ------------------------------------------------------------- flush(true) */

static void drained(bl_request *r, bl_status status)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    bl_link waiting;

    bl_list_init(&waiting);
    bl_list_splice(&waiting, &ctx->flushing);
    bl_request_hold(r);
    while (!bl_list_empty(&waiting)) {
        bl_task *task = BL_LIST_FIRST(&waiting, bl_task, link);
        bl_list_remove(&task->link);
        if (status == BL_ERROR) {
            bl_wait_fail(&task->own, "client aborted");
        } else {
            lua_pushinteger(task->L, 1);
            bl_wait_end(&task->own, 1);
        }
    }
    bl_request_drop(r);
}

/* It waits no more; nor does the request, if nobody else does. */
static void stop_flushing(bl_wait *w)
{
    bl_task *task = BL_CONTAINER(w, bl_task, own);
    bl_request *r = task->run->request;

    bl_list_remove(&task->link);
    if (bl_list_empty(&bl_lua_ctx_of(r)->flushing) && r->output.drained == drained)
        r->output.drained = NULL;
}

static int flush_timeout(bl_wait *w, lua_State *L)
{
    stop_flushing(w);
    return fail(L, "timeout");
}

static int wait_drained(lua_State *L, bl_lua_ctx *ctx)
{
    bl_task *task = bl_task_may_wait(L);
    bool first;

    if (ctx->flushing.next == NULL)
        bl_list_init(&ctx->flushing);
    first = bl_list_empty(&ctx->flushing);
    bl_list_push(&ctx->flushing, &task->link);
    if (first && ctx->r->output.drained != drained)
        bl_output_when_drained(ctx->r, drained);
    task->own.cancel = stop_flushing;
    task->own.expire = flush_timeout;
    return bl_wait_begin(&task->own, L, ctx->r->loc->core->send_timeout);
}

static int l_flush(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    bool wait = lua_toboolean(L, 1);

    if (ctx->raw)
        return fail(L, "raw request socket acquired");
    if ((r->head_only && r->out.status != 101) || r->method == BL_M_HEAD)
        return fail(L, "header only");
    if (ctx->holding || wants_holding(ctx))
        return fail(L, "buffering");
    if (!r->output.begun && ctx->out == NULL)
        return fail(L, "nothing to flush");
    if (ctx->eof)
        return fail(L, "seen eof");
    if (bl_lua_out_push(ctx, true) == BL_ERROR)
        return fail(L, "nginx output filter error");
    if (wait && !bl_output_is_drained(r))
        return wait_drained(L, ctx);
    lua_pushinteger(L, 1);
    return 1;
}

void bl_lua_open_output(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"print", l_print}, {"say", l_say},     {"send_headers", l_send_headers},
        {"eof", l_eof},     {"flush", l_flush}, {NULL, NULL},
    };

    luaL_register(L, NULL, functions);
}
