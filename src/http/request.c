/* The life of a request.
 *
 *   bl_request_start ─> run: program of the server, then of the location
 *        step says NEXT, SKIP, JUMP ─> next step            (rules of the phase: leave_step)
 *        step says WAIT             ─> out of the loop; bl_request_wake comes back into it
 *        step says a status         ─> error_page.c makes a response of it
 *        step says DONE, CLOSE      ─> respond ─> (output drained) ─> finish ─> log ─> free
 *
 * Everything else here is small print: who may wake whom, and what is left when the client is gone.
 */
#include "http/request.h"
#include "event/proxy_protocol.h"
#include "http/body.h"
#include "http/core_module.h"
#include "http/error_page.h"
#include "http/location.h"
#include "http/subrequest.h"
#include "http/variable.h"

#include "process/stats.h"

static const struct {
    bl_str name;
    uint32_t method;
} methods[] = {
    {BL_STR_INIT("GET"), BL_M_GET},
    {BL_STR_INIT("HEAD"), BL_M_HEAD},
    {BL_STR_INIT("POST"), BL_M_POST},
    {BL_STR_INIT("PUT"), BL_M_PUT},
    {BL_STR_INIT("DELETE"), BL_M_DELETE},
    {BL_STR_INIT("MKCOL"), BL_M_MKCOL},
    {BL_STR_INIT("COPY"), BL_M_COPY},
    {BL_STR_INIT("MOVE"), BL_M_MOVE},
    {BL_STR_INIT("OPTIONS"), BL_M_OPTIONS},
    {BL_STR_INIT("PROPFIND"), BL_M_PROPFIND},
    {BL_STR_INIT("PROPPATCH"), BL_M_PROPPATCH},
    {BL_STR_INIT("LOCK"), BL_M_LOCK},
    {BL_STR_INIT("UNLOCK"), BL_M_UNLOCK},
    {BL_STR_INIT("PATCH"), BL_M_PATCH},
    {BL_STR_INIT("TRACE"), BL_M_TRACE},
    {BL_STR_INIT("CONNECT"), BL_M_CONNECT},
};

uint32_t bl_method_of(bl_str name)
{
    if (BL_LIKELY(name.len == 3 && memcmp(name.p, "GET", 3) == 0))
        return BL_M_GET;
    for (size_t i = 0; i < BL_COUNTOF(methods); i++) {
        if (bl_str_eq(name, methods[i].name))
            return methods[i].method;
    }
    return BL_M_UNKNOWN;
}

bl_str bl_method_name(uint32_t method)
{
    for (size_t i = 0; i < BL_COUNTOF(methods); i++) {
        if (method == methods[i].method)
            return methods[i].name;
    }
    return BL_STR("UNKNOWN");
}

/* ------------------------------------------------------------- birth */

bl_request *bl_request_new(bl_conn *c, bl_http *http, bl_pool *pool)
{
    bl_request *r = bl_pool_alloc(pool, sizeof *r);

    bl_zero(r, offsetof(bl_request, captures));
    r->captures.count = 0;

    r->magic = BL_REQUEST_MAGIC;
    r->conn = c;
    r->log = &c->log;
    r->pool = pool;
    r->http = http;
    r->main = r;
    bl_headers_init(&r->in, r->in_known);
    bl_headers_init(&r->out.headers, r->out_known);
    bl_headers_init(&r->out.trailers, NULL);
    r->out.content_length = -1;
    r->out.last_modified = -1;
    r->body.length = -1;
    bl_chain_init(&r->body.data);
    bl_chain_init(&r->output.held);
    r->uri_changes = BL_URI_CHANGES_MAX;
    r->subrequests_left = BL_SUBREQUESTS_MAX;
    r->start_ms = bl_now_ms();
    r->start_sec = bl_clock_now.sec;
    r->start_msec = bl_clock_now.msec;
    return r;
}

/* ------------------------------------------------------------- the engine */

static void run(bl_request *r, bl_step step);

/* For bl_panic: whose step runs. */
static bl_request *serving;

static void describe_serving(void)
{
    if (serving)
        bl_log_write(BL_LOG_ALERT, serving->log, 0, "panic");
}

