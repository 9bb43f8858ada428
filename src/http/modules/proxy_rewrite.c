/* Values of the response that name places of the upstream, turned into places of this server:
 * Location and Refresh by proxy_redirect, Set-Cookie by proxy_cookie_domain, _path and _flags. */
#include "http/escape.h"
#include "http/modules/proxy.h"
#include "http/modules/set_cookie.h"

typedef struct rule {
    bl_value *from; /* a prefix, or: */
    bl_regex_use *regex;
    bl_value *to;
} rule;

struct bl_proxy_rules {
    bool off;
    bl_array items; /* rule */
};

enum {
    SECURE_ON = 1,
    SECURE_OFF = 2,
    HTTPONLY_ON = 4,
    HTTPONLY_OFF = 8,
    SAMESITE_STRICT = 16,
    SAMESITE_LAX = 32,
    SAMESITE_NONE = 64,
    SAMESITE_OFF = 128,
};

/* proxy_cookie_flags: for cookies of a name. */
typedef struct flag_rule {
    bl_value *name;
    bl_regex_use *regex;
    bl_array flags; /* bl_value * */
} flag_rule;

struct bl_proxy_flags {
    bool off;
    bl_array items; /* flag_rule */
};

static bl_str behind(bl_str s, size_t n)
{
    return bl_str_of(s.p + n, s.len - n);
}

/* ------------------------------------------------------------- reading */

static bl_proxy_rules *rules_of(bl_conf *cf, bl_proxy_rules **field)
{
    if (*field == BL_UNSET_PTR || *field == NULL) {
        *field = BL_NEW(cf->pool, bl_proxy_rules);
        bl_array_init(&(*field)->items, cf->pool, sizeof(rule));
    }
    return *field;
}

/* "~pattern", "~*pattern" */
static bl_regex_use *read_regex(bl_conf *cf, const bl_conf_node *node, int word, bool caseless)
{
    bl_str pattern = behind(bl_conf_arg(node, word), 1);

    if (pattern.len && pattern.p[0] == '*') {
        caseless = true;
        pattern = behind(pattern, 1);
    }
    return bl_regex_use_new(cf, node, word, pattern, caseless ? BL_REGEX_CASELESS : 0);
}

static bool is_regex(bl_str word)
{
    return word.len != 0 && word.p[0] == '~';
}

static bl_str without_dot(bl_str s)
{
    return s.len && s.p[0] == '.' ? behind(s, 1) : s;
}

/* Reads "off", or FROM TO into *field; `domain`: dots in front do not count, nor does case. */
static bool read_rule(bl_conf *cf, const bl_conf_node *node, bl_proxy_rules **field, bool domain)
{
    bl_proxy_rules *rules = rules_of(cf, field);
    bl_str from = bl_conf_arg(node, 1);

    if (node->count == 2) {
        if (!bl_str_eq(from, BL_STR("off")))
            return bl_conf_error(cf, node, 1, "invalid parameter \"%.*s\"", BL_STR_ARG(from));
        if (rules->items.count)
            return bl_conf_error(cf, node, 0, "\"%.*s\" directive is duplicate",
                                 BL_STR_ARG(bl_conf_arg(node, 0)));
        rules->off = true;
        return true;
    }
    if (rules->off)
        return bl_conf_error(cf, node, 0, "\"%.*s\" directive is duplicate",
                             BL_STR_ARG(bl_conf_arg(node, 0)));
    rule r = {0};
    bl_str to = bl_conf_arg(node, 2);
    if (is_regex(from))
        r.regex = read_regex(cf, node, 1, domain);
    else
        r.from =
            bl_value_compile(cf, node, 1, bl_pool_str(cf->pool, domain ? without_dot(from) : from));
    r.to = bl_value_compile(cf, node, 2, bl_pool_str(cf->pool, domain ? without_dot(to) : to));
    if ((r.from == NULL && r.regex == NULL) || r.to == NULL)
        return false;
    *(rule *)bl_array_push(&rules->items) = r;
    return true;
}

static bl_value *text_value(bl_conf *cf, bl_str text)
{
    bl_value *value = BL_NEW(cf->pool, bl_value);

    *value = bl_value_text(text);
    return value;
}

/* http://target/uri ↔ the location's name; without a URI the two agree. */
static rule default_rule(bl_conf *cf, const bl_proxy_target *target)
{
    bl_str slash = BL_STR("/"), uri = target->uri.len ? target->uri : slash;
    bl_str parts[] = {target->scheme, target->host_port, uri};

    return (rule){.from = text_value(cf, bl_pool_concat(cf->pool, parts, 3)),
                  .to = text_value(cf, target->uri.len ? target->location : slash)};
}

bl_proxy_rules *bl_proxy_default_redirect(bl_conf *cf, const bl_proxy_target *target)
{
    bl_proxy_rules *rules = NULL;

    rules_of(cf, &rules);
    if (target->url == NULL)
        *(rule *)bl_array_push(&rules->items) = default_rule(cf, target);
    return rules;
}

