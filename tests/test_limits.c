// SPDX-License-Identifier: MIT
/* Limits: what is allowed and why, how it expires and rises, and that nothing unknown or stale allows anything. */
#include "packs/limits.h"
#include "bms/count.h"
#include "bms/prng.h"

#include <math.h>
#include <string.h>

#include "pack_test.h"

#define UNKNOWN NAN
#define STALE_AFTER_S 15
#define SETTLED_S 200 /* s: longer than a limit needs to rise from 0 */

static const struct limits_config house = {
    .charge_current_a = 100,
    .discharge_current_a = 150,
    .cells = 4,
    .sensors = 2,
    .cell_full_v = 3.45,
    .cell_float_v = 3.375,
    .soc_again_percent = 90,
    .cell_high = {{{3.375, 1}, {3.40, 0.25}, {3.425, 0.05}, {3.45, 0.005}, {3.50, 0}}, 5},
    .cell_low = {{{2.80, 0}, {2.90, 0.005}, {3.00, 0.05}, {3.10, 0.25}, {3.19, 1}}, 5},
    .temperature = {{{0, 0}, {5, 0.5}, {10, 1}, {40, 1}, {55, 0}}, 5},
    .mos_temperature = {{{70, 1}, {90, 0}}, 2},
    .soc_high = {{{95, 1}, {100, 0.5}}, 2},
    .soc_low = {{{10, 0}, {20, 1}}, 2},
};

/* 4 normal cells, and everything that a BMS can report. */
static struct pack fine(void)
{
    struct pack pack = cleared_pack();
    set_values(&pack, {CURRENT_A, 0}, {SOC_PERCENT, 60}, {CELL_COUNT, 4});
    for (unsigned n = 1; n <= 4; n++)
        pack_set_cell(&pack, n, 3300);
    pack_set(&pack, TEMP_COUNT, 2);
    pack_set_temp(&pack, 1, 20);
    pack_set_temp(&pack, 2, 25);
    set_values(&pack, {MOS_TEMP_C, 30}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
               {CHARGE_CURRENT_LIMIT_A, 200}, {DISCHARGE_CURRENT_LIMIT_A, 200},
               {CHARGE_VOLTAGE_LIMIT_V, 14.6});
    pack_alarm(&pack, CELL_OVER_VOLTAGE, 0);
    pack_alarm(&pack, SOC_LOW, 0);
    pack_derive(&pack);
    return pack;
}

/* The same with one other value. */
static struct pack with(enum pack_value id, double value)
{
    struct pack pack = fine();
    pack.value[id] = value;
    pack_unset(&pack, CELL_MAX_MV);
    pack_unset(&pack, CELL_MIN_MV);
    pack_derive(&pack);
    return pack;
}

static struct pack with_alarm(enum pack_alarm alarm, int level)
{
    struct pack pack = fine();
    pack_alarm(&pack, alarm, level);
    return pack;
}

/* Updates each second with unchanged values. */
static struct map_allowed after_by(const struct limits_config *config, struct limits_state *state,
                                   const struct pack *pack, double *now, double seconds)
{
    const struct limits_pack one = {
        .values = pack, .fresh = true, .age_s = 1, .stale_after_s = STALE_AFTER_S};
    struct map_allowed allowed = {0};
    for (double end = *now + seconds; *now < end;)
        allowed = limits_update(config, &one, 1, 1, state, *now += 1);
    return allowed;
}

static struct map_allowed after(struct limits_state *state, const struct pack *pack, double *now,
                                double seconds)
{
    return after_by(&house, state, pack, now, seconds);
}

static struct map_allowed settled(const struct pack *pack)
{
    struct limits_state state;
    double now = 1000;
    limits_init(&state, &house, now);
    return after(&state, pack, &now, SETTLED_S);
}

static void expect_current(const char *what, double found, enum limit_reason by, double expected,
                           enum limit_reason reason)
{
    if (!(fabs(found - expected) < 1e-6) || by != reason)
        fail_msg("%s: %.9g A by %s, expected %.9g A by %s", what, found, map_limit_reason_name(by),
                 expected, map_limit_reason_name(reason));
}

static void expect(const char *what, struct map_allowed allowed, double charge_a,
                   enum limit_reason charge_by, double discharge_a, enum limit_reason discharge_by)
{
    char text[100];
    snprintf(text, sizeof text, "%s, charge", what);
    expect_current(text, allowed.charge_current_a, allowed.charge_limited_by, charge_a, charge_by);
    snprintf(text, sizeof text, "%s, discharge", what);
    expect_current(text, allowed.discharge_current_a, allowed.discharge_limited_by, discharge_a,
                   discharge_by);
}

#define BY(reason) LIMITED_BY_##reason