void bl_request_describe_panics(void)
{
    bl_panic_hook = describe_serving;
}
static void finish(bl_request *r, bool broken);

/* Where to go on behind the step that stands at r->at. The location may have changed under it (an
 * `if`): then the place of the same rank in the new program is looked up. */
static const bl_handler *next_step(bl_request *r, const bl_location *before)
{
    if (BL_LIKELY(r->loc == before))
        return r->at + 1;
    const bl_handler *h = r->loc->program;
    while (h->rank <= r->at->rank)
        h++;
    return h;
}

static const bl_handler *skip_phase(bl_request *r, unsigned phase)
{
    const bl_handler *h = r->loc->program;

    while (h->phase <= phase)
        h++;
    return h;
}

/* `satisfy any`: one handler that allows is enough, and a refusal only counts if none does. */
static bool access_any(bl_request *r, bl_step step)
{
    if (step == BL_SKIP) {
        r->access_code = 0;
        r->at = skip_phase(r, BL_PHASE_POST_ACCESS);
        return true;
    }
    if (step == 401 || step == 403) {
        if (r->access_code != 401)
            r->access_code = step;
        r->at++;
        return true;
    }
    return false;
}

/* Moves r->at to the next step. False: the program is over, with `step` as its result. */
static bool leave_step(bl_request *r, bl_step step, const bl_location *before)
{
    if (BL_LIKELY(step == BL_NEXT)) {
        r->at = next_step(r, before);
        return true;
    }
    if (step == BL_JUMP)
        return true;
    if (r->at->phase == BL_PHASE_ACCESS) {
        if (r->loc->core->satisfy == BL_SATISFY_ANY && access_any(r, step))
            return true;
        if (step == 401) { /* perhaps after a delay: post_access */
            r->access_code = step;
            r->at = skip_phase(r, BL_PHASE_ACCESS);
            return true;
        }
        if (step == BL_SKIP && bl_request_is_main(r)) {
            r->at++;
            return true;
        }
    }
    if (step == BL_SKIP) {
        r->at = skip_phase(r, r->at->phase);
        return true;
    }
    return false;
}

static void on_drained(bl_request *r, bl_status status)
{
    finish(r, status != BL_OK);
}

/* Nobody but the client has to do with it any more: should it go away, so does the request. */
static void wait_for_drain(bl_request *r)
{
    if (r->codec->watch)
        r->codec->watch(r, true);
    bl_output_when_drained(r, on_drained);
}

/* The response is in the pipeline, or will never be. */
static void respond(bl_request *r, bl_step step)
{
    if (step == BL_CLOSE || r->output.failed) {
        finish(r, true);
        return;
    }
    if (!r->output.eof && bl_output_end(r) == BL_CLOSE)
        finish(r, true);
    else if (bl_output_is_drained(r))
        finish(r, false);
    else
        wait_for_drain(r);
}

/* The status that a head filter put in the place of a response whose producer is through now. */
static bl_step take_deferred(bl_request *r)
{
    int status = r->output.deferred;

    bl_output_reset(r);
    r->output.deferred = 0;
    r->output.replaced = false;
    return status;
}

/* From a step's result to the next step, until one waits or the response is there. */
BL_HOT static void run(bl_request *r, bl_step step)
{
    const bl_location *loc = r->loc;

    serving = r;
    r->running = true;
    for (;;) {
        if (step == BL_WAIT) {
            if (!r->woken) {
                r->waiting = true;
                r->running = false;
                serving = NULL;
                return;
            }
            r->woken = false;
            step = r->wake_step;
            continue;
        }
        if (!leave_step(r, step, loc)) {
            if (step == BL_DONE && BL_UNLIKELY(r->output.deferred))
                step = take_deferred(r);
            if (step == BL_DONE || step == BL_CLOSE)
                break;
            if ((step = bl_error_page(r, step)) == BL_DONE || step == BL_CLOSE)
                break;
            continue; /* an error_page elsewhere, or waiting for a filter */
        }
        loc = r->loc;
        step = r->at->run(r);
    }
    r->running = false;
    respond(r, step);
    serving = NULL;
}

