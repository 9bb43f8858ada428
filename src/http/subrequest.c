#include "http/subrequest.h"
#include "http/core_module.h"
#include "http/variable.h"

/* ------------------------------------------------------------- capture: a body in memory */

static void count_body(bl_subrequest *s, const bl_chain *chain)
{
    s->body_size += bl_chain_len(chain);
}

static bl_status capture_send_head(bl_request *r BL_UNUSED)
{
    return BL_OK;
}

static bl_status capture_send_body(bl_request *r, bl_chain *chain)
{
    count_body(r->sub, chain);
    bl_chain_append(&r->sub->body, chain);
    return BL_OK;
}

static bl_status no_body(bl_request *r BL_UNUSED, bl_str *to, bool *end)
{
    *to = BL_STR_NONE;
    *end = true;
    return BL_OK;
}

static void capture_finish(bl_request *r, bl_conn *c BL_UNUSED, bool broken)
{
    r->sub->status = r->out.status;
    r->sub->truncated = broken;
}

static const bl_codec codec_capture = {
    .name = "capture",
    .send_head = capture_send_head,
    .send_body = capture_send_body,
    .read_body = no_body,
    .finish = capture_finish,
};

/* ------------------------------------------------------------- inline: in the parent's body */

/* A place in the parent's output: what the subrequest gives before its turn has come waits here. */
typedef struct bl_inline {
    struct bl_inline *next;
    bl_request *sub; /* NULL: bytes of the parent itself, behind the subrequest before */
    bl_chain held;
    bool over;
} bl_inline;

static bl_inline *place_of(const bl_request *sub)
{
    return sub->sub->place;
}

static void drop_eof(bl_chain *chain)
{
    for (bl_buf *b = chain->first; b; b = b->next)
        b->eof = 0;
}

/* Lets out what stands at the head of the parent's line, as far as it has come. */
static bl_status advance(bl_request *parent)
{
    bl_status status = BL_OK;
    bl_inline *in;

    while ((in = parent->inlines) != NULL) {
        if (!bl_chain_empty(&in->held)) {
            parent->inlines_pass = true;
            status =
                in->sub ? bl_output_late(parent, &in->held) : bl_output_body(parent, &in->held);
            parent->inlines_pass = false;
        }
        if (!in->over)
            break;
        parent->inlines = in->next;
    }
    return status;
}

static bl_status inline_send_head(bl_request *r BL_UNUSED)
{
    return BL_OK;
}

static bl_status inline_send_body(bl_request *r, bl_chain *chain)
{
    bl_inline *in = place_of(r);

    drop_eof(chain);
    count_body(r->sub, chain);
    bl_chain_append(&in->held, chain);
    if (r->parent->inlines != in)
        return BL_OK;
    return advance(r->parent) == BL_ERROR ? BL_ERROR : BL_OK;
}

static void inline_finish(bl_request *r, bl_conn *c BL_UNUSED, bool broken)
{
    bl_inline *in = place_of(r);

    r->sub->status = r->out.status;
    r->sub->truncated = broken;
    in->over = true;
    if (r->parent->inlines == in)
        advance(r->parent);
    bl_output_check(r->parent);
}

static const bl_codec codec_inline = {
    .name = "inline",
    .send_head = inline_send_head,
    .send_body = inline_send_body,
    .read_body = no_body,
    .finish = inline_finish,
};

static bl_inline *take_place(bl_request *parent, bl_request *sub)
{
    bl_inline *in = BL_NEW(parent->pool, bl_inline), **last = &parent->inlines;

    in->sub = sub;
    bl_chain_init(&in->held);
    while (*last)
        last = &(*last)->next;
    *last = in;
    return in;
}

bool bl_subrequest_hold_output(bl_request *r, bl_chain *chain)
{
    if (r->inlines == NULL || r->inlines_pass)
        return false;
    bl_inline *in = r->inlines;
    while (in->next)
        in = in->next;
    if (in->sub) {
        in = take_place(r, NULL);
        in->over = true;
    }
    bl_chain_append(&in->held, chain);
    return true;
}

