/* Ranges of bytes.
 *
 * One range is cut out of the body as it passes. Several need the body in any order: files are
 * asked for as one piece (filter_whole), what comes in pieces is gathered; then each range is a
 * part
 *
 *     CRLF --boundary CRLF Content-Type … Content-Range … CRLF CRLF  bytes
 *
 * and the pieces they point into are kept until the request's memory goes. */
#include "http/modules/range.h"
#include "core/time.h"
#include "http/core_module.h"
#include "http/request.h"

typedef struct ranging {
    bl_array ranges; /* bl_range */
    off_t offset;    /* in the whole content of what comes next */
    bool ended;
    bl_chain held; /* several ranges: the body so far */
    bl_str tail;   /* … and what closes the multipart body */
} ranging;

/* ------------------------------------------------------------- reading the field */

static bl_str skip_spaces(bl_str s)
{
    while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = bl_str_of(s.p + 1, s.len - 1);
    return s;
}

/* Digits at the front; -1: none, or too many. */
static int64_t take_number(bl_str *s)
{
    size_t len = 0;

    while (len < s->len && s->p[len] >= '0' && s->p[len] <= '9')
        len++;
    int64_t n = len ? bl_str_to_int(bl_str_of(s->p, len)) : -1;
    *s = skip_spaces(bl_str_of(s->p + len, s->len - len));
    return n;
}

/* "5-9", "5-" or "-5" at the front. *to is behind the last byte. */
static bool take_range(bl_str *s, off_t length, off_t *from, off_t *to)
{
    bool suffix = s->len && s->p[0] == '-';

    *from = 0;
    if (!suffix && (*from = take_number(s)) < 0)
        return false;
    if (s->len == 0 || s->p[0] != '-')
        return false;
    *s = skip_spaces(bl_str_of(s->p + 1, s->len - 1));
    if (!suffix && (s->len == 0 || s->p[0] == ',')) {
        *to = length;
        return true;
    }
    int64_t last = take_number(s);
    if (last < 0)
        return false;
    if (suffix) {
        *from = last < length ? length - last : 0;
        *to = length;
    } else {
        *to = last >= length ? length : last + 1;
    }
    return true;
}

bl_range_result bl_range_parse(bl_str value, off_t length, int64_t max, bl_array *ranges)
{
    bl_str s = bl_str_of(value.p + 6, value.len - 6); /* behind "bytes=" */
    off_t total = 0, from, to;

    for (;;) {
        s = skip_spaces(s);
        if (!take_range(&s, length, &from, &to) || (s.len && s.p[0] != ','))
            return BL_RANGE_BAD;
        if (from < to) {
            if (max-- == 0)
                return BL_RANGE_IGNORE;
            bl_range *range = bl_array_push(ranges);
            *range = (bl_range){.from = from, .to = to};
            total += to - from; /* each at most `length`, and no more than max of them */
            if (total > length)
                return BL_RANGE_IGNORE;
        } else if (from == 0) {
            return BL_RANGE_IGNORE;
        }
        if (s.len == 0)
            break;
        s = bl_str_of(s.p + 1, s.len - 1);
    }
    return ranges->count ? BL_RANGE_OK : BL_RANGE_BAD;
}

/* If-Range: only when the representation is the one that the client has parts of. */
static bool is_same_representation(const bl_request *r)
{
    const bl_header *field = bl_headers_known(&r->in, BL_H_IF_RANGE);

    if (field == NULL)
        return true;
    bl_str value = field->value;
    if (value.len >= 2 && value.p[value.len - 1] == '"')
        return bl_str_eq(value, r->out.etag);
    return r->out.last_modified >= 0 && bl_time_parse_http(value) == r->out.last_modified;
}

/* ------------------------------------------------------------- heads */

static void add_content_range(bl_request *r, bl_str value)
{
    bl_headers_set(&r->out.headers, r->pool, BL_STR("Content-Range"), value);
}

static bl_step not_satisfiable(bl_request *r)
{
    add_content_range(r, bl_pool_printf(r->pool, "bytes */%lld", (long long)r->out.content_length));
    return 416;
}

static void describe_one(bl_request *r, const bl_range *range)
{
    add_content_range(r,
                      bl_pool_printf(r->pool, "bytes %lld-%lld/%lld", (long long)range->from,
                                     (long long)range->to - 1, (long long)r->out.content_length));
    r->out.content_length = range->to - range->from;
}

static bl_str type_line(bl_request *r)
{
    if (r->out.content_type.len == 0)
        return BL_STR("");
    if (r->out.charset.len && !r->out.charset_done)
        return bl_pool_printf(r->pool, "Content-Type: %.*s; charset=%.*s\r\n",
                              BL_STR_ARG(r->out.content_type), BL_STR_ARG(r->out.charset));
    return bl_pool_printf(r->pool, "Content-Type: %.*s\r\n", BL_STR_ARG(r->out.content_type));
}

static void describe_several(bl_request *r, ranging *x)
{
    static uint64_t count;
    unsigned long long boundary =
        ((uint64_t)bl_clock_now.sec << 20 ^ ++count * 2654435761u) % 100000000000000000ull;
    long long whole = r->out.content_length;
    bl_str type = type_line(r);

    x->tail = bl_pool_printf(r->pool, "\r\n--%020llu--\r\n", boundary);
    int64_t length = (int64_t)x->tail.len;
    BL_ARRAY_EACH (bl_range, range, &x->ranges) {
        range->head = bl_pool_printf(
            r->pool, "\r\n--%020llu\r\n%.*sContent-Range: bytes %lld-%lld/%lld\r\n\r\n", boundary,
            BL_STR_ARG(type), (long long)range->from, (long long)range->to - 1, whole);
        length += (int64_t)range->head.len + (range->to - range->from);
    }
    r->out.content_type =
        bl_pool_printf(r->pool, "multipart/byteranges; boundary=%020llu", boundary);
    r->out.charset = BL_STR_NONE;
    r->out.content_length = length;
    r->filter_whole = true;
}