static bool read_redirect(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field)
{
    const bl_proxy_location *conf = bl_settings_of(cf->settings, BL_LOCATION, &bl_proxy_module);

    if (node->count != 2 || !bl_str_eq(bl_conf_arg(node, 1), BL_STR("default")))
        return read_rule(cf, node, field, false);
    bl_proxy_rules *rules = rules_of(cf, field);
    if (rules->off)
        return bl_conf_error(cf, node, 0, "\"proxy_redirect\" directive is duplicate");
    if (conf->target == NULL)
        return bl_conf_error(cf, node, 1,
                             "\"proxy_redirect default\" should be placed after the "
                             "\"proxy_pass\" directive");
    if (conf->target->url)
        return bl_conf_error(cf, node, 1,
                             "\"proxy_redirect default\" cannot be used with \"proxy_pass\" "
                             "directive with variables");
    *(rule *)bl_array_push(&rules->items) = default_rule(cf, conf->target);
    return true;
}

static bool read_cookie_domain(bl_conf *cf, const bl_directive *d BL_UNUSED,
                               const bl_conf_node *node, void *field)
{
    return read_rule(cf, node, field, true);
}

static bool read_cookie_path(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                             void *field)
{
    return read_rule(cf, node, field, false);
}

static int flag_of(bl_str word)
{
    static const struct {
        const char *word;
        int flag;
    } words[] = {
        {"secure", SECURE_ON},
        {"nosecure", SECURE_OFF},
        {"httponly", HTTPONLY_ON},
        {"nohttponly", HTTPONLY_OFF},
        {"samesite=strict", SAMESITE_STRICT},
        {"samesite=lax", SAMESITE_LAX},
        {"samesite=none", SAMESITE_NONE},
        {"nosamesite", SAMESITE_OFF},
    };

    for (size_t i = 0; i < BL_COUNTOF(words); i++) {
        if (bl_str_ieq(word, bl_str_c(words[i].word)))
            return words[i].flag;
    }
    return 0;
}

static bool read_flag_rule(bl_conf *cf, const bl_conf_node *node, flag_rule *f)
{
    if (is_regex(bl_conf_arg(node, 1)))
        f->regex = read_regex(cf, node, 1, true);
    else
        f->name = bl_value_compile(cf, node, 1, bl_pool_str(cf->pool, bl_conf_arg(node, 1)));
    if (f->regex == NULL && f->name == NULL)
        return false;
    bl_array_init(&f->flags, cf->pool, sizeof(bl_value *));
    for (int i = 2; i < node->count; i++) {
        bl_value *value =
            bl_value_compile(cf, node, i, bl_pool_str(cf->pool, bl_conf_arg(node, i)));
        if (value == NULL)
            return false;
        if (value->constant && flag_of(value->text) == 0)
            return bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"",
                                 BL_STR_ARG(value->text));
        *(bl_value **)bl_array_push(&f->flags) = value;
    }
    return true;
}

static bool read_cookie_flags(bl_conf *cf, const bl_directive *d BL_UNUSED,
                              const bl_conf_node *node, void *field)
{
    bl_proxy_flags **to = field;

    if (*to == BL_UNSET_PTR) {
        *to = BL_NEW(cf->pool, bl_proxy_flags);
        bl_array_init(&(*to)->items, cf->pool, sizeof(flag_rule));
    }
    if (node->count == 2) {
        if (!bl_str_eq(bl_conf_arg(node, 1), BL_STR("off")))
            return bl_conf_error(cf, node, 0,
                                 "invalid number of arguments in "
                                 "\"proxy_cookie_flags\" directive");
        (*to)->off = true;
        return true;
    }
    return read_flag_rule(cf, node, bl_array_push(&(*to)->items));
}

const bl_type bl_type_proxy_redirect = {"default | off | redirect replacement",
                                        sizeof(bl_proxy_rules *), read_redirect};
const bl_type bl_type_proxy_cookie_domain = {"off | domain replacement", sizeof(bl_proxy_rules *),
                                             read_cookie_domain};
const bl_type bl_type_proxy_cookie_path = {"off | path replacement", sizeof(bl_proxy_rules *),
                                           read_cookie_path};
const bl_type bl_type_proxy_cookie_flags = {"off | cookie flag …", sizeof(bl_proxy_flags *),
                                            read_cookie_flags};

/* ------------------------------------------------------------- applying */

/* How much of `text` a rule's literal stands for; `whole`: all or nothing, without case. */
static bool literal_fits(bl_str text, bl_str from, bool whole)
{
    return whole ? bl_str_ieq(text, from) : bl_str_starts(text, from);
}

