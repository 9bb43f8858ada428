#include "http/output.h"
#include "http/body.h"
#include "http/error_page.h"
#include "http/request.h"
#include "http/subrequest.h"

/* What one body filter has in front of it and whether it is parked there. */
typedef struct bl_stage {
    bl_chain in;
    bool parked;
} stage;

static bl_status fail(bl_request *r)
{
    r->output.failed = true;
    return BL_ERROR;
}

/* ------------------------------------------------------------- body */

/* A response without body (HEAD, 304): the bytes go nowhere, the marks stay. */
static void drop_bytes(bl_request *r, bl_chain *chain)
{
    bool eof = false, flush = false;

    for (bl_buf *b; (b = bl_chain_shift(chain)) != NULL;) {
        eof |= b->eof;
        flush |= b->flush;
        bl_buf_done(b);
    }
    if (eof || flush) {
        bl_buf *mark = bl_buf_mark(r->pool);
        mark->eof = eof;
        mark->flush = flush;
        bl_chain_push(chain, mark);
    }
}

static bl_status to_codec(bl_request *r, bl_chain *chain)
{
    if (BL_UNLIKELY(r->output.failed)) { /* the exchange may be over, its connection another's */
        bl_chain_done(chain);
        return BL_ERROR;
    }
    if (r->head_only)
        drop_bytes(r, chain);
    bl_status status = r->codec->send_body(r, chain);
    if (status == BL_ERROR)
        return fail(r);
    r->output.codec_full = status == BL_AGAIN;
    return status;
}

/* Runs every stage that has something in front of it and is not parked. */
static bl_status pump(bl_request *r)
{
    bl_output *o = &r->output;
    int count = r->loc->body_filters_count;
    bl_chain last;

    bl_chain_init(&last);
    for (int i = 0; i < count; i++) {
        if (o->stages[i].parked)
            break;
        if (bl_chain_empty(&o->stages[i].in))
            continue;
        bl_chain *out = i + 1 < count ? &o->stages[i + 1].in : &last;
        bl_step step = r->loc->body_filters[i]->body(r, &o->stages[i].in, out);
        if (step == BL_WAIT) {
            o->stages[i].parked = true;
            o->body_parked = true;
        } else if (step != BL_NEXT) {
            bl_chain_done(&last);
            return fail(r);
        }
    }
    bl_status status = bl_chain_empty(&last) ? BL_OK : to_codec(r, &last);
    if (status == BL_OK && (o->body_parked || o->codec_full))
        return BL_AGAIN;
    return status;
}

static void make_stages(bl_request *r)
{
    int count = r->loc->body_filters_count;

    r->output.stages = BL_NEW_ARRAY(r->pool, stage, (size_t)count);
    for (int i = 0; i < count; i++)
        bl_chain_init(&r->output.stages[i].in);
}

static bl_status send_body(bl_request *r, bl_chain *chain)
{
    bl_chain sliced;

    if (BL_UNLIKELY(r->output.slice)) {
        bl_chain_init(&sliced);
        r->output.slice(r, chain, &sliced);
        if (bl_chain_empty(&sliced))
            return bl_output_is_drained(r) ? BL_OK : BL_AGAIN;
        chain = &sliced;
    }
    if (BL_LIKELY(r->loc->body_filters_count == 0))
        return to_codec(r, chain);
    if (r->output.stages == NULL)
        make_stages(r);
    bl_chain_append(&r->output.stages[0].in, chain);
    return pump(r);
}

/* ------------------------------------------------------------- head */

/* A head filter found that this response can't be sent (412, 416): another takes its place, and
 * what its producer still gives is thrown away. */
static bl_status replace(bl_request *r, int status)
{
    if (r->output.replaced)
        return fail(r);
    r->output.replaced = true;
    if (bl_error_page_leads_elsewhere(r, status)) {
        r->output.deferred = status;
        r->output.eof = true; /* nothing more of this one */
        return BL_OK;
    }
    const bl_header *range = bl_headers_find(&r->out.headers, BL_STR("Content-Range"), NULL);
    bl_output_reset(r);
    if (status == 416 && range) /* tells the client how long the whole is */
        bl_headers_add(&r->out.headers, r->pool, range->name, range->value);
    bl_step step = bl_error_page_builtin(r, status);
    return step == BL_CLOSE ? fail(r) : BL_OK;
}

