/* memc_pass: a location that is a memcached client, with all commands of the text protocol.
 *
 *   set $memc_cmd set;            without it, the method says: GET get, POST add, PUT set, DELETE
 *   set $memc_key $arg_key;       delete; a key is percent-encoded
 *   set $memc_value $arg_value;   without it, the request's body
 *   set $memc_flags 0; set $memc_exptime 60;
 *   memc_pass 127.0.0.1:11211;
 *
 * What get finds is the response's body; of the other commands the reply itself is (memc_reply.h).
 */
#include "http/modules/memc.h"
#include "core/time.h"
#include "http/escape.h"
#include "http/mime.h"
#include "http/modules/memc_reply.h"
#include "http/upstream/target.h"
#include "http/variable.h"

enum {
    KEY_MAX = 250, /* memcached takes no longer ones */
};

/* A command; `form` says what stands behind its name. */
typedef struct command {
    const char *name;
    enum {
        WITH_KEY,   /* key */
        WITH_VALUE, /* key flags exptime bytes, then the value */
        WITH_DELTA, /* key value */
        WITH_TIME,  /* [exptime] */
        PLAIN,
    } form;
    bl_memc_kind reply;
} command;

static const command commands[] = {
    {"get", WITH_KEY, BL_MEMC_VALUE},      {"set", WITH_VALUE, BL_MEMC_LINE},
    {"add", WITH_VALUE, BL_MEMC_LINE},     {"delete", WITH_KEY, BL_MEMC_LINE},
    {"replace", WITH_VALUE, BL_MEMC_LINE}, {"append", WITH_VALUE, BL_MEMC_LINE},
    {"prepend", WITH_VALUE, BL_MEMC_LINE}, {"incr", WITH_DELTA, BL_MEMC_LINE},
    {"decr", WITH_DELTA, BL_MEMC_LINE},    {"flush_all", WITH_TIME, BL_MEMC_LINE},
    {"stats", PLAIN, BL_MEMC_LIST},        {"version", PLAIN, BL_MEMC_LINE},
};

enum {
    V_CMD,
    V_KEY,
    V_VALUE,
    V_FLAGS,
    V_EXPTIME,
    VARIABLES,
};

typedef struct settings {
    bl_upstream_settings up;
    int allowed; /* bits of `commands`; 0: all */
    int flags_to_last_modified;
    /* not inherited, but by `if` */
    bl_upstream_target target;
    int variable[VARIABLES];
} settings;

/* What a request knows of its own: u->data. */
typedef struct memc {
    const settings *conf;
    const command *command;
    bl_memc_reply reply;
} memc;

static const char *const variable_names[VARIABLES] = {"memc_cmd", "memc_key", "memc_value",
                                                      "memc_flags", "memc_exptime"};
static const bl_upstream_codec codec;

/* ------------------------------------------------------------- the request */

static bool variable(const bl_upstream *u, int which, bl_str *value)
{
    const memc *m = u->data;

    return bl_var_get(u->r, m->conf->variable[which], value) && value->len;
}

static bl_str number_or_zero(const bl_upstream *u, int which)
{
    bl_str value;

    return variable(u, which, &value) ? value : BL_STR("0");
}

static const char *default_command(const bl_request *r)
{
    switch (r->method) {
    case BL_M_GET:
    case BL_M_HEAD:
        return "get";
    case BL_M_POST:
        return "add";
    case BL_M_PUT:
        return "set";
    case BL_M_DELETE:
        return "delete";
    default:
        return NULL;
    }
}

/* 0, or the status to answer. */
static int choose_command(bl_upstream *u, memc *m)
{
    const char *by_method = default_command(u->r);
    bl_str name;

    if (!variable(u, V_CMD, &name)) {
        if (by_method == NULL)
            return 400;
        name = bl_str_c(by_method);
    }
    for (size_t i = 0; i < BL_COUNTOF(commands); i++) {
        if (!bl_str_eq(name, bl_str_c(commands[i].name)))
            continue;
        if (m->conf->allowed && !(m->conf->allowed >> i & 1))
            return 403;
        m->command = &commands[i];
        return 0;
    }
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "unknown $memc_cmd \"%.*s\"", BL_STR_ARG(name));
    return 400;
}

