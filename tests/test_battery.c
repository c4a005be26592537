// SPDX-License-Identifier: MIT
/*
 * The battery model: counters, protections, switches; and random packs. Time is an argument, so
 * hours take no time.
 */
#include "bms/battery.h"
#include "battery_random.h"

#include <math.h>
#include <string.h>

#include "unit.h"

#define HOUR 3600.0
#define ALL_ALARMS ((UINT32_C(1) << PACK_ALARM_COUNT) - 1)

static struct battery_settings usual(enum battery_profile profile)
{
    return (struct battery_settings){.cells = 16,
                                     .temps = 4,
                                     .capacity_ah = 100,
                                     .soc_percent = 50,
                                     .ambient_c = 20,
                                     .profile = profile,
                                     .seed = 7};
}

static void start(struct battery *battery, const struct battery_settings *settings,
                  struct pack *pack)
{
    battery_init(battery, settings);
    battery_step(battery, 0, pack);
}

static void assert_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%g is not %g within %g", got, expected, tolerance);
}

static bool protects(const struct pack *pack, enum pack_alarm alarm)
{
    return pack->alarms_protection >> alarm & 1;
}

static void assert_sum(const struct pack *pack)
{
    double sum_mv = 0;
    for (int i = 0; i < (int) pack->value[CELL_COUNT]; i++)
        sum_mv += pack->value[CELL_MV + i];
    assert_near(pack->value[VOLTAGE_V], sum_mv / 1000, 1e-9);
}

/* Every value exists and is in its range, for every number of cells and sensors. */
TEST(complete)
{
    for (unsigned cells = 1; cells <= MAX_CELLS; cells++) {
        struct battery_settings settings = usual(BATTERY_CYCLE);
        settings.cells = cells;
        settings.temps = 1 + cells % MAX_TEMPS;
        struct battery battery;
        struct pack pack;
        start(&battery, &settings, &pack);
        for (int id = 0; id < CELL_MV + (int) cells; id++)
            if (id != CELLS_UNREAD && !pack_known(&pack, (enum pack_value) id))
                fail_msg("value %d is unknown with %u cells", id, cells);
        for (int id = CELL_MV + (int) cells; id < TEMP_C; id++)
            assert_false(pack_known(&pack, (enum pack_value) id));
        for (unsigned n = 0; n < MAX_TEMPS; n++)
            assert_int_equal(pack_known(&pack, (enum pack_value)(TEMP_C + n)), n < settings.temps);
        assert_true(pack.value[CELL_COUNT] == cells && pack.value[TEMP_COUNT] == settings.temps);
        assert_int_equal(pack.alarms_known, ALL_ALARMS);
        assert_int_equal(pack.implausible, 0);
        for (int i = 0; i < PACK_TEXTS; i++)
            assert_true(pack.text[i][0]);
        assert_sum(&pack);
    }
}

TEST(counts_charge)
{
    for (int direction = -1; direction <= 1; direction += 2) {
        struct battery_settings settings =
            usual(direction > 0 ? BATTERY_CHARGE : BATTERY_DISCHARGE);
        struct battery battery;
        struct pack pack;
        start(&battery, &settings, &pack);
        double before_ah = pack.value[REMAINING_AH], before = pack.value[SOC_PERCENT];
        double full_ah = pack.value[FULL_AH];
        assert_near(before, 50, 0.05);
        assert_near(full_ah, 100 * pack.value[SOH_PERCENT] / 100, 0.01);
        for (int i = 0; i < 3600; i++)
            battery_step(&battery, 1, &pack);
        assert_near(pack.value[CURRENT_A], 20 * direction, 1e-9);
        assert_near(pack.value[FLOW], direction > 0 ? FLOW_CHARGING : FLOW_DISCHARGING, 0);
        assert_near(pack.value[REMAINING_AH], before_ah + 20 * direction, 0.02);
        assert_near(pack.value[SOC_PERCENT], before + 100 * 20 * direction / full_ah, 0.11);
        battery_step(&battery, HOUR / 2, &pack);
        assert_near(pack.value[REMAINING_AH], before_ah + 30 * direction, 0.02);
        assert_near(pack.value[POWER_W], pack.value[VOLTAGE_V] * 20 * direction, 1e-6);
    }
}