TEST(each_limit)
{
    const enum pack_value cell_2 = CELL_MV + 1, temp_1 = TEMP_C, temp_2 = TEMP_C + 1;
    const struct {
        const char *what;
        enum pack_value id;
        double value;
        double charge_a;
        enum limit_reason charge_by;
        double discharge_a;
        enum limit_reason discharge_by;
    } cases[] = {
        {"nothing limits", SOH_PERCENT, 100, 100, BY(CONFIGURATION), 150, BY(CONFIGURATION)},
        {"a BMS that allows less", CHARGE_CURRENT_LIMIT_A, 40, 40, BY(BMS), 150, BY(CONFIGURATION)},
        {"a BMS that allows nothing", DISCHARGE_CURRENT_LIMIT_A, 0, 100, BY(CONFIGURATION), 0,
         BY(BMS)},
        {"a BMS without limits", CHARGE_CURRENT_LIMIT_A, UNKNOWN, 100, BY(CONFIGURATION), 150,
         BY(CONFIGURATION)},
        {"a cell on a point", cell_2, 3400, 25, BY(CELL_HIGH), 150, BY(CONFIGURATION)},
        {"a cell between points", cell_2, 3387.5, 62.5, BY(CELL_HIGH), 150, BY(CONFIGURATION)},
        {"a cell on the last point", cell_2, 3500, 0, BY(CELL_HIGH), 150, BY(CONFIGURATION)},
        {"a cell beyond it", cell_2, 3700, 0, BY(CELL_HIGH), 150, BY(CONFIGURATION)},
        {"a low cell", cell_2, 3100, 100, BY(CONFIGURATION), 37.5, BY(CELL_LOW)},
        {"an empty cell", cell_2, 2500, 100, BY(CONFIGURATION), 0, BY(CELL_LOW)},
        {"a cell that is not known", cell_2, UNKNOWN, 0, BY(UNKNOWN), 0, BY(UNKNOWN)},
        {"another number of cells", CELL_COUNT, 3, 0, BY(UNKNOWN), 0, BY(UNKNOWN)},
        {"no number of cells", CELL_COUNT, UNKNOWN, 0, BY(UNKNOWN), 0, BY(UNKNOWN)},
        {"the coldest sensor", temp_1, 5, 50, BY(TEMPERATURE), 75, BY(TEMPERATURE)},
        {"frost", temp_1, -1, 0, BY(TEMPERATURE), 0, BY(TEMPERATURE)},
        {"the hottest sensor", temp_2, 47.5, 50, BY(TEMPERATURE), 75, BY(TEMPERATURE)},
        {"a sensor that is not known", temp_2, UNKNOWN, 0, BY(UNKNOWN), 0, BY(UNKNOWN)},
        {"a hot MOS", MOS_TEMP_C, 80, 50, BY(MOS), 75, BY(MOS)},
        {"a MOS of which it is not known", MOS_TEMP_C, UNKNOWN, 0, BY(UNKNOWN), 0, BY(UNKNOWN)},
        {"charge MOS off", CHARGE_MOS, 0, 0, BY(MOS), 150, BY(CONFIGURATION)},
        {"discharge MOS off", DISCHARGE_MOS, 0, 100, BY(CONFIGURATION), 0, BY(MOS)},
        {"a BMS without switches", CHARGE_MOS, UNKNOWN, 100, BY(CONFIGURATION), 150,
         BY(CONFIGURATION)},
        {"nearly full", SOC_PERCENT, 100, 50, BY(SOC), 150, BY(CONFIGURATION)},
        {"nearly empty", SOC_PERCENT, 15, 100, BY(CONFIGURATION), 75, BY(SOC)},
        {"no state of charge", SOC_PERCENT, UNKNOWN, 0, BY(UNKNOWN), 0, BY(UNKNOWN)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct pack pack = with(cases[i].id, cases[i].value);
        expect(cases[i].what, settled(&pack), cases[i].charge_a, cases[i].charge_by,
               cases[i].discharge_a, cases[i].discharge_by);
    }
}

/* An empty pack must be chargeable, and a full one dischargeable. */
TEST(alarms)
{
    static const struct {
        enum pack_alarm alarm;
        int level;
        bool charge, discharge;
    } cases[] = {
        {CELL_OVER_VOLTAGE, ALARM_WARNING, true, true},
        {CELL_OVER_VOLTAGE, ALARM_PROTECTION, false, true},
        {CHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION, false, true},
        {CELL_UNDER_VOLTAGE, ALARM_PROTECTION, true, false},
        {DISCHARGE_OVER_CURRENT, ALARM_PROTECTION, true, false},
        {SHORT_CIRCUIT, ALARM_PROTECTION, false, false},
        {MOS_OVER_TEMPERATURE, ALARM_PROTECTION, false, false},
        {TEMP_SENSOR_FAULT, ALARM_PROTECTION, false, false},
        {VOLTAGE_SENSOR_FAULT, ALARM_PROTECTION, false, false},
        {HARDWARE_FAULT, ALARM_PROTECTION, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct pack pack = with_alarm(cases[i].alarm, cases[i].level);
        expect(pack_alarm_name(cases[i].alarm), settled(&pack), cases[i].charge ? 100 : 0,
               cases[i].charge ? BY(CONFIGURATION) : BY(ALARM), cases[i].discharge ? 150 : 0,
               cases[i].discharge ? BY(CONFIGURATION) : BY(ALARM));
    }
}

/* A cell without a reading does not count as 3300 mV. */
TEST(what_is_not_read_any_more)
{
    static const struct {
        enum pack_value id;
        bool charge, discharge;
    } cases[] = {
        {CHARGE_CURRENT_LIMIT_A, false, true},
        {DISCHARGE_CURRENT_LIMIT_A, true, false},
        {CHARGE_MOS, false, true},
        {DISCHARGE_MOS, true, false},
        {CELL_MV, false, false},
        {TEMP_C, false, false},
        {SOC_PERCENT, false, false},
        {MOS_TEMP_C, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct limits_state memory;
        double now = 1000;
        limits_init(&memory, &house, now);
        const struct pack before = fine(), then = with(cases[i].id, UNKNOWN);
        after(&memory, &before, &now, SETTLED_S);
        expect(pack_value_info(cases[i].id)->name, after(&memory, &then, &now, 1),
               cases[i].charge ? 100 : 0, cases[i].charge ? BY(CONFIGURATION) : BY(UNKNOWN),
               cases[i].discharge ? 150 : 0, cases[i].discharge ? BY(CONFIGURATION) : BY(UNKNOWN));
    }
}

/* What a pack has reported is not required of the one that takes its place. */
TEST(another_device)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    struct pack pack = fine();
    pack_set_temp(&pack, 3, 25);
    after(&memory, &pack, &now, SETTLED_S);
    pack_unset(&pack, CHARGE_CURRENT_LIMIT_A);
    pack_unset(&pack, CHARGE_MOS);
    pack_unset(&pack, TEMP_C);
    pack_clear_alarms(&pack);
    const struct limits_pack other = {
        .values = &pack, .fresh = true, .age_s = 1, .stale_after_s = STALE_AFTER_S, .device = 1};
    expect("it is not known", after(&memory, &pack, &now, SETTLED_S), 0, BY(UNKNOWN), 0,
           BY(UNKNOWN));
    struct map_allowed allowed = {0};
    for (double end = now + SETTLED_S; now < end;)
        allowed = limits_update(&house, &other, 1, 1, &memory, now += 1);
    expect("another one", allowed, 100, BY(CONFIGURATION), 150, BY(CONFIGURATION));
}

TEST(alarm_that_is_not_read_any_more)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    const struct pack alarmed = with_alarm(CELL_OVER_VOLTAGE, ALARM_PROTECTION), over = fine();
    struct pack silent = fine();
    pack_clear_alarms(&silent);
    after(&memory, &alarmed, &now, 1);
    expect("it stands, and nobody knows of the others", after(&memory, &silent, &now, SETTLED_S), 0,
           BY(ALARM), 0, BY(UNKNOWN));
    expect("it is over", after(&memory, &over, &now, SETTLED_S), 100, BY(CONFIGURATION), 150,
           BY(CONFIGURATION));
}

/* A protection that was never active must be readable, too, for its direction. */
TEST(protection_that_is_not_read_any_more)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    const struct pack all = fine();
    struct pack fewer = fine();
    pack_clear_alarms(&fewer);
    pack_alarm(&fewer, SOC_LOW, 0);
    pack_alarm_at(&fewer, CELL_OVER_VOLTAGE, ALARM_WARNING, false);
    after(&memory, &fewer, &now, SETTLED_S);
    expect("it never was", after(&memory, &fewer, &now, 1), 100, BY(CONFIGURATION), 150,
           BY(CONFIGURATION));
    after(&memory, &all, &now, 1);
    expect("it was", after(&memory, &fewer, &now, 1), 0, BY(UNKNOWN), 150, BY(CONFIGURATION));
}

