/* gunzip: decompresses responses for clients that do not take gzip. */
#include "http/modules/gunzip.h"
#include "http/modules/gzip.h"
#include "http/output.h"
#include "http/request.h"

#include <zlib.h>

typedef struct settings {
    int on;
    bl_bufs_setting buffers; /* accepted: buffers come from the process's cache */
} settings;

enum {
    OUT_SIZE = 16384,
};

typedef struct state {
    z_stream z;
    bool ended;  /* the last member is whole */
    bl_buf *out; /* being filled */
} state;

/* ------------------------------------------------------------- heads */

static void end_state(void *data)
{
    state *st = data;

    inflateEnd(&st->z);
    if (st->out)
        bl_buf_done(st->out);
}

static state *begin(bl_request *r)
{
    state *st = BL_NEW(r->pool, state);

    if (inflateInit2(&st->z, MAX_WBITS + 16) != Z_OK) {
        bl_log_write(BL_LOG_ALERT, r->log, 0, "inflateInit2() failed");
        return NULL;
    }
    bl_pool_cleanup(r->pool, end_state, st);
    bl_request_set_ctx(r, &bl_gunzip_module, st);
    return st;
}

static bl_step head(bl_request *r)
{
    bl_header *encoding = bl_headers_find(&r->out.headers, BL_STR("Content-Encoding"), NULL);

    if (encoding == NULL || !bl_str_ieq(encoding->value, BL_STR("gzip")))
        return BL_NEXT;
    bl_gzip_add_vary(r);
    if (bl_gzip_is_ok(r))
        return BL_NEXT;
    if (begin(r) == NULL)
        return BL_CLOSE;
    bl_headers_remove(&r->out.headers, BL_STR("Content-Encoding"));
    r->out.content_length = -1;
    bl_output_no_ranges(r);
    r->filter_in_memory = true;
    if (r->out.etag.len && !bl_str_starts(r->out.etag, BL_STR("W/"))) {
        bl_str parts[] = {BL_STR("W/"), r->out.etag};
        r->out.etag = bl_pool_concat(r->pool, parts, 2);
    }
    return BL_NEXT;
}

/* ------------------------------------------------------------- bodies */

static void pass_out(state *st, bl_chain *out)
{
    if (st->out && st->out->last > st->out->pos) {
        bl_chain_push(out, st->out);
        st->out = NULL;
    }
}

/* One call of inflate. False: the data are bad. */
static bool inflate_some(state *st, bl_chain *out)
{
    if (st->out == NULL)
        st->out = bl_buf_cached(OUT_SIZE);
    st->z.next_out = (Bytef *)st->out->last;
    st->z.avail_out = (uInt)(st->out->end - st->out->last);
    int rc = inflate(&st->z, Z_NO_FLUSH);
    st->out->last = (char *)st->z.next_out;
    if (st->z.avail_out == 0)
        pass_out(st, out);
    st->ended = rc == Z_STREAM_END;
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR;
}

/* Members follow one another; each begins anew. */
static bool inflate_all(state *st, bl_str in, bl_chain *out)
{
    bool full;

    st->z.next_in = (Bytef *)in.p;
    st->z.avail_in = (uInt)in.len;
    do {
        if (st->ended && st->z.avail_in && inflateReset(&st->z) != Z_OK)
            return false;
        if (!inflate_some(st, out))
            return false;
        full = st->out == NULL; /* there may be more where this came from */
    } while (st->z.avail_in || (full && !st->ended));
    return true;
}

static bl_step fail(bl_request *r)
{
    bl_log_write(BL_LOG_ERR, r->log, 0, "inflate() failed");
    return BL_CLOSE;
}

static bl_step body(bl_request *r, bl_chain *in, bl_chain *out)
{
    state *st = bl_request_ctx(r, &bl_gunzip_module);
    bl_buf *b;

    if (st == NULL) {
        bl_chain_append(out, in);
        return BL_NEXT;
    }
    while ((b = bl_chain_shift(in)) != NULL) {
        bl_str bytes = bl_str_of(b->pos, (size_t)(b->last - b->pos));
        bool flush = b->flush, eof = b->eof;
        bool ok = !bl_buf_in_file(b) && (bytes.len == 0 || inflate_all(st, bytes, out));
        bl_buf_done(b);
        if (!ok || (eof && st->z.total_in && !st->ended)) /* broken off */
            return fail(r);
        if (!flush && !eof)
            continue;
        pass_out(st, out);
        bl_buf *mark = bl_buf_mark(r->pool);
        mark->flush = flush;
        mark->eof = eof;
        bl_chain_push(out, mark);
    }
    return BL_NEXT;
}

const bl_filter bl_gunzip_filter = {.name = "gunzip", .head = head, .body = body};

/* ------------------------------------------------------------- configuration */

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

static const bl_directive directives[] = {
    {"gunzip", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, FIELD(on), "off"},
    {"gunzip_buffers", BL_IN_HSL, BL_TAKE2, &bl_type_bufs, FIELD(buffers), "32 4k"},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_gunzip_module);

    if (s->on)
        bl_location_filter(cf, loc, &bl_gunzip_filter);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_gunzip_module = {
    .name = "gunzip",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
