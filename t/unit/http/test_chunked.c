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

/* The limits are of one chunk: a stream may have any number of them. */
START_TEST(chunks_are_not_limited)
{
    static const char chunk[] = "1;a=b \r\nx\r\n";
    bl_chunked c = {0};
    bl_str piece;

    for (int i = 0; i < LIMIT; i++) {
        bl_str in = bl_str_c(chunk);
        ck_assert_int_eq(bl_chunked_parse(&c, &in, &piece), BL_CHUNKED_DATA);
        ck_assert_int_eq(bl_chunked_parse(&c, &in, &piece), BL_CHUNKED_MORE);
    }
    bl_str in = BL_STR("0\r\n\r\n");
    ck_assert_int_eq(bl_chunked_parse(&c, &in, &piece), BL_CHUNKED_END);
}
END_TEST

static bl_chunked_result of(const char *text)
{
    bl_chunked c = {0};
    bl_str in = bl_str_c(text), piece;
    bl_chunked_result result;

    do
        result = bl_chunked_parse(&c, &in, &piece);
    while (result == BL_CHUNKED_DATA);
    return result;
}

/* What others could take for the end of the line, or for a part of it, is refused. */
START_TEST(lines_of_sizes_are_unambiguous)
{
    ck_assert_int_eq(of("1 \t\r\nx\r\n0\r\n\r\n"), BL_CHUNKED_END);
    ck_assert_int_eq(of("1 ;a\r\nx\r\n0;b=\"c\"\r\n\r\n"), BL_CHUNKED_END);
    ck_assert_int_eq(of("1\nx\n0\n\n"), BL_CHUNKED_END);
    ck_assert_int_eq(of("1;a\nx\r\n0\r\n\r\n"), BL_CHUNKED_BAD);
    ck_assert_int_eq(of("1 1\r\nx\r\n0\r\n\r\n"), BL_CHUNKED_BAD);
    ck_assert_int_eq(of("1 x\r\nx\r\n0\r\n\r\n"), BL_CHUNKED_BAD);
}
END_TEST

UNIT_MAIN("chunked", chunks_are_not_limited, lines_of_sizes_are_unambiguous, extensions_are_limited,
          trailers_are_limited)
