/* allow and deny: the first rule that has the client's address decides; without one it may come in.
 */
#include "http/modules/access.h"
#include "event/cidr.h"
#include "http/core_module.h"
#include "http/phases.h"
#include "http/request.h"

typedef struct rule {
    bl_cidr network;
    bool all;
    bool deny;
} rule;

typedef struct settings {
    bl_array *rules; /* rule */
} settings;

static bl_step check(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_access_module);

    BL_ARRAY_EACH (rule, it, s->rules) {
        if (!it->all && !bl_cidr_match(&it->network, &r->conn->peer.sa))
            continue;
        if (!it->deny)
            return BL_SKIP;
        if (r->loc->core->satisfy == BL_SATISFY_ALL)
            bl_log_write(BL_LOG_ERR, r->log, 0, "access forbidden by rule");
        return 403;
    }
    return BL_NEXT;
}

static bool read_rule(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field)
{
    bl_array **rules = field;
    bl_str text = bl_conf_arg(node, 1);

    if (*rules == BL_UNSET_PTR)
        *rules = bl_array_new(cf->pool, sizeof(rule));
    rule *it = bl_array_push(*rules);
    it->deny = d->name[0] == 'd';
    if (bl_str_eq(text, BL_STR("all"))) {
        it->all = true;
        return true;
    }
    switch (bl_cidr_parse(text, &it->network)) {
    case BL_CIDR_INVALID:
        return bl_conf_error(cf, node, 1, "invalid parameter \"%.*s\"", BL_STR_ARG(text));
    case BL_CIDR_LOW_BITS:
        bl_conf_warn(cf, node, 1, "low address bits of %.*s are meaningless", BL_STR_ARG(text));
        return true;
    default:
        return true;
    }
}

static const bl_type type_rule = {"address | CIDR | unix: | all", sizeof(bl_array *), read_rule};

static const bl_directive directives[] = {
    {"allow", BL_IN_HSL | BL_IN_LIMIT_EXCEPT, BL_TAKE1 | BL_REPEATS, &type_rule, BL_LOCATION,
     offsetof(settings, rules)},
    {"deny", BL_IN_HSL | BL_IN_LIMIT_EXCEPT, BL_TAKE1 | BL_REPEATS, &type_rule, BL_LOCATION,
     offsetof(settings, rules)},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_access_module);

    if (bl_array_count(s->rules))
        bl_location_handler(cf, loc, BL_PHASE_ACCESS, BL_PLACE_ACCESS, check);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_access_module = {
    .name = "http_access",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .http = &http,
};
