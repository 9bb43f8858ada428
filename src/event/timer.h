/* Deadlines. A hierarchical wheel: arming and disarming are O(1) whatever the number of armed
 * timers, and pushing a deadline further off costs one store, because a timer that turns out to be
 * early when its slot comes up is simply put where it belongs.
 *
 *   level 0   64 slots of    1 ms
 *   level 1   64 slots of   64 ms
 *   level 2   64 slots of 4096 ms …   8 levels: for ever
 */
#ifndef BL_EVENT_TIMER_H
#define BL_EVENT_TIMER_H

#include "core/list.h"
#include "core/time.h"

typedef struct bl_timer bl_timer;

struct bl_timer {
    bl_link link;       /* in a slot; next == NULL: never armed */
    uint64_t when;      /* mono ms */
    uint64_t slot_when; /* the deadline that its slot stands for */
    void (*fire)(bl_timer *timer);
    uint8_t slot, level;
    bool armed;
    bool weak; /* does not keep a worker that is shutting down alive */
};

/* Fires `ms` milliseconds from now (the cached clock); an armed timer is moved. */
void bl_timer_set(bl_timer *timer, uint64_t ms);
void bl_timer_stop(bl_timer *timer);

/* For the loop: ms until the next may fire, -1 when none is armed; and firing all that are due. */
int bl_timer_next(void);
void bl_timer_run(void);
/* How many have fired in this process, and how late they were in all: what holds up the loop shows
 * here. */
typedef struct bl_timer_counts {
    uint64_t fired, late_ms;
} bl_timer_counts;
extern bl_timer_counts bl_timer_counted;

/* Armed timers that are not weak: a worker that is shutting down waits for them. */
bool bl_timer_any(void);

#endif
