#include "http/http_block.h"
#include "http/core_module.h"
#include "http/location.h"
#include "http/server.h"
#include "http/variable.h"

static bool define_variables(bl_conf *cf)
{
    bool ok = true;

    for (int i = 0; bl_http_modules.modules[i]; i++) {
        const bl_http_module *m = bl_http_modules.modules[i]->http;
        if (m && m->variables)
            ok = m->variables(cf) && ok;
    }
    return ok;
}

/* Settings flow down: main, then each server's, then its locations'. */
static bool merge_all(bl_conf *cf, bl_http *http)
{
    bl_settings *top = &http->settings;
    bool ok = true;

    for (int level = 0; level < BL_LEVELS; level++)
        ok = bl_settings_merge(cf, &bl_http_modules, level, NULL, top->of[level]) && ok;
    BL_ARRAY_EACH (bl_server *, server, &http->servers) {
        bl_settings *s = &(*server)->loc->settings;
        cf->settings = s;
        cf->block = (*server)->loc;
        for (int level = BL_SERVER; level < BL_LEVELS; level++)
            ok = bl_settings_merge(cf, &bl_http_modules, level, top->of[level], s->of[level]) && ok;
    }
    return ok;
}

static bool finish_modules(bl_conf *cf, bl_http *http)
{
    bool ok = true;

    for (int i = 0; bl_http_modules.modules[i]; i++) {
        bl_module *m = bl_http_modules.modules[i];
        if (m->finish)
            ok = m->finish(cf, http->settings.of[BL_MAIN][m->index]) && ok;
    }
    return ok;
}

static bool finish(bl_conf *cf, bl_http *http)
{
    bool ok = merge_all(cf, http);

    BL_ARRAY_EACH (bl_server *, server, &http->servers) {
        cf->settings = &(*server)->loc->settings;
        ok = bl_location_finish_server(cf, *server) && ok;
    }
    cf->settings = &http->settings;
    cf->block = NULL;
    return bl_server_finish_all(cf, http) && finish_modules(cf, http) && bl_var_check_all(cf) && ok;
}

static bool read_http(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    bl_http *http = BL_NEW(cf->pool, bl_http);
    bl_conf outer = *cf;

    http->generation = cf->generation;
    bl_array_init(&http->servers, cf->pool, sizeof(bl_server *));
    bl_array_init(&http->addrs, cf->pool, sizeof(struct bl_http_addr *));
    bl_index_init(&http->addr_texts, cf->pool);
    cf->generation->http = http;
    for (int level = 0; level < BL_LEVELS; level++)
        http->settings.of[level] = bl_settings_create(cf, &bl_http_modules, level);
    cf->modules = &bl_http_modules;
    cf->settings = &http->settings;
    bool ok = bl_var_table_new(cf, http) && define_variables(cf) &&
              bl_conf_apply(cf, node, &bl_http_modules, BL_IN_HTTP, &http->settings, NULL);
    ok = cf->errors == 0 && ok && finish(cf, http);
    cf->modules = outer.modules;
    cf->settings = outer.settings;
    cf->block = outer.block;
    cf->context = outer.context;
    return ok;
}

static const bl_directive directives[] = {
    {"http", BL_IN_MAIN, BL_TAKE0 | BL_TAKE_BLOCK, &bl_type_action, .set = read_http},
    {0},
};

bl_module bl_http_block_module = {
    .name = "http",
    .directives = directives,
};
