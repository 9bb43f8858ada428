/* more_set_headers, more_clear_headers, more_set_input_headers, more_clear_input_headers: fields of
 * responses and requests, set (whatever was there), cleared, by status and type if wished.
 *
 *   more_set_headers [-a] [-s "404 500"] [-t "text/html …"] "Name: value" …
 *   more_clear_headers [-s …] [-t …] Name "X-Hidden-*" …
 *
 * The commands of the levels around come first. Unlike add_header's, they apply to all statuses. */
#include "http/modules/headers_more.h"
#include "core/time.h"
#include "http/escape.h"
#include "http/phases.h"
#include "http/escape.h"
#include "http/request.h"
#include "http/value.h"

typedef struct change {
    bl_str name;
    bl_value *value; /* NULL: cleared */
    bool wildcard;   /* the name stands for all that begin with it */
} change;

typedef struct command {
    bl_array changes;  /* change */
    bl_array statuses; /* int; empty: all */
    bl_array types;    /* bl_str; empty: all */
    bool append;       /* beside what is there */
    bool replace;      /* only where there is one */
} command;

typedef struct settings {
    bl_array *out, *in; /* command */
} settings;

/* ------------------------------------------------------------- fields with places of their own */

static bool is(bl_str name, const char *word)
{
    return bl_str_ieq(name, bl_str_c(word));
}

static void set_content_type(bl_response *out, bl_str value)
{
    ssize_t charset = bl_str_ifind(value, BL_STR("charset="));

    out->content_type = value;
    out->charset_done = charset >= 0; /* it is part of the type as given */
}

/* False: a field like any other. */
static bool set_own(bl_request *r, bl_str name, bl_str value)
{
    bl_response *out = &r->out;

    if (is(name, "Content-Type")) {
        set_content_type(out, value);
        return true;
    }
    if (is(name, "Content-Length")) {
        out->content_length = bl_str_to_int(value);
        return true;
    }
    if (is(name, "Location"))
        out->location = BL_STR_NONE;
    else if (is(name, "Last-Modified"))
        out->last_modified = -1;
    else if (is(name, "ETag"))
        out->etag = BL_STR_NONE;
    else if (is(name, "Accept-Ranges"))
        out->accept_ranges = false;
    else if (is(name, "Server"))
        out->no_server = true;
    else if (is(name, "Date"))
        out->no_date = true;
    return false;
}

static bool has_prefix(const change *c, bl_str name)
{
    return c->wildcard ? bl_str_istarts(name, c->name) : bl_str_ieq(name, c->name);
}

static void clear(bl_headers *headers, const change *c)
{
    BL_HEADERS_EACH(h, headers)
    {
        if (has_prefix(c, h->name))
            bl_header_strike(headers, h);
    }
}

static void clear_own(bl_request *r, const change *c)
{
    static const char *const names[] = {
        "Content-Type", "Content-Length", "Location", "Last-Modified",
        "ETag",         "Accept-Ranges",  "Server",   "Date"};

    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        if (has_prefix(c, bl_str_c(names[i])))
            set_own(r, bl_str_c(names[i]), BL_STR_NONE);
    }
}

/* ------------------------------------------------------------- responses */

static bool is_for_status(const command *c, int status)
{
    BL_ARRAY_EACH (int, s, &c->statuses) {
        if (*s == status)
            return true;
    }
    return c->statuses.count == 0;
}

static bool is_for_type(const command *c, bl_str type)
{
    ssize_t semicolon = bl_str_chr(type, ';');

    if (semicolon >= 0)
        type = bl_str_trim(bl_str_of(type.p, (size_t)semicolon));
    BL_ARRAY_EACH (bl_str, t, &c->types) {
        if (bl_str_ieq(*t, type))
            return true;
    }
    return c->types.count == 0;
}

static bl_str value_of(bl_request *r, const change *c)
{
    return c->value ? bl_escape_line(r->pool, bl_value_eval(r, c->value)) : BL_STR_NONE;
}

