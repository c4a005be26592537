// SPDX-License-Identifier: MIT
/* How long answers are waited for, on lines where they come late always, now and then, or not at all. */
#include "lines/lateness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define USUAL_S 0.5

/* A request with none before it, that takes so long; asked again each USUAL_S as it is not waited for any longer. */
static void exchange(struct lateness *lateness, double takes_s)
{
    lateness_ask(lateness, true);
    double asked_at = 0, wait_s = lateness_wait_s(lateness, USUAL_S);
    while (asked_at + wait_s < takes_s) {
        asked_at += wait_s;
        lateness_miss(lateness);
        lateness_ask(lateness, false);
        wait_s = lateness_wait_s(lateness, USUAL_S);
    }
    lateness_answer(lateness, takes_s - asked_at, takes_s);
}

static void exchange_often(struct lateness *lateness, unsigned times, double takes_s)
{
    while (times-- > 0)
        exchange(lateness, takes_s);
}

static void waits_as_usual(void **state)
{
    (void) state;
    struct lateness lateness = {0};
    assert_true(lateness_wait_s(&lateness, USUAL_S) == USUAL_S);
    exchange_often(&lateness, 100, 0.4);
    assert_true(lateness_wait_s(&lateness, USUAL_S) == USUAL_S);
    assert_true(lateness_regular_s(&lateness, USUAL_S) == 0);
}

/* The second request is a try that is answered late as well. */
static void waits_for_what_is_always_late(void **state)
{
    (void) state;
    static const double delays[] = {0.6, 1.5, 3, 12, 23};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        struct lateness lateness = {0};
        exchange_often(&lateness, 2, delays[i]);
        assert_true(lateness_wait_s(&lateness, USUAL_S) > 1.2 * delays[i]);
        assert_true(lateness_regular_s(&lateness, USUAL_S) == 0);
        exchange_often(&lateness, 2, delays[i]);
        assert_true(lateness_regular_s(&lateness, USUAL_S) == delays[i]);
        assert_true(lateness_timeout_s(delays[i]) > delays[i]);
        /* And when it is over, as before. */
        exchange_often(&lateness, LATENESS_ANSWERS, 0.1);
        assert_true(lateness_wait_s(&lateness, USUAL_S) == USUAL_S);
        assert_true(lateness_regular_s(&lateness, USUAL_S) == 0);
    }
}

/* It became so while the line worked. */
static void notices_that_it_is_late_now(void **state)
{
    (void) state;
    struct lateness lateness = {0};
    exchange_often(&lateness, 100, 0.1);
    exchange_often(&lateness, 6, 6);
    assert_true(lateness_wait_s(&lateness, USUAL_S) > 6);
    exchange_often(&lateness, 2, 6);
    assert_true(lateness_regular_s(&lateness, USUAL_S) == 6);
}

/* A stall, and one reply in five that is late, are no reason to wait longer for those that are lost. */
static void does_not_wait_for_single_ones(void **state)
{
    (void) state;
    struct lateness lateness = {0};
    exchange_often(&lateness, 20, 0.1);
    for (unsigned i = 0; i < 100; i++) {
        exchange(&lateness, i % 25 == 0 ? 8 : 0.7);
        lateness_ask(&lateness, true);
        assert_true(lateness_wait_s(&lateness, USUAL_S) == USUAL_S);
        exchange_often(&lateness, 4, 0.1);
        assert_true(lateness_wait_s(&lateness, USUAL_S) == USUAL_S);
        assert_true(lateness_regular_s(&lateness, USUAL_S) == 0);
    }
}

/* Nothing is waited for longer than LATENESS_MOST_S; but it is said why nothing is fresh. */
static void tells_what_is_too_late(void **state)
{
    (void) state;
    struct lateness lateness = {0};
    exchange_often(&lateness, 6, 45);
    assert_true(lateness_wait_s(&lateness, USUAL_S) <= LATENESS_MOST_S);
    assert_true(lateness_regular_s(&lateness, USUAL_S) == 45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_as_usual),
        cmocka_unit_test(waits_for_what_is_always_late),
        cmocka_unit_test(notices_that_it_is_late_now),
        cmocka_unit_test(does_not_wait_for_single_ones),
        cmocka_unit_test(tells_what_is_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