/* More sensors than configured: those that were reported once are required. */
TEST(sensor_that_is_not_read_any_more)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    struct pack pack = fine();
    pack_set_temp(&pack, 3, 25);
    after(&memory, &pack, &now, SETTLED_S);
    pack_unset(&pack, TEMP_C);
    expect("one of three", after(&memory, &pack, &now, SETTLED_S), 0, BY(UNKNOWN), 0, BY(UNKNOWN));
}

TEST(expiry)
{
    static const struct {
        double age_s;
        double share;
    } cases[] = {{0, 1},  {5, 1},    {7.5, 0.75},  {10, 0.5}, {14.9, 0.01},
                 {15, 0}, {1000, 0}, {UNKNOWN, 0}, {-1, 0},   {INFINITY, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct limits_state memory;
        double now = 1000;
        char what[40];
        limits_init(&memory, &house, now);
        const struct pack pack = fine();
        after(&memory, &pack, &now, SETTLED_S);
        const struct limits_pack old = {&pack, true, false, cases[i].age_s, STALE_AFTER_S, NULL, 0};
        const struct map_allowed allowed = limits_update(&house, &old, 1, 1, &memory, now + 1);
        const enum limit_reason by = cases[i].share < 1 ? BY(STALE) : BY(CONFIGURATION);
        snprintf(what, sizeof what, "%g s old", cases[i].age_s);
        expect(what, allowed, 100 * cases[i].share, by, 150 * cases[i].share, by);
        if ((cases[i].share == 0) != isnan(allowed.charge_voltage_v))
            fail_msg("%s: %g V", what, allowed.charge_voltage_v);
    }
}

TEST(not_fresh)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    const struct pack pack = fine();
    after(&memory, &pack, &now, SETTLED_S);
    const struct limits_pack gone = {&pack, false, false, 1, STALE_AFTER_S, NULL, 0};
    const struct map_allowed allowed = limits_update(&house, &gone, 1, 1, &memory, now + 1);
    expect("not fresh", allowed, 0, BY(STALE), 0, BY(STALE));
    assert_true(isnan(allowed.age_s) && isnan(allowed.charge_voltage_v));
}

/* on_stale = discharge: the limit stays while the values age, and for 10 s after. */
TEST(discharge_of_stale_values)
{
    static const struct {
        const char *what;
        double age_s, cell_mv, seconds, discharge_a;
        enum limit_reason by;
    } course[] = {
        {"before the first values", UNKNOWN, 3300, 5, 0, BY(STALE)},
        {"fresh", 1, 3300, SETTLED_S, 150, BY(CONFIGURATION)},
        {"aging", 14.9, 3300, 1, 150, BY(CONFIGURATION)},
        {"a low cell counts as ever", 14.9, 3100, 1, 37.5, BY(CELL_LOW)},
        {"stale", 15, 3300, 10, 37.5, BY(STALE)},
        {"fresh for a moment", 1, 3100, 1, 37.5, BY(CELL_LOW)},
        {"stale again", 15, 3300, 10, 37.5, BY(STALE)},
        {"over", 15, 3300, 1, 0, BY(STALE)},
        {"up by ramp", 1, 3300, 31, 0, BY(RAMP)},
        {"fresh again", 1, 3300, SETTLED_S, 150, BY(CONFIGURATION)},
        {"an empty cell", 1, 2700, 1, 0, BY(CELL_LOW)},
        {"nothing goes on as before", 15, 3300, 1, 0, BY(STALE)},
    };
    struct limits_config config = house;
    struct limits_state memory;
    double now = 1000;
    config.on_stale = STALE_DISCHARGE;
    limits_init(&memory, &config, now);
    for (size_t i = 0; i < COUNT(course); i++) {
        const struct pack pack = with(CELL_MV + 1, course[i].cell_mv);
        const struct limits_pack part = {
            &pack, course[i].age_s < 15, false, course[i].age_s, STALE_AFTER_S, NULL, 0};
        struct map_allowed allowed = {0};
        for (double end = now + course[i].seconds; now < end;)
            allowed = limits_update(&config, &part, 1, 1, &memory, now += 1);
        expect_current(course[i].what, allowed.discharge_current_a, allowed.discharge_limited_by,
                       course[i].discharge_a, course[i].by);
        assert_true(course[i].age_s < 15 || allowed.charge_current_a == 0);
        assert_true(!(course[i].age_s > 14) ||
                    allowed.charge_current_a < 1.1); /* the charge limit falls with the age */
        assert_true(allowed.discharges_stale);
    }
}

/* A host that slept does not know how long the values were stale. */
TEST(discharge_after_a_pause)
{
    struct limits_config config = house;
    struct limits_state memory;
    double now = 1000;
    const struct pack pack = fine();
    const struct limits_pack gone = {&pack, false, false, 60, STALE_AFTER_S, NULL, 0};
    config.on_stale = STALE_DISCHARGE;
    limits_init(&memory, &config, now);
    after_by(&config, &memory, &pack, &now, SETTLED_S);
    assert_true(limits_update(&config, &gone, 1, 1, &memory, now + 11).discharge_current_a == 0);
}

