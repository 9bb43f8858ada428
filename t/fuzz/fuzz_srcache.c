/* Responses from a cache: whatever stands there is one, whose parts lie inside it, or is none. */
#include "fuzz.h"
#include "http/modules/srcache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size)), fields, body;
    int status;

    if (bl_srcache_parse(text, &status, &fields, &body)) {
        BL_ASSERT(status >= 200 && status <= 599);
        BL_ASSERT(fuzz_inside(fields, text) && fuzz_inside(body, text));
        BL_ASSERT(fields.p + fields.len == body.p && body.p + body.len == text.p + text.len);
        ssize_t end = bl_str_find(fields, BL_STR("\n\n"));
        BL_ASSERT(end < 0 || (size_t)end + 2 == fields.len);
    }
    free(text.p);
    return 0;
}
