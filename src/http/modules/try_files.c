/* try_files: makes the first of several names that exists under root or alias the request's URI;
 * the last argument is where to go when none does: a URI, @name, or =code. */
#include "http/modules/try_files.h"
#include "http/core_module.h"
#include "http/open_file.h"
#include "http/phases.h"
#include "http/value.h"

typedef struct candidate {
    bl_value *value;
    bool folder; /* ends with a slash: must be a folder, else a file */
} candidate;

typedef struct settings {
    bl_array *candidates; /* without the last argument; NULL: no try_files here */
    bl_value *fallback;
    int code; /* of =code; 0: a URI */
} settings;

static bl_step fall_back(bl_request *r, const settings *s)
{
    if (s->code)
        return s->code;
    bl_str uri = bl_value_eval(r, s->fallback), args = r->args;
    if (uri.len && uri.p[0] == '@')
        return bl_request_redirect_named(r, uri);
    ssize_t question = bl_str_chr(uri, '?');
    if (question >= 0) {
        args = bl_str_of(uri.p + question + 1, uri.len - (size_t)question - 1);
        uri.len = (size_t)question;
    }
    return bl_request_redirect(r, uri, args);
}

/* The URI that a name stands for: where an alias replaces the location's part of the URI, a name
 * without that part gets it. */
static bl_str uri_of(bl_request *r, bl_str name)
{
    const bl_root_setting *root = &r->loc->core->root;
    bl_str covered = bl_str_of(r->uri.p, BL_MIN(root->covers, r->uri.len));

    if (!root->alias || root->covers == BL_ALIAS_ALL || bl_str_starts(name, covered))
        return name;
    bl_str parts[] = {covered, name};
    return bl_pool_concat(r->pool, parts, 2);
}

/* Is it there? Then it is the request's URI (a folder's without the slash), else that stays as it
 * was. */
static bool try(bl_request *r, bl_str name, bool folder)
{
    bool alias_all = r->loc->core->root.alias && r->loc->core->root.covers == BL_ALIAS_ALL;
    bl_open_file_info info;
    bl_str path, before = r->uri, exten = r->exten;
    size_t root_len;
    bool found, added = r->add_uri_to_alias;

    if (folder && name.len)
        name.len--;
    r->add_uri_to_alias |= alias_all;
    bl_request_set_uri(r, uri_of(r, name));
    found = bl_request_path(r, &path, &root_len, 0) &&
            bl_open_file_get(r, path, BL_OPEN_FILE_TEST, &info) && S_ISDIR(info.mode) == folder;
    if (found)
        return true; /* a folder without its slash is redirected by whoever serves it */
    r->uri = before;
    r->exten = exten;
    r->add_uri_to_alias = added;
    return false;
}

static bl_step run(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_try_files_module);

    BL_ARRAY_EACH (candidate, c, s->candidates) {
        if (try(r, bl_value_eval_z(r, c->value), c->folder)) {
            r->valid_raw_uri = false;
            return BL_NEXT;
        }
    }
    return fall_back(r, s);
}

/* ------------------------------------------------------------- configuration */

static bool read_fallback(bl_conf *cf, const bl_conf_node *node, settings *s)
{
    int last = node->count - 1;
    bl_str text = bl_conf_arg(node, last);

    if (text.len && text.p[0] == '=') {
        int64_t code = bl_str_to_int(bl_str_of(text.p + 1, text.len - 1));
        if (code < 0 || code > 999)
            return bl_conf_error(cf, node, last, "invalid code \"%.*s\"", BL_STR_ARG(text));
        s->code = (int)code;
        return true;
    }
    s->fallback = bl_value_compile(cf, node, last, text);
    return s->fallback != NULL;
}

static bool read_try_files(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                           void *field)
{
    settings *s = BL_CONTAINER(field, settings, candidates);

    s->candidates = bl_array_new(cf->pool, sizeof(candidate));
    for (int i = 1; i < node->count - 1; i++) {
        bl_str text = bl_conf_arg(node, i);
        candidate *c = bl_array_push(s->candidates);
        c->folder = text.len && text.p[text.len - 1] == '/';
        c->value = bl_value_compile(cf, node, i, text);
        if (c->value == NULL)
            return false;
    }
    return read_fallback(cf, node, s);
}

static const bl_directive directives[] = {
    {"try_files", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE_2MORE, &bl_type_action, BL_LOCATION,
     offsetof(settings, candidates), .set = read_try_files},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_try_files_module);

    if (s->candidates)
        bl_location_handler(cf, loc, BL_PHASE_PRECONTENT, BL_PLACE_TRY_FILES, run);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_try_files_module = {
    .name = "try_files",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
