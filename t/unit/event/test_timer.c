/* The timer wheel against a model: a plain array of deadlines, looked through from end to end. Time
 * is ours: the cached clock is moved by hand. */
#include "unit.h"
#include "event/timer.h"

#include <stdio.h>

enum {
    TIMERS = 200,
    STEPS = 20000,
    MANY = 100000,
};

typedef struct model {
    bl_timer timer;
    bool armed;
    uint64_t when;
    int fired;
} model;

static model timers[TIMERS];
static uint64_t seed;

static uint64_t dice(uint64_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % sides;
}

/* Mostly near, sometimes far: each level of the wheel gets its share. */
static uint64_t some_time(void)
{
    return dice(1ull << (1 + dice(31)));
}

static void arm(model *m, uint64_t ms)
{
    bl_timer_set(&m->timer, ms);
    m->armed = true;
    m->when = bl_now_ms() + ms;
}

static void on_fire(bl_timer *timer)
{
    model *m = BL_CONTAINER(timer, model, timer);

    ck_assert_msg(m->armed, "fired without being armed");
    ck_assert_msg(m->when <= bl_now_ms(), "early: %llu ms",
                  (unsigned long long)(m->when - bl_now_ms()));
    ck_assert(!timer->armed);
    m->armed = false;
    m->fired++;
    if (dice(4) == 0)
        arm(m, some_time());
    if (dice(8) == 0) {
        model *other = &timers[dice(TIMERS)];
        bl_timer_stop(&other->timer);
        other->armed = false;
    }
}

/* No deadline is past, and the wheel says to wake no later than the first of them. */
static void check(void)
{
    uint64_t first = UINT64_MAX;
    bool any = false;

    for (int i = 0; i < TIMERS; i++) {
        ck_assert_int_eq(timers[i].timer.armed, timers[i].armed);
        if (!timers[i].armed)
            continue;
        any = true;
        ck_assert_msg(timers[i].when >= bl_now_ms(), "late: %llu ms",
                      (unsigned long long)(bl_now_ms() - timers[i].when));
        first = BL_MIN(first, timers[i].when);
    }
    ck_assert_int_eq(bl_timer_any(), any);
    int next = bl_timer_next();
    if (!any)
        return; /* a slot may still be empty of all but memory: any answer will do */
    ck_assert_int_ge(next, 0);
    ck_assert_uint_le((uint64_t)next, first - bl_now_ms());
}

static void run_model(uint64_t start)
{
    seed = start;
    bl_clock_now.mono_ms = 1000 + dice(1u << 30);
    for (int i = 0; i < TIMERS; i++)
        timers[i].timer.fire = on_fire;
    for (int step = 0; step < STEPS; step++) {
        model *m = &timers[dice(TIMERS)];
        if (dice(3) == 0) {
            bl_timer_stop(&m->timer);
            m->armed = false;
        } else {
            arm(m, some_time());
        }
        if (dice(2) == 0) {
            int next = bl_timer_next();
            uint64_t by = dice(3) == 0 || next < 0 ? some_time() : (uint64_t)next;
            bl_clock_now.mono_ms += by;
            bl_timer_run();
            /* What was set to "now" while timers ran fires with the next run. */
            bl_timer_run();
            check();
        }
    }
}

START_TEST(as_the_model)
{
    run_model(1);
}
END_TEST

START_TEST(as_the_model_again)
{
    run_model(20261122);
}
END_TEST

START_TEST(pushed_further_off)
{
    bl_timer timer = {.fire = on_fire};
    model *m = &timers[0];

    m->timer = timer;
    bl_clock_now.mono_ms = 5000;
    for (int i = 0; i < 1000; i++) {
        arm(m, 60);
        bl_clock_now.mono_ms += 59;
        bl_timer_run();
        ck_assert_int_eq(m->fired, 0);
    }
    bl_clock_now.mono_ms += 1;
    bl_timer_run();
    ck_assert_int_eq(m->fired, 1);
}
END_TEST

START_TEST(brought_nearer)
{
    model *m = &timers[0];

    m->timer.fire = on_fire;
    bl_clock_now.mono_ms = 5000;
    arm(m, 1000000);
    arm(m, 10);
    ck_assert_int_le(bl_timer_next(), 10);
    bl_clock_now.mono_ms += 10;
    bl_timer_run();
    ck_assert_int_eq(m->fired, 1);
}
END_TEST

static bl_timer forever;
static int rounds;

static void on_zero(bl_timer *timer)
{
    rounds++;
    bl_timer_set(timer, 0);
}

START_TEST(zero_fires_once_a_turn)
{
    forever.fire = on_zero;
    bl_clock_now.mono_ms = 5000;
    bl_timer_set(&forever, 0);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(bl_timer_next(), 0);
        bl_timer_run();
        ck_assert_int_eq(rounds, i);
    }
    bl_timer_stop(&forever);
    bl_timer_run();
    ck_assert_int_eq(rounds, 3);
}
END_TEST

START_TEST(weak_ones_keep_nobody)
{
    model strong = {.timer.fire = on_fire}, weak = {.timer.fire = on_fire, .timer.weak = true};

    bl_clock_now.mono_ms = 5000;
    ck_assert(!bl_timer_any());
    arm(&weak, 10);
    ck_assert(!bl_timer_any());
    arm(&strong, 10);
    ck_assert(bl_timer_any());
    bl_timer_stop(&strong.timer);
    ck_assert(!bl_timer_any());
    ck_assert_int_eq(bl_timer_next(), 10);
}
END_TEST

START_TEST(a_clock_that_stood_still)
{
    model *m = &timers[0];

    m->timer.fire = on_fire;
    bl_clock_now.mono_ms = 5000;
    arm(m, 300ull * 24 * 3600 * 1000);
    ck_assert_int_le(bl_timer_next(), 3600000);
    bl_clock_now.mono_ms += 300ull * 24 * 3600 * 1000 - 1;
    bl_timer_run();
    ck_assert_int_eq(m->fired, 0);
    bl_clock_now.mono_ms += 1;
    bl_timer_run();
    ck_assert_int_eq(m->fired, 1);
}
END_TEST

static int many_fired;

static void on_many(bl_timer *timer BL_UNUSED)
{
    many_fired++;
}

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Armed, pushed off, half of them stopped, and fired: within a fraction of the time that anything
 * but constant cost would take. */
START_TEST(a_hundred_thousand)
{
    static bl_timer many[MANY];

    seed = 7;
    bl_clock_now.mono_ms = 5000;
    double start = seconds_now();
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < MANY; i++) {
            many[i].fire = on_many;
            bl_timer_set(&many[i], 60000 + dice(1000));
        }
        bl_clock_now.mono_ms += 10;
        bl_timer_run();
    }
    for (int i = 0; i < MANY; i += 2)
        bl_timer_stop(&many[i]);
    while (bl_timer_any()) {
        bl_clock_now.mono_ms += (uint64_t)BL_MAX(bl_timer_next(), 1);
        bl_timer_run();
    }
    ck_assert_int_eq(many_fired, MANY / 2);
    ck_assert_msg(seconds_now() - start < 2.0, "took %.3f s", seconds_now() - start);
}
END_TEST

UNIT_MAIN("timer", as_the_model, as_the_model_again, pushed_further_off, brought_nearer,
          zero_fires_once_a_turn, weak_ones_keep_nobody, a_clock_that_stood_still,
          a_hundred_thousand)