static bl_step missing(const bl_upstream *u, int which)
{
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "the \"$%s\" variable is not set",
                 variable_names[which]);
    return 400;
}

/* The value and its end, as the request's body; -1: there is none. */
static int64_t add_value(bl_upstream *u)
{
    bl_request *r = u->r;
    bl_chain *body = BL_NEW(r->pool, bl_chain);
    bl_str value;

    bl_chain_init(body);
    if (variable(u, V_VALUE, &value)) {
        bl_chain_push(body, bl_buf_ref(r->pool, value));
    } else if (r->body.whole || r->body.data.first) {
        for (const bl_buf *b = r->body.data.first; b; b = b->next) {
            bl_buf *copy = BL_NEW(r->pool, bl_buf);
            *copy = *b;
            copy->release = NULL;
            bl_chain_push(body, copy);
        }
    } else {
        return -1;
    }
    int64_t length = bl_chain_len(body);
    bl_chain_push(body, bl_buf_ref(r->pool, BL_STR("\r\n")));
    u->body = body;
    return length;
}

static bl_str escaped_key(const bl_upstream *u)
{
    bl_str key;

    if (!variable(u, V_KEY, &key))
        return BL_STR_NONE;
    return bl_escape_uri(u->r->pool, key, BL_ESCAPE_COMPONENT);
}

static bl_step build_text(bl_upstream *u, const command *c, bl_str key)
{
    bl_pool *pool = u->r->pool;
    bl_str value;
    int64_t length;

    switch (c->form) {
    case WITH_KEY:
        u->request_head = bl_pool_printf(pool, "%s %.*s\r\n", c->name, BL_STR_ARG(key));
        return BL_NEXT;
    case WITH_VALUE:
        if ((length = add_value(u)) < 0)
            return missing(u, V_VALUE);
        bl_str flags = number_or_zero(u, V_FLAGS), time = number_or_zero(u, V_EXPTIME);
        u->request_head =
            bl_pool_printf(pool, "%s %.*s %.*s %.*s %lld\r\n", c->name, BL_STR_ARG(key),
                           BL_STR_ARG(flags), BL_STR_ARG(time), (long long)length);
        return BL_NEXT;
    case WITH_DELTA:
        if (!variable(u, V_VALUE, &value))
            return missing(u, V_VALUE);
        u->request_head =
            bl_pool_printf(pool, "%s %.*s %.*s\r\n", c->name, BL_STR_ARG(key), BL_STR_ARG(value));
        return BL_NEXT;
    case WITH_TIME:
        if (variable(u, V_EXPTIME, &value)) {
            u->request_head = bl_pool_printf(pool, "%s %.*s\r\n", c->name, BL_STR_ARG(value));
            return BL_NEXT;
        }
        break;
    case PLAIN:
        break;
    }
    u->request_head = bl_pool_printf(pool, "%s\r\n", c->name);
    return BL_NEXT;
}

static bool is_number(bl_str s, int64_t max)
{
    int64_t n = bl_str_to_int(s);

    return n >= 0 && n <= max;
}

static bool is_time(bl_str s)
{
    if (s.len && s.p[0] == '-')
        s = bl_str_of(s.p + 1, s.len - 1);
    return is_number(s, INT32_MAX);
}

/* Would memcached take the line for a command? If not, it would read the value behind it, which may
 * be what a client has sent, as commands. */
static bool is_wellformed(const bl_upstream *u, const command *c, bl_str key)
{
    bl_str value;

    if (key.len > KEY_MAX)
        return false;
    if (variable(u, V_FLAGS, &value) && !is_number(value, UINT32_MAX))
        return false;
    if (variable(u, V_EXPTIME, &value) && !is_time(value))
        return false;
    return c->form != WITH_DELTA || !variable(u, V_VALUE, &value) || is_number(value, INT64_MAX);
}

static bl_step build(bl_upstream *u)
{
    static const bl_chain nothing;
    const memc *m = u->data;
    const command *c = m->command;
    bl_str key = escaped_key(u);

    u->body = &nothing;
    if (c->form <= WITH_DELTA && key.len == 0)
        return missing(u, V_KEY);
    if (!is_wellformed(u, c, key)) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0,
                     "a key of more than %d bytes, or something else than a number for memcached",
                     KEY_MAX);
        return 400;
    }
    return build_text(u, c, key);
}

