/* set, if, rewrite, return, break.
 *
 * The directives of a server or location, those inside its `if` blocks among them, are compiled to
 * one array of ops. An op says BL_NEXT (the op behind it), BL_SKIP (go to op->jump: the condition
 * of an `if` does not hold), BL_JUMP (the program is over, the request goes on), BL_WAIT (go on
 * behind this op when woken), or a result of the request.
 *
 *     if ($a) {            0  if_variable $a   jump 2, loc = the block's pseudo-location
 *         set $b 1;        1  set $b
 *     }
 *     return 200 "x";      2  return
 *
 * An `if` that holds makes its block's pseudo-location the request's. The program goes on in the
 * same array, and the rest of the request runs with the settings of the block.
 *
 * Waiting. The engine goes on behind the step that waited, so an op that waits leaves r->at in
 * front of the program's own step (`resume`), and the place in the program in the request's ctx. */
#include "http/modules/rewrite.h"
#include "http/escape.h"
#include "http/location.h"
#include "http/mime.h"
#include "http/phases.h"
#include "http/value.h"
#include "http/variable.h"

#include <errno.h>
#include <sys/stat.h>

typedef struct op op;
struct op {
    bl_step (*run)(bl_request *r, const op *op);
    uint32_t jump;
    int index;  /* of a variable */
    int status; /* return's; rewrite: of the redirect, 0: inside */
    bool negative;
    bool stop, end; /* rewrite: break; last, break, redirect or permanent */
    bool drop_args; /* the replacement ends with ? */
    char test;      /* -f -d -e -x */
    const bl_value *value, *args;
    const bl_regex_use *regex;
    bl_location *loc;
    bl_step (*foreign)(bl_request *r, void *data);
    void *data;
};

typedef struct settings {
    int log, warn;
    bl_array *ops;
} settings;

/* Where a program that waits goes on. */
typedef struct place {
    const bl_array *ops;
    uint32_t at;
} place;

static settings *settings_of(const bl_location *loc)
{
    return loc->settings.of[BL_LOCATION][bl_rewrite_module.index];
}

/* ------------------------------------------------------------- running */

static bl_step run_ops(bl_request *r, const bl_array *ops, uint32_t at)
{
    const op *all = ops->items;

    while (at < ops->count) {
        bl_step step = all[at].run(r, &all[at]);
        if (BL_LIKELY(step == BL_NEXT)) {
            at++;
        } else if (step == BL_SKIP) {
            at = all[at].jump;
        } else if (step == BL_JUMP) {
            return BL_NEXT;
        } else if (step == BL_WAIT) {
            place *here = BL_NEW(r->pool, place);
            *here = (place){.ops = ops, .at = at + 1};
            bl_request_set_ctx(r, &bl_rewrite_module, here);
            return BL_WAIT;
        } else {
            return step;
        }
    }
    return BL_NEXT;
}

static bl_step run_server(bl_request *r);
static bl_step run_location(bl_request *r);

enum {
    SERVER_RANK = BL_PHASE_SERVER_REWRITE << 8 | BL_PLACE_REWRITE,
    LOCATION_RANK = BL_PHASE_REWRITE << 8 | BL_PLACE_REWRITE,
};

static const bl_handler resume_server[] = {
    {NULL, BL_PHASE_SERVER_REWRITE, SERVER_RANK - 1},
    {run_server, BL_PHASE_SERVER_REWRITE, SERVER_RANK},
};
static const bl_handler resume_location[] = {
    {NULL, BL_PHASE_REWRITE, LOCATION_RANK - 1},
    {run_location, BL_PHASE_REWRITE, LOCATION_RANK},
};

/* Behind the program's step in the program of the location that the request has now. */
static bl_step leave_resumed(bl_request *r, uint16_t rank)
{
    const bl_handler *h = r->loc->program;

    while (h->rank <= rank)
        h++;
    r->at = h;
    return BL_JUMP;
}