/* The first rule that fits rewrites; false: none. */
static bool apply(bl_request *r, const bl_proxy_rules *rules, bool whole, bl_str *text)
{
    if (rules == NULL || rules->off)
        return false;
    BL_ARRAY_EACH (rule, each, &rules->items) {
        if (each->regex) {
            if (bl_regex_use_match(r, each->regex, *text) <= 0)
                continue;
            *text = bl_escape_line(r->pool, bl_value_eval(r, each->to));
            return true;
        }
        bl_str from = bl_value_eval(r, each->from);
        if (!literal_fits(*text, from, whole))
            continue;
        bl_str parts[] = {bl_escape_line(r->pool, bl_value_eval(r, each->to)),
                          behind(*text, from.len)};
        *text = bl_pool_concat(r->pool, parts, 2);
        return true;
    }
    return false;
}

/* "7; url=http://…": what is behind the first "url=". */
static bool rewrite_refresh(bl_request *r, const bl_proxy_rules *rules, bl_str *value)
{
    ssize_t at = bl_str_ifind(*value, BL_STR("url="));

    if (at < 0)
        return false;
    size_t front = (size_t)at + 4;
    bl_str url = behind(*value, front);
    if (!apply(r, rules, false, &url))
        return false;
    bl_str parts[] = {bl_str_of(value->p, front), url};
    *value = bl_pool_concat(r->pool, parts, 2);
    return true;
}

/* ------------------------------------------------------------- cookies */

/* True: the attribute is another one now. */
static bool rewrite_attribute(bl_request *r, bl_str *text, const bl_proxy_rules *rules, bool domain)
{
    ssize_t equals = bl_str_chr(*text, '=');

    if (equals < 0)
        return false;
    size_t front = (size_t)equals + 1;
    if (domain && text->len > front && text->p[front] == '.')
        front++;
    bl_str value = behind(*text, front);
    if (!apply(r, rules, domain, &value))
        return false;
    bl_str parts[] = {bl_str_of(text->p, front), value};
    *text = bl_pool_concat(r->pool, parts, 2);
    return true;
}

static int flags_for(bl_request *r, const bl_proxy_flags *rules, bl_str name)
{
    int flags = 0;

    BL_ARRAY_EACH (flag_rule, f, &rules->items) {
        bool fits = f->regex ? bl_regex_use_match(r, f->regex, name) > 0
                             : bl_str_ieq(bl_value_eval(r, f->name), name);
        if (!fits)
            continue;
        BL_ARRAY_EACH (bl_value *, value, &f->flags) {
            flags |= flag_of(bl_value_eval(r, *value));
        }
        return flags;
    }
    return 0;
}

static void apply_flags(bl_set_cookie *c, int flags)
{
    if (flags & (SECURE_ON | SECURE_OFF))
        bl_set_cookie_drop(c, BL_STR("secure"));
    if (flags & (HTTPONLY_ON | HTTPONLY_OFF))
        bl_set_cookie_drop(c, BL_STR("httponly"));
    if (flags >= SAMESITE_STRICT)
        bl_set_cookie_drop(c, BL_STR("samesite"));
    if (flags & SECURE_ON)
        bl_set_cookie_add(c, BL_STR("Secure"));
    if (flags & HTTPONLY_ON)
        bl_set_cookie_add(c, BL_STR("HttpOnly"));
    if (flags & SAMESITE_STRICT)
        bl_set_cookie_add(c, BL_STR("SameSite=Strict"));
    else if (flags & SAMESITE_LAX)
        bl_set_cookie_add(c, BL_STR("SameSite=Lax"));
    else if (flags & SAMESITE_NONE)
        bl_set_cookie_add(c, BL_STR("SameSite=None"));
}

static bool rewrite_cookie(bl_request *r, const bl_proxy_location *conf, bl_str *value)
{
    bl_set_cookie c;
    bool changed = false;
    int flags = 0;

    bl_set_cookie_cut(r->pool, *value, &c);
    BL_ARRAY_EACH (bl_str, attribute, &c.attributes) {
        bl_str name = bl_set_cookie_name(*attribute);
        if (conf->cookie_domains && bl_str_ieq(name, BL_STR("domain")))
            changed |= rewrite_attribute(r, attribute, conf->cookie_domains, true);
        else if (conf->cookie_paths && bl_str_ieq(name, BL_STR("path")))
            changed |= rewrite_attribute(r, attribute, conf->cookie_paths, false);
    }
    if (conf->cookie_flags && !conf->cookie_flags->off)
        flags = flags_for(r, conf->cookie_flags, bl_set_cookie_name(c.first));
    apply_flags(&c, flags);
    if (!changed && flags == 0)
        return false;
    *value = bl_set_cookie_join(r->pool, &c);
    return true;
}

bool bl_proxy_rewrite(bl_upstream *u, bl_header_id id, bl_str *value)
{
    const bl_proxy *proxy = u->data;
    const bl_proxy_location *conf = proxy->conf;

    switch (id) {
    case BL_H_LOCATION:
        return apply(u->r, conf->redirect, false, value);
    case BL_H_REFRESH:
        return rewrite_refresh(u->r, conf->redirect, value);
    case BL_H_SET_COOKIE:
        return (conf->cookie_domains || conf->cookie_paths || conf->cookie_flags) &&
               rewrite_cookie(u->r, conf, value);
    default:
        return false;
    }
}
