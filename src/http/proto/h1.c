#include "http/proto/h1.h"
#include "http/core_module.h"
#include "http/error_page.h"
#include "http/http_log.h"
#include "http/section.h"
#include "event/proxy_protocol.h"
#include "event/tls.h"
#include "process/stats.h"

#include <errno.h>

static void on_readable(bl_io *io);
static void on_head_timeout(bl_timer *timer);
static void read_head(bl_h1 *h);

static void nothing(bl_io *io BL_UNUSED)
{
}

/* ------------------------------------------------------------- closing */

static void close_conn(bl_conn *c, bl_generation *g)
{
    bl_stats_mine->closed++;
    bl_stats_mine->bytes_in += c->received;
    bl_stats_mine->bytes_out += c->sent;
    bl_conn_close(c);
    bl_generation_drop(g);
}

static bl_generation *generation_of(const bl_http_addr *addr)
{
    return addr->http->generation;
}

/* Before its request began to run: nobody else knows of the exchange. */
static void close_unborn(bl_h1 *h)
{
    bl_conn *c = h->conn;
    bl_generation *g = generation_of(h->addr);

    bl_stats_mine->reading--;
    c->log.describe = NULL; /* it speaks of the request */
    bl_pool_free(h->pool);
    close_conn(c, g);
}

static void close_idle(bl_conn *c)
{
    bl_http_addr *addr = c->data;

    bl_stats_mine->waiting--;
    close_conn(c, generation_of(addr));
}

/* ------------------------------------------------------------- lingering close (RFC 9112
 * section 9.6) */

static void linger_timeout(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);
    bl_http_addr *addr = c->data;

    close_conn(c, generation_of(addr));
}

static void linger_read(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    bl_http_addr *addr = c->data;
    char waste[4096];

    while (io->readable) {
        ssize_t n = bl_conn_read(c, waste, sizeof waste);
        if (n == BL_IO_AGAIN)
            break;
        if (n <= 0) {
            close_conn(c, generation_of(addr));
            return;
        }
    }
    if (bl_now_ms() >= c->linger_until) {
        close_conn(c, generation_of(addr));
        return;
    }
    int64_t timeout = addr->default_server->loc->core->lingering_timeout;
    bl_timer_set(&c->timer, BL_MIN((uint64_t)timeout, c->linger_until - bl_now_ms()));
}

/* Our side is shut, but closing now could reset the connection and take the response with it. */
static void linger(bl_conn *c, bl_http_addr *addr, const bl_http_core_location *core)
{
    c->data = addr;
    c->linger_until = bl_now_ms() + (uint64_t)core->lingering_time;
    c->timer.fire = linger_timeout;
    c->io.on_write = nothing;
    c->io.on_read = linger_read;
    if (c->transport->shutdown)
        c->transport->shutdown(c);
    bl_conn_shutdown_write(c);
    linger_read(&c->io);
}

/* ------------------------------------------------------------- an exchange begins */

static void head_log_line(bl_h1 *h)
{
    h->conn->log.action = "reading client request line";
}

static bl_h1 *exchange_new(bl_conn *c, bl_http_addr *addr, size_t buffer)
{
    bl_pool *pool = bl_pool_new();
    bl_h1 *h = bl_pool_zalloc(pool, sizeof *h);

    h->magic = BL_H1_MAGIC;
    h->conn = c;
    h->addr = addr;
    h->pool = pool;
    h->received_before = c->received;
    h->r = bl_request_new(c, addr->http, pool);
    h->r->codec = &bl_codec_h1;
    h->r->exchange = h;
    h->r->server = addr->default_server;
    h->r->loc = addr->default_server->loc;
    h->buf = h->pos = h->last = h->scanned = bl_pool_bytes(pool, buffer);
    h->end = h->buf + buffer;
    bl_chain_init(&h->out);
    c->data = h;
    c->log.describe = bl_http_log_describe;
    c->log.data = h->r;
    head_log_line(h);
    bl_stats_mine->reading++;
    return h;
}

static void start_timer(bl_conn *c, int64_t ms, void (*fire)(bl_timer *))
{
    c->timer.fire = fire;
    bl_timer_set(&c->timer, (uint64_t)ms);
}

