/* Replacement texts of ngx.re.sub and gsub: "$$" for each "$" makes a text that stands for itself;
 * any template is one or none, and what it makes of a match is no longer than its parts. The input:
 * flags, the pattern's place in a list, the subject, the template. */
#include "fuzz.h"
#include "lua/api/regex.h"

static const struct {
    const char *pattern;
    uint32_t flags;
} patterns[] = {
    {"(a)(b)?", 0},
    {"", 0},
    {"", BL_LUA_RE_UTF},
    {"(?<x>.)(?=\\1)", 0},
    {"[^a]*", BL_LUA_RE_NO_UTF_CHECK},
    {"\\b", BL_LUA_RE_DFA},
    {"(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)", BL_LUA_RE_DOTALL},
};

static bl_lua_regex_view *regex_at(size_t i)
{
    static bl_lua_regex_view *made[BL_COUNTOF(patterns)];
    char error[256];

    if (made[i] == NULL)
        made[i] = bl_lua_regex_new(patterns[i].pattern, strlen(patterns[i].pattern),
                                   patterns[i].flags, error, sizeof error);
    BL_ASSERT(made[i] != NULL);
    return made[i];
}

static bool replace(size_t i, bl_str text, bl_str subject, int max, bl_str *to, int *count)
{
    bl_lua_template *t = bl_lua_template_new(text.p, text.len);
    const char *made;

    if (t == NULL)
        return false;
    *count = bl_lua_regex_replace(regex_at(i), t, subject.p, subject.len, max, &made, &to->len);
    to->p = (char *)made;
    bl_lua_template_free(t);
    return *count >= 0;
}

/* Every "$" doubled. */
static bl_str quoted(bl_pool *pool, bl_str text)
{
    char *to = bl_pool_bytes(pool, 2 * text.len + 1), *at = to;

    for (size_t i = 0; i < text.len; i++) {
        *at++ = text.p[i];
        if (text.p[i] == '$')
            *at++ = '$';
    }
    return bl_str_of(to, (size_t)(at - to));
}

/* Matches replaced by themselves make the subject. */
static void check_identity(size_t i, bl_str subject)
{
    bl_str to;
    int count;

    if (replace(i, BL_STR("${0}"), subject, 0, &to, &count))
        BL_ASSERT(bl_str_eq(to, subject));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_str in = bl_str_of((const char *)data, size), to;
    size_t i = fuzz_byte(&in) % BL_COUNTOF(patterns);
    int max = (int)fuzz_byte(&in) % 4, count;
    bl_str subject = fuzz_copy(fuzz_text(&in, 64)), text = fuzz_copy(in);

    /* Bytes that are no UTF-8 are not to be given to a pattern that does not check. */
    for (size_t n = 0; n < subject.len && (patterns[i].flags & BL_LUA_RE_NO_UTF_CHECK); n++)
        subject.p[n] &= 0x7f;
    if (replace(i, text, subject, max, &to, &count)) {
        BL_ASSERT(max == 0 || count <= max);
        BL_ASSERT(count > 0 || bl_str_eq(to, subject));
        BL_ASSERT(to.len <= subject.len + (size_t)count * (text.len * (subject.len + 1) + 1));
    }
    check_identity(i, subject);
    BL_ASSERT(replace(1, quoted(pool, text), BL_STR(""), 1, &to, &count) && count == 1);
    BL_ASSERT(bl_str_eq(to, text));
    free(subject.p);
    free(text.p);
    bl_pool_free(pool);
    return 0;
}