TEST(idle_and_fixed)
{
    struct battery_settings settings = usual(BATTERY_IDLE);
    struct battery battery;
    struct pack first, pack;
    start(&battery, &settings, &first);
    pack = first;
    battery_step(&battery, 10 * HOUR, &pack);
    assert_near(pack.value[CURRENT_A], 0, 0);
    assert_near(pack.value[SOC_PERCENT], first.value[SOC_PERCENT], 0);

    settings.profile = BATTERY_FIXED;
    start(&battery, &settings, &first);
    pack = first;
    for (int i = 0; i < 100; i++) {
        battery_step(&battery, 100, &pack);
        assert_memory_equal(&pack, &first, sizeof pack);
    }
}

TEST(charge_protection)
{
    struct battery_settings settings = usual(BATTERY_CHARGE);
    settings.soc_percent = 90;
    struct battery battery;
    struct pack pack;
    start(&battery, &settings, &pack);
    bool warned = false, balanced = false;
    for (int i = 0; i < 3600 && pack.value[CHARGE_MOS] == 1; i++) {
        battery_step(&battery, 1, &pack);
        warned |= pack.alarms_warning >> CELL_OVER_VOLTAGE & 1;
        balanced |= pack.value[BALANCING] == 1 && pack.value[BALANCE_MASK] > 0;
        assert_true(pack.value[CELL_MAX_MV] < 3700);
    }
    assert_true(warned && balanced);
    assert_true(protects(&pack, CELL_OVER_VOLTAGE));
    assert_true(pack.value[CHARGE_MOS] == 0 && pack.value[DISCHARGE_MOS] == 1);
    assert_true(pack.value[CURRENT_A] == 0 && pack.value[CHARGE_CURRENT_LIMIT_A] == 0);
    assert_near(pack.value[SOC_PERCENT], 100, 0);

    /* A command to switch on does not close it: the protection takes precedence. */
    pack_set(&pack, CHARGE_MOS, 1);
    battery_step(&battery, 1, &pack);
    assert_true(pack.value[CHARGE_MOS] == 0 && pack.value[CURRENT_A] == 0);
}

TEST(discharge_protection)
{
    struct battery_settings settings = usual(BATTERY_DISCHARGE);
    settings.soc_percent = 11;
    struct battery battery;
    struct pack pack;
    start(&battery, &settings, &pack);
    assert_int_equal(pack.alarms_warning, 0);
    bool soc_low = false;
    for (int i = 0; i < 3600 && pack.value[DISCHARGE_MOS] == 1; i++) {
        battery_step(&battery, 1, &pack);
        soc_low |= pack.alarms_warning >> SOC_LOW & 1 && !protects(&pack, SOC_LOW);
    }
    assert_true(soc_low);
    assert_true(protects(&pack, CELL_UNDER_VOLTAGE));
    assert_true(pack.value[CHARGE_MOS] == 1 && pack.value[DISCHARGE_MOS] == 0);
    assert_true(pack.value[CURRENT_A] == 0);
    assert_near(pack.value[SOC_PERCENT], 0, 0);
    assert_true(pack.value[CELL_MIN_MV] > 2400 && pack.value[CELL_MIN_MV] < 2700);
}