static void on_head_timeout(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);
    bl_h1 *h = bl_h1_of(c);

    c->timed_out = true;
    bl_log_write(BL_LOG_INFO, &c->log, ETIMEDOUT, "client timed out");
    if (h->r->request_line.p || h->last > h->buf) {
        h->r->out.status = 408;
        bl_http_log_request(h->r);
    }
    close_unborn(h);
}

static void on_idle_timeout(bl_timer *timer)
{
    close_idle(BL_CONTAINER(timer, bl_conn, timer));
}

static void wait_for_request(bl_conn *c, bl_http_addr *addr, int64_t timeout)
{
    c->data = addr;
    c->io.on_read = on_readable;
    c->io.on_write = nothing;
    c->on_idle_close = close_idle;
    c->log.action = c->requests ? "keepalive" : "waiting for request";
    c->log.describe = bl_http_log_describe_conn;
    c->log.data = c;
    c->log.targets = addr->default_server->loc->core->error_log;
    bl_stats_mine->waiting++;
    bl_conn_set_idle(c, true);
    start_timer(c, timeout, on_idle_timeout);
}

/* The first bytes of a request on an idle connection. */
static void on_readable(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    bl_http_addr *addr = c->data;
    bl_http_core_server *core = addr->default_server->core;
    bl_h1 *h = exchange_new(c, addr, (size_t)core->client_header_buffer_size);

    bl_stats_mine->waiting--;
    bl_conn_set_idle(c, false);
    read_head(h);
}

static void on_head_readable(bl_io *io)
{
    read_head(bl_h1_of(bl_conn_of(io)));
}

/* ------------------------------------------------------------- the head */

/* Room for more of the head. 0, or the status to refuse it with. */
/* What of the head stands in a buffer that is left. */
static void keep_part(bl_h1 *h)
{
    bl_raw_part *part = BL_NEW(h->pool, bl_raw_part);

    part->text = bl_str_of(h->head_start, (size_t)(h->pos - h->head_start));
    part->before = h->r->raw_head_before;
    h->r->raw_head_before = part;
}

static int make_room(bl_h1 *h)
{
    bl_http_core_server *core = h->r->server->core;
    int64_t size = core->large_client_header_buffers.size;
    size_t partial = (size_t)(h->last - h->pos);
    int too_large = h->have_line ? 494 : 414;

    if ((h->large && h->pos == h->buf) || (int64_t)partial >= size) {
        bl_log_write(BL_LOG_INFO, &h->conn->log, 0,
                     h->have_line ? "client sent too long header line"
                                  : "client sent too long URI");
        return too_large;
    }
    if (h->large_used >= core->large_client_header_buffers.count) {
        bl_log_write(BL_LOG_INFO, &h->conn->log, 0, "client sent too large request header");
        return too_large;
    }
    char *buf = bl_pool_bytes(h->pool, (size_t)size);
    memcpy(buf, h->pos, partial);
    h->fields_start = NULL;
    if (h->have_line)
        keep_part(h);
    h->head_start = buf;
    h->scanned = buf + (h->scanned - h->pos);
    h->buf = h->pos = buf;
    h->last = buf + partial;
    h->end = buf + size;
    h->large = true;
    h->large_used++;
    return 0;
}

static void refuse(bl_h1 *h, int status)
{
    bl_conn *c = h->conn;

    bl_stats_mine->reading--;
    bl_stats_mine->writing++;
    bl_stats_mine->requests++;
    c->requests++;
    bl_timer_stop(&c->timer);
    c->io.on_read = nothing;
    c->io.on_write = bl_h1_on_writable;
    h->head_whole = true;
    h->body_whole = true;
    h->r->lingering = true;
    h->r->head_only = h->r->method == BL_M_HEAD;
    if (h->r->http_version == 0)
        h->r->http_version = 1000;
    bl_request_refuse(h->r, status);
}

static void enter_server(bl_h1 *h, bl_server *server)
{
    h->r->server = server;
    h->r->loc = server->loc;
    h->conn->log.targets = server->loc->core->error_log;
}

/* bl_parse_host for a request. Most values are, byte for byte, the one before: what was found then,
 * if it lay in the value itself, is remembered. */
