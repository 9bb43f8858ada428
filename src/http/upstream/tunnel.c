/* After 101 Switching Protocols: what one side says the other hears, until one has nothing more to
 * say. Each direction has one buffer: a side is read again when the other has taken all of it, so a
 * slow reader slows the writer down. */
#include "http/core_module.h"
#include "http/upstream/upstream.h"

#include <errno.h>

typedef struct direction {
    bl_conn *from, *to;
    bl_buf *buf;
    bl_chain out;
    bool client_reads; /* it is the client who gets it */
    bool eof;
} direction;

enum {
    TUNNEL_MAGIC = 0x746e6e6c
};

typedef struct bl_tunnel {
    uint32_t magic;
    bl_upstream *u;
    bl_conn *client;
    void *client_data; /* the codec's */
    direction down, up;
} tunnel;

static tunnel *tunnel_of(const bl_conn *c)
{
    tunnel *t = c->data;

    BL_CHECK(t, TUNNEL_MAGIC);
    return t;
}

static void on_client(bl_io *io)
{
    tunnel *t = tunnel_of(bl_conn_of(io));

    bl_upstream_resume(t->u);
}

static void on_client_timeout(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);
    tunnel *t = tunnel_of(c);

    c->timed_out = true;
    bl_upstream_resume(t->u);
}

static void nothing(bl_io *io BL_UNUSED)
{
}

static int leave(tunnel *t)
{
    bl_upstream *u = t->u;
    bl_conn *c = t->client;

    c->data = t->client_data;
    c->io.on_read = c->io.on_write = nothing;
    bl_timer_stop(&c->timer);
    u->r->keepalive = false;
    u->body_done = true;
    return bl_upstream_finish(u, BL_CLOSE);
}

static int fail(tunnel *t, bl_conn *timed_out)
{
    if (timed_out == t->client)
        bl_log_write(BL_LOG_INFO, t->u->r->log, ETIMEDOUT, "client timed out");
    else if (timed_out)
        bl_log_write(BL_LOG_ERR, t->u->r->log, ETIMEDOUT, "upstream timed out");
    return leave(t);
}

/* Moves what can be moved. False: a side is broken. */
static bool pump(tunnel *t, direction *d)
{
    for (;;) {
        if (!bl_chain_empty(&d->out)) {
            if (!d->to->io.writable)
                return true;
            bl_status status = bl_conn_send(d->to, &d->out, 0);
            if (status == BL_ERROR)
                return false;
            if (status == BL_AGAIN)
                return true;
        }
        if (d->eof || !d->from->io.readable)
            return true;
        d->buf->pos = d->buf->last = d->buf->start;
        ssize_t n = bl_conn_read(d->from, d->buf->last, (size_t)(d->buf->end - d->buf->start));
        if (n == BL_IO_AGAIN)
            return true;
        if (n == BL_IO_ERROR)
            return false;
        if (n == BL_IO_EOF) {
            d->eof = true;
            return true;
        }
        if (d->client_reads)
            t->u->trying->body += n;
        d->buf->last += n;
        bl_chain_push(&d->out, d->buf);
    }
}

/* What came behind the head, before anything else. */
static void prepare(direction *d, bl_upstream *u, bl_conn *from, bl_conn *to, bl_str first)
{
    d->from = from;
    d->to = to;
    d->buf = bl_buf_new(u->r->pool, (size_t)u->conf->buffer_size);
    bl_chain_init(&d->out);
    if (first.len)
        bl_chain_push(&d->out, bl_buf_ref(u->r->pool, first));
}

static void on_head_drained(bl_request *r, bl_status status)
{
    bl_upstream *u = r->upstream;

    u->busy = false;
    if (status == BL_OK)
        bl_upstream_resume(u);
    else
        bl_upstream_finish(u, BL_CLOSE);
}

/* With the head leaves what was said before it and is still on its way (103). */
static int send_head(bl_upstream *u)
{
    bl_request *r = u->r;

    if (r->codec->watch)
        r->codec->watch(r, false);
    r->client_gone = NULL;
    bl_output_head(r);
    if (bl_output_flush(r) == BL_ERROR)
        return bl_upstream_finish(u, BL_CLOSE);
    if (!bl_output_is_drained(r)) {
        u->busy = true;
        bl_output_when_drained(r, on_head_drained);
        return BL_UP_STEP_WAIT;
    }
    return BL_UP_STEP_TUNNEL;
}

static void take_client(tunnel *t, bl_conn *c)
{
    t->client = c;
    t->client_data = c->data;
    c->data = t;
    c->io.on_read = c->io.on_write = on_client;
    c->timer.fire = on_client_timeout;
    bl_conn_nodelay(c);
    bl_conn_nodelay(t->u->link->conn);
}

/* The connection is a pipe of bytes from now on. NULL: it can't be one. */
static tunnel *begin(bl_upstream *u)
{
    bl_request *r = u->r;
    bl_buf *in = u->in;
    bl_str extra;

    bl_conn *c = r->codec->take_over(r, &extra);
    if (c == NULL)
        return NULL;
    tunnel *t = u->tunnel = BL_NEW(r->pool, tunnel);
    t->magic = TUNNEL_MAGIC;
    t->u = u;
    take_client(t, c);
    t->down.client_reads = true;
    u->trying->body = in->last - in->pos;
    prepare(&t->down, u, u->link->conn, c, bl_str_of(in->pos, (size_t)u->trying->body));
    prepare(&t->up, u, c, u->link->conn, extra);
    return t;
}

static void set_deadlines(tunnel *t)
{
    bl_upstream *u = t->u;

    if (bl_chain_empty(&t->up.out))
        bl_upstream_deadline(u, u->conf->read_timeout);
    else
        bl_upstream_deadline(u, u->conf->send_timeout);
    if (bl_chain_empty(&t->down.out))
        bl_timer_stop(&t->client->timer);
    else
        bl_timer_set(&t->client->timer, (uint64_t)u->r->loc->core->send_timeout);
}

int bl_upstream_tunnel(bl_upstream *u)
{
    tunnel *t = u->tunnel;

    if (u->busy)
        return BL_UP_STEP_WAIT;
    if (!u->r->output.begun)
        return send_head(u);
    if (t == NULL && (t = begin(u)) == NULL)
        return bl_upstream_finish(u, BL_CLOSE);
    bl_upstream_action(u, "proxying upgraded connection");
    if (t->client->timed_out || u->link->conn->timed_out)
        return fail(t, t->client->timed_out ? t->client : u->link->conn);
    if (!pump(t, &t->down) || !pump(t, &t->up))
        return leave(t);
    if ((t->down.eof && bl_chain_empty(&t->down.out)) || (t->up.eof && bl_chain_empty(&t->up.out)))
        return leave(t);
    set_deadlines(t);
    return BL_UP_STEP_WAIT;
}