/* ------------------------------------------------------------- bodies: one range */

/* Cuts `b`, which begins at `offset`, down to from..to. False: nothing of it is left. */
static bool cut(bl_buf *b, off_t offset, off_t from, off_t to)
{
    off_t len = bl_buf_len(b), front = BL_MAX(from - offset, 0),
          back = BL_MAX(offset + len - to, 0);

    if (front + back >= len)
        return false;
    if (bl_buf_in_file(b)) {
        b->file_pos += front;
        b->file_last -= back;
    } else {
        b->pos += front;
        b->last -= back;
    }
    return true;
}

static void pass_one(bl_request *r, bl_chain *in, bl_chain *out)
{
    ranging *x = bl_request_ctx(r, &bl_range_module);
    const bl_range *range = x->ranges.items;
    bl_buf *b;

    while ((b = bl_chain_shift(in)) != NULL) {
        off_t offset = x->offset, len = bl_buf_len(b);
        bool eof = b->eof || offset + len >= range->to;
        x->offset += len;
        if (x->ended || (len && !cut(b, offset, range->from, range->to))) {
            bl_buf_done(b);
            if (x->ended || !eof)
                continue;
            b = bl_buf_mark(r->pool);
        }
        b->eof = x->ended = eof;
        bl_chain_push(out, b);
    }
}

static void seek_one(bl_request *r, off_t *from, off_t *to)
{
    ranging *x = bl_request_ctx(r, &bl_range_module);
    const bl_range *range = x->ranges.items;

    *to = *from + (range->to - x->offset);
    *from += range->from - x->offset;
    x->offset = range->from;
}

/* ------------------------------------------------------------- bodies: several */

static void done_held(void *data)
{
    bl_chain_done(&((ranging *)data)->held);
}

static void push_slices(bl_request *r, const ranging *x, const bl_range *range, bl_chain *out)
{
    off_t offset = x->offset;

    bl_chain_push(out, bl_buf_ref(r->pool, range->head));
    for (const bl_buf *b = x->held.first; b && offset < range->to; b = b->next) {
        bl_buf *slice = bl_pool_alloc(r->pool, sizeof *slice);
        *slice = *b;
        slice->release = NULL;
        slice->eof = slice->flush = 0;
        if (bl_buf_len(b) && cut(slice, offset, range->from, range->to))
            bl_chain_push(out, slice);
        offset += bl_buf_len(b);
    }
}

static void pass_several(bl_request *r, bl_chain *in, bl_chain *out)
{
    ranging *x = bl_request_ctx(r, &bl_range_module);
    bool eof = false;

    for (const bl_buf *b = in->first; b; b = b->next)
        eof |= b->eof;
    if (bl_chain_empty(&x->held) && !bl_chain_empty(in))
        bl_pool_cleanup(r->pool, done_held, x);
    bl_chain_append(&x->held, in);
    if (!eof)
        return;
    BL_ARRAY_EACH (bl_range, range, &x->ranges) {
        push_slices(r, x, range, out);
    }
    bl_buf *tail = bl_buf_ref(r->pool, x->tail);
    tail->eof = 1;
    bl_chain_push(out, tail);
}

/* ------------------------------------------------------------- the filter */

static bl_step head(bl_request *r)
{
    const bl_header *field = bl_headers_known(&r->in, BL_H_RANGE);
    bl_response *out = &r->out;

    if (!out->accept_ranges || out->no_range)
        return BL_NEXT;
    if (r->http_version < 1000 || out->status != 200 || out->content_length < 0 ||
        r->loc->core->max_ranges == 0) {
        out->accept_ranges = false;
        return BL_NEXT;
    }
    if (field == NULL || !bl_str_istarts(field->value, BL_STR("bytes=")) ||
        !is_same_representation(r))
        return BL_NEXT;

    ranging *x = BL_NEW(r->pool, ranging);
    bl_array_init(&x->ranges, r->pool, sizeof(bl_range));
    int64_t max = out->one_range ? 1 : r->loc->core->max_ranges;
    switch (bl_range_parse(field->value, out->content_length, max, &x->ranges)) {
    case BL_RANGE_BAD:
        return not_satisfiable(r);
    case BL_RANGE_IGNORE:
        return BL_NEXT;
    default:
        break;
    }
    out->status = 206;
    out->status_line = BL_STR_NONE;
    out->accept_ranges = false;
    x->offset = out->range_offset;
    bl_chain_init(&x->held);
    if (x->ranges.count == 1)
        describe_one(r, x->ranges.items);
    else
        describe_several(r, x);
    bl_request_set_ctx(r, &bl_range_module, x);
    r->output.slice = x->ranges.count == 1 ? pass_one : pass_several;
    r->output.seek = x->ranges.count == 1 ? seek_one : NULL;
    return BL_NEXT;
}

const bl_filter bl_range_filter = {.name = "range", .head = head};

static bool compile(bl_conf *cf, bl_location *loc)
{
    bl_location_filter(cf, loc, &bl_range_filter);
    return true;
}

static const bl_http_module http = {.compile = compile};

static const bl_directive directives[] = {{0}};

bl_module bl_range_module = {
    .name = "range",
    .directives = directives,
    .http = &http,
};