static bool parse_host(bl_h1 *h, bl_str value, bl_str *host, int *port)
{
    static struct {
        char value[64];
        size_t len, host_len;
        int port;
    } last;

    if (BL_LIKELY(value.len == last.len && memcmp(value.p, last.value, last.len) == 0)) {
        *host = bl_str_of(value.p, last.host_len);
        *port = last.port;
        return value.len != 0;
    }
    if (!bl_parse_host(value, bl_pool_bytes(h->pool, value.len + 1), host, port))
        return false;
    if (host->p == value.p && value.len <= sizeof last.value) {
        memcpy(last.value, value.p, value.len);
        last.len = value.len;
        last.host_len = host->len;
        last.port = *port;
    }
    return true;
}

static bool select_server(bl_h1 *h, bl_str host)
{
    bl_request *r = h->r;

    if (!parse_host(h, host, &r->host, &r->host_port)) {
        bl_log_write(BL_LOG_INFO, &h->conn->log, 0, "client sent invalid host header");
        return false;
    }
    if (!h->addr->single)
        enter_server(h, bl_server_find(h->addr, r->host, r));
    return true;
}

/* The authority-form of CONNECT (RFC 9112 section 3.2.3). */
static bool is_host_with_port(bl_h1 *h, const bl_parsed_line *parsed)
{
    bl_str host;
    int port;

    return parsed->authority &&
           bl_parse_host(parsed->host, bl_pool_bytes(h->pool, parsed->host.len + 1), &host,
                         &port) &&
           port > 0;
}

static int use_request_line(bl_h1 *h, bl_str line)
{
    bl_request *r = h->r;
    bl_parsed_line parsed;
    bl_parse_result result = bl_parse_request_line(line, &parsed);

    r->request_line = line;
    if (result != BL_PARSE_OK) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client sent invalid %s",
                     result == BL_PARSE_BAD_METHOD    ? "method"
                     : result == BL_PARSE_BAD_VERSION ? "version"
                                                      : "request");
        return result == BL_PARSE_BAD_VERSION ? 505 : 400;
    }
    r->method_name = parsed.method;
    r->method = bl_method_of(parsed.method);
    r->protocol = parsed.protocol;
    r->http_version = parsed.version;
    r->raw_uri = parsed.target;
    r->args = parsed.args;
    r->scheme_in_line = parsed.scheme;
    r->host_in_line = parsed.host;
    r->complex_uri = parsed.complex;
    r->plus_in_uri = parsed.plus;
    r->valid_raw_uri = true;
    if (r->method == BL_M_CONNECT)
        return is_host_with_port(h, &parsed) ? 405 : 400;
    if (r->method == BL_M_TRACE)
        return 405;
    if (parsed.path.len == 0) {
        r->empty_path = true;
        parsed.path = BL_STR("/");
    }
    if (parsed.complex) {
        r->quoted_uri = bl_str_chr(parsed.path, '%') >= 0;
        char *to = bl_pool_bytes(h->pool, parsed.path.len + 1);
        if (!bl_parse_path(parsed.path, r->server->core->merge_slashes, to, &parsed.path,
                           &r->args)) {
            bl_log_write(BL_LOG_INFO, r->log, 0, "client sent invalid request");
            return 400;
        }
    }
    bl_request_set_uri(r, parsed.path);
    if (parsed.host.len && !select_server(h, parsed.host))
        return 400;
    return 0;
}

/* Known fields that may stand only once, or mean something for the framing. */
static int check_known(bl_h1 *h, bl_header_id id, const bl_header *before)
{
    switch (id) {
    case BL_H_HOST:
    case BL_H_CONTENT_LENGTH:
    case BL_H_TRANSFER_ENCODING:
    case BL_H_CONTENT_RANGE:
    case BL_H_EXPECT:
    case BL_H_IF_MODIFIED_SINCE:
    case BL_H_IF_UNMODIFIED_SINCE:
    case BL_H_IF_MATCH:
    case BL_H_IF_NONE_MATCH:
    case BL_H_IF_RANGE:
    case BL_H_AUTHORIZATION:
        if (before == NULL)
            return 0;
        bl_log_write(BL_LOG_INFO, &h->conn->log, 0, "client sent duplicate header line");
        return 400;
    default:
        return 0;
    }
}

