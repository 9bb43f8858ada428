/* The directives of proxy_cache, so that a configuration that has them serves: their arguments are
 * counted, every response is fetched anew, and whoever turns a cache on is told so. */
#include "http/modules/proxy_cache.h"

static bool read_zone(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    if (!bl_str_eq(bl_conf_arg(node, 1), BL_STR("off")))
        bl_conf_warn(cf, node, 0, "responses are not cached by this server");
    return true;
}

static bool read_path(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    for (int i = 2; i < node->count; i++) {
        if (bl_str_starts(bl_conf_arg(node, i), BL_STR("keys_zone=")))
            return true;
    }
    return bl_conf_error(cf, node, 0, "\"proxy_cache_path\" must have \"keys_zone\" parameter");
}

static bool read_nothing(bl_conf *cf BL_UNUSED, const bl_directive *d BL_UNUSED,
                         const bl_conf_node *node BL_UNUSED, void *field BL_UNUSED)
{
    return true;
}

#define ROW(name, args, reader)                                                                    \
    {                                                                                              \
        name, BL_IN_HSL, (args) | BL_REPEATS, &bl_type_action, .set = reader                       \
    }

static const bl_directive directives[] = {
    {"proxy_cache_path", BL_IN_HTTP, BL_TAKE_2MORE | BL_REPEATS, &bl_type_action, .set = read_path},
    ROW("proxy_cache", BL_TAKE1, read_zone),
    ROW("proxy_cache_key", BL_TAKE1, read_nothing),
    ROW("proxy_cache_bypass", BL_TAKE_1MORE, read_nothing),
    ROW("proxy_no_cache", BL_TAKE_1MORE, read_nothing),
    ROW("proxy_cache_valid", BL_TAKE_1MORE, read_nothing),
    ROW("proxy_cache_min_uses", BL_TAKE1, read_nothing),
    ROW("proxy_cache_max_range_offset", BL_TAKE1, read_nothing),
    ROW("proxy_cache_use_stale", BL_TAKE_1MORE, read_nothing),
    ROW("proxy_cache_methods", BL_TAKE_1MORE, read_nothing),
    ROW("proxy_cache_lock", BL_TAKE_FLAG, read_nothing),
    ROW("proxy_cache_lock_timeout", BL_TAKE1, read_nothing),
    ROW("proxy_cache_lock_age", BL_TAKE1, read_nothing),
    ROW("proxy_cache_revalidate", BL_TAKE_FLAG, read_nothing),
    ROW("proxy_cache_convert_head", BL_TAKE_FLAG, read_nothing),
    ROW("proxy_cache_background_update", BL_TAKE_FLAG, read_nothing),
    {0},
};

bl_module bl_proxy_cache_module = {.name = "proxy_cache", .directives = directives};