static bl_status run_head(bl_request *r)
{
    bl_output *o = &r->output;

    for (const bl_filter **f = r->loc->head_filters + o->head_at; *f; f++, o->head_at++) {
        bl_step step = (*f)->head(r);
        if (BL_LIKELY(step == BL_NEXT))
            continue;
        if (step == BL_WAIT) {
            o->head_parked = true;
            return BL_AGAIN;
        }
        return step > 0 ? replace(r, step) : fail(r);
    }
    if (BL_UNLIKELY(o->failed))
        return BL_ERROR;
    o->head_sent = true;
    bl_status status = r->codec->send_head(r);
    return status == BL_ERROR ? fail(r) : status;
}

/* Whatever an error page says of itself, it is the answer to the error. */
static void take_error_status(bl_request *r)
{
    r->out.status = r->error_status >= 494 && r->error_status <= 497 ? 400 : r->error_status;
    r->out.status_line = BL_STR_NONE;
}

bl_status bl_output_head(bl_request *r)
{
    bl_output *o = &r->output;

    if (o->begun)
        return o->failed ? BL_ERROR : bl_output_is_drained(r) ? BL_OK : BL_AGAIN;
    o->begun = true;
    if (r->out.status == 0)
        r->out.status = 200;
    if (BL_UNLIKELY(r->error_page) && r->error_status)
        take_error_status(r);
    return run_head(r);
}

/* ------------------------------------------------------------- the doors */

static bool has_eof(const bl_chain *chain)
{
    for (const bl_buf *b = chain->first; b; b = b->next) {
        if (b->eof)
            return true;
    }
    return false;
}

bl_status bl_output_body(bl_request *r, bl_chain *chain)
{
    bl_output *o = &r->output;

    if (!o->begun && bl_output_head(r) == BL_ERROR)
        o->failed = true;
    if (BL_UNLIKELY(o->failed || (o->replaced && o->eof))) {
        bl_chain_done(chain);
        return o->failed ? BL_ERROR : BL_OK;
    }
    o->eof |= has_eof(chain);
    if (BL_UNLIKELY(r->inlines != NULL) && bl_subrequest_hold_output(r, chain))
        return BL_OK;
    if (BL_UNLIKELY(o->head_parked)) {
        bl_chain_append(&o->held, chain);
        return BL_AGAIN;
    }
    return send_body(r, chain);
}

bl_status bl_output_late(bl_request *r, bl_chain *chain)
{
    if (bl_output_head(r) == BL_ERROR || r->output.failed) {
        bl_chain_done(chain);
        return BL_ERROR;
    }
    if (r->output.head_parked) {
        bl_chain_append(&r->output.held, chain);
        return BL_AGAIN;
    }
    if (!bl_request_is_main(r) || r->loc->late_filters == r->loc->body_filters_count)
        return to_codec(r, chain);
    if (r->output.stages == NULL)
        make_stages(r);
    bl_chain_append(&r->output.stages[r->loc->late_filters].in, chain);
    return pump(r);
}

bl_step bl_output_text(bl_request *r, int status, bl_str content_type, bl_str body)
{
    if (BL_UNLIKELY(r->body.expected || r->expect_100)) {
        bl_step discarded = bl_body_discard(r);
        if (discarded != BL_NEXT)
            return discarded;
    }

    bl_chain chain;
    bl_buf *b = body.len ? bl_buf_ref(r->pool, body) : bl_buf_mark(r->pool);

    r->out.status = status;
    if (content_type.p)
        r->out.content_type = content_type;
    r->out.content_length = (int64_t)body.len;
    b->eof = 1;
    bl_chain_init(&chain);
    bl_chain_push(&chain, b);
    return bl_output_body(r, &chain) == BL_ERROR ? BL_CLOSE : BL_DONE;
}