static void change_out(bl_request *r, const command *cmd, const change *c)
{
    bl_str value = value_of(r, c);

    if (value.len == 0) {
        clear(&r->out.headers, c);
        clear_own(r, c);
        return;
    }
    if (cmd->append) {
        bl_headers_add(&r->out.headers, r->pool, c->name, value);
        return;
    }
    if (!set_own(r, c->name, value))
        bl_headers_set(&r->out.headers, r->pool, c->name, value);
}

static bl_step head(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_headers_more_module);

    BL_ARRAY_EACH (command, cmd, s->out) {
        if (!is_for_status(cmd, r->out.status) || !is_for_type(cmd, r->out.content_type))
            continue;
        BL_ARRAY_EACH (change, c, &cmd->changes) {
            change_out(r, cmd, c);
        }
    }
    return BL_NEXT;
}

const bl_filter bl_headers_more_filter = {.name = "headers_more", .head = head};

/* ------------------------------------------------------------- requests */

static void change_in(bl_request *r, const command *cmd, const change *c)
{
    bl_str value = value_of(r, c);
    bool there = bl_headers_find(&r->in, c->name, NULL) != NULL;

    if (value.len == 0) {
        clear(&r->in, c);
        return;
    }
    if (cmd->replace && !there)
        return;
    bl_headers_set(&r->in, r->pool, c->name, value);
    if (is(c->name, "Host"))
        r->host = value;
}

static bl_step change_request(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_headers_more_module);
    const bl_header *type = bl_headers_known(&r->in, BL_H_CONTENT_TYPE);

    BL_ARRAY_EACH (command, cmd, s->in) {
        if (!is_for_type(cmd, type ? type->value : BL_STR_NONE))
            continue;
        BL_ARRAY_EACH (change, c, &cmd->changes) {
            change_in(r, cmd, c);
        }
    }
    return BL_NEXT;
}

/* ------------------------------------------------------------- configuration */

static bool read_statuses(bl_conf *cf, const bl_conf_node *node, int word, bl_array *to)
{
    bl_str rest = bl_str_trim(bl_conf_arg(node, word));

    while (rest.len) {
        ssize_t space = bl_str_chr(rest, ' ');
        size_t len = space < 0 ? rest.len : (size_t)space;
        int64_t status = bl_str_to_int(bl_str_of(rest.p, len));
        if (status <= 0 || status > 999)
            return bl_conf_error(cf, node, word, "invalid status \"%.*s\"", BL_STR_ARG(rest));
        *(int *)bl_array_push(to) = (int)status;
        rest = bl_str_trim(bl_str_of(rest.p + len, rest.len - len));
    }
    return true;
}

static void read_types(bl_str rest, bl_array *to)
{
    for (rest = bl_str_trim(rest); rest.len;) {
        ssize_t space = bl_str_chr(rest, ' ');
        size_t len = space < 0 ? rest.len : (size_t)space;
        *(bl_str *)bl_array_push(to) = bl_str_of(rest.p, len);
        rest = bl_str_trim(bl_str_of(rest.p + len, rest.len - len));
    }
}

/* "Name: value", "Name:" and "Name" (cleared), "Pre*" (cleared). */
static bool read_change(bl_conf *cf, const bl_conf_node *node, int word, bool set, command *cmd)
{
    change *c = bl_array_push(&cmd->changes);
    bl_str text = bl_conf_arg(node, word);
    ssize_t colon = set ? bl_str_chr(text, ':') : -1;

    c->name = bl_str_trim(colon < 0 ? text : bl_str_of(text.p, (size_t)colon));
    if (colon >= 0) {
        bl_str value = bl_str_of(text.p + colon + 1, text.len - (size_t)colon - 1);
        c->value = bl_value_compile(cf, node, word, bl_str_trim(value));
        if (c->value == NULL)
            return false;
    } else if (c->name.len > 1 && c->name.p[c->name.len - 1] == '*') {
        c->wildcard = true;
        c->name.len--;
    }
    return c->name.len > 0 || bl_conf_error(cf, node, word, "empty header name");
}

