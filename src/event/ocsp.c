#include "event/ocsp.h"
#include "core/base64.h"
#include "event/tls_error.h"

#include <openssl/err.h>

enum {
    ANSWER_MAX = 64 * 1024,
    TIME_MS = 60000, /* for all of it */
    SKEW = 300,      /* seconds that clocks may differ */
    PORT = 80,
};

/* ------------------------------------------------------------- parsing */

const char *bl_ocsp_url(bl_str url, bl_str *host, int *port, bl_str *path)
{
    bl_hostport hp;

    if (!bl_str_istarts(url, BL_STR("http://")))
        return "invalid URL prefix in OCSP responder";
    bl_str rest = bl_str_of(url.p + 7, url.len - 7);
    ssize_t slash = bl_str_chr(rest, '/');
    size_t len = slash < 0 ? rest.len : (size_t)slash;
    *path = slash < 0 ? BL_STR("/") : bl_str_of(rest.p + len, rest.len - len);
    if (len == 0 || bl_hostport_parse(bl_str_of(rest.p, len), PORT, &hp) != NULL || hp.is_unix ||
        hp.wildcard)
        return "invalid host in OCSP responder";
    *host = hp.host;
    *port = hp.port < 0 ? PORT : hp.port;
    return NULL;
}

/* The line that begins at `at`, without its end; false: it is not whole. */
static bool next_line(bl_str bytes, size_t *at, bl_str *line)
{
    ssize_t end = bl_str_chr(bl_str_of(bytes.p + *at, bytes.len - *at), '\n');

    if (end < 0)
        return false;
    *line = bl_str_of(bytes.p + *at, (size_t)end);
    *at += (size_t)end + 1;
    if (line->len && line->p[line->len - 1] == '\r')
        line->len--;
    return true;
}

static bool is_good_status(bl_str line)
{
    return line.len >= 12 && bl_str_starts(line, BL_STR("HTTP/1.")) &&
           memcmp(line.p + 8, " 200", 4) == 0 && (line.len == 12 || line.p[12] == ' ');
}

static const char *parse_field(bl_str line, int64_t *length)
{
    ssize_t colon = bl_str_chr(line, ':');

    if (colon < 0)
        return "OCSP responder sent an invalid header";
    bl_str name = bl_str_of(line.p, (size_t)colon);
    bl_str value = bl_str_trim(bl_str_of(line.p + colon + 1, line.len - name.len - 1));
    if (bl_str_ieq(name, BL_STR("Transfer-Encoding")))
        return "OCSP responder sent a transfer encoding";
    if (bl_str_ieq(name, BL_STR("Content-Type")) &&
        !bl_str_istarts(value, BL_STR("application/ocsp-response")))
        return "OCSP responder sent an invalid \"Content-Type\" header";
    if (bl_str_ieq(name, BL_STR("Content-Length")) && (*length = bl_str_to_int(value)) < 0)
        return "OCSP responder sent an invalid \"Content-Length\" header";
    return NULL;
}

const char *bl_ocsp_parse(bl_str bytes, bl_str *body, bool *more)
{
    int64_t length = -1;
    size_t at = 0;
    bl_str line;

    *more = true;
    if (!next_line(bytes, &at, &line))
        return NULL;
    if (!is_good_status(line))
        return "OCSP responder sent no good status";
    while (next_line(bytes, &at, &line)) {
        if (line.len == 0) {
            *body = bl_str_of(bytes.p + at, bytes.len - at);
            *more = length < 0 || body->len < (uint64_t)length;
            if (!*more)
                body->len = (size_t)length;
            return NULL;
        }
        const char *error = parse_field(line, &length);
        if (error)
            return error;
    }
    return NULL;
}

/* ------------------------------------------------------------- the end */

static void clean(bl_ocsp *ask)
{
    bl_resolve_cancel(&ask->resolve);
    if (ask->conn)
        bl_conn_close(ask->conn);
    ask->conn = NULL;
    if (ask->timer.armed)
        bl_timer_stop(&ask->timer);
}

void bl_ocsp_cancel(bl_ocsp *ask)
{
    bl_pool *pool = ask->pool;

    if (pool == NULL)
        return;
    clean(ask);
    ask->pool = NULL;
    bl_pool_free(pool);
}

static void finish(bl_ocsp *ask, int status)
{
    bl_pool *pool = ask->pool;

    clean(ask);
    ERR_clear_error();
    ask->status = status;
    ask->pool = NULL;
    ask->done(ask);
    bl_pool_free(pool);
}