/* A bank that misses a pack: the limit stays, but the other packs can still lower it. */
TEST(discharge_of_a_stale_bank)
{
    struct limits_config config = house;
    struct limits_state memory;
    double now = 1000;
    struct pack packs[2] = {with(CURRENT_A, -20), with(CURRENT_A, -20)};
    struct limits_pack parts[2] = {{&packs[0], true, false, 1, STALE_AFTER_S, NULL, 0},
                                   {&packs[1], true, false, 1, STALE_AFTER_S, NULL, 0}};
    struct map_allowed allowed = {0};
    config.on_stale = STALE_DISCHARGE;
    limits_init(&memory, &config, now);
    for (double end = now + SETTLED_S; now < end; now++)
        allowed = limits_update(&config, parts, 2, 2, &memory, now);
    expect("both", allowed, 100, BY(CONFIGURATION), 150, BY(CONFIGURATION));
    parts[1].fresh = false;
    allowed = limits_update(&config, parts, 2, 2, &memory, now++);
    expect("one is missing", allowed, 0, BY(STALE), 75, BY(PACK_MISSING));
    const struct limits_state before = memory;
    for (unsigned i = 0; i < 10; i++)
        allowed = limits_update(&config, parts, 2, 2, &memory, now + i);
    expect("for too long", allowed, 0, BY(STALE), 0, BY(STALE));
    memory = before;
    packs[0] = with(CELL_MV, 2700);
    allowed = limits_update(&config, parts, 2, 2, &memory, now++);
    expect("the other one is empty", allowed, 0, BY(STALE), 0, BY(CELL_LOW));
}

/* Falls at once; rises by 5 A a second after more was allowed for 30 s. */
TEST(ramp)
{
    static const struct {
        const char *what;
        double cell_mv, seconds, charge_a;
        enum limit_reason by;
    } course[] = {
        {"at the start", 3300, 1, 0, BY(RAMP)},
        {"it waits", 3300, 30, 0, BY(RAMP)},
        {"it rises", 3300, 2, 10, BY(RAMP)},
        {"up to the most", 3300, 18, 100, BY(CONFIGURATION)},
        {"a cell rises", 3400, 1, 25, BY(CELL_HIGH)},
        {"it sinks", 3387.5, 32, 30, BY(RAMP)},
        {"it rises while the limit does", 3375, 1, 35, BY(RAMP)},
        {"down at once on the way", 3400, 1, 25, BY(CELL_HIGH)},
        {"which takes the whole time again", 3300, 31, 25, BY(RAMP)},
        {"and then", 3300, 1, 30, BY(RAMP)},
        {"all", 3300, 100, 100, BY(CONFIGURATION)},
        {"a little less", 3376, 1, 97, BY(CELL_HIGH)},
        {"a little more is no reason", 3375.5, 100, 97, BY(CELL_HIGH)},
        {"more than that is", 3375, 100, 100, BY(CONFIGURATION)},
    };
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    for (size_t i = 0; i < COUNT(course); i++) {
        const struct pack pack = with(CELL_MV + 1, course[i].cell_mv);
        const struct map_allowed allowed = after(&memory, &pack, &now, course[i].seconds);
        expect_current(course[i].what, allowed.charge_current_a, allowed.charge_limited_by,
                       course[i].charge_a, course[i].by);
    }
}

/* A host that slept does not know whether more was allowed all the time. */
TEST(a_pause_is_no_wait)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    const struct pack pack = fine();
    after(&memory, &pack, &now, 1);
    now += 3600;
    expect("after it", after(&memory, &pack, &now, 30), 0, BY(RAMP), 0, BY(RAMP));
    expect("it rises", after(&memory, &pack, &now, 1), 0, BY(RAMP), 0, BY(RAMP));
    expect("it rises", after(&memory, &pack, &now, 1), 5, BY(RAMP), 5, BY(RAMP));
    now -= 500; /* impossible, but it must hold then, too */
    expect("the clock goes back", after(&memory, &pack, &now, 400), 5, BY(RAMP), 5, BY(RAMP));
}

static void expect_volts(const char *what, double found, double expected)
{
    if (!(fabs(found - expected) < 1e-6))
        fail_msg("%s: %.9g V, expected %.9g V", what, found, expected);
}

static struct pack cells_of(double mv, double highest)
{
    struct pack pack = fine();
    for (unsigned n = 1; n <= 4; n++)
        pack_set_cell(&pack, n, n == 3 ? highest : mv);
    pack_unset(&pack, CELL_MAX_MV);
    pack_unset(&pack, CELL_MIN_MV);
    pack_set(&pack, SOC_PERCENT, 95);
    pack_derive(&pack);
    return pack;
}

TEST(voltage)
{
    const double full = 4 * 3.45, floating = 4 * 3.375;
    const struct {
        const char *what;
        double cell, highest, seconds, volts;
    } course[] = {
        {"from float", 3300, 3300, 1, floating + 0.004},
        {"up to full", 3300, 3300, 100, full},
        {"a cell is 8 mV too high", 3440, 3458, 1, full - 0.008},
        {"a cell is 30 mV too high", 3440, 3480, 1, full - 0.030 - 0.004},
        {"and stays there", 3440, 3480, 4, full - 0.030 - 0.020},
        {"it came down", 3440, 3440, 59, full - 0.020},
        {"a minute ago", 3440, 3440, 3, full - 0.017},
        {"and all is well", 3440, 3440, 20, full},
        {"full and even for nearly 15 min", 3445, 3446, 900, full},
        {"and it goes down", 3445, 3446, 4, full - 0.016},
        {"to float", 3445, 3446, 100, floating},
        {"where it stays", 3320, 3390, 3600, floating},
        {"until the cells are uneven", 3380, 3461, 100, full - 0.011 - 0.02},
    };
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    for (size_t i = 0; i < COUNT(course); i++) {
        const struct pack pack = cells_of(course[i].cell, course[i].highest);
        expect_volts(course[i].what,
                     after(&memory, &pack, &now, course[i].seconds).charge_voltage_v,
                     course[i].volts);
    }
}

