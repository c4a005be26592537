// SPDX-License-Identifier: MIT
/* How late received bytes are after a silence. */
#include "lines/hear/lag.h"

#include <math.h>

#include "unit.h"

#define SILENCE_S 8.0

/* It stands still, when the port may not be opened anew at once, and goes on at its usual pace, late by as much as it
 * stood still. */
static void stays_late_until_it_is_opened_anew(void **state)
{
    struct lag lag;
    lag_init(&lag, 1, false);
    lag_opened(&lag, 100);
    for (unsigned i = 1; i <= 4; i++) {
        assert_false(
            lag_heard(&lag, 100 + 1.4 * i)); /* sets are not said to the tenth of a second */
        assert_true(lag.late_s == 0);
    }
    for (unsigned i = 0; i < 30; i++) {
        assert_true(lag_heard(&lag, 105.6 + SILENCE_S + i));
        assert_true(lag.late_s >= SILENCE_S);
    }
    lag_opened(&lag, 150);
    assert_false(lag_heard(&lag, 150.5));
    assert_true(lag.late_s == 0);
}

/* A new connection brings the same, and it is not opened again and again. */
static void knows_a_delay_that_stays(void **state)
{
    struct lag lag;
    lag_init(&lag, 1, false);
    lag_opened(&lag, 100);
    assert_true(lag_heard(&lag, 103));
    lag_opened(&lag, 103);
    assert_false(lag_heard(&lag, 106.9)); /* a set is said each second: some of it is chance */
    assert_true(lag.late_s > 3);
    assert_false(lag_heard(&lag, 107.9));
    assert_true(lag_heard(&lag, 107.9 + SILENCE_S)); /* and it stands still besides */
}

/* A link that stands still for some seconds, again and again, is no delay that stays. */
static void opens_anew_for_another_silence(void **state)
{
    struct lag lag;
    lag_init(&lag, 1, false);
    lag_opened(&lag, 100);
    assert_true(lag_heard(&lag, 103));
    lag_opened(&lag, 103);
    assert_true(lag_heard(&lag, 103 + SILENCE_S));
}

/* Rounds of a master 5 s apart, which take a second. */
static void learns_the_pauses_of_a_master(void **state)
{
    struct lag lag;
    lag_init(&lag, 1, true);
    lag_opened(&lag, 100);
    double now = 104;
    for (unsigned round = 0; round < 3; round++, now += 4)
        for (unsigned i = 0; i < 10; i++)
            lag_heard(&lag, now += 0.1);
    assert_true(lag.late_s == 0);
    assert_false(lag_heard(&lag, now));
    assert_true(lag_heard(&lag, now + 4 * SILENCE_S));
    assert_true(lag.late_s >= 4 * SILENCE_S);
}

/* Two long silences of which nothing is alike are no habit. */
static void learns_nothing_from_stalls(void **state)
{
    struct lag lag;
    lag_init(&lag, 1, true);
    lag_opened(&lag, 100);
    double now = 100;
    for (unsigned stall = 0; stall < 3; stall++) {
        for (unsigned i = 0; i < 100; i++)
            lag_heard(&lag, now += 0.5);
        assert_true(lag_heard(&lag, now += SILENCE_S));
        assert_true(lag.late_s >= SILENCE_S);
        lag_opened(&lag, now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_late_until_it_is_opened_anew),
        cmocka_unit_test(knows_a_delay_that_stays),
        cmocka_unit_test(opens_anew_for_another_silence),
        cmocka_unit_test(learns_the_pauses_of_a_master),
        cmocka_unit_test(learns_nothing_from_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
