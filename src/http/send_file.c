#include "http/send_file.h"
#include "http/core_module.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* A body that goes through memory: at most output_buffers of it is in the pipeline at a time. */
typedef struct sending {
    bl_str path;
    int fd;
    off_t at, end;
    off_t round; /* bytes given to the pipeline before it has to drain */
} sending;

static char *put_hex(char *to, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 60;

    while (shift > 0 && n >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *to++ = digits[n >> shift & 15];
    return to;
}

static bl_str etag_of(bl_request *r, off_t size, time_t mtime)
{
    char *text = bl_pool_bytes(r->pool, 2 + 16 + 1 + 16), *at = text;

    *at++ = '"';
    at = put_hex(at, (uint64_t)mtime);
    *at++ = '-';
    at = put_hex(at, (uint64_t)size);
    *at++ = '"';
    return bl_str_of(text, (size_t)(at - text));
}

void bl_send_file_describe(bl_request *r, off_t size, time_t mtime)
{
    r->out.status = 200;
    r->out.content_length = size;
    r->out.last_modified = mtime;
    if (r->loc->core->etag)
        r->out.etag = etag_of(r, size, mtime);
}

/* ------------------------------------------------------------- through memory */

static bl_buf *read_piece(bl_request *r, sending *s, size_t size)
{
    bl_buf *b = bl_buf_cached(size);
    ssize_t n;

    do
        n = pread(s->fd, b->last, size, s->at);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n < 0)
            bl_log_write(BL_LOG_CRIT, r->log, errno, "pread() \"%.*s\" failed",
                         BL_STR_ARG(s->path));
        else
            bl_log_write(BL_LOG_ALERT, r->log, 0, "file \"%.*s\" was truncated while being sent",
                         BL_STR_ARG(s->path));
        bl_buf_done(b);
        return NULL;
    }
    b->last += n;
    s->at += n;
    b->eof = s->at == s->end;
    return b;
}

static bl_status send_round(bl_request *r, sending *s)
{
    size_t piece = (size_t)r->loc->core->output_buffers.size;
    off_t stop = BL_MIN(s->end, s->at + s->round);
    bl_chain chain;

    bl_chain_init(&chain);
    while (s->at < stop) {
        bl_buf *b = read_piece(r, s, (size_t)BL_MIN((off_t)piece, stop - s->at));
        if (b == NULL) {
            bl_chain_done(&chain);
            return BL_ERROR;
        }
        bl_chain_push(&chain, b);
    }
    return bl_output_body(r, &chain);
}

static void go_on(bl_request *r, bl_status status);

static bl_step pump(bl_request *r, sending *s)
{
    while (s->at < s->end) {
        bl_status status = send_round(r, s);
        if (status == BL_ERROR)
            return BL_CLOSE;
        if (status == BL_AGAIN && s->at < s->end) {
            bl_output_when_drained(r, go_on);
            return BL_WAIT;
        }
    }
    return BL_DONE;
}

static void go_on(bl_request *r, bl_status status)
{
    bl_step step = status == BL_OK ? pump(r, r->waiter) : BL_CLOSE;

    if (step != BL_WAIT)
        bl_request_wake(r, step);
}

/* ------------------------------------------------------------- */

static bool goes_through_memory(const bl_request *r)
{
    if (r->filter_whole)
        return false;
    return r->filter_in_memory || !r->loc->core->sendfile;
}

static bl_step send_from(bl_request *r, sending *s)
{
    bl_chain chain;

    if (s->at == s->end)
        return bl_output_end(r);
    if (goes_through_memory(r)) {
        r->waiter = s;
        return pump(r, s);
    }
    bl_buf *b = bl_buf_file(r->pool, s->fd, s->at, s->end);
    b->eof = 1;
    bl_chain_init(&chain);
    bl_chain_push(&chain, b);
    return bl_output_body(r, &chain) == BL_ERROR ? BL_CLOSE : BL_DONE;
}

/* The head's filters are done: now it is known whether any needs the body in memory. */
static void head_is_out(bl_request *r, bl_status status)
{
    bl_step step = status == BL_OK ? send_from(r, r->waiter) : BL_CLOSE;

    if (step != BL_WAIT)
        bl_request_wake(r, step);
}

bl_step bl_send_file(bl_request *r, int fd, off_t from, off_t to, bl_str path)
{
    const bl_bufs_setting *bufs = &r->loc->core->output_buffers;

    if (bl_output_head(r) == BL_ERROR)
        return BL_CLOSE;
    if (r->head_only)
        return bl_output_end(r);
    sending *s = BL_NEW(r->pool, sending);
    *s = (sending){.path = path, .fd = fd, .at = from, .end = to};
    s->round = (off_t)(bufs->count * bufs->size);
    if (r->output.head_parked) {
        r->waiter = s;
        bl_output_when_drained(r, head_is_out);
        return BL_WAIT;
    }
    return send_from(r, s);
}
