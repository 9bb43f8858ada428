/* From the upstream's head to the response's: which fields go on and under what rules, what the
 * upstream asks of the server itself (X-Accel-…), and which responses are not passed on at all. */
#include "core/time.h"
#include "http/core_module.h"
#include "http/error_page.h"
#include "http/escape.h"
#include "http/parse.h"
#include "http/upstream/upstream.h"

/* ------------------------------------------------------------- settings */

static bool is_in(const bl_array *names, bl_str name)
{
    if (names == NULL)
        return false;
    BL_ARRAY_EACH (bl_str, each, names) {
        if (bl_str_ieq(*each, name))
            return true;
    }
    return false;
}

static void hide(bl_upstream_settings *s, bl_str name)
{
    bl_header_id id = bl_header_identify(name, bl_header_hash(name));

    if (id != BL_H_OTHER)
        s->hidden_known |= 1ull << id;
    else
        *(bl_str *)bl_array_push(s->hidden) = name;
}

bool bl_upstream_settings_compile(bl_conf *cf, bl_upstream_settings *s, const bl_str *by_default,
                                  size_t count)
{
    s->hidden = bl_array_new(cf->pool, sizeof(bl_str));
    s->hidden_known = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_in(s->pass, by_default[i]))
            hide(s, by_default[i]);
    }
    BL_ARRAY_EACH (bl_str, name, s->hide) {
        hide(s, *name);
    }
    return true;
}

/* ------------------------------------------------------------- what a failed try may be */

static unsigned event_of(int status)
{
    switch (status) {
    case 500:
        return BL_UP_HTTP_500;
    case 502:
        return BL_UP_HTTP_502;
    case 503:
        return BL_UP_HTTP_503;
    case 504:
        return BL_UP_HTTP_504;
    case 403:
        return BL_UP_HTTP_403;
    case 404:
        return BL_UP_HTTP_404;
    case 429:
        return BL_UP_HTTP_429;
    default:
        return 0;
    }
}

static bool has_error_page(const bl_request *r, int status)
{
    const bl_http_core_location *core = r->loc->core;

    if (core->error_pages == NULL || (r->error_page && !core->recursive_error_pages))
        return false;
    BL_ARRAY_EACH (bl_error_page_rule, rule, core->error_pages) {
        if (rule->status == status)
            return true;
    }
    return false;
}

/* An error that is answered by the server's own page; a challenge keeps its fields. */
static int intercept(bl_upstream *u, int status)
{
    bl_request *r = u->r;

    if (status == 401) {
        BL_HEADERS_EACH(h, &u->head.headers)
        {
            if (h->id == BL_H_WWW_AUTHENTICATE)
                bl_headers_add_known(&r->out.headers, r->pool, h->name, h->value, h->hash, h->id);
        }
    }
    return bl_upstream_finish(u, status);
}

/* ------------------------------------------------------------- fields */

static bool is_yes(bl_str value, bool otherwise)
{
    if (bl_str_ieq(value, BL_STR("yes")))
        return true;
    return bl_str_ieq(value, BL_STR("no")) ? false : otherwise;
}

static void copy(bl_upstream *u, const bl_header *h)
{
    bl_headers_add_known(&u->r->out.headers, u->r->pool, h->name, h->value, h->hash, h->id);
}

static void copy_rewritten(bl_upstream *u, const bl_header *h)
{
    bl_header field = *h;

    if (u->module->rewrite)
        u->module->rewrite(u, h->id, &field.value);
    copy(u, &field);
}

/* The rest of a type behind "; charset=" is the charset's place. */
static void use_content_type(bl_request *r, bl_str value)
{
    static const bl_str word = BL_STR_INIT("charset=");

    r->out.content_type = value;
    ssize_t semicolon = bl_str_chr(value, ';');
    if (semicolon < 0)
        return;
    size_t at = (size_t)semicolon + 1;
    while (at < value.len && value.p[at] == ' ')
        at++;
    bl_str rest = bl_str_of(value.p + at, value.len - at);
    if (!bl_str_istarts(rest, word)) {
        r->out.charset_done = true;
        return;
    }
    r->out.content_type.len = (size_t)semicolon;
    r->out.charset = bl_str_of(rest.p + word.len, rest.len - word.len);
}

