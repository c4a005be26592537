// SPDX-License-Identifier: MIT
/* How old it is what a talker says behind a silence. */
#include "lines/hear/talk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SILENCE_S 8.0

static double say(struct talk *talk, double now)
{
    talk_heard(talk, now);
    return talk_said(talk, now);
}

/* It stands still right behind an opening, when it may not be opened again at once, and goes on at its usual pace, late by as
 * much as it stood still. */
static void stays_old_until_it_is_opened_anew(void **state)
{
    (void) state;
    struct talk talk;
    talk_init(&talk);
    talk_opened(&talk, true, 100);
    for (unsigned i = 1; i <= 4; i++)
        assert_true(say(&talk, 100 + i) == 0);
    for (unsigned i = 0; i < 30; i++) {
        double now = 104 + SILENCE_S + i;
        assert_true(say(&talk, now) >= SILENCE_S);
        assert_true(talk_heard(&talk, now));
    }
    talk_opened(&talk, true, 150);
    assert_true(say(&talk, 150.5) == 0);
}

/* A delay that is always there: a new connection brings the same, and it is not opened again and again. */
static void opens_once_for_a_delay_that_stays(void **state)
{
    (void) state;
    struct talk talk;
    talk_init(&talk);
    talk_opened(&talk, true, 100);
    assert_true(talk_heard(&talk, 103));
    talk_opened(&talk, true, 103);
    assert_false(talk_heard(&talk, 106));
    assert_true(talk_said(&talk, 106) == 3);
}

/* Behind a serial port what has piled up comes at once, and is as old as the silence; three sets at the usual pace show
 * that nothing of it is left. */
static void knows_a_pile_by_its_pace(void **state)
{
    (void) state;
    struct talk talk;
    talk_init(&talk);
    talk_opened(&talk, false, 100);
    assert_true(isinf(say(&talk, 101))); /* it may have lain there */
    for (unsigned i = 2; i <= 4; i++)
        assert_true(say(&talk, 100 + i) == 0);
    for (unsigned i = 0; i < 8; i++)
        assert_true(say(&talk, 104 + SILENCE_S) >= SILENCE_S);
    assert_true(say(&talk, 113) >= SILENCE_S);
    assert_true(say(&talk, 114) >= SILENCE_S);
    assert_true(say(&talk, 115) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_old_until_it_is_opened_anew),
        cmocka_unit_test(opens_once_for_a_delay_that_stays),
        cmocka_unit_test(knows_a_pile_by_its_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
