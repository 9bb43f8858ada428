/* The way of a proxied request.
 *
 *   bl_upstream_start ─> (request body) ─> (resolve) ─┐
 *        ┌────────────────────────────────────────────┘
 *        v
 *      CHOOSE ─> CONNECT ─> HANDSHAKE ─> EXCHANGE ─> RESPOND ─> PASS ─> finish
 *        ^ │ (kept)                        ^  send the request,    └─> TUNNEL ─> finish
 *        │ └───────────────────────────────┘  read the head
 *        └── bl_upstream_next: another try ── from any of them, while no byte has been passed on
 *
 * A step does what it can and says which is next, or that it waits; whatever event comes
 * (readiness, deadline, answer) runs the step again. All that a request holds here is given back in
 * finish, or by the cleanup of its pool. */
#include "http/upstream/upstream.h"
#include "http/core_module.h"
#include "http/upstream/resolving.h"
#include "http/upstream/upstream_tls.h"

#include <errno.h>
#include <unistd.h>

static void drive(bl_upstream *u, int step);
static int send_and_read(bl_upstream *u);
static int choose(bl_upstream *u);
static int connect_step(bl_upstream *u);
static int handshake(bl_upstream *u);

static int (*const steps[])(bl_upstream *u) = {
    [BL_UP_STEP_CHOOSE] = choose,
    [BL_UP_STEP_CONNECT] = connect_step,
    [BL_UP_STEP_HANDSHAKE] = handshake,
    [BL_UP_STEP_EXCHANGE] = send_and_read,
    [BL_UP_STEP_RESPOND] = bl_upstream_respond,
    [BL_UP_STEP_PASS] = bl_upstream_pass,
    [BL_UP_STEP_TUNNEL] = bl_upstream_tunnel,
};

BL_HOT static void drive(bl_upstream *u, int step)
{
    while (step >= 0) {
        u->step = step;
        step = steps[step](u);
    }
}

void bl_upstream_resume(bl_upstream *u)
{
    BL_CHECK(u, BL_UPSTREAM_MAGIC);
    drive(u, u->step);
}

/* ------------------------------------------------------------- events */

static void on_io(bl_io *io)
{
    bl_uplink *link = bl_uplink_of(bl_conn_of(io));

    drive(link->u, link->u->step);
}

static void on_deadline(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);
    bl_uplink *link = bl_uplink_of(c);
    bl_upstream *u = link->u;

    c->timed_out = true;
    drive(u, u->step);
}

void bl_upstream_deadline(bl_upstream *u, int64_t ms)
{
    u->link->conn->timer.fire = on_deadline;
    bl_timer_set(&u->link->conn->timer, (uint64_t)ms);
}

void bl_upstream_no_deadline(bl_upstream *u)
{
    bl_timer_stop(&u->link->conn->timer);
}

/* The client is gone: so is the reason for all this. */
static void on_client_gone(bl_request *r)
{
    bl_upstream *u = r->upstream;

    u->client_gone = true;
    bl_upstream_finish(u, BL_CLOSE);
}

static void watch_client(bl_upstream *u)
{
    bl_request *r = u->r;

    if (u->conf->ignore_client_abort)
        return;
    r->client_gone = on_client_gone;
    if (r->codec->watch && r->body.whole)
        r->codec->watch(r, true);
}

void bl_upstream_action(bl_upstream *u, const char *action)
{
    u->r->log->action = action;
    if (u->link)
        u->link->conn->log.action = action;
}

static char *describe(bl_request *r, char *at, char *end)
{
    const bl_upstream *u = r->upstream;
    const bl_upstream_try *t = u->trying;

    if (t == NULL)
        return at;
    return bl_log_put(at, end, ", upstream: \"%.*s%.*s%.*s\"", BL_STR_ARG(u->scheme),
                      BL_STR_ARG(t->peer), BL_STR_ARG(u->request_uri));
}

/* ------------------------------------------------------------- birth and death */

static void give_up(void *data)
{
    bl_upstream *u = data;

    if (u->ask.started)
        bl_resolve_cancel(&u->ask);
    bl_resolving_forget(u);
    bl_timer_stop(&u->limit_timer);
    if (u->link)
        bl_uplink_close(u->link);
    bl_chain_done(&u->out);
    if (u->request_memory)
        bl_buf_done(u->request_memory);
    if (u->in)
        bl_buf_done(u->in);
    while (u->old_in) {
        bl_buf *b = u->old_in;
        u->old_in = b->next;
        bl_buf_done(b);
    }
}

