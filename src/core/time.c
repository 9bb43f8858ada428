#include "core/time.h"

#include <stdio.h>
#include <stdlib.h>

static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

_Thread_local bl_clock bl_clock_now;
_Thread_local bool bl_clock_alone;

/* A text form of the cached second, remade when the second has changed. */
typedef struct text_form {
    time_t made_for;
    size_t len;
    char text[40];
} text_form;

static _Thread_local struct tm local;
static _Thread_local time_t local_for = -1;

/* The wall clock is the monotonic one plus an offset, which is measured anew ten times a second at
 * most: somebody may set the clock. */
void bl_clock_update(void)
{
    enum {
        MEASURE_EVERY = 100
    };
    static _Thread_local uint64_t offset_ms, measure_at;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    if (BL_LIKELY(now == bl_clock_now.mono_ms && now < measure_at))
        return;
    bl_clock_now.mono_ms = now;
    if (now >= measure_at) {
        clock_gettime(CLOCK_REALTIME, &t);
        offset_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 - now;
        measure_at = now + MEASURE_EVERY;
    }
    uint64_t wall = now + offset_ms;
    bl_clock_now.sec = (time_t)(wall / 1000);
    bl_clock_now.msec = (unsigned)(wall % 1000);
}

static const struct tm *local_now(void)
{
    if (bl_clock_now.sec == 0 || bl_clock_alone)
        bl_clock_update();
    if (local_for != bl_clock_now.sec) {
        localtime_r(&bl_clock_now.sec, &local);
        local_for = bl_clock_now.sec;
    }
    return &local;
}

int bl_clock_offset(void)
{
    return (int)local_now()->tm_gmtoff;
}

static bool is_current(text_form *form)
{
    if (bl_clock_now.sec == 0 || bl_clock_alone)
        bl_clock_update();
    if (form->made_for == bl_clock_now.sec)
        return true;
    form->made_for = bl_clock_now.sec;
    return false;
}

bl_str bl_clock_http(void)
{
    static _Thread_local text_form form;

    if (!is_current(&form))
        form.len = (size_t)(bl_time_http(form.text, bl_clock_now.sec) - form.text);
    return bl_str_of(form.text, form.len);
}

bl_str bl_clock_error_log(void)
{
    static _Thread_local text_form form;

    if (!is_current(&form)) {
        const struct tm *tm = local_now();
        form.len = strftime(form.text, sizeof form.text, "%Y/%m/%d %H:%M:%S", tm);
    }
    return bl_str_of(form.text, form.len);
}

static char sign_of(long offset)
{
    return offset < 0 ? '-' : '+';
}

bl_str bl_clock_access_log(void)
{
    static _Thread_local text_form form;

    if (!is_current(&form)) {
        const struct tm *tm = local_now();
        long minutes = labs(tm->tm_gmtoff) / 60;
        form.len = (size_t)snprintf(form.text, sizeof form.text,
                                    "%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld", tm->tm_mday,
                                    months[tm->tm_mon], tm->tm_year + 1900, tm->tm_hour, tm->tm_min,
                                    tm->tm_sec, sign_of(tm->tm_gmtoff), minutes / 60, minutes % 60);
    }
    return bl_str_of(form.text, form.len);
}

bl_str bl_clock_iso8601(void)
{
    static _Thread_local text_form form;

    if (!is_current(&form)) {
        const struct tm *tm = local_now();
        long minutes = labs(tm->tm_gmtoff) / 60;
        size_t len = strftime(form.text, sizeof form.text, "%Y-%m-%dT%H:%M:%S", tm);
        form.len = len + (size_t)snprintf(form.text + len, sizeof form.text - len, "%c%02ld:%02ld",
                                          sign_of(tm->tm_gmtoff), minutes / 60, minutes % 60);
    }
    return bl_str_of(form.text, form.len);
}

bl_str bl_clock_syslog(void)
{
    static _Thread_local text_form form;

    if (!is_current(&form)) {
        const struct tm *tm = local_now();
        form.len =
            (size_t)snprintf(form.text, sizeof form.text, "%s %2d %02d:%02d:%02d",
                             months[tm->tm_mon], tm->tm_mday, tm->tm_hour, tm->tm_min, tm->tm_sec);
    }
    return bl_str_of(form.text, form.len);
}

static char *two(char *to, int n)
{
    *to++ = (char)('0' + n / 10);
    *to++ = (char)('0' + n % 10);
    return to;
}

static char *time_of_day(char *to, const struct tm *tm)
{
    to = two(to, tm->tm_hour);
    *to++ = ':';
    to = two(to, tm->tm_min);
    *to++ = ':';
    to = two(to, tm->tm_sec);
    return bl_str_put(to, BL_STR(" GMT"));
}

static char *date(char *to, const struct tm *tm, char separator, bool short_year)
{
    to = bl_str_put(to, bl_str_of(weekdays[tm->tm_wday], 3));
    *to++ = ',';
    *to++ = ' ';
    to = two(to, tm->tm_mday);
    *to++ = separator;
    to = bl_str_put(to, bl_str_of(months[tm->tm_mon], 3));
    *to++ = separator;
    if (!short_year)
        to = two(to, (tm->tm_year + 1900) / 100 % 100);
    to = two(to, tm->tm_year % 100);
    *to++ = ' ';
    return time_of_day(to, tm);
}

/* Seconds of the beginning of these years. */
#define YEAR_0     (-62167219200)
#define YEAR_10000 253402300800

/* gmtime_r for the fields that dates are made of, without its rules of time zones. What is beyond
 * the years that have four digits is the first or the last moment of them. */
