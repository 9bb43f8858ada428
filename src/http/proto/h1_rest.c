/* What is still to come of a body that nobody wanted, when the response has been sent already. It
 * is read and dropped, and then the connection, which the response said would be kept, is. The
 * exchange is gone by then: what its body was like is remembered here. */
#include "core/mem.h"
#include "http/core_module.h"
#include "http/proto/h1.h"

enum {
    REST_MAGIC = 0x68317274,
    READ_SIZE = 4096,
};

typedef struct rest {
    uint32_t magic;
    bl_http_addr *addr;
    const bl_http_core_location *core;
    bool chunked;
    bl_chunked state;
    int64_t left; /* of a body with a length */
    uint64_t until;
    bl_h1_rest_fn then;
} rest;

static rest *rest_of(const bl_conn *c)
{
    rest *s = c->data;

    BL_CHECK(s, REST_MAGIC);
    return s;
}

static void nothing(bl_io *io BL_UNUSED)
{
}

static void leave(bl_conn *c, bl_str next, bool whole)
{
    rest s = *rest_of(c);

    bl_free(c->data);
    bl_timer_stop(&c->timer);
    c->data = s.addr;
    s.then(c, s.addr, s.core, next, whole);
}

/* Drops what has come. BL_OK: that was all of the body, and *in is what stands behind it. */
static bl_status drop(rest *s, bl_str *in)
{
    bl_chunked_result result = BL_CHUNKED_DATA;
    bl_str piece;

    if (!s->chunked) {
        s->left -= (int64_t)in->len; /* no more was read than is left */
        in->len = 0;
        return s->left ? BL_AGAIN : BL_OK;
    }
    while (result == BL_CHUNKED_DATA)
        result = bl_chunked_parse(&s->state, in, &piece);
    if (result == BL_CHUNKED_BAD)
        return BL_ERROR;
    return result == BL_CHUNKED_END ? BL_OK : BL_AGAIN;
}

static void on_timeout(bl_timer *timer)
{
    leave(BL_CONTAINER(timer, bl_conn, timer), BL_STR_NONE, false);
}

static void on_readable(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    rest *s = rest_of(c);
    char bytes[READ_SIZE];

    while (io->readable && bl_now_ms() < s->until) {
        size_t size = s->chunked ? sizeof bytes : (size_t)BL_MIN(s->left, (int64_t)sizeof bytes);
        ssize_t n = bl_conn_read(c, bytes, size);
        if (n == BL_IO_AGAIN)
            break;
        bl_str in = bl_str_of(bytes, n > 0 ? (size_t)n : 0);
        bl_status status = n > 0 ? drop(s, &in) : BL_ERROR;
        if (status != BL_AGAIN) {
            leave(c, in, status == BL_OK);
            return;
        }
    }
    if (bl_now_ms() >= s->until) {
        leave(c, BL_STR_NONE, false);
        return;
    }
    bl_timer_set(&c->timer, BL_MIN((uint64_t)s->core->lingering_timeout, s->until - bl_now_ms()));
}

void bl_h1_wait_for_rest(bl_h1 *h, const bl_http_core_location *core, bl_h1_rest_fn then)
{
    bl_conn *c = h->conn;
    rest *s = bl_zalloc(sizeof *s);

    *s = (rest){
        .magic = REST_MAGIC,
        .addr = h->addr,
        .core = core,
        .chunked = h->r->body.chunked,
        .state = h->chunked,
        .left = h->body_left,
        .until = bl_now_ms() + (uint64_t)core->lingering_time,
        .then = then,
    };
    c->data = s;
    c->io.on_read = on_readable;
    c->io.on_write = nothing;
    c->timer.fire = on_timeout;
    bl_timer_set(&c->timer, (uint64_t)core->lingering_timeout);
}
