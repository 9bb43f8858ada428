/* Replies of Redis: in whatever pieces they come, they end at the same byte. The input: how many
 * are awaited, a count of cuts, the lengths of the pieces, the replies. */
#include "fuzz.h"
#include "http/modules/redis2_reply.h"

static bl_status take(bl_str text, int64_t count, bl_str cuts, size_t *used)
{
    bl_redis2_replies replies;
    bl_status status = BL_AGAIN;

    bl_redis2_replies_await(&replies, count);
    *used = 0;
    for (size_t i = 0; *used < text.len && status == BL_AGAIN; i++) {
        size_t left = text.len - *used, taken = 0;
        size_t n = i < cuts.len ? BL_MIN(left, (size_t)(unsigned char)cuts.p[i]) : left;
        bl_str copy = fuzz_copy(bl_str_of(text.p + *used, n));
        status = bl_redis2_replies_take(&replies, copy, &taken);
        BL_ASSERT(status != BL_AGAIN || taken == n);
        BL_ASSERT(status == BL_ERROR || (taken <= n && replies.awaited >= 0));
        BL_ASSERT((status == BL_OK) == (replies.awaited == 0 && status != BL_ERROR));
        *used += status == BL_ERROR ? 0 : taken;
        free(copy.p);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size);
    int64_t count = 1 + fuzz_byte(&in) % 4;
    bl_str cuts = fuzz_text(&in, 16);
    size_t used, again;

    bl_status whole = take(in, count, BL_STR_NONE, &used), pieces = take(in, count, cuts, &again);
    BL_ASSERT(whole == pieces && (whole == BL_ERROR || used == again));
    if (in.len && !bl_redis2_replies_begin(in.p[0]))
        BL_ASSERT(whole == BL_ERROR);
    return 0;
}
