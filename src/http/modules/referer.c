/* valid_referers: where a request may come from; $invalid_referer is "1" for all others.
 *
 *   valid_referers none blocked server_names *.example.org example.* www.example.org/galleries/
 *                  ~\.google\.;
 *
 * The text behind "http://" or "https://" is compared: its host without the port, and its path
 * where an entry has one. A regular expression sees all of it. */
#include "http/modules/referer.h"
#include "http/core_module.h"
#include "http/server.h"
#include "http/value.h"
#include "http/variable.h"

typedef struct entry {
    bl_str host; /* lower case; with a dot at the end or the front where a * stood */
    bl_str path; /* p NULL: any */
    const bl_regex_use *regex;
    enum {
        WHOLE,
        SUFFIX, /* *.example.org */
        PREFIX, /* example.* */
    } kind;
} entry;

typedef struct settings {
    bl_array *entries; /* entry */
    int none, blocked, server_names;
    int64_t hash_max_size, hash_bucket_size;
} settings;

/* ------------------------------------------------------------- a request's */

static bl_str behind(bl_str s, size_t n)
{
    return bl_str_of(s.p + n, s.len - n);
}

static bool host_matches(const entry *e, bl_str host)
{
    switch (e->kind) {
    case SUFFIX:
        return host.len > e->host.len && bl_str_ieq(behind(host, host.len - e->host.len), e->host);
    case PREFIX:
        return bl_str_istarts(host, e->host);
    default:
        return bl_str_ieq(host, e->host);
    }
}

static bool is_listed(bl_request *r, const settings *s, bl_str text)
{
    size_t end = 0, port = 0;

    while (end < text.len && text.p[end] != '/' && text.p[end] != '?')
        end++;
    bl_str host = bl_str_of(text.p, end), path = behind(text, end);
    while (port < host.len && host.p[port] != ':')
        port++;
    host.len = port;
    BL_ARRAY_EACH (entry, e, s->entries) {
        if (e->regex ? bl_regex_use_match(r, e->regex, text) > 0
                     : host_matches(e, host) && (e->path.p == NULL || bl_str_starts(path, e->path)))
            return true;
    }
    return s->server_names && bl_str_ieq(host, r->server->core->server_name);
}

static bool is_valid(bl_request *r, const settings *s)
{
    const bl_header *referer = bl_headers_find(&r->in, BL_STR("Referer"), NULL);

    if (s->entries == NULL)
        return true;
    if (referer == NULL)
        return s->none;
    bl_str text = referer->value;
    if (bl_str_istarts(text, BL_STR("http://")))
        return is_listed(r, s, behind(text, 7));
    if (bl_str_istarts(text, BL_STR("https://")))
        return is_listed(r, s, behind(text, 8));
    return s->blocked;
}

static bool get_invalid(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                        bl_str *value)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_referer_module);

    *value = is_valid(r, s) ? BL_STR("") : BL_STR("1");
    return true;
}

/* ------------------------------------------------------------- configuration */

static bool read_name(bl_conf *cf, const bl_conf_node *node, int word, entry *e)
{
    bl_str text = bl_pool_str(cf->pool, bl_conf_arg(node, word));
    ssize_t slash = bl_str_chr(text, '/');

    if (slash >= 0) {
        e->path = behind(text, (size_t)slash);
        text.len = (size_t)slash;
    }
    if (text.len > 1 && bl_str_starts(text, BL_STR("*."))) {
        e->kind = SUFFIX;
        text = behind(text, 1);
    } else if (text.len > 1 && text.p[text.len - 1] == '*' && text.p[text.len - 2] == '.') {
        e->kind = PREFIX;
        text.len--;
    }
    if (text.len == 0 || bl_str_chr(text, '*') >= 0)
        return bl_conf_error(cf, node, word, "invalid host name or wildcard \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, word)));
    e->host = text;
    return true;
}

static bool read_word(bl_conf *cf, const bl_conf_node *node, int word, settings *s)
{
    bl_str text = bl_conf_arg(node, word);

    if (bl_str_eq(text, BL_STR("none")))
        return (s->none = true);
    if (bl_str_eq(text, BL_STR("blocked")))
        return (s->blocked = true);
    if (bl_str_eq(text, BL_STR("server_names")))
        return (s->server_names = true);
    entry *e = bl_array_push(s->entries);
    if (text.len == 0 || text.p[0] != '~')
        return read_name(cf, node, word, e);
    e->regex =
        bl_regex_use_new(cf, node, word, bl_pool_str(cf->pool, behind(text, 1)), BL_REGEX_CASELESS);
    return e->regex != NULL;
}

static bool read_referers(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field)
{
    settings *s = BL_CONTAINER((bl_array **)field, settings, entries);
    bool ok = true;

    if (s->entries == BL_UNSET_PTR)
        s->entries = bl_array_new(cf->pool, sizeof(entry));
    for (int i = 1; i < node->count; i++)
        ok = read_word(cf, node, i, s) && ok;
    return ok;
}

static const bl_type type_referers = {"none | blocked | server_names | string …",
                                      sizeof(bl_array *), read_referers};

#define LOC(field) BL_LOCATION, offsetof(settings, field)

// clang-format off
static const bl_directive directives[] = {
    {"valid_referers", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE_1MORE | BL_REPEATS, &type_referers, LOC(entries)},
    {"referer_hash_max_size", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE1, &bl_type_num, LOC(hash_max_size), "2048"},
    {"referer_hash_bucket_size", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE1, &bl_type_num, LOC(hash_bucket_size), "64"},
    {0},
};
// clang-format on

/* The words go with the list. */
static bool merge(bl_conf *cf BL_UNUSED, int level, void *parent, void *child)
{
    const settings *outer = parent;
    settings *s = child;

    if (level != BL_LOCATION || outer == NULL)
        return true;
    if (s->entries == outer->entries) {
        s->none = outer->none;
        s->blocked = outer->blocked;
        s->server_names = outer->server_names;
    }
    return true;
}

static bool define_variables(bl_conf *cf)
{
    static const bl_variable rows[] = {
        {.name = BL_STR_INIT("invalid_referer"), .get = get_invalid, .flags = BL_VAR_VOLATILE},
        {.name = {NULL, 0}},
    };

    return bl_var_define_all(cf, rows);
}

static const bl_http_module http = {.variables = define_variables};

bl_module bl_referer_module = {
    .name = "referer",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .merge = merge,
    .http = &http,
};
