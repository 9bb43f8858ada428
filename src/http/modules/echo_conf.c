/* The directives of echo, and its filter for what stands around a body. */
#include "http/modules/echo.h"
#include "http/output.h"
#include "http/request.h"

#define FIELD(name) BL_LOCATION, offsetof(bl_echo_settings, name)

static bl_echo_settings *settings_of(const bl_location *loc)
{
    return bl_settings_of(&loc->settings, BL_LOCATION, &bl_echo_module);
}

/* ------------------------------------------------------------- reading */

static bool read_args(bl_conf *cf, const bl_conf_node *node, int first, bl_echo_command *c)
{
    c->args = BL_NEW_ARRAY(cf->pool, bl_value *, (size_t)node->count);
    for (int i = first; i < node->count; i++) {
        c->args[c->count] = bl_value_compile(cf, node, i, bl_conf_arg(node, i));
        if (c->args[c->count++] == NULL)
            return false;
    }
    return true;
}

/* Options in front of the text: -n, and -- which ends them. */
static int skip_options(const bl_conf_node *node, bl_echo_command *c)
{
    int i = 1;

    for (; i < node->count; i++) {
        bl_str word = bl_conf_arg(node, i);
        if (bl_str_eq(word, BL_STR("--")))
            return i + 1;
        if (!bl_str_eq(word, BL_STR("-n")))
            break;
        c->no_newline = true;
    }
    return i;
}

static bl_echo_command *add(bl_conf *cf, bl_echo_fn run)
{
    bl_location *loc = cf->block;
    bl_echo_command *c = bl_array_push(&settings_of(loc)->commands);

    c->run = run;
    loc->content = bl_echo_serve;
    return c;
}

static bool read_echo(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    bl_echo_command *c = add(cf, bl_echo_say);

    return read_args(cf, node, skip_options(node, c), c);
}

static bool read_around(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field)
{
    bl_array **list = field;

    if (*list == BL_UNSET_PTR)
        *list = bl_array_new(cf->pool, sizeof(bl_echo_command));
    bl_echo_command *c = bl_array_push(*list);
    return read_args(cf, node, skip_options(node, c), c);
}

typedef struct simple {
    bl_echo_fn run;
    bool wait;
} simple;

/* A command whose arguments are values: the row says which. */
static bool read_simple(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    const simple *how = d->arg;
    bl_echo_command *c = add(cf, how->run);

    c->wait = how->wait;
    return read_args(cf, node, 1, c);
}

/* METHOD URI [-q ARGS] [-b BODY] [-f FILE] */
static bool read_subrequest(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                            void *field BL_UNUSED)
{
    const simple *how = d->arg;
    bl_echo_command *c = add(cf, how->run);

    c->wait = how->wait;
    c->method = bl_conf_arg(node, 1);
    if (node->count < 3)
        return bl_conf_error(cf, node, 0, "invalid number of arguments in \"%s\" directive",
                             d->name);
    c->args = BL_NEW_ARRAY(cf->pool, bl_value *, 1);
    c->count = 1;
    if ((c->args[0] = bl_value_compile(cf, node, 2, bl_conf_arg(node, 2))) == NULL)
        return false;
    for (int i = 3; i < node->count; i += 2) {
        bl_str option = bl_conf_arg(node, i);
        bl_value **to = bl_str_eq(option, BL_STR("-q"))   ? &c->query
                        : bl_str_eq(option, BL_STR("-b")) ? &c->body
                        : bl_str_eq(option, BL_STR("-f")) ? &c->file
                                                          : NULL;
        if (to == NULL || i + 1 == node->count)
            return bl_conf_error(cf, node, i, "unknown option \"%.*s\"", BL_STR_ARG(option));
        if ((*to = bl_value_compile(cf, node, i + 1, bl_conf_arg(node, i + 1))) == NULL)
            return false;
    }
    return true;
}

/* The foreach without an echo_end so far; -1: none. */
static int open_foreach(const bl_array *commands)
{
    for (int i = (int)commands->count - 1; i >= 0; i--) {
        const bl_echo_command *c = bl_array_at(commands, (size_t)i);
        if (c->run == bl_echo_foreach && c->jump == 0)
            return i;
    }
    return -1;
}

static bool read_end(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    bl_location *loc = cf->block;
    bl_array *commands = &settings_of(loc)->commands;
    int foreach = open_foreach(commands);

    if (foreach < 0)
        return bl_conf_error(cf, node, 0, "echo_end without echo_foreach_split");
    add(cf, bl_echo_end)->jump = foreach;
    bl_echo_command *c = bl_array_at(commands, (size_t)foreach);
    c->jump = (int)commands->count;
    return true;
}

/* ------------------------------------------------------------- before and after a body */

static bl_step head(bl_request *r)
{
    r->out.content_length = -1;
    bl_output_no_ranges(r);
    r->out.last_modified = -1;
    r->out.etag = BL_STR_NONE;
    return BL_NEXT;
}

