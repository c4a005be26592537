// SPDX-License-Identifier: MIT
/* How old it is what a talker says behind a silence. */
#include "lines/talk.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stays_old_until_it_is_opened_anew)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