static bl_step run_program(bl_request *r, const bl_handler *resume)
{
    place *waited = bl_request_ctx(r, &bl_rewrite_module);
    bl_step step;

    if (BL_UNLIKELY(waited)) {
        bl_request_set_ctx(r, &bl_rewrite_module, NULL);
        step = run_ops(r, waited->ops, waited->at);
    } else {
        const bl_array *ops = settings_of(r->loc)->ops;
        step = ops ? run_ops(r, ops, 0) : BL_NEXT;
    }
    if (step == BL_WAIT)
        r->at = resume;
    else if (step == BL_NEXT && r->at == resume + 1)
        return leave_resumed(r, r->at->rank);
    return step;
}

static bl_step run_server(bl_request *r)
{
    bl_step step = run_program(r, resume_server);

    if (step == BL_NEXT || step == BL_JUMP)
        r->uri_changed = false; /* the location is looked for anyway */
    return step;
}

static bl_step run_location(bl_request *r)
{
    return run_program(r, resume_location);
}

/* ------------------------------------------------------------- set, break, return */

static bl_step run_set(bl_request *r, const op *op)
{
    bl_var_set(r, op->index, bl_value_eval(r, op->value));
    return BL_NEXT;
}

static bl_step run_break(bl_request *r, const op *op BL_UNUSED)
{
    r->uri_changed = false;
    return BL_JUMP;
}

static bl_step run_return_text(bl_request *r, const op *op)
{
    return bl_output_text(r, op->status, bl_mime_of(r), bl_value_eval(r, op->value));
}

static bl_step run_return_status(bl_request *r BL_UNUSED, const op *op)
{
    return op->status;
}

static bl_step run_return_location(bl_request *r, const op *op)
{
    r->out.location = bl_escape_line(r->pool, bl_value_eval(r, op->value));
    return op->status;
}

static bl_step run_foreign(bl_request *r, const op *op)
{
    return op->foreign(r, op->data);
}

/* ------------------------------------------------------------- if */

static bl_step take(bl_request *r, const op *op, bool holds)
{
    if (holds == op->negative)
        return BL_SKIP;
    bl_location_enter(r, op->loc);
    if (op->loc->content) /* stays the handler, even if another block is entered behind it */
        r->content = op->loc->content;
    return BL_NEXT;
}

static bl_step run_if_variable(bl_request *r, const op *op)
{
    bl_str value;

    bl_var_get(r, op->index, &value);
    return take(r, op, bl_str_is_true(value));
}

static bl_step run_if_equal(bl_request *r, const op *op)
{
    bl_str value;

    bl_var_get(r, op->index, &value);
    return take(r, op, bl_str_eq(value, bl_value_eval(r, op->value)));
}

static void log_match(bl_request *r, const op *op, bl_str subject, bool matches)
{
    bl_log_level level = settings_of(r->loc)->log ? BL_LOG_NOTICE : BL_LOG_DEBUG;
    bl_str pattern = bl_regex_pattern(op->regex->regex);

    bl_log_write(level, r->log, 0, "\"%.*s\" %s \"%.*s\"", BL_STR_ARG(pattern),
                 matches ? "matches" : "does not match", BL_STR_ARG(subject));
}

static bl_step run_if_match(bl_request *r, const op *op)
{
    bl_str value;

    bl_var_get(r, op->index, &value);
    int rc = bl_regex_use_match(r, op->regex, value);
    if (rc < 0)
        return 500;
    log_match(r, op, value, rc > 0);
    return take(r, op, rc > 0);
}

static bool file_is(const struct stat *st, char test)
{
    switch (test) {
    case 'f':
        return S_ISREG(st->st_mode);
    case 'd':
        return S_ISDIR(st->st_mode);
    case 'x':
        return (st->st_mode & S_IXUSR) != 0;
    default:
        return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode);
    }
}

