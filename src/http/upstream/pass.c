/* The body of a response, from the upstream to the output.
 *
 *   link ── read ──> pending (memory) ──────────────────────────> bl_output_body
 *                        └─ spill ─> temporary file ─┘ (comes first: it is older)
 *
 * Buffered: the upstream is read as fast as it sends, and what the client does not take in time
 * waits in `*_buffers`, then in a file. Unbuffered: nothing more is read before the last piece has
 * left. A chunked body is undone in place, so that one read is one piece. Buffers come back
 * (release) when they have been sent, and are filled again. */
#include "http/upstream/store.h"

#include <errno.h>
#include <unistd.h>

/* ------------------------------------------------------------- buffers */

static void buffer_back(bl_buf *b)
{
    bl_upstream *u = b->owner;

    b->next = u->free;
    u->free = b;
}

static bl_buf *take_buffer(bl_upstream *u)
{
    int64_t size = u->buffering ? u->conf->buffers.size : u->conf->buffer_size;
    bl_buf *b = u->free;

    if (b == NULL) {
        b = bl_buf_new(u->r->pool, (size_t)size);
        b->release = buffer_back;
        b->owner = u;
        return b;
    }
    u->free = b->next;
    b->pos = b->last = b->start;
    b->flush = b->eof = 0;
    return b;
}

static void add_pending(bl_upstream *u, bl_buf *b)
{
    u->trying->body += bl_buf_len(b);
    if (BL_UNLIKELY(u->store != NULL))
        bl_upstream_store_add(u, bl_str_of(b->pos, (size_t)(b->last - b->pos)));
    u->pending_count++;
    bl_chain_push(&u->pending, b);
}

/* ------------------------------------------------------------- what came, undone */

static void note_extra(bl_upstream *u)
{
    u->extra = true;
    if (!u->no_body && u->head.content_length >= 0)
        bl_log_write(BL_LOG_WARN, u->r->log, 0,
                     "upstream sent more data than specified in \"Content-Length\" header");
}

static void break_off(bl_upstream *u)
{
    u->body_done = u->broken = true;
}

/* Leaves only the body's bytes, from `from` on; returns their number. */
BL_HOT static size_t digest(bl_upstream *u, char *from, size_t len)
{
    bl_str in = bl_str_of(from, len), piece;
    char *at = from;

    for (;;) {
        switch (u->module->codec->parse_body(u, &in, &piece)) {
        case BL_UP_DATA:
            if (piece.p != at)
                memmove(at, piece.p, piece.len);
            at += piece.len;
            break;
        case BL_UP_END:
            u->body_done = true;
            if (in.len)
                note_extra(u);
            return (size_t)(at - from);
        case BL_UP_MORE:
            return (size_t)(at - from);
        default:
            break_off(u);
            return (size_t)(at - from);
        }
    }
}

void bl_upstream_pass_begin(bl_upstream *u)
{
    bl_buf *in = u->in;
    size_t len = digest(u, in->pos, (size_t)(in->last - in->pos));

    if (u->conf->limit_rate && u->buffering) {
        bl_str text = bl_value_eval(u->r, u->conf->limit_rate);
        u->limit_rate = BL_MAX(bl_conf_size(text), 0);
        u->limit_start = bl_now_ms();
        u->limit_read = len;
    }
    bl_upstream_store_begin(u);
    if (len)
        add_pending(u, bl_buf_ref(u->r->pool, bl_str_of(in->pos, len)));
}

/* ------------------------------------------------------------- the temporary file */

static bool spill(bl_upstream *u)
{
    bl_buf *b;

    if (u->file == NULL) {
        u->file = bl_temp_file_new(u->r, u->conf->temp_path, false);
        if (u->file == NULL)
            return false;
        bl_log_write(BL_LOG_WARN, u->r->log, 0,
                     "an upstream response is buffered to a temporary file %s", u->file->path.p);
    }
    while ((b = bl_chain_shift(&u->pending)) != NULL) {
        if (!bl_temp_file_write(u->r, u->file, bl_str_of(b->pos, (size_t)(b->last - b->pos))))
            return false;
        bl_buf_done(b);
    }
    u->pending_count = 0;
    return true;
}

