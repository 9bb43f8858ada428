/* HTTP/1 towards an upstream: responses are parsed (RFC 9112), request bodies that stream are put
 * into chunks. No I/O: bytes come from u->in or the caller. */
#include "http/parse.h"
#include "http/upstream/upstream.h"

enum {
    TRAILERS_MAX = 8192
};

static void reset(bl_upstream *u)
{
    bl_upstream_head *h = &u->head;

    h->status = 0;
    h->status_line = BL_STR_NONE;
    bl_headers_init(&h->headers, h->known);
    bl_headers_init(&h->trailers, NULL);
    h->content_length = -1;
    h->chunked = h->keepalive = h->upgraded = false;
    u->have_status = false;
    u->chunked = (bl_chunked){0};
    u->trailer_text = BL_STR_NONE;
}

/* ------------------------------------------------------------- the head */

static bl_status invalid(bl_upstream *u, const char *what, bl_str line)
{
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream sent invalid %s: \"%.*s\"", what,
                 (int)BL_MIN(line.len, 200u), line.p);
    return BL_ERROR;
}

static bool is_digit(char c)
{
    return ((unsigned)c - '0') < 10u;
}

/* "HTTP/1.1 200 OK". False: it is none. */
static bool parse_status_line(bl_str line, bl_upstream_head *h)
{
    if (line.len < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || !is_digit(line.p[7]))
        return false;
    size_t at = 8;
    while (at < line.len && is_digit(line.p[at]))
        at++;
    if (line.len - at < 4 || line.p[at] != ' ')
        return false;
    while (at < line.len && line.p[at] == ' ')
        at++;
    const char *code = line.p + at;
    if (line.len - at < 3 || !is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]))
        return false;
    if (line.len - at > 3 && code[3] != ' ')
        return false;
    h->version = line.p[7] == '0' && at == 9 ? 1000 : 1001;
    h->status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    h->status_line = bl_str_of(code, line.len - at);
    return h->status >= 100;
}

/* Could the bytes so far still become a status line? */
static bool may_be_status_line(bl_str text)
{
    return memcmp(text.p, "HTTP/1.", BL_MIN(text.len, 7u)) == 0;
}

/* What does not begin with a status line is HTTP/0.9: all of it is body. */
static bl_status no_head(bl_upstream *u)
{
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream sent no valid HTTP/1.0 header");
    u->head.version = 9;
    u->head.status = 200;
    u->head.status_line = BL_STR_NONE;
    u->trying->status = 200;
    return BL_OK;
}

static bl_status duplicate(bl_upstream *u, const bl_header *h, const bl_header *before)
{
    bl_log_write(
        BL_LOG_ERR, u->r->log, 0,
        "upstream sent duplicate header line: \"%.*s: %.*s\", previous value: \"%.*s: %.*s\"",
        BL_STR_ARG(h->name), BL_STR_ARG(h->value), BL_STR_ARG(before->name),
        BL_STR_ARG(before->value));
    return BL_ERROR;
}

/* Fields that two readers could understand in two ways are refused (RFC 9112 section 6.3). */
static bl_status use_framing(bl_upstream *u, const bl_header *h, bool again)
{
    bl_upstream_head *head = &u->head;

    if (again)
        return duplicate(u, h, bl_headers_known(&head->headers, h->id));
    if (h->id == BL_H_CONTENT_LENGTH) {
        head->content_length = bl_str_to_int(h->value);
        if (head->content_length < 0)
            return invalid(u, "\"Content-Length\" header", h->value);
    } else {
        if (!bl_str_ieq(h->value, BL_STR("chunked"))) {
            bl_log_write(BL_LOG_ERR, u->r->log, 0,
                         "upstream sent unknown \"Transfer-Encoding\": \"%.*s\"",
                         BL_STR_ARG(h->value));
            return BL_ERROR;
        }
        head->chunked = true;
    }
    if (head->chunked && head->content_length >= 0) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0,
                     "upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the "
                     "same time");
        return BL_ERROR;
    }
    return BL_OK;
}