static int use_field(bl_h1 *h, bl_str line)
{
    bl_request *r = h->r;
    bl_http_core_server *core = r->server->core;
    bl_parsed_field f;

    if (!bl_parse_field(line, &f)) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client sent invalid header line: \"%.*s\"",
                     (int)BL_MIN(line.len, 200u), line.p);
        return 400;
    }
    if (core->max_headers > 0 && ++h->fields > (uint64_t)core->max_headers) {
        bl_log_write(BL_LOG_INFO, r->log, 0, "client sent too many header lines");
        return 400;
    }
    if (BL_UNLIKELY(f.odd)) {
        h->fields_start = NULL; /* what becomes of it depends on settings */
        bool dropped = f.underscore ? !core->underscores_in_headers && core->ignore_invalid_headers
                                    : core->ignore_invalid_headers;
        if (dropped) {
            bl_log_write(BL_LOG_INFO, r->log, 0, "client sent invalid header line: \"%.*s\"",
                         BL_STR_ARG(line));
            return 0;
        }
    }
    bl_header_id id = bl_header_identify(f.name, f.hash);
    if (id != BL_H_OTHER) {
        int status = check_known(h, id, bl_headers_known(&r->in, id));
        if (status)
            return status;
    }
    bl_headers_add_known(&r->in, h->pool, f.name, f.value, f.hash, id);
    return 0;
}

/* ------------------------------------------------------------- what the head means */

static bool has_token(const bl_headers *headers, bl_header_id id, bl_str token)
{
    for (const bl_header *h = bl_headers_known(headers, id); h; h = h->next) {
        if (h->id == id && !h->struck && bl_parse_has_token(h->value, token))
            return true;
    }
    return false;
}

/* Content-Length and Transfer-Encoding (RFC 9112 section 6.3): anything that two readers could
 * understand in two ways is refused. */
static int frame_body(bl_h1 *h)
{
    bl_request *r = h->r;
    bl_header *length = bl_headers_known(&r->in, BL_H_CONTENT_LENGTH);
    bl_header *coding = bl_headers_known(&r->in, BL_H_TRANSFER_ENCODING);

    if (coding) {
        if (r->http_version < 1001) {
            bl_log_write(BL_LOG_INFO, r->log, 0,
                         "client sent HTTP/1.0 request with \"Transfer-Encoding\" header");
            return 400;
        }
        if (!bl_str_ieq(coding->value, BL_STR("chunked"))) {
            bl_log_write(BL_LOG_INFO, r->log, 0,
                         "client sent unknown \"Transfer-Encoding\": \"%.*s\"",
                         BL_STR_ARG(coding->value));
            return 501;
        }
        if (length) {
            bl_log_write(BL_LOG_INFO, r->log, 0,
                         "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the "
                         "same time");
            return 400;
        }
        r->body.chunked = r->body.expected = true;
        return 0;
    }
    if (length) {
        r->body.length = bl_str_to_int(length->value);
        if (r->body.length < 0) {
            bl_log_write(BL_LOG_INFO, r->log, 0, "client sent invalid \"Content-Length\" header");
            return 400;
        }
        r->body.expected = r->body.length > 0;
        h->body_left = r->body.length;
    }
    return 0;
}

static int decide_host(bl_h1 *h)
{
    bl_request *r = h->r;
    bl_header *host = bl_headers_known(&r->in, BL_H_HOST);

    if (host == NULL) {
        if (r->http_version >= 1001) {
            bl_log_write(BL_LOG_INFO, r->log, 0,
                         "client sent HTTP/1.1 request without \"Host\" header");
            return 400;
        }
        if (!h->addr->single && r->host_in_line.len == 0)
            enter_server(h, bl_server_find(h->addr, BL_STR(""), r));
        return 0;
    }
    if (r->host_in_line.len) {
        char *waste = bl_pool_bytes(h->pool, host->value.len + 1);
        bl_str name;
        int port;
        if (!bl_parse_host(host->value, waste, &name, &port))
            return 400;
        return 0;
    }
    return select_server(h, host->value) ? 0 : 400;
}

/* What the client wants; whether it gets it is decided with the head of the response. */
static void decide_keepalive(bl_request *r)
{
    if (r->http_version == 1001)
        r->keepalive = !(r->in.have >> BL_H_CONNECTION & 1) ||
                       !has_token(&r->in, BL_H_CONNECTION, BL_STR("close"));
    else
        r->keepalive = has_token(&r->in, BL_H_CONNECTION, BL_STR("keep-alive"));
}