static bool wants_memory(const bl_request *r)
{
    return r->filter_in_memory || !bl_request_is_main(r) || !r->conn->transport->sendfile;
}

/* The next part of the file. NULL: unreadable. */
static bl_buf *file_piece(bl_upstream *u)
{
    off_t left = u->file->size - u->file_given;

    if (!wants_memory(u->r)) {
        bl_buf *b = bl_buf_file(u->r->pool, u->file->fd, u->file_given, u->file->size);
        u->file_given = u->file->size;
        return b;
    }
    bl_buf *b = take_buffer(u);
    ssize_t n =
        pread(u->file->fd, b->last, (size_t)BL_MIN(left, (off_t)(b->end - b->last)), u->file_given);
    if (n <= 0) {
        bl_log_write(BL_LOG_CRIT, u->r->log, errno, "pread() \"%s\" failed", u->file->path.p);
        return NULL;
    }
    b->last += n;
    u->file_given += n;
    return b;
}

/* ------------------------------------------------------------- giving out */

static void on_drained(bl_request *r, bl_status status)
{
    bl_upstream *u = r->upstream;

    u->busy = false;
    if (status == BL_OK) {
        bl_upstream_resume(u);
        return;
    }
    u->client_gone = true;
    bl_upstream_finish(u, BL_CLOSE);
}

static bool file_is_left(const bl_upstream *u)
{
    return u->file && u->file_given < u->file->size;
}

/* What a recipient needs before the body can't come behind it (RFC 9110 section 6.5.1). */
static bool may_trail(const bl_header *h)
{
    return !bl_upstream_is_of_connection(h) && h->id != BL_H_TRAILER && h->id != BL_H_SET_COOKIE &&
           h->id != BL_H_CONTENT_TYPE && h->id != BL_H_CONTENT_ENCODING &&
           h->id != BL_H_CONTENT_RANGE;
}

static void copy_trailers(bl_upstream *u)
{
    bl_request *r = u->r;

    BL_HEADERS_EACH(h, &u->head.trailers)
    {
        if (may_trail(h))
            bl_headers_add(&r->out.trailers, r->pool, h->name, h->value);
    }
}

/* What is to go out now, oldest first. *last: nothing comes behind it. False: the file failed. */
static bool collect(bl_upstream *u, bl_chain *chain, bool *last)
{
    bl_chain_init(chain);
    if (BL_UNLIKELY(file_is_left(u))) {
        bl_buf *b = file_piece(u);
        if (b == NULL)
            return false;
        bl_chain_push(chain, b);
        if (file_is_left(u)) {
            *last = false;
            return true;
        }
    } else if (u->file && u->file->size) {
        u->file->size = u->file_given = 0; /* all of it was sent: begin anew */
    }
    bl_chain_append(chain, &u->pending);
    u->pending_count = 0;
    *last = u->body_done;
    return true;
}

static void mark(bl_upstream *u, bl_chain *chain, bool last)
{
    bool eof = last && !u->broken;
    bool flush = !eof && (!u->buffering || u->broken);

    if (bl_chain_empty(chain)) {
        if (!eof && !flush)
            return;
        bl_chain_push(chain, bl_buf_mark(u->r->pool));
    }
    bl_buf *b = BL_CONTAINER(chain->tail, bl_buf, next);
    b->eof = eof;
    b->flush = flush;
    if (eof && u->head.trailers.first)
        copy_trailers(u);
}

/* BL_OK: *over when that was the end; BL_AGAIN: the output is full; BL_ERROR: the client is gone.
 */
static bl_status give(bl_upstream *u, bool *over)
{
    bl_request *r = u->r;
    bl_chain chain;
    bool last, begun = r->output.begun;

    for (;;) {
        if (bl_chain_empty(&u->pending) && !file_is_left(u) && !u->body_done && begun)
            return BL_OK;
        if (!collect(u, &chain, &last)) {
            break_off(u);
            *over = true;
            return BL_OK;
        }
        mark(u, &chain, last);
        bl_status status = begun && bl_chain_empty(&chain) ? BL_OK : bl_output_body(r, &chain);
        begun = true;
        *over = last;
        if (status == BL_ERROR)
            return BL_ERROR;
        if (last && !u->broken)
            return BL_OK;
        if (status == BL_AGAIN && !bl_output_is_drained(r)) {
            u->busy = true;
            bl_output_when_drained(r, on_drained);
            return BL_AGAIN;
        }
        if (last)
            return BL_OK;
    }
}

