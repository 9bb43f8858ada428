#include "lua/filter.h"
#include "lua/api/text.h"
#include "lua/ctx.h"
#include "lua/vm.h"

#include <errno.h>
#include <unistd.h>

/* Filters at work. */
typedef struct bl_filter_run {
    bl_run *run;  /* that the output waits for */
    bl_chain in;  /* what came */
    bl_buf *text; /* what takes its place */
    bool replaced, flush;
    bool eof;      /* the body ends here */
    bool finished; /* it ended earlier: what still comes is dropped */
} filter_run;

#define SETTINGS(r) ((const bl_lua_location *)BL_LOC_SETTINGS(r, bl_lua_module))

static filter_run *state_of(bl_request *r)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (ctx->filter == NULL)
        ctx->filter = BL_NEW(r->pool, filter_run);
    return ctx->filter;
}

/* ------------------------------------------------------------- waiting */

static void drop_body(filter_run *f)
{
    bl_chain_done(&f->in);
    if (f->text)
        bl_buf_done(f->text);
    f->text = NULL;
}

static void give_up(bl_request *r)
{
    filter_run *f = state_of(r);

    if (f->run->phase == BL_LUA_BODY_FILTER)
        drop_body(f);
    bl_run_free(f->run);
    f->run = NULL;
}

static bl_step wait_for(bl_request *r, bl_run *run)
{
    state_of(r)->run = run;
    r->output.abandon = give_up;
    return BL_WAIT;
}

/* ------------------------------------------------------------- the head */

static bl_step head_result(bl_run *run)
{
    bl_request *r = run->request;
    bl_outcome outcome = run->outcome;
    int status = run->status;

    bl_run_free(run);
    if (outcome == BL_RUN_RETURNED || (outcome == BL_RUN_EXIT && status == 0))
        return BL_NEXT;
    if (outcome != BL_RUN_EXIT || status < 200)
        return BL_CLOSE;
    if (status >= 300 && status != 444)
        return status;
    r->out.status = status; /* with an empty body */
    r->out.content_length = 0;
    r->head_only = true;
    return BL_NEXT;
}

static void head_done(bl_run *run)
{
    bl_request *r = run->request;

    bl_output_resume(r, head_result(run), NULL);
}

static bl_step filter_head(bl_request *r)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (ctx->vm == NULL)
        return BL_CLOSE;
    if (r->output.replaced) /* by what the filter itself has asked for */
        return BL_NEXT;
    bl_run *run = bl_run_new(ctx->vm, r, BL_LUA_HEADER_FILTER, head_done);
    if (bl_lua_code_push(SETTINGS(r)->header_filter, ctx->vm, r, run->entry->L) != 0) {
        bl_run_free(run);
        return BL_CLOSE;
    }
    return bl_run_start(run, 0) ? head_result(run) : wait_for(r, run);
}

/* ------------------------------------------------------------- the body */

static void take_input(filter_run *f, bl_chain *in)
{
    f->text = NULL;
    f->replaced = f->flush = f->eof = false;
    bl_chain_init(&f->in);
    bl_chain_append(&f->in, in);
    for (const bl_buf *b = f->in.first; b; b = b->next) {
        f->eof |= b->eof;
        f->flush |= b->flush;
    }
}

/* The marks that the end of `out` is to have. */
static void set_marks(bl_request *r, const filter_run *f, bl_chain *out)
{
    bl_buf *last = NULL;

    for (bl_buf *b = out->first; b; b = b->next) {
        b->eof = 0;
        last = b;
    }
    if (last == NULL && (f->eof || f->flush)) {
        last = bl_buf_mark(r->pool);
        bl_chain_push(out, last);
    }
    if (last) {
        last->eof = f->eof;
        last->flush |= f->flush;
    }
}

/* `return ngx.ERROR` breaks the response off, as an error does. */
static bool succeeded(bl_run *run)
{
    int results = bl_run_results(run);

    if (run->outcome == BL_RUN_EXIT)
        return run->status == 0;
    return run->outcome == BL_RUN_RETURNED &&
           (results == 0 || lua_tointeger(run->entry->L, -results) != -1);
}

