/* Numbers of JSON documents: text to double and back, exact and independent of the locale. Both
 * directions have a fast way with a proof and hand the rest to the C library. */
#ifndef BL_LUA_CJSON_NUMBER_H
#define BL_LUA_CJSON_NUMBER_H

#include "core/base.h"

/* Room that bl_cjson_number_print needs. */
#define BL_CJSON_NUMBER_MAX 32

extern const double bl_cjson_power10[23];

/* Reads the number at `p`, in zero-terminated text, as strtod does in the C locale (so also
 * hexadecimal, "inf", "nan"). Returns where it ends, or NULL when there is none. */
const char *bl_cjson_number_parse(const char *p, double *to);

/* Writes `x`, which is finite, exactly as printf's "%.<precision>g" does in the C locale.
 * `precision` is 1 to 17. Returns the end; nothing is terminated. */
char *bl_cjson_number_print(char *to, double x, int precision);

/* The fast way of parsing, inline for the decoder: the common decimal of at most 18 digits whose
 * value is one exact multiplication or division away (Clinger 1990: the digits fit in 53 bits and
 * the power of ten in 22). Returns NULL when the number, if it is one, needs bl_cjson_number_parse.
 */
static inline const char *bl_cjson_number_scan(const char *p, double *to)
{
    bool negative = *p == '-';
    uint64_t digits = 0;
    unsigned d;

    p += negative;
    const char *start = p;
    if (*p == '0' && ((unsigned)(p[1] - '0') < 10 || (p[1] | 0x20) == 'x'))
        return NULL;
    while ((d = (unsigned)(*p - '0')) < 10) {
        digits = digits * 10 + d;
        p++;
    }
    long count = p - start;
    long exponent = 0;
    if (count == 0)
        return NULL;
    if (*p == '.') {
        start = ++p;
        while ((d = (unsigned)(*p - '0')) < 10) {
            digits = digits * 10 + d;
            p++;
        }
        exponent = start - p;
        count -= exponent;
    }
    if ((*p | 0x20) == 'e' || count > 18 || exponent < -22 || digits > UINT64_C(1) << 53)
        return NULL;
    double x = (double)digits / bl_cjson_power10[-exponent];
    *to = negative ? -x : x;
    return p;
}

#endif
