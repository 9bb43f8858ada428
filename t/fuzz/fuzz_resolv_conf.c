/* resolv.conf: any text gives at least one name server, and no more of anything than is kept. */
#include "event/resolver_system.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size));
    bl_resolver_system_conf conf;

    bl_resolver_system_parse(pool, text, &conf);
    BL_ASSERT(conf.servers.count >= 1 && conf.servers.count <= 8 && conf.search.count <= 16);
    BL_ASSERT(conf.ndots >= 0 && conf.ndots <= 15);
    BL_ARRAY_EACH (bl_addr, addr, &conf.servers) {
        BL_ASSERT(bl_addr_port(&addr->sa) == 53);
    }
    for (uint32_t i = 0; i < conf.search.count; i++) {
        const bl_str *name = bl_array_at(&conf.search, i);
        BL_ASSERT(name->len > 0 && name->p[name->len - 1] != '.' && bl_str_chr(*name, ' ') < 0);
    }
    free(text.p);
    bl_pool_free(pool);
    return 0;
}