static void use_location(bl_upstream *u, const bl_header *h)
{
    bl_header field = *h;

    if (u->module->rewrite && u->module->rewrite(u, h->id, &field.value))
        u->r->out.location = field.value;
    else
        copy(u, h);
}

/* The time of a date in the form that the server itself writes; -1: another form, or none. Dates
 * come again and again, so the last one is remembered. */
static time_t usual_date(bl_str value)
{
    static char last[BL_TIME_HTTP_LEN];
    static time_t last_time;
    char text[BL_TIME_HTTP_LEN];

    if (value.len != BL_TIME_HTTP_LEN)
        return -1;
    if (memcmp(last, value.p, BL_TIME_HTTP_LEN) == 0)
        return last_time;
    time_t t = bl_time_parse_http(value);
    if (t < 0)
        return -1;
    bl_time_http(text, t);
    if (memcmp(text, value.p, BL_TIME_HTTP_LEN) != 0)
        return -1;
    memcpy(last, text, BL_TIME_HTTP_LEN);
    return last_time = t;
}

static void use_last_modified(bl_upstream *u, const bl_header *h)
{
    time_t t = usual_date(h->value);

    if (t >= 0)
        u->r->out.last_modified = t;
    else
        copy(u, h);
}

/* Fields that may stand only once: a second one is dropped. */
#define SINGLE                                                                                     \
    (1ull << BL_H_CONTENT_TYPE | 1ull << BL_H_LAST_MODIFIED | 1ull << BL_H_ETAG |                  \
     1ull << BL_H_LOCATION | 1ull << BL_H_REFRESH | 1ull << BL_H_EXPIRES |                         \
     1ull << BL_H_ACCEPT_RANGES | 1ull << BL_H_CONTENT_RANGE | 1ull << BL_H_SERVER |               \
     1ull << BL_H_DATE)

static bool is_repeated(bl_upstream *u, const bl_header *h)
{
    const bl_header *first = bl_headers_known(&u->head.headers, h->id);

    if (!(SINGLE >> h->id & 1) || first == h)
        return false;
    bl_log_write(BL_LOG_WARN, u->r->log, 0,
                 "upstream sent duplicate header line: \"%.*s: %.*s\", previous value: "
                 "\"%.*s: %.*s\", ignored",
                 BL_STR_ARG(h->name), BL_STR_ARG(h->value), BL_STR_ARG(first->name),
                 BL_STR_ARG(first->value));
    return true;
}

static void use_known(bl_upstream *u, const bl_header *h)
{
    bl_request *r = u->r;

    if (is_repeated(u, h))
        return;
    switch (h->id) {
    case BL_H_CONNECTION:
    case BL_H_KEEP_ALIVE:
    case BL_H_PROXY_CONNECTION:
    case BL_H_TRANSFER_ENCODING:
    case BL_H_CONTENT_LENGTH:
        return;
    case BL_H_UPGRADE:
        if (r->http_version >= 2000)
            return;
        break;
    case BL_H_TRAILER:
        if (!u->conf->pass_trailers)
            return;
        break;
    case BL_H_CONTENT_TYPE:
        use_content_type(r, h->value);
        return;
    case BL_H_LAST_MODIFIED:
        use_last_modified(u, h);
        return;
    case BL_H_ETAG:
        r->out.etag = h->value;
        return;
    case BL_H_LOCATION:
        use_location(u, h);
        return;
    case BL_H_REFRESH:
    case BL_H_SET_COOKIE:
        copy_rewritten(u, h);
        return;
    case BL_H_ACCEPT_RANGES:
        if (u->conf->force_ranges)
            return;
        break;
    case BL_H_SERVER:
        r->out.no_server = true;
        break;
    case BL_H_DATE:
        r->out.no_date = true;
        break;
    default:
        break;
    }
    copy(u, h);
}

static bool is_hidden(const bl_upstream *u, const bl_header *h)
{
    if (h->id != BL_H_OTHER)
        return u->conf->hidden_known >> h->id & 1;
    return is_in(u->conf->hidden, h->name);
}