static void break_down(time_t t, struct tm *tm)
{
    t = t < YEAR_0 ? YEAR_0 : t > YEAR_10000 - 1 ? YEAR_10000 - 1 : t;
    int64_t days = t / 86400, second = t % 86400;

    if (t < 0) {
        gmtime_r(&t, tm);
        return;
    }
    tm->tm_hour = (int)(second / 3600);
    tm->tm_min = (int)(second / 60 % 60);
    tm->tm_sec = (int)(second % 60);
    tm->tm_wday = (int)((days + 4) % 7);
    /* From the first of March of the year 0 on, in cycles of 400 years. */
    days += 719468;
    int64_t cycle = days / 146097, in_cycle = days % 146097;
    int64_t year = (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    int64_t in_year = in_cycle - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153; /* 0: March */
    tm->tm_mday = (int)(in_year - (153 * month + 2) / 5 + 1);
    tm->tm_mon = (int)(month < 10 ? month + 2 : month - 10);
    tm->tm_year = (int)(year + cycle * 400 + (tm->tm_mon <= 1) - 1900);
}

/* Most are of files that are asked for again: some of the last ones are remembered. */
char *bl_time_http(char *to, time_t t)
{
    static _Thread_local struct {
        time_t t;
        char text[BL_TIME_HTTP_LEN]; /* begins with 0: nothing is here */
    } seen[32];
    struct tm tm;
    size_t i = (size_t)t % BL_COUNTOF(seen);

    if (seen[i].t != t || seen[i].text[0] == 0) {
        break_down(t, &tm);
        date(seen[i].text, &tm, ' ', false);
        seen[i].t = t;
    }
    return (char *)memcpy(to, seen[i].text, BL_TIME_HTTP_LEN) + BL_TIME_HTTP_LEN;
}

char *bl_time_cookie(char *to, time_t t)
{
    struct tm tm;

    break_down(t, &tm);
    return date(to, &tm, '-', tm.tm_year + 1900 < 2038);
}

/* Reads what a date is made of, one after the other; `ok` turns false at the first that is not
 * there. */
typedef struct reader {
    bl_str rest;
    bool ok;
} reader;

static void expect(reader *r, bl_str text)
{
    if (!bl_str_starts(r->rest, text)) {
        r->ok = false;
        return;
    }
    r->rest = bl_str_of(r->rest.p + text.len, r->rest.len - text.len);
}

static int number(reader *r, size_t digits)
{
    if (r->rest.len < digits) {
        r->ok = false;
        return 0;
    }
    int64_t n = bl_str_to_int(bl_str_of(r->rest.p, digits));
    r->ok = r->ok && n >= 0;
    r->rest = bl_str_of(r->rest.p + digits, r->rest.len - digits);
    return (int)n;
}

static int month(reader *r)
{
    for (int i = 0; i < 12; i++) {
        if (bl_str_starts(r->rest, bl_str_of(months[i], 3))) {
            expect(r, bl_str_of(months[i], 3));
            return i;
        }
    }
    r->ok = false;
    return 0;
}

static void clock_part(reader *r, struct tm *tm)
{
    tm->tm_hour = number(r, 2);
    expect(r, BL_STR(":"));
    tm->tm_min = number(r, 2);
    expect(r, BL_STR(":"));
    tm->tm_sec = number(r, 2);
}

/* Behind the comma: IMF-fixdate ("06 Nov 1994 …") or RFC 850 ("06-Nov-94 …"). */
static void comma_form(reader *r, struct tm *tm)
{
    expect(r, BL_STR(", "));
    tm->tm_mday = number(r, 2);
    bl_str separator = r->rest.len && *r->rest.p == '-' ? BL_STR("-") : BL_STR(" ");
    expect(r, separator);
    tm->tm_mon = month(r);
    expect(r, separator);
    if (r->rest.len > 3 && r->rest.p[2] == ' ') {
        int year = number(r, 2);
        tm->tm_year = year < 70 ? year + 100 : year;
    } else {
        tm->tm_year = number(r, 4) - 1900;
    }
    expect(r, BL_STR(" "));
    clock_part(r, tm);
    expect(r, BL_STR(" GMT"));
}

/* "Nov  6 08:49:37 1994" */
static void asctime_form(reader *r, struct tm *tm)
{
    expect(r, BL_STR(" "));
    tm->tm_mon = month(r);
    expect(r, BL_STR(" "));
    if (r->rest.len && *r->rest.p == ' ') {
        expect(r, BL_STR(" "));
        tm->tm_mday = number(r, 1);
    } else {
        tm->tm_mday = number(r, 2);
    }
    expect(r, BL_STR(" "));
    clock_part(r, tm);
    expect(r, BL_STR(" "));
    tm->tm_year = number(r, 4) - 1900;
}

static bool in_range(const struct tm *tm)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60 && tm->tm_mday >= 1 &&
           tm->tm_mday <= days[tm->tm_mon] + (leap && tm->tm_mon == 1) && year >= 1970;
}

/* Days since 1970 of a date of the Gregorian calendar: years begin in March, so that the leap day
 * is the last of one. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + in_year - 719468;
}

static time_t seconds_of(const struct tm *tm)
{
    int64_t days = days_since_epoch(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday);

    return (time_t)(((days * 24 + tm->tm_hour) * 60 + tm->tm_min) * 60 + tm->tm_sec);
}

time_t bl_time_parse_http(bl_str s)
{
    struct tm tm = {0};
    reader r = {.rest = bl_str_trim(s), .ok = true};

    while (r.rest.len && ((unsigned)(*r.rest.p | 0x20) - 'a') < 26u)
        r.rest.p++, r.rest.len--;
    if (r.rest.len && *r.rest.p == ',')
        comma_form(&r, &tm);
    else
        asctime_form(&r, &tm);
    return r.ok && in_range(&tm) ? seconds_of(&tm) : (time_t)-1;
}
