#include "event/resolver.h"

struct bl_resolver {
    int servers;
};

bl_resolver *bl_resolver_read(bl_conf *cf, const bl_conf_node *node)
{
    bl_resolver *resolver = BL_NEW(cf->pool, bl_resolver);

    resolver->servers = node->count - 1;
    return resolver;
}

bl_resolver *bl_resolver_system(void)
{
    static bl_resolver resolver;

    return &resolver;
}

bool bl_resolve_start(bl_resolve *ask)
{
    ask->status = BL_RESOLVE_SERVER;
    ask->done(ask);
    return true;
}

void bl_resolve_cancel(bl_resolve *ask)
{
    ask->started = false;
}

const char *bl_resolve_error(bl_resolve_status status)
{
    return status == BL_RESOLVE_SERVER ? "Server failure" : "unknown error";
}
