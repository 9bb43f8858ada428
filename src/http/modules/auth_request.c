/* auth_request: a subrequest decides. 2xx lets the request in, 401 and 403 keep it out with that
 * status, everything else is an error. auth_request_set takes values from the subrequest. */
#include "http/modules/auth_request.h"
#include "http/modules/rewrite.h"
#include "http/phases.h"
#include "http/subrequest.h"
#include "http/value.h"
#include "http/variable.h"

typedef struct assignment {
    int index;
    bl_value *value;
} assignment;

typedef struct settings {
    bl_value *uri; /* "off": none */
    bl_array *assignments;
} settings;

typedef struct state {
    bool done;
    int status;               /* of the subrequest */
    const bl_headers *fields; /* its response's: what a challenge is taken from */
} state;

static void assign(bl_request *r, bl_request *sub, const bl_array *assignments)
{
    BL_ARRAY_EACH (assignment, a, assignments) {
        bl_str value = bl_value_eval(sub, a->value);
        bl_var_set(r, a->index, bl_pool_str(r->pool, value));
    }
}

static void on_done(bl_request *sub)
{
    bl_request *r = sub->parent;
    state *st = bl_request_ctx(r, &bl_auth_request_module);
    const settings *s = BL_LOC_SETTINGS(r, bl_auth_request_module);

    st->done = true;
    st->status = sub->out.status;
    st->fields = &sub->out.headers;
    assign(r, sub, s->assignments);
    bl_request_wake(r, BL_JUMP);
}

static bl_step ask(bl_request *r, const settings *s)
{
    bl_subrequest_options options = {.uri = bl_value_eval(r, s->uri),
                                     .method = BL_M_GET,
                                     .method_name = BL_STR("GET"),
                                     .capture = true,
                                     .share_vars = true,
                                     .done = on_done};

    if (r->method == BL_M_HEAD) {
        options.method = BL_M_HEAD;
        options.method_name = BL_STR("HEAD");
    }
    bl_request_set_ctx(r, &bl_auth_request_module, BL_NEW(r->pool, state));
    return bl_subrequest_new(r, &options) ? BL_WAIT : 500;
}

static void copy_challenges(bl_request *r, const bl_headers *fields)
{
    const bl_header *h = NULL;

    while ((h = bl_headers_find(fields, BL_STR("WWW-Authenticate"), h)) != NULL)
        bl_headers_add(&r->out.headers, r->pool, h->name, bl_pool_str(r->pool, h->value));
}

static bl_step check(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_auth_request_module);
    state *st = bl_request_ctx(r, &bl_auth_request_module);

    if (st == NULL || !st->done)
        return ask(r, s);
    bl_request_set_ctx(r, &bl_auth_request_module, NULL);
    if (st->status >= 200 && st->status < 300)
        return BL_SKIP;
    if (st->status == 401)
        copy_challenges(r, st->fields);
    if (st->status == 401 || st->status == 403)
        return st->status;
    bl_log_write(BL_LOG_ERR, r->log, 0, "auth request unexpected status: %d", st->status);
    return 500;
}

/* ------------------------------------------------------------- configuration */

static bool read_set(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    bl_array **assignments = field;

    if (*assignments == BL_UNSET_PTR)
        *assignments = bl_array_new(cf->pool, sizeof(assignment));
    assignment *a = bl_array_push(*assignments);
    a->index = bl_rewrite_define(cf, node, 1);
    a->value = bl_value_compile(cf, node, 2, bl_conf_arg(node, 2));
    return a->index >= 0 && a->value != NULL;
}

static const bl_type type_set = {"$variable value", sizeof(bl_array *), read_set};

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

static const bl_directive directives[] = {
    {"auth_request", BL_IN_HSL, BL_TAKE1, &bl_type_value, FIELD(uri), "off"},
    {"auth_request_set", BL_IN_HSL, BL_TAKE2 | BL_REPEATS, &type_set, FIELD(assignments)},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_auth_request_module);

    if (!bl_str_eq(s->uri->text, BL_STR("off")))
        bl_location_handler(cf, loc, BL_PHASE_ACCESS, BL_PLACE_AUTH_REQUEST, check);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_auth_request_module = {
    .name = "auth_request",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