static void fail(bl_ocsp *ask, int err, const char *why)
{
    bl_log_write(BL_LOG_ERR, ask->log, err,
                 "%s while requesting certificate status, responder: %.*s", why,
                 BL_STR_ARG(ask->host));
    finish(ask, -1);
}

/* ------------------------------------------------------------- the answer */

static const char *check_single(bl_ocsp *ask, OCSP_BASICRESP *basic, OCSP_CERTID *id, int *status)
{
    ASN1_GENERALIZEDTIME *this_update, *next_update;
    struct tm tm;

    if (OCSP_resp_find_status(basic, id, status, NULL, NULL, &this_update, &next_update) != 1)
        return "certificate status not found in the OCSP response";
    if (OCSP_check_validity(this_update, next_update, SKEW, -1) != 1)
        return "OCSP_check_validity() failed";
    if (next_update && ASN1_TIME_to_tm(next_update, &tm))
        ask->next_update = timegm(&tm);
    return NULL;
}

static const char *check_basic(bl_ocsp *ask, OCSP_BASICRESP *basic, int *status)
{
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, ask->certificate, ask->issuer);

    if (id == NULL)
        return "OCSP_cert_to_id() failed";
    const char *error = "OCSP_basic_verify() failed";
    if (OCSP_basic_verify(basic, ask->chain, ask->store, ask->unchecked ? OCSP_NOVERIFY : 0) == 1)
        error = check_single(ask, basic, id, status);
    OCSP_CERTID_free(id);
    return error;
}

static const char *check(bl_ocsp *ask, bl_str body, int *status)
{
    const unsigned char *p = (const unsigned char *)body.p;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)body.len);
    OCSP_BASICRESP *basic = NULL;
    const char *error;

    if (response == NULL)
        error = "d2i_OCSP_RESPONSE() failed";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        error = "OCSP response not successful";
    else if ((basic = OCSP_response_get1_basic(response)) == NULL)
        error = "OCSP_response_get1_basic() failed";
    else
        error = check_basic(ask, basic, status);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return error;
}

static void answered(bl_ocsp *ask, bl_str body)
{
    int status = -1;

    ERR_clear_error();
    const char *error = check(ask, body, &status);
    if (error) {
        fail(ask, 0, bl_tls_error_message("%s", error));
        return;
    }
    ask->response = body;
    finish(ask, status);
}

/* ------------------------------------------------------------- the exchange */

static void try_next(bl_ocsp *ask);

static void on_read(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    bl_ocsp *ask = c->data;
    bl_str body = BL_STR_NONE;
    bool more = true;
    ssize_t n = 1;

    while (more && n > 0) {
        n = bl_conn_read(c, ask->in + ask->in_len, ANSWER_MAX - ask->in_len);
        if (n == BL_IO_AGAIN)
            return;
        if (n == BL_IO_ERROR) {
            fail(ask, 0, "reading failed");
            return;
        }
        ask->in_len += (size_t)n;
        const char *error = bl_ocsp_parse(bl_str_of(ask->in, ask->in_len), &body, &more);
        if (error == NULL && more && ask->in_len == ANSWER_MAX)
            error = "OCSP responder sent too much";
        if (error) {
            fail(ask, 0, error);
            return;
        }
    }
    if (body.p)
        answered(ask, body);
    else
        fail(ask, 0, "OCSP responder prematurely closed connection");
}

static void on_write(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    bl_ocsp *ask = c->data;
    int err = io->on_read == on_read ? 0 : bl_conn_connect_error(c);

    if (err) {
        bl_log_write(BL_LOG_ERR, ask->log, err,
                     "connect() failed while requesting certificate status, responder: %.*s",
                     BL_STR_ARG(ask->host));
        bl_conn_close(c);
        ask->conn = NULL;
        try_next(ask);
        return;
    }
    io->on_read = on_read;
    if (bl_conn_send(c, &ask->out, 0) == BL_ERROR)
        fail(ask, 0, "sending failed");
    else if (io->readable)
        on_read(io);
}

static void nothing(bl_io *io BL_UNUSED)
{
}

static void try_next(bl_ocsp *ask)
{
    while (ask->addr_at < ask->addr_count && ask->conn == NULL) {
        ask->conn = bl_conn_connect(&ask->addrs[ask->addr_at++], NULL, false, ask->log);
        if (ask->conn == NULL)
            bl_log_write(BL_LOG_ERR, ask->log, errno, "connect() failed");
    }
    if (ask->conn == NULL) {
        fail(ask, 0, "no address answers");
        return;
    }
    ask->conn->data = ask;
    ask->conn->io.on_read = nothing;
    ask->conn->io.on_write = on_write;
}

