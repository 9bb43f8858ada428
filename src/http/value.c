#include "http/value.h"
#include "http/variable.h"

/* ------------------------------------------------------------- compiling */

static bool is_name_char(char c)
{
    return ((unsigned)(c | 0x20) - 'a') < 26u || ((unsigned)c - '0') < 10u || c == '_';
}

/* A "$…" at the front of *rest: $name, ${name}, $1. Strikes it off. */
static bool take_variable(bl_conf *cf, const bl_conf_node *node, int word, bl_str *rest,
                          bl_value_part *part)
{
    bl_str s = bl_str_of(rest->p + 1, rest->len - 1);
    bool braces = s.len && s.p[0] == '{';
    size_t len = 0;

    if (braces)
        s = bl_str_of(s.p + 1, s.len - 1);
    if (!braces && s.len && s.p[0] >= '1' && s.p[0] <= '9')
        len = 1;
    else
        while (len < s.len && is_name_char(s.p[len]))
            len++;
    if (braces && (len >= s.len || s.p[len] != '}'))
        return bl_conf_error(cf, node, word, "the closing bracket in \"%.*s\" variable is missing",
                             BL_STR_ARG(*rest));
    if (len == 0)
        return bl_conf_error(cf, node, word, "invalid variable name in \"%.*s\"",
                             BL_STR_ARG(*rest));
    part->text = bl_str_of(s.p, len);
    *rest = bl_str_of(s.p + len + braces, s.len - len - braces);
    if (len == 1 && s.p[0] >= '1' && s.p[0] <= '9') {
        part->kind = BL_PART_CAPTURE;
        part->index = s.p[0] - '0';
        return true;
    }
    part->kind = BL_PART_VAR;
    part->index = bl_var_index(cf, part->text);
    return part->index >= 0;
}

static void take_text(bl_str *rest, bl_value_part *part)
{
    ssize_t dollar = bl_str_chr(*rest, '$');
    size_t len = dollar < 0 ? rest->len : (size_t)dollar;

    part->kind = BL_PART_TEXT;
    part->text = bl_str_of(rest->p, len);
    *rest = bl_str_of(rest->p + len, rest->len - len);
}

bl_value *bl_value_compile(bl_conf *cf, const bl_conf_node *node, int word, bl_str text)
{
    bl_value *value = BL_NEW(cf->pool, bl_value);
    bl_array parts;
    bl_str rest = text;

    value->text = text;
    value->constant = bl_str_chr(text, '$') < 0;
    if (value->constant)
        return value;
    bl_array_init(&parts, cf->pool, sizeof(bl_value_part));
    while (rest.len) {
        bl_value_part *part = bl_array_push(&parts);
        if (rest.p[0] != '$')
            take_text(&rest, part);
        else if (!take_variable(cf, node, word, &rest, part))
            return NULL;
    }
    value->parts = parts.items;
    value->count = (int)parts.count;
    return value;
}

bl_value bl_value_text(bl_str text)
{
    return (bl_value){.text = text, .constant = true};
}

bool bl_value_has_variables(const bl_value *value)
{
    return !value->constant;
}

/* ------------------------------------------------------------- evaluating */

static bl_str capture_of(const bl_request *r, int group)
{
    const bl_captures *c = &r->captures;

    if (group >= c->count || c->from[group] < 0)
        return BL_STR_NONE;
    return bl_str_of(c->subject.p + c->from[group], (size_t)(c->to[group] - c->from[group]));
}

static bl_str part_of(bl_request *r, const bl_value_part *part)
{
    bl_str s;

    switch (part->kind) {
    case BL_PART_VAR:
        bl_var_get(r, part->index, &s);
        return s;
    case BL_PART_CAPTURE:
        return capture_of(r, part->index);
    default:
        return part->text;
    }
}

enum {
    PARTS_ON_STACK = 32
};

bl_str bl_value_eval_z(bl_request *r, const bl_value *value)
{
    bl_str on_stack[PARTS_ON_STACK], *parts = on_stack;

    if (value->constant)
        return bl_pool_str(r->pool, value->text);
    if (value->count > PARTS_ON_STACK)
        parts = BL_NEW_ARRAY(r->pool, bl_str, (size_t)value->count);
    for (int i = 0; i < value->count; i++)
        parts[i] = part_of(r, &value->parts[i]);
    return bl_pool_concat(r->pool, parts, (size_t)value->count);
}

