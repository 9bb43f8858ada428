/* Responses of HTTP/1: the head's text, chunked framing, and pushing bytes into the socket.
 *
 * Small pieces are copied behind one another into one buffer, so that a small response is one
 * buffer and one system call, whatever number of pieces it was made of. */
#include "core/time.h"
#include "http/core_module.h"
#include "http/error_page.h"
#include "http/proto/h1.h"
#include "http/value.h"
#include "http/version.h"

#include <errno.h>

#define BL_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

enum {
    COPY_MAX = 2048, /* pieces up to this size are copied rather than sent from where they are */
    FIXED_MAX = 512, /* the head's fixed fields, generously */
};

/* ------------------------------------------------------------- the queue */

static void new_tail(bl_h1 *h, size_t size)
{
    h->tail = bl_buf_cached(size);
    bl_chain_push(&h->out, h->tail);
}

static size_t tail_room(const bl_h1 *h)
{
    return h->tail ? (size_t)(h->tail->end - h->tail->last) : 0;
}

static void append(bl_h1 *h, const char *bytes, size_t len)
{
    if (tail_room(h) < len)
        new_tail(h, len);
    memcpy(h->tail->last, bytes, len);
    h->tail->last += len;
    h->queued += (off_t)len;
}

/* The piece itself, or its bytes. */
static void append_piece(bl_h1 *h, bl_buf *b)
{
    off_t len = bl_buf_len(b);

    if (len == 0) {
        bl_buf_done(b);
    } else if (!bl_buf_in_file(b) && len <= COPY_MAX) {
        append(h, b->pos, (size_t)len);
        bl_buf_done(b);
    } else {
        bl_chain_push(&h->out, b);
        h->tail = NULL;
        h->queued += len;
    }
}

/* ------------------------------------------------------------- the head */

static char *put(char *at, bl_str s)
{
    return bl_str_put(at, s);
}

#define PUT(at, literal) bl_str_put(at, BL_STR(literal))