TEST(switches)
{
    static const struct {
        enum battery_profile profile;
        enum pack_value stops, other;
    } cases[] = {{BATTERY_CHARGE, CHARGE_MOS, DISCHARGE_MOS},
                 {BATTERY_DISCHARGE, DISCHARGE_MOS, CHARGE_MOS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct battery_settings settings = usual(cases[i].profile);
        struct battery battery;
        struct pack pack;
        start(&battery, &settings, &pack);
        double current_a = pack.value[CURRENT_A], remaining_ah = pack.value[REMAINING_AH];
        assert_near(fabs(current_a), 20, 1e-9);

        pack_set(&pack, cases[i].other, 0);
        battery_step(&battery, 0, &pack);
        assert_true(pack.value[cases[i].other] == 0 && pack.value[CURRENT_A] == current_a);

        pack_set(&pack, cases[i].stops, 0);
        battery_step(&battery, HOUR, &pack);
        assert_true(pack.value[cases[i].stops] == 0 && pack.value[CURRENT_A] == 0);
        assert_true(pack.value[FLOW] == FLOW_IDLE);
        assert_near(pack.value[REMAINING_AH], remaining_ah, 0);

        pack_set(&pack, cases[i].stops, 1);
        battery_step(&battery, 0, &pack);
        assert_true(pack.value[cases[i].stops] == 1 && pack.value[CURRENT_A] == current_a);
        assert_true(pack.value[cases[i].other] == 0);

        /* An unknown switch position is not a command. */
        pack_unset(&pack, cases[i].stops);
        battery_step(&battery, 0, &pack);
        assert_true(pack.value[cases[i].stops] == 1);
    }
}

TEST(temperatures)
{
    static const struct {
        double ambient_c;
        enum battery_profile profile;
        int charge, discharge; /* expected MOS states */
        uint32_t protections;
    } cases[] = {
        {20, BATTERY_DISCHARGE, 1, 1, 0},
        {-5, BATTERY_CHARGE, 0, 1, UINT32_C(1) << CHARGE_UNDER_TEMPERATURE},
        {-25, BATTERY_DISCHARGE, 0, 0,
         UINT32_C(1) << CHARGE_UNDER_TEMPERATURE | UINT32_C(1) << DISCHARGE_UNDER_TEMPERATURE},
        {57, BATTERY_IDLE, 0, 1, UINT32_C(1) << CHARGE_OVER_TEMPERATURE},
        {70, BATTERY_IDLE, 0, 0,
         UINT32_C(1) << CHARGE_OVER_TEMPERATURE | UINT32_C(1) << DISCHARGE_OVER_TEMPERATURE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct battery_settings settings = usual(cases[i].profile);
        settings.ambient_c = cases[i].ambient_c;
        struct battery battery;
        struct pack pack;
        start(&battery, &settings, &pack);
        if (pack.value[CHARGE_MOS] != cases[i].charge ||
            pack.value[DISCHARGE_MOS] != cases[i].discharge ||
            pack.alarms_protection != cases[i].protections)
            fail_msg("at %g °C: charge %g, discharge %g, protections %X", cases[i].ambient_c,
                     pack.value[CHARGE_MOS], pack.value[DISCHARGE_MOS], pack.alarms_protection);
        double before_c = pack.value[TEMP_C], mos_before_c = pack.value[MOS_TEMP_C];
        battery_step(&battery, HOUR, &pack);
        bool flows = pack.value[CURRENT_A] != 0;
        assert_int_equal(pack.value[TEMP_C] > before_c, flows);
        assert_int_equal(pack.value[MOS_TEMP_C] > mos_before_c, flows);
    }
}

/* Without sensors the temperature is unknown, and nothing depends on it. */
TEST(no_sensors)
{
    struct battery_settings settings = usual(BATTERY_CHARGE);
    settings.temps = 0;
    settings.ambient_c = -30;
    struct battery battery;
    struct pack pack;
    start(&battery, &settings, &pack);
    assert_true(pack.value[TEMP_COUNT] == 0 && pack.value[CHARGE_MOS] == 1);
    assert_false(pack_known(&pack, TEMP_AVG_C));
}

/* One and a half days: the pack becomes full and empty in turns, and no protection acts. */
TEST(cycle)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct battery_settings settings = usual(BATTERY_CYCLE);
        settings.seed = seed;
        struct battery battery;
        struct pack pack;
        start(&battery, &settings, &pack);
        double cycles = pack.value[CYCLES], lowest = 100, highest = 0, discharged_ah = 0;
        bool rested = false, warned = false, balanced = false;
        int turns = 0;
        double flow = pack.value[FLOW];
        for (int i = 0; i < 36 * 3600; i += 5) {
            battery_step(&battery, 5, &pack);
            lowest = fmin(lowest, pack.value[SOC_PERCENT]);
            highest = fmax(highest, pack.value[SOC_PERCENT]);
            discharged_ah -= fmin(pack.value[CURRENT_A], 0) * 5 / 3600;
            rested |= pack.value[FLOW] == FLOW_IDLE;
            turns += pack.value[FLOW] != flow;
            flow = pack.value[FLOW];
            warned |= pack_alarm_active(&pack, SOC_LOW);
            balanced |= pack.value[BALANCING] == 1;
            if (pack.alarms_protection)
                fail_msg("seed %u: protections %X", (unsigned) seed, pack.alarms_protection);
        }
        assert_near(lowest, 8, 0.2);
        assert_near(highest, 100, 0);
        assert_true(rested && warned && balanced);
        assert_in_range(turns, 10, 24); /* at 0.2 C about 11 h for each cycle of four phases */
        assert_near(pack.value[CYCLES] - cycles, discharged_ah / 100, 1);
        assert_true(pack.value[CYCLES] > cycles);
    }
}

TEST(ripple)
{
    struct battery_settings settings = usual(BATTERY_CYCLE);
    struct battery battery;
    struct pack pack;
    start(&battery, &settings, &pack);
    double least = 0, most = -INFINITY;
    for (int i = 0; i < 100; i++) {
        battery_step(&battery, 1, &pack);
        least = fmin(least, pack.value[CURRENT_A]);
        most = fmax(most, pack.value[CURRENT_A]);
    }
    assert_true(least > -22 && most < -18 && most - least > 0.5);
}

