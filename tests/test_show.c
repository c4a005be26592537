// SPDX-License-Identifier: MIT
/* A pack or a bank as presented to inverters. All expected numbers are computed by hand. */
#include "packs/show.h"

#include "driver_test.h"

#define NOW 1000.0

static struct pack values;

static struct source new_source(void)
{
    pack_clear(&values);
    pack_set(&values, VOLTAGE_V, 53.2);
    pack_set(&values, SOC_PERCENT, 80);
    pack_set(&values, CHARGE_CURRENT_LIMIT_A, 200); /* of the BMS */
    set_values(&values, {CHARGE_VOLTAGE_LIMIT_V, 58}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1});
    pack_set_temp(&values, 1, 18);
    pack_set_temp(&values, 2, 21);
    pack_set(&values, MOS_TEMP_C, 30);
    return (struct source){
        .name = "house",
        .values = &values,
        .good_until = NOW + 5,
        .status = {.state = MAP_STATE_FRESH,
                   .charged_wh = 1000,
                   .discharged_wh = NAN,
                   .allowed = {.configured = true,
                               .charge_voltage_v = 55.2,
                               .charge_current_a = 50,
                               .discharge_current_a = 0}},
    };
}

static void expect_number(const struct shown *shown, unsigned id, double expected)
{
    double number = shown_number(shown, id);
    if (!(fabs(number - expected) < 1e-9) && !(isnan(number) && isnan(expected)))
        fail_msg("number %u is %g, expected %g", id, number, expected);
}

/* Limits come from [limits], and a MOS is on while its direction is allowed. */
TEST(limits)
{
    struct source source = new_source();
    struct shown shown;
    show_source(&shown, &source, NOW);
    assert_false(shown.stopping);
    assert_values(&shown.values, {CHARGE_VOLTAGE_LIMIT_V, 55.2}, {CHARGE_CURRENT_LIMIT_A, 50},
                  {DISCHARGE_CURRENT_LIMIT_A, 0}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 0});
    expect_number(&shown, SHOWN_BLOCKING_DISCHARGE, 0); /* it is on */
}

TEST(nothing_allowed)
{
    struct source stale = new_source(), unlimited = new_source();
    struct shown shown;
    show_source(&shown, &stale, NOW + 6);
    assert_true(shown.stopping);
    assert_values(&shown.values, {CHARGE_CURRENT_LIMIT_A, 0}, {CHARGE_MOS, 0},
                  {CHARGE_VOLTAGE_LIMIT_V, NAN});
    stale.status.allowed.discharge_current_a = 30;
    stale.status.allowed.discharges_stale = true;
    show_source(&shown, &stale, NOW + 6);
    assert_values(&shown.values, {CHARGE_CURRENT_LIMIT_A, 0}, {DISCHARGE_CURRENT_LIMIT_A, 30},
                  {DISCHARGE_MOS, 1});
    unlimited.status.allowed.configured = false;
    show_source(&shown, &unlimited, NOW);
    assert_values(&shown.values, {CHARGE_CURRENT_LIMIT_A, 0}, {DISCHARGE_MOS, 0},
                  {CHARGE_VOLTAGE_LIMIT_V, NAN});
}

TEST(pack)
{
    struct source source = new_source();
    struct shown shown;
    show_source(&shown, &source, NOW);
    expect_number(&shown, SHOWN_TEMP_MAX_C, 21);
    expect_number(&shown, SHOWN_TEMP_MIN_C, 18);
    expect_number(&shown, SHOWN_MOS_TEMP_C, 30);
    expect_number(&shown, SHOWN_PACKS, 1);
    expect_number(&shown, SHOWN_CHARGED_WH, 1000);
    expect_number(&shown, SHOWN_DISCHARGED_WH, NAN);
    assert_string_equal(shown.name, "house");
}

/* The capacities yield the state of charge, whatever the BMS counts. */
TEST(capacities)
{
    struct source source = new_source();
    struct shown shown;
    show_source(&shown, &source, NOW);
    assert_values(&shown.values, {FULL_AH, NAN});
    source.capacity_ah = 280;
    show_source(&shown, &source, NOW);
    assert_values(&shown.values, {FULL_AH, 280}, {REMAINING_AH, 224});
    pack_set(&values, FULL_AH, 300);
    pack_set(&values, REMAINING_AH, 242); /* 80.7 %, which a BMS rounds to 80 */
    show_source(&shown, &source, NOW);
    assert_values(&shown.values, {REMAINING_AH, 242});
    pack_set(&values, REMAINING_AH, 200);
    show_source(&shown, &source, NOW);
    assert_values(&shown.values, {REMAINING_AH, 240});
}

TEST(bank)
{
    struct pack off, on;
    pack_clear(&off);
    pack_clear(&on);
    pack_set(&off, CHARGE_MOS, 0);
    pack_set(&on, CHARGE_MOS, 1);
    const struct source first = {.values = &off}, second = {.values = &on};
    const struct source *const members[] = {&first, &second};
    const struct map_bank bank = {
        .present = 2, .missing = 1, .temp_max_c = 25, .temp_min_c = 10, .cell_max_pack = 2};
    struct source source = new_source();
    struct shown shown;
    source.members = members;
    source.member_count = 2;
    source.status.bank = &bank;
    show_source(&shown, &source, NOW);
    expect_number(&shown, SHOWN_PACKS, 2);
    expect_number(&shown, SHOWN_MISSING, 1);
    expect_number(&shown, SHOWN_TEMP_MAX_C, 25);
    expect_number(&shown, SHOWN_CELL_MAX_PACK, 2);
    expect_number(&shown, SHOWN_CELL_MIN_PACK, NAN);
    expect_number(&shown, SHOWN_BLOCKING_CHARGE, 1);
    expect_number(&shown, SHOWN_BLOCKING_DISCHARGE, NAN);
    expect_number(&shown, SHOWN_MOS_TEMP_C, NAN);
}
