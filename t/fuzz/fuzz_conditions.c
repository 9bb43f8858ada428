/* What a request asks for under conditions: ranges, entity tags, encodings. The input: how long the
 * whole is, how many ranges it may be, a tag, the value. */
#include "fuzz.h"
#include "http/modules/gzip.h"
#include "http/modules/not_modified.h"
#include "http/modules/range.h"

static void check_ranges(bl_pool *pool, bl_str value, off_t length, int64_t max)
{
    bl_str parts[] = {BL_STR("bytes="), value};
    bl_array *ranges = bl_array_new(pool, sizeof(bl_range));
    bl_range_result result = bl_range_parse(bl_pool_concat(pool, parts, 2), length, max, ranges);
    off_t total = 0;

    if (result != BL_RANGE_OK)
        return;
    BL_ASSERT(ranges->count > 0 && ranges->count <= (uint64_t)max);
    BL_ARRAY_EACH (bl_range, range, ranges) {
        BL_ASSERT(range->from >= 0 && range->from < range->to && range->to <= length);
        total += range->to - range->from;
    }
    BL_ASSERT(total <= length);
}

static bool has(bl_str list, bl_str tag, bool weak)
{
    return bl_not_modified_has_etag(list, tag, weak);
}

/* A tag that is found stands there; strong means weak, too; what stands in front of the list or
 * behind it takes nothing away. */
static void check_tags(bl_pool *pool, bl_str list, bl_str tag)
{
    bl_str any = BL_STR("*"), quoted[] = {BL_STR("\""), tag, BL_STR("\"")};
    bl_str etag = bl_pool_concat(pool, quoted, 3);
    bl_str longer[] = {etag, BL_STR(", "), list};

    bool strong = has(list, etag, false), weak = has(list, etag, true);
    BL_ASSERT(!strong || weak);
    BL_ASSERT(!weak || bl_str_eq(list, any) || bl_str_find(list, etag) >= 0);
    if (bl_str_chr(tag, '"') < 0 && tag.len)
        BL_ASSERT(has(bl_pool_concat(pool, longer, 3), etag, false));
    has(list, tag, true);
}

static void check_encodings(bl_pool *pool, bl_str list)
{
    bl_str parts[] = {BL_STR("gzip,"), list};

    if (bl_gzip_is_taken(list))
        BL_ASSERT(bl_str_ifind(list, BL_STR("gzip")) >= 0 || bl_str_chr(list, '*') >= 0);
    BL_ASSERT(bl_gzip_is_taken(bl_pool_concat(pool, parts, 2)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size);
    bl_pool *pool = bl_pool_new();
    off_t length = (off_t)fuzz_byte(&in) << (fuzz_byte(&in) % 54);
    int64_t max = fuzz_byte(&in);
    bl_str tag = fuzz_text(&in, 16);

    in = fuzz_copy(in);
    check_ranges(pool, in, length, max);
    check_tags(pool, in, tag);
    check_encodings(pool, in);
    free(in.p);
    bl_pool_free(pool);
    return 0;
}