static bl_step run_if_file(bl_request *r, const op *op)
{
    bl_str path = bl_value_eval_z(r, op->value);
    struct stat st;

    if (stat(path.p, &st) == 0)
        return take(r, op, file_is(&st, op->test));
    if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
        bl_log_write(BL_LOG_CRIT, r->log, errno, "stat() \"%s\" failed", path.p);
    return take(r, op, false);
}

/* ------------------------------------------------------------- rewrite */

/* The text of a replacement; captures of a URI that came escaped are escaped again where `quote`
 * says so. */
static bl_str replacement_of(bl_request *r, const bl_value *value, bool quote)
{
    if (value->constant)
        return value->text;
    if (!quote || !(r->quoted_uri || r->plus_in_uri))
        return bl_value_eval(r, value);

    bl_str *parts = BL_NEW_ARRAY(r->pool, bl_str, (size_t)value->count);
    for (int i = 0; i < value->count; i++) {
        bl_value one = {.parts = &value->parts[i], .count = 1};
        parts[i] = bl_value_eval(r, &one);
        if (value->parts[i].kind == BL_PART_CAPTURE)
            parts[i] = bl_escape_uri(r->pool, parts[i], BL_ESCAPE_ARGS);
    }
    return bl_pool_concat(r->pool, parts, (size_t)value->count);
}

static bl_str with_args(bl_request *r, bl_str text, bl_str separator)
{
    bl_str parts[] = {text, separator, r->args};

    return bl_pool_concat(r->pool, parts, 3);
}

static bl_step redirect(bl_request *r, const op *op)
{
    bl_str to = bl_escape_undo_redirect(r->pool, replacement_of(r, op->value, true));

    if (!op->drop_args && r->args.len)
        to = with_args(r, to, bl_str_chr(to, '?') < 0 ? BL_STR("?") : BL_STR("&"));
    r->out.location = to = bl_escape_line(r->pool, to);
    if (settings_of(r->loc)->log)
        bl_log_write(BL_LOG_NOTICE, r->log, 0, "rewritten redirect: \"%.*s\"", BL_STR_ARG(to));
    return op->status;
}

static bl_step rewrite_uri(bl_request *r, const op *op)
{
    bl_str uri = replacement_of(r, op->value, false), args = r->args;

    if (op->args) {
        args = replacement_of(r, op->args, true);
        if (!op->drop_args && r->args.len)
            args = with_args(r, args, args.len ? BL_STR("&") : BL_STR(""));
    } else if (op->drop_args) {
        args = BL_STR_NONE;
    }
    if (uri.len == 0) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "the rewritten URI has a zero length");
        return 500;
    }
    r->args = args;
    r->valid_raw_uri = false;
    r->rewritten = true;
    r->uri_changed = !op->stop;
    r->internal = true;
    bl_request_set_uri(r, uri);
    if (settings_of(r->loc)->log)
        bl_log_write(BL_LOG_NOTICE, r->log, 0, "rewritten data: \"%.*s\", args: \"%.*s\"",
                     BL_STR_ARG(uri), BL_STR_ARG(args));
    return op->end ? BL_JUMP : BL_NEXT;
}

static bl_step run_rewrite(bl_request *r, const op *op)
{
    int rc = bl_regex_use_match(r, op->regex, r->uri);

    if (rc < 0)
        return 500;
    log_match(r, op, r->uri, rc > 0);
    if (rc == 0)
        return BL_NEXT;
    return op->status ? redirect(r, op) : rewrite_uri(r, op);
}

/* ------------------------------------------------------------- reading */

/* The ops of the server or location around the block that is being read. */
static bl_array *ops_of(bl_conf *cf)
{
    bl_location *loc = cf->block;

    while (loc->kind == BL_LOC_IF)
        loc = loc->parent;
    settings *s = settings_of(loc);
    if (s->ops == NULL)
        s->ops = bl_array_new(cf->pool, sizeof(op));
    return s->ops;
}

static op *add_op(bl_conf *cf, bl_step (*run)(bl_request *, const op *))
{
    op *o = bl_array_push(ops_of(cf));

    o->run = run;
    return o;
}

