/* Byte strings with a length. They are not zero-terminated unless a function says so, may hold any
 * byte, and own nothing: memory belongs to whoever allocated it (a pool, mostly). */
#ifndef BL_CORE_STR_H
#define BL_CORE_STR_H

#include "core/base.h"

#include <stdarg.h>

typedef struct bl_str {
    char *p;
    size_t len;
} bl_str;

#define BL_STR(literal) ((bl_str){(char *)(literal), sizeof(literal) - 1})
/* For static initialisers, where a compound literal is no constant. */
#define BL_STR_INIT(literal)                                                                       \
    {                                                                                              \
        (char *)(literal), sizeof(literal) - 1                                                     \
    }
#define BL_STR_NONE   ((bl_str){NULL, 0})
#define BL_STR_ARG(s) (int)(s).len, (s).p /* for "%.*s" */

static inline bl_str bl_str_of(const char *p, size_t len)
{
    return (bl_str){(char *)p, len};
}

static inline bl_str bl_str_c(const char *zero_terminated)
{
    return (bl_str){(char *)zero_terminated, strlen(zero_terminated)};
}

static inline bool bl_str_eq(bl_str a, bl_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool bl_str_starts(bl_str s, bl_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

static inline char bl_lower(char c)
{
    return (unsigned)(c - 'A') < 26u ? (char)(c | 0x20) : c;
}

/* Equal, ASCII letters without case. */
bool bl_str_ieq(bl_str a, bl_str b);
bool bl_str_istarts(bl_str s, bl_str prefix);

/* strcmp's order over bytes: negative, 0 or positive. */
int bl_str_cmp(bl_str a, bl_str b);

/* First place of `needle` in `s`, or -1. The `i` form ignores the case of ASCII letters. */
ssize_t bl_str_find(bl_str s, bl_str needle);
ssize_t bl_str_ifind(bl_str s, bl_str needle);
ssize_t bl_str_chr(bl_str s, char c);

/* `s` without spaces and tabs at either end. */
bl_str bl_str_trim(bl_str s);

/* Copies `s`, lower-cased, to `to` (s.len bytes). */
void bl_str_lower(char *to, bl_str s);

/* A whole non-negative decimal number without sign; -1 when `s` is none or does not fit. */
int64_t bl_str_to_int(bl_str s);
/* The same in base 16. */
int64_t bl_str_to_hex(bl_str s);

enum {
    BL_U64_DIGITS = 20
};

/* Writes `n` in decimal at `to` (BL_U64_DIGITS suffice); returns the end. Nothing is terminated. */
char *bl_u64_write(char *to, uint64_t n);

static inline char *bl_str_put(char *to, bl_str s)
{
    return (char *)memcpy(to, s.p, s.len) + s.len;
}

/* One more word of what is hashed. */
static inline uint64_t bl_hash_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

/* Of the bytes as they are, or lower-cased. The same for both when there is nothing to lower. */
uint32_t bl_hash(const char *p, size_t len);
uint32_t bl_hash_lower(const char *p, size_t len);
/* Of some words all over the text, however long it is: for guessing whether it was seen before. */
uint32_t bl_hash_sample(bl_str s);

#endif