/* ------------------------------------------------------------- reading */

/* Is there room for more, while the output is full? */
static bool has_room(bl_upstream *u)
{
    if (!u->busy)
        return true;
    if (!u->buffering)
        return false;
    if (u->pending_count < u->conf->buffers.count)
        return true;
    if (u->conf->max_temp_file_size == 0 ||
        (u->file && u->file->size >= u->conf->max_temp_file_size))
        return false;
    if (spill(u))
        return true;
    break_off(u);
    return true;
}

static void on_limit(bl_timer *timer)
{
    bl_upstream_resume(BL_CONTAINER(timer, bl_upstream, limit_timer));
}

/* Bytes that proxy_limit_rate lets be read now; 0: its timer will go on. */
static size_t allowance(bl_upstream *u, size_t want)
{
    uint64_t rate = (uint64_t)u->limit_rate, allowed;

    if (u->limit_timer.armed)
        return 0;
    if (__builtin_mul_overflow(rate, bl_now_ms() - u->limit_start + 1000, &allowed))
        return want;
    allowed /= 1000;
    if (allowed > u->limit_read)
        return BL_MIN(want, allowed - u->limit_read);
    uint64_t least = BL_MIN(want, rate / 20 + 1);
    u->limit_timer.fire = on_limit;
    bl_timer_set(&u->limit_timer, (u->limit_read + least - allowed) * 1000 / rate + 1);
    return 0;
}

static void stream_ended(bl_upstream *u, ssize_t n)
{
    const bl_upstream_codec *codec = u->module->codec;

    u->eof = true;
    if (n == BL_IO_EOF && codec->may_end && codec->may_end(u)) {
        u->body_done = true;
        return;
    }
    if (n == BL_IO_EOF)
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream prematurely closed connection");
    break_off(u);
}

/* False: nothing now. */
static bool read_some(bl_upstream *u)
{
    bl_conn *c = u->link->conn;

    if (c->timed_out) {
        bl_log_write(BL_LOG_ERR, u->r->log, ETIMEDOUT, "upstream timed out");
        break_off(u);
        return true;
    }
    if (!c->io.readable)
        return false;
    bl_buf *b = u->reading ? u->reading : take_buffer(u);
    u->reading = b;
    size_t want = (size_t)(b->end - b->last);
    if (u->limit_rate && (want = allowance(u, want)) == 0)
        return false;
    ssize_t n = bl_conn_read(c, b->last, want);
    if (n == BL_IO_AGAIN)
        return false;
    if (n <= 0) {
        stream_ended(u, n);
        return true;
    }
    u->limit_read += (uint64_t)n;
    b->last += digest(u, b->last, (size_t)n);
    if (b->last > b->pos) {
        u->reading = NULL;
        add_pending(u, b);
    }
    return true;
}

/* ------------------------------------------------------------- the step */

BL_HOT int bl_upstream_pass(bl_upstream *u)
{
    bool over = false;

    bl_upstream_action(u, "reading upstream");
    for (;;) {
        if (!u->busy && give(u, &over) == BL_ERROR) {
            u->client_gone = true;
            return bl_upstream_finish(u, BL_CLOSE);
        }
        if (u->body_done) {
            if (BL_UNLIKELY(u->store != NULL) && !u->broken)
                bl_upstream_store_end(u);
            if (over && !u->busy)
                return bl_upstream_finish(u, u->broken ? BL_CLOSE : BL_DONE);
            if (u->link)
                bl_upstream_release(u);
            if (u->busy)
                return BL_UP_STEP_WAIT;
            continue;
        }
        if (!has_room(u)) {
            bl_upstream_no_deadline(u);
            return BL_UP_STEP_WAIT;
        }
        if (!u->body_done && !read_some(u)) {
            if (u->limit_timer.armed)
                bl_upstream_no_deadline(u);
            else
                bl_upstream_deadline(u, u->conf->read_timeout);
            return BL_UP_STEP_WAIT;
        }
    }
}
