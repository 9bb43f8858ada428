/* The messages about malformed JSON. The decoder knows only that a token at some place is not what
 * it wanted; here that token is looked at again, slowly, and gets the name that users know. */
#include "lua/cjson_decode.h"
#include "lua/cjson_escape.h"
#include "lua/cjson_number.h"

#include <strings.h>

bool bl_cjson_starts_odd(const char *p)
{
    return *p == '+' || strncasecmp(p, "inf", 3) == 0 || strncasecmp(p, "nan", 3) == 0;
}

bool bl_cjson_is_strict(const char *p)
{
    p += *p == '-';
    if (*p == '0')
        return (unsigned)(p[1] - '0') >= 10 && (p[1] | 0x20) != 'x';
    return !bl_cjson_starts_odd(p);
}

static const char *fail_at(bl_cjson_decoder *d, const char *expected, const char *found,
                           const char *p)
{
    lua_pushfstring(d->L, "Expected %s but found %s at character %d", expected, found,
                    (int)(p - d->start) + 1);
    return NULL;
}

/* Names what is wrong with the string whose first byte is at `p` and moves `*p` there; "T_STRING"
 * when nothing is. */
static BL_COLD const char *name_string(const char **at)
{
    const char *p = *at;

    while (*p && *p != '"') {
        *at = p;
        if (*p++ != '\\')
            continue;
        if (*p == 'u') {
            p--;
            if (bl_cjson_unicode(&p) < 0)
                return "invalid unicode escape code";
        } else if (!bl_cjson_escape_value(*p++)) {
            return "invalid escape code";
        }
    }
    *at = p;
    return *p ? "T_STRING" : "unexpected end of string";
}

static BL_COLD const char *name_number(const bl_cjson_decoder *d, const char *p)
{
    double x;
    bool good = d->cjson->decode_invalid_numbers || bl_cjson_is_strict(p);

    return good && bl_cjson_number_parse(p, &x) ? "T_NUMBER" : "invalid number";
}

/* The name that messages give to the token at `p`. */
static BL_COLD const char *name_token(const bl_cjson_decoder *d, const char *p)
{
    static const struct {
        char text[6];
        const char *name;
    } tokens[] = {
        {"{", "T_OBJ_BEGIN"},  {"}", "T_OBJ_END"}, {"[", "T_ARR_BEGIN"},
        {"]", "T_ARR_END"},    {":", "T_COLON"},   {",", "T_COMMA"},
        {"true", "T_BOOLEAN"}, {"null", "T_NULL"}, {"false", "T_BOOLEAN"},
    };

    if (p == d->end)
        return "T_END";
    for (size_t i = 0; i < BL_COUNTOF(tokens); i++)
        if (strncmp(p, tokens[i].text, strlen(tokens[i].text)) == 0)
            return tokens[i].name;
    if (*p == '-' || (unsigned)(*p - '0') < 10)
        return name_number(d, p);
    if (d->cjson->decode_invalid_numbers && bl_cjson_starts_odd(p))
        return name_number(d, p);
    return "invalid token";
}

const char *bl_cjson_fail(bl_cjson_decoder *d, const char *expected, const char *p)
{
    if (*p != '"')
        return fail_at(d, expected, name_token(d, p), p);
    const char *at = p + 1;
    const char *found = name_string(&at);
    return fail_at(d, expected, found, strcmp(found, "T_STRING") == 0 ? p : at);
}

const char *bl_cjson_fail_depth(bl_cjson_decoder *d, const char *p)
{
    lua_pushfstring(d->L, "Found too many nested data structures (%d) at character %d", d->depth,
                    (int)(p - d->start) + 1);
    return NULL;
}
