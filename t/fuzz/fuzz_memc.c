/* Replies of memcached: a head says what it is and how long, more bytes do not change it, and the
 * body behind it ends at the same byte in whatever pieces it comes. The input: the kind of reply, a
 * count of cuts, the lengths of the pieces, the reply. */
#include "fuzz.h"
#include "http/modules/memc_reply.h"

typedef bl_status (*take_fn)(bl_memc_reply *reply, bl_str in, size_t *used);

static bl_status take(take_fn fn, bl_memc_reply reply, bl_str text, bl_str cuts, size_t *used)
{
    bl_status status = BL_AGAIN;

    *used = 0;
    for (size_t i = 0; *used < text.len && status == BL_AGAIN; i++) {
        size_t left = text.len - *used, taken = 0;
        size_t n = i < cuts.len ? BL_MIN(left, (size_t)(unsigned char)cuts.p[i]) : left;
        bl_str copy = fuzz_copy(bl_str_of(text.p + *used, n));
        status = fn(&reply, copy, &taken);
        BL_ASSERT(status == BL_ERROR || taken <= n);
        BL_ASSERT(status != BL_AGAIN || taken == n);
        *used += taken;
        free(copy.p);
    }
    return status;
}

static void check_body(const bl_memc_reply *reply, bl_str text, bl_str cuts)
{
    take_fn fn = reply->length < 0 ? bl_memc_reply_list : bl_memc_reply_end;
    size_t used, again;

    if (reply->length > (int64_t)text.len || (reply->length >= 0 && !reply->has_end))
        return;
    size_t skip = reply->length < 0 ? 0 : (size_t)reply->length;
    text = bl_str_of(text.p + skip, text.len - skip);
    bl_status whole = take(fn, *reply, text, BL_STR_NONE, &used);
    BL_ASSERT(take(fn, *reply, text, cuts, &again) == whole);
    BL_ASSERT(whole == BL_ERROR || used == again);
    if (whole == BL_OK)
        BL_ASSERT(used >= 5 && memcmp(text.p + used - 5, "END\r\n", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size);
    bl_memc_reply reply = {.kind = (bl_memc_kind)(fuzz_byte(&in) % 3)}, early = reply;
    bl_str cuts = fuzz_text(&in, 16);
    size_t used = 0, first = 0;
    bl_str text = fuzz_copy(in);

    bl_status status = bl_memc_reply_head(&reply, text, &used);
    BL_ASSERT((status == BL_AGAIN) == (bl_str_chr(text, '\n') < 0));
    if (status == BL_OK) {
        bl_str line = bl_str_of(text.p, (size_t)bl_str_chr(text, '\n') + 1);
        BL_ASSERT(used <= line.len && fuzz_inside(reply.line, line) && reply.length >= -1);
        BL_ASSERT(reply.status == 200 || reply.status == 201 || reply.status == 404 ||
                  reply.status == 502);
        BL_ASSERT(bl_memc_reply_head(&early, line, &first) == BL_OK);
        BL_ASSERT(first == used && early.status == reply.status && early.length == reply.length);
        check_body(&reply, bl_str_of(text.p + used, text.len - used), cuts);
    }
    free(text.p);
    return 0;
}
