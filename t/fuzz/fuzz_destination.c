/* Destination of COPY and MOVE: what is a path begins with a slash and climbs nowhere. The input:
 * the own host, then the field's value. */
#include "fuzz.h"
#include "http/modules/dav.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size), host = fuzz_text(&in, 16), uri;
    bl_pool *pool = bl_pool_new();

    in = fuzz_copy(in);
    if (bl_dav_destination(pool, in, host, true, &uri) == BL_DAV_HERE) {
        BL_ASSERT(uri.len > 0 && uri.p[0] == '/' && bl_str_chr(uri, '\0') < 0);
        BL_ASSERT(bl_str_find(uri, BL_STR("/../")) < 0);
        BL_ASSERT(uri.len < 3 || memcmp(uri.p + uri.len - 3, "/..", 3) != 0);
    }
    free(in.p);
    bl_pool_free(pool);
    return 0;
}