/* An option at `word`; *used: how many words it took, 0: it is none. */
static bool read_option(bl_conf *cf, const bl_conf_node *node, int word, command *cmd, int *used)
{
    bl_str option = bl_conf_arg(node, word);
    bool has_more = word + 1 < node->count;

    *used = 1;
    if (bl_str_eq(option, BL_STR("-a")))
        cmd->append = true;
    else if (bl_str_eq(option, BL_STR("-r")))
        cmd->replace = true;
    else if (bl_str_eq(option, BL_STR("-t")) || bl_str_eq(option, BL_STR("-s")))
        *used = 2;
    else
        *used = 0;
    if (*used < 2)
        return true;
    if (!has_more)
        return bl_conf_error(cf, node, word, "option takes an argument: \"%.*s\"",
                             BL_STR_ARG(option));
    if (option.p[1] == 's')
        return read_statuses(cf, node, word + 1, &cmd->statuses);
    read_types(bl_conf_arg(node, word + 1), &cmd->types);
    return true;
}

static bool read_command(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field)
{
    bl_array **commands = field;
    int used;

    if (*commands == BL_UNSET_PTR)
        *commands = bl_array_new(cf->pool, sizeof(command));
    command *cmd = bl_array_push(*commands);
    bl_array_init(&cmd->changes, cf->pool, sizeof(change));
    bl_array_init(&cmd->statuses, cf->pool, sizeof(int));
    bl_array_init(&cmd->types, cf->pool, sizeof(bl_str));
    for (int i = 1; i < node->count; i += BL_MAX(used, 1)) {
        if (!read_option(cf, node, i, cmd, &used))
            return false;
        if (used == 0 && !read_change(cf, node, i, d->arg != NULL, cmd))
            return false;
    }
    return true;
}

static const bl_type type_command = {"[-a] [-r] [-s statuses] [-t types] field …",
                                     sizeof(bl_array *), read_command};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"more_set_headers", BL_IN_HSLI, BL_TAKE_1MORE | BL_REPEATS, &type_command, FIELD(out), .arg = "set"},
    {"more_clear_headers", BL_IN_HSLI, BL_TAKE_1MORE | BL_REPEATS, &type_command, FIELD(out)},
    {"more_set_input_headers", BL_IN_HSLI, BL_TAKE_1MORE | BL_REPEATS, &type_command, FIELD(in), .arg = "set"},
    {"more_clear_input_headers", BL_IN_HSLI, BL_TAKE_1MORE | BL_REPEATS, &type_command, FIELD(in)},
    {0},
};
// clang-format on

static bl_array *joined(bl_conf *cf, bl_array *outer, bl_array *own)
{
    if (outer == NULL || own == outer)
        return own;
    bl_array *both = bl_array_new(cf->pool, sizeof(command));
    BL_ARRAY_EACH (command, c, outer) {
        *(command *)bl_array_push(both) = *c;
    }
    BL_ARRAY_EACH (command, c, own) {
        *(command *)bl_array_push(both) = *c;
    }
    return both;
}

static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    const settings *outer = parent;
    settings *s = child;

    if (level == BL_LOCATION && outer) {
        s->out = joined(cf, outer->out, s->out);
        s->in = joined(cf, outer->in, s->in);
    }
    return true;
}

enum {
    PLACE = BL_PLACE_LUA_REWRITE - 1, /* behind rewrite's, before Lua's */
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_headers_more_module);

    if (s->out)
        bl_location_filter(cf, loc, &bl_headers_more_filter);
    if (s->in && loc->kind != BL_LOC_SERVER)
        bl_location_handler(cf, loc, BL_PHASE_REWRITE, PLACE, change_request);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_headers_more_module = {
    .name = "headers_more",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .merge = merge,
    .http = &http,
};
