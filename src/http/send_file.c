#include "http/send_file.h"
#include "http/core_module.h"
#include "http/file_read.h"

enum {
    AHEAD = 512 * 1024, /* what a thread brings into the page cache before sendfile gets it */
};

/* A body that is sent piece by piece. */
typedef struct sending {
    bl_file_reader reader;
    int fd;
    bool by_sendfile;
    size_t piece;
    off_t at, end;
    off_t given, round; /* bytes given to the pipeline before it has to drain */
} sending;

static char *put_hex(char *to, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";

    for (int shift = (63 - __builtin_clzll(n | 1)) & ~3; shift >= 0; shift -= 4)
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

/* A page that is sent as an error: its date would have caches keep the error. */
static bool is_error(const bl_request *r)
{
    return r->error_page && r->error_status >= 300;
}

void bl_send_file_describe(bl_request *r, off_t size, time_t mtime)
{
    r->out.status = 200;
    r->out.content_length = size;
    r->out.last_modified = is_error(r) ? -1 : mtime;
    if (r->loc->core->etag)
        r->out.etag = etag_of(r, size, mtime);
}

/* ------------------------------------------------------------- piece by piece */

static bl_status give(bl_request *r, sending *s, bl_buf *piece)
{
    bl_chain chain;

    if (s->by_sendfile) {
        off_t end = BL_MIN(s->end, s->at + (off_t)s->piece);
        bl_buf_done(piece);
        piece = bl_buf_file(r->pool, s->fd, s->at, end);
    }
    s->at += bl_buf_len(piece);
    piece->eof = s->at == s->end;
    bl_chain_init(&chain);
    bl_chain_push(&chain, piece);
    return bl_output_body(r, &chain);
}

static bl_status fetch(sending *s, bl_buf **piece)
{
    size_t size = (size_t)BL_MIN((off_t)s->piece, s->end - s->at);

    return s->by_sendfile ? bl_file_reader_warm(&s->reader, s->at, size, piece)
                          : bl_file_reader_read(&s->reader, s->at, size, piece);
}

static void go_on(bl_request *r, bl_status status);

/* Up to `round` bytes are given out before it has to drain. */
static bl_step pump(bl_request *r, sending *s, bl_buf *piece)
{
    while (piece || s->at < s->end) {
        bl_status status = piece ? BL_OK : fetch(s, &piece);
        if (status == BL_AGAIN)
            return BL_WAIT;
        if (status == BL_ERROR)
            return BL_CLOSE;
        off_t before = s->at;
        status = give(r, s, piece);
        s->given += s->at - before;
        piece = NULL;
        if (status == BL_ERROR)
            return BL_CLOSE;
        if (status == BL_AGAIN && s->given >= s->round && s->at < s->end) {
            s->given = 0;
            bl_output_when_drained(r, go_on);
            return BL_WAIT;
        }
    }
    return BL_DONE;
}

static void go_on(bl_request *r, bl_status status)
{
    bl_step step = status == BL_OK ? pump(r, r->waiter, NULL) : BL_CLOSE;

    if (step != BL_WAIT)
        bl_request_wake(r, step);
}

static void arrived(bl_file_reader *reader, bl_buf *piece)
{
    bl_step step = piece ? pump(reader->r, reader->owner, piece) : BL_CLOSE;

    if (step != BL_WAIT)
        bl_request_wake(reader->r, step);
}

/* ------------------------------------------------------------- */

static bool goes_through_memory(const bl_request *r)
{
    return r->filter_in_memory || !r->loc->core->sendfile;
}

static bl_step send_pieces(bl_request *r, sending *s)
{
    const bl_bufs_setting *bufs = &r->loc->core->output_buffers;

    s->by_sendfile = s->reader.alignment == 0 && !goes_through_memory(r);
    s->piece = s->by_sendfile ? AHEAD : (size_t)bufs->size;
    s->round = s->by_sendfile ? AHEAD : (off_t)(bufs->count * bufs->size);
    if (r->output.seek)
        r->output.seek(r, &s->at, &s->end);
    r->waiter = s;
    return pump(r, s, NULL);
}

static bl_step send_from(bl_request *r, sending *s)
{
    bl_chain chain;

    if (s->at == s->end)
        return bl_output_end(r);
    bool pieces = goes_through_memory(r) || s->reader.pool || s->reader.alignment;
    if (pieces && !r->filter_whole)
        return send_pieces(r, s);
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
    sending *s = BL_NEW(r->pool, sending);

    *s = (sending){.fd = fd, .at = from, .end = to};
    s->reader = (bl_file_reader){.r = r, .path = path, .arrived = arrived, .owner = s};
    bl_step step = bl_file_reader_open(&s->reader, fd, to);
    if (step != BL_NEXT)
        return step;
    if (bl_output_head(r) == BL_ERROR)
        return BL_CLOSE;
    if (r->head_only)
        return bl_output_end(r);
    if (r->output.head_parked) {
        r->waiter = s;
        bl_output_when_drained(r, head_is_out);
        return BL_WAIT;
    }
    return send_from(r, s);
}
