/* JSON text to Lua values: one pass, recursive descent, no state but the C stack and Lua's.
 *
 * A table is created when its size is known. Its members wait on the Lua stack meanwhile:
 *
 *     … | table or nil | v1 v2 v3 …         an array at stack index `at`
 *     … | table or nil | k1 v1 k2 v2 …      an object
 *
 * so nearly every table is allocated once, with exactly its size, and is never rehashed. After
 * BATCH members the table is created all the same and what waits moves into it, so that a long
 * array holds only a batch of stack slots. When the Lua stack has no room for a batch any more (a
 * few thousand slots), members are stored one by one, and when not even that fits the document
 * counts as nested too deeply.
 *
 * A parse_ function is called at the first byte of what it reads, returns the byte behind it, and
 * leaves one value on the stack; or it returns NULL with the message in its place. The way to a
 * message is slow on purpose: bl_cjson_fail() looks at the offending token a second time to name
 * it. */
#include "lua/cjson_decode.h"
#include "lua/cjson_escape.h"
#include "lua/cjson_number.h"

#include <lauxlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BATCH 48

/* Strings with escapes up to this size are unescaped on the C stack. */
#define SCRATCH 512

/* One table that is being filled. */
typedef struct filling {
    int at;      /* stack index of the table, or of the nil that holds its place */
    int stored;  /* members in the table */
    int waiting; /* members on the stack above it */
    int batch;   /* how many may wait */
} filling;

static const char *parse_value(bl_cjson_decoder *d, const char *p);

/* White space ----------------------------------------------------------------------------- */

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Skips white space and, when the user allows them, comments of both C kinds. A comment without an
 * end is left where it is: no token starts with a slash, so it is reported as one. */
static BL_COLD const char *skip_comments(const char *p)
{
    for (;;) {
        while (is_space(*p))
            p++;
        if (p[0] != '/')
            return p;
        const char *stop = NULL;
        if (p[1] == '/') {
            stop = p + strcspn(p, "\n");
        } else if (p[1] == '*') {
            stop = strstr(p + 2, "*/");
            stop = stop ? stop + 2 : NULL;
        }
        if (!stop)
            return p;
        p = stop;
    }
}

static inline const char *skip_space(const bl_cjson_decoder *d, const char *p)
{
    while (is_space(*p))
        p++;
    if (BL_UNLIKELY(*p == '/') && d->cjson->decode_allow_comment)
        return skip_comments(p);
    return p;
}

/* Strings --------------------------------------------------------------------------------- */

/* The first quote, backslash or zero byte from `p` on. */
static inline const char *find_special(const bl_cjson_decoder *d, const char *p)
{
#ifdef __SSE2__
    while (d->end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                   _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
        int mask = _mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
        p += 16;
    }
#endif
    while (*p != '"' && *p != '\\' && *p != '\0')
        p++;
    (void)d;
    return p;
}