static void run_posted(bl_work *work)
{
    bl_request *r = BL_CONTAINER(work, bl_request, work);

    r->at_start ? bl_request_start(r) : run(r, r->wake_step);
}

void bl_request_post(bl_request *r)
{
    r->at_start = true;
    r->work.run = run_posted;
    bl_work_post(&r->work);
}

void bl_request_start(bl_request *r)
{
    r->at_start = false;
    r->loc = r->server->loc;
    r->at = r->loc->program;
    if (bl_request_is_main(r))
        r->log->action = NULL;
    serving = r;
    r->running = true;
    run(r, r->at->run(r));
}

void bl_request_wake(bl_request *r, bl_step step)
{
    BL_CHECK(r, BL_REQUEST_MAGIC);
    if (r->over)
        return;
    r->client_gone = NULL;
    if (r->waiting) {
        r->waiting = false;
        run(r, step);
        return;
    }
    BL_ASSERT(!r->woken);
    r->woken = true;
    r->wake_step = step;
}

void bl_request_abort(bl_request *r)
{
    r->aborted = true;
    r->keepalive = false;
    r->conn->error = true;
    r->output.failed = true;
    if (r->output.drained)
        bl_output_drained(r, BL_ERROR);
    else if (r->waiting && r->client_gone)
        r->client_gone(r);
}

void bl_request_refuse(bl_request *r, int status)
{
    r->keepalive = false;
    r->loc = r->server->loc;
    r->at = r->loc->program;
    if (r->uri.p == NULL)
        r->uri = BL_STR("");
    run(r, status);
}

/* ------------------------------------------------------------- redirects inside */

void bl_request_set_uri(bl_request *r, bl_str uri)
{
    r->uri = uri;
    r->exten = BL_STR_NONE;
    for (size_t i = uri.len; i > 0 && uri.p[i - 1] != '/'; i--) {
        if (uri.p[i - 1] == '.') {
            r->exten = bl_str_of(uri.p + i, uri.len - i);
            break;
        }
    }
}

static bool count_change(bl_request *r)
{
    if (r->uri_changes-- > 0)
        return true;
    bl_log_write(BL_LOG_ERR, r->log, 0,
                 "rewrite or internal redirection cycle while internally redirecting to \"%.*s\"",
                 BL_STR_ARG(r->uri));
    return false;
}

/* Modules begin anew at another place: what they remembered was of the place before. */
static void forget_ctx(bl_request *r)
{
    if (r->ctx)
        memset(r->ctx, 0, sizeof *r->ctx * (size_t)bl_http_modules.count);
}

bl_step bl_request_redirect(bl_request *r, bl_str uri, bl_str args)
{
    if (!count_change(r))
        return 500;
    bl_request_set_uri(r, uri);
    r->args = args;
    r->internal = true;
    r->valid_raw_uri = false;
    r->uri_changed = false;
    r->content = NULL;
    r->add_uri_to_alias = false;
    forget_ctx(r);
    r->loc = r->server->loc;
    r->at = r->loc->program;
    return BL_JUMP;
}

bl_step bl_request_redirect_named(bl_request *r, bl_str name)
{
    if (!count_change(r))
        return 500;
    bl_location *loc = bl_location_named(r->server, name);
    if (loc == NULL) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "could not find named location \"%.*s\"",
                     BL_STR_ARG(name));
        return 500;
    }
    if (r->uri.len == 0) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "empty URI in redirect to named location \"%.*s\"",
                     BL_STR_ARG(name));
        return 500;
    }
    r->internal = true;
    r->content = NULL;
    r->add_uri_to_alias = false;
    forget_ctx(r);
    bl_location_enter(r, loc);
    r->at = loc->program;
    return BL_JUMP;
}

/* ------------------------------------------------------------- the end */

static void free_request(bl_request *r)
{
    bl_request *main = r->main;
    bl_pool *pool = r->pool;

    r->magic = 0;
    if (main == r)
        bl_pool_free(pool);
    else
        bl_request_drop(main); /* a subrequest holds it, and lives in its pool */
}

void bl_request_drop(bl_request *r)
{
    BL_CHECK(r, BL_REQUEST_MAGIC);
    if (--r->refs == 0 && r->over)
        free_request(r);
}