TEST(seeds)
{
    struct battery_settings settings = usual(BATTERY_CYCLE);
    struct battery battery[3];
    struct pack pack[3];
    for (int i = 0; i < 3; i++) {
        settings.seed = i < 2 ? 7 : 8;
        start(&battery[i], &settings, &pack[i]);
    }
    for (int step = 0; step < 1000; step++) {
        for (int i = 0; i < 3; i++)
            battery_step(&battery[i], 60, &pack[i]);
        assert_memory_equal(&pack[0], &pack[1], sizeof pack[0]);
        assert_memory_not_equal(&pack[0], &pack[2], sizeof pack[0]);
    }
    assert_string_not_equal(pack[0].text[SERIAL], pack[2].text[SERIAL]);
}

TEST(odd_arguments)
{
    struct battery_settings settings = {.cells = 0, .temps = 99, .capacity_ah = NAN};
    struct battery battery;
    struct pack pack;
    start(&battery, &settings, &pack);
    assert_true(pack.value[CELL_COUNT] == 1 && pack.value[TEMP_COUNT] == MAX_TEMPS);
    settings = usual(BATTERY_DISCHARGE);
    settings.cells = 1000;
    start(&battery, &settings, &pack);
    assert_true(pack.value[CELL_COUNT] == MAX_CELLS);
    double remaining_ah = pack.value[REMAINING_AH];
    battery_step(&battery, NAN, &pack);
    battery_step(&battery, -100, &pack);
    assert_near(pack.value[REMAINING_AH], remaining_ah, 0);
    battery_step(&battery, INFINITY, &pack);
    assert_near(pack.value[REMAINING_AH], 0, 0);
    assert_int_equal(pack.implausible, 0);
}

static void assert_random_pack(const struct pack *pack, unsigned cells, unsigned temps)
{
    const double *value = pack->value;
    assert_int_equal(pack->implausible, 0);
    assert_true(value[CELL_COUNT] == cells && value[TEMP_COUNT] == temps);
    assert_sum(pack);
    assert_true(value[CURRENT_A] <= 0 || value[CHARGE_MOS] == 1);
    assert_true(value[CURRENT_A] >= 0 || value[DISCHARGE_MOS] == 1);
    assert_near(value[REMAINING_AH], value[FULL_AH] * value[SOC_PERCENT] / 100, 1e-9);
    assert_true(value[FULL_AH] <= value[RATED_AH] && value[FULL_AH] > 0);
    assert_true(value[BALANCE_MASK] < exp2(cells));
    assert_near(value[POWER_W], value[VOLTAGE_V] * value[CURRENT_A], 1e-6);
    assert_near(value[CELL_MAX_MV], value[CELL_MV + (int) value[CELL_MAX_INDEX] - 1], 0);
    assert_near(value[CELL_MIN_MV], value[CELL_MV + (int) value[CELL_MIN_INDEX] - 1], 0);
    for (unsigned i = 0; i < cells; i++)
        assert_true(value[CELL_MV + i] >= value[CELL_MIN_MV] &&
                    value[CELL_MV + i] <= value[CELL_MAX_MV]);
    assert_true(pack->text[SERIAL][0] && pack->text[MODEL][0] && pack->text[FIRMWARE][0]);
    assert_int_equal(pack->alarms_known, ALL_ALARMS);
}

TEST(random_packs)
{
    uint64_t seed = 1;
    uint32_t warned = 0, protected = 0, both = 0, none = 0;
    bool flows[3] = {false};
    for (unsigned i = 0; i < 4000; i++) {
        unsigned cells = 1 + i % MAX_CELLS, temps = i % (MAX_TEMPS + 1);
        struct pack pack;
        battery_random(&pack, &seed, cells, temps);
        assert_random_pack(&pack, cells, temps);
        warned |= pack.alarms_warning & ~pack.alarms_protection;
        protected |= pack.alarms_protection & ~pack.alarms_warning;
        both |= pack.alarms_protection & pack.alarms_warning;
        none |= ~(pack.alarms_protection | pack.alarms_warning);
        flows[(int) pack.value[FLOW]] = true;
    }
    assert_true(flows[FLOW_IDLE] && flows[FLOW_CHARGING] && flows[FLOW_DISCHARGING]);
    assert_int_equal(warned & protected & both & none & ALL_ALARMS, ALL_ALARMS);
}