TEST(float_ends_when_it_is_needed_again)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    struct pack pack = cells_of(3450, 3450);
    expect_volts("float", after(&memory, &pack, &now, 2000).charge_voltage_v, 13.5);
    pack = cells_of(3330, 3330);
    pack_unset(&pack, SOC_PERCENT);
    expect_volts("not known", after(&memory, &pack, &now, 200).charge_voltage_v, 13.5);
    pack_set(&pack, SOC_PERCENT, 89);
    expect_volts("again", after(&memory, &pack, &now, 200).charge_voltage_v, 13.8);
}

/* Whether the cells stayed full while the pack was silent is unknown. */
TEST(full_is_seen_without_a_gap)
{
    struct limits_state memory;
    double now = 1000;
    limits_init(&memory, &house, now);
    const struct pack pack = cells_of(3450, 3450);
    const struct limits_pack gone = {&pack, false, false, 1, STALE_AFTER_S, NULL, 0};
    after(&memory, &pack, &now, 900);
    limits_update(&house, &gone, 1, 1, &memory, now += 1);
    after(&memory, &pack, &now, 900);
    assert_false(memory.full || memory.floating);
    after(&memory, &pack, &now, 1);
    assert_true(memory.full && memory.floating);
    limits_update(&house, &gone, 1, 1, &memory, now += 1);
    assert_false(memory.full);
}

TEST(ceiling)
{
    static const struct {
        const char *what;
        double soc;
        bool fills;
        double charge_a;
        enum limit_reason by;
    } cases[] = {
        {"below it", 79.9, false, 100, BY(CONFIGURATION)},
        {"at it", 80, false, 0, BY(SOC)},
        {"above it", 90, false, 0, BY(SOC)},
        {"lifted", 90, true, 100, BY(CONFIGURATION)},
        {"not known", UNKNOWN, false, 0, BY(UNKNOWN)},
    };
    struct limits_config config = house;
    config.soc_ceiling_percent = 80;
    config.soc_high.count = config.soc_low.count = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct limits_state memory;
        double now = 1000;
        const struct pack pack = with(SOC_PERCENT, cases[i].soc);
        limits_init(&memory, &config, now);
        memory.fills = cases[i].fills;
        expect(cases[i].what, after_by(&config, &memory, &pack, &now, SETTLED_S), cases[i].charge_a,
               cases[i].by, 150, BY(CONFIGURATION));
    }
}

TEST(voltage_of_the_bms)
{
    struct pack pack = with(CHARGE_VOLTAGE_LIMIT_V, 13.2);
    expect_volts("lower", settled(&pack).charge_voltage_v, 13.2);
    pack = with(CHARGE_VOLTAGE_LIMIT_V, 15);
    expect_volts("higher", settled(&pack).charge_voltage_v, 13.8);
    pack = with(CHARGE_VOLTAGE_LIMIT_V, UNKNOWN);
    expect_volts("none", settled(&pack).charge_voltage_v, 13.8);
    /* Not yet: its first requests are not all answered. */
    struct limits_pack one = {
        .values = &pack, .fresh = true, .begins = true, .age_s = 1, .stale_after_s = STALE_AFTER_S};
    struct limits_state memory;
    limits_init(&memory, &house, 0);
    assert_true(isnan(limits_update(&house, &one, 1, 1, &memory, 1).charge_voltage_v));
    one.begins = false;
    expect_volts("float", limits_update(&house, &one, 1, 1, &memory, 2).charge_voltage_v, 13.504);
    pack = with(CELL_MV, UNKNOWN);
    assert_true(isnan(settled(&pack).charge_voltage_v));
}

struct member {
    double current_a, charge_limit_a, age_s;
    bool charge_mos;
};

static struct map_allowed bank_of(const struct member *members, unsigned count, unsigned needed)
{
    struct pack packs[3];
    struct limits_pack parts[3];
    struct limits_state memory;
    struct map_allowed allowed = {0};
    limits_init(&memory, &house, 1000);
    for (unsigned i = 0; i < count; i++) {
        packs[i] = with(CHARGE_CURRENT_LIMIT_A, members[i].charge_limit_a);
        packs[i].value[CURRENT_A] = members[i].current_a;
        packs[i].value[CHARGE_MOS] = members[i].charge_mos;
        parts[i] = (struct limits_pack){
            &packs[i], !isnan(members[i].age_s), false, members[i].age_s, STALE_AFTER_S, NULL, 0};
    }
    for (double now = 1000; now < 1000 + SETTLED_S; now++)
        allowed = limits_update(&house, parts, count, needed, &memory, now);
    return allowed;
}

