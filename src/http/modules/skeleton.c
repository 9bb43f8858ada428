/* The module to copy: compiled, so that it stays true, and registered nowhere.
 *
 * A module is one feature in one file, and every file has the same order:
 *
 *   1. this comment: what the feature is for, and how it works where that is not obvious
 *   2. settings: what the configuration says, one struct for each level that has any
 *   3. state: what a request remembers between two calls (bl_request_set_ctx), if anything
 *   4. running: the handler or filter, helpers before their users
 *   5. configuration: functions that read what no type can, then the table of directives
 *   6. the module: its hooks, and the struct itself as the last thing
 *
 * To make a feature of it: copy both files, replace `skeleton`, delete what it does not need; add
 * the module to the list in src/modules.c, and a filter to the order of heads or bodies there. A
 * feature comes with its tests in t/http.
 *
 * What this one does: `skeleton_greeting TEXT` answers GET requests of a location with the text;
 * `skeleton_mark on` adds a field to responses. A location that has neither pays nothing: `compile`
 * puts handlers and filters only into the locations that ask for them. */
#include "http/modules/skeleton.h"
#include "http/mime.h"
#include "http/output.h"
#include "http/request.h"
#include "http/value.h"

/* Each field has a row in the table below, which also inherits it and sets its default. */
typedef struct settings {
    bl_value *greeting; /* NULL: none */
    int mark;
} settings;

/* ------------------------------------------------------------- running */

/* A content handler returns BL_DONE when the response is in the pipeline, a status for an error
 * page, BL_NEXT to leave the request to others, BL_WAIT when it will be woken. */
static bl_step serve(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_skeleton_module);

    if (!(r->method & (BL_M_GET | BL_M_HEAD)))
        return 405;
    return bl_output_text(r, 200, bl_mime_of(r), bl_value_eval(r, s->greeting));
}

/* A head filter changes r->out before it is sent. */
static bl_step mark(bl_request *r)
{
    bl_headers_add(&r->out.headers, r->pool, BL_STR("X-Skeleton"), BL_STR("yes"));
    return BL_NEXT;
}

const bl_filter bl_skeleton_filter = {.name = "skeleton", .head = mark};

/* ------------------------------------------------------------- configuration */

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"skeleton_greeting", BL_IN_LOCATION, BL_TAKE1, &bl_type_value, FIELD(greeting)},
    {"skeleton_mark", BL_IN_HSLI, BL_TAKE_FLAG, &bl_type_flag, FIELD(mark), "off"},
    {0},
};
// clang-format on

/* ------------------------------------------------------------- the module */

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_skeleton_module);

    if (s->greeting)
        loc->content = serve;
    if (s->mark)
        bl_location_filter(cf, loc, &bl_skeleton_filter);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_skeleton_module = {
    .name = "skeleton",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