static char *put_utf8(char *to, int c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

/* Copies the string at `p` without its escapes to `to`, which is large enough: no escape is
 * shorter than what it stands for. Returns the closing quote and the new end, or NULL. */
static const char *unescape(bl_cjson_decoder *d, const char *p, char **to)
{
    char *out = *to;

    for (;;) {
        const char *special = find_special(d, p);
        memcpy(out, p, (size_t)(special - p));
        out += special - p;
        p = special;
        if (*p != '\\')
            break;
        if (p[1] == 'u') {
            int c = bl_cjson_unicode(&p);
            if (c < 0)
                return NULL;
            out = put_utf8(out, c);
        } else {
            char c = bl_cjson_escape_value(p[1]);
            if (!c)
                return NULL;
            *out++ = c;
            p += 2;
        }
    }
    *to = out;
    return *p == '"' ? p : NULL;
}

/* The closing quote of the string at `p`, or NULL. */
static const char *find_end(const bl_cjson_decoder *d, const char *p)
{
    for (;;) {
        p = find_special(d, p);
        if (*p != '\\')
            return *p ? p : NULL;
        if (p + 1 >= d->end)
            return NULL;
        p += 2;
    }
}

static const char *parse_escaped(bl_cjson_decoder *d, const char *p)
{
    char scratch[SCRATCH];
    char *to = scratch;
    const char *end = find_end(d, p);

    if (!end)
        return NULL;
    size_t size = (size_t)(end - p);
    if (size > sizeof(scratch))
        to = lua_newuserdata(d->L, size);
    char *from = to;
    end = unescape(d, p, &to);
    if (!end)
        return NULL;
    lua_pushlstring(d->L, from, (size_t)(to - from));
    if (size > sizeof(scratch))
        lua_remove(d->L, -2);
    return end + 1;
}

/* `p` is at the opening quote; `expected` is for the message. */
static inline const char *parse_string(bl_cjson_decoder *d, const char *p, const char *expected)
{
    const char *special = find_special(d, p + 1);
    const char *end;

    if (BL_LIKELY(*special == '"')) {
        lua_pushlstring(d->L, p + 1, (size_t)(special - p - 1));
        return special + 1;
    }
    end = parse_escaped(d, p + 1);
    return end ? end : bl_cjson_fail(d, expected, p);
}

/* Tables ---------------------------------------------------------------------------------- */

/* Begins a table: checks the depth, reserves the stack. */
static inline bool fill_begin(bl_cjson_decoder *d, filling *f, const char *p)
{
    lua_State *L = d->L;

    f->stored = f->waiting = 0;
    f->batch = BATCH;
    if (++d->depth > d->cjson->decode_max_depth) {
        bl_cjson_fail_depth(d, p);
        return false;
    }
    if (!lua_checkstack(L, 2 * BATCH + 8)) {
        f->batch = 1;
        if (!lua_checkstack(L, 10)) {
            bl_cjson_fail_depth(d, p);
            return false;
        }
    }
    lua_pushnil(L);
    f->at = lua_gettop(L);
    return true;
}

/* An array's waiting members move into it, the last one first. */
static void store_elements(bl_cjson_decoder *d, filling *f)
{
    lua_State *L = d->L;

    if (f->stored == 0) {
        lua_createtable(L, f->waiting, 0);
        lua_replace(L, f->at);
    }
    f->stored += f->waiting;
    for (int i = f->stored; f->waiting > 0; f->waiting--, i--)
        lua_rawseti(L, f->at, i);
}

/* An object's waiting members move into it, in their order: of equal keys the last one counts. */
static void store_members(bl_cjson_decoder *d, filling *f)
{
    lua_State *L = d->L;

    if (f->stored == 0) {
        lua_createtable(L, 0, f->waiting);
        lua_replace(L, f->at);
    }
    if (f->waiting == 1) {
        lua_rawset(L, f->at);
    } else {
        int top = f->at + 2 * f->waiting;
        for (int i = f->at + 1; i < top; i += 2) {
            lua_pushvalue(L, i);
            lua_pushvalue(L, i + 1);
            lua_rawset(L, f->at);
        }
        lua_settop(L, f->at);
    }
    f->stored += f->waiting;
    f->waiting = 0;
}

static const char *end_array(bl_cjson_decoder *d, filling *f, const char *p)
{
    if (f->waiting || f->stored == 0)
        store_elements(d, f);
    if (d->cjson->decode_array_with_array_mt) {
        lua_pushlightuserdata(d->L, &bl_cjson_array_mt);
        lua_rawget(d->L, LUA_REGISTRYINDEX);
        lua_setmetatable(d->L, f->at);
    }
    d->depth--;
    return p + 1;
}

static const char *parse_array(bl_cjson_decoder *d, const char *p)
{
    filling f;

    if (!fill_begin(d, &f, p))
        return NULL;
    p = skip_space(d, p + 1);
    if (*p == ']')
        return end_array(d, &f, p);
    for (;;) {
        p = parse_value(d, p);
        if (!p)
            return NULL;
        if (++f.waiting >= f.batch)
            store_elements(d, &f);
        p = skip_space(d, p);
        if (*p == ']')
            return end_array(d, &f, p);
        if (*p != ',')
            return bl_cjson_fail(d, "comma or array end", p);
        p = skip_space(d, p + 1);
    }
}

/* "key" : value */
static inline const char *parse_member(bl_cjson_decoder *d, const char *p)
{
    if (*p != '"')
        return bl_cjson_fail(d, "object key string", p);
    p = parse_string(d, p, "object key string");
    if (!p)
        return NULL;
    p = skip_space(d, p);
    if (*p != ':')
        return bl_cjson_fail(d, "colon", p);
    return parse_value(d, skip_space(d, p + 1));
}

static const char *end_object(bl_cjson_decoder *d, filling *f, const char *p)
{
    if (f->waiting || f->stored == 0)
        store_members(d, f);
    d->depth--;
    return p + 1;
}

static const char *parse_object(bl_cjson_decoder *d, const char *p)
{
    filling f;

    if (!fill_begin(d, &f, p))
        return NULL;
    p = skip_space(d, p + 1);
    if (*p == '}')
        return end_object(d, &f, p);
    for (;;) {
        p = parse_member(d, p);
        if (!p)
            return NULL;
        if (++f.waiting >= f.batch)
            store_members(d, &f);
        p = skip_space(d, p);
        if (*p == '}')
            return end_object(d, &f, p);
        if (*p != ',')
            return bl_cjson_fail(d, "comma or object end", p);
        p = skip_space(d, p + 1);
    }
}

/* Values ---------------------------------------------------------------------------------- */

static BL_COLD const char *parse_odd_number(bl_cjson_decoder *d, const char *p)
{
    double x;
    const char *end = NULL;

    if (d->cjson->decode_invalid_numbers || bl_cjson_is_strict(p))
        end = bl_cjson_number_parse(p, &x);
    if (!end)
        return bl_cjson_fail(d, "value", p);
    lua_pushnumber(d->L, x);
    return end;
}

static inline const char *parse_number(bl_cjson_decoder *d, const char *p)
{
    double x;
    const char *end = bl_cjson_number_scan(p, &x);

    if (!end)
        return parse_odd_number(d, p);
    lua_pushnumber(d->L, x);
    return end;
}

static const char *parse_other(bl_cjson_decoder *d, const char *p)
{
    if (d->cjson->decode_invalid_numbers && bl_cjson_starts_odd(p))
        return parse_odd_number(d, p);
    return bl_cjson_fail(d, "value", p);
}

static const char *parse_value(bl_cjson_decoder *d, const char *p)
{
    switch (*p) {
    case '"':
        return parse_string(d, p, "value");
    case '{':
        return parse_object(d, p);
    case '[':
        return parse_array(d, p);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return parse_number(d, p);
    case 't':
        if (strncmp(p, "true", 4) != 0)
            break;
        lua_pushboolean(d->L, 1);
        return p + 4;
    case 'f':
        if (strncmp(p, "false", 5) != 0)
            break;
        lua_pushboolean(d->L, 0);
        return p + 5;
    case 'n':
        if (strncmp(p, "null", 4) != 0)
            break;
        lua_pushlightuserdata(d->L, NULL);
        return p + 4;
    }
    return parse_other(d, p);
}

bool bl_cjson_decode(lua_State *L, const bl_cjson *cjson, const char *text, size_t len)
{
    bl_cjson_decoder d = {L, cjson, text, text + len, 0};
    int top = lua_gettop(L);

    if (len >= 2 && (!text[0] || !text[1])) {
        lua_pushliteral(L, "JSON parser does not support UTF-16 or UTF-32");
        return false;
    }
    const char *p = parse_value(&d, skip_space(&d, text));
    if (p) {
        p = skip_space(&d, p);
        if (p == d.end)
            return true;
        bl_cjson_fail(&d, "the end", p);
    }
    lua_insert(L, top + 1);
    lua_settop(L, top + 1);
    return false;
}
