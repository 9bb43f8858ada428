/* A cache made of subrequests: whatever location can keep a text and find it again is the store.
 *
 *   srcache_fetch GET /memc key=$uri;      200: its body is a whole response, which is sent
 *   srcache_store PUT /memc key=$uri;      gets the whole response as its body
 *
 * What is stored is what a client would see of the response before it is compressed: status line,
 * fields, an empty line, the body. Fields that are for one client or one connection are left out,
 * and a response is not stored when its Cache-Control or Expires speaks against it. The end of a
 * response waits until it is stored. */
#include "http/modules/srcache.h"
#include "core/time.h"
#include "http/error_page.h"
#include "http/parse.h"
#include "http/phases.h"
#include "http/subrequest.h"
#include "http/value.h"

/* What to ask a store. */
typedef struct ask {
    bl_str method;
    bl_value *uri, *args; /* args NULL: none */
} ask;

typedef struct settings {
    ask *fetch, *store;
    int64_t max_size; /* of what is stored; 0: any */
} settings;

typedef struct state {
    bool fetched;    /* asked the store */
    bool from_store; /* … and it had it */
    bool storing;
    bl_str head;
    bl_chain body; /* copies of what went by */
    int64_t size;
    bl_chain held;   /* the end, until it is stored */
    bl_request *sub; /* that stores it */
} state;

#define SETTINGS(r) ((const settings *)BL_LOC_SETTINGS(r, bl_srcache_module))

static state *state_of(bl_request *r)
{
    state *st = bl_request_ctx(r, &bl_srcache_module);

    if (st == NULL) {
        st = BL_NEW(r->pool, state);
        bl_chain_init(&st->body);
        bl_chain_init(&st->held);
        bl_request_set_ctx(r, &bl_srcache_module, st);
    }
    return st;
}

static bl_request *start(bl_request *r, const ask *a, bl_str *body, void (*done)(bl_request *sub))
{
    bl_subrequest_options options = {.uri = bl_value_eval(r, a->uri),
                                     .args = a->args ? bl_value_eval(r, a->args) : BL_STR_NONE,
                                     .method = bl_method_of(a->method),
                                     .method_name = a->method,
                                     .capture = true,
                                     .body = body,
                                     .done = done};

    return bl_subrequest_new(r, &options);
}

/* Fields that are for one client, for one connection, or are made anew. */
static bool is_left_out(bl_str name)
{
    static const bl_str names[] = {
        BL_STR_INIT("Set-Cookie"),
        BL_STR_INIT("Connection"),
        BL_STR_INIT("Keep-Alive"),
        BL_STR_INIT("Proxy-Authenticate"),
        BL_STR_INIT("TE"),
        BL_STR_INIT("Proxy-Authorization"),
        BL_STR_INIT("Trailer"),
        BL_STR_INIT("Transfer-Encoding"),
        BL_STR_INIT("Upgrade"),
        BL_STR_INIT("Content-Length"),
        BL_STR_INIT("Proxy-Connection"),
    };

    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        if (bl_str_ieq(name, names[i]))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------- fetching */

static bl_str next_line(bl_str *text)
{
    ssize_t lf = bl_str_chr(*text, '\n');
    bl_str line = lf < 0 ? *text : bl_str_of(text->p, (size_t)lf);
    size_t used = lf < 0 ? text->len : (size_t)lf + 1;

    *text = bl_str_of(text->p + used, text->len - used);
    if (line.len && line.p[line.len - 1] == '\r')
        line.len--;
    return line;
}

static void use_field(bl_request *r, bl_str line)
{
    bl_parsed_field f;

    if (!bl_parse_field(line, &f) || is_left_out(f.name))
        return;
    if (bl_str_ieq(f.name, BL_STR("Content-Type"))) {
        r->out.content_type = f.value;
        r->out.charset_done = bl_str_ifind(f.value, BL_STR("charset=")) >= 0;
    } else if (bl_str_ieq(f.name, BL_STR("Location")) && f.value.len)
        r->out.location = f.value;
    else
        bl_headers_add(&r->out.headers, r->pool, f.name, f.value);
}

bool bl_srcache_parse(bl_str text, int *status, bl_str *fields, bl_str *body)
{
    bl_str line = next_line(&text), rest = text;
    int64_t number = -1;

    if (line.len >= 12 && bl_str_starts(line, BL_STR("HTTP/1.")))
        number = bl_str_to_int(bl_str_of(line.p + 9, 3));
    if (number < 200 || number > 599)
        return false;
    while ((line = next_line(&rest)).len)
        ;
    *status = (int)number;
    *fields = bl_str_of(text.p, text.len - rest.len);
    *body = rest;
    return true;
}

/* Sends a stored response. False: the text is none. */
static bool use_stored(bl_request *r, bl_str text, bl_step *step)
{
    bl_str fields, body, line;
    int status;

    if (!bl_srcache_parse(text, &status, &fields, &body)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "srcache_fetch: no response in what was found");
        return false;
    }
    while ((line = next_line(&fields)).len)
        use_field(r, line);
    *step = bl_output_text(r, status, r->out.content_type, body);
    return true;
}

