/* The chunked coding's limits, which no whole body shows. */
#include "unit.h"

#include "http/parse.h"

enum {
    LIMIT = 16 * 1024
};

/* What becomes of `head` and then `count` times `filler`. */
static bl_chunked_result after(const char *head, char filler, int count)
{
    bl_chunked c = {0};
    bl_str in = bl_str_c(head), piece;
    bl_chunked_result result = bl_chunked_parse(&c, &in, &piece);

    for (int i = 0; i < count && result == BL_CHUNKED_MORE; i++) {
        in = bl_str_of(&filler, 1);
        result = bl_chunked_parse(&c, &in, &piece);
    }
    return result;
}

START_TEST(extensions_are_limited)
{
    const char fillers[] = {'x', ' ', '\t'};

    for (size_t i = 0; i < sizeof fillers; i++) {
        ck_assert_int_eq(after("1;", fillers[i], LIMIT / 2), BL_CHUNKED_MORE);
        ck_assert_int_eq(after("1;", fillers[i], LIMIT + 1), BL_CHUNKED_BAD);
    }
}
END_TEST

START_TEST(trailers_are_limited)
{
    ck_assert_int_eq(after("0\r\nA: ", 'x', LIMIT / 2), BL_CHUNKED_MORE);
    ck_assert_int_eq(after("0\r\nA: ", 'x', LIMIT + 1), BL_CHUNKED_BAD);
}
END_TEST

UNIT_MAIN("chunked", extensions_are_limited, trailers_are_limited)