/* A copy of what the connection was, for a log handler or subrequests that take longer than the
 * exchange. The connection goes its own way, and its memory with it. */
static void detach(bl_request *r)
{
    bl_conn *shadow = bl_pool_alloc(r->pool, sizeof *shadow);

    *shadow = *r->conn;
    shadow->io = (bl_io){.fd = -1, .slot = -1};
    shadow->error = true;
    shadow->tls = NULL;
    shadow->pool = r->pool;
    shadow->local = bl_pool_alloc(r->pool, sizeof(struct sockaddr_un));
    memcpy(shadow->local, bl_conn_local(r->conn), sizeof(struct sockaddr_un));
    if (shadow->proxy_protocol)
        shadow->proxy_protocol = bl_proxy_protocol_copy(r->pool, shadow->proxy_protocol);
    shadow->log.describe = NULL;
    r->conn = shadow;
    r->log = &shadow->log;
    for (bl_request *sub = r->subs; sub; sub = sub->next_sub) {
        sub->conn = shadow;
        sub->log = &shadow->log;
    }
}

static void end_life(bl_request *r)
{
    r->over = true;
    bl_work_cancel(&r->work);
    if (r->timer.armed)
        bl_timer_stop(&r->timer);
    if (r->sub)
        bl_subrequest_over(r);
    if (r->refs == 0)
        free_request(r);
}

static void end_exchange(bl_request *r)
{
    bool broken = r->broken;

    if (r->exchange_over)
        return;
    r->exchange_over = true;
    r->output.failed = true; /* what a filter that waits still gives has nowhere to go */
    if (bl_request_is_main(r))
        bl_stats_request_done(r->out.status, bl_now_ms() - r->start_ms);
    if (r->codec->finish) {
        bl_conn *c = r->conn;
        if (r->refs || r->logging)
            detach(r);
        r->codec->finish(r, c, broken);
    }
}

/* Runs the log handlers from r->log_at on; one that waits outlives the exchange. */
static void run_log(bl_request *r)
{
    r->logging = true;
    for (; r->log_at->run; r->log_at++) {
        if (r->log_at->run(r) == BL_WAIT) {
            end_exchange(r);
            return;
        }
    }
    r->logging = false;
    end_exchange(r);
    end_life(r);
}

void bl_request_log_done(bl_request *r)
{
    r->log_at++;
    run_log(r);
}

static void finish(bl_request *r, bool broken)
{
    if (r->finishing)
        return;
    r->finishing = true;
    r->broken = broken;
    r->client_gone = NULL;
    bl_output_close(r);
    if (broken)
        r->keepalive = false;
    if (r->out.status == 0)
        r->out.status = r->error_status ? r->error_status : broken ? 499 : 0;
    bool wants_log = bl_request_is_main(r) || r->loc->core->log_subrequest;
    if (!wants_log || r->loc->log == NULL) {
        end_exchange(r);
        end_life(r);
        return;
    }
    r->log_at = r->loc->log;
    run_log(r);
}

/* ------------------------------------------------------------- module state */

void bl_request_set_ctx(bl_request *r, const bl_module *m, void *ctx)
{
    if (r->ctx == NULL)
        r->ctx = BL_NEW_ARRAY(r->pool, void *, (size_t)bl_http_modules.count);
    r->ctx[m->index] = ctx;
}

bl_str bl_request_raw_head(bl_request *r)
{
    size_t len = r->raw_head.len;

    if (r->raw_head_before == NULL)
        return r->raw_head;
    for (const bl_raw_part *part = r->raw_head_before; part; part = part->before)
        len += part->text.len;
    char *text = bl_pool_bytes(r->pool, len), *at = text + len - r->raw_head.len;
    memcpy(at, r->raw_head.p, r->raw_head.len);
    for (const bl_raw_part *part = r->raw_head_before; part; part = part->before) {
        at -= part->text.len;
        memcpy(at, part->text.p, part->text.len);
    }
    r->raw_head = bl_str_of(text, len);
    r->raw_head_before = NULL;
    return r->raw_head;
}
