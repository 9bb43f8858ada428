/* Request bodies of HTTP/1: by length or in chunks (RFC 9112 sections 6 and 7). */
#include "http/core_module.h"
#include "http/proto/h1.h"

#include <errno.h>
#include <sys/socket.h>

enum {
    READ_SIZE = 16384,
    DROP_MAX = 256 * 1024, /* of an unwanted body: beyond it closing is cheaper than reading */
};

static bl_status bad_body(bl_h1 *h, int status)
{
    h->r->body.status = status;
    h->r->keepalive = false;
    return BL_ERROR;
}

/* What is received but not used: the rest of the head's buffer first, then the body's own. */
static bl_str buffered(const bl_h1 *h)
{
    return bl_str_of(h->pos, (size_t)(h->last - h->pos));
}

static bl_status take_length(bl_h1 *h, bl_str *to, bool *end)
{
    bl_str in = buffered(h);

    to->p = in.p;
    to->len = (size_t)BL_MIN((int64_t)in.len, h->body_left);
    h->pos += to->len;
    h->body_left -= (int64_t)to->len;
    *end = h->body_whole = h->body_left == 0;
    return to->len || *end ? BL_OK : BL_AGAIN;
}

static bl_status take_chunk(bl_h1 *h, bl_str *to, bool *end)
{
    bl_str in = buffered(h);

    *to = BL_STR_NONE;
    bl_chunked_result result = bl_chunked_parse(&h->chunked, &in, to);
    h->pos = in.p;
    switch (result) {
    case BL_CHUNKED_DATA:
        return BL_OK;
    case BL_CHUNKED_END:
        *end = h->body_whole = true;
        return BL_OK;
    case BL_CHUNKED_MORE:
        return BL_AGAIN;
    default:
        bl_log_write(BL_LOG_ERR, h->r->log, 0, "client sent invalid chunked body");
        return bad_body(h, 400);
    }
}

static bl_status take(bl_h1 *h, bl_str *to, bool *end)
{
    return h->r->body.chunked ? take_chunk(h, to, end) : take_length(h, to, end);
}

/* Reads no further than the body can reach, so that what comes behind it stays in the socket. */
static bl_status fill(bl_h1 *h)
{
    bl_conn *c = h->conn;

    if (h->body_buf == NULL) {
        h->body_buf_size = READ_SIZE;
        h->body_buf = bl_pool_bytes(h->pool, h->body_buf_size);
    }
    if (!c->io.readable)
        return BL_AGAIN;
    int64_t left = h->r->body.chunked ? bl_chunked_least(&h->chunked) : h->body_left;
    size_t size = (size_t)BL_MIN((int64_t)h->body_buf_size, left);
    ssize_t n = bl_conn_read(c, h->body_buf, h->r->body.chunked ? h->body_buf_size : size);
    if (n == BL_IO_AGAIN)
        return BL_AGAIN;
    if (n <= 0) {
        if (n == BL_IO_EOF)
            bl_log_write(BL_LOG_INFO, h->r->log, 0, "client prematurely closed connection");
        c->error = true;
        return bad_body(h, 400);
    }
    h->buf = h->pos = h->body_buf;
    h->last = h->body_buf + n;
    return BL_OK;
}

static void on_body_timeout(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);
    bl_h1 *h = bl_h1_of(c);

    c->timed_out = true;
    h->r->body.status = 408;
    if (h->r->body.on_ready)
        h->r->body.on_ready(h->r);
}

void bl_h1_body_on_readable(bl_io *io)
{
    bl_h1 *h = bl_h1_of(bl_conn_of(io));
    bl_request *r = h->r;

    if (r->body.on_ready)
        r->body.on_ready(r);
}

static bl_status wait(bl_h1 *h)
{
    bl_conn *c = h->conn;

    c->io.on_read = bl_h1_body_on_readable;
    c->timer.fire = on_body_timeout;
    bl_timer_set(&c->timer, (uint64_t)h->r->loc->core->client_body_timeout);
    return BL_AGAIN;
}

bl_status bl_h1_read_body(bl_request *r, bl_str *to, bool *end)
{
    bl_h1 *h = r->exchange;

    *to = BL_STR_NONE;
    *end = h->body_whole;
    if (h->body_whole)
        return BL_OK;
    if (r->body.status)
        return BL_ERROR;
    if (r->expect_100 && !h->body_started && bl_h1_send_interim(r, 100) == BL_ERROR)
        return bad_body(h, 400);
    r->expect_100 = false;
    h->body_started = true;
    for (;;) {
        bl_status status = take(h, to, end);
        if (status == BL_OK && (to->len || *end)) {
            bl_timer_stop(&h->conn->timer);
            r->received_bytes += to->len;
            return BL_OK;
        }
        if (status == BL_ERROR)
            return BL_ERROR;
        status = fill(h);
        if (status == BL_AGAIN)
            return wait(h);
        if (status == BL_ERROR)
            return BL_ERROR;
    }
}

bl_status bl_h1_discard_body(bl_request *r)
{
    bl_h1 *h = r->exchange;
    bl_status status = BL_OK;
    bl_str piece;
    bool end = false;

    if (r->expect_100 && bl_h1_send_interim(r, 100) == BL_ERROR)
        return bad_body(h, 400);
    r->expect_100 = false;
    while (status == BL_OK && !h->body_whole && h->pos < h->last)
        status = take(h, &piece, &end);
    return status;
}

bl_status bl_h1_drop_body(bl_h1 *h)
{
    size_t dropped = 0;
    bl_str piece;
    bool end = false;

    if (h->r->expect_100 || h->r->body.status)
        return BL_ERROR; /* it waits for a 100 that will not come */
    while (!h->body_whole && dropped < DROP_MAX) {
        bl_status status = take(h, &piece, &end);
        if (status == BL_ERROR)
            return BL_ERROR;
        dropped += piece.len;
        if (status == BL_AGAIN && (status = fill(h)) != BL_OK)
            return status;
    }
    return h->body_whole ? BL_OK : BL_ERROR;
}

/* ------------------------------------------------------------- is the client still there? */

/* Looks without taking anything: bytes mean a pipelined request, none that the client is gone. */
static bool client_is_gone(bl_conn *c)
{
    char byte;
    ssize_t n = recv(c->io.fd, &byte, 1, MSG_PEEK);

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void on_watched_readable(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    bl_h1 *h = bl_h1_of(c);

    if (!h->watching || !client_is_gone(c))
        return;
    h->watching = false;
    c->eof = c->error = true;
    bl_log_write(BL_LOG_INFO, h->r->log, 0, "client prematurely closed connection");
    bl_request_abort(h->r);
}

static void look(bl_work *work)
{
    bl_h1 *h = BL_CONTAINER(work, bl_h1, watch_work);

    on_watched_readable(&h->conn->io);
}

/* A client that has hung up already is looked at later: whoever asks us to watch must not find its
 * request gone when we return. */
void bl_h1_watch(bl_request *r, bool on)
{
    bl_h1 *h = r->exchange;
    bl_conn *c = h->conn;

    if (r->exchange_over || h->watching == on || (on && !h->body_whole) || h->conn->taker)
        return;
    h->watching = on;
    if (!on)
        return;
    c->io.on_read = on_watched_readable;
    if (c->io.readable && c->io.hup) {
        h->watch_work.run = look;
        bl_work_post(&h->watch_work);
    }
}