bool bl_rewrite_add_op(bl_conf *cf, bl_step (*run)(bl_request *r, void *data), void *data)
{
    op *o = add_op(cf, run_foreign);

    o->foreign = run;
    o->data = data;
    return true;
}

/* What a variable of `set` is where no `set` was passed. */
static bool get_unset(bl_request *r, const bl_variable *v, bl_str name BL_UNUSED, bl_str *value)
{
    if (settings_of(r->loc)->warn)
        bl_log_write(BL_LOG_WARN, r->log, 0, "using uninitialized \"%.*s\" variable",
                     BL_STR_ARG(v->name));
    *value = BL_STR("");
    return true;
}

int bl_rewrite_define(bl_conf *cf, const bl_conf_node *node, int word)
{
    bl_str name = bl_conf_arg(node, word);

    if (name.len < 2 || name.p[0] != '$') {
        bl_conf_error(cf, node, word, "invalid variable name \"%.*s\"", BL_STR_ARG(name));
        return -1;
    }
    name = bl_str_of(name.p + 1, name.len - 1);
    if (bl_var_define(cf, name, get_unset, NULL, NULL, BL_VAR_CHANGEABLE | BL_VAR_WEAK) == NULL)
        return -1;
    return bl_var_index(cf, name);
}

static bool read_set(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    int index = bl_rewrite_define(cf, node, 1);
    bl_value *value = bl_value_compile(cf, node, 2, bl_conf_arg(node, 2));

    if (index < 0 || value == NULL)
        return false;
    op *o = add_op(cf, run_set);
    o->index = index;
    o->value = value;
    return true;
}

static bool read_break(bl_conf *cf, const bl_directive *d BL_UNUSED,
                       const bl_conf_node *node BL_UNUSED, void *field BL_UNUSED)
{
    add_op(cf, run_break);
    return true;
}