static bl_status send_mark(bl_request *r, bool eof)
{
    bl_chain chain;
    bl_buf *mark = bl_buf_mark(r->pool);

    mark->eof = eof;
    mark->flush = !eof;
    bl_chain_init(&chain);
    bl_chain_push(&chain, mark);
    return bl_output_body(r, &chain);
}

bl_step bl_output_end(bl_request *r)
{
    return send_mark(r, true) == BL_ERROR ? BL_CLOSE : BL_DONE;
}

bl_status bl_output_flush(bl_request *r)
{
    return send_mark(r, false);
}

void bl_output_no_ranges(bl_request *r)
{
    r->out.accept_ranges = false;
    bl_headers_remove(&r->out.headers, BL_STR("Accept-Ranges"));
}

void bl_output_reset(bl_request *r)
{
    bl_output *o = &r->output;

    BL_ASSERT(!o->head_sent);
    bl_chain_done(&o->held);
    o->begun = o->eof = o->head_parked = false;
    o->head_at = 0;
    o->slice = NULL;
    o->seek = NULL;
    bl_headers_init(&r->out.headers, r->out_known);
    bl_headers_init(&r->out.trailers, NULL);
    r->out.status = 0;
    r->out.status_line = r->out.content_type = r->out.charset = r->out.etag = BL_STR_NONE;
    r->out.location = BL_STR_NONE;
    r->out.content_length = -1;
    r->out.last_modified = -1;
    r->out.accept_ranges = r->out.one_range = r->out.charset_done = false;
}

/* ------------------------------------------------------------- draining and waking */

bool bl_output_is_drained(const bl_request *r)
{
    const bl_output *o = &r->output;

    return !o->head_parked && !o->body_parked && !o->codec_full && r->inlines == NULL;
}

static void tell_drained(bl_request *r)
{
    void (*then)(bl_request *, bl_status) = r->output.drained;

    if (then == NULL || (!r->output.failed && !bl_output_is_drained(r)))
        return;
    r->output.drained = NULL;
    then(r, r->output.failed ? BL_ERROR : BL_OK);
}

void bl_output_check(bl_request *r)
{
    tell_drained(r);
}

void bl_output_when_drained(bl_request *r, void (*then)(bl_request *r, bl_status status))
{
    BL_ASSERT(r->output.drained == NULL);
    r->output.drained = then;
    tell_drained(r);
}

void bl_output_drained(bl_request *r, bl_status status)
{
    r->output.codec_full = false;
    r->output.failed |= status == BL_ERROR;
    tell_drained(r);
}

static void resume_head(bl_request *r, bl_step step)
{
    bl_output *o = &r->output;

    o->head_parked = false;
    o->abandon = NULL;
    if (step != BL_NEXT) {
        fail(r);
        return;
    }
    o->head_at++;
    if (run_head(r) != BL_ERROR && !o->head_parked && !bl_chain_empty(&o->held))
        send_body(r, &o->held);
}

static void resume_body(bl_request *r, bl_step step, bl_chain *out)
{
    bl_output *o = &r->output;
    int i = 0, count = r->loc->body_filters_count;

    while (i < count && !o->stages[i].parked)
        i++;
    BL_ASSERT(i < count);
    o->stages[i].parked = false;
    o->body_parked = false;
    o->abandon = NULL;
    if (step != BL_NEXT) {
        fail(r);
        return;
    }
    if (i + 1 < count)
        bl_chain_append(&o->stages[i + 1].in, out);
    else if (!bl_chain_empty(out) && to_codec(r, out) == BL_ERROR)
        return;
    pump(r);
}

void bl_output_resume(bl_request *r, bl_step step, bl_chain *out)
{
    if (r->output.head_parked)
        resume_head(r, step);
    else
        resume_body(r, step, out);
    tell_drained(r);
}

void bl_output_close(bl_request *r)
{
    bl_output *o = &r->output;

    if (BL_UNLIKELY(o->head_parked || o->body_parked) && o->abandon)
        o->abandon(r);
    o->abandon = NULL;
    o->head_parked = o->body_parked = false;
    bl_chain_done(&o->held);
    if (o->stages == NULL)
        return;
    for (int i = 0; i < r->loc->body_filters_count; i++)
        bl_chain_done(&o->stages[i].in);
}
