/* charset: names the charset of responses in Content-Type, and recodes bodies from source_charset
 * by the tables that charset_map gives. */
#include "http/modules/charset.h"
#include "http/http_block.h"
#include "http/mime.h"
#include "http/modules/charset_map.h"
#include "http/output.h"
#include "http/request.h"
#include "http/value.h"

typedef struct direction {
    bl_str from, to;
    bl_charset_map *map;
} direction;

typedef struct main_settings {
    bl_array directions; /* direction: two of each charset_map */
} main_settings;

typedef struct settings {
    bl_value *charset, *source; /* "off": none */
    int override;
    bl_mime_set *types;
} settings;

/* A response that is recoded. */
typedef struct recoding {
    const bl_charset_map *map;
    bl_charset_state state;
} recoding;

/* ------------------------------------------------------------- the filter */

static bl_str name_of(bl_request *r, const bl_value *value)
{
    bl_str name = value ? bl_value_eval(r, value) : BL_STR_NONE;

    return bl_str_eq(name, BL_STR("off")) ? BL_STR_NONE : name;
}

static const direction *find_direction(const main_settings *m, bl_str from, bl_str to)
{
    BL_ARRAY_EACH (direction, d, &m->directions) {
        if (bl_str_ieq(d->from, from) && bl_str_ieq(d->to, to))
            return d;
    }
    return NULL;
}

static void begin_recoding(bl_request *r, const direction *d)
{
    recoding *x = BL_NEW(r->pool, recoding);

    x->map = d->map;
    bl_request_set_ctx(r, &bl_charset_module, x);
    r->filter_in_memory = true;
    if (!bl_charset_map_keeps_length(d->map)) {
        r->out.content_length = -1;
        bl_output_no_ranges(r);
    }
}

static bl_step head(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_charset_module);
    bl_response *out = &r->out;

    if (out->charset_done || out->content_type.len == 0 ||
        !bl_mime_set_has(s->types, out->content_type))
        return BL_NEXT;
    if (out->charset.len && !s->override) /* what produced it knows */
        return BL_NEXT;
    bl_str to = name_of(r, s->charset);
    bl_str from = out->charset.len ? out->charset : name_of(r, s->source);
    if (to.len == 0)
        return BL_NEXT;
    bool encoded = bl_headers_find(&out->headers, BL_STR("Content-Encoding"), NULL) != NULL;
    if (from.len && !bl_str_ieq(from, to) && !encoded) {
        const main_settings *m = BL_MAIN_SETTINGS(r, bl_charset_module);
        const direction *d = find_direction(m, from, to);
        if (d == NULL) {
            out->charset = from;
            return BL_NEXT;
        }
        begin_recoding(r, d);
    }
    out->charset = encoded && from.len ? from : to;
    return BL_NEXT;
}

static bl_buf *recode(recoding *x, const bl_buf *b)
{
    bl_str in = bl_str_of(b->pos, (size_t)(b->last - b->pos));
    bl_buf *to = bl_buf_cached(bl_charset_map_room(x->map, in.len));

    to->last = bl_charset_map_recode(x->map, &x->state, in, to->last);
    to->flush = b->flush;
    to->eof = b->eof;
    return to;
}

static bl_step body(bl_request *r, bl_chain *in, bl_chain *out)
{
    recoding *x = bl_request_ctx(r, &bl_charset_module);
    bl_buf *b;

    if (x == NULL) {
        bl_chain_append(out, in);
        return BL_NEXT;
    }
    while ((b = bl_chain_shift(in)) != NULL) {
        if (bl_buf_len(b) == 0) {
            bl_chain_push(out, b);
            continue;
        }
        if (bl_buf_in_file(b)) {
            bl_log_write(BL_LOG_ALERT, r->log, 0, "charset: a piece that is not in memory");
            return BL_CLOSE;
        }
        bl_chain_push(out, recode(x, b));
        bl_buf_done(b);
    }
    return BL_NEXT;
}

const bl_filter bl_charset_filter = {.name = "charset", .head = head};
const bl_filter bl_recode_filter = {.name = "recode", .body = body};

/* ------------------------------------------------------------- configuration */

/* "D18E" as two bytes. False: no hexadecimal bytes, or more than a character has. */
static bool parse_bytes(bl_str hex, char *to, bl_str *bytes)
{
    if (hex.len == 0 || hex.len % 2 || hex.len > 8)
        return false;
    for (size_t i = 0; i < hex.len; i += 2) {
        int64_t byte = bl_str_to_hex(bl_str_of(hex.p + i, 2));
        if (byte < 0)
            return false;
        to[i / 2] = (char)byte;
    }
    *bytes = bl_str_of(to, hex.len / 2);
    return true;
}