static int understand(bl_h1 *h)
{
    bl_request *r = h->r;
    int status = decide_host(h);

    if (status == 0)
        status = frame_body(h);
    if (status)
        return status;
    bl_header *expect = bl_headers_known(&r->in, BL_H_EXPECT);
    if (expect && r->http_version >= 1001 && bl_str_ieq(expect->value, BL_STR("100-continue")))
        r->expect_100 = true;
    if (h->addr->ssl && h->conn->tls == NULL)
        return 497;
    decide_keepalive(r);
    return 0;
}

/* While a request runs, the timer of the time before may stay armed: keepalive will push it further
 * off, which costs less than stopping it and arming it again. */
static void no_deadline(bl_timer *timer BL_UNUSED)
{
}

static void begin_request(bl_h1 *h)
{
    bl_conn *c = h->conn;
    bl_request *r = h->r;

    bl_stats_mine->reading--;
    bl_stats_mine->writing++;
    bl_stats_mine->requests++;
    c->requests++;
    c->timer.fire = no_deadline;
    r->header_bytes = c->received - h->received_before - (uint64_t)(h->last - h->pos);
    h->body_whole = !r->body.expected;
    r->body.whole = h->body_whole;
    r->head_only = r->method == BL_M_HEAD;
    r->sent_before = c->sent;
    c->io.on_read = nothing;
    c->io.on_write = bl_h1_on_writable;
    c->log.action = NULL;
    bl_request_start(r);
}

/* ------------------------------------------------------------- reading */

/* Field lines that came before, in the same words. */
static bool recall_fields(bl_h1 *h)
{
    bl_str rest = bl_str_of(h->pos, (size_t)(h->last - h->pos));
    int64_t max = h->r->server->core->max_headers;

    if (max > 0 && max < BL_SECTION_FIELDS_MAX)
        return false; /* they are to be counted */
    if (!bl_section_recall(&h->r->in, h->pool, rest))
        return false;
    h->r->in.text = rest;
    h->pos = h->scanned = h->last;
    return true;
}

/* All field lines have been taken, up to `end`. */
static void fields_taken(bl_h1 *h, char *end)
{
    if (h->fields_start == NULL)
        return;
    h->r->in.text = bl_str_of(h->fields_start, (size_t)(end - h->fields_start));
    bl_section_remember(&h->r->in, h->r->in.text);
}

/* Takes whole lines off the buffer. >0: the status to refuse with; 0: the head is whole; -1: more.
 */
static int parse_head(bl_h1 *h)
{
    for (;;) {
        bool bad;
        char *from = h->scanned > h->pos ? h->scanned - 1 : h->pos;
        char *lf = (char *)bl_parse_line_end(from, h->last, &bad);
        if (bad)
            return 400;
        if (lf == NULL) {
            h->scanned = h->last;
            return -1;
        }
        bl_str line = bl_str_of(h->pos, (size_t)(lf - h->pos));
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        h->pos = h->scanned = lf + 1;
        if (!h->have_line) {
            h->head_start = line.p;
            if (line.len == 0)
                continue; /* RFC 9112 section 2.2: an empty line in front is let pass */
            int status = use_request_line(h, line);
            if (status)
                return status;
            h->have_line = true;
            h->fields_start = h->pos;
            h->conn->log.action = "reading client request headers";
            if (h->r->http_version == 9 || recall_fields(h))
                return 0;
        } else if (line.len == 0) {
            fields_taken(h, h->pos);
            return 0;
        } else {
            int status = use_field(h, line);
            if (status)
                return status;
        }
    }
}

/* What is left to do once bytes have come: parse, make room, go on. False: nothing more now. */
static bool use_bytes(bl_h1 *h)
{
    int status = parse_head(h);

    if (status < 0) {
        if (h->last < h->end)
            return true;
        status = make_room(h);
        if (status == 0)
            return true;
    }
    if (status == 0) {
        h->head_whole = true;
        h->r->raw_head = bl_str_of(h->head_start, (size_t)(h->pos - h->head_start));
        status = h->r->http_version == 9 ? 0 : understand(h);
        if (status == 0) {
            begin_request(h);
            return false;
        }
    }
    refuse(h, status);
    return false;
}

