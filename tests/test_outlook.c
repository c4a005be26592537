// SPDX-License-Identifier: MIT
/* Time to full and to empty: from a smoothed current, and unknown rather than wrong. */
#include "packs/outlook.h"
#include "bms/count.h"

#include <math.h>

#include "pack_test.h"

#define UNKNOWN NAN

static struct pack pack_of(double amps, double remaining_ah, double full_ah)
{
    struct pack pack = cleared_pack();
    pack.value[CURRENT_A] = amps;
    pack.value[REMAINING_AH] = remaining_ah;
    pack.value[FULL_AH] = full_ah;
    return pack;
}

static void expect(const char *what, double found, double expected)
{
    if (isnan(expected) ? !isnan(found) : !(fabs(found - expected) < 0.5))
        fail_msg("%s: %g s, expected %g s", what, found, expected);
}

TEST(times)
{
    static const struct {
        const char *what;
        double amps, remaining_ah, full_ah, full_s, empty_s;
    } cases[] = {
        {"charging", 20, 180, 280, 5 * 3600, UNKNOWN},
        {"discharging", -20, 180, 280, UNKNOWN, 9 * 3600},
        {"full", 20, 280, 280, 0, UNKNOWN},
        {"more than full", 20, 281, 280, 0, UNKNOWN},
        {"empty", -20, 0, 280, UNKNOWN, 0},
        {"nothing flows", 0, 180, 280, UNKNOWN, UNKNOWN},
        {"next to nothing flows", 0.9, 180, 280, UNKNOWN, UNKNOWN},
        {"four days", 1, 184, 280, 96 * 3600, UNKNOWN},
        {"no current", UNKNOWN, 180, 280, UNKNOWN, UNKNOWN},
        {"no capacity, charging", 20, 180, UNKNOWN, UNKNOWN, UNKNOWN},
        {"no capacity, discharging", -20, 180, UNKNOWN, UNKNOWN, 9 * 3600},
        {"no remaining capacity", 20, UNKNOWN, 280, UNKNOWN, UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outlook outlook;
        const struct pack pack = pack_of(cases[i].amps, cases[i].remaining_ah, cases[i].full_ah);
        outlook_init(&outlook);
        expect(cases[i].what, outlook_full_s(&outlook, &pack, 0), UNKNOWN);
        outlook_add(&outlook, &pack, 1000);
        expect(cases[i].what, outlook_full_s(&outlook, &pack, 0), cases[i].full_s);
        expect(cases[i].what, outlook_empty_s(&outlook, &pack, 0), cases[i].empty_s);
    }
}

/* A value that the BMS does not report is computed from its state of charge and a capacity. */
TEST(capacity)
{
    struct outlook outlook;
    struct pack pack = pack_of(-10, UNKNOWN, UNKNOWN);
    outlook_init(&outlook);
    outlook_add(&outlook, &pack, 1000);
    pack.value[SOC_PERCENT] = 50;
    expect("no capacity", outlook_empty_s(&outlook, &pack, 0), UNKNOWN);
    expect("the configured one", outlook_empty_s(&outlook, &pack, 100), 5 * 3600);
    pack.value[RATED_AH] = 200;
    expect("the rated one", outlook_empty_s(&outlook, &pack, 100), 10 * 3600);
    pack.value[FULL_AH] = 180;
    expect("the one of today", outlook_empty_s(&outlook, &pack, 100), 9 * 3600);
    pack.value[REMAINING_AH] = 80;
    expect("what remains", outlook_empty_s(&outlook, &pack, 100), 8 * 3600);
}

/* A load of three minutes changes the time by half at most; a permanent load counts fully after a while. */
TEST(smoothing)
{
    struct outlook outlook;
    const struct pack calm = pack_of(-10, 100, 200), kettle = pack_of(-50, 100, 200);
    double now = 1000;
    outlook_init(&outlook);
    outlook_add(&outlook, &calm, now);
    outlook_add(&outlook, &kettle, now += 1);
    expect("its first second", outlook_empty_s(&outlook, &kettle, 0), 35527);
    for (int i = 0; i < 3600; i++)
        outlook_add(&outlook, &kettle, now += 1);
    expect("an hour", outlook_empty_s(&outlook, &kettle, 0), 2 * 3600);
    outlook_add(&outlook, &calm, now += 36000);
    expect("after a long silence", outlook_empty_s(&outlook, &calm, 0), 10 * 3600);
    outlook_add(&outlook, &kettle, now - 5000);
    expect("the clock goes back", outlook_empty_s(&outlook, &kettle, 0), 10 * 3600);
    const struct pack unknown = pack_of(UNKNOWN, 100, 200);
    outlook_add(&outlook, &unknown, now);
    outlook_add(&outlook, &kettle, now);
    expect("the mean begins anew", outlook_empty_s(&outlook, &kettle, 0), 2 * 3600);
}
