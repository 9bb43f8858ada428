#include "lua/cjson_number.h"

#include "core/str.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Powers of ten that a double holds exactly. */
const double bl_cjson_power10[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static locale_t c_locale(void)
{
    static locale_t locale;

    if (!locale)
        locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return locale;
}

const char *bl_cjson_number_parse(const char *p, double *to)
{
    const char *end = bl_cjson_number_scan(p, to);
    char *stop;

    if (end)
        return end;
    *to = strtod_l(p, &stop, c_locale());
    return stop == p ? NULL : stop;
}

static BL_COLD char *print_slowly(char *to, double x, int precision)
{
    locale_t before = uselocale(c_locale());
    int n = snprintf(to, BL_CJSON_NUMBER_MAX, "%.*g", precision, x);

    uselocale(before);
    return to + n;
}

/* Writes `n`, which has exactly `count` digits, counting down from the end. */
static void put_digits(char *to, uint64_t n, int count)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                "31323334353637383940414243444546474849505152535455565758596061"
                                "62636465666768697071727374757677787980818283848586878889909192"
                                "93949596979899";

    to += count;
    for (; count >= 2; count -= 2) {
        to -= 2;
        memcpy(to, pairs + n % 100 * 2, 2);
        n /= 100;
    }
    if (count)
        to[-1] = (char)('0' + n);
}

static int digit_count(uint64_t n)
{
    static const uint64_t limits[] = {
        10,           100,           1000,           10000,           100000,
        1000000,      10000000,      100000000,      1000000000,      10000000000,
        100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
        UINT64_MAX};
    int count = 1;

    while (n >= limits[count - 1])
        count++;
    return count;
}

static char *put_integer(char *to, uint64_t n)
{
    if (n < 10) {
        *to = (char)('0' + n);
        return to + 1;
    }
    int count = digit_count(n);

    put_digits(to, n, count);
    return to + count;
}

/* d.ddde+XX of the significant digits at `digits`. */
static char *put_scientific(char *to, const char *digits, int count, int exponent)
{
    *to++ = digits[0];
    if (count > 1) {
        *to++ = '.';
        memcpy(to, digits + 1, (size_t)count - 1);
        to += count - 1;
    }
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    put_digits(to, (uint64_t)abs(exponent), 2);
    return to + 2;
}

/* ddd.ddd, or 0.000ddd. The exponent is that of the first digit. */
static char *put_fixed(char *to, const char *digits, int count, int exponent)
{
    if (exponent < 0) {
        memcpy(to, "0.000", 5);
        to += 1 - exponent;
        memcpy(to, digits, (size_t)count);
        return to + count;
    }
    int whole = exponent + 1;
    if (count <= whole) {
        memcpy(to, digits, (size_t)count);
        memset(to + count, '0', (size_t)(whole - count));
        return to + whole;
    }
    memcpy(to, digits, (size_t)whole);
    to[whole] = '.';
    memcpy(to + whole + 1, digits + whole, (size_t)(count - whole));
    return to + count + 1;
}

/* `x` > 0 times a power of ten so that the product has `precision` digits before the point, and
 * the decimal exponent of its first digit. False when that power is not exact in a double. */
static bool scale(double x, int precision, double *scaled, int *exponent)
{
    int binary;

    frexp(x, &binary);
    int e = (int)floor((binary - 1) * 0.30102999566398120);
    for (int tries = 0; tries < 2; tries++, e++) {
        int shift = precision - 1 - e;
        if (shift < -22 || shift > 22)
            return false;
        *scaled = shift >= 0 ? x * bl_cjson_power10[shift] : x / bl_cjson_power10[-shift];
        *exponent = e;
        if (*scaled < bl_cjson_power10[precision])
            return *scaled >= bl_cjson_power10[precision - 1];
    }
    return false;
}

/* The product in scale() is off by at most half a unit in its last place, a relative 2^-53. When
 * its fraction keeps more than twice that away from one half, rounding the product gives the same
 * digits as rounding the exact value would; otherwise (one number in some fifty) printf decides.
 * With 16 digits and more the error reaches one half, so the caller leaves those to printf. */
static char *print_fraction(char *to, double x, int precision)
{
    double scaled;
    int exponent;

    if (!scale(x, precision, &scaled, &exponent))
        return NULL;
    uint64_t n = (uint64_t)scaled;
    double fraction = scaled - (double)n;
    if (fabs(fraction - 0.5) <= scaled * 0x1p-52)
        return NULL;
    n += fraction > 0.5;
    if ((double)n >= bl_cjson_power10[precision]) {
        n /= 10;
        exponent++;
    }

    char digits[BL_CJSON_NUMBER_MAX];
    int count = precision;
    while (count > 1 && n % 10 == 0) {
        n /= 10;
        count--;
    }
    put_digits(digits, n, count);
    if (exponent < -4 || exponent >= precision)
        return put_scientific(to, digits, count, exponent);
    return put_fixed(to, digits, count, exponent);
}

/* The commonest fractions, those of one to three decimals: when the product with 10, 100 or 1000 is
 * a whole number, its digits (but for zeros at the end) are those that are wanted, by the argument
 * above. NULL otherwise. */
static char *print_short(char *to, double x, int precision)
{
    for (int shift = 1; shift <= 3; shift++) {
        double scaled = x * bl_cjson_power10[shift];
        if (scaled >= 1e9 || scaled >= bl_cjson_power10[precision])
            return NULL;
        uint32_t n = (uint32_t)scaled;
        if ((double)n == scaled) {
            char digits[10];
            for (; n % 10 == 0; shift--)
                n /= 10;
            int count = digit_count(n);
            put_digits(digits, n, count);
            return put_fixed(to, digits, count, count - 1 - shift);
        }
    }
    return NULL;
}

char *bl_cjson_number_print(char *to, double x, int precision)
{
    char *p = to;
    double positive = fabs(x);

    if (signbit(x))
        *p++ = '-';
    if (positive < 1e15 && positive < bl_cjson_power10[precision]) {
        uint64_t n = (uint64_t)positive;
        if ((double)n == positive)
            return put_integer(p, n);
    }
    if (precision > 15)
        return print_slowly(to, x, precision);
    char *end = print_short(p, positive, precision);
    if (!end)
        end = print_fraction(p, positive, precision);
    return end ? end : print_slowly(to, x, precision);
}
