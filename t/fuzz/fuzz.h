/* What the drivers share: the function that the fuzzer calls, and an input that is taken apart. */
#ifndef BL_FUZZ_H
#define BL_FUZZ_H

#include "core/pool.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A byte off the front of the input; 0 when nothing is left. */
static inline unsigned fuzz_byte(bl_str *in)
{
    unsigned byte = in->len ? (unsigned char)in->p[0] : 0;

    if (in->len)
        *in = bl_str_of(in->p + 1, in->len - 1);
    return byte;
}

/* A text off the front, whose length (below `limit`) stands before it. */
static inline bl_str fuzz_text(bl_str *in, size_t limit)
{
    size_t len = fuzz_byte(in) % limit;
    bl_str text = bl_str_of(in->p, BL_MIN(len, in->len));

    *in = bl_str_of(in->p + text.len, in->len - text.len);
    return text;
}

/* A copy as large as the text, so that a look behind its end shows. Freed by the driver. */
static inline bl_str fuzz_copy(bl_str s)
{
    char *copy = malloc(s.len ? s.len : 1);

    BL_ASSERT(copy != NULL);
    if (s.len)
        memcpy(copy, s.p, s.len);
    return bl_str_of(copy, s.len);
}

static inline bool fuzz_inside(bl_str part, bl_str whole)
{
    return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

#endif
