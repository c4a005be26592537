// SPDX-License-Identifier: MIT
/* Banks: unequal packs, unknown values, missing packs. All expected numbers are computed by hand.
 */
#include "packs/bank.h"
#include "bms/count.h"

#include <math.h>
#include <string.h>

#include "pack_test.h"

#define UNKNOWN NAN

static bool close_to(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(1, fabs(b)) || (isnan(a) && isnan(b));
}

/* 280 Ah, 16 cells, charging with 10 A. */
static struct pack large(void)
{
    struct pack pack = cleared_pack();
    set_values(&pack, {VOLTAGE_V, 53.2}, {CURRENT_A, 10}, {SOC_PERCENT, 80}, {SOH_PERCENT, 98},
               {REMAINING_AH, 224}, {FULL_AH, 280}, {RATED_AH, 280}, {CYCLES, 100},
               {CELL_COUNT, 16}, {TEMP_COUNT, 4}, {MOS_TEMP_C, 35}, {CHARGE_MOS, 1},
               {DISCHARGE_MOS, 1}, {BALANCE_MASK, 0}, {CHARGE_VOLTAGE_LIMIT_V, 57.6},
               {CHARGE_CURRENT_LIMIT_A, 100}, {DISCHARGE_VOLTAGE_LIMIT_V, 44.8},
               {DISCHARGE_CURRENT_LIMIT_A, 150});
    for (unsigned n = 1; n <= 16; n++)
        pack_set_cell(&pack, n, n == 7 ? 3345 : n == 2 ? 3320 : 3325);
    for (unsigned n = 1; n <= 4; n++)
        pack_set_temp(&pack, n, n <= 2 ? 20 : 22);
    pack_set_text(&pack, SERIAL, (const uint8_t *) "L1", 2);
    pack_clear_alarms(&pack);
    pack_alarm(&pack, SOC_LOW, 0);
    pack_alarm(&pack, CELL_IMBALANCE, ALARM_WARNING);
    pack_raw_alarm(&pack, 0x0004);
    pack_derive(&pack);
    return pack;
}

/* 100 Ah of 120 when new, 15 cells, charging with 4.5 A; no MOS sensor. */
static struct pack small(void)
{
    struct pack pack = cleared_pack();
    set_values(&pack, {VOLTAGE_V, 53}, {CURRENT_A, 4.5}, {SOC_PERCENT, 50}, {SOH_PERCENT, 90},
               {REMAINING_AH, 50}, {FULL_AH, 100}, {RATED_AH, 120}, {CYCLES, 250}, {CELL_COUNT, 15},
               {TEMP_COUNT, 2}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 0}, {BALANCE_MASK, 4},
               {CHARGE_VOLTAGE_LIMIT_V, 56.8}, {CHARGE_CURRENT_LIMIT_A, 50},
               {DISCHARGE_VOLTAGE_LIMIT_V, 45}, {DISCHARGE_CURRENT_LIMIT_A, 60});
    for (unsigned n = 1; n <= 15; n++)
        pack_set_cell(&pack, n, n == 3 ? 3350 : n == 9 ? 3325 : 3330);
    pack_set_temp(&pack, 1, 30);
    pack_set_temp(&pack, 2, 10);
    pack_clear_alarms(&pack);
    pack_alarm(&pack, SOC_LOW, ALARM_WARNING);
    pack_alarm(&pack, CELL_OVER_VOLTAGE, ALARM_PROTECTION);
    pack_derive(&pack);
    return pack;
}

