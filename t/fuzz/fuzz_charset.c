/* Recoding: in whatever pieces the bytes come the result is the same, and fits the room that was
 * said. The input: directions, pairs of a table, a count of cuts, the lengths of the pieces, text.
 */
#include "fuzz.h"
#include "http/modules/charset_map.h"

static bl_str recode(bl_pool *pool, const bl_charset_map *map, bl_str text, bl_str cuts)
{
    bl_charset_state state = {0};
    char *all = bl_pool_bytes(pool, bl_charset_map_room(map, text.len) * 4 + 64), *at = all;
    size_t used = 0;

    for (size_t i = 0; used < text.len; i++) {
        size_t left = text.len - used;
        size_t n = i < cuts.len ? BL_MIN(left, (size_t)(unsigned char)cuts.p[i]) : left;
        bl_str copy = fuzz_copy(bl_str_of(text.p + used, n));
        char *to = malloc(bl_charset_map_room(map, n) + 1);
        char *end = bl_charset_map_recode(map, &state, copy, to);
        BL_ASSERT((size_t)(end - to) <= bl_charset_map_room(map, n));
        BL_ASSERT(!bl_charset_map_keeps_length(map) || (size_t)(end - to) == n);
        at = bl_str_put(at, bl_str_of(to, (size_t)(end - to)));
        used += n;
        free(copy.p);
        free(to);
    }
    return bl_str_of(all, (size_t)(at - all));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_str in = bl_str_of((const char *)data, size);
    unsigned ways = fuzz_byte(&in);
    bl_charset_map *map = bl_charset_map_new(pool, ways & 1, ways & 2);

    for (unsigned i = 0; i < ways >> 2 && in.len; i++) {
        bl_str from = fuzz_text(&in, 5), to = fuzz_text(&in, 5);
        bl_charset_map_add(map, from, to);
    }
    bl_str cuts = fuzz_text(&in, 16);
    bl_str whole = recode(pool, map, in, BL_STR_NONE), pieces = recode(pool, map, in, cuts);
    BL_ASSERT(bl_str_eq(whole, pieces));
    bl_pool_free(pool);
    return 0;
}
