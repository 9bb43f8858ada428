#include "http/upstream/upstream_vars.h"
#include "http/parse.h"
#include "http/upstream/upstream.h"
#include "http/variable.h"

enum {
    TRY_MAX = 64 /* bytes of one try's number with its separator */
};

/* ------------------------------------------------------------- a value for each try */

typedef char *(*put_fn)(char *at, const bl_upstream_try *t);

static char *put_dash(char *at)
{
    *at++ = '-';
    return at;
}

static char *put_seconds(char *at, int64_t ms)
{
    if (ms < 0)
        return put_dash(at);
    at = bl_u64_write(at, (uint64_t)ms / 1000);
    *at++ = '.';
    *at++ = (char)('0' + ms / 100 % 10);
    *at++ = (char)('0' + ms / 10 % 10);
    *at++ = (char)('0' + ms % 10);
    return at;
}

static char *put_peer(char *at, const bl_upstream_try *t)
{
    return bl_str_put(at, t->peer);
}

static char *put_status(char *at, const bl_upstream_try *t)
{
    return t->status ? bl_u64_write(at, (uint64_t)t->status) : put_dash(at);
}

static char *put_connect_time(char *at, const bl_upstream_try *t)
{
    return put_seconds(at, t->connect_ms);
}

static char *put_header_time(char *at, const bl_upstream_try *t)
{
    return put_seconds(at, t->header_ms);
}

static char *put_response_time(char *at, const bl_upstream_try *t)
{
    return put_seconds(at, t->response_ms);
}

static char *put_response_length(char *at, const bl_upstream_try *t)
{
    return bl_u64_write(at, (uint64_t)t->body);
}

static char *put_received(char *at, const bl_upstream_try *t)
{
    return bl_u64_write(at, t->received);
}

static char *put_sent(char *at, const bl_upstream_try *t)
{
    return bl_u64_write(at, t->sent);
}

static size_t size_of_all(const bl_upstream_try *t)
{
    size_t size = 0;

    for (; t; t = t->next)
        size += t->peer.len + TRY_MAX;
    return size;
}

static void note_current(bl_upstream *u)
{
    if (u->link && !u->trying->over) {
        u->trying->received = u->link->conn->received - u->link->received_before;
        u->trying->sent = u->link->conn->sent - u->link->sent_before;
    }
}

/* "a, b : c": tries of one upstream, then of the one behind an internal redirect. */
static bool get_tries(bl_request *r, const bl_variable *v, bl_str name BL_UNUSED, bl_str *value)
{
    bl_upstream *u = r->upstream;

    if (u == NULL || u->first_try == NULL)
        return false;
    note_current(u);
    put_fn put = *(const put_fn *)v->data;
    char *text = bl_pool_bytes(r->pool, size_of_all(u->first_try)), *at = text;
    for (const bl_upstream_try *t = u->first_try; t; t = t->next) {
        if (t != u->first_try)
            at = bl_str_put(at, t->redirected ? BL_STR(" : ") : BL_STR(", "));
        at = put(at, t);
    }
    *value = bl_str_of(text, (size_t)(at - text));
    return true;
}

static const put_fn peer = put_peer, status = put_status, connect_time = put_connect_time,
                    header_time = put_header_time, response_time = put_response_time,
                    response_length = put_response_length, received = put_received, sent = put_sent;

/* ------------------------------------------------------------- fields of the response */

/* Is `field` the header that `name` (lower case, '_' for '-') asks for? */
static bool is_named(bl_str field, bl_str name)
{
    if (field.len != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = bl_lower(field.p[i]);
        if ((c == '-' ? '_' : c) != bl_lower(name.p[i]))
            return false;
    }
    return true;
}

static bool join_fields(bl_request *r, const bl_headers *headers, bl_str name, bl_str *value)
{
    bl_str all = BL_STR_NONE;

    for (const bl_header *h = headers->first; h; h = h->next) {
        if (!is_named(h->name, name))
            continue;
        all = all.p == NULL
                  ? h->value
                  : bl_pool_printf(r->pool, "%.*s, %.*s", BL_STR_ARG(all), BL_STR_ARG(h->value));
        if (all.p == NULL)
            all = BL_STR("");
    }
    *value = all;
    return all.p != NULL;
}

static bool get_http(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name, bl_str *value)
{
    return r->upstream && r->upstream->head.headers.tail &&
           join_fields(r, &r->upstream->head.headers, name, value);
}

static bool get_trailer(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name, bl_str *value)
{
    return r->upstream && r->upstream->head.trailers.tail &&
           join_fields(r, &r->upstream->head.trailers, name, value);
}

/* The value in "name=value; attributes". */
static bool cookie_value(bl_str field, bl_str name, bl_str *value)
{
    ssize_t semicolon = bl_str_chr(field, ';');

    if (semicolon >= 0)
        field.len = (size_t)semicolon;
    ssize_t equals = bl_str_chr(field, '=');
    if (equals < 0)
        return false;
    bl_str found = bl_str_of(field.p, (size_t)equals);
    while (found.len && found.p[found.len - 1] == ' ')
        found.len--;
    if (!bl_str_ieq(found, name))
        return false;
    bl_str rest = bl_str_of(field.p + equals + 1, field.len - (size_t)equals - 1);
    while (rest.len && rest.p[0] == ' ')
        rest = bl_str_of(rest.p + 1, rest.len - 1);
    while (rest.len && rest.p[rest.len - 1] == ' ')
        rest.len--;
    *value = rest;
    return true;
}

static bool get_cookie(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name, bl_str *value)
{
    if (r->upstream == NULL || r->upstream->head.headers.tail == NULL)
        return false;
    for (const bl_header *h = r->upstream->head.headers.first; h; h = h->next) {
        if (h->id == BL_H_SET_COOKIE && cookie_value(h->value, name, value))
            return true;
    }
    return false;
}

/* Nothing comes from a cache. */
static bool get_cached(bl_request *r BL_UNUSED, const bl_variable *v BL_UNUSED,
                       bl_str name BL_UNUSED, bl_str *value BL_UNUSED)
{
    return false;
}

#define CACHED(text)                                                                               \
    {                                                                                              \
        .name = BL_STR_INIT(text), .get = get_cached                                               \
    }
#define TRIES(text, what)                                                                          \
    {                                                                                              \
        .name = BL_STR_INIT(text), .get = get_tries, .data = &what, .flags = BL_VAR_VOLATILE       \
    }
#define FAMILY(text, fn)                                                                           \
    {                                                                                              \
        .name = BL_STR_INIT(text), .get = fn, .flags = BL_VAR_PREFIX | BL_VAR_VOLATILE             \
    }

static const bl_variable rows[] = {
    TRIES("upstream_addr", peer),
    TRIES("upstream_status", status),
    TRIES("upstream_connect_time", connect_time),
    TRIES("upstream_header_time", header_time),
    TRIES("upstream_response_time", response_time),
    TRIES("upstream_response_length", response_length),
    TRIES("upstream_bytes_received", received),
    TRIES("upstream_bytes_sent", sent),
    CACHED("upstream_cache_status"),
    CACHED("upstream_cache_last_modified"),
    CACHED("upstream_cache_etag"),
    FAMILY("upstream_http_", get_http),
    FAMILY("upstream_trailer_", get_trailer),
    FAMILY("upstream_cookie_", get_cookie),
    {.name = {NULL, 0}},
};

bool bl_upstream_vars_define(bl_conf *cf)
{
    return bl_var_define_all(cf, rows);
}
