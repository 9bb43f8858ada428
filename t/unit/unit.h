/* The main() of a program of unit tests. A file t/unit/ROOM/test_THING.c is one program:
 *
 *     #include "unit.h"
 *     START_TEST(what_it_does)
 *     {
 *         ck_assert_int_eq(1 + 1, 2);
 *     }
 *     END_TEST
 *
 *     UNIT_MAIN("thing", what_it_does, what_else_it_does)
 *
 * Check runs every test in a process of its own, so a crash fails one test and no more. CK_FORK=no
 * in the environment keeps them in one process, for a debugger. */
#ifndef BL_UNIT_H
#define BL_UNIT_H

#include <check.h>
#include <stdlib.h>

/* `name` of the suite, then the tests, in order. */
#define UNIT_MAIN(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *tests[] = {__VA_ARGS__};                                                      \
        return unit_run(name, tests, sizeof(tests) / sizeof(tests[0]));                            \
    }

static inline int unit_run(const char *name, const TTest **tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);
    SRunner *runner;
    int failed;

    for (size_t i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);

    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