bl_upstream *bl_upstream_new(bl_request *r, const bl_upstream_settings *conf,
                             const bl_upstream_module *module)
{
    bl_upstream *u = BL_NEW(r->pool, bl_upstream);

    u->magic = BL_UPSTREAM_MAGIC;
    u->r = r;
    u->conf = conf;
    u->module = module;
    u->buffering = conf->buffering;
    u->started = bl_now_ms();
    bl_chain_init(&u->out);
    bl_chain_init(&u->pending);
    if (r->upstream) {
        u->first_try = r->upstream->first_try;
        u->trying = r->upstream->trying;
    }
    r->upstream = u;
    bl_pool_cleanup(r->pool, give_up, u);
    return u;
}

/* ------------------------------------------------------------- tries */

static bl_upstream_try *last_try(const bl_upstream *u)
{
    bl_upstream_try *t = u->first_try;

    while (t && t->next)
        t = t->next;
    return t;
}

static void begin_try(bl_upstream *u, bl_str peer)
{
    bl_upstream_try *t = &u->try_memory, *last = u->first_try ? last_try(u) : NULL;
    bool first = t->started == 0;

    if (!first)
        t = BL_NEW(u->r->pool, bl_upstream_try);
    t->peer = peer;
    t->started = bl_now_ms();
    t->connect_ms = t->header_ms = t->response_ms = -1;
    t->redirected = first && last != NULL;
    if (last)
        last->next = t;
    else
        u->first_try = t;
    u->trying = t;
}

static int64_t since_start(const bl_upstream *u)
{
    return (int64_t)(bl_now_ms() - u->trying->started);
}

static void end_try(bl_upstream *u)
{
    bl_upstream_try *t = u->trying;

    if (t == NULL || t->over)
        return;
    t->over = true;
    t->response_ms = since_start(u);
}

/* ------------------------------------------------------------- letting go of the peer */

static void account(bl_upstream *u)
{
    u->trying->received = u->link->conn->received - u->link->received_before;
    u->trying->sent = u->link->conn->sent - u->link->sent_before;
}

static void close_link(bl_upstream *u)
{
    if (u->link == NULL)
        return;
    account(u);
    bl_uplink_close(u->link);
    u->link = NULL;
}

static void leave_peer(bl_upstream *u, unsigned result)
{
    if (u->choice.peer == NULL)
        return;
    u->group ? u->group->balancer->done(u, result) : bl_balancer_rr.done(u, result);
    u->choice.peer = NULL;
}

static bool can_keep(const bl_upstream *u, const bl_uplink *link)
{
    return u->body_done && !u->broken && !u->extra && !u->eof && u->sent_all && u->head.keepalive &&
           u->group && u->keep.wanted && !bl_quitting && !link->conn->error && !u->tunnel;
}

void bl_upstream_release(bl_upstream *u)
{
    bl_uplink *link = u->link;

    if (link) {
        account(u);
        if (u->tls)
            bl_upstream_tls_save(u);
        u->link = NULL;
        if (can_keep(u, link))
            bl_uplink_keep(u, link);
        else
            bl_uplink_close(link);
    }
    leave_peer(u, 0);
}

int bl_upstream_finish(bl_upstream *u, bl_step step)
{
    bl_request *r = u->r;

    if (u->ask.started) {
        bl_resolve_cancel(&u->ask);
        u->ask.started = false;
    }
    bl_resolving_forget(u);
    bl_timer_stop(&u->limit_timer);
    end_try(u);
    bl_upstream_release(u);
    if (r->codec->watch)
        r->codec->watch(r, false);
    r->body.on_ready = NULL;
    r->log->action = "sending to client";
    bl_request_wake(r, step);
    return BL_UP_STEP_OVER;
}

/* ------------------------------------------------------------- what follows from a failure */

/* Events, the status that answers them when nobody else is asked, and whether they count as a
 * failure of the peer. */
