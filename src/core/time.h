/* The clock of a process: read from the kernel once per turn of the event loop, and then only
 * looked at. Text forms are made when first asked for within a second, and kept for its rest. Each
 * thread has a clock of its own; one without a loop reads it when it is asked. */
#ifndef BL_CORE_TIME_H
#define BL_CORE_TIME_H

#include "core/str.h"

#include <time.h>

typedef struct bl_clock {
    uint64_t mono_ms; /* monotonic: for deadlines and durations */
    time_t sec;       /* wall clock */
    unsigned msec;
} bl_clock;

extern _Thread_local bl_clock bl_clock_now;
/* No loop reads the clock of this thread. */
extern _Thread_local bool bl_clock_alone;

/* Asks the kernel. */
void bl_clock_update(void);

static inline uint64_t bl_now_ms(void)
{
    return bl_clock_now.mono_ms;
}

/* The same for what is called in any thread. */
static inline const bl_clock *bl_clock_here(void)
{
    if (BL_UNLIKELY(bl_clock_alone))
        bl_clock_update();
    return &bl_clock_now;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7) of the cached second. */
bl_str bl_clock_http(void);
/* "2026/11/22 12:00:00", local time: the error log's. */
bl_str bl_clock_error_log(void);
/* "22/Nov/2026:12:00:00 +0000": $time_local. */
bl_str bl_clock_access_log(void);
/* "2026-11-22T12:00:00+00:00": $time_iso8601. */
bl_str bl_clock_iso8601(void);
/* "Nov 22 12:00:00": syslog (RFC 3164). */
bl_str bl_clock_syslog(void);
/* Seconds east of UTC now. */
int bl_clock_offset(void);

enum {
    BL_TIME_HTTP_LEN = 29
};
/* Writes the HTTP form of any time at `to` (29 bytes); returns the end. */
char *bl_time_http(char *to, time_t t);
/* "Wed, 09-Nov-26 08:49:37 GMT", the form of Netscape cookies (27 bytes; 29 from 2038 on, with a
 * four-digit year). */
char *bl_time_cookie(char *to, time_t t);
/* The time that an HTTP date means: IMF-fixdate, RFC 850 or asctime form; -1 for anything else. */
time_t bl_time_parse_http(bl_str s);

#endif
