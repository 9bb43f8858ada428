/* Locations while the configuration is read, and their compilation: settings merged downwards, then
 * each location's handlers and filters gathered from the modules and laid out flat. */
#include "http/core_module.h"
#include "http/location.h"
#include "http/phases.h"
#include "http/value.h"

#include <stdlib.h>

/* ------------------------------------------------------------- reading */

bl_location *bl_location_new(bl_conf *cf, const bl_conf_node *node, bl_location_kind kind,
                             bl_server *server, bl_location *parent)
{
    bl_location *loc = BL_NEW(cf->pool, bl_location);

    loc->node = node;
    loc->kind = kind;
    loc->server = server;
    loc->parent = parent;
    bl_array_init(&loc->children, cf->pool, sizeof(bl_location *));
    for (int level = 0; level < BL_LOCATION; level++)
        loc->settings.of[level] = cf->settings->of[level];
    loc->settings.of[BL_LOCATION] = bl_settings_create(cf, &bl_http_modules, BL_LOCATION);
    loc->core = bl_settings_of(&loc->settings, BL_LOCATION, &bl_http_core_module);
    return loc;
}

static bool read_regex(bl_conf *cf, const bl_conf_node *node, int word, bl_str pattern,
                       bool caseless, bl_location *loc)
{
    loc->kind = BL_LOC_REGEX;
    loc->name = pattern;
    loc->regex_use = bl_regex_use_new(cf, node, word, pattern, caseless ? BL_REGEX_CASELESS : 0);
    return loc->regex_use != NULL;
}

/* location NAME, or with the modifier stuck to it: "=/x", "~*\.gif$" */
static bool read_name_alone(bl_conf *cf, const bl_conf_node *node, bl_location *loc)
{
    bl_str name = bl_conf_arg(node, 1);

    loc->name = name;
    if (name.len == 0 || node->words[1].quoted)
        return true;
    if (name.p[0] == '=') {
        loc->kind = BL_LOC_EXACT;
        loc->name = bl_str_of(name.p + 1, name.len - 1);
    } else if (bl_str_starts(name, BL_STR("^~"))) {
        loc->no_regex = true;
        loc->name = bl_str_of(name.p + 2, name.len - 2);
    } else if (bl_str_starts(name, BL_STR("~*"))) {
        return read_regex(cf, node, 1, bl_str_of(name.p + 2, name.len - 2), true, loc);
    } else if (name.p[0] == '~') {
        return read_regex(cf, node, 1, bl_str_of(name.p + 1, name.len - 1), false, loc);
    } else if (name.p[0] == '@') {
        loc->kind = BL_LOC_NAMED;
    }
    return true;
}

static bool read_name(bl_conf *cf, const bl_conf_node *node, bl_location *loc)
{
    if (node->count == 2)
        return read_name_alone(cf, node, loc);

    bl_str modifier = bl_conf_arg(node, 1);
    loc->name = bl_conf_arg(node, 2);
    if (bl_str_eq(modifier, BL_STR("=")))
        loc->kind = BL_LOC_EXACT;
    else if (bl_str_eq(modifier, BL_STR("^~")))
        loc->no_regex = true;
    else if (bl_str_eq(modifier, BL_STR("~")))
        return read_regex(cf, node, 2, loc->name, false, loc);
    else if (bl_str_eq(modifier, BL_STR("~*")))
        return read_regex(cf, node, 2, loc->name, true, loc);
    else
        return bl_conf_error(cf, node, 1, "invalid location modifier \"%.*s\"",
                             BL_STR_ARG(modifier));
    return true;
}

static bool check_nesting(bl_conf *cf, const bl_conf_node *node, const bl_location *outer,
                          const bl_location *loc)
{
    if (outer->kind == BL_LOC_SERVER)
        return true;
    if (outer->kind == BL_LOC_EXACT)
        return bl_conf_error(cf, node, 0,
                             "location \"%.*s\" cannot be inside the exact location \"%.*s\"",
                             BL_STR_ARG(loc->name), BL_STR_ARG(outer->name));
    if (outer->kind == BL_LOC_NAMED)
        return bl_conf_error(cf, node, 0,
                             "location \"%.*s\" cannot be inside the named location \"%.*s\"",
                             BL_STR_ARG(loc->name), BL_STR_ARG(outer->name));
    if (loc->kind == BL_LOC_NAMED)
        return bl_conf_error(cf, node, 0, "named location \"%.*s\" can be on the server level only",
                             BL_STR_ARG(loc->name));
    if (loc->kind != BL_LOC_REGEX && outer->kind != BL_LOC_REGEX &&
        !bl_str_starts(loc->name, outer->name))
        return bl_conf_error(cf, node, 0, "location \"%.*s\" is outside location \"%.*s\"",
                             BL_STR_ARG(loc->name), BL_STR_ARG(outer->name));
    return true;
}

bool bl_location_read(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    bl_location *outer = cf->block;
    bl_location *loc = bl_location_new(cf, node, BL_LOC_PREFIX, outer->server, outer);

    if (!read_name(cf, node, loc) || !check_nesting(cf, node, outer, loc))
        return false;
    *(bl_location **)bl_array_push(loc->kind == BL_LOC_NAMED ? &loc->server->named
                                                             : &outer->children) = loc;
    return bl_conf_apply(cf, node, &bl_http_modules, BL_IN_LOCATION, &loc->settings, loc);
}