static const struct {
    unsigned event;
    int status;
    bool fails;
} outcomes[] = {
    {BL_UP_ERROR, 502, true},    {BL_UP_TIMEOUT, 504, true},   {BL_UP_INVALID_HEADER, 502, true},
    {BL_UP_HTTP_500, 500, true}, {BL_UP_HTTP_502, 502, true},  {BL_UP_HTTP_503, 503, true},
    {BL_UP_HTTP_504, 504, true}, {BL_UP_HTTP_403, 403, false}, {BL_UP_HTTP_404, 404, false},
    {BL_UP_HTTP_429, 429, true}, {BL_UP_NO_PEER, 502, false},
};

static bool is_idempotent(const bl_request *r)
{
    return !(r->method & (BL_M_POST | BL_M_LOCK | BL_M_PATCH));
}

bool bl_upstream_may_retry(const bl_upstream *u, unsigned event)
{
    unsigned wanted = (unsigned)u->conf->next_upstream;
    int64_t timeout = u->conf->next_upstream_timeout;

    if (event & BL_UP_NO_PEER || u->tries <= 0)
        return false;
    if (u->stream_begun && !(u->stream_over && u->copy))
        return false; /* what is gone can't be sent again */
    if (u->request_sent && !is_idempotent(u->r) && !(wanted & BL_UP_NON_IDEMPOTENT))
        return false;
    if (timeout && bl_now_ms() - u->started >= (uint64_t)timeout)
        return false;
    return (wanted & event) != 0;
}

/* The buffer of a try that failed: its head may be asked for by variables. */
static void retire_buffer(bl_upstream *u)
{
    if (u->in == NULL)
        return;
    u->in->next = u->old_in;
    u->old_in = u->in;
    u->in = NULL;
}

/* A body that was streamed, and is all there: the next try sends it as a whole. */
static bl_step use_copy(bl_upstream *u)
{
    bool chunked = u->stream_chunked;

    u->stream_body = u->stream_chunked = u->stream_begun = false;
    u->body = &u->r->body.data;
    u->r->body.length = u->copy->last - u->copy->pos;
    return chunked ? bl_upstream_rebuild(u) : BL_NEXT;
}

static bool was_stale(const bl_upstream *u, unsigned event)
{
    return event == BL_UP_ERROR && u->link && u->link->reused && u->in == NULL;
}

int bl_upstream_next(bl_upstream *u, unsigned event)
{
    size_t i = 0;

    while (outcomes[i].event != event)
        i++;
    bool stale = was_stale(u, event);
    if (stale)
        u->tries++;
    bool retry = bl_upstream_may_retry(u, event | (stale ? BL_UP_ERROR : 0));
    u->trying->status = outcomes[i].status;
    end_try(u);
    close_link(u);
    retire_buffer(u);
    u->prepared = false;
    leave_peer(u, stale ? BL_PEER_AGAIN : outcomes[i].fails ? BL_PEER_FAILED : 0);
    if (!retry)
        return bl_upstream_finish(u, outcomes[i].status);
    bl_chain_done(&u->out);
    bl_step step = u->stream_begun ? use_copy(u) : BL_NEXT;
    return step == BL_NEXT ? BL_UP_STEP_CHOOSE : bl_upstream_finish(u, step);
}

static int timed_out(bl_upstream *u)
{
    bl_log_write(BL_LOG_ERR, u->r->log, ETIMEDOUT, "upstream timed out");
    return bl_upstream_next(u, BL_UP_TIMEOUT);
}

/* ------------------------------------------------------------- choosing and connecting */

/* u->local from proxy_bind. A value that is no address (logged) counts as none. */
static void set_local(bl_upstream *u)
{
    const bl_upstream_bind *bind = u->conf->bind;
    bl_hostport hp;

    u->local.len = 0;
    if (BL_LIKELY(bind == NULL || bind->value == NULL))
        return;
    bl_str text = bl_value_eval(u->r, bind->value);
    if (text.len == 0)
        return;
    if (bl_hostport_parse(text, 0, &hp) != NULL || !hp.is_ip) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "invalid local address \"%.*s\"", BL_STR_ARG(text));
        return;
    }
    u->local = hp.addr;
}

