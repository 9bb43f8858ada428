/* Sizes and times in the words of the configuration, as pure functions. */
#include "conf/conf.h"

static bool scale(int64_t *value, int64_t by)
{
    return !__builtin_mul_overflow(*value, by, value);
}

/* NUMBER with one of the `units`, each 1024 times the one before. */
static int64_t bytes_of(bl_str s, const char *units)
{
    int64_t factor = 1;

    if (s.len == 0)
        return -1;
    for (const char *unit = units; *unit; unit++) {
        factor *= 1024;
        if (bl_lower(s.p[s.len - 1]) != *unit)
            continue;
        int64_t n = bl_str_to_int(bl_str_of(s.p, s.len - 1));
        return n >= 0 && scale(&n, factor) ? n : -1;
    }
    return bl_str_to_int(s);
}

int64_t bl_conf_size(bl_str s)
{
    return bytes_of(s, "km");
}

int64_t bl_conf_off(bl_str s)
{
    return bytes_of(s, "kmg");
}

typedef struct time_unit {
    char name[3];
    int64_t ms;
} time_unit;

/* In falling order, as they may follow one another. A number alone counts seconds. */
static const time_unit units[] = {
    {"y", 365ll * 86400 * 1000},
    {"M", 30ll * 86400 * 1000},
    {"w", 7ll * 86400 * 1000},
    {"d", 86400 * 1000},
    {"h", 3600 * 1000},
    {"m", 60 * 1000},
    {"s", 1000},
    {"", 1000},
    {"ms", 1},
};

/* Index of the unit at the front of `s`, or -1; its length is added to *at. */
static int unit_at(bl_str s, size_t *at)
{
    size_t rest = s.len - *at;

    if (rest >= 2 && s.p[*at] == 'm' && s.p[*at + 1] == 's') {
        *at += 2;
        return (int)BL_COUNTOF(units) - 1;
    }
    for (int i = 0; i < (int)BL_COUNTOF(units); i++) {
        if (units[i].name[1] == '\0' && rest && s.p[*at] == units[i].name[0]) {
            *at += units[i].name[0] != '\0';
            return i;
        }
    }
    return rest == 0 || s.p[*at] == ' ' ? (int)BL_COUNTOF(units) - 2 : -1;
}

/* `finest`: the smallest unit allowed, milliseconds; the result counts in it. */
static int64_t time_of(bl_str s, int64_t finest)
{
    int64_t total = 0;
    int last = -1;
    size_t at = 0;

    if (s.len == 0)
        return -1;
    while (at < s.len) {
        size_t digits = at;
        while (digits < s.len && s.p[digits] >= '0' && s.p[digits] <= '9')
            digits++;
        int64_t n = bl_str_to_int(bl_str_of(s.p + at, digits - at));
        at = digits;
        int unit = unit_at(s, &at);
        if (n < 0 || unit <= last || units[unit].ms < finest)
            return -1;
        if (!scale(&n, units[unit].ms / finest) || __builtin_add_overflow(total, n, &total))
            return -1;
        last = unit;
        while (at < s.len && s.p[at] == ' ')
            at++;
    }
    return total;
}

int64_t bl_conf_msec(bl_str s)
{
    return time_of(s, 1);
}

int64_t bl_conf_sec(bl_str s)
{
    return time_of(s, 1000);
}
