// SPDX-License-Identifier: MIT
/* Alarms that begin and end: both levels independently; an alarm that was not read keeps its state.
 */
#include "packs/alarms.h"
#include "bms/count.h"

#include "pack_test.h"

enum { WARNS = 1, PROTECTS = 2, BOTH = 3 };

TEST(levels)
{
    static const struct {
        const char *what;
        int before, read, active; /* bits: at which levels */
        int after, level;
        bool changed;
    } cases[] = {
        {"nothing at all", 0, BOTH, 0, 0, 0, false},
        {"it begins", 0, BOTH, WARNS, WARNS, ALARM_WARNING, true},
        {"it lasts", WARNS, BOTH, WARNS, WARNS, ALARM_WARNING, false},
        {"it ends", WARNS, BOTH, 0, 0, 0, true},
        {"its reply is lost", WARNS, 0, 0, WARNS, ALARM_WARNING, false},
        {"the same of a protection", PROTECTS, 0, 0, PROTECTS, ALARM_PROTECTION, false},
        {"it rises", WARNS, BOTH, BOTH, BOTH, ALARM_PROTECTION, true},
        {"it falls", BOTH, BOTH, WARNS, WARNS, ALARM_WARNING, true},
        {"the warning below a protection ends", BOTH, BOTH, PROTECTS, PROTECTS, ALARM_PROTECTION,
         false},
        {"only warnings were read", PROTECTS, WARNS, 0, PROTECTS, ALARM_PROTECTION, false},
        {"only protections were read", BOTH, PROTECTS, 0, WARNS, ALARM_WARNING, true},
        {"nothing was ever read", 0, 0, 0, 0, 0, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint32_t bit = 1u << SOC_LOW;
        const struct alarms before = {cases[i].before & WARNS ? bit : 0,
                                      cases[i].before & PROTECTS ? bit : 0, 0};
        struct pack values = cleared_pack();
        for (int level = ALARM_WARNING; level <= ALARM_PROTECTION; level++)
            if (cases[i].read & level)
                pack_alarm_at(&values, SOC_LOW, level, cases[i].active & level);
        const struct alarms after = alarms_after(before, &values, 0);
        const int found = (after.warning ? WARNS : 0) | (after.protection ? PROTECTS : 0);
        if (found != cases[i].after || alarms_level(after, SOC_LOW) != cases[i].level ||
            alarms_changed(before, after) != (cases[i].changed ? bit : 0))
            fail_msg("%s: at levels %d, level %d, changed %x", cases[i].what, found,
                     alarms_level(after, SOC_LOW), (unsigned) alarms_changed(before, after));
    }
}

/* Unread alarms of another BMS are over; those that this one reports too are not. */
TEST(another_bms)
{
    const uint32_t low = 1u << SOC_LOW, high = 1u << SOC_HIGH;
    struct pack values = cleared_pack();
    struct alarms alarms = {low | high, high, 0};
    /* Stored without a number; then another BMS is being read, which was not the one after all. */
    static const int32_t then[] = {-7, -7, -8, 7};
    for (size_t i = 0; i < COUNT(then); i++) {
        alarms = alarms_after(alarms, &values, then[i]);
        assert_int_equal(alarms.warning, low | high);
        assert_int_equal(alarms.protection, high);
        assert_int_equal(alarms.bms, 7);
    }
    pack_alarm_at(&values, SOC_HIGH, ALARM_WARNING, true);
    const struct alarms after = alarms_after(alarms, &values, 8);
    assert_int_equal(after.warning, high);
    assert_int_equal(after.protection, 0);
    assert_int_equal(after.bms, 8);
    alarms = alarms_after((struct alarms){0, 0, 7}, &values, -8);
    assert_int_equal(alarms.warning, high);
    assert_int_equal(alarms.bms, 8);
}

static struct pack cells_and_sensors(void)
{
    struct pack pack = cleared_pack();
    set_values(&pack, {CELL_MAX_INDEX, 7}, {CELL_MIN_INDEX, 3}, {CELL_MAX_MV, 3400},
               {CELL_AVG_MV, 3390}, {CELL_MIN_MV, 3350}, {TEMP_C + 1, 21}, {TEMP_C + 2, 40},
               {TEMP_C + 3, -4});
    return pack;
}

TEST(places)
{
    static const struct {
        enum pack_alarm alarm;
        int cell, sensor;
    } cases[] = {
        {CELL_OVER_VOLTAGE, 7, 0},
        {CELL_UNDER_VOLTAGE, 3, 0},
        {CELL_IMBALANCE, 3, 0},
        {CHARGE_OVER_TEMPERATURE, 0, 3},
        {DISCHARGE_OVER_TEMPERATURE, 0, 3},
        {CHARGE_UNDER_TEMPERATURE, 0, 4},
        {DISCHARGE_UNDER_TEMPERATURE, 0, 4},
        {MOS_OVER_TEMPERATURE, 0, 0},
        {SOC_LOW, 0, 0},
    };
    struct pack pack = cells_and_sensors(), empty;
    pack_clear(&empty);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const enum pack_alarm alarm = cases[i].alarm;
        if (alarms_cell(alarm, &pack) != cases[i].cell ||
            alarms_sensor(alarm, &pack) != cases[i].sensor || alarms_cell(alarm, &empty) ||
            alarms_sensor(alarm, &empty))
            fail_msg("%s: cell %d, sensor %d", pack_alarm_name(alarm), alarms_cell(alarm, &pack),
                     alarms_sensor(alarm, &pack));
    }
    pack_set(&pack, CELL_AVG_MV, 3360);
    assert_int_equal(alarms_cell(CELL_IMBALANCE, &pack), 7);
}
