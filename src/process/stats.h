/* Counters of each worker, in memory that all processes share, summed when somebody reads them (bet
 * 8). A worker writes only its own row, so counting is one increment and never a lock. */
#ifndef BL_PROCESS_STATS_H
#define BL_PROCESS_STATS_H

#include "core/base.h"

/* One row of the table: X(name, what it counts). All are monotonic but the gauges. */
#define BL_STATS_COUNTERS(X)                                                                       \
    X(accepted, "client connections accepted")                                                     \
    X(handled, "client connections that got a place")                                              \
    X(requests, "requests begun")                                                                  \
    X(closed, "client connections closed")                                                         \
    X(status_1xx, "responses of class 1xx")                                                        \
    X(status_2xx, "responses of class 2xx")                                                        \
    X(status_3xx, "responses of class 3xx")                                                        \
    X(status_4xx, "responses of class 4xx")                                                        \
    X(status_5xx, "responses of class 5xx")                                                        \
    X(bytes_in, "bytes received from clients")                                                     \
    X(bytes_out, "bytes sent to clients")                                                          \
    X(lua_blocked, "times that Lua code held the event loop for too long")                         \
    X(request_ms, "milliseconds from the start of requests to their end, in all")                  \
    X(timers_fired, "timers of the event loop that have fired")                                    \
    X(timers_late_ms, "milliseconds that they fired late, in all: the lag of the loop")            \
    X(lua_bytes, "gauge: memory of Lua, taken once a second")                                      \
    X(reading, "gauge: connections whose request head is being read")                              \
    X(writing, "gauge: connections with a request in work")                                        \
    X(waiting, "gauge: idle keepalive connections")

typedef struct bl_stats {
#define X(name, about) uint64_t name;
    BL_STATS_COUNTERS(X)
#undef X
    int64_t pid; /* of the row's process; 0: none yet */
} __attribute__((aligned(64))) bl_stats;

/* This process's row; never NULL. */
extern bl_stats *bl_stats_mine;

/* Maps rows for `workers` processes; once, by the master before it forks. */
void bl_stats_open(int workers);
/* Makes row `worker` this process's. A new worker in a dead one's place takes over its counters,
 * but begins its gauges at 0. */
void bl_stats_attach(int worker);
/* The process of row `worker`, from 0; 0: none. */
int64_t bl_stats_pid(int worker);
/* The sum over all rows. */
bl_stats bl_stats_sum(void);

static inline void bl_stats_request_done(int status, uint64_t ms)
{
    unsigned class = (unsigned)status / 100 - 1;

    bl_stats_mine->request_ms += ms;
    if (class < 5)
        (&bl_stats_mine->status_1xx)[class]++;
}

#endif
