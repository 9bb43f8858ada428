#include "core/scan.h"
#include "unit.h"

enum {
    SIZE = 70
};

static const char *naive(const char *at, const char *end, bool line)
{
    while (at < end && (line ? !bl_ends_line(*at) : bl_is_word(*at)))
        at++;
    return at;
}

/* One byte of each kind at each place of texts of each length, in memory that ends with them. */
static void everywhere(char filler, bool line)
{
    for (int len = 0; len < SIZE; len++) {
        char *text = malloc((size_t)len + 1);
        for (int at = 0; at <= len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(text, filler, (size_t)len);
                if (at < len)
                    text[at] = (char)c;
                const char *end = text + len;
                const char *found = line ? bl_scan_line(text, end) : bl_scan_word(text, end);
                ck_assert_ptr_eq(found, naive(text, end, line));
            }
        }
        free(text);
    }
}

START_TEST(lines)
{
    everywhere('x', true);
    everywhere('\t', true);
    everywhere('\xff', true);
}
END_TEST

START_TEST(words)
{
    everywhere('-', false);
    everywhere('Z', false);
}
END_TEST

START_TEST(classes)
{
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

    for (int c = 1; c < 256; c++)
        ck_assert_int_eq(bl_is_word((char)c), strchr(letters, c) != NULL);
    ck_assert(!bl_is_word('\0'));
}
END_TEST

UNIT_MAIN("scan", lines, words, classes)