TEST(unequal_packs)
{
    const struct pack a = large(), b = small();
    const struct bank_member members[] = {{.pack = &a, .fresh = true}, {.pack = &b, .fresh = true}};
    struct pack bank;
    struct map_bank extras = {.needed = 2};
    bank_combine(members, 2, &bank, &extras);

    assert_values(
        &bank, {VOLTAGE_V, 53.1}, {CURRENT_A, 14.5},
        {POWER_W, 532 + 238.5} /* not 53.1 x 14.5, which is 769.95 */,
        {SOC_PERCENT, (80 * 280 + 50 * 100) / 380.0},
        {SOH_PERCENT, 95.6} /* (98 x 280 + 90 x 120) / 400 */, {REMAINING_AH, 274}, {FULL_AH, 380},
        {RATED_AH, 400}, {CYCLES, 250}, {CELL_MAX_MV, 3350}, {CELL_MAX_INDEX, 3},
        {CELL_MIN_MV, 3320}, {CELL_MIN_INDEX, 2}, {CELL_DELTA_MV, 30},
        /* All 31 cells: 3345 + 3320 + 14 x 3325 = 53215, and 3350 + 3325 + 13 x 3330 = 49965. */
        {CELL_AVG_MV, (53215 + 49965) / 31.0}, {TEMP_AVG_C, 124 / 6.0}, {MOS_TEMP_C, 35},
        {CHARGE_MOS, 1}, {DISCHARGE_MOS, 0}, {BALANCING, 1}, {CHARGE_VOLTAGE_LIMIT_V, 56.8},
        {CHARGE_CURRENT_LIMIT_A, 150}, {DISCHARGE_VOLTAGE_LIMIT_V, 45},
        {DISCHARGE_CURRENT_LIMIT_A, 150} /* the other one is switched off */);

    assert_int_equal(extras.present, 2);
    assert_int_equal(extras.missing, 0);
    assert_int_equal(extras.needed, 2);
    assert_int_equal(extras.cell_max_pack, 2);
    assert_int_equal(extras.cell_min_pack, 1);
    assert_true(extras.temp_max_c == 30);
    assert_true(extras.temp_min_c == 10);
    assert_int_equal(extras.temp_max_pack, 2);
    assert_int_equal(extras.temp_min_pack, 2);

    assert_int_equal(bank.alarms_warning, 1u << CELL_IMBALANCE | 1u << SOC_LOW);
    assert_int_equal(bank.alarms_protection, 1u << CELL_OVER_VOLTAGE);
    assert_int_equal(bank.alarms_known, 1u << CELL_IMBALANCE | 1u << SOC_LOW |
                                            1u << CELL_OVER_VOLTAGE | 1u << COMMUNICATION_FAULT);
    assert_int_equal(bank.alarms_can_warn, bank.alarms_known);
    assert_int_equal(bank.alarms_can_protect,
                     1u << CELL_IMBALANCE | 1u << SOC_LOW | 1u << CELL_OVER_VOLTAGE);
}

/* A bank has neither cells, sensors nor names of its own. */
TEST(what_a_bank_has_not)
{
    const struct pack a = large(), b = small();
    const struct bank_member members[] = {{.pack = &a, .fresh = true}, {.pack = &b, .fresh = true}};
    struct pack bank;
    struct map_bank extras = {0};
    bank_combine(members, 2, &bank, &extras);
    assert_values(&bank, {CELL_COUNT, UNKNOWN}, {TEMP_COUNT, UNKNOWN}, {BALANCE_MASK, UNKNOWN});
    for (int id = CELL_MV; id < PACK_VALUES; id++)
        assert_values(&bank, {id, UNKNOWN});
    assert_int_equal(bank.raw_alarm_count, 0);
    assert_int_equal(bank.implausible, 0);
    for (int i = 0; i < PACK_TEXTS; i++)
        assert_string_equal(bank.text[i], "");
}

