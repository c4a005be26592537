// SPDX-License-Identifier: MIT
/* Turns at Bluetooth adapters: one at a time for each, first come, first served. */
#include "ports/ble/turn.h"

#include "bms/count.h"

#include <string.h>

#include "unit.h"

#define HCI0 "/org/bluez/hci0"
#define HCI1 "/org/bluez/hci1"

static char began[32]; /* names in the order in which they got their turn */

static void on_begin(void *data)
{
    strncat(began, data, sizeof began - strlen(began) - 1);
}

static struct turn turns[4];

static struct ev_loop *set_up(void)
{
    static char names[COUNT(turns)][2];
    struct ev_loop *loop = ev_default_loop(0);
    began[0] = '\0';
    for (unsigned i = 0; i < COUNT(turns); i++) {
        names[i][0] = (char) ('a' + i);
        turn_init(&turns[i], loop, on_begin, names[i]);
    }
    return loop;
}

static void run(struct ev_loop *loop)
{
    ev_run(loop, EVRUN_NOWAIT);
    ev_run(loop, EVRUN_NOWAIT);
}

TEST(one_at_a_time)
{
    struct ev_loop *loop = set_up();
    for (unsigned i = 0; i < 3; i++)
        turn_want(&turns[i], HCI0);
    turn_want(&turns[1], HCI0);     /* it waits already */
    assert_string_equal(began, ""); /* never from within */
    run(loop);
    assert_string_equal(began, "a");
    turn_end(&turns[0]);
    assert_string_equal(began, "a");
    run(loop);
    assert_string_equal(began, "ab");
    turn_want(&turns[0], HCI0); /* behind c */
    turn_end(&turns[1]);
    run(loop);
    turn_end(&turns[2]);
    run(loop);
    assert_string_equal(began, "abca");
    turn_end(&turns[0]);
    turn_end(&turns[0]); /* it has none */
    run(loop);
    assert_string_equal(began, "abca");
}

TEST(adapters_apart)
{
    struct ev_loop *loop = set_up();
    turn_want(&turns[0], HCI0);
    turn_want(&turns[1], HCI1);
    turn_want(&turns[2], HCI0);
    turn_want(&turns[3], HCI1);
    run(loop);
    assert_int_equal(strlen(began), 2);
    assert_non_null(strchr(began, 'a'));
    assert_non_null(strchr(began, 'b'));
    turn_end(&turns[1]);
    run(loop);
    assert_string_equal(began + 2, "d");
    turn_end(&turns[0]);
    run(loop);
    assert_string_equal(began + 2, "dc");
    turn_end(&turns[2]);
    turn_end(&turns[3]);
}

/* A member that leaves blocks nobody, whether it had its turn, was about to get it, or waited. */
TEST(going_away)
{
    struct ev_loop *loop = set_up();
    for (unsigned i = 0; i < COUNT(turns); i++)
        turn_want(&turns[i], HCI0);
    turn_end(&turns[1]); /* waited */
    turn_end(&turns[0]); /* before the loop has called it */
    run(loop);
    assert_string_equal(began, "c");
    turn_end(&turns[3]);
    turn_end(&turns[2]);
    run(loop);
    assert_string_equal(began, "c");
    turn_want(&turns[0], HCI0);
    run(loop);
    assert_string_equal(began, "ca");
    turn_end(&turns[0]);
}