/* Fields that speak to the server. */
static void obey(bl_upstream *u)
{
    bl_request *r = u->r;
    const bl_headers *headers = &u->head.headers;
    int ignored = u->conf->ignore_headers;
    const bl_header *h;

    if ((h = bl_headers_known(headers, BL_H_X_ACCEL_BUFFERING)) && !(ignored & BL_IGNORE_BUFFERING))
        u->buffering = is_yes(h->value, u->buffering);
    if ((h = bl_headers_known(headers, BL_H_X_ACCEL_LIMIT_RATE)) &&
        !(ignored & BL_IGNORE_LIMIT_RATE)) {
        int64_t rate = bl_str_to_int(h->value);
        if (rate >= 0) {
            r->limit_rate = rate;
            r->limit_rate_set = true;
        }
    }
}

static void obey_charset(bl_upstream *u)
{
    const bl_header *h = bl_headers_known(&u->head.headers, BL_H_X_ACCEL_CHARSET);

    if (h && !(u->conf->ignore_headers & BL_IGNORE_CHARSET))
        u->r->out.charset = h->value;
}

#define ACCEL                                                                                      \
    (1ull << BL_H_X_ACCEL_REDIRECT | 1ull << BL_H_X_ACCEL_EXPIRES |                                \
     1ull << BL_H_X_ACCEL_LIMIT_RATE | 1ull << BL_H_X_ACCEL_BUFFERING |                            \
     1ull << BL_H_X_ACCEL_CHARSET)

BL_HOT static void make_head(bl_upstream *u)
{
    bl_request *r = u->r;
    bl_upstream_head *head = &u->head;

    r->out.status = head->status;
    r->out.status_line = head->status_line;
    r->out.content_length = head->chunked ? -1 : head->content_length;
    if (BL_UNLIKELY(u->sent_head_method && !r->head_only && bl_request_is_main(r)))
        r->out.content_length = 0; /* the client did not ask with HEAD: it would wait for a body */
    r->out.no_modified = true;
    for (const bl_header *h = head->headers.first; h; h = h->next) {
        if (is_hidden(u, h))
            continue;
        if (h->id == BL_H_OTHER)
            copy(u, h);
        else
            use_known(u, h);
    }
    if (head->headers.have & ACCEL)
        obey_charset(u);
    r->out.accept_ranges = u->conf->force_ranges;
    r->out.one_range =
        r->out.content_length > u->conf->buffers.count * (int64_t)u->conf->buffers.size;
}

/* ------------------------------------------------------------- X-Accel-Redirect */

/* No segment of `path` (decoded) climbs. */
static bool is_safe(bl_str path)
{
    for (size_t i = 0; i + 1 < path.len; i++) {
        if (path.p[i] != '.' || path.p[i + 1] != '.')
            continue;
        bool begins = i == 0 || path.p[i - 1] == '/';
        bool ends = i + 2 == path.len || path.p[i + 2] == '/';
        if (begins && ends)
            return false;
    }
    return path.len != 0 && memchr(path.p, '\0', path.len) == NULL;
}

/* Fields of the response that redirected which the one behind the redirect keeps. */
static void keep_some_fields(bl_upstream *u)
{
    static const bl_str disposition = BL_STR_INIT("Content-Disposition");

    BL_HEADERS_EACH(h, &u->head.headers)
    {
        if (is_hidden(u, h))
            continue;
        if (h->id == BL_H_CONTENT_TYPE)
            use_content_type(u->r, h->value);
        else if (h->id == BL_H_SET_COOKIE)
            copy_rewritten(u, h);
        else if (h->id == BL_H_CACHE_CONTROL || h->id == BL_H_EXPIRES ||
                 h->id == BL_H_ACCEPT_RANGES || bl_str_ieq(h->name, disposition))
            copy(u, h);
    }
}

static void as_get(bl_request *r)
{
    if (r->method != BL_M_HEAD) {
        r->method = BL_M_GET;
        r->method_name = BL_STR("GET");
    }
}

