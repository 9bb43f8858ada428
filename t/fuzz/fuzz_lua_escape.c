/* Escapes of Lua's functions: within the room that callers give, and there and back again. */
#include "fuzz.h"
#include "http/escape.h"
#include "lua/api/encode.h"

static void check_uri(bl_str text, int type)
{
    char *to = malloc(3 * text.len + 1), *back = malloc(3 * text.len + 1);
    size_t len = bl_lua_escape_uri(to, text.p, text.len, type);

    BL_ASSERT(len >= text.len && len <= 3 * text.len);
    size_t back_len = bl_lua_unescape_uri(back, to, len);
    if (type == 2)
        BL_ASSERT(bl_str_eq(bl_str_of(back, back_len), text));
    free(to);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size));
    char *to = malloc(6 * size + 2);

    for (int type = 0; type <= 6; type++)
        check_uri(text, type);
    BL_ASSERT(bl_lua_unescape_uri(to, text.p, size) <= size);
    BL_ASSERT(bl_lua_quote_sql(to, text.p, size) <= 2 * size + 2);
    for (int braces = 0; braces < 2; braces++) {
        bl_str html = bl_str_of(to, bl_lua_escape_html(to, text.p, size, braces));
        BL_ASSERT(html.len >= size && html.len <= 6 * size);
        BL_ASSERT(bl_str_chr(html, '<') < 0 && bl_str_chr(html, '"') < 0);
    }
    bl_lua_hex(to, (const unsigned char *)text.p, size);
    BL_ASSERT(bl_lua_parse_http_time(text.p, size) >= -1);
    free(to);
    free(text.p);
    return 0;
}