static bl_str text_of(bl_request *r, bl_chain *chain)
{
    char *text = bl_pool_bytes(r->pool, (size_t)bl_chain_len(chain) + 1), *at = text;

    for (bl_buf *b; (b = bl_chain_shift(chain)) != NULL;) {
        if (!bl_buf_in_file(b) && b->last > b->pos)
            at = bl_str_put(at, bl_str_of(b->pos, (size_t)(b->last - b->pos)));
        bl_buf_done(b);
    }
    return bl_str_of(text, (size_t)(at - text));
}

static void fetched(bl_request *sub)
{
    bl_request *r = sub->parent;
    state *st = state_of(r);
    bl_step step = BL_NEXT;

    if (sub->sub->status == 200 && !sub->sub->truncated)
        st->from_store = use_stored(r, text_of(r, &sub->sub->body), &step);
    bl_request_wake(r, st->from_store ? step : BL_NEXT);
}

static bl_step fetch(bl_request *r)
{
    state *st = state_of(r);

    if (st->fetched || !bl_request_is_main(r) || !(r->method & (BL_M_GET | BL_M_HEAD)))
        return BL_NEXT;
    st->fetched = true;
    return start(r, SETTINGS(r)->fetch, NULL, fetched) ? BL_WAIT : BL_NEXT;
}

/* ------------------------------------------------------------- storing */

static bl_str add_line(bl_request *r, bl_str text, bl_str name, bl_str value)
{
    return bl_pool_printf(r->pool, "%.*s%.*s: %.*s\r\n", BL_STR_ARG(text), BL_STR_ARG(name),
                          BL_STR_ARG(value));
}

static bl_str type_of(bl_request *r)
{
    const bl_response *o = &r->out;
    bl_str parts[] = {o->content_type, BL_STR("; charset="), o->charset};

    return o->charset.len && !o->charset_done ? bl_pool_concat(r->pool, parts, 3) : o->content_type;
}

static bl_str head_text(bl_request *r)
{
    const bl_response *o = &r->out;
    bl_str line = o->status_line.p ? o->status_line : bl_status_line(o->status);
    bl_str text = bl_pool_printf(r->pool, "HTTP/1.1 %.*s\r\n", BL_STR_ARG(line));

    if (o->content_type.len)
        text = add_line(r, text, BL_STR("Content-Type"), type_of(r));
    if (o->location.len)
        text = add_line(r, text, BL_STR("Location"), o->location);
    BL_HEADERS_EACH(h, &o->headers)
    {
        if (!is_left_out(h->name))
            text = add_line(r, text, h->name, h->value);
    }
    return bl_pool_printf(r->pool, "%.*s\r\n", BL_STR_ARG(text));
}

/* Cache-Control and Expires (RFC 9111 section 3). */
static bool may_be_shared(const bl_request *r)
{
    static const bl_str against[] = {BL_STR_INIT("private"), BL_STR_INIT("no-store"),
                                     BL_STR_INIT("no-cache"), BL_STR_INIT("max-age=0")};

    BL_HEADERS_EACH(h, &r->out.headers)
    {
        if (bl_str_ieq(h->name, BL_STR("Expires")) &&
            bl_time_parse_http(h->value) <= bl_clock_now.sec)
            return false;
        if (!bl_str_ieq(h->name, BL_STR("Cache-Control")))
            continue;
        for (size_t i = 0; i < BL_COUNTOF(against); i++) {
            if (bl_parse_has_token(h->value, against[i]))
                return false;
        }
    }
    return true;
}

static bool is_storable(const bl_request *r)
{
    int status = r->out.status;

    return may_be_shared(r) && bl_request_is_main(r) && r->method == BL_M_GET && !r->error_page &&
           (status == 200 || status == 301 || status == 302);
}