static void on_timeout(bl_timer *timer)
{
    fail(BL_CONTAINER(timer, bl_ocsp, timer), 0, "OCSP responder timed out");
}

/* ------------------------------------------------------------- the question */

static void resolved(bl_resolve *resolve)
{
    bl_ocsp *ask = resolve->data;

    if (resolve->status != BL_RESOLVE_OK || resolve->count == 0) {
        fail(ask, 0, bl_resolve_error(resolve->status));
        return;
    }
    ask->addr_count = resolve->count;
    ask->addrs = BL_NEW_ARRAY(ask->pool, bl_addr, (size_t)resolve->count);
    memcpy(ask->addrs, resolve->addrs, (size_t)resolve->count * sizeof *ask->addrs);
    try_next(ask);
}

/* The request in DER, in base 64, escaped. */
static bl_str encode(bl_ocsp *ask)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, ask->certificate, ask->issuer);
    unsigned char *der = NULL;
    int len = 0;

    if (request && id && OCSP_request_add0_id(request, id))
        len = i2d_OCSP_REQUEST(request, &der);
    else
        OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    if (len <= 0)
        return BL_STR_NONE;
    char *text = bl_pool_bytes(ask->pool, BL_BASE64_SIZE((size_t)len));
    size_t text_len = bl_base64_encode(text, bl_str_of((char *)der, (size_t)len), true, false);
    char *escaped = bl_pool_bytes(ask->pool, text_len * 3), *to = escaped;
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] == '+' || text[i] == '/' || text[i] == '=')
            to = bl_str_put(to, text[i] == '+'   ? BL_STR("%2B")
                                : text[i] == '/' ? BL_STR("%2F")
                                                 : BL_STR("%3D"));
        else
            *to++ = text[i];
    }
    OPENSSL_free(der);
    return bl_str_of(escaped, (size_t)(to - escaped));
}

static bool write_request(bl_ocsp *ask)
{
    bl_str question = encode(ask);
    bool slash = ask->uri.p[ask->uri.len - 1] == '/';

    if (question.len == 0)
        return false;
    bl_str text = bl_pool_printf(ask->pool,
                                 "GET %.*s%s%.*s HTTP/1.0\r\n"
                                 "Host: %.*s\r\n\r\n",
                                 BL_STR_ARG(ask->uri), slash ? "" : "/", BL_STR_ARG(question),
                                 BL_STR_ARG(ask->host));
    bl_chain_init(&ask->out);
    bl_chain_push(&ask->out, bl_buf_ref(ask->pool, text));
    ask->in = bl_pool_bytes(ask->pool, ANSWER_MAX);
    ask->in_len = 0;
    return true;
}

/* The first URL that the certificate names; empty: none. */
static bl_str named_responder(bl_ocsp *ask)
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(ask->certificate);
    bl_str url = BL_STR_NONE;

    if (sk_OPENSSL_STRING_num(urls) > 0)
        url = bl_pool_str(ask->pool, bl_str_c(sk_OPENSSL_STRING_value(urls, 0)));
    X509_email_free(urls);
    return url;
}

void bl_ocsp_start(bl_ocsp *ask)
{
    ask->pool = bl_pool_new();
    ask->status = -1;
    ask->next_update = 0;
    ask->addr_at = 0;
    ask->host = BL_STR("none");
    bl_str url = ask->responder.p ? ask->responder : named_responder(ask);
    const char *error = url.len == 0 ? "no OCSP responder URL in the certificate"
                                     : bl_ocsp_url(url, &ask->host, &ask->port, &ask->uri);
    if (error == NULL && !write_request(ask))
        error = "OCSP_request_add0_id() failed";
    if (error) {
        fail(ask, 0, error);
        return;
    }
    ask->timer = (bl_timer){.fire = on_timeout, .weak = true};
    bl_timer_set(&ask->timer, TIME_MS);
    ask->resolve = (bl_resolve){.resolver = ask->resolver ? ask->resolver : bl_resolver_system(),
                                .name = ask->host,
                                .port = ask->port,
                                .timeout_ms = ask->resolver_ms,
                                .done = resolved,
                                .data = ask};
    bl_resolve_start(&ask->resolve);
}
