/* add_header, expires, add_trailer: fields that the configuration adds to responses.
 *
 * Those of the level around are inherited when a level has none of its own; add_header_inherit says
 * otherwise: `merge` keeps both, `off` neither. Trailers are evaluated when the body has passed, so
 * that they can tell what became of it. */
#include "http/modules/headers.h"
#include "core/time.h"
#include "http/core_module.h"
#include "http/escape.h"
#include "http/modules/expires.h"
#include "http/output.h"
#include "http/request.h"
#include "http/value.h"

typedef struct field {
    bl_str name;
    bl_value *value;
    bool always; /* whatever the status */
} field;

enum {
    INHERIT_OFF,
    INHERIT_ON,
    INHERIT_MERGE,
};

typedef struct settings {
    bl_array *headers, *trailers; /* field */
    int inherit_headers, inherit_trailers;
    bl_expires *expires;
} settings;

static const settings *settings_of(const bl_request *r)
{
    return BL_LOC_SETTINGS(r, bl_headers_module);
}

/* ------------------------------------------------------------- heads */

/* Statuses whose responses are what was asked for, in a wide sense. */
static bool is_usual(int status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static void set_last_modified(bl_request *r, bl_str value)
{
    time_t time = bl_time_parse_http(value);
    char text[BL_TIME_HTTP_LEN];

    r->out.last_modified = -1;
    bl_headers_remove(&r->out.headers, BL_STR("Last-Modified"));
    if (value.len == 0)
        return;
    if (time >= 0 && bl_str_eq(value, bl_str_of(text, (size_t)(bl_time_http(text, time) - text))))
        r->out.last_modified = time;
    else
        bl_headers_add(&r->out.headers, r->pool, BL_STR("Last-Modified"), value);
}

static void set_etag(bl_request *r, bl_str value)
{
    bl_headers_remove(&r->out.headers, BL_STR("ETag"));
    r->out.etag = value.len ? value : BL_STR_NONE;
}

static void add(bl_request *r, const field *f)
{
    bl_str value = bl_escape_line(r->pool, bl_value_eval(r, f->value));
    uint32_t hash = bl_header_hash(f->name);
    bl_header_id id = bl_header_identify(f->name, hash);

    if (id == BL_H_LAST_MODIFIED)
        set_last_modified(r, value);
    else if (id == BL_H_ETAG)
        set_etag(r, value);
    else if (value.len)
        bl_headers_add_known(&r->out.headers, r->pool, f->name, value, hash, id);
}

static bool has_trailers(const settings *s, bool usual)
{
    BL_ARRAY_EACH (field, f, s->trailers) {
        if (usual || f->always)
            return true;
    }
    return false;
}

static bl_step head(bl_request *r)
{
    const settings *s = settings_of(r);
    bool usual = is_usual(r->out.status);

    if (!bl_request_is_main(r))
        return BL_NEXT;
    if (s->expires && usual)
        bl_expires_apply(r, s->expires);
    BL_ARRAY_EACH (field, f, s->headers) {
        if (usual || f->always)
            add(r, f);
    }
    r->out.expect_trailers |= has_trailers(s, usual);
    return BL_NEXT;
}

const bl_filter bl_headers_filter = {.name = "headers", .head = head};

/* ------------------------------------------------------------- trailers */

static bool ends(const bl_chain *chain)
{
    for (const bl_buf *b = chain->first; b; b = b->next) {
        if (b->eof)
            return true;
    }
    return false;
}

static bl_step trailers_body(bl_request *r, bl_chain *in, bl_chain *out)
{
    const settings *s = settings_of(r);
    bool usual = is_usual(r->out.status);

    if (bl_request_is_main(r) && ends(in)) {
        BL_ARRAY_EACH (field, f, s->trailers) {
            bl_str value = usual || f->always ? bl_value_eval(r, f->value) : BL_STR_NONE;
            if (value.len)
                bl_headers_add(&r->out.trailers, r->pool, f->name, bl_escape_line(r->pool, value));
        }
    }
    bl_chain_append(out, in);
    return BL_NEXT;
}

const bl_filter bl_trailers_filter = {.name = "trailers", .body = trailers_body};

/* ------------------------------------------------------------- configuration */

static bool read_field(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *to)
{
    bl_array **fields = to;

    if (*fields == BL_UNSET_PTR)
        *fields = bl_array_new(cf->pool, sizeof(field));
    field *f = bl_array_push(*fields);
    f->name = bl_conf_arg(node, 1);
    f->value = bl_value_compile(cf, node, 2, bl_conf_arg(node, 2));
    if (f->value == NULL)
        return false;
    f->always = node->count == 4;
    return !f->always || bl_str_eq(bl_conf_arg(node, 3), BL_STR("always")) ||
           bl_conf_error(cf, node, 3, "invalid parameter \"%.*s\"",
                         BL_STR_ARG(bl_conf_arg(node, 3)));
}

static const bl_type type_fields = {"name value [always]", sizeof(bl_array *), read_field};

static const bl_conf_word_value inherit_words[] = {
    {"off", INHERIT_OFF}, {"on", INHERIT_ON}, {"merge", INHERIT_MERGE}, {NULL, 0}};

enum {
    IN_LOCATION_TOO = BL_IN_HSLI,
};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"expires", IN_LOCATION_TOO, BL_TAKE12, &bl_type_expires, FIELD(expires), "off"},
    {"add_header", IN_LOCATION_TOO, BL_TAKE23 | BL_REPEATS, &type_fields, FIELD(headers)},
    {"add_header_inherit", IN_LOCATION_TOO, BL_TAKE1, &bl_type_enum, FIELD(inherit_headers), "on", .arg = inherit_words},
    {"add_trailer", IN_LOCATION_TOO, BL_TAKE23 | BL_REPEATS, &type_fields, FIELD(trailers)},
    {"add_trailer_inherit", IN_LOCATION_TOO, BL_TAKE1, &bl_type_enum, FIELD(inherit_trailers), "on", .arg = inherit_words},
    {0},
};
// clang-format on

/* The fields of a level, given its own (or the inherited) ones and those around. */
static bl_array *inherit(bl_conf *cf, int how, bl_array *outer, bl_array *own)
{
    if (how == INHERIT_ON || outer == NULL)
        return own;
    if (how == INHERIT_OFF)
        return own == outer ? NULL : own;
    if (own == outer || own == NULL)
        return outer;
    bl_array *both = bl_array_new(cf->pool, sizeof(field));
    BL_ARRAY_EACH (field, f, outer)
        *(field *)bl_array_push(both) = *f;
    BL_ARRAY_EACH (field, f, own)
        *(field *)bl_array_push(both) = *f;
    return both;
}

static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    const settings *outer = parent;
    settings *s = child;

    if (level != BL_LOCATION || outer == NULL)
        return true;
    s->headers = inherit(cf, s->inherit_headers, outer->headers, s->headers);
    s->trailers = inherit(cf, s->inherit_trailers, outer->trailers, s->trailers);
    return true;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_headers_module);

    if (s->headers || s->trailers || s->expires->kind != BL_EXPIRES_OFF)
        bl_location_filter(cf, loc, &bl_headers_filter);
    if (s->trailers)
        bl_location_filter(cf, loc, &bl_trailers_filter);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_headers_module = {
    .name = "headers",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .merge = merge,
    .http = &http,
};