BL_HOT static bl_status use_field(bl_upstream *u, bl_str line)
{
    bl_headers *headers = &u->head.headers;
    bl_parsed_field f;

    if (!bl_parse_field(line, &f))
        return invalid(u, "header", line);
    bl_header_id id = bl_header_identify(f.name, f.hash);
    bool again = id != BL_H_OTHER && bl_headers_known(headers, id) != NULL;
    const bl_header *h = bl_headers_add_known(headers, u->r->pool, f.name, f.value, f.hash, id);
    if (id == BL_H_CONTENT_LENGTH || id == BL_H_TRANSFER_ENCODING)
        return use_framing(u, h, again);
    return BL_OK;
}

static bool connection_says(const bl_headers *headers, bl_str token)
{
    for (const bl_header *h = bl_headers_known(headers, BL_H_CONNECTION); h; h = h->next) {
        if (h->id == BL_H_CONNECTION && bl_parse_has_token(h->value, token))
            return true;
    }
    return false;
}

static void understand(bl_upstream *u)
{
    bl_upstream_head *h = &u->head;

    if (!(h->headers.have >> BL_H_CONNECTION & 1))
        h->keepalive = h->version >= 1001;
    else
        h->keepalive = h->version >= 1001 ? !connection_says(&h->headers, BL_STR("close"))
                                          : connection_says(&h->headers, BL_STR("keep-alive"));
}

/* A line, without its end. BL_AGAIN: there are more to come. */
static bl_status use_line(bl_upstream *u, bl_str line)
{
    if (line.len == 0) {
        understand(u);
        return BL_OK;
    }
    return use_field(u, line) == BL_OK ? BL_AGAIN : BL_ERROR;
}

/* Interim responses (RFC 9110 section 15.2) are passed over; the final one follows. */
static bool is_interim(const bl_upstream *u)
{
    return u->head.status < 200 && u->head.status != 101;
}

static bl_status use_status(bl_upstream *u, bl_str line)
{
    if (!parse_status_line(line, &u->head))
        return BL_ERROR;
    u->have_status = true;
    u->trying->status = u->head.status;
    return BL_OK;
}

BL_HOT static bl_status parse_head(bl_upstream *u)
{
    bl_buf *in = u->in;

    for (;;) {
        bool bad;
        char *from = u->scanned > in->pos ? u->scanned - 1 : in->pos;
        char *lf = (char *)bl_parse_line_end(from, in->last, &bad);
        bl_str text = bl_str_of(in->pos, (size_t)(in->last - in->pos));
        if (!u->have_status && !may_be_status_line(text))
            return no_head(u);
        if (bad)
            return invalid(u, "header", text);
        if (lf == NULL) {
            u->scanned = in->last;
            return BL_AGAIN;
        }
        bl_str line = bl_str_of(in->pos, (size_t)(lf - in->pos));
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        if (!u->have_status) {
            if (use_status(u, line) != BL_OK)
                return no_head(u);
            in->pos = u->scanned = lf + 1;
            continue;
        }
        in->pos = u->scanned = lf + 1;
        bl_status status = use_line(u, line);
        if (status == BL_AGAIN)
            continue;
        if (status == BL_OK && is_interim(u)) {
            if (bl_upstream_interim(u) == BL_ERROR)
                return BL_ERROR;
            reset(u);
            continue;
        }
        return status;
    }
}

/* ------------------------------------------------------------- the body */

static bl_upstream_piece take_length(bl_upstream *u, bl_str *in, bl_str *piece)
{
    size_t n = (size_t)BL_MIN((int64_t)in->len, u->body_left);

    if (u->body_left == 0)
        return BL_UP_END;
    if (n == 0)
        return BL_UP_MORE;
    *piece = bl_str_of(in->p, n);
    *in = bl_str_of(in->p + n, in->len - n);
    u->body_left -= (int64_t)n;
    return BL_UP_DATA;
}