/* What goes on to the next filter. */
static bl_step give_output(bl_run *run, bl_chain *out)
{
    bl_request *r = run->request;
    filter_run *f = state_of(r);
    bool ok = succeeded(run);

    bl_run_free(run);
    if (!ok) {
        drop_body(f);
        return BL_CLOSE;
    }
    if (f->replaced) {
        bl_chain_done(&f->in);
        if (f->text)
            bl_chain_push(out, f->text);
    } else {
        bl_chain_append(out, &f->in);
    }
    set_marks(r, f, out);
    f->finished = f->eof;
    return BL_NEXT;
}

static void body_done(bl_run *run)
{
    bl_request *r = run->request;
    bl_chain out;

    bl_chain_init(&out);
    bl_step step = give_output(run, &out);
    bl_output_resume(r, step, &out);
}

static bl_step filter_body(bl_request *r, bl_chain *in, bl_chain *out)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    filter_run *f = state_of(r);

    if (f->finished || ctx->vm == NULL) {
        bl_chain_done(in);
        return ctx->vm ? BL_NEXT : BL_CLOSE;
    }
    take_input(f, in);
    bl_run *run = bl_run_new(ctx->vm, r, BL_LUA_BODY_FILTER, body_done);
    if (bl_lua_code_push(SETTINGS(r)->body_filter, ctx->vm, r, run->entry->L) != 0) {
        bl_run_free(run);
        drop_body(f);
        return BL_CLOSE;
    }
    return bl_run_start(run, 0) ? give_output(run, out) : wait_for(r, run);
}

const bl_filter bl_lua_header_filter = {.name = "lua header", .head = filter_head};
const bl_filter bl_lua_body_filter = {.name = "lua body", .body = filter_body};

/* ------------------------------------------------------------- ngx.arg */

static void add_file(luaL_Buffer *to, const bl_buf *b)
{
    for (off_t at = b->file_pos; at < b->file_last;) {
        size_t want = (size_t)BL_MIN(b->file_last - at, (off_t)LUAL_BUFFERSIZE);
        ssize_t n = pread(b->fd, luaL_prepbuffer(to), want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        luaL_addsize(to, (size_t)n);
        at += n;
    }
}

void bl_lua_filter_push_chunk(lua_State *L)
{
    const filter_run *f = state_of(bl_lua_now.request);
    luaL_Buffer b;

    if (f->replaced) {
        if (f->text)
            lua_pushlstring(L, f->text->pos, (size_t)bl_buf_len(f->text));
        else
            lua_pushliteral(L, "");
        return;
    }
    const bl_buf *only = f->in.first;
    if (only && only->next == NULL && !bl_buf_in_file(only)) {
        lua_pushlstring(L, only->pos, (size_t)bl_buf_len(only));
        return;
    }
    luaL_buffinit(L, &b);
    for (const bl_buf *piece = f->in.first; piece; piece = piece->next) {
        if (bl_buf_in_file(piece))
            add_file(&b, piece);
        else if (piece->last > piece->pos)
            luaL_addlstring(&b, piece->pos, (size_t)bl_buf_len(piece));
    }
    luaL_pushresult(&b);
}

void bl_lua_filter_set_chunk(lua_State *L, int index)
{
    filter_run *f = state_of(bl_lua_now.request);
    size_t len = 0;

    if (!lua_isnil(L, index)) {
        if (lua_type(L, index) == LUA_TBOOLEAN)
            luaL_error(L, "bad chunk data type: boolean");
        len = bl_lua_text_len(L, index, "body_filter_by_lua");
    }
    bl_buf *old = f->text;
    f->replaced = true;
    f->text = NULL;
    if (len) {
        f->text = bl_buf_cached(len);
        f->text->last = bl_lua_text_put(L, index, f->text->last);
    }
    if (old)
        bl_buf_done(old);
}

bool bl_lua_filter_eof(void)
{
    return state_of(bl_lua_now.request)->eof;
}

void bl_lua_filter_set_eof(bool eof)
{
    state_of(bl_lua_now.request)->eof = eof;
}