static void on_client_closed(bl_h1 *h, ssize_t n)
{
    bl_conn *c = h->conn;

    if (n == BL_IO_EOF && h->last > h->buf)
        bl_log_write(BL_LOG_INFO, &c->log, 0, "client prematurely closed connection");
    else if (n == BL_IO_EOF && !c->requests)
        bl_debug(&c->log, "client closed connection");
    if (h->last > h->buf && n == BL_IO_EOF) {
        h->r->out.status = 400;
        bl_http_log_request(h->r);
    }
    close_unborn(h);
}

static void wait_for_more(bl_h1 *h)
{
    bl_conn *c = h->conn;

    c->io.on_read = on_head_readable;
    if (!c->timer.armed || c->timer.fire != on_head_timeout) {
        c->timer.fire = on_head_timeout;
        bl_timer_set(&c->timer, (uint64_t)h->addr->default_server->core->client_header_timeout);
    }
}

static void go_idle_again(bl_h1 *h)
{
    bl_conn *c = h->conn;
    bl_http_addr *addr = h->addr;
    bool first = c->requests == 0;
    int64_t left = first ? addr->default_server->core->client_header_timeout
                         : addr->default_server->loc->core->keepalive.timeout;

    bl_stats_mine->reading--;
    bl_pool_free(h->pool);
    wait_for_request(c, addr, left);
}

static void read_head(bl_h1 *h)
{
    bl_conn *c = h->conn;

    for (;;) {
        if (!c->io.readable) {
            wait_for_more(h);
            return;
        }
        ssize_t n = bl_conn_read(c, h->last, (size_t)(h->end - h->last));
        if (n == BL_IO_AGAIN) {
            if (h->last == h->buf)
                go_idle_again(h);
            else
                wait_for_more(h);
            return;
        }
        if (n <= 0) {
            on_client_closed(h, n);
            return;
        }
        h->last += n;
        if (!use_bytes(h))
            return;
    }
}

/* ------------------------------------------------------------- the end of an exchange */

/* Bytes that came behind the request are the beginning of the next. */
static void next_pipelined(bl_work *work)
{
    bl_conn *c = BL_CONTAINER(work, bl_conn, work);
    bl_h1 *h = bl_h1_of(c);

    if (use_bytes(h))
        read_head(h);
}

static void start_next(bl_conn *c, bl_http_addr *addr, bl_str rest)
{
    size_t size = (size_t)addr->default_server->core->client_header_buffer_size;
    bl_h1 *h = exchange_new(c, addr, BL_MAX(size, rest.len));

    memcpy(h->buf, rest.p, rest.len);
    h->last += rest.len;
    h->received_before = c->received - rest.len;
    h->r->pipelined = true;
    c->work.run = next_pipelined;
    c->io.on_read = nothing;
    bl_work_post(&c->work);
}

/* `rest`: what the client has sent already of its next request. */
static void keep(bl_conn *c, bl_http_addr *addr, const bl_http_core_location *core, bl_str rest)
{
    if (core->tcp_nodelay && c->requests == 1 && c->tls == NULL)
        bl_conn_nodelay(c);
    if (rest.len)
        start_next(c, addr, rest);
    else {
        wait_for_request(c, addr, core->keepalive.timeout);
        c->keep_until =
            core->keepalive_min_timeout ? bl_now_ms() + (uint64_t)core->keepalive_min_timeout : 0;
        if (c->io.readable)
            on_readable(&c->io);
    }
}

static void rest_gone(bl_conn *c, bl_http_addr *addr, const bl_http_core_location *core,
                      bl_str next, bool whole)
{
    if (whole && !bl_quitting)
        keep(c, addr, core, next);
    else
        close_conn(c, generation_of(addr));
}

static bool wants_linger(const bl_h1 *h, const bl_request *r, bool broken)
{
    int when = r->loc->core->lingering_close;

    if ((broken && !h->raw) || when == BL_LINGERING_OFF || h->conn->eof || h->conn->error)
        return false;
    return when == BL_LINGERING_ALWAYS || r->lingering || !h->body_whole || h->last > h->pos ||
           h->conn->io.readable;
}

