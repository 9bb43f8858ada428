/* PROXY headers: any bytes are a header, the beginning of one, or none; and what is the beginning
 * of none does not become one by cutting it. */
#include "event/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_proxy_protocol pp = {0}, part = {0};
    bl_str value;

    ssize_t len = bl_proxy_protocol_parse(pool, bl_str_of((const char *)data, size), &pp);
    BL_ASSERT(len >= -1 && len <= (ssize_t)size);
    if (len > 0) {
        BL_ASSERT(pp.src_port >= 0 && pp.src_port <= 65535);
        for (int type = 0; type < 256; type++) {
            bl_proxy_protocol_tlv(&pp, type, 0, &value);
            bl_proxy_protocol_tlv(&pp, 0x20, type, &value);
        }
        for (ssize_t i = 0; i < len; i++) {
            bl_str cut = bl_str_of((const char *)data, (size_t)i);
            BL_ASSERT(bl_proxy_protocol_parse(pool, cut, &part) == 0);
        }
    }
    bl_pool_free(pool);
    return 0;
}
