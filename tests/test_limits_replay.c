// SPDX-License-Identifier: MIT
/* What the limits of a bank would have allowed, from the rows of its packs. */
#include "commands/limits/replay.h"
#include "bms/count.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pack_test.h"

#define ROWS 8
#define BY(reason) LIMITED_BY_##reason

static const struct limits_config section = {
    .charge_current_a = 20,
    .discharge_current_a = 40,
    .cells = 4,
    .sensors = 1,
    .cell_full_v = 3.45,
    .cell_float_v = 3.375,
    .soc_again_percent = 90,
    .cell_high = {{{3.40, 1}, {3.50, 0}}, 2},
    .cell_low = {{{2.80, 0}, {3.10, 1}}, 2},
    .temperature = {{{0, 0}, {10, 1}, {40, 1}, {55, 0}}, 4},
};

/* A pack with a row each minute; 0 mV: no row. */
struct course {
    double cell_mv[ROWS], current_a;
    unsigned at;
};

static bool next(void *data, struct past_row *row)
{
    struct course *course = data;
    while (course->at < ROWS && course->cell_mv[course->at] <= 0)
        course->at++;
    if (course->at == ROWS)
        return false;
    const unsigned n = course->at++;
    row->at = 1000 + 60 * n;
    snprintf(row->time, sizeof row->time, "%u", n);
    pack_clear(&row->pack);
    set_values(&row->pack, {CURRENT_A, course->current_a}, {SOC_PERCENT, 50}, {CELL_COUNT, 4});
    for (unsigned cell = 1; cell <= 4; cell++)
        pack_set_cell(&row->pack, cell, course->cell_mv[n]);
    pack_set_temp(&row->pack, 1, 20);
    pack_derive(&row->pack);
    return true;
}

struct expected {
    const char *time;
    double charge_a;
    enum limit_reason by;
    unsigned pack;
};

static void expect(struct course courses[2], unsigned needed, const struct limits_config *own,
                   double every_s, const struct expected *expected, unsigned rows)
{
    static struct replay replay;
    const char *time;
    struct map_allowed allowed;
    replay = (struct replay){.limits = &section, .count = 2, .needed = needed};
    for (unsigned i = 0; i < 2; i++)
        replay.packs[i] =
            (struct replay_pack){.next = next, .data = &courses[i], .every_s = every_s};
    replay.packs[1].own = own;
    replay_start(&replay);
    for (unsigned n = 0; n < rows; n++) {
        assert_true(replay_next(&replay, &time, &allowed));
        assert_string_equal(time, expected[n].time);
        if (!(fabs(allowed.charge_current_a - expected[n].charge_a) < 1e-6) ||
            allowed.charge_limited_by != expected[n].by ||
            allowed.charge_limited_pack != expected[n].pack)
            fail_msg("%s: %g A by %s of %u", time, allowed.charge_current_a,
                     map_limit_reason_name(allowed.charge_limited_by), allowed.charge_limited_pack);
    }
    assert_false(replay_next(&replay, &time, &allowed));
    double held_s = 0;
    for (unsigned i = 0; i < LIMIT_REASON_COUNT; i++)
        held_s += replay.held_s[i][LIMITS_CHARGE];
    assert_true(fabs(held_s - replay.total_s) < 1e-6);
}

/* The cell of one pack limits both. */
TEST(weakest)
{
    struct course courses[] = {{{3300, 3300, 3300}, 1, 0}, {{3300, 3450, 3300}, 1, 0}};
    static const struct expected expected[] = {{"0", 20, BY(CONFIGURATION), 0},
                                               {"1", 10, BY(CELL_HIGH), 2},
                                               {"2", 20, BY(CONFIGURATION), 0}};
    expect(courses, 2, NULL, NAN, expected, COUNT(expected));
}

/* The pack with the largest share, according to the rows, limits the bank. */
TEST(shares)
{
    struct course courses[] = {{{3300, 3300}, 9, 0}, {{3300, 3300}, 3, 0}};
    static const struct expected expected[] = {{"0", 10 / 0.75, BY(IMBALANCE), 1},
                                               {"1", 10 / 0.75, BY(IMBALANCE), 1}};
    expect(courses, 2, NULL, NAN, expected, COUNT(expected));
}

TEST(missing)
{
    const struct course courses[] = {{{3300, 3300, 3300, 3300, 3300}, 1, 0},
                                     {{3300, 3300, 0, 0, 3300}, 1, 0}};
    /* The last row counts for half a minute longer. */
    static const struct expected all[] = {{"0", 20, BY(CONFIGURATION), 0},
                                          {"1", 20, BY(CONFIGURATION), 0},
                                          {"2", 0, BY(STALE), 0},
                                          {"3", 0, BY(STALE), 0},
                                          {"4", 20, BY(CONFIGURATION), 0}};
    static const struct expected one[] = {{"0", 20, BY(CONFIGURATION), 0},
                                          {"1", 20, BY(CONFIGURATION), 0},
                                          {"2", 10, BY(PACK_MISSING), 0},
                                          {"3", 10, BY(PACK_MISSING), 0},
                                          {"4", 20, BY(CONFIGURATION), 0}};
    struct course copy[2];
    expect(memcpy(copy, courses, sizeof copy), 2, NULL, NAN, all, COUNT(all));
    expect(memcpy(copy, courses, sizeof copy), 1, NULL, NAN, one, COUNT(one));
}

/* A pack with a single row does not count for ever, nor does one whose first gap is long. */
TEST(few_rows)
{
    struct course single[] = {{{3300, 3300, 3300}, 1, 0}, {{3300}, 1, 0}};
    struct course gap[] = {{{3300, 0, 0, 0, 3300}, 1, 0}, {{3300, 0, 0, 0, 3300}, 1, 0}};
    static const struct expected of_single[] = {
        {"0", 20, BY(CONFIGURATION), 0}, {"1", 0, BY(STALE), 0}, {"2", 0, BY(STALE), 0}};
    static const struct expected of_gap[] = {{"0", 0, BY(STALE), 0},
                                             {"4", 20, BY(CONFIGURATION), 0}};
    expect(single, 2, NULL, NAN, of_single, COUNT(of_single));
    expect(gap, 2, NULL, 60, of_gap, COUNT(of_gap));
}

TEST(own_section)
{
    struct course courses[] = {{{3300, 3300}, 0, 0}, {{3300, 3300}, 0, 0}};
    struct limits_config small = section;
    /* The pack rises first, then the bank. */
    static const struct expected expected[] = {{"0", 0, BY(RAMP), 0}, {"1", 4, BY(IMBALANCE), 2}};
    small.charge_current_a = 2;
    expect(courses, 2, &small, NAN, expected, COUNT(expected));
}

TEST(nothing)
{
    struct course courses[] = {{{0}, 1, 0}, {{0}, 1, 0}};
    expect(courses, 2, NULL, NAN, NULL, 0);
}
