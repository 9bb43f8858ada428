#include "lua/cjson_escape.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* How a byte is escaped: not at all (0), by \u00XX ('u'), or by a letter. */
static const char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',           'n',         'u',
    'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u',         'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\', ['/'] = '/', [127] = 'u',
};

static char *put_byte(char *to, char c, char slash)
{
    static const char hex[] = "0123456789abcdef";
    char escape = escapes[(unsigned char)c];

    if (!escape || (c == '/' && slash != '/')) {
        *to = c;
        return to + 1;
    }
    to[0] = '\\';
    to[1] = escape;
    if (escape != 'u')
        return to + 2;
    to[2] = to[3] = '0';
    to[4] = hex[c >> 4 & 15];
    to[5] = hex[c & 15];
    return to + 6;
}

#define EVERY(byte) (UINT64_C(0x0101010101010101) * (unsigned char)(byte))

/* Whether some of the eight bytes of `x` is `c`. */
static inline uint64_t has_byte(uint64_t x, char c)
{
    x ^= EVERY(c);
    return (x - EVERY(1)) & ~x;
}

/* Whether some of the eight bytes has to be escaped. */
static inline bool has_special(uint64_t x, char slash)
{
    uint64_t hit = ((x - EVERY(0x20)) & ~x) | has_byte(x, '"') | has_byte(x, '\\') |
                   has_byte(x, 127) | has_byte(x, slash);
    return (hit & EVERY(0x80)) != 0;
}

static char *put_bytewise(char *to, const char *p, size_t len, char slash)
{
    for (size_t i = 0; i < len; i++)
        to = put_byte(to, p[i], slash);
    return to;
}

/* Fewer than 16 bytes: two words that overlap in the middle. */
static inline char *put_short(char *to, const char *p, size_t len, char slash)
{
    if (len >= 8) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + len - 8, 8);
        if (has_special(a, slash) || has_special(b, slash))
            return put_bytewise(to, p, len, slash);
        memcpy(to, &a, 8);
        memcpy(to + len - 8, &b, 8);
        return to + len;
    }
    if (len >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + len - 4, 4);
        if (has_special(a | (uint64_t)b << 32, slash))
            return put_bytewise(to, p, len, slash);
        memcpy(to, &a, 4);
        memcpy(to + len - 4, &b, 4);
        return to + len;
    }
    return put_bytewise(to, p, len, slash);
}

char *bl_cjson_escape(char *to, const char *p, size_t len, char slash)
{
#ifdef __SSE2__
    __m128i slashes = _mm_set1_epi8(slash);

    while (len >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                   _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8(127)));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, slashes));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x));
        _mm_storeu_si128((__m128i *)(void *)to, x);
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (!mask) {
            p += 16, to += 16, len -= 16;
            continue;
        }
        size_t n = (size_t)__builtin_ctz(mask);
        to = put_byte(to + n, p[n], slash);
        p += n + 1, len -= n + 1;
    }
#else
    for (; len >= 16; p += 8, len -= 8)
        to = put_short(to, p, 8, slash);
#endif
    return put_short(to, p, len, slash);
}

static int hex_digit(char c)
{
    if ((unsigned)(c - '0') < 10)
        return c - '0';
    c |= 0x20;
    return (unsigned)(c - 'a') < 6 ? c - 'a' + 10 : -1;
}

/* The four digits at `p`, or -1. Stops at the first other byte, so never reads past the end. */
static int hex4(const char *p)
{
    int n = 0;

    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        n = n << 4 | digit;
    }
    return n;
}

int bl_cjson_unicode(const char **p)
{
    const char *s = *p;
    int high = hex4(s + 2);

    *p = s + 6;
    if (high < 0 || (high & 0xfc00) == 0xdc00)
        return -1;
    if ((high & 0xfc00) != 0xd800)
        return high;
    if (s[6] != '\\' || s[7] != 'u')
        return -1;
    int low = hex4(s + 8);
    if (low < 0 || (low & 0xfc00) != 0xdc00)
        return -1;
    *p = s + 12;
    return 0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff));
}

char bl_cjson_escape_value(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}