static int chosen(bl_upstream *u, bl_step step)
{
    if (step != BL_NEXT) {
        begin_try(u, u->group ? u->group->host : u->host);
        if (step == 502)
            bl_log_write(BL_LOG_ERR, u->r->log, 0, "no live upstreams");
        else
            return bl_upstream_finish(u, step);
        return bl_upstream_next(u, BL_UP_NO_PEER);
    }
    u->tries--;
    begin_try(u, u->choice.peer->name);
    set_local(u);
    if (u->keep.wanted && (u->link = bl_uplink_take(u)) != NULL) {
        u->link->conn->io.on_read = u->link->conn->io.on_write = on_io;
        u->trying->connect_ms = 0;
        return BL_UP_STEP_EXCHANGE;
    }
    return BL_UP_STEP_CONNECT;
}

static void keep_as_group(bl_upstream *u, const bl_upstream_group *g)
{
    u->keep.wanted = g->keepalive > 0 && g->keepalive_timeout > 0;
    u->keep.timeout = g->keepalive_timeout;
    u->keep.requests = BL_MAX(g->keepalive_requests, 1);
}

static int choose(bl_upstream *u)
{
    const bl_balancer *balancer = u->group ? u->group->balancer : &bl_balancer_rr;

    bl_upstream_action(u, "connecting to upstream");
    if (u->group)
        keep_as_group(u, u->group);
    bl_step step = balancer->choose(u);
    return step == BL_WAIT ? BL_UP_STEP_WAIT : chosen(u, step);
}

void bl_upstream_chosen(bl_upstream *u, bl_step step)
{
    drive(u, chosen(u, step));
}

static void set_option(bl_upstream *u, int level, int option, int value, const char *name)
{
    if (setsockopt(u->link->conn->io.fd, level, option, &value, sizeof value) != 0)
        bl_log_write(BL_LOG_ALERT, u->r->log, errno, "setsockopt(%s) failed", name);
}

