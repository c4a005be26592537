// SPDX-License-Identifier: MIT
/* How old it is what a talker says behind a silence. */
#include "lines/talk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SILENCE_S 8.0

/* A set that was never said before; how old it is. */
static double say(struct talk *talk, struct recall *recall, double now)
{
    static uint32_t hash = 1;
    talk_heard(talk, now);
    double said_at = talk_said(talk, recall, ++hash, now);
    return talk_age_s(talk, said_at, now);
}

/* It stands still right behind an opening, when it may not be opened again at once, and goes on at its usual pace, late by as
 * much as it stood still. */
static void stays_old_until_it_is_opened_anew(void **state)
{
    (void) state;
    struct talk talk;
    struct recall recall = {0};
    talk_init(&talk);
    talk_opened(&talk, true, 100);
    for (unsigned i = 1; i <= 4; i++)
        assert_true(say(&talk, &recall, 100 + i) < TALK_S);
    for (unsigned i = 0; i < 30; i++) {
        double now = 104 + SILENCE_S + i;
        assert_true(say(&talk, &recall, now) >= SILENCE_S);
        assert_true(talk_heard(&talk, now));
    }
    talk_opened(&talk, true, 150);
    assert_true(say(&talk, &recall, 150.5) < TALK_S);
}

/* One is missing, and comes by itself beside another one seconds later, when all was at its usual pace again: that is no pile, the
 * line says things out of order, and what was missing is what comes now. */
static void is_known_for_what_comes_behind_its_place(void **state)
{
    (void) state;
    struct talk talk;
    struct recall recall = {0};
    talk_init(&talk);
    talk_opened(&talk, true, 100);
    for (unsigned i = 1; i <= 10; i++)
        if (i != 5)
            say(&talk, &recall, 100 + i);
    const struct pack set = {0};
    talk_heard(&talk, 111);
    assert_true(isnan(talk_late(&talk, &recall, 77, 111)));
    assert_true(isnan(talk_said(&talk, &recall, 77, 111)));
    talk_hold(&talk, &set, 77, 111);
    talk_heard(&talk, 111);
    assert_true(talk_late(&talk, &recall, 78, 111) >= 6);
}

/* What stood still comes in one go, behind the silence: that shows nothing. */
static void is_not_known_for_what_stood_still(void **state)
{
    (void) state;
    struct talk talk;
    struct recall recall = {0};
    talk_init(&talk);
    talk_opened(&talk, true, 100);
    for (unsigned i = 1; i <= 4; i++)
        say(&talk, &recall, 100 + i);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(isnan(talk_late(&talk, &recall, 1000 + i, 110)));
        say(&talk, &recall, 110);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_old_until_it_is_opened_anew),
        cmocka_unit_test(is_known_for_what_comes_behind_its_place),
        cmocka_unit_test(is_not_known_for_what_stood_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
