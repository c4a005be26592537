// SPDX-License-Identifier: MIT
/* How much of a line's time goes to packs that may not answer. */
#include "lines/turns.h"

#include <math.h>

#include "unit.h"

#define NOW 1000.0
#define REPLY_S 1.0  /* s, as configured */
#define USUAL_S 0.02 /* s, as the active pack answers */

struct bench {
    struct line_config line;
    struct pack_config configs[2];
    struct poller *pollers[2]; /* one that answers, one that is silent */
    struct wire wire;
    struct turns turns;
};

static int set_up(void **state)
{
    static struct bench bench;
    bench = (struct bench){.line = {.name = "line", .reply_ms = (unsigned) (REPLY_S * 1e3)},
                           .wire = {.config = &bench.line}};
    for (unsigned i = 0; i < 2; i++) {
        bench.configs[i] = (struct pack_config){.name = "pack",
                                                .line = &bench.line,
                                                .driver = bms_driver_find("renogy"),
                                                .options = {.address = 1 + (int) i, .adr = -1},
                                                .poll_s = 1,
                                                .stale_after_s = 10};
        bench.pollers[i] = poller_new(&bench.configs[i]);
        bench.pollers[i]->pace.due = NOW;
    }
    bench.pollers[0]->presence.last_answer = NOW - 1;
    bench.pollers[1]->presence.silent_cycles = 1;
    static const struct line_events events = {.missed = NULL};
    turns_init(&bench.turns, &bench.wire, bench.pollers, 2);
    bench.turns.events = &events;
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    turns_close(&bench->turns);
    for (unsigned i = 0; i < 2; i++)
        poller_free(bench->pollers[i]);
    return 0;
}

#define TURNS_TEST(name) TEST_WITH(name, set_up, tear_down)

/* After a second was spent on the silent pack, the others have precedence, but not for ever. */
TURNS_TEST(charges_what_came_to_nothing)
{
    struct bench *bench = *state;
    bench->pollers[1]->pace.due = NOW - 5;
    assert_ptr_equal(turns_next(&bench->turns, NOW)->poller, bench->pollers[1]);
    turns_charge(&bench->turns, NOW - 1, NOW);
    assert_ptr_equal(turns_next(&bench->turns, NOW + 3)->poller, bench->pollers[0]);
    assert_ptr_equal(turns_next(&bench->turns, NOW + 6)->poller, bench->pollers[1]);
    assert_true(turns_wait(&bench->turns, bench->pollers[1], NOW + 3));
    assert_false(turns_wait(&bench->turns, bench->pollers[1], NOW + 6));
}

/* It is logged when it has been missed for half of its stale_after. */
TURNS_TEST(reports_silence_once_it_lasts)
{
    struct bench *bench = *state;
    struct member *silent = &bench->turns.list[1];
    bench->wire.health.started_at = NOW;
    turns_missed(&bench->turns, silent, NOW + 4);
    assert_true(isnan(silent->silent_since));
    turns_missed(&bench->turns, silent, NOW + 6);
    assert_true(silent->silent_since == NOW);
}

/* The silent pack gets less time than configured, but more than a quick one, and now and then all of it. */
TURNS_TEST(waits_shortly_for_who_may_not_answer)
{
    struct bench *bench = *state;
    static const struct port_events events;
    static const struct port_settings settings;
    struct poller *silent = bench->pollers[1];
    unsigned patiently = 0;
    bench->wire.port =
        port_new(ev_default_loop(0), "tcp://127.0.0.1:1", &settings, NULL, &events, NULL);
    assert_true(turns_next_reply_s(&bench->turns, silent) == REPLY_S);
    for (unsigned i = 0; i < 20; i++)
        patience_learn(&bench->pollers[0]->pace.patience, USUAL_S);
    for (unsigned cycle = 1; cycle <= 16; cycle++) {
        silent->presence.silent_cycles = cycle;
        const double wait_s = turns_next_reply_s(&bench->turns, silent);
        patiently += wait_s == REPLY_S;
        assert_true(wait_s > REPLY_S / 5 && (wait_s < REPLY_S * 4 / 5 || wait_s == REPLY_S));
    }
    assert_in_range(patiently, 2, 8);
    assert_true(turns_next_reply_s(&bench->turns, bench->pollers[0]) == REPLY_S);
    port_free(bench->wire.port);
}