static char *put_field(char *at, bl_str name, bl_str value)
{
    at = put(at, name);
    *at++ = ':';
    *at++ = ' ';
    if (value.len)
        at = put(at, value);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static bl_str status_line(bl_request *r)
{
    bl_str line = r->out.status_line;

    if (line.len == 0)
        line = bl_status_line(r->out.status);
    if (line.len == 0)
        line = bl_pool_printf(r->pool, "%03d ", r->out.status);
    return line;
}

static char *put_server(char *at, const bl_http_core_location *core)
{
    if (BL_LIKELY(core->server_tokens == BL_TOKENS_ON))
        return PUT(at, "Server: " BL_SERVER_VERSION "\r\n");
    if (core->server_tokens == BL_TOKENS_OFF)
        return PUT(at, "Server: " BL_SERVER_NAME "\r\n");
    return PUT(at, "Server: " BL_SERVER_BUILD "\r\n");
}

/* Location made absolute, as absolute_redirect and its sisters say. */
static bl_str location_of(bl_request *r)
{
    const bl_http_core_location *core = r->loc->core;
    bl_str to = r->out.location;
    char text[BL_ADDR_TEXT];

    if (to.p[0] != '/' || !core->absolute_redirect || (to.len > 1 && to.p[1] == '/'))
        return to;
    bool tls = r->conn->tls != NULL;
    bl_str host = r->host;
    if (core->server_name_in_redirect)
        host = r->server->core->server_name;
    else if (host.len == 0)
        host =
            bl_str_of(text, bl_addr_text(bl_conn_local(r->conn), sizeof(struct sockaddr_un), text));
    int port = bl_addr_port(bl_conn_local(r->conn));
    bool usual = port == 0 || port == (tls ? 443 : 80);
    if (!core->port_in_redirect || usual)
        return bl_pool_printf(r->pool, "%s://%.*s%.*s", tls ? "https" : "http", BL_STR_ARG(host),
                              BL_STR_ARG(to));
    return bl_pool_printf(r->pool, "%s://%.*s:%d%.*s", tls ? "https" : "http", BL_STR_ARG(host),
                          port, BL_STR_ARG(to));
}

/* How the body will be framed, and whether the connection can be kept after it. */
static void decide_framing(bl_request *r)
{
    int status = r->out.status;
    bool bodiless = status == 204 || status == 304 || (status >= 100 && status < 200);

    if (bodiless) {
        r->head_only = true;
        if (status == 204) {
            r->out.content_length = r->out.last_modified = -1;
            r->out.content_type = BL_STR_NONE;
        }
    }
    if (status == 101) {
        r->keepalive = false;
        return;
    }
    if (r->out.expect_trailers && r->http_version >= 1001 && r->loc->core->chunked && !r->head_only)
        r->out.content_length = -1;
    if (r->out.content_length >= 0 || r->head_only)
        return;
    if (r->http_version >= 1001 && r->loc->core->chunked)
        r->chunked_out = true;
    else
        r->keepalive = false;
}

/* keepalive_disable: browsers of old that mishandled it. */
static bool is_disabled_for(const bl_request *r, const bl_http_core_location *core)
{
    const bl_header *h = bl_headers_known(&r->in, BL_H_USER_AGENT);

    if (h == NULL || core->keepalive_disable == BL_KEEPALIVE_DISABLE_NONE)
        return false;
    ssize_t msie = core->keepalive_disable & BL_KEEPALIVE_DISABLE_MSIE6 && r->method == BL_M_POST
                       ? bl_str_find(h->value, BL_STR("MSIE "))
                       : -1;
    if (msie >= 0 && (size_t)msie + 5 < h->value.len && h->value.p[msie + 5] >= '4' &&
        h->value.p[msie + 5] <= '6')
        return true;
    return core->keepalive_disable & BL_KEEPALIVE_DISABLE_SAFARI &&
           bl_str_find(h->value, BL_STR("Mac OS X")) >= 0 &&
           bl_str_find(h->value, BL_STR("Safari/")) >= 0 &&
           bl_str_find(h->value, BL_STR("Chrome/")) < 0;
}

static bool may_keep_alive(bl_request *r)
{
    const bl_http_core_location *core = r->loc->core;

    const bl_conn *c = r->conn;

    if (!r->keepalive || bl_quitting || core->keepalive.timeout == 0)
        return false;
    return c->requests < (uint64_t)core->keepalive_requests &&
           bl_now_ms() - c->start_ms <= (uint64_t)core->keepalive_time && !is_disabled_for(r, core);
}

static char *put_content_type(char *at, bl_request *r)
{
    bl_response *out = &r->out;

    at = PUT(at, "Content-Type: ");
    at = put(at, out->content_type);
    if (out->charset.len && !out->charset_done) {
        at = PUT(at, "; charset=");
        at = put(at, out->charset);
    }
    return PUT(at, "\r\n");
}

static char *put_connection(char *at, bl_request *r)
{
    int64_t seconds = r->loc->core->keepalive.header;

    if (r->out.status == 101)
        return PUT(at, "Connection: upgrade\r\n");
    if (!r->keepalive)
        return PUT(at, "Connection: close\r\n");
    at = PUT(at, "Connection: keep-alive\r\n");
    if (seconds >= 0) {
        at = PUT(at, "Keep-Alive: timeout=");
        at = bl_u64_write(at, (uint64_t)seconds);
        at = PUT(at, "\r\n");
    }
    return at;
}

static size_t fields_size(bl_request *r, bl_str line, bl_str location)
{
    size_t size = FIXED_MAX + line.len + r->out.content_type.len + r->out.charset.len +
                  location.len + r->out.etag.len;

    BL_HEADERS_EACH(h, &r->out.headers)
    {
        size += h->name.len + h->value.len + 4;
    }
    return size;
}

/* The first three lines. */
static char *put_front(char *at, bl_request *r, bl_str line)
{
    at = PUT(at, "HTTP/1.1 ");
    at = put(at, line);
    at = PUT(at, "\r\n");
    if (!r->out.no_server)
        at = put_server(at, r->loc->core);
    if (!r->out.no_date) {
        at = PUT(at, "Date: ");
        at = put(at, bl_clock_http());
        at = PUT(at, "\r\n");
    }
    return at;
}

/* The front of most heads. */
static bool has_usual_front(const bl_request *r)
{
    return r->out.status == 200 && r->out.status_line.len == 0 && !r->out.no_server &&
           !r->out.no_date && r->loc->core->server_tokens == BL_TOKENS_ON;
}

/* It is the same for a second. */
static char *put_usual_front(char *at, bl_request *r)
{
    static char front[FIXED_MAX];
    static size_t len;
    static time_t second;

    if (second != bl_clock_now.sec) {
        len = (size_t)(put_front(front, r, bl_status_line(200)) - front);
        second = bl_clock_now.sec;
    }
    return put(at, bl_str_of(front, len));
}

static char *put_fixed(char *at, bl_request *r, bl_str line, bl_str location)
{
    bl_response *out = &r->out;

    at = line.len ? put_front(at, r, line) : put_usual_front(at, r);
    if (out->content_type.len)
        at = put_content_type(at, r);
    if (out->content_length >= 0) {
        at = PUT(at, "Content-Length: ");
        at = bl_u64_write(at, (uint64_t)out->content_length);
        at = PUT(at, "\r\n");
    }
    if (out->last_modified >= 0) {
        at = PUT(at, "Last-Modified: ");
        at = bl_time_http(at, out->last_modified);
        at = PUT(at, "\r\n");
    }
    if (location.len)
        at = put_field(at, BL_STR("Location"), location);
    if (r->chunked_out)
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    return put_connection(at, r);
}

bl_status bl_h1_send_head(bl_request *r)
{
    bl_h1 *h = r->exchange;

    if (r->http_version < 1000) {
        r->keepalive = false;
        return BL_OK; /* HTTP/0.9 knows no heads */
    }
    decide_framing(r);
    r->keepalive = may_keep_alive(r);
    bl_str line = BL_LIKELY(has_usual_front(r)) ? BL_STR_NONE : status_line(r);
    bl_str location = r->out.location.len ? location_of(r) : BL_STR_NONE;
    size_t size = fields_size(r, line, location);
    if (tail_room(h) < size)
        new_tail(h, size);

    char *start = h->tail->last;
    char *at = put_fixed(start, r, line, location);
    if (r->out.etag.len)
        at = put_field(at, BL_STR("ETag"), r->out.etag);
    BL_HEADERS_EACH(field, &r->out.headers)
    {
        at = put_field(at, field->name, field->value);
    }
    if (r->out.accept_ranges && !r->out.no_range)
        at = PUT(at, "Accept-Ranges: bytes\r\n");
    at = PUT(at, "\r\n");
    BL_ASSERT(at <= h->tail->end);
    h->head_len = at - start;
    r->head_sent_bytes = (uint64_t)h->head_len;
    h->queued += h->head_len;
    h->tail->last = at;
    h->head_queued = true;
    return BL_OK;
}

bl_status bl_h1_send_interim(bl_request *r, int status)
{
    bl_h1 *h = r->exchange;
    bl_chain chain;

    if (status != 100 || h->head_queued)
        return BL_OK; /* behind a head it would be taken for a part of the body */
    if (!bl_chain_empty(&h->out)) {
        append(h, BL_CONTINUE, strlen(BL_CONTINUE));
        r->sent_before += strlen(BL_CONTINUE);
        return BL_OK;
    }
    bl_chain_init(&chain);
    bl_chain_push(&chain, bl_buf_ref(r->pool, BL_STR(BL_CONTINUE)));
    bl_status result = bl_conn_send(h->conn, &chain, 0);
    r->sent_before = h->conn->sent;
    return result == BL_OK ? BL_OK : BL_ERROR; /* a part of it is worse than none */
}

/* ------------------------------------------------------------- pushing */

/* Bytes that limit_rate lets through now; 0: none, and *wait_ms says how long. -1: no limit. */
static off_t allowance(bl_request *r, uint64_t *wait_ms)
{
    bl_h1 *h = r->exchange;

    if (!r->limit_rate_set) {
        r->limit_rate_set = true;
        bl_value *value = r->loc->core->limit_rate;
        r->limit_rate =
            value->constant ? bl_conf_size(value->text) : bl_conf_size(bl_value_eval(r, value));
    }
    if (r->limit_rate <= 0)
        return -1;
    if (!r->limit_rate_after_set) {
        r->limit_rate_after_set = true;
        r->limit_rate_after = bl_conf_size(bl_value_eval(r, r->loc->core->limit_rate_after));
    }
    int64_t after = BL_MAX(r->limit_rate_after, 0), may;
    int64_t sent = (int64_t)(h->conn->sent - r->sent_before);
    int64_t seconds = (int64_t)(bl_now_ms() - r->start_ms) / 1000 + 1;
    if (__builtin_mul_overflow(r->limit_rate, seconds, &may) ||
        __builtin_add_overflow(may - sent, after, &may))
        return -1; /* more than there can be */
    if (may > 0)
        return may;
    *wait_ms = (uint64_t)(-may * 1000 / r->limit_rate + 1);
    return 0;
}

static void fail(bl_h1 *h)
{
    bl_chain_done(&h->out);
    h->tail = NULL;
    h->queued = 0;
}

static void wait_writable(bl_h1 *h)
{
    bl_conn *c = h->conn;

    h->waiting_writable = true;
    c->io.on_write = bl_h1_on_writable;
    c->timer.fire = bl_h1_out_timer;
    bl_timer_set(&c->timer, (uint64_t)h->r->loc->core->send_timeout);
}

static void wait_delay(bl_h1 *h, uint64_t ms)
{
    bl_conn *c = h->conn;

    h->delayed = h->waiting_writable = true;
    c->timer.fire = bl_h1_out_timer;
    bl_timer_set(&c->timer, BL_MAX(ms, 1u));
}

static bool rate_is_limited(const bl_request *r)
{
    const bl_value *value = r->loc->core->limit_rate;

    return r->limit_rate_set ? r->limit_rate > 0
                             : !value->constant || !bl_str_eq(value->text, BL_STR("0"));
}

static void go_on(bl_work *work)
{
    bl_conn *c = BL_CONTAINER(work, bl_conn, work);

    bl_h1_on_writable(&c->io);
}

/* sendfile_max_chunk has been sent: it goes on when the other connections have had their turn. */
static void wait_turn(bl_h1 *h)
{
    bl_conn *c = h->conn;

    wait_writable(h);
    c->work.run = go_on;
    bl_work_post(&c->work);
}

/* Sends what is queued. */
static bl_status push(bl_h1 *h)
{
    bl_request *r = h->r;
    bl_conn *c = h->conn;
    off_t limit = 0;
    uint64_t wait_ms = 0;

    if (c->error)
        return BL_ERROR;
    if (h->delayed)
        return BL_AGAIN;
    if (BL_UNLIKELY(rate_is_limited(r))) {
        limit = allowance(r, &wait_ms);
        if (limit == 0) {
            wait_delay(h, wait_ms);
            return BL_AGAIN;
        }
        limit = BL_MAX(limit, 0);
    } else if (BL_UNLIKELY(h->queued > r->loc->core->sendfile_max_chunk)) {
        limit = r->loc->core->sendfile_max_chunk;
    }
    uint64_t before = c->sent;
    h->tail = NULL;
    bl_status status = bl_conn_send(c, &h->out, limit);
    h->queued -= (off_t)(c->sent - before);
    if (status == BL_ERROR)
        return BL_ERROR;
    if (bl_chain_empty(&h->out)) {
        if (h->waiting_writable) {
            h->waiting_writable = false;
            bl_timer_stop(&c->timer);
            bl_work_cancel(&c->work);
        }
        return BL_OK;
    }
    if (status == BL_AGAIN)
        wait_writable(h);
    else if (allowance(r, &wait_ms) == 0)
        wait_delay(h, wait_ms);
    else
        wait_turn(h);
    return BL_AGAIN;
}

static bl_status push_or_fail(bl_h1 *h)
{
    bl_status status = push(h);

    if (status == BL_ERROR)
        fail(h);
    return status;
}

void bl_h1_on_writable(bl_io *io)
{
    bl_h1 *h = bl_h1_of(bl_conn_of(io));

    if (!h->waiting_writable || h->delayed)
        return;
    bl_status status = push_or_fail(h);
    if (status == BL_AGAIN)
        return;
    h->waiting_writable = false;
    if (status == BL_ERROR)
        bl_request_abort(h->r);
    else
        bl_output_drained(h->r, BL_OK);
}

void bl_h1_out_timer(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);
    bl_h1 *h = bl_h1_of(c);

    if (h->delayed) {
        h->delayed = false;
        bl_h1_on_writable(&c->io);
        return;
    }
    c->timed_out = c->error = true;
    bl_log_write(BL_LOG_INFO, h->r->log, ETIMEDOUT, "client timed out");
    h->r->reset_on_close = h->r->loc->core->reset_timedout_connection;
    fail(h);
    bl_request_abort(h->r);
}

