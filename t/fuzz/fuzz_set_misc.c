/* Functions of one text (set_decode_hex, set_quote_json_str, …): what was encoded comes back, what
 * was quoted holds nothing that ends it early, and all else ends, too. */
#include "fuzz.h"
#include "http/modules/set_misc.h"

static bl_str run(bl_pool *pool, const char *name, bl_str text)
{
    bl_set_misc_fn fn = bl_set_misc_find(bl_str_c(name));

    BL_ASSERT(fn != NULL);
    return fn(pool, text);
}

static void check_pair(bl_pool *pool, const char *encode, const char *decode, bl_str text)
{
    bl_str encoded = run(pool, encode, text), decoded = run(pool, decode, text);

    BL_ASSERT(bl_str_eq(run(pool, decode, encoded), text));
    BL_ASSERT(decoded.len <= text.len);
    if (decoded.p)
        BL_ASSERT(bl_str_eq(run(pool, decode, run(pool, encode, decoded)), decoded));
}

/* In quotes, and inside them no quote without a backslash, or (SQL's) another quote. */
static void check_quotes(bl_str quoted, char quote)
{
    BL_ASSERT(quoted.len >= 2 && quoted.p[0] == quote && quoted.p[quoted.len - 1] == quote);
    for (size_t i = 1; i < quoted.len - 1; i++) {
        BL_ASSERT(quoted.p[i] != quote);
        if (quoted.p[i] == '\\')
            BL_ASSERT(++i < quoted.len - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size));

    check_pair(pool, "set_escape_uri", "set_unescape_uri", text);
    check_pair(pool, "set_encode_base32", "set_decode_base32", text);
    check_pair(pool, "set_encode_base64", "set_decode_base64", text);
    check_pair(pool, "set_encode_hex", "set_decode_hex", text);
    check_quotes(run(pool, "set_quote_sql_str", text), '\'');
    check_quotes(run(pool, "set_quote_json_str", text), '"');
    bl_str quoted = run(pool, "set_quote_pgsql_str", text);
    bool extended = quoted.p[0] == 'E';
    check_quotes(bl_str_of(quoted.p + extended, quoted.len - extended), '\'');
    run(pool, "set_secure_random_lcalpha", text);
    free(text.p);
    bl_pool_free(pool);
    return 0;
}