static void push_texts(bl_request *r, const bl_array *commands, bl_chain *out)
{
    BL_ARRAY_EACH (bl_echo_command, c, commands) {
        bl_str text = bl_echo_text(r, c);
        if (text.len)
            bl_chain_push(out, bl_buf_ref(r->pool, text));
    }
}

static bl_step body(bl_request *r, bl_chain *in, bl_chain *out)
{
    const bl_echo_settings *s = settings_of(r->loc);
    bl_echo_state *state = bl_echo_state_of(r);
    bl_buf *b;

    if (!state->before_sent) {
        state->before_sent = true;
        push_texts(r, s->before, out);
    }
    while ((b = bl_chain_shift(in)) != NULL) {
        bool eof = b->eof;
        b->eof = 0;
        bl_chain_push(out, b);
        if (!eof)
            continue;
        push_texts(r, s->after, out);
        b = bl_buf_mark(r->pool);
        b->eof = 1;
        bl_chain_push(out, b);
    }
    return BL_NEXT;
}

const bl_filter bl_echo_filter = {.name = "echo", .head = head, .body = body};

/* ------------------------------------------------------------- the module */

enum {
    IN_ECHO = BL_IN_LOCATION | BL_IN_LOCATION_IF,
};

#define SIMPLE(name, args, fn, waits)                                                              \
    {                                                                                              \
        name, IN_ECHO, (args) | BL_REPEATS, &bl_type_action, .set = read_simple,                   \
                                                             .arg = &(const simple)                \
        {                                                                                          \
            fn, waits                                                                              \
        }                                                                                          \
    }

static const bl_type type_around = {"[-n] [--] string …", sizeof(bl_array *), read_around};

// clang-format off
static const bl_directive directives[] = {
    {"echo", IN_ECHO, BL_TAKE_ANY | BL_REPEATS, &bl_type_action, .set = read_echo},
    SIMPLE("echo_duplicate", BL_TAKE2, bl_echo_duplicate, false),
    SIMPLE("echo_flush", BL_TAKE0, bl_echo_flush, false),
    SIMPLE("echo_sleep", BL_TAKE1, bl_echo_sleep, false),
    SIMPLE("echo_blocking_sleep", BL_TAKE1, bl_echo_sleep, false),
    SIMPLE("echo_reset_timer", BL_TAKE0, bl_echo_reset_timer, false),
    SIMPLE("echo_read_request_body", BL_TAKE0, bl_echo_read_body, false),
    SIMPLE("echo_request_body", BL_TAKE0, bl_echo_send_body, false),
    SIMPLE("echo_location_async", BL_TAKE12, bl_echo_location, false),
    SIMPLE("echo_location", BL_TAKE12, bl_echo_location, true),
    SIMPLE("echo_foreach_split", BL_TAKE2, bl_echo_foreach, false),
    SIMPLE("echo_exec", BL_TAKE12, bl_echo_exec, false),
    {"echo_subrequest_async", IN_ECHO, BL_TAKE_2MORE | BL_REPEATS, &bl_type_action, .set = read_subrequest, .arg = &(const simple){bl_echo_subrequest, false}},
    {"echo_subrequest", IN_ECHO, BL_TAKE_2MORE | BL_REPEATS, &bl_type_action, .set = read_subrequest, .arg = &(const simple){bl_echo_subrequest, true}},
    {"echo_end", IN_ECHO, BL_TAKE0 | BL_REPEATS, &bl_type_action, .set = read_end},
    {"echo_before_body", BL_IN_HSLI, BL_TAKE_ANY | BL_REPEATS, &type_around, FIELD(before)},
    {"echo_after_body", BL_IN_HSLI, BL_TAKE_ANY | BL_REPEATS, &type_around, FIELD(after)},
    {"echo_status", BL_IN_HSLI, BL_TAKE1, &bl_type_num, FIELD(status), "200"},
    {0},
};
// clang-format on

static bool create(bl_conf *cf, int level, void *own)
{
    if (level == BL_LOCATION)
        bl_array_init(&((bl_echo_settings *)own)->commands, cf->pool, sizeof(bl_echo_command));
    return true;
}

/* What stands inside of a location says what the location says, unless it has words of its own. */
static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    const bl_echo_settings *outer = parent;
    bl_echo_settings *own = child;
    const bl_location *loc = cf->block;

    if (level == BL_LOCATION && outer && loc && own->commands.count == 0 &&
        (loc->kind == BL_LOC_IF || loc->kind == BL_LOC_LIMIT_EXCEPT))
        own->commands = outer->commands;
    return true;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const bl_echo_settings *s = settings_of(loc);

    if (open_foreach(&s->commands) >= 0)
        return bl_conf_error(cf, loc->node, 0, "echo_foreach_split without echo_end");
    if (s->before || s->after)
        bl_location_filter(cf, loc, &bl_echo_filter);
    return true;
}

static const bl_http_module http = {.variables = bl_echo_vars_define, .compile = compile};

bl_module bl_echo_module = {
    .name = "echo",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(bl_echo_settings)},
    .create = create,
    .merge = merge,
    .http = &http,
};
