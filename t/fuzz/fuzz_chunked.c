/* Chunked bodies: in whatever pieces the bytes come, the body is the same. The input: a count of
 * cuts, the lengths of the pieces between them, then the coded body.
 */
#include "http/parse.h"

#include <stdlib.h>

typedef struct outcome {
    bl_chunked_result result;
    size_t used; /* bytes of the input, up to the end or the fault */
    char *body;
    size_t len;
} outcome;

/* Feeds one piece; appends its data. */
static bl_chunked_result feed(bl_chunked *c, bl_str piece, outcome *out)
{
    bl_str data;
    bl_chunked_result result;
    const char *start = piece.p;

    while ((result = bl_chunked_parse(c, &piece, &data)) == BL_CHUNKED_DATA) {
        BL_ASSERT(data.len > 0 && data.p >= start && data.p + data.len == piece.p);
        memcpy(out->body + out->len, data.p, data.len);
        out->len += data.len;
    }
    BL_ASSERT(result != BL_CHUNKED_MORE || piece.len == 0);
    out->used += (size_t)(piece.p - start);
    return result;
}

/* Pieces as long as `cuts` says, one after another; what is left at the end in one. */
static outcome decode(bl_str text, const uint8_t *cuts, size_t count)
{
    bl_chunked c = {0};
    outcome out = {.result = BL_CHUNKED_MORE, .body = malloc(text.len + 1)};

    for (size_t i = 0; out.used < text.len && out.result == BL_CHUNKED_MORE; i++) {
        size_t left = text.len - out.used;
        size_t n = i < count ? BL_MIN(left, (size_t)cuts[i]) : left;
        /* a copy as large as the piece, so that a look behind its end shows */
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text.p + out.used, n);
        out.result = feed(&c, bl_str_of(copy, n), &out);
        free(copy);
        BL_ASSERT(out.result != BL_CHUNKED_MORE || bl_chunked_least(&c) > 0);
    }
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t count = BL_MIN(size - 1, (size_t)data[0] % 32);
    bl_str text = bl_str_of((const char *)data + 1 + count, size - 1 - count);
    outcome whole = decode(text, NULL, 0), pieces = decode(text, data + 1, count);

    BL_ASSERT(whole.result == pieces.result && whole.used == pieces.used);
    BL_ASSERT(whole.len == pieces.len && memcmp(whole.body, pieces.body, whole.len) == 0);
    free(whole.body);
    free(pieces.body);
    return 0;
}