static bl_step redirect_to(bl_upstream *u, bl_str target)
{
    bl_request *r = u->r;
    ssize_t question = bl_str_chr(target, '?');
    bl_str path = question < 0 ? target : bl_str_of(target.p, (size_t)question);
    bl_str args = question < 0
                      ? BL_STR_NONE
                      : bl_str_of(target.p + question + 1, target.len - (size_t)question - 1);

    path = bl_escape_undo(r->pool, path);
    if (!is_safe(path)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "unsafe URI \"%.*s\" was detected", BL_STR_ARG(target));
        return 404;
    }
    as_get(r);
    return bl_request_redirect(r, path, args);
}

static int redirect(bl_upstream *u, const bl_header *h)
{
    bl_request *r = u->r;
    bl_step step;

    bl_upstream_pass_begin(u);
    keep_some_fields(u);
    if (h->value.len && h->value.p[0] == '@') {
        as_get(r);
        step = bl_request_redirect_named(r, h->value);
    } else {
        step = redirect_to(u, h->value);
    }
    return bl_upstream_finish(u, step);
}

/* ------------------------------------------------------------- the step */

static bool is_bodiless(const bl_upstream *u)
{
    int status = u->head.status;

    return u->sent_head_method || status == 204 || status == 304 || status == 101;
}

static bool asked_for_upgrade(const bl_request *r)
{
    return r->codec->take_over && bl_headers_known(&r->in, BL_H_UPGRADE) != NULL;
}

BL_HOT int bl_upstream_respond(bl_upstream *u)
{
    bl_request *r = u->r;
    int status = u->head.status;
    const bl_header *h;

    u->trying->status = status;
    if (BL_UNLIKELY(status >= 300)) {
        unsigned event = event_of(status);
        if (event && bl_upstream_may_retry(u, event))
            return bl_upstream_next(u, event);
        if (u->conf->intercept_errors && has_error_page(r, status))
            return intercept(u, status);
        if (u->conf->intercept_404 && status == 404) {
            u->body_done = u->head.content_length == 0 && u->in->pos == u->in->last;
            return bl_upstream_finish(u, 404);
        }
    }
    u->head.upgraded = status == 101 && asked_for_upgrade(r);
    if (BL_UNLIKELY(status == 101 && !u->head.upgraded)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "upstream switches protocols, which nobody asked for");
        u->head.keepalive = false; /* who knows what comes behind it */
    }
    u->no_body = is_bodiless(u);
    u->body_left = u->head.content_length;
    if (BL_UNLIKELY(u->head.headers.have & ACCEL)) {
        obey(u);
        h = bl_headers_known(&u->head.headers, BL_H_X_ACCEL_REDIRECT);
        if (h && !(u->conf->ignore_headers & BL_IGNORE_REDIRECT))
            return redirect(u, h);
    }
    make_head(u);
    if (u->head.upgraded)
        return BL_UP_STEP_TUNNEL;
    bl_upstream_pass_begin(u);
    return BL_UP_STEP_PASS;
}

bool bl_upstream_is_of_connection(const bl_header *h)
{
    return h->id == BL_H_CONNECTION || h->id == BL_H_KEEP_ALIVE || h->id == BL_H_UPGRADE ||
           h->id == BL_H_TRANSFER_ENCODING || h->id == BL_H_CONTENT_LENGTH;
}

/* An interim response of the upstream: 103 is for the client, if early_hints says so. */
bl_status bl_upstream_interim(bl_upstream *u)
{
    bl_request *r = u->r;
    bl_headers fields;

    if (u->head.status != 103 || !bl_request_is_main(r) || r->codec->send_hints == NULL ||
        !bl_values_any(r, r->loc->core->early_hints))
        return BL_OK;
    bl_headers_init(&fields, NULL);
    BL_HEADERS_EACH(h, &u->head.headers)
    {
        if (!is_hidden(u, h) && !bl_upstream_is_of_connection(h))
            bl_headers_add(&fields, r->pool, h->name, h->value);
    }
    return r->codec->send_hints(r, &fields) == BL_ERROR ? BL_ERROR : BL_OK;
}
