// SPDX-License-Identifier: MIT
/* How late received bytes are after a silence. */
#include "lines/hear/lag.h"

#include <math.h>

#include "unit.h"

#define SILENCE_S 8.0

/* The link stalls while the port must not be reopened yet, and then continues at its usual pace, late by the length
 * of the stall. */
TEST(stays_late_until_it_is_opened_anew)
{
    struct lag lag;
    lag_init(&lag, 1, false);
    lag_opened(&lag, 100);
    for (unsigned i = 1; i <= 4; i++) {
        assert_false(lag_heard(&lag, 100 + 1.4 * i)); /* sets are not sent at exact times */
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

/* A new connection has the same delay, so the port is not reopened again and again. */
TEST(knows_a_delay_that_stays)
{
    struct lag lag;
    lag_init(&lag, 1, false);
    lag_opened(&lag, 100);
    assert_true(lag_heard(&lag, 103));
    lag_opened(&lag, 103);
    assert_false(lag_heard(&lag, 106.9)); /* sets arrive each second: small delays are random */
    assert_true(lag.late_s > 3);
    assert_false(lag_heard(&lag, 107.9));
    assert_true(lag_heard(&lag, 107.9 + SILENCE_S)); /* and the link stalls as well */
}

/* A link that stalls for some seconds again and again has no permanent delay. */
TEST(opens_anew_for_another_silence)
{
    struct lag lag;
    lag_init(&lag, 1, false);
    lag_opened(&lag, 100);
    assert_true(lag_heard(&lag, 103));
    lag_opened(&lag, 103);
    assert_true(lag_heard(&lag, 103 + SILENCE_S));
}

/* Rounds of a master every 5 s, each of which takes a second. */
TEST(learns_the_pauses_of_a_master)
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

/* Two long silences without a pattern are not a habit. */
TEST(learns_nothing_from_stalls)
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
