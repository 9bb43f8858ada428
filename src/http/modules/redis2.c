/* redis2_pass: a location that asks a Redis server; the replies are the body as they come.
 *
 *   redis2_query get $arg_key;                 one command and its arguments; several go together
 *   redis2_literal_raw_query 'get a\r\n';      bytes as they are, one reply
 *   redis2_raw_query $request_body;            the same with variables
 *   redis2_raw_queries 2 $request_body;        … and so many replies
 *   redis2_pass 127.0.0.1:6379;
 *
 * redis2_reply.h finds where the last reply ends. */
#include "http/modules/redis2.h"
#include "http/mime.h"
#include "http/modules/redis2_reply.h"
#include "http/upstream/target.h"

typedef struct query {
    bl_value **words;
    int count;
} query;

typedef struct settings {
    bl_upstream_settings up;
    bl_array *queries; /* query */
    bl_value *raw, *raw_count;
    bl_str literal;
    bl_upstream_target target;
} settings;

/* What a request knows of its own: u->data. */
typedef struct redis {
    const settings *conf;
    int64_t asked;
    bl_redis2_replies replies;
} redis;

static const bl_upstream_codec codec;

/* ------------------------------------------------------------- the request */

static bl_str query_text(bl_request *r, const query *q)
{
    bl_str text = bl_pool_printf(r->pool, "*%d\r\n", q->count);

    for (int i = 0; i < q->count; i++) {
        bl_str word = bl_value_eval(r, q->words[i]);
        bl_str length = bl_pool_printf(r->pool, "$%zu\r\n", word.len);
        bl_str parts[] = {text, length, word, BL_STR("\r\n")};
        text = bl_pool_concat(r->pool, parts, 4);
    }
    return text;
}

static bl_step build_raw(bl_upstream *u, redis *d)
{
    d->asked = 1;
    if (d->conf->raw_count)
        d->asked = bl_str_to_int(bl_value_eval(u->r, d->conf->raw_count));
    u->request_head = d->conf->raw ? bl_value_eval(u->r, d->conf->raw) : d->conf->literal;
    if (d->asked > 0 && u->request_head.len)
        return BL_NEXT;
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "no query for redis, or a bad number of queries");
    return 500;
}

static bl_step build(bl_upstream *u)
{
    static const bl_chain nothing;
    redis *d = u->data;
    bl_str text = BL_STR("");

    u->body = &nothing;
    if (d->conf->raw || d->conf->literal.len)
        return build_raw(u, d);
    d->asked = 0;
    BL_ARRAY_EACH (query, q, d->conf->queries) {
        bl_str parts[] = {text, query_text(u->r, q)};
        text = bl_pool_concat(u->r->pool, parts, 2);
        d->asked++;
    }
    u->request_head = text;
    if (d->asked)
        return BL_NEXT;
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "no query for redis");
    return 500;
}

static const bl_upstream_module module = {.codec = &codec, .build = build};

/* ------------------------------------------------------------- the replies */

static void reset(bl_upstream *u)
{
    redis *d = u->data;

    bl_redis2_replies_await(&d->replies, d->asked);
    u->head.status = 0;
    u->head.status_line = BL_STR_NONE;
    bl_headers_init(&u->head.headers, u->head.known);
    bl_headers_init(&u->head.trailers, NULL);
    u->head.content_length = -1;
    u->head.keepalive = true;
}

static bl_status parse_head(bl_upstream *u)
{
    if (u->in->pos == u->in->last)
        return BL_AGAIN;
    if (!bl_redis2_replies_begin(u->in->pos[0])) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "redis sent invalid response");
        return BL_ERROR;
    }
    u->head.status = u->trying->status = 200;
    bl_headers_add(&u->head.headers, u->r->pool, BL_STR("Content-Type"), bl_mime_of(u->r));
    return BL_OK;
}

static bl_upstream_piece parse_body(bl_upstream *u, bl_str *in, bl_str *piece)
{
    redis *d = u->data;
    size_t n;

    if (d->replies.awaited == 0)
        return BL_UP_END;
    if (in->len == 0)
        return BL_UP_MORE;
    if (bl_redis2_replies_take(&d->replies, *in, &n) == BL_ERROR) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "redis sent invalid response");
        return BL_UP_BAD;
    }
    *piece = bl_str_of(in->p, n);
    *in = bl_str_of(in->p + n, in->len - n);
    return BL_UP_DATA;
}

