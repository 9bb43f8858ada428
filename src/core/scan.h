/* Looking for bytes, 16 at a time where the processor can. Inline: the loops are short, and run for
 * each line of each request. */
#ifndef BL_CORE_SCAN_H
#define BL_CORE_SCAN_H

#include "core/base.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool bl_ends_line(char c)
{
    return c == '\0' || c == '\r' || c == '\n';
}

/* Letters, digits, '-': what names of header fields consist of. */
static inline bool bl_is_word(char c)
{
    return ((unsigned)(c | 0x20) - 'a') < 26u || ((unsigned)c - '0') < 10u || c == '-';
}

#ifdef __SSE2__
/* A bit for each of the 16 bytes that is at most '\r'. */
static inline unsigned bl_scan_low(const char *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);

    return (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8('\r')), bytes));
}

/* The first NUL, CR or LF of at..end, or `end`. */
static inline const char *bl_scan_line(const char *at, const char *end)
{
    const char *start = at;
    unsigned low;

    for (; end - at >= 16; at += 16) {
        for (low = bl_scan_low(at); low; low &= low - 1) { /* a tab is low too, but ends nothing */
            const char *hit = at + __builtin_ctz(low);
            if (BL_LIKELY(bl_ends_line(*hit)))
                return hit;
        }
    }
    if (at < end && end - start >= 16) { /* the rest, together with bytes that were seen before */
        low = bl_scan_low(end - 16) >> (16 - (end - at));
        at = low ? at + __builtin_ctz(low) : end;
    }
    while (at < end && !bl_ends_line(*at))
        at++;
    return at;
}

static inline __m128i bl_scan_range(__m128i bytes, char low, char high)
{
    /* signed comparisons: bytes from 0x80 on are below every limit */
    return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8((char)(low - 1))),
                         _mm_cmplt_epi8(bytes, _mm_set1_epi8((char)(high + 1))));
}

/* The first byte of at..end that is no letter, digit or '-', or `end`. */
static inline const char *bl_scan_word(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i letters = bl_scan_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
        __m128i words = _mm_or_si128(_mm_or_si128(letters, bl_scan_range(bytes, '0', '9')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
        unsigned mask = (unsigned)_mm_movemask_epi8(words) ^ 0xffffu;
        if (mask)
            return at + __builtin_ctz(mask);
    }
    while (at < end && bl_is_word(*at))
        at++;
    return at;
}
#else
static inline const char *bl_scan_line(const char *at, const char *end)
{
    while (at < end && !bl_ends_line(*at))
        at++;
    return at;
}

static inline const char *bl_scan_word(const char *at, const char *end)
{
    while (at < end && bl_is_word(*at))
        at++;
    return at;
}
#endif

#endif
