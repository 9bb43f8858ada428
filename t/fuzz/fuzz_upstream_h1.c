/* Responses of an upstream: any bytes, in pieces of any size, give a head or none, and a body that
 * lies inside what came. */
#include "http/core_module.h"
#include "http/upstream/upstream.h"

static const bl_log_targets quiet = {.level = BL_LOG_STDERR};

/* The head from `in`, fed in pieces; true when it is whole. */
static bool feed_head(bl_upstream *u, bl_str *in, size_t piece)
{
    while (in->len) {
        size_t n = BL_MIN(BL_MIN(in->len, piece), (size_t)(u->in->end - u->in->last));
        if (n == 0)
            return false;
        u->in->last = bl_str_put(u->in->last, bl_str_of(in->p, n));
        *in = bl_str_of(in->p + n, in->len - n);
        bl_status status = bl_upstream_h1.parse_head(u);
        if (status != BL_AGAIN)
            return status == BL_OK;
    }
    return false;
}

static void feed_body(bl_upstream *u, bl_str in)
{
    const char *from = in.p, *to = in.p + in.len;
    bl_str piece;

    u->body_left = u->head.content_length;
    for (;;) {
        bl_upstream_piece result = bl_upstream_h1.parse_body(u, &in, &piece);
        if (result != BL_UP_DATA)
            return;
        BL_ASSERT(piece.len && piece.p >= from && piece.p + piece.len <= to);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bl_pool *pool = bl_pool_new();
    bl_log log = {.targets = &quiet};
    bl_request r = {.pool = pool, .log = &log};
    bl_upstream_settings conf = {.pass_trailers = data[0] & 1, .buffer_size = 512};
    bl_upstream_try try = {0};
    bl_upstream u = {.r = &r, .conf = &conf, .trying = &try};
    bl_str in = bl_str_of((const char *)data + 2, size - 2);

    u.in = bl_buf_new(pool, 512);
    u.scanned = u.in->pos;
    bl_upstream_h1.reset(&u);
    if (feed_head(&u, &in, (size_t)data[1] + 1))
        feed_body(&u, in);
    bl_pool_free(pool);
    return 0;
}