TEST(banks)
{
    static const struct {
        const char *what;
        struct member members[3];
        unsigned count, needed;
        double charge_a;
        enum limit_reason by;
    } cases[] = {
        {"equal packs", {{20, 99, 1, 1}, {20, 99, 1, 1}}, 2, 2, 100, BY(CONFIGURATION)},
        {"unequal shares", {{30, 99, 1, 1}, {10, 99, 1, 1}}, 2, 2, 50 / 0.75, BY(IMBALANCE)},
        {"just measured", {{9, 99, 1, 1}, {3, 99, 1, 1}}, 2, 2, 50 / 0.75, BY(IMBALANCE)},
        {"the weak one has less", {{30, 99, 1, 1}, {10, 10, 1, 1}}, 2, 2, 40, BY(BMS)},
        {"the weak one has more", {{30, 10, 1, 1}, {10, 99, 1, 1}}, 2, 2, 10 / 0.75, BY(BMS)},
        {"nothing measured yet", {{0, 10, 1, 1}, {0, 99, 1, 1}}, 2, 2, 20, BY(BMS)},
        {"noise is no measurement", {{4, 10, 1, 1}, {0, 99, 1, 1}}, 2, 2, 20, BY(BMS)},
        {"discharge is another direction", {{-30, 10, 1, 1}, {-10, 99, 1, 1}}, 2, 2, 20, BY(BMS)},
        {"one may nothing", {{0, 0, 1, 1}, {40, 99, 1, 1}}, 2, 2, 0, BY(BMS)},
        {"one is switched off", {{0, 99, 1, 0}, {40, 99, 1, 1}}, 2, 2, 50, BY(MOS)},
        {"and discharges", {{-40, 99, 1, 0}, {40, 99, 1, 1}}, 2, 2, 50, BY(MOS)},
        {"switched off, but it flows", {{2, 99, 1, 0}, {40, 99, 1, 1}}, 2, 2, 0, BY(MOS)},
        {"an offset of its shunt", {{0.9, 99, 1, 0}, {40, 99, 1, 1}}, 2, 2, 50, BY(MOS)},
        {"one is missing", {{20, 99, UNKNOWN, 1}, {20, 99, 1, 1}}, 2, 1, 50, BY(PACK_MISSING)},
        {"one is missing that is needed",
         {{20, 99, UNKNOWN, 1}, {20, 99, 1, 1}},
         2,
         2,
         0,
         BY(STALE)},
        {"one grows old", {{20, 99, 10, 1}, {20, 99, 1, 1}}, 2, 2, 50, BY(STALE)},
        {"one that is not needed", {{20, 99, 10, 1}, {20, 99, 1, 1}}, 2, 1, 75, BY(STALE)},
        {"one of those needed",
         {{9, 99, 10, 1}, {9, 99, 7.5, 1}, {9, 99, 1, 1}},
         3,
         2,
         75,
         BY(STALE)},
        {"one has no current", {{UNKNOWN, 99, 1, 1}, {20, 99, 1, 1}}, 2, 2, 0, BY(UNKNOWN)},
        {"three", {{20, 99, 1, 1}, {20, 15, 1, 1}, {20, 99, 1, 1}}, 3, 3, 45, BY(BMS)},
        {"none", {{20, 99, UNKNOWN, 1}, {20, 99, UNKNOWN, 1}}, 2, 1, 0, BY(STALE)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct map_allowed allowed =
            bank_of(cases[i].members, cases[i].count, cases[i].needed);
        expect_current(cases[i].what, allowed.charge_current_a, allowed.charge_limited_by,
                       cases[i].charge_a, cases[i].by);
    }
}

/* The section of a pack lowers its part of the sum, although its share of the current would permit more. */
TEST(own_section_in_a_bank)
{
    const struct map_allowed own = {
        .configured = true, .charge_current_a = 4, .charge_limited_by = BY(SOC)};
    struct limits_config config = house;
    struct limits_state memory;
    struct map_allowed allowed = {0};
    struct pack packs[] = {fine(), fine()};
    packs[0].value[CURRENT_A] = 7;
    packs[1].value[CURRENT_A] = 3;
    config.charge_current_a = 20;
    const struct limits_pack parts[] = {{&packs[0], true, false, 10, STALE_AFTER_S, NULL, 0},
                                        {&packs[1], true, false, 1, STALE_AFTER_S, &own, 0}};
    limits_init(&memory, &config, 1000);
    for (double now = 1000; now < 1000 + SETTLED_S; now++)
        allowed = limits_update(&config, parts, 2, 1, &memory, now);
    /* The first pack is half stale. By the shares of 0.7 and 0.3 alone it would be 4 A / 0.3. */
    expect_current("half of one, and the own limit", allowed.charge_current_a,
                   allowed.charge_limited_by, 10.0 / 2 + 4, BY(SOC));
    assert_int_equal(allowed.charge_limited_pack, 2);
}

/* Its charge voltage as well, as long as the bank counts the pack; unknown is no permission. */
TEST(own_voltage_in_a_bank)
{
    static const struct {
        const char *what;
        double own_v, age_s, expected;
    } cases[] = {{"lower", 13.2, 1, 13.2},
                 {"higher", 14, 1, 13.504},
                 {"unknown", UNKNOWN, 1, UNKNOWN},
                 {"unknown, and the pack is missing", UNKNOWN, UNKNOWN, 13.504}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct pack packs[] = {fine(), fine()};
        const struct map_allowed own = {.configured = true,
                                        .charge_voltage_v = cases[i].own_v,
                                        .charge_current_a = 10,
                                        .discharge_current_a = 10};
        const struct limits_pack parts[] = {
            {.values = &packs[0], .fresh = true, .age_s = 1, .stale_after_s = STALE_AFTER_S},
            {.values = &packs[1],
             .fresh = !isnan(cases[i].age_s),
             .age_s = cases[i].age_s,
             .stale_after_s = STALE_AFTER_S,
             .own = &own}};
        struct limits_state memory;
        limits_init(&memory, &house, 0);
        const double found = limits_update(&house, parts, 2, 1, &memory, 1).charge_voltage_v;
        if (isnan(cases[i].expected) ? !isnan(found) : fabs(found - cases[i].expected) > 1e-9)
            fail_msg("%s: %g V", cases[i].what, found);
    }
}

/* The pack that limits the bank, for the status; none if all or none do. */
TEST(which_pack)
{
    static const struct {
        const char *what;
        struct member members[3];
        unsigned needed, pack;
    } cases[] = {
        {"no limit", {{20, 99, 1, 1}, {20, 99, 1, 1}}, 2, 0},
        {"the second may less", {{20, 99, 1, 1}, {20, 10, 1, 1}}, 2, 2},
        {"the first takes most", {{30, 99, 1, 1}, {10, 99, 1, 1}}, 2, 1},
        {"the second may nothing", {{20, 99, 1, 1}, {20, 0, 1, 1}}, 2, 2},
        {"the second is off", {{40, 99, 1, 1}, {0, 99, 1, 0}}, 2, 2},
        {"one is missing", {{20, 99, UNKNOWN, 1}, {20, 99, 1, 1}}, 1, 0},
        {"one is missing, the other may nothing", {{20, 99, UNKNOWN, 1}, {20, 0, 1, 1}}, 1, 2},
        {"all are", {{20, 99, UNKNOWN, 1}, {20, 99, UNKNOWN, 1}}, 1, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const unsigned found = bank_of(cases[i].members, 2, cases[i].needed).charge_limited_pack;
        if (found != cases[i].pack)
            fail_msg("%s: %u, expected %u", cases[i].what, found, cases[i].pack);
    }
}

#define COURSES 400
#define STEPS 400
#define PACKS_MOST 3

struct world {
    uint64_t chance;
    struct limits_config config;
    struct pack packs[PACKS_MOST];
    struct limits_pack parts[PACKS_MOST];
    unsigned count, needed;
    struct alarms alarms[PACKS_MOST];
    bool reported[PACKS_MOST][PACK_VALUES]; /* since the start */
    uint32_t protections[PACKS_MOST];       /* the same */
    double now;
    double enough_at; /* when enough packs were last fresh */
};

static bool rarely(struct world *world)
{
    return prng_range(&world->chance, 0, 30) == 0;
}

static double between(struct world *world, double low, double high)
{
    return low + (high - low) * prng_unit(&world->chance);
}

static void wander(struct world *world, struct pack *pack)
{
    static const struct {
        enum pack_value id;
        double low, high;
    } ranges[] = {
        {CURRENT_A, -160, 160},
        {SOC_PERCENT, 0, 100},
        {MOS_TEMP_C, 0, 100},
        {CHARGE_CURRENT_LIMIT_A, 0, 200},
        {DISCHARGE_CURRENT_LIMIT_A, 0, 200},
        {CHARGE_VOLTAGE_LIMIT_V, 12, 15},
        {CELL_MV, 2700, 3600},
        {CELL_MV + 1, 2700, 3600},
        {CELL_MV + 2, 3200, 3380},
        {CELL_MV + 3, 3200, 3380},
        {TEMP_C, -10, 60},
        {TEMP_C + 1, -10, 60},
        {CHARGE_MOS, 0, 1},
        {DISCHARGE_MOS, 0, 1},
        {CELL_COUNT, 4, 4},
    };
    for (size_t i = 0; i < COUNT(ranges); i++) {
        double *value = &pack->value[ranges[i].id];
        if (ranges[i].id == CHARGE_MOS || ranges[i].id == DISCHARGE_MOS)
            *value = rarely(world) ? 0 : isnan(*value) || rarely(world) ? 1 : *value;
        else if (rarely(world) || isnan(*value))
            *value = between(world, ranges[i].low, ranges[i].high);
        if (prng_range(&world->chance, 0, 400) == 0)
            *value = UNKNOWN;
    }
    pack_clear_alarms(pack);
    if (prng_range(&world->chance, 0, 60) > 0)
        for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++)
            pack_alarm(pack, (enum pack_alarm) alarm,
                       prng_range(&world->chance, 0, 900) == 0 ? ALARM_PROTECTION : 0);
    pack_unset(pack, CELL_MAX_MV);
    pack_unset(pack, CELL_MIN_MV);
    pack_derive(pack);
}

static void start_world(struct world *world)
{
    world->config = house;
    if (prng_range(&world->chance, 0, 1))
        world->config.soc_ceiling_percent = between(world, 20, 90);
    if (prng_range(&world->chance, 0, 1)) {
        world->config.mos_temperature.count = 0;
        world->config.soc_high.count = world->config.soc_low.count = 0;
    }
    world->count = (unsigned) prng_range(&world->chance, 1, PACKS_MOST);
    world->needed = (unsigned) prng_range(&world->chance, 1, (int) world->count);
    world->now = between(world, 0, 1e6);
    world->enough_at = -INFINITY;
    world->config.on_stale = (unsigned) prng_range(&world->chance, 0, 1);
    for (unsigned i = 0; i < world->count; i++) {
        pack_clear(&world->packs[i]);
        wander(world, &world->packs[i]);
        world->parts[i] = (struct limits_pack){
            .values = &world->packs[i], .fresh = true, .stale_after_s = between(world, 2, 60)};
    }
}

static void forget(struct world *world)
{
    memset(world->alarms, 0, sizeof world->alarms);
    memset(world->reported, 0, sizeof world->reported);
    memset(world->protections, 0, sizeof world->protections);
}

static void step_world(struct world *world)
{
    const double step = rarely(world) ? between(world, 0, 100) : between(world, 0, 2);
    world->now += step;
    for (unsigned i = 0; i < world->count; i++) {
        struct limits_pack *part = &world->parts[i];
        part->age_s += step;
        part->fresh = !rarely(world);
        if (prng_range(&world->chance, 0, 4) > 0) {
            wander(world, &world->packs[i]);
            part->age_s = between(world, 0, 1);
        }
    }
}

/* Computes the same curve independently: the line between the two points around the value. */
static double share_at(const struct curve *curve, double value)
{
    double share = value < curve->points[0].at ? curve->points[0].share
                                               : curve->points[curve->count - 1].share;
    for (unsigned i = 1; i < curve->count; i++) {
        const struct curve_point *a = &curve->points[i - 1], *b = &curve->points[i];
        if (value >= a->at && value <= b->at)
            share = a->share * (b->at - value) / (b->at - a->at) +
                    b->share * (value - a->at) / (b->at - a->at);
    }
    return share;
}

static bool counts(const struct limits_pack *part)
{
    return part->fresh && part->age_s < part->stale_after_s;
}

/* The lowest of all limits of a pack, computed independently; 0 if a required value is unknown. */
static double most_of(const struct world *world, unsigned i, bool charges)
{
    const struct limits_config *config = &world->config;
    const struct limits_pack *part = &world->parts[i];
    const double *value = part->values->value;
    double most = (charges ? config->charge_current_a : config->discharge_current_a) / world->count;
    const double all = most;
    const uint32_t unrelated =
        charges ? 1u << CELL_UNDER_VOLTAGE | 1u << PACK_UNDER_VOLTAGE |
                      1u << DISCHARGE_OVER_CURRENT | 1u << DISCHARGE_OVER_TEMPERATURE |
                      1u << DISCHARGE_UNDER_TEMPERATURE | 1u << SOC_LOW | 1u << DISCHARGE_MOS_FAULT
                : 1u << CELL_OVER_VOLTAGE | 1u << PACK_OVER_VOLTAGE | 1u << CHARGE_OVER_CURRENT |
                      1u << CHARGE_OVER_TEMPERATURE | 1u << CHARGE_UNDER_TEMPERATURE |
                      1u << SOC_HIGH | 1u << CHARGE_MOS_FAULT;
    const enum pack_value limit = charges ? CHARGE_CURRENT_LIMIT_A : DISCHARGE_CURRENT_LIMIT_A;
    const enum pack_value mos = charges ? CHARGE_MOS : DISCHARGE_MOS;
    const uint32_t unread = world->protections[i] & ~part->values->alarms_can_protect;
    if (!counts(part) || (world->alarms[i].protection | unread) & ~unrelated)
        return 0;
    if (isnan(value[CELL_COUNT]) || value[mos] == 0 ||
        (isnan(value[mos]) && world->reported[i][mos]) ||
        (isnan(value[limit]) && world->reported[i][limit]))
        return 0;
    if (!isnan(value[limit]))
        most = fmin(most, value[limit]);
    for (int n = 0; n < 4; n++) {
        if (isnan(value[CELL_MV + n]))
            return 0;
        most = fmin(most, all * share_at(charges ? &config->cell_high : &config->cell_low,
                                         value[CELL_MV + n] / 1000));
    }
    for (int n = 0; n < 2; n++) {
        if (isnan(value[TEMP_C + n]))
            return 0;
        most = fmin(most, all * share_at(&config->temperature, value[TEMP_C + n]));
    }
    if (charges && config->soc_ceiling_percent > 0 &&
        !(value[SOC_PERCENT] < config->soc_ceiling_percent))
        return 0;
    if (config->mos_temperature.count > 0) {
        if (isnan(value[MOS_TEMP_C]) || isnan(value[SOC_PERCENT]))
            return 0;
        most = fmin(most, all * share_at(&config->mos_temperature, value[MOS_TEMP_C]));
        most = fmin(most, all * share_at(charges ? &config->soc_high : &config->soc_low,
                                         value[SOC_PERCENT]));
    }
    return most;
}

static double expired(const struct world *world, const struct limits_pack *part, bool charges)
{
    if (!charges && world->config.on_stale == STALE_DISCHARGE)
        return 1;
    return part->age_s <= 5 ? 1 : (part->stale_after_s - part->age_s) / (part->stale_after_s - 5);
}

/* A bank is allowed no more than the sum of its packs, and no pack gets more than its own limit at the present
 * shares. Stale values allow no charging; discharging as before only with on_stale, and for 10 s. */
static void check_bounds(const struct world *world, double allowed, double before, bool charges)
{
    const double sign = charges ? 1 : -1;
    double sum = 0, flows = 0;
    unsigned present = 0;
    for (unsigned i = 0; i < world->count; i++) {
        if (!counts(&world->parts[i]))
            continue;
        present++;
        sum += most_of(world, i, charges) * expired(world, &world->parts[i], charges);
        if (world->packs[i].value[charges ? CHARGE_MOS : DISCHARGE_MOS] != 0)
            flows += fmax(sign * world->packs[i].value[CURRENT_A], 0);
    }
    if (present < world->needed) {
        const bool goes_on = !charges && world->config.on_stale == STALE_DISCHARGE &&
                             world->now - world->enough_at <= 10;
        sum = !goes_on ? 0 : present > 0 ? fmin(sum, before) : before;
    }
    if (!(allowed >= 0 && allowed <= sum + 1e-9))
        fail_msg("%g A where the packs may %g A", allowed, sum);
    for (unsigned i = 0; world->count > 1 && i < world->count; i++) {
        const double amps = sign * world->packs[i].value[CURRENT_A];
        if (!counts(&world->parts[i]) || flows < 15 || !(amps > 0) ||
            world->packs[i].value[charges ? CHARGE_MOS : DISCHARGE_MOS] == 0)
            continue;
        if (allowed * amps / flows > most_of(world, i, charges) + 1e-9)
            fail_msg("%g A, of which pack %u gets %g A and may %g A", allowed, i,
                     allowed * amps / flows, most_of(world, i, charges));
    }
}

/* The values of a pack that is not fresh must make no difference. */
static void check_twin(const struct world *world, const struct limits_state *before,
                       const struct map_allowed *found)
{
    struct world twin = *world;
    struct limits_state memory = *before;
    for (unsigned i = 0; i < twin.count; i++) {
        twin.parts[i].values = &twin.packs[i];
        if (counts(&twin.parts[i]))
            continue;
        wander(&twin, &twin.packs[i]);
        twin.parts[i].fresh = false;
    }
    const struct map_allowed other =
        limits_update(&twin.config, twin.parts, twin.count, twin.needed, &memory, twin.now);
    assert_true(other.charge_current_a == found->charge_current_a);
    assert_true(other.discharge_current_a == found->discharge_current_a);
}

static void remember(struct world *world)
{
    for (unsigned i = 0; i < world->count; i++) {
        if (!counts(&world->parts[i]))
            continue;
        world->alarms[i] = alarms_after(world->alarms[i], &world->packs[i], 0);
        world->protections[i] |= world->packs[i].alarms_can_protect;
        for (int id = 0; id < PACK_VALUES; id++)
            world->reported[i][id] |= pack_known(&world->packs[i], (enum pack_value) id);
    }
}

static void note_enough(struct world *world)
{
    unsigned present = 0;
    for (unsigned i = 0; i < world->count; i++)
        present += counts(&world->parts[i]);
    if (present >= world->needed)
        world->enough_at = world->now;
}

static void run_course(uint64_t seed, double *most_seen)
{
    struct world world = {.chance = seed};
    struct limits_state memory;
    struct map_allowed last = {0};
    double last_at = 0;
    start_world(&world);
    limits_init(&memory, &world.config, world.now);
    last_at = world.now;
    for (int step = 0; step < STEPS; step++) {
        step_world(&world);
        if (prng_range(&world.chance, 0, 300) == 0) { /* a restart */
            limits_init(&memory, &world.config, world.now);
            forget(&world);
            last = (struct map_allowed){0};
            last_at = world.now;
            world.enough_at = -INFINITY;
        }
        const struct limits_state before = memory;
        remember(&world);
        const struct map_allowed now = limits_update(&world.config, world.parts, world.count,
                                                     world.needed, &memory, world.now);
        note_enough(&world);
        check_bounds(&world, now.charge_current_a, last.charge_current_a, true);
        check_bounds(&world, now.discharge_current_a, last.discharge_current_a, false);
        check_twin(&world, &before, &now);
        const double risen = 5 * (world.now - last_at) + 1e-9;
        assert_true(now.charge_current_a <= last.charge_current_a + risen);
        assert_true(now.discharge_current_a <= last.discharge_current_a + risen);
        assert_false(now.charge_voltage_v > 4 * 3.45 + 1e-9);
        *most_seen = fmax(*most_seen, now.charge_current_a);
        last = now;
        last_at = world.now;
    }
}

TEST(any_course)
{
    double most_seen = 0;
    for (uint64_t seed = 1; seed <= COURSES; seed++)
        run_course(seed * 7919, &most_seen);
    assert_true(most_seen > 30); /* the random courses do allow a current */
}