static const bl_upstream_module module = {.codec = &codec, .build = build};

/* ------------------------------------------------------------- the reply */

static void reset(bl_upstream *u)
{
    memc *m = u->data;

    m->reply = (bl_memc_reply){.kind = m->command->reply};
    u->head.status = 0;
    u->head.status_line = BL_STR_NONE;
    bl_headers_init(&u->head.headers, u->head.known);
    bl_headers_init(&u->head.trailers, NULL);
    u->head.content_length = -1;
    u->head.keepalive = true;
}

static void add_field(bl_upstream *u, const char *name, bl_str value)
{
    bl_headers_add(&u->head.headers, u->r->pool, bl_str_c(name), value);
}

static void use_flags(bl_upstream *u, bl_str flags)
{
    const memc *m = u->data;
    int64_t t = bl_str_to_int(flags);
    char text[BL_TIME_HTTP_LEN];

    if (!m->conf->flags_to_last_modified || t < 0)
        return;
    bl_time_http(text, (time_t)t);
    add_field(u, "Last-Modified", bl_pool_str(u->r->pool, bl_str_of(text, sizeof text)));
}

static void describe(bl_upstream *u, const bl_memc_reply *reply)
{
    u->head.status = u->trying->status = reply->status;
    u->head.content_length = reply->length;
    if (reply->status == 502) {
        u->head.keepalive = false; /* it may have understood something else than we said */
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "memcached sent \"%.*s\"", BL_STR_ARG(reply->line));
    }
    if (reply->has_end) {
        use_flags(u, reply->flags);
        add_field(u, "Content-Type", bl_mime_of(u->r));
    } else if (reply->length != 0) {
        add_field(u, "Content-Type", BL_STR("text/plain"));
    }
}

static bl_status parse_head(bl_upstream *u)
{
    memc *m = u->data;
    bl_buf *in = u->in;
    size_t used;
    bl_status status =
        bl_memc_reply_head(&m->reply, bl_str_of(in->pos, (size_t)(in->last - in->pos)), &used);

    if (status == BL_ERROR)
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "memcached sent invalid %s \"%.*s\"",
                     m->reply.has_end ? "length in response" : "response",
                     BL_STR_ARG(m->reply.line));
    if (status != BL_OK)
        return status;
    in->pos += used;
    describe(u, &m->reply);
    return BL_OK;
}

/* Takes the end of a value off the front of *in. */
static bl_upstream_piece take_end(bl_upstream *u, bl_str *in)
{
    memc *m = u->data;
    size_t used;
    bl_status status = bl_memc_reply_end(&m->reply, *in, &used);

    if (status == BL_ERROR) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "memcached sent invalid trailer");
        return BL_UP_BAD;
    }
    *in = bl_str_of(in->p + used, in->len - used);
    return status == BL_OK ? BL_UP_END : BL_UP_MORE;
}

static bl_upstream_piece take_piece(bl_str *in, size_t n, bl_str *piece)
{
    if (n == 0)
        return BL_UP_MORE;
    *piece = bl_str_of(in->p, n);
    *in = bl_str_of(in->p + n, in->len - n);
    return BL_UP_DATA;
}

static bl_upstream_piece parse_body(bl_upstream *u, bl_str *in, bl_str *piece)
{
    memc *m = u->data;
    size_t n;

    if (m->reply.length < 0) {
        if (bl_memc_reply_list(&m->reply, *in, &n) == BL_OK && n == 0)
            return BL_UP_END;
        return take_piece(in, n, piece);
    }
    if (u->body_left == 0)
        return m->reply.has_end ? take_end(u, in) : BL_UP_END;
    n = (size_t)BL_MIN((int64_t)in->len, u->body_left);
    u->body_left -= (int64_t)n;
    return take_piece(in, n, piece);
}

static const bl_upstream_codec codec = {
    .name = "memcached",
    .reset = reset,
    .parse_head = parse_head,
    .parse_body = parse_body,
};

