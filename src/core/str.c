#include "core/str.h"

#include <stdlib.h>

/* Eight bytes, with A-Z as a-z if `lower`. */
static inline uint64_t word_at(const char *p, bool lower)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t word;

    memcpy(&word, p, sizeof word);
    if (!lower)
        return word;
    /* the top bit of each byte: is it at least 'A', is it beyond 'Z' */
    uint64_t low = word & 0x7f * ones;
    uint64_t from_a = low + (0x80 - 'A') * ones, beyond_z = low + (0x7f - 'Z') * ones;
    uint64_t upper = (from_a ^ beyond_z) & ~word & 0x80 * ones;
    return word | upper >> 2;
}

/* NULs are bytes like others, which strncasecmp takes for the end. The last words overlap. */
static bool same_lower(const char *a, const char *b, size_t len)
{
    if (len < sizeof(uint64_t)) {
        for (size_t i = 0; i < len; i++) {
            if (bl_lower(a[i]) != bl_lower(b[i]))
                return false;
        }
        return true;
    }
    for (size_t i = 0; i + 8 < len; i += 8) {
        if (word_at(a + i, true) != word_at(b + i, true))
            return false;
    }
    return word_at(a + len - 8, true) == word_at(b + len - 8, true);
}

bool bl_str_ieq(bl_str a, bl_str b)
{
    return a.len == b.len && same_lower(a.p, b.p, a.len);
}

bool bl_str_istarts(bl_str s, bl_str prefix)
{
    return s.len >= prefix.len && same_lower(s.p, prefix.p, prefix.len);
}

int bl_str_cmp(bl_str a, bl_str b)
{
    size_t n = BL_MIN(a.len, b.len);
    int order = n ? memcmp(a.p, b.p, n) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

ssize_t bl_str_find(bl_str s, bl_str needle)
{
    if (needle.len == 0)
        return 0;
    char *at = memmem(s.p, s.len, needle.p, needle.len);
    return at ? at - s.p : -1;
}

ssize_t bl_str_ifind(bl_str s, bl_str needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++) {
        if (needle.len && bl_lower(s.p[i]) != bl_lower(needle.p[0]))
            continue;
        if (same_lower(s.p + i, needle.p, needle.len))
            return (ssize_t)i;
    }
    return -1;
}

ssize_t bl_str_chr(bl_str s, char c)
{
    char *at = s.len ? memchr(s.p, c, s.len) : NULL;
    return at ? at - s.p : -1;
}

bl_str bl_str_trim(bl_str s)
{
    while (s.len && (*s.p == ' ' || *s.p == '\t'))
        s.p++, s.len--;
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

void bl_str_lower(char *to, bl_str s)
{
    for (size_t i = 0; i < s.len; i++)
        to[i] = bl_lower(s.p[i]);
}

int64_t bl_str_to_int(bl_str s)
{
    enum {
        SURELY_FITS = 18
    };
    int64_t n = 0;

    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.p[i] - '0';
        if (digit > 9 || (i >= SURELY_FITS && n > (INT64_MAX - (int64_t)digit) / 10))
            return -1;
        n = n * 10 + digit;
    }
    return n;
}

int64_t bl_str_to_hex(bl_str s)
{
    int64_t n = 0;

    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)bl_lower(s.p[i]);
        unsigned digit = c - '0';
        if (digit > 9) {
            digit = c - 'a' + 10u;
            if (c < 'a' || c > 'f')
                return -1;
        }
        if (n > (INT64_MAX >> 4))
            return -1;
        n = n << 4 | digit;
    }
    return n;
}

char *bl_u64_write(char *to, uint64_t n)
{
    char digits[20];

    if (n < 1000) { /* mostly */
        if (n >= 100)
            *to++ = (char)('0' + n / 100);
        if (n >= 10)
            *to++ = (char)('0' + n / 10 % 10);
        *to++ = (char)('0' + n % 10);
        return to;
    }
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(to, digits + at, sizeof digits - at);
    return to + (sizeof digits - at);
}

/* Of words, the last of which overlaps the one before. */
static inline uint32_t hash(const char *p, size_t len, bool lower)
{
    uint64_t h = len;
    char few[8] = {0};

    if (len < sizeof few) {
        for (size_t i = 0; i < len; i++)
            few[i] = p[i];
        return (uint32_t)bl_hash_mix(h, word_at(few, lower));
    }
    for (size_t i = 0; i + 8 < len; i += 8)
        h = bl_hash_mix(h, word_at(p + i, lower));
    return (uint32_t)bl_hash_mix(h, word_at(p + len - 8, lower));
}

uint32_t bl_hash(const char *p, size_t len)
{
    return hash(p, len, false);
}

uint32_t bl_hash_lower(const char *p, size_t len)
{
    return hash(p, len, true);
}

uint32_t bl_hash_sample(bl_str s)
{
    enum {
        SAMPLES = 6
    };
    uint64_t h = s.len;

    if (s.len < sizeof h)
        return bl_hash(s.p, s.len);
    size_t step = s.len / SAMPLES + 1;
    for (size_t i = 0; i + sizeof h < s.len; i += step)
        h = bl_hash_mix(h, word_at(s.p + i, false));
    return (uint32_t)bl_hash_mix(h, word_at(s.p + s.len - sizeof h, false));
}