/* ------------------------------------------------------------- making one */

static void copy_headers(bl_request *sub, const bl_request *parent)
{
    BL_HEADERS_EACH(h, &parent->in)
    {
        bl_headers_add_known(&sub->in, sub->pool, h->name, h->value, h->hash, h->id);
    }
}

static void copy_vars(bl_request *sub, const bl_request *parent, const bl_subrequest_options *o)
{
    size_t count = bl_var_count(sub->http);

    if (o->share_vars) {
        if (parent->vars == NULL)
            ((bl_request *)parent)->vars = BL_NEW_ARRAY(parent->pool, bl_var_slot, count + 1);
        sub->vars = parent->vars;
    } else if (o->copy_vars && parent->vars) {
        sub->vars = BL_NEW_ARRAY(sub->pool, bl_var_slot, count + 1);
        memcpy(sub->vars, parent->vars, count * sizeof *sub->vars);
    }
}

static void give_body(bl_request *sub, bl_request *parent, const bl_subrequest_options *o)
{
    if (o->body) {
        bl_body_set(sub, *o->body);
    } else if (o->forward_body) {
        sub->body = parent->body;
        sub->body.on_ready = NULL;
    } else {
        bl_headers_remove(&sub->in, BL_STR("Content-Length"));
        sub->body.whole = true;
    }
}

static bl_subrequest *make_task(bl_request *parent, bl_request *sub, const bl_subrequest_options *o)
{
    bl_subrequest *s = BL_NEW(parent->pool, bl_subrequest);

    s->capture = o->capture;
    s->bare = o->bare;
    s->done = o->done;
    s->data = o->data;
    bl_chain_init(&s->body);
    sub->sub = s;
    if (!o->capture)
        s->place = take_place(parent, sub);
    return s;
}

bl_request *bl_subrequest_new(bl_request *parent, const bl_subrequest_options *o)
{
    bl_request *main = parent->main;

    if (main->subrequests_left <= 0 || parent->depth >= BL_SUBREQUEST_DEPTH_MAX) {
        bl_log_write(BL_LOG_ERR, parent->log, 0, "%ssubrequests cycle while processing \"%.*s\"",
                     o->bare ? "lua " : "", BL_STR_ARG(o->uri));
        return NULL;
    }
    main->subrequests_left--;

    bl_request *sub = bl_request_new(parent->conn, parent->http, main->pool);
    sub->main = bl_request_hold(main);
    sub->parent = parent;
    sub->next_sub = main->subs;
    main->subs = sub;
    sub->depth = (uint16_t)(parent->depth + 1);
    sub->codec = o->capture ? &codec_capture : &codec_inline;
    sub->log = main->log;
    sub->server = parent->server;
    sub->loc = parent->server->loc;
    sub->method = o->method ? o->method : BL_M_GET;
    sub->method_name = o->method_name.p ? o->method_name : bl_method_name(sub->method);
    sub->head_only = o->capture && sub->method == BL_M_HEAD;
    sub->http_version = main->http_version;
    sub->protocol = main->protocol;
    sub->request_line = main->request_line;
    sub->raw_uri = main->raw_uri;
    sub->host = main->host;
    sub->host_port = main->host_port;
    sub->start_ms = bl_now_ms();
    sub->internal = true;
    sub->out.no_range = true;
    bl_request_set_uri(sub, o->uri);
    sub->args = o->args;
    if (!o->no_headers)
        copy_headers(sub, parent);
    copy_vars(sub, parent, o);
    make_task(parent, sub, o);
    give_body(sub, parent, o);
    bl_request_post(sub);
    return sub;
}

void bl_subrequest_over(bl_request *sub)
{
    sub->main->subrequests_left++;
    if (sub->sub->done)
        sub->sub->done(sub);
    bl_chain_done(&sub->sub->body);
}

void bl_subrequest_cancel(bl_request *sub)
{
    sub->sub->done = NULL;
    sub->output.failed = true;
    if (sub->waiting && sub->client_gone)
        sub->client_gone(sub);
}
