#include "core/habit.h"
#include "unit.h"

START_TEST(twice)
{
    bl_habit h = {0};

    ck_assert(!bl_habit_takes(&h, 1));
    ck_assert(!bl_habit_takes(&h, 2));
    ck_assert(!bl_habit_takes(&h, 1));
    ck_assert(bl_habit_takes(&h, 1));
}
END_TEST

START_TEST(what_is_of_use_stays)
{
    bl_habit h = {.seen = 1};

    ck_assert(bl_habit_takes(&h, 1));
    for (int i = 0; i < 1000; i++)
        bl_habit_hit(&h);
    int refused = 0;
    while (!bl_habit_takes(&h, 2))
        refused++;
    ck_assert_int_eq(refused, 101);
}
END_TEST

/* One after the other is of no use: fewer and fewer are taken; the first that is, ends that. */
START_TEST(in_vain)
{
    bl_habit h = {.seen = 1};
    int taken = 0;

    for (int i = 0; i < 10000; i++)
        taken += bl_habit_takes(&h, 1);
    ck_assert_int_gt(taken, 30);
    ck_assert_int_lt(taken, 60);
    bl_habit_hit(&h);
    h = (bl_habit){.seen = 1, .vain = h.vain};
    ck_assert(bl_habit_takes(&h, 1));
}
END_TEST

UNIT_MAIN("habit", twice, what_is_of_use_stays, in_vain)