/* A stale pack contributes nothing, except that it is missing. */
TEST(a_pack_is_missing)
{
    const struct pack a = large(), b = small();
    const struct bank_member members[] = {{.pack = &b}, {.pack = &a, .fresh = true}, {.pack = &b}};
    struct pack bank;
    struct map_bank extras = {.needed = 1};
    bank_combine(members, 3, &bank, &extras);
    assert_int_equal(extras.present, 1);
    assert_int_equal(extras.missing, 2);
    assert_int_equal(extras.needed, 1);
    assert_int_equal(extras.cell_max_pack, 2);
    assert_int_equal(extras.cell_min_pack, 2);
    assert_true(extras.temp_max_c == 22);
    assert_true(extras.temp_min_c == 20);
    assert_int_equal(extras.temp_max_pack, 2);
    for (int id = 0; id < CELL_MV; id++)
        if (id != CELL_COUNT && id != TEMP_COUNT && id != BALANCE_MASK)
            assert_values(&bank, {id, a.value[id]});
    assert_int_equal(bank.alarms_warning, 1u << CELL_IMBALANCE | 1u << COMMUNICATION_FAULT);
    assert_int_equal(bank.alarms_protection, 0);
}

TEST(all_packs_are_missing)
{
    const struct pack a = large();
    const struct bank_member members[] = {{.pack = &a, .capacity_ah = 280},
                                          {.pack = &a, .capacity_ah = 280}};
    struct pack bank;
    struct map_bank extras = {.needed = 1, .cell_max_pack = 7, .temp_max_c = 90};
    bank_combine(members, 2, &bank, &extras);
    for (int id = 0; id < PACK_VALUES; id++)
        assert_values(&bank, {id, UNKNOWN});
    assert_int_equal(extras.present, 0);
    assert_int_equal(extras.missing, 2);
    assert_int_equal(extras.cell_max_pack, 0);
    assert_int_equal(extras.temp_min_pack, 0);
    assert_true(isnan(extras.temp_max_c));
    assert_true(isnan(extras.temp_min_c));
    assert_int_equal(bank.alarms_warning, 1u << COMMUNICATION_FAULT);
}