/* Keeps what is not data, from the last size line on: trailers are in it. */
static void keep_trailer_text(bl_upstream *u, const char *from, const char *to, bool restart)
{
    size_t len = (size_t)(to - from), have = restart ? 0 : u->trailer_text.len;

    if (u->trailer_text.p == NULL)
        u->trailer_text.p = bl_pool_bytes(u->r->pool, TRAILERS_MAX);
    len = BL_MIN(len, TRAILERS_MAX - have);
    memcpy(u->trailer_text.p + have, from, len);
    u->trailer_text.len = have + len;
}

static bl_str next_line(bl_str *text)
{
    ssize_t lf = bl_str_chr(*text, '\n');
    bl_str line = lf < 0 ? *text : bl_str_of(text->p, (size_t)lf);

    *text = lf < 0 ? BL_STR_NONE : bl_str_of(text->p + lf + 1, text->len - (size_t)lf - 1);
    if (line.len && line.p[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* "[CRLF of the last chunk] 0 CRLF Name: value CRLF … CRLF" */
static void use_trailers(bl_upstream *u)
{
    bl_str text = u->trailer_text, line = next_line(&text);
    bl_parsed_field f;

    if (line.len == 0)
        next_line(&text);
    while ((line = next_line(&text)).len) {
        if (bl_parse_field(line, &f))
            bl_headers_add(&u->head.trailers, u->r->pool, f.name, f.value);
    }
}

static bl_upstream_piece take_chunk(bl_upstream *u, bl_str *in, bl_str *piece)
{
    const char *from = in->p;
    bl_chunked_result result = bl_chunked_parse(&u->chunked, in, piece);

    if (u->conf->pass_trailers) {
        const char *to = result == BL_CHUNKED_DATA ? piece->p : in->p;
        keep_trailer_text(u, from, to, false);
        if (result == BL_CHUNKED_DATA)
            u->trailer_text.len = 0;
    }
    switch (result) {
    case BL_CHUNKED_DATA:
        return BL_UP_DATA;
    case BL_CHUNKED_MORE:
        return BL_UP_MORE;
    case BL_CHUNKED_END:
        if (u->conf->pass_trailers)
            use_trailers(u);
        return BL_UP_END;
    default:
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream sent invalid chunked response");
        return BL_UP_BAD;
    }
}

static bl_upstream_piece parse_body(bl_upstream *u, bl_str *in, bl_str *piece)
{
    if (u->no_body)
        return BL_UP_END;
    if (u->head.chunked)
        return take_chunk(u, in, piece);
    if (u->head.content_length >= 0)
        return take_length(u, in, piece);
    if (in->len == 0)
        return BL_UP_MORE;
    *piece = *in;
    *in = bl_str_of(in->p + in->len, 0);
    return BL_UP_DATA;
}

static bool may_end(const bl_upstream *u)
{
    return !u->head.chunked && u->head.content_length < 0;
}

/* ------------------------------------------------------------- streamed request bodies */

static void frame_body(bl_upstream *u, bl_chain *data, bool end, bl_chain *to)
{
    bl_pool *pool = u->r->pool;
    off_t len = bl_chain_len(data);

    if (len) {
        bl_str size = bl_pool_printf(pool, "%llx\r\n", (unsigned long long)len);
        bl_chain_push(to, bl_buf_ref(pool, size));
        bl_chain_append(to, data);
        bl_chain_push(to, bl_buf_ref(pool, BL_STR("\r\n")));
    }
    if (end)
        bl_chain_push(to, bl_buf_ref(pool, BL_STR("0\r\n\r\n")));
}

const bl_upstream_codec bl_upstream_h1 = {
    .name = "http/1",
    .reset = reset,
    .parse_head = parse_head,
    .parse_body = parse_body,
    .may_end = may_end,
    .frame_body = frame_body,
};
