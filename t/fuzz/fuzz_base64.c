/* Base64: any text decodes to no more than was promised, or not at all; what was encoded comes
 * back, and what decodes is, encoded again, the same but for bits that no byte needs. */
#include "core/base64.h"
#include "fuzz.h"

static void check_decoding(bl_str text, bool url, bool mime)
{
    size_t room = text.len / 4 * 3 + 3;
    char *to = malloc(room), *again = malloc(BL_BASE64_SIZE(room)), *twice = malloc(room + 3);
    ssize_t len = bl_base64_decode(to, text, url, mime);

    BL_ASSERT(len >= -1 && len <= (ssize_t)room);
    if (len >= 0) {
        bl_str bytes = bl_str_of(to, (size_t)len);
        size_t encoded = bl_base64_encode(again, bytes, false, url);
        BL_ASSERT(encoded <= text.len);
        BL_ASSERT(bl_base64_decode(twice, bl_str_of(again, encoded), url, false) == len);
        BL_ASSERT(memcmp(to, twice, (size_t)len) == 0);
        if (!mime && encoded > 1)
            BL_ASSERT(memcmp(again, text.p, encoded - 1) == 0);
    }
    free(to);
    free(again);
    free(twice);
}

static void check_encoding(bl_str bytes, bool padding, bool url)
{
    char *to = malloc(BL_BASE64_SIZE(bytes.len) + 1), *back = malloc(bytes.len + 3);
    size_t len = bl_base64_encode(to, bytes, padding, url);

    BL_ASSERT(len <= BL_BASE64_SIZE(bytes.len) && (!padding || len == BL_BASE64_SIZE(bytes.len)));
    BL_ASSERT(bl_base64_decode(back, bl_str_of(to, len), url, false) == (ssize_t)bytes.len);
    BL_ASSERT(bytes.len == 0 || memcmp(back, bytes.p, bytes.len) == 0);
    free(to);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size));

    for (int way = 0; way < 4; way++) {
        check_decoding(text, way & 1, way & 2);
        check_encoding(text, way & 1, way & 2);
    }
    free(text.p);
    return 0;
}