/* One value of three packs, all fresh. */
TEST(each_value)
{
    static const struct {
        enum pack_value id;
        double in[3], expected;
    } cases[] = {
        {CURRENT_A, {10, -4, 1}, 7}, /* the others charge it */
        {CURRENT_A, {10, UNKNOWN, 1}, UNKNOWN},
        {POWER_W, {500, -200, 0}, 300},
        {REMAINING_AH, {100, 50, 0}, 150},
        {FULL_AH, {280, 100, UNKNOWN}, UNKNOWN},
        {RATED_AH, {280, 100, 100}, 480},
        {VOLTAGE_V, {53, 53.3, 53.6}, 53.3},
        {VOLTAGE_V, {53, UNKNOWN, 54}, 53.5},
        {CYCLES, {3, 800, UNKNOWN}, 800},
        {MOS_TEMP_C, {-5, UNKNOWN, -8}, -5},
        {CHARGE_MOS, {1, 1, 1}, 1},
        {CHARGE_MOS, {1, 0, 1}, 0},
        {CHARGE_MOS, {1, UNKNOWN, 1}, UNKNOWN},
        {DISCHARGE_MOS, {1, UNKNOWN, 0}, 0},
        {DISCHARGE_MOS, {UNKNOWN, UNKNOWN, UNKNOWN}, UNKNOWN},
        {BALANCING, {0, 1, 0}, 1},
        {BALANCING, {0, UNKNOWN, 0}, 0},
        {CHARGE_VOLTAGE_LIMIT_V, {57.6, 56, UNKNOWN}, 56},
        {DISCHARGE_VOLTAGE_LIMIT_V, {44, 46, UNKNOWN}, 46},
        {CHARGE_CURRENT_LIMIT_A, {100, 50, 0}, 150},
        {CHARGE_CURRENT_LIMIT_A, {100, UNKNOWN, 0}, UNKNOWN},
        {DISCHARGE_CURRENT_LIMIT_A, {UNKNOWN, UNKNOWN, UNKNOWN}, UNKNOWN},
        {SOC_PERCENT, {60, 70, 20}, 50}, /* without any capacity */
        {SOC_PERCENT, {60, UNKNOWN, 20}, UNKNOWN},
        {SOH_PERCENT, {UNKNOWN, UNKNOWN, 97}, 97},
        {CELL_AVG_MV, {3300, 3330, UNKNOWN}, 3315}, /* without a number of cells */
        {TEMP_AVG_C, {20, 21, 25}, 22},
        {CELL_MAX_MV, {3300, UNKNOWN, 3310}, 3310},
        {CELL_MIN_MV, {3300, 3299, UNKNOWN}, 3299},
        {FLOW, {1, 1, 1}, UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack packs[3], bank;
        struct bank_member members[3];
        struct map_bank extras = {0};
        for (int p = 0; p < 3; p++) {
            pack_clear(&packs[p]);
            packs[p].value[cases[i].id] = cases[i].in[p];
            members[p] = (struct bank_member){.pack = &packs[p], .fresh = true};
        }
        bank_combine(members, 3, &bank, &extras);
        if (!close_to(bank.value[cases[i].id], cases[i].expected))
            fail_msg("case %zu: %s of %g, %g, %g is %g, expected %g", i,
                     pack_value_info(cases[i].id)->name, cases[i].in[0], cases[i].in[1],
                     cases[i].in[2], bank.value[cases[i].id], cases[i].expected);
    }
}

/* The weight of a pack: its full, rated or configured capacity; all weigh the same if one pack has none. */
TEST(weights)
{
    // clang-format off
    static const struct {
        const char *name;
        struct {
            double soc, soh, full, rated, configured;
        } packs[2];
        double soc, soh;
    } cases[] = {
        {"both full", {{90, 100, 300, UNKNOWN, 0}, {30, 80, 100, UNKNOWN, 0}}, 75, 95},
        {"full before rated", {{90, 100, 300, 100, 0}, {30, 80, 100, 100, 0}}, 75, 90},
        {"full of one, rated of the other", {{90, 100, 300, UNKNOWN, 0}, {30, 80, UNKNOWN, 100, 0}}, 75, 95},
        {"configured", {{90, 100, UNKNOWN, UNKNOWN, 300}, {30, 80, 100, UNKNOWN, 999}}, 75, 95},
        {"one without", {{90, 100, 300, 300, 300}, {30, 80, UNKNOWN, UNKNOWN, 0}}, 60, 90},
        {"one says 0 Ah", {{90, 100, 300, UNKNOWN, 0}, {30, 80, 0, UNKNOWN, 0}}, 60, 90},
        {"one has no SOH", {{90, UNKNOWN, 300, UNKNOWN, 0}, {30, 80, 100, UNKNOWN, 0}}, 75, 80},
        {"one without SOC and capacity", {{90, 100, 300, UNKNOWN, 0}, {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, 0}}, UNKNOWN, 100},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack packs[2], bank;
        struct bank_member members[2];
        struct map_bank extras = {0};
        for (int p = 0; p < 2; p++) {
            pack_clear(&packs[p]);
            packs[p].value[SOC_PERCENT] = cases[i].packs[p].soc;
            packs[p].value[SOH_PERCENT] = cases[i].packs[p].soh;
            packs[p].value[FULL_AH] = cases[i].packs[p].full;
            packs[p].value[RATED_AH] = cases[i].packs[p].rated;
            members[p] = (struct bank_member){
                .pack = &packs[p], .capacity_ah = cases[i].packs[p].configured, .fresh = true};
        }
        bank_combine(members, 2, &bank, &extras);
        if (!close_to(bank.value[SOC_PERCENT], cases[i].soc) ||
            !close_to(bank.value[SOH_PERCENT], cases[i].soh))
            fail_msg("%s: SOC %g, SOH %g, expected %g and %g", cases[i].name,
                     bank.value[SOC_PERCENT], bank.value[SOH_PERCENT], cases[i].soc, cases[i].soh);
    }
}

TEST(limits_of_packs_that_are_off)
{
    static const struct {
        double mos[2], limit[2], expected;
    } cases[] = {
        {{1, 1}, {100, 50}, 150},
        {{1, 0}, {100, 50}, 100},
        {{0, 1}, {UNKNOWN, 50}, 50}, /* its capacity does not matter */
        {{1, 0}, {UNKNOWN, 50}, UNKNOWN},
        {{0, 0}, {100, 50}, 0},
        {{0, 0}, {UNKNOWN, UNKNOWN}, 0},
        {{1, 0}, {UNKNOWN, UNKNOWN}, UNKNOWN},
        {{UNKNOWN, UNKNOWN}, {100, 50}, 150},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack packs[2], bank;
        struct bank_member members[2];
        struct map_bank extras = {0};
        for (int p = 0; p < 2; p++) {
            pack_clear(&packs[p]);
            packs[p].value[CHARGE_MOS] = cases[i].mos[p];
            packs[p].value[CHARGE_CURRENT_LIMIT_A] = cases[i].limit[p];
            packs[p].value[DISCHARGE_MOS] = cases[i].mos[p];
            packs[p].value[DISCHARGE_CURRENT_LIMIT_A] = cases[i].limit[p];
            members[p] = (struct bank_member){.pack = &packs[p], .fresh = true};
        }
        bank_combine(members, 2, &bank, &extras);
        if (!close_to(bank.value[CHARGE_CURRENT_LIMIT_A], cases[i].expected) ||
            !close_to(bank.value[DISCHARGE_CURRENT_LIMIT_A], cases[i].expected))
            fail_msg("case %zu: %g and %g, expected %g", i, bank.value[CHARGE_CURRENT_LIMIT_A],
                     bank.value[DISCHARGE_CURRENT_LIMIT_A], cases[i].expected);
    }
}

/* If extremes are equal, the first pack is named; a pack without cell numbers names none. */
TEST(places)
{
    struct pack nothing, a = large(), bank;
    pack_clear(&nothing);
    struct map_bank extras = {0};
    const struct bank_member equal[] = {{.pack = &nothing, .fresh = true},
                                        {.pack = &a, .fresh = true},
                                        {.pack = &a, .fresh = true}};
    bank_combine(equal, 3, &bank, &extras);
    assert_int_equal(extras.cell_max_pack, 2);
    assert_int_equal(extras.cell_min_pack, 2);
    assert_int_equal(extras.temp_max_pack, 2);
    assert_int_equal(extras.temp_min_pack, 2);
    pack_unset(&a, CELL_MAX_INDEX); /* the BMS names no cell */
    bank_combine(equal, 3, &bank, &extras);
    assert_values(&bank, {CELL_MAX_MV, 3345}, {CELL_MAX_INDEX, UNKNOWN});
    const struct bank_member none[] = {{.pack = &nothing, .fresh = true}};
    bank_combine(none, 1, &bank, &extras);
    assert_int_equal(extras.cell_max_pack, 0);
    assert_int_equal(extras.temp_max_pack, 0);
}

/* While the reply of one pack is lost, its alarms count as unknown, whatever the others report; an alarm that is
 * active in any pack is active in the bank. */
TEST(alarms_that_were_not_read)
{
    struct pack calm, lost, bank;
    struct map_bank extras = {0};
    pack_clear(&calm);
    pack_clear(&lost);
    pack_alarm(&calm, SOC_LOW, 0);
    pack_alarm(&calm, SOC_HIGH, 0);
    pack_alarm(&calm, CELL_IMBALANCE, ALARM_WARNING);
    const struct bank_member members[] = {
        {.pack = &calm, .fresh = true},
        {.pack = &lost,
         .fresh = true,
         .alarms = {.protection = 1u << SOC_LOW | 1u << CELL_IMBALANCE}}};
    bank_combine(members, 2, &bank, &extras);
    assert_int_equal(bank.alarms_known,
                     1u << SOC_HIGH | 1u << CELL_IMBALANCE | 1u << COMMUNICATION_FAULT);
    assert_int_equal(bank.alarms_can_protect, 1u << SOC_HIGH);
    assert_int_equal(bank.alarms_warning, 1u << CELL_IMBALANCE);
    assert_int_equal(bank.alarms_protection, 0);
    pack_alarm(&lost, SOC_LOW, 0);
    pack_alarm(&lost, CELL_IMBALANCE, 0);
    bank_combine(members, 2, &bank, &extras);
    assert_int_equal(bank.alarms_known >> SOC_LOW & 1, 1);
    assert_int_equal(bank.alarms_can_protect,
                     1u << SOC_LOW | 1u << SOC_HIGH | 1u << CELL_IMBALANCE);
}

/* A value that a pack has reported before, or that may follow because it still answers its first requests, may be the
 * worst one: without it the others are not taken for the whole bank. */
TEST(extremes_that_were_not_read)
{
    static const struct seen once = {.value = {[CHARGE_VOLTAGE_LIMIT_V] = true,
                                               [DISCHARGE_VOLTAGE_LIMIT_V] = true,
                                               [MOS_TEMP_C] = true,
                                               [CELL_MAX_MV] = true,
                                               [CELL_MIN_MV] = true,
                                               [TEMP_AVG_C] = true}};
    const struct pack a = large();
    static const struct {
        const char *name;
        struct bank_member lost;
        bool known;
    } cases[] = {
        {"never reported", {.fresh = true}, true},
        {"reported before", {.fresh = true, .seen = &once}, false},
        {"at its first requests", {.fresh = true, .begins = true}, false},
        {"missing", {.seen = &once, .begins = true}, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack lost = cleared_pack(), bank;
        struct map_bank extras = {0};
        struct bank_member members[] = {{.pack = &a, .fresh = true}, cases[i].lost};
        members[1].pack = &lost;
        bank_combine(members, 2, &bank, &extras);
        const double of_large[][2] = {{CHARGE_VOLTAGE_LIMIT_V, 57.6},
                                      {DISCHARGE_VOLTAGE_LIMIT_V, 44.8},
                                      {MOS_TEMP_C, 35},
                                      {CELL_MAX_MV, 3345},
                                      {CELL_MAX_INDEX, 7},
                                      {CELL_MIN_MV, 3320},
                                      {CELL_MIN_INDEX, 2}};
        for (size_t n = 0; n < COUNT(of_large); n++) {
            const double found = bank.value[(int) of_large[n][0]];
            if (!close_to(found, cases[i].known ? of_large[n][1] : UNKNOWN))
                fail_msg("%s: value %g is %g", cases[i].name, of_large[n][0], found);
        }
        assert_int_equal(extras.cell_max_pack, cases[i].known ? 1 : 0);
        assert_int_equal(extras.cell_min_pack, cases[i].known ? 1 : 0);
        assert_int_equal(extras.temp_max_pack, cases[i].known ? 1 : 0);
        assert_int_equal(isnan(extras.temp_min_c), cases[i].known ? 0 : 1);
        /* What the pack itself reports again counts at once. */
        lost = a;
        bank_combine(members, 2, &bank, &extras);
        assert_values(&bank, {CHARGE_VOLTAGE_LIMIT_V, 57.6}, {CELL_MAX_MV, 3345});
    }
}

TEST(as_many_as_there_can_be)
{
    const struct pack a = large();
    struct bank_member members[MAX_BANK_PACKS];
    for (unsigned i = 0; i < MAX_BANK_PACKS; i++)
        members[i] = (struct bank_member){.pack = &a, .fresh = true};
    struct pack bank;
    struct map_bank extras = {0};
    bank_combine(members, MAX_BANK_PACKS, &bank, &extras);
    assert_int_equal(extras.present, MAX_BANK_PACKS);
    assert_values(&bank, {CURRENT_A, 10 * MAX_BANK_PACKS}, {FULL_AH, 280 * MAX_BANK_PACKS},
                  {SOC_PERCENT, 80}, {VOLTAGE_V, 53.2});
}