static void h1_finish(bl_request *r, bl_conn *c, bool broken)
{
    bl_h1 *h = r->exchange;
    const bl_http_core_location *core = r->loc->core;

    if (c->taker)
        c->on_taken_back(c);
    bl_stats_mine->writing--;
    c->timer.fire = no_deadline;
    bl_chain_done(&h->out);
    bl_work_cancel(&h->watch_work);
    if (BL_UNLIKELY(h->waiting_writable))
        bl_work_cancel(&c->work);
    bl_status dropped = BL_OK;
    if (!broken && !h->body_whole && r->keepalive && (dropped = bl_h1_drop_body(h)) == BL_ERROR)
        r->keepalive = false;
    if (h->taken_over)
        return;
    c->log.describe = NULL;
    if (!broken && r->keepalive && !c->error && !c->eof && !bl_quitting) {
        if (dropped == BL_OK)
            keep(c, h->addr, core, bl_str_of(h->pos, (size_t)(h->last - h->pos)));
        else
            bl_h1_wait_for_rest(h, core, rest_gone);
    } else if (wants_linger(h, r, broken))
        linger(c, h->addr, core);
    else {
        if (r->reset_on_close)
            bl_conn_reset(c);
        close_conn(c, generation_of(h->addr));
    }
}

static bl_conn *h1_take_over(bl_request *r, bl_str *extra)
{
    bl_h1 *h = r->exchange;

    if (!bl_chain_empty(&h->out))
        return NULL;
    *extra = bl_str_of(h->pos, (size_t)(h->last - h->pos));
    h->pos = h->last;
    h->raw = true;
    h->body_whole = true;
    r->keepalive = false;
    bl_timer_stop(&h->conn->timer);
    return h->conn;
}

const bl_codec bl_codec_h1 = {
    .name = "http/1",
    .send_head = bl_h1_send_head,
    .send_body = bl_h1_send_body,
    .read_body = bl_h1_read_body,
    .discard_body = bl_h1_discard_body,
    .finish = h1_finish,
    .send_interim = bl_h1_send_interim,
    .send_hints = bl_h1_send_hints,
    .take_over = h1_take_over,
    .watch = bl_h1_watch,
};

/* ------------------------------------------------------------- accepting */

static void serve(bl_conn *c)
{
    bl_http_addr *addr = c->data;

    bl_stats_mine->handled++;
    wait_for_request(c, addr, addr->default_server->core->client_header_timeout);
    if (c->io.readable)
        on_readable(&c->io);
}

static void tls_done(bl_conn *c, bool ok)
{
    bl_http_addr *addr = c->data;

    if (ok)
        serve(c);
    else
        close_conn(c, generation_of(addr));
}

/* SNI: the server whose certificate is shown. NULL: the default one. */
static bl_tls_server *select_tls_server(bl_conn *c, bl_str name)
{
    bl_http_addr *addr = c->data;
    char *lower = bl_pool_bytes(bl_conn_pool(c), name.len + 1);
    bl_str host;
    int port;

    if (!bl_parse_host(name, lower, &host, &port))
        return NULL;
    return bl_server_find(addr, host, NULL)->tls;
}

static void start_tls_or_plain(bl_conn *c)
{
    bl_http_addr *addr = c->data;

    if (!addr->ssl) {
        serve(c);
        return;
    }
    bl_tls_accept(c, addr->default_server->tls, select_tls_server,
                  addr->default_server->core->client_header_timeout, tls_done);
}

static void proxy_protocol_done(bl_conn *c, bool ok)
{
    bl_http_addr *addr = c->data;

    if (ok)
        start_tls_or_plain(c);
    else
        close_conn(c, generation_of(addr));
}

void bl_h1_accepted(bl_conn *c)
{
    bl_http_port *port = c->listener->data;
    bl_http_addr *addr = bl_http_addr_of(port, c);

    bl_stats_mine->accepted++;
    bl_generation_hold(port->http->generation);
    c->data = addr;
    c->log.targets = addr->default_server->loc->core->error_log;
    c->log.describe = bl_http_log_describe_conn;
    c->log.data = c;
    c->io.on_read = c->io.on_write = nothing;
    if (addr->proxy_protocol)
        bl_proxy_protocol_read(c, addr->default_server->core->client_header_timeout,
                               proxy_protocol_done);
    else
        start_tls_or_plain(c);
}