bl_status bl_h1_send_hints(bl_request *r, const bl_headers *fields)
{
    bl_h1 *h = r->exchange;
    off_t before = h->queued;

    if (r->http_version < 1001 || h->head_queued)
        return BL_OK;
    append(h, "HTTP/1.1 103 Early Hints\r\n", strlen("HTTP/1.1 103 Early Hints\r\n"));
    BL_HEADERS_EACH(field, fields)
    {
        append(h, field->name.p, field->name.len);
        append(h, ": ", 2);
        append(h, field->value.p, field->value.len);
        append(h, "\r\n", 2);
    }
    append(h, "\r\n", 2);
    r->sent_before += (uint64_t)(h->queued - before);
    return h->waiting_writable ? BL_AGAIN : push_or_fail(h);
}

/* ------------------------------------------------------------- bodies */

static void put_chunk_size(bl_h1 *h, uint64_t len)
{
    static const char hex[] = "0123456789abcdef";
    char line[18];
    size_t at = sizeof line;

    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = hex[len & 15];
        len >>= 4;
    } while (len);
    append(h, line + at, sizeof line - at);
}

static void put_trailers(bl_h1 *h)
{
    append(h, "0\r\n", 3);
    BL_HEADERS_EACH(t, &h->r->out.trailers)
    {
        append(h, t->name.p, t->name.len);
        append(h, ": ", 2);
        append(h, t->value.p, t->value.len);
        append(h, "\r\n", 2);
    }
    append(h, "\r\n", 2);
}

/* Moves the chain to the socket's queue, in chunks where that is the framing. */
static void enqueue(bl_h1 *h, bl_chain *chain)
{
    bl_request *r = h->r;
    off_t len = r->chunked_out ? bl_chain_len(chain) : 0;
    bl_buf *b;

    if (len > 0 && !r->head_only)
        put_chunk_size(h, (uint64_t)len);
    while ((b = bl_chain_shift(chain)) != NULL) {
        h->flush |= b->flush;
        h->eof |= b->eof;
        append_piece(h, b);
    }
    if (r->head_only || !r->chunked_out)
        return;
    if (len > 0)
        append(h, "\r\n", 2);
    if (h->eof)
        put_trailers(h);
}

bl_status bl_h1_send_body(bl_request *r, bl_chain *chain)
{
    bl_h1 *h = r->exchange;

    enqueue(h, chain);
    if (!h->eof && !h->flush && h->queued < r->loc->core->postpone_output)
        return BL_OK;
    h->flush = false;
    if (bl_chain_empty(&h->out))
        return BL_OK;
    if (h->waiting_writable)
        return h->conn->error ? BL_ERROR : BL_AGAIN;
    return push_or_fail(h);
}