static void set_options(bl_upstream *u)
{
    const bl_upstream_settings *conf = u->conf;
    bool tcp = u->choice.peer->addr.sa.sa_family != AF_UNIX;

    if (conf->socket_keepalive)
        set_option(u, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    if (conf->rcvbuf > 0)
        set_option(u, SOL_SOCKET, SO_RCVBUF, (int)conf->rcvbuf, "SO_RCVBUF");
    if (conf->sndbuf > 0)
        set_option(u, SOL_SOCKET, SO_SNDBUF, (int)conf->sndbuf, "SO_SNDBUF");
    if (tcp && u->r->loc->core->tcp_nodelay)
        bl_conn_nodelay(u->link->conn);
}

static int open_link(bl_upstream *u)
{
    bool bound = u->local.len != 0;

    u->link = bl_uplink_open(u, bound ? &u->local : NULL, bound && u->conf->bind->transparent);
    if (u->link == NULL && bound && errno == EADDRNOTAVAIL) /* logged; no other peer would help */
        return bl_upstream_finish(u, 500);
    if (u->link == NULL) {
        bl_log_write(BL_LOG_ERR, u->r->log, errno, "connect() to %.*s failed",
                     BL_STR_ARG(u->choice.peer->name));
        return bl_upstream_next(u, BL_UP_ERROR);
    }
    u->link->conn->io.on_read = u->link->conn->io.on_write = on_io;
    set_options(u);
    bl_upstream_deadline(u, u->conf->connect_timeout);
    return BL_UP_STEP_WAIT;
}

static int connect_step(bl_upstream *u)
{
    if (u->link == NULL)
        return open_link(u);

    bl_conn *c = u->link->conn;
    if (c->timed_out)
        return timed_out(u);
    if (!c->io.writable && !c->io.readable)
        return BL_UP_STEP_WAIT;
    int err = bl_conn_connect_error(c);
    if (err) {
        bl_log_write(BL_LOG_ERR, u->r->log, err, "connect() failed");
        return bl_upstream_next(u, BL_UP_ERROR);
    }
    if (!u->tls) {
        u->trying->connect_ms = since_start(u);
        return BL_UP_STEP_EXCHANGE;
    }
    return BL_UP_STEP_HANDSHAKE;
}

/* ------------------------------------------------------------- TLS */

static void handshake_done(bl_conn *c, bool ok)
{
    bl_uplink *link = bl_uplink_of(c);
    bl_upstream *u = link->u;

    u->called = true;
    u->call_ok = ok;
    c->io.on_read = c->io.on_write = on_io;
    if (!u->in_call)
        drive(u, u->step);
}

static int handshake(bl_upstream *u)
{
    bl_conn *c = u->link->conn;

    if (c->tls == NULL && !u->called) {
        bl_upstream_action(u, "SSL handshaking to upstream");
        bl_upstream_deadline(u, u->conf->connect_timeout);
        u->in_call = true;
        bool begun = bl_upstream_tls_begin(u, handshake_done);
        u->in_call = false;
        if (!begun)
            return bl_upstream_finish(u, 500);
    }
    bool called = u->called;
    u->called = false;
    if (c->timed_out)
        return timed_out(u);
    if (!called)
        return BL_UP_STEP_WAIT;
    if (!u->call_ok || !bl_upstream_tls_verified(u))
        return bl_upstream_next(u, BL_UP_ERROR);
    u->trying->connect_ms = since_start(u);
    return BL_UP_STEP_EXCHANGE;
}

/* ------------------------------------------------------------- the request goes out */

enum {
    FILE_PIECE = 16384, /* of a body's file that must be read for a transport without sendfile */
    STREAM_PIECE = 16384,
};

static bl_buf *read_piece(bl_upstream *u, const bl_buf *file, off_t at)
{
    off_t left = file->file_last - file->file_pos - at;
    bl_buf *b = bl_buf_cached(FILE_PIECE);
    ssize_t n =
        pread(file->fd, b->last, (size_t)BL_MIN(left, (off_t)FILE_PIECE), file->file_pos + at);

    if (n <= 0) {
        bl_log_write(BL_LOG_CRIT, u->r->log, errno, "the request body's file could not be read");
        bl_buf_done(b);
        return NULL;
    }
    b->last += n;
    return b;
}

/* Puts what comes next of the body into u->out: pieces that refer to it. False: unreadable. */
static bool add_body(bl_upstream *u)
{
    bool sendfile = u->link->conn->transport->sendfile;

    for (; u->body_at; u->body_at = u->body_at->next) {
        const bl_buf *b = u->body_at;
        if (!bl_buf_in_file(b)) {
            bl_str bytes = bl_str_of(b->pos, (size_t)(b->last - b->pos));
            bl_chain_push(&u->out, bl_buf_ref(u->r->pool, bytes));
        } else if (sendfile) {
            bl_chain_push(&u->out, bl_buf_file(u->r->pool, b->fd, b->file_pos, b->file_last));
        } else if (u->body_offset < bl_buf_len(b)) {
            if (!bl_chain_empty(&u->out))
                return true;
            bl_buf *piece = read_piece(u, b, u->body_offset);
            if (piece == NULL)
                return false;
            u->body_offset += bl_buf_len(piece);
            bl_chain_push(&u->out, piece);
            return true;
        }
    }
    return true;
}

static void on_body_ready(bl_request *r)
{
    bl_upstream_resume(r->upstream);
}

/* What streams is kept as well while it is small: for $request_body, and for who handles the
 * request when this upstream could not. */
static void keep_copy(bl_upstream *u, bl_str piece)
{
    size_t size = (size_t)u->r->loc->core->client_body_buffer_size;

    if (u->copy_too_large)
        return;
    if (u->copy == NULL)
        u->copy = bl_buf_new(u->r->pool, size);
    if ((size_t)(u->copy->end - u->copy->last) < piece.len) {
        u->copy_too_large = true;
        u->copy = NULL;
        return;
    }
    u->copy->last = bl_str_put(u->copy->last, piece);
}

/* Takes what has come of a streamed body, at most about STREAM_PIECE bytes, as copies. */
static bl_status take_pieces(bl_upstream *u, bl_chain *to, int *refusal)
{
    off_t taken = 0;

    while (taken < STREAM_PIECE && !u->stream_over) {
        bl_str piece;
        bl_status status = bl_body_stream(u->r, &piece, &u->stream_over, refusal, on_body_ready);
        if (status != BL_OK) {
            u->stream_over = false;
            return status == BL_AGAIN && taken ? BL_OK : status;
        }
        if (piece.len == 0)
            continue;
        u->stream_begun = true;
        keep_copy(u, piece);
        bl_buf *b = bl_buf_cached(piece.len);
        b->last = bl_str_put(b->last, piece);
        bl_chain_push(to, b);
        taken += (off_t)piece.len;
    }
    return BL_OK;
}

/* The next part of a streamed body, framed. */
static bl_status stream_more(bl_upstream *u, int *refusal)
{
    bl_chain pieces;

    bl_chain_init(&pieces);
    bl_status status = take_pieces(u, &pieces, refusal);
    if (status != BL_OK) {
        bl_chain_done(&pieces);
        return status;
    }
    if (u->stream_over && u->copy)
        bl_chain_push(&u->r->body.data, u->copy);
    if (u->stream_chunked)
        u->module->codec->frame_body(u, &pieces, u->stream_over, &u->out);
    else
        bl_chain_append(&u->out, &pieces);
    return BL_OK;
}

static bl_status send_out(bl_upstream *u)
{
    bl_conn *c = u->link->conn;
    uint64_t before = c->sent;
    bl_status status = bl_conn_send(c, &u->out, 0);

    if (c->sent != before)
        u->request_sent = true;
    return status;
}

/* BL_OK: the request is out; BL_AGAIN: not yet; BL_ERROR, with *refusal 0 when the upstream is to
 * blame. */
static bl_status send_request(bl_upstream *u, int *refusal)
{
    /* What has come of a body already goes with the head. */
    if (u->stream_body && !u->stream_over && !u->request_sent &&
        stream_more(u, refusal) == BL_ERROR)
        return BL_ERROR;
    for (;;) {
        if (!bl_chain_empty(&u->out)) {
            if (!u->link->conn->io.writable)
                return BL_AGAIN;
            bl_status status = send_out(u);
            if (status != BL_OK)
                return status;
        }
        if (u->stream_body && !u->stream_over) {
            bl_status status = stream_more(u, refusal);
            if (status != BL_OK)
                return status;
            continue;
        }
        if (u->body_at == NULL)
            break;
        if (!add_body(u)) {
            *refusal = 500;
            return BL_ERROR;
        }
    }
    u->sent_all = true;
    if (u->stream_body)
        watch_client(u);
    return BL_OK;
}

static void prepare_request(bl_upstream *u)
{
    u->prepared = true;
    u->sent_all = u->request_sent = false;
    u->body_offset = 0;
    u->body_at = u->body ? u->body->first : NULL;
    bl_chain_push(&u->out, bl_buf_ref(u->r->pool, u->request_head));
    if (u->body_at)
        add_body(u);
    u->module->codec->reset(u);
    bl_upstream_action(u, "sending request to upstream");
}

/* ------------------------------------------------------------- the response's head comes in */

static void need_head_buffer(bl_upstream *u)
{
    if (u->in)
        return;
    u->in = bl_buf_cached((size_t)u->conf->buffer_size);
    if (u->in->end - u->in->start > u->conf->buffer_size)
        u->in->end = u->in->start + u->conf->buffer_size;
    u->scanned = u->in->pos;
}

static int head_broke_off(bl_upstream *u, ssize_t n)
{
    if (n == BL_IO_EOF)
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream prematurely closed connection");
    else
        bl_log_write(BL_LOG_ERR, u->r->log, errno, "recv() failed");
    return bl_upstream_next(u, BL_UP_ERROR);
}

static int parse_head(bl_upstream *u)
{
    switch (u->module->codec->parse_head(u)) {
    case BL_OK:
        u->trying->header_ms = since_start(u);
        return BL_UP_STEP_RESPOND;
    case BL_AGAIN:
        if (u->in->last < u->in->end)
            return BL_UP_STEP_WAIT;
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream sent too big header");
        return bl_upstream_next(u, BL_UP_INVALID_HEADER);
    default:
        return bl_upstream_next(u, BL_UP_INVALID_HEADER);
    }
}

static int read_head(bl_upstream *u)
{
    bl_conn *c = u->link->conn;

    bl_upstream_action(u, "reading response header from upstream");
    while (c->io.readable) {
        bool fresh = u->in == NULL;
        need_head_buffer(u);
        ssize_t n = bl_conn_read(c, u->in->last, (size_t)(u->in->end - u->in->last));
        if (n <= 0 && fresh) {
            bl_buf_done(u->in);
            u->in = NULL;
        }
        if (n == BL_IO_AGAIN)
            break;
        if (n <= 0)
            return head_broke_off(u, n);
        u->in->last += n;
        int step = parse_head(u);
        if (step != BL_UP_STEP_WAIT)
            return step;
    }
    return BL_UP_STEP_WAIT;
}

/* Sends what can be sent, reads what has come: a response may come before the request is out. */
static int send_and_read(bl_upstream *u)
{
    bl_conn *c = u->link->conn;
    int refusal = 0;

    if (c->timed_out)
        return timed_out(u);
    if (!u->prepared)
        prepare_request(u);
    if (!u->sent_all) {
        bl_status status = send_request(u, &refusal);
        if (status == BL_ERROR && refusal)
            return bl_upstream_finish(u, refusal);
        if (status == BL_ERROR && !c->io.readable)
            return bl_upstream_next(u, BL_UP_ERROR);
    }
    if (c->io.readable) {
        int step = read_head(u);
        if (step != BL_UP_STEP_WAIT)
            return step;
    } else if (u->sent_all) {
        bl_upstream_action(u, "reading response header from upstream");
    }
    if (u->sent_all)
        bl_upstream_deadline(u, u->conf->read_timeout);
    else if (!bl_chain_empty(&u->out))
        bl_upstream_deadline(u, u->conf->send_timeout);
    else
        bl_upstream_no_deadline(u); /* it is the client's turn */
    return BL_UP_STEP_WAIT;
}

/* ------------------------------------------------------------- beginning */

static bl_step begin_peers(bl_upstream *u)
{
    if (u->group)
        return u->group->balancer->begin(u);
    return bl_balancer_rr.begin(u);
}

static void limit_tries(bl_upstream *u)
{
    int64_t most = u->conf->next_upstream_tries;

    if (most > 0 && u->tries > most)
        u->tries = (int)most;
}

/* Everything is known: who may be asked, and what. */
static void go(bl_upstream *u)
{
    if (BL_UNLIKELY(u->group && !bl_resolving_ready(u, go))) {
        watch_client(u);
        return;
    }
    bl_step step = begin_peers(u);

    if (step == BL_NEXT) {
        limit_tries(u);
        watch_client(u);
        drive(u, BL_UP_STEP_CHOOSE);
    } else {
        bl_upstream_finish(u, step);
    }
}

static void resolved(bl_resolve *ask)
{
    bl_upstream *u = ask->data;

    u->ask.started = false;
    if (ask->status != BL_RESOLVE_OK) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "%.*s could not be resolved (%d: %s)",
                     BL_STR_ARG(u->host), (int)ask->status, bl_resolve_error(ask->status));
        bl_upstream_finish(u, 502);
        return;
    }
    u->choice.peers = bl_peers_of_addrs(u->r->pool, ask->addrs, ask->count, u->host);
    go(u);
}