static bl_step filter_head(bl_request *r)
{
    state *st = state_of(r);

    if (SETTINGS(r)->store == NULL || st->from_store || !is_storable(r))
        return BL_NEXT;
    st->storing = true;
    st->head = head_text(r);
    r->filter_in_memory = true;
    return BL_NEXT;
}

static void keep(bl_request *r, state *st, const bl_buf *b)
{
    const settings *s = SETTINGS(r);

    if (bl_buf_in_file(b)) {
        st->storing = false;
        return;
    }
    if (b->last == b->pos)
        return;
    st->size += b->last - b->pos;
    if (s->max_size && st->size > s->max_size)
        st->storing = false;
    else
        bl_chain_push(
            &st->body,
            bl_buf_ref(r->pool,
                       bl_pool_str(r->pool, bl_str_of(b->pos, (size_t)(b->last - b->pos)))));
}

static void stored(bl_request *sub)
{
    bl_request *r = sub->parent;
    state *st = state_of(r);

    st->sub = NULL;
    bl_output_resume(r, BL_NEXT, &st->held);
}

static void give_up(void *data)
{
    state *st = data;

    if (st->sub)
        bl_subrequest_cancel(st->sub);
}

/* The request is over: the store goes on without it. */
static void leave_store(bl_request *r)
{
    state *st = state_of(r);

    st->sub->sub->done = NULL;
    st->sub = NULL;
    bl_chain_done(&st->held);
}

/* The whole is there: it goes to the store before the end goes on. */
static bl_step store(bl_request *r, state *st)
{
    bl_str body = text_of(r, &st->body), parts[] = {st->head, body};
    bl_str whole = bl_pool_concat(r->pool, parts, 2);

    st->storing = false;
    st->sub = start(r, SETTINGS(r)->store, &whole, stored);
    if (st->sub == NULL)
        return BL_NEXT;
    bl_pool_cleanup(r->pool, give_up, st);
    r->output.abandon = leave_store;
    return BL_WAIT;
}

static bl_step filter_body(bl_request *r, bl_chain *in, bl_chain *out)
{
    state *st = state_of(r);
    bool eof = false;

    for (const bl_buf *b = in->first; b && st->storing; b = b->next) {
        keep(r, st, b);
        eof |= b->eof;
    }
    if (eof && st->storing) {
        bl_chain_append(&st->held, in);
        if (store(r, st) == BL_WAIT)
            return BL_WAIT;
        in = &st->held;
    }
    bl_chain_append(out, in);
    return BL_NEXT;
}

const bl_filter bl_srcache_filter = {.name = "srcache", .head = filter_head, .body = filter_body};

/* ------------------------------------------------------------- directives */

/* METHOD URI [ARGS], or "off". */
static bool read_ask(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    ask *a = BL_NEW(cf->pool, ask);

    *(ask **)field = NULL;
    if (node->count == 2 && bl_str_eq(bl_conf_arg(node, 1), BL_STR("off")))
        return true;
    a->method = bl_conf_arg(node, 1);
    if (node->count == 2 || bl_method_of(a->method) == BL_M_UNKNOWN)
        return bl_conf_error(cf, node, 1, "a method and a URI are expected, or \"off\"");
    a->uri = bl_value_compile(cf, node, 2, bl_conf_arg(node, 2));
    if (node->count == 4 && (a->args = bl_value_compile(cf, node, 3, bl_conf_arg(node, 3))) == NULL)
        return false;
    *(ask **)field = a;
    return a->uri != NULL;
}

static const bl_type type_ask = {"method uri [args] | off", sizeof(ask *), read_ask};

#define LOC(field) BL_LOCATION, offsetof(settings, field)

static const bl_directive directives[] = {
    {"srcache_fetch", BL_IN_HSLI, BL_TAKE123, &type_ask, LOC(fetch)},
    {"srcache_store", BL_IN_HSLI, BL_TAKE123, &type_ask, LOC(store)},
    {"srcache_store_max_size", BL_IN_HSLI, BL_TAKE1, &bl_type_size, LOC(max_size), "0"},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = loc->settings.of[BL_LOCATION][bl_srcache_module.index];

    if (s->fetch)
        bl_location_handler(cf, loc, BL_PHASE_ACCESS, BL_PLACE_SRCACHE, fetch);
    if (s->store)
        bl_location_filter(cf, loc, &bl_srcache_filter);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_srcache_module = {
    .name = "srcache",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .http = &http,
};