/* ------------------------------------------------------------- the handler */

static bl_step serve(bl_request *r)
{
    const settings *conf = BL_LOC_SETTINGS(r, bl_memc_module);

    if (conf->target.value == NULL)
        return 500;
    bl_upstream *u = bl_upstream_new(r, &conf->up, &module);
    memc *m = BL_NEW(r->pool, memc);
    m->conf = conf;
    u->data = m;
    u->owner = conf;
    u->scheme = BL_STR("memcached://");
    int status = choose_command(u, m);
    if (status == 0)
        status = bl_upstream_target_aim(u, &conf->target);
    return status ? status : bl_upstream_start(u);
}

/* ------------------------------------------------------------- directives */

static bool read_pass(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    settings *conf = field;

    ((bl_location *)cf->block)->content = serve;
    for (int i = 0; i < VARIABLES; i++)
        conf->variable[i] = bl_var_index(cf, bl_str_c(variable_names[i]));
    return bl_upstream_target_read(cf, node, &conf->target);
}

static const bl_conf_word_value command_words[] = {
    {"get", 1 << 0},     {"set", 1 << 1},       {"add", 1 << 2},     {"delete", 1 << 3},
    {"replace", 1 << 4}, {"append", 1 << 5},    {"prepend", 1 << 6}, {"incr", 1 << 7},
    {"decr", 1 << 8},    {"flush_all", 1 << 9}, {"stats", 1 << 10},  {"version", 1 << 11},
    {NULL, 0},
};

static const bl_conf_word_value next_words[] = {
    {"error", BL_UP_ERROR},
    {"timeout", BL_UP_TIMEOUT},
    {"invalid_response", BL_UP_INVALID_HEADER},
    {"not_found", BL_UP_HTTP_404},
    {"off", BL_UP_OFF},
    {NULL, 0},
};

#define LOC(field) BL_LOCATION, offsetof(settings, field)
#define UP(field)  BL_LOCATION, offsetof(settings, up.field)

// clang-format off
static const bl_directive directives[] = {
    {"memc_pass", BL_IN_LOCATION | BL_IN_LOCATION_IF, BL_TAKE1, &bl_type_action, BL_LOCATION, .set = read_pass},
    {"memc_cmds_allowed", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, LOC(allowed), .arg = command_words},
    {"memc_flags_to_last_modified", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(flags_to_last_modified), "off"},
    {"memc_connect_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(connect_timeout), "60s"},
    {"memc_send_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(send_timeout), "60s"},
    {"memc_read_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, UP(read_timeout), "60s"},
    {"memc_buffer_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, UP(buffer_size), "4k"},
    {"memc_ignore_client_abort", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, UP(ignore_client_abort), "off"},
    {"memc_next_upstream", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, UP(next_upstream), "error timeout", .arg = next_words},
    {0},
};
// clang-format on

/* `if` goes where the location around it goes. */
static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    const settings *outer = parent;
    settings *conf = child;
    bl_location *loc = cf->block;

    if (level != BL_LOCATION)
        return true;
    if (outer && loc && loc->kind == BL_LOC_IF && conf->target.value == NULL) {
        conf->target = outer->target;
        memcpy(conf->variable, outer->variable, sizeof conf->variable);
    }
    bl_upstream_target_settle(&conf->up);
    conf->up.intercept_404 = true;
    return bl_upstream_settings_compile(cf, &conf->up, NULL, 0);
}

/* Until `set` gives them a value they have none. */
static bool get_nothing(bl_request *r BL_UNUSED, const bl_variable *v BL_UNUSED,
                        bl_str name BL_UNUSED, bl_str *value BL_UNUSED)
{
    return false;
}

static bool define_variables(bl_conf *cf)
{
    for (int i = 0; i < VARIABLES; i++) {
        if (bl_var_define(cf, bl_str_c(variable_names[i]), get_nothing, NULL, NULL,
                          BL_VAR_CHANGEABLE | BL_VAR_WEAK) == NULL)
            return false;
    }
    return true;
}

static const bl_http_module http = {.variables = define_variables};

bl_module bl_memc_module = {
    .name = "memc",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .merge = merge,
    .http = &http,
};