static void resolve(bl_upstream *u)
{
    const bl_http_core_location *core = u->r->loc->core;

    if (core->resolver == NULL) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "no resolver defined to resolve %.*s",
                     BL_STR_ARG(u->host));
        bl_upstream_finish(u, 502);
        return;
    }
    watch_client(u);
    u->ask = (bl_resolve){.resolver = core->resolver,
                          .name = u->host,
                          .port = u->port,
                          .timeout_ms = (uint64_t)core->resolver_timeout,
                          .done = resolved,
                          .data = u};
    bl_resolve_start(&u->ask);
}

bl_step bl_upstream_rebuild(bl_upstream *u)
{
    if (u->request_memory)
        bl_buf_done(u->request_memory);
    u->request_memory = NULL;
    return u->module->build(u);
}

static void begin(bl_upstream *u)
{
    bl_request *r = u->r;

    if (u->body == NULL && !u->stream_body && u->conf->pass_request_body)
        u->body = &r->body.data;
    bl_step step = u->module->build(u);
    if (step != BL_NEXT)
        bl_upstream_finish(u, step);
    else if (u->group || u->choice.peers)
        go(u);
    else
        resolve(u);
}

static void on_body_read(bl_request *r, bl_step step)
{
    if (step == BL_NEXT)
        begin(r->upstream);
    else
        bl_upstream_finish(r->upstream, step);
}

bl_step bl_upstream_start(bl_upstream *u)
{
    bl_request *r = u->r;

    r->log_more = describe;
    r->body.asked = true;
    if ((r->expect_100 && !r->body.expected) ||
        (r->body.expected && !r->body.whole && !u->stream_body)) {
        bl_step step = bl_body_read(r, on_body_read);
        if (step == BL_WAIT)
            return BL_WAIT;
        if (step != BL_NEXT)
            return step;
    }
    begin(u);
    return BL_WAIT;
}