static bool read_pair(bl_conf *cf, const bl_conf_node *node, bl_charset_map *there,
                      bl_charset_map *back)
{
    char left[4], right[4];
    bl_str from, to;

    if (node->count != 2)
        return bl_conf_error(cf, node, 0, "invalid parameters number");
    if (!parse_bytes(bl_conf_arg(node, 0), left, &from))
        return bl_conf_error(cf, node, 0, "invalid value \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 0)));
    if (!parse_bytes(bl_conf_arg(node, 1), right, &to) || !bl_charset_map_add(there, from, to) ||
        !bl_charset_map_add(back, to, from))
        return bl_conf_error(cf, node, 1, "invalid value \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 1)));
    return true;
}

static bl_charset_map *add_direction(bl_conf *cf, main_settings *m, bl_str from, bl_str to)
{
    direction *d = bl_array_push(&m->directions);

    d->from = from;
    d->to = to;
    d->map = bl_charset_map_new(cf->pool, bl_str_ieq(from, BL_STR("utf-8")),
                                bl_str_ieq(to, BL_STR("utf-8")));
    return d->map;
}

static bool read_map(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    main_settings *m = bl_http_of(cf)->settings.of[BL_MAIN][bl_charset_module.index];
    bl_str from = bl_conf_arg(node, 1), to = bl_conf_arg(node, 2);
    bool ok = true;

    if (bl_str_ieq(from, to))
        return bl_conf_error(cf, node, 1, "\"charset_map\" between the same charsets \"%.*s\"",
                             BL_STR_ARG(from));
    if (find_direction(m, from, to))
        return bl_conf_error(cf, node, 0, "duplicate \"charset_map\" between \"%.*s\" and \"%.*s\"",
                             BL_STR_ARG(from), BL_STR_ARG(to));
    bl_charset_map *there = add_direction(cf, m, from, to);
    bl_charset_map *back = add_direction(cf, m, to, from);
    for (const bl_conf_node *n = node->children; n; n = n->next)
        ok = read_pair(cf, n, there, back) && ok;
    return ok;
}

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"charset", BL_IN_HSLI, BL_TAKE1, &bl_type_value, FIELD(charset), "off"},
    {"source_charset", BL_IN_HSLI, BL_TAKE1, &bl_type_value, FIELD(source), "off"},
    {"override_charset", BL_IN_HSLI, BL_TAKE_FLAG, &bl_type_flag, FIELD(override), "off"},
    {"charset_types", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_mime_set, FIELD(types), "text/html text/xml text/plain text/vnd.wap.wml application/javascript application/rss+xml"},
    {"charset_map", BL_IN_HTTP, BL_TAKE2 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = read_map},
    {0},
};
// clang-format on

static bool create(bl_conf *cf, int level, void *own)
{
    if (level == BL_MAIN)
        bl_array_init(&((main_settings *)own)->directions, cf->pool, sizeof(direction));
    return true;
}

static bool is_off(const bl_value *value)
{
    return value->constant && bl_str_eq(value->text, BL_STR("off"));
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_charset_module);
    const main_settings *m = bl_settings_of(&loc->settings, BL_MAIN, &bl_charset_module);

    if (is_off(s->charset))
        return true;
    bl_location_filter(cf, loc, &bl_charset_filter);
    if (m->directions.count && (s->override || !is_off(s->source)))
        bl_location_filter(cf, loc, &bl_recode_filter);
    if (is_off(s->source) || !s->source->constant || !s->charset->constant ||
        bl_str_ieq(s->source->text, s->charset->text) ||
        find_direction(m, s->source->text, s->charset->text))
        return true;
    return bl_conf_error(cf, loc->node, 0,
                         "no \"charset_map\" between the charsets \"%.*s\" and \"%.*s\"",
                         BL_STR_ARG(s->source->text), BL_STR_ARG(s->charset->text));
}

static const bl_http_module http = {.compile = compile};

bl_module bl_charset_module = {
    .name = "charset",
    .directives = directives,
    .size = {[BL_MAIN] = sizeof(main_settings), [BL_LOCATION] = sizeof(settings)},
    .create = create,
    .http = &http,
};