bl_str bl_value_eval(bl_request *r, const bl_value *value)
{
    if (value->constant)
        return value->text;
    if (value->count == 1)
        return part_of(r, &value->parts[0]);
    return bl_value_eval_z(r, value);
}

bool bl_values_any(bl_request *r, const bl_array *values)
{
    BL_ARRAY_EACH (bl_value *, value, values) {
        if (bl_str_is_true(bl_value_eval(r, *value)))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------- types */

static bool read_value(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    bl_value **value = field;

    *value = bl_value_compile(cf, node, 1, bl_conf_arg(node, 1));
    return *value != NULL;
}

static bool read_value_size(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                            void *field)
{
    bl_value **value = field;

    if (!read_value(cf, d, node, field))
        return false;
    return !(*value)->constant || bl_conf_size((*value)->text) >= 0 || bl_conf_invalid(cf, node, 1);
}

static bool read_values(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field)
{
    bl_array **values = field;

    if (*values == BL_UNSET_PTR || *values == NULL)
        *values = bl_array_new(cf->pool, sizeof(bl_value *));
    for (int i = 1; i < node->count; i++) {
        bl_value *value = bl_value_compile(cf, node, i, bl_conf_arg(node, i));
        if (value == NULL)
            return false;
        *(bl_value **)bl_array_push(*values) = value;
    }
    return true;
}

const bl_type bl_type_value = {"string with variables", sizeof(bl_value *), read_value};
const bl_type bl_type_value_size = {"size with variables", sizeof(bl_value *), read_value_size};
const bl_type bl_type_values = {"string with variables …", sizeof(bl_array *), read_values};

/* ------------------------------------------------------------- regular expressions */

typedef struct naming {
    bl_conf *cf;
    bl_regex_use *use;
    bool ok;
} naming;

static void name_group(void *data, bl_str name, int group)
{
    naming *n = data;
    bl_regex_use *use = n->use;

    if (bl_var_define(n->cf, name, NULL, NULL, NULL, BL_VAR_CHANGEABLE) == NULL) {
        n->ok = false;
        return;
    }
    int *pairs = BL_NEW_ARRAY(n->cf->pool, int, (size_t)(use->names + 1) * 2);
    if (use->names)
        memcpy(pairs, use->group_of, sizeof *pairs * (size_t)use->names * 2);
    pairs[use->names * 2] = bl_var_index(n->cf, name);
    pairs[use->names * 2 + 1] = group;
    use->group_of = pairs;
    use->names++;
}

bl_regex_use *bl_regex_use_new(bl_conf *cf, const bl_conf_node *node, int word, bl_str pattern,
                               int flags)
{
    bl_regex_use *use = BL_NEW(cf->pool, bl_regex_use);
    naming n = {.cf = cf, .use = use, .ok = true};
    bl_str error;

    use->regex = bl_regex_new(cf->pool, pattern, flags, &error);
    if (use->regex == NULL) {
        bl_conf_error(cf, node, word, "pcre2_compile() failed: %.*s in \"%.*s\"", BL_STR_ARG(error),
                      BL_STR_ARG(pattern));
        return NULL;
    }
    bl_regex_names(use->regex, name_group, &n);
    return n.ok ? use : NULL;
}

int bl_regex_use_match(bl_request *r, const bl_regex_use *use, bl_str subject)
{
    bl_captures captures;
    int rc = bl_regex_match(use->regex, subject, &captures);

    if (rc <= 0)
        return rc;
    r->captures.subject = subject;
    r->captures.count = captures.count;
    memcpy(r->captures.from, captures.from, sizeof(int) * (size_t)captures.count);
    memcpy(r->captures.to, captures.to, sizeof(int) * (size_t)captures.count);
    for (int i = 0; i < use->names; i++)
        bl_var_set(r, use->group_of[2 * i], capture_of(r, use->group_of[2 * i + 1]));
    return rc;
}