bl_location *bl_location_pseudo(bl_conf *cf, const bl_conf_node *node, bl_location_kind kind,
                                uint32_t context)
{
    bl_location *outer = cf->block;
    bl_location *loc = bl_location_new(cf, node, kind, outer->server, outer);

    loc->name = outer->name;
    loc->no_regex = outer->no_regex;
    *(bl_location **)bl_array_push(&outer->children) = loc;
    return bl_conf_apply(cf, node, &bl_http_modules, context, &loc->settings, loc) ? loc : NULL;
}

/* ------------------------------------------------------------- compiling */

/* While a location is compiled: what the modules have added so far. */
typedef struct gathering {
    bl_array handlers; /* bl_handler */
    bl_array filters;  /* const bl_filter * */
} gathering;

static gathering *gathered;

void bl_location_handler(bl_conf *cf BL_UNUSED, bl_location *loc BL_UNUSED, bl_phase phase,
                         int place, bl_handler_fn run)
{
    bl_handler *h = bl_array_push(&gathered->handlers);

    *h = (bl_handler){
        .run = run, .phase = (uint16_t)phase, .rank = (uint16_t)((unsigned)phase << 8 | place)};
}

void bl_location_filter(bl_conf *cf BL_UNUSED, bl_location *loc BL_UNUSED, const bl_filter *filter)
{
    *(const bl_filter **)bl_array_push(&gathered->filters) = filter;
}

static int by_rank(const void *a, const void *b)
{
    return ((const bl_handler *)a)->rank - ((const bl_handler *)b)->rank;
}

/* The handlers of the phases up to content, in order, the core's own steps between them. */
static void lay_out_program(bl_conf *cf, bl_location *loc)
{
    bl_array *all = &gathered->handlers;
    bl_handler *program = BL_NEW_ARRAY(cf->pool, bl_handler, all->count + 1);
    int logs = 0;

    qsort(all->items, all->count, sizeof *program, by_rank);
    BL_ARRAY_EACH (bl_handler, h, all) {
        if (h->phase == BL_PHASE_LOG)
            logs++;
        else
            program[loc->program_len++] = *h;
    }
    program[loc->program_len++] =
        (bl_handler){.run = bl_phase_no_content, .phase = BL_PHASE_CONTENT, .rank = UINT16_MAX};
    loc->program = program;
    if (logs == 0)
        return;
    loc->log = BL_NEW_ARRAY(cf->pool, bl_handler, (size_t)logs + 1);
    memcpy(loc->log, (bl_handler *)all->items + (all->count - (uint32_t)logs),
           sizeof *loc->log * (size_t)logs);
}

static bool is_gathered(const bl_filter *filter)
{
    BL_ARRAY_EACH (const bl_filter *, f, &gathered->filters) {
        if (*f == filter)
            return true;
    }
    return false;
}

static const bl_filter **lay_out_filters(bl_conf *cf, const bl_filter *const *order, int *count)
{
    size_t all = 0;

    while (order[all])
        all++;
    const bl_filter **list = BL_NEW_ARRAY(cf->pool, const bl_filter *, all + 1);
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        if (is_gathered(order[i]))
            list[(*count)++] = order[i];
    }
    return list;
}

/* What stands inside of a location is served as that location is, unless it says otherwise. */
static void inherit_content(bl_location *loc)
{
    bool part = loc->kind == BL_LOC_IF || loc->kind == BL_LOC_LIMIT_EXCEPT;

    if (part && loc->content == NULL)
        loc->content = loc->parent->content;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    gathering mine;
    int heads;
    bool ok = true;

    bl_array_init(&mine.handlers, cf->pool, sizeof(bl_handler));
    bl_array_init(&mine.filters, cf->pool, sizeof(bl_filter *));
    gathered = &mine;
    inherit_content(loc);
    for (int i = 0; bl_http_modules.modules[i]; i++) {
        const bl_http_module *m = bl_http_modules.modules[i]->http;
        if (m && m->compile)
            ok = m->compile(cf, loc) && ok;
    }
    bl_phases_add_core_steps(cf, loc, &mine.handlers);
    lay_out_program(cf, loc);
    loc->head_filters = lay_out_filters(cf, bl_head_filter_order, &heads);
    loc->body_filters = lay_out_filters(cf, bl_body_filter_order, &loc->body_filters_count);
    while (loc->late_filters < loc->body_filters_count &&
           !loc->body_filters[loc->late_filters]->late)
        loc->late_filters++;
    gathered = NULL;
    return ok;
}

static bool finish_location(bl_conf *cf, bl_location *loc)
{
    bl_settings *outer = &loc->parent->settings;
    bl_location *block = cf->block;
    bool ok;

    cf->block = loc;
    ok = bl_settings_merge(cf, &bl_http_modules, BL_LOCATION, outer->of[BL_LOCATION],
                           loc->settings.of[BL_LOCATION]) &&
         compile(cf, loc);
    BL_ARRAY_EACH (bl_location *, child, &loc->children) {
        ok = finish_location(cf, *child) && ok;
    }
    loc->nested = bl_matcher_build(cf, &loc->children);
    cf->block = block;
    return ok;
}

bool bl_location_finish_server(bl_conf *cf, bl_server *server)
{
    bl_location *loc = server->loc;
    bool ok = true;

    cf->block = loc;
    ok = compile(cf, loc);
    BL_ARRAY_EACH (bl_location *, child, &loc->children) {
        ok = finish_location(cf, *child) && ok;
    }
    BL_ARRAY_EACH (bl_location *, named, &server->named) {
        ok = finish_location(cf, *named) && ok;
    }
    server->matcher = bl_matcher_build(cf, &loc->children);
    return ok && cf->errors == 0;
}