static const bl_upstream_codec codec = {
    .name = "redis",
    .reset = reset,
    .parse_head = parse_head,
    .parse_body = parse_body,
};

/* ------------------------------------------------------------- the handler */

static bl_step serve(bl_request *r)
{
    const settings *conf = BL_LOC_SETTINGS(r, bl_redis2_module);

    if (conf->target.value == NULL)
        return 500;
    bl_upstream *u = bl_upstream_new(r, &conf->up, &module);
    redis *d = BL_NEW(r->pool, redis);
    d->conf = conf;
    u->data = d;
    u->owner = conf;
    u->scheme = BL_STR("redis2://");
    int status = bl_upstream_target_aim(u, &conf->target);
    return status ? status : bl_upstream_start(u);
}

/* ------------------------------------------------------------- directives */

static bool read_pass(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    settings *conf = field;

    ((bl_location *)cf->block)->content = serve;
    return bl_upstream_target_read(cf, node, &conf->target);
}

static bool read_query(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    settings *conf = field;

    if (conf->queries == NULL)
        conf->queries = bl_array_new(cf->pool, sizeof(query));
    query *q = bl_array_push(conf->queries);
    q->count = node->count - 1;
    q->words = BL_NEW_ARRAY(cf->pool, bl_value *, (size_t)q->count);
    for (int i = 0; i < q->count; i++) {
        q->words[i] = bl_value_compile(cf, node, i + 1, bl_conf_arg(node, i + 1));
        if (q->words[i] == NULL)
            return false;
    }
    return true;
}

/* redis2_raw_query QUERIES; redis2_raw_queries N QUERIES */
static bool read_raw(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    settings *conf = field;
    int last = node->count - 1;

    if (last == 2 &&
        (conf->raw_count = bl_value_compile(cf, node, 1, bl_conf_arg(node, 1))) == NULL)
        return false;
    conf->raw = bl_value_compile(cf, node, last, bl_conf_arg(node, last));
    return conf->raw != NULL;
}

static bool read_literal(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field)
{
    ((settings *)field)->literal = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    return true;
}

static const bl_conf_word_value next_words[] = {
    {"error", BL_UP_ERROR},
    {"timeout", BL_UP_TIMEOUT},
    {"invalid_response", BL_UP_INVALID_HEADER},
    {"off", BL_UP_OFF},
    {NULL, 0},
};

enum {
    HERE = BL_IN_LOCATION | BL_IN_LOCATION_IF,
};

#define UP(field) BL_LOCATION, offsetof(settings, up.field)

// clang-format off
static const bl_directive directives[] = {
    {"redis2_pass", HERE, BL_TAKE1, &bl_type_action, BL_LOCATION, .set = read_pass},
    {"redis2_query", HERE, BL_TAKE_1MORE | BL_REPEATS, &bl_type_action, BL_LOCATION, .set = read_query},
    {"redis2_raw_query", HERE, BL_TAKE1, &bl_type_action, BL_LOCATION, .set = read_raw},
    {"redis2_raw_queries", HERE, BL_TAKE2, &bl_type_action, BL_LOCATION, .set = read_raw},
    {"redis2_literal_raw_query", HERE, BL_TAKE1, &bl_type_action, BL_LOCATION, .set = read_literal},
    {"redis2_connect_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(connect_timeout), "60s"},
    {"redis2_send_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(send_timeout), "60s"},
    {"redis2_read_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(read_timeout), "60s"},
    {"redis2_buffer_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(buffer_size), "4k"},
    {"redis2_next_upstream", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, UP(next_upstream), "error timeout", .arg = next_words},
    {0},
};
// clang-format on

/* `if` asks what the location around it asks, unless it says where to itself. */
static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    const settings *outer = parent;
    settings *conf = child;
    const bl_location *loc = cf->block;

    if (level != BL_LOCATION)
        return true;
    if (outer && loc && loc->kind == BL_LOC_IF && conf->target.value == NULL) {
        conf->target = outer->target;
        conf->queries = outer->queries;
        conf->raw = outer->raw;
        conf->raw_count = outer->raw_count;
        conf->literal = outer->literal;
    }
    bl_upstream_target_settle(&conf->up);
    return bl_upstream_settings_compile(cf, &conf->up, NULL, 0);
}

bl_module bl_redis2_module = {
    .name = "redis2",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .merge = merge,
};
