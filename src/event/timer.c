#include "event/timer.h"

enum {
    BITS = 6,
    SLOTS = 1 << BITS,
    LEVELS = 8,
    AFTER_RUN = LEVELS, /* the list of timers that were set to "now" while timers run */
};

/* As far off as a deadline may be: 2,000 years. So no difference has more digits than levels. */
#define FARTHEST (1ull << (BITS * LEVELS - 2))

/* Slot `s` of level `l` holds timers whose deadline agrees with the wheel's time down to level l +
 * 1, and has `s` as its digit of base 64 at level l. `busy` has a bit for each slot with a timer.
 */
static struct {
    bl_link slots[LEVELS + 1][SLOTS];
    uint64_t busy[LEVELS + 1];
    uint64_t now;     /* all deadlines before it have fired */
    uint64_t soonest; /* no armed timer is due before it */
    unsigned strong;
    bool ready, running;
} wheel;

static void wheel_start(void)
{
    for (int l = 0; l <= LEVELS; l++) {
        for (int s = 0; s < SLOTS; s++)
            bl_list_init(&wheel.slots[l][s]);
    }
    wheel.now = bl_now_ms();
    wheel.soonest = UINT64_MAX;
    wheel.ready = true;
}

static void link_at(bl_timer *t, unsigned level, unsigned slot, uint64_t when)
{
    bl_list_push(&wheel.slots[level][slot], &t->link);
    wheel.busy[level] |= 1ull << slot;
    t->level = (uint8_t)level;
    t->slot = (uint8_t)slot;
    t->slot_when = when;
    wheel.soonest = BL_MIN(wheel.soonest, when);
}

/* The highest base-64 digit in which `when` differs from the wheel's time decides the level. */
static void link_in(bl_timer *t)
{
    uint64_t when = BL_MAX(t->when, wheel.now);
    uint64_t differs = when ^ wheel.now;
    unsigned level = differs ? (63u - (unsigned)__builtin_clzll(differs)) / BITS : 0;

    BL_ASSERT(level < LEVELS);
    link_at(t, level, (when >> (BITS * level)) & (SLOTS - 1), when);
}

static void unlink_from(bl_timer *t)
{
    bl_list_remove(&t->link);
    if (bl_list_empty(&wheel.slots[t->level][t->slot]))
        wheel.busy[t->level] &= ~(1ull << t->slot);
}

void bl_timer_set(bl_timer *t, uint64_t ms)
{
    uint64_t when = bl_now_ms() + BL_MIN(ms, FARTHEST);

    if (BL_UNLIKELY(!wheel.ready))
        wheel_start();
    if (t->armed) {
        t->when = when;
        if (when >= t->slot_when)
            return; /* found early when its slot comes up, and moved on then */
        unlink_from(t);
    } else {
        t->armed = true;
        t->when = when;
        wheel.strong += !t->weak;
    }
    /* A timer of 0 ms that sets itself again fires once a turn, not for ever in this one. */
    if (wheel.running && ms == 0)
        link_at(t, AFTER_RUN, 0, when);
    else
        link_in(t);
}

void bl_timer_stop(bl_timer *t)
{
    if (!t->armed)
        return;
    t->armed = false;
    wheel.strong -= !t->weak;
    unlink_from(t);
}

/* The time at which the first busy slot begins; UINT64_MAX when no timer is armed. */
static uint64_t next_slot(unsigned *level, unsigned *slot)
{
    for (unsigned l = 0; l < LEVELS; l++) {
        unsigned digit = (wheel.now >> (BITS * l)) & (SLOTS - 1);
        uint64_t ahead = wheel.busy[l] & (~0ull << digit);
        if (ahead == 0)
            continue;
        *level = l;
        *slot = (unsigned)__builtin_ctzll(ahead);
        uint64_t above = wheel.now >> (BITS * (l + 1)) << (BITS * (l + 1));
        return BL_MAX(above | (uint64_t)*slot << (BITS * l), wheel.now);
    }
    return UINT64_MAX;
}

int bl_timer_next(void)
{
    if (!wheel.ready || wheel.soonest == UINT64_MAX)
        return -1;
    if (wheel.busy[AFTER_RUN])
        return 0;
    uint64_t now = bl_now_ms();
    return wheel.soonest <= now ? 0 : (int)BL_MIN(wheel.soonest - now, 3600000u);
}

static void link_deferred(void)
{
    bl_link deferred;

    bl_list_init(&deferred);
    bl_list_splice(&deferred, &wheel.slots[AFTER_RUN][0]);
    wheel.busy[AFTER_RUN] = 0;
    while (!bl_list_empty(&deferred)) {
        bl_timer *t = BL_LIST_FIRST(&deferred, bl_timer, link);
        bl_list_remove(&t->link);
        link_in(t);
    }
}

/* Takes a slot's timers: each fires if due, else goes to the slot that its deadline now belongs in.
 */
static void run_slot(unsigned level, unsigned slot, uint64_t now)
{
    bl_link due;

    bl_list_init(&due);
    bl_list_splice(&due, &wheel.slots[level][slot]);
    wheel.busy[level] &= ~(1ull << slot);
    while (!bl_list_empty(&due)) {
        bl_timer *t = BL_LIST_FIRST(&due, bl_timer, link);
        bl_list_remove(&t->link);
        if (t->when > now) {
            link_in(t);
            continue;
        }
        t->armed = false;
        wheel.strong -= !t->weak;
        bl_timer_counted.fired++;
        bl_timer_counted.late_ms += now - t->when;
        t->fire(t);
    }
}

bl_timer_counts bl_timer_counted;

void bl_timer_run(void)
{
    uint64_t now = bl_now_ms();
    unsigned level = 0, slot = 0;

    if (wheel.soonest > now || !wheel.ready)
        return;
    link_deferred();
    wheel.running = true;
    for (;;) {
        uint64_t when = next_slot(&level, &slot);
        if (when > now)
            break;
        wheel.now = when;
        run_slot(level, slot, now);
    }
    wheel.running = false;
    wheel.now = BL_MAX(now, wheel.now);
    wheel.soonest = wheel.busy[AFTER_RUN] ? now : next_slot(&level, &slot);
}

bool bl_timer_any(void)
{
    return wheel.strong != 0;
}