static bool is_elsewhere(bl_str url)
{
    return bl_str_istarts(url, BL_STR("http://")) || bl_str_istarts(url, BL_STR("https://")) ||
           bl_str_starts(url, BL_STR("$scheme"));
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool add_return(bl_conf *cf, const bl_conf_node *node, int status, int word)
{
    bl_value *value = bl_value_compile(cf, node, word, bl_conf_arg(node, word));

    if (value == NULL)
        return false;
    op *o = add_op(cf, is_redirect(status) ? run_return_location : run_return_text);
    o->status = status;
    o->value = value;
    return true;
}

static bool read_return(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    static const bl_value empty = {.text = BL_STR_INIT(""), .constant = true};
    int64_t status = bl_str_to_int(bl_conf_arg(node, 1));

    if (status < 0 && node->count == 2 && is_elsewhere(bl_conf_arg(node, 1)))
        return add_return(cf, node, 302, 1);
    if (status < 0 || status > 999)
        return bl_conf_error(cf, node, 1, "invalid return code \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 1)));
    if (node->count == 3)
        return add_return(cf, node, (int)status, 2);
    bool bare = status >= 200 && status < 300;
    op *o = add_op(cf, bare ? run_return_text : run_return_status);
    o->status = (int)status;
    o->value = &empty;
    return true;
}

/* last, break, redirect, permanent */
static bool read_rewrite_flag(bl_conf *cf, const bl_conf_node *node, op *o)
{
    bl_str flag = bl_conf_arg(node, 3);

    o->end = true;
    if (bl_str_eq(flag, BL_STR("break")))
        o->stop = true;
    else if (bl_str_eq(flag, BL_STR("redirect")))
        o->status = 302;
    else if (bl_str_eq(flag, BL_STR("permanent")))
        o->status = 301;
    else if (!bl_str_eq(flag, BL_STR("last")))
        return bl_conf_error(cf, node, 3, "invalid parameter \"%.*s\"", BL_STR_ARG(flag));
    return true;
}

/* Splits the replacement: inside the server, arguments are a value of their own. */
static bool read_replacement(bl_conf *cf, const bl_conf_node *node, op *o)
{
    bl_str text = bl_conf_arg(node, 2);

    if (text.len && text.p[text.len - 1] == '?') {
        o->drop_args = true;
        text.len--;
    }
    ssize_t question = o->status ? -1 : bl_str_chr(text, '?');
    if (question >= 0) {
        size_t behind = (size_t)question + 1;
        o->args = bl_value_compile(cf, node, 2, bl_str_of(text.p + behind, text.len - behind));
        if (o->args == NULL)
            return false;
        text.len = (size_t)question;
    }
    o->value = bl_value_compile(cf, node, 2, text);
    return o->value != NULL;
}

static bool read_rewrite(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field BL_UNUSED)
{
    op o = {.run = run_rewrite};

    o.regex = bl_regex_use_new(cf, node, 1, bl_conf_arg(node, 1), 0);
    if (o.regex == NULL)
        return false;
    if (is_elsewhere(bl_conf_arg(node, 2))) {
        o.status = 302;
        o.end = true;
    }
    if (node->count == 4 && !read_rewrite_flag(cf, node, &o))
        return false;
    if (!read_replacement(cf, node, &o))
        return false;
    *(op *)bl_array_push(ops_of(cf)) = o;
    return true;
}

/* ------------------------------------------------------------- reading: if */

/* The condition's words without their parentheses. */
typedef struct condition {
    bl_str words[4];
    int at[4]; /* their places in the node, for errors */
    int count;
} condition;

static void push_word(condition *c, bl_str word, int at)
{
    if (c->count < (int)BL_COUNTOF(c->words)) {
        c->words[c->count] = word;
        c->at[c->count] = at;
    }
    c->count++;
}

static bool strip_parentheses(bl_conf *cf, const bl_conf_node *node, condition *c)
{
    int last = node->count - 1;

    for (int i = 1; i <= last; i++) {
        bl_str word = bl_conf_arg(node, i);
        bool paren_only = false;
        if (i == 1) {
            if (word.len == 0 || word.p[0] != '(')
                return bl_conf_error(cf, node, i, "invalid condition \"%.*s\"", BL_STR_ARG(word));
            word = bl_str_of(word.p + 1, word.len - 1);
            paren_only = word.len == 0;
        }
        if (i == last) {
            if (word.len == 0 || word.p[word.len - 1] != ')')
                return bl_conf_error(cf, node, i, "invalid condition \"%.*s\"", BL_STR_ARG(word));
            word.len--;
            paren_only = word.len == 0;
        }
        if (!paren_only)
            push_word(c, word, i);
    }
    return true;
}

static bool invalid_condition(bl_conf *cf, const bl_conf_node *node, const condition *c, int word)
{
    if (c->count == 0)
        return bl_conf_error(cf, node, 1, "invalid condition");
    return bl_conf_error(cf, node, c->at[word], "invalid condition \"%.*s\"",
                         BL_STR_ARG(c->words[word]));
}

static bool read_comparison(bl_conf *cf, const bl_conf_node *node, const condition *c, op *o)
{
    bl_str how = c->words[1];

    if (how.len && how.p[0] == '!') {
        o->negative = true;
        how = bl_str_of(how.p + 1, how.len - 1);
    }
    if (bl_str_eq(how, BL_STR("="))) {
        o->run = run_if_equal;
        o->value = bl_value_compile(cf, node, c->at[2], c->words[2]);
        return o->value != NULL;
    }
    bool caseless = bl_str_eq(how, BL_STR("~*"));
    if (!caseless && !bl_str_eq(how, BL_STR("~")))
        return bl_conf_error(cf, node, c->at[1], "unexpected \"%.*s\" in condition",
                             BL_STR_ARG(c->words[1]));
    o->run = run_if_match;
    o->regex = bl_regex_use_new(cf, node, c->at[2], c->words[2], caseless ? BL_REGEX_CASELESS : 0);
    return o->regex != NULL;
}

static bool read_file_test(bl_conf *cf, const bl_conf_node *node, const condition *c, op *o)
{
    bl_str test = c->words[0];

    if (test.p[0] == '!') {
        o->negative = true;
        test = bl_str_of(test.p + 1, test.len - 1);
    }
    if (c->count != 2 || test.len != 2 || test.p[0] != '-' || strchr("fdex", test.p[1]) == NULL)
        return invalid_condition(cf, node, c, 0);
    o->run = run_if_file;
    o->test = test.p[1];
    o->value = bl_value_compile(cf, node, c->at[1], c->words[1]);
    return o->value != NULL;
}

static bool read_condition(bl_conf *cf, const bl_conf_node *node, op *o)
{
    condition c = {0};

    if (!strip_parentheses(cf, node, &c))
        return false;
    if (c.count == 0 || c.words[0].len < 2)
        return invalid_condition(cf, node, &c, 0);
    if (c.words[0].p[0] != '$')
        return read_file_test(cf, node, &c, o);
    o->index = bl_var_index(cf, bl_str_of(c.words[0].p + 1, c.words[0].len - 1));
    if (o->index < 0)
        return false;
    if (c.count == 1) {
        o->run = run_if_variable;
        return true;
    }
    return c.count == 3 ? read_comparison(cf, node, &c, o) : invalid_condition(cf, node, &c, 0);
}

static bool read_if(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                    void *field BL_UNUSED)
{
    op o = {0};
    bool in_server = cf->context == BL_IN_SERVER;

    if (!read_condition(cf, node, &o))
        return false;
    bl_array *ops = ops_of(cf);
    uint32_t at = ops->count;
    *(op *)bl_array_push(ops) = o;
    bl_location *loc =
        bl_location_pseudo(cf, node, BL_LOC_IF, in_server ? BL_IN_SERVER_IF : BL_IN_LOCATION_IF);
    op *stored = bl_array_at(ops, at);
    stored->loc = loc;
    stored->jump = ops->count;
    return loc != NULL;
}

/* ------------------------------------------------------------- the module */

enum {
    IN_REWRITE = BL_IN_SERVER | BL_IN_SERVER_IF | BL_IN_LOCATION | BL_IN_LOCATION_IF,
};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"rewrite", IN_REWRITE, BL_TAKE23 | BL_REPEATS, &bl_type_action, .set = read_rewrite},
    {"return", IN_REWRITE, BL_TAKE12 | BL_REPEATS, &bl_type_action, .set = read_return},
    {"break", IN_REWRITE, BL_TAKE0 | BL_REPEATS, &bl_type_action, .set = read_break},
    {"if", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE_1MORE | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = read_if},
    {"set", IN_REWRITE, BL_TAKE2 | BL_REPEATS, &bl_type_action, .set = read_set},
    {"rewrite_log", BL_IN_HTTP | IN_REWRITE, BL_TAKE_FLAG, &bl_type_flag, FIELD(log), "off"},
    {"uninitialized_variable_warn", BL_IN_HTTP | IN_REWRITE, BL_TAKE_FLAG, &bl_type_flag, FIELD(warn), "on"},
    {0},
};
// clang-format on

static bool compile(bl_conf *cf, bl_location *loc)
{
    const bl_location *outer = loc;

    while (outer->kind == BL_LOC_IF)
        outer = outer->parent;
    if (loc->kind != BL_LOC_IF && settings_of(loc)->ops == NULL)
        return true;
    if (outer->kind == BL_LOC_SERVER)
        bl_location_handler(cf, loc, BL_PHASE_SERVER_REWRITE, BL_PLACE_REWRITE, run_server);
    else
        bl_location_handler(cf, loc, BL_PHASE_REWRITE, BL_PLACE_REWRITE, run_location);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_rewrite_module = {
    .name = "rewrite",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
