/* receiveuntil: the pattern is found where memmem finds it, in whatever pieces the bytes come and
 * however few are asked for. The input: the pattern, a count of cuts, the lengths of the pieces,
 * how many bytes are asked for, the bytes. */
#include "core/mem.h"
#include "fuzz.h"
#include "lua/api/socket_match.h"

/* How many bytes stand in front of the pattern; -1: it does not come. As a socket reads: once
 * `room` bytes are settled they are handed out, and those of a match that has begun are looked at
 * again. */
static ssize_t find(const bl_socket_match *m, bl_str text, bl_str cuts, size_t room)
{
    size_t state = 0, at = 0, partial = 0;

    for (size_t i = 0; at < text.len; i++) {
        size_t left = text.len - at;
        size_t n = i < cuts.len ? BL_MIN(left, (size_t)(unsigned char)cuts.p[i]) : left;
        bl_str copy = fuzz_copy(bl_str_of(text.p + at, n));
        size_t over = bl_socket_match_run(m, &state, copy.p, n, partial, room);
        free(copy.p);
        at += over;
        partial += over;
        BL_ASSERT(over <= n && state <= m->len && state <= partial);
        BL_ASSERT(memcmp(text.p + at - state, m->pattern, state) == 0);
        if (state == m->len)
            return (ssize_t)(at - m->len);
        if (partial - state >= room) {
            BL_ASSERT(partial - state < room + m->len);
            at -= state;
            partial = state = 0;
        } else {
            BL_ASSERT(over == n);
        }
    }
    return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size), pattern = fuzz_text(&in, 16);
    bl_str cuts = fuzz_text(&in, 16);
    size_t room = 1 + fuzz_byte(&in);

    if (pattern.len == 0)
        return 0;
    bl_socket_match *m = bl_socket_match_new(pattern);
    ssize_t expected = bl_str_find(in, pattern);
    BL_ASSERT(find(m, in, BL_STR_NONE, SIZE_MAX) == expected);
    BL_ASSERT(find(m, in, cuts, SIZE_MAX) == expected);
    BL_ASSERT(find(m, in, BL_STR_NONE, room) == expected);
    BL_ASSERT(find(m, in, cuts, room) == expected);
    bl_free(m);
    return 0;
}
