// SPDX-License-Identifier: MIT
/* The table of units, and what can be read of a unit in each state. */
#include "modbus/units.h"
#include "bms/count.h"

#include <math.h>
#include <string.h>

#include "pack_test.h"

static const struct map_settings settings = {.base = MAP_BASE_DEFAULT,
                                             .also_at = MAP_ALSO_AT_DEFAULT};
/* Two registers of the compatibility block: the state of charge, and the seconds counter, which is not a value of the
 * pack. */
#define SOC MAP_BASE_DEFAULT
#define SECONDS (MAP_BASE_DEFAULT + 51)
#define FAILURE (MAP_BASE_DEFAULT + 45)
#define STATE (MAP_BASE_DEFAULT + MAP_EXTENDED_OFFSET + 1)
#define AGE (MAP_BASE_DEFAULT + MAP_EXTENDED_OFFSET + 10)

/* When values are published here, and how long they are fresh. */
#define NOW 1000.0
#define GOOD_UNTIL 1009.0

static struct map_status status_of(enum map_state state)
{
    return (struct map_status){.state = state,
                               .age_s = 1,
                               .driver = "daly",
                               .peak = {.percent = -1},
                               .charged_wh = NAN,
                               .discharged_wh = NAN};
}

static struct pack pack_at(double soc)
{
    struct pack pack = cleared_pack();
    pack_set(&pack, SOC_PERCENT, soc);
    return pack;
}

static struct pack values;
static struct source source;

static void open_unit(struct unit *unit, enum on_stale on_stale)
{
    values = cleared_pack();
    source = (struct source){.name = "house-1",
                             .values = &values,
                             .status = status_of(MAP_STATE_NEVER),
                             .good_until = NAN,
                             .read_at = NAN};
    unit_open(unit, 1, &source, &settings, on_stale);
}

static void change(struct unit *unit, double soc, enum map_state state, bool whole)
{
    values = pack_at(soc);
    source.status.state = state;
    source.good_until = GOOD_UNTIL;
    source.read_at = NOW - 1;
    unit_update(unit, whole, NOW);
}

static void publish(struct unit *unit, double soc, enum map_state state)
{
    change(unit, soc, state, true);
}

static void refresh(struct unit *unit, enum map_state state)
{
    change(unit, 10, state, false);
}

static uint8_t read_range(const struct unit *unit, uint8_t function, unsigned address,
                          unsigned count)
{
    const struct mbap_request request = {
        .unit = 1, .function = function, .read = {(uint16_t) address, (uint16_t) count}};
    return unit_check(unit, &request);
}

static uint8_t read_soc(const struct unit *unit)
{
    const uint8_t holding = read_range(unit, 3, SOC, 1);
    assert_int_equal(read_range(unit, 4, SOC, 1), holding);
    return holding;
}

TEST(table)
{
    struct units units = {{0}};
    struct unit first = {.id = 1}, again = {.id = 1}, last = {.id = 247};
    struct unit zero = {.id = 0}, beyond = {.id = 248};
    assert_true(units_add(&units, &first));
    assert_true(units_add(&units, &last));
    assert_false(units_add(&units, &again));
    assert_false(units_add(&units, &zero));
    assert_false(units_add(&units, &beyond));
    for (unsigned id = 0; id < 256; id++) {
        const struct unit *expected = id == 1 ? &first : id == 247 ? &last : NULL;
        assert_ptr_equal(units.by_id[id], expected);
    }
}

/* Before the first values nothing can be served, not even with on_stale = hold. */
TEST(never_read)
{
    static const enum on_stale both[] = {STALE_EXCEPTION, STALE_HOLD};
    for (size_t i = 0; i < COUNT(both); i++) {
        struct unit unit;
        open_unit(&unit, both[i]);
        assert_int_equal(read_soc(&unit), 0x0B);
        refresh(&unit, MAP_STATE_NEVER);
        assert_int_equal(read_soc(&unit), 0x0B);
        assert_int_equal(read_range(&unit, 3, SECONDS, 1), 0);
        unit_close(&unit);
    }
}

/* A coil has no value that stands for unknown. Neither the first values of a pack, nor a BMS that never reports its switches, may
 * make one read as off; writing needs no value. */
TEST(unknown_switches)
{
    static const enum on_stale both[] = {STALE_EXCEPTION, STALE_HOLD};
    for (size_t i = 0; i < COUNT(both); i++) {
        struct unit unit;
        open_unit(&unit, both[i]);
        publish(&unit, 77, MAP_STATE_FRESH);
        assert_int_equal(read_soc(&unit), 0);
        assert_int_equal(read_range(&unit, 1, 0, 1), 0x0B);
        assert_int_equal(read_range(&unit, 1, 0, 2), 0x0B);
        assert_int_equal(read_range(&unit, 2, 32, 2), 0);
        pack_set(&values, DISCHARGE_MOS, 0);
        unit_update(&unit, true, NOW);
        assert_int_equal(read_range(&unit, 1, MAP_COIL_CHARGE, 1), 0x0B);
        assert_int_equal(read_range(&unit, 1, 0, 2), 0x0B);
        assert_int_equal(read_range(&unit, 1, MAP_COIL_DISCHARGE, 1), 0);
        const struct mbap_request write = {.unit = 1, .function = 5, .write = {MAP_COIL_CHARGE, 1}};
        assert_int_equal(unit_check(&unit, &write), 0);
        unit_close(&unit);
    }
}

/* The state, and the fixed registers that a refresh does not write, can be read before the first values. */
TEST(status_before_values)
{
    struct unit unit;
    open_unit(&unit, STALE_EXCEPTION);
    refresh(&unit, MAP_STATE_NEVER);
    uint16_t *expected = test_calloc(map_size(&settings), sizeof *expected);
    map_encode(&settings, &values, &source.status, expected);
    assert_memory_equal(unit.registers, expected, map_size(&settings) * sizeof *expected);
    test_free(expected);
    unit_close(&unit);
}

TEST(fresh_and_stale)
{
    struct unit unit;
    open_unit(&unit, STALE_EXCEPTION);
    publish(&unit, 77, MAP_STATE_FRESH);
    assert_int_equal(read_soc(&unit), 0);
    assert_int_equal(unit.registers[SOC], 77);
    refresh(&unit, MAP_STATE_STALE);
    assert_int_equal(read_soc(&unit), 0x0B);
    assert_int_equal(read_range(&unit, 3, SECONDS, 1), 0);
    assert_int_equal(read_range(&unit, 3, MAP_BASE_DEFAULT, MAP_COMPAT_SIZE), 0x0B);
    refresh(&unit, MAP_STATE_NO_LINE);
    assert_int_equal(read_soc(&unit), 0x0B);
    publish(&unit, 78, MAP_STATE_FRESH);
    assert_int_equal(read_soc(&unit), 0);
    assert_int_equal(unit.registers[SOC], 78);
    unit_close(&unit);
}

TEST(hold)
{
    struct unit unit;
    open_unit(&unit, STALE_HOLD);
    publish(&unit, 77, MAP_STATE_FRESH);
    refresh(&unit, MAP_STATE_STALE);
    assert_int_equal(read_soc(&unit), 0);
    assert_int_equal(unit.registers[SOC], 77);
    unit_close(&unit);
}

static unsigned age_of(const struct unit *unit)
{
    return unit->registers[AGE];
}

/* Without a notification, the unit itself detects that its values are stale. */
TEST(judged)
{
    struct unit unit;
    open_unit(&unit, STALE_EXCEPTION);
    unit_judge(&unit, NOW); /* never read: nothing to update */
    assert_int_equal(read_soc(&unit), 0x0B);
    publish(&unit, 77, MAP_STATE_FRESH);
    unit_judge(&unit, GOOD_UNTIL);
    assert_int_equal(read_soc(&unit), 0);
    assert_int_equal(unit.registers[STATE], MAP_STATE_FRESH);
    assert_int_equal(age_of(&unit), 10);
    unit_judge(&unit, GOOD_UNTIL + 0.001);
    assert_int_equal(read_soc(&unit), 0x0B);
    assert_int_equal(unit.registers[STATE], MAP_STATE_STALE);
    assert_int_equal(unit.registers[FAILURE], 1);
    assert_int_equal(age_of(&unit), 11);
    /* Stale values do not change, but their age does. */
    refresh(&unit, MAP_STATE_NO_LINE);
    unit_judge(&unit, GOOD_UNTIL + 100);
    assert_int_equal(unit.registers[STATE], MAP_STATE_NO_LINE);
    assert_int_equal(age_of(&unit), 110);
    publish(&unit, 78, MAP_STATE_FRESH);
    unit_judge(&unit, NOW);
    assert_int_equal(read_soc(&unit), 0);
    assert_int_equal(age_of(&unit), 1);
    unit_close(&unit);
}

/* Both ends of each block, of the discrete inputs and of the coils. Outside takes precedence over stale. */
// clang-format off
static const struct {
    uint8_t function;
    unsigned first, size;
} tables[] = {
    {3, MAP_ALSO_AT_DEFAULT,                       MAP_COMPAT_SIZE},
    {3, MAP_BASE_DEFAULT,                          MAP_COMPAT_SIZE},
    {4, MAP_BASE_DEFAULT,                          MAP_COMPAT_SIZE},
    {3, MAP_BASE_DEFAULT + MAP_EXTENDED_OFFSET,    MAP_EXTENDED_SIZE},
    {1, 0,                                         MAP_COILS},
    {2, 0,                                         MAP_INPUTS},
};
// clang-format on

TEST(ends)
{
    struct unit unit;
    open_unit(&unit, STALE_EXCEPTION);
    publish(&unit, 77, MAP_STATE_FRESH);
    for (int stale = 0; stale < 2; stale++) {
        for (size_t i = 0; i < COUNT(tables); i++) {
            const uint8_t f = tables[i].function;
            const unsigned first = tables[i].first, behind = first + tables[i].size;
            assert_int_not_equal(read_range(&unit, f, first, 1), 2);
            assert_int_not_equal(read_range(&unit, f, behind - 1, 1), 2);
            assert_int_not_equal(read_range(&unit, f, behind - 2, 2), 2);
            assert_int_equal(read_range(&unit, f, behind - 1, 2), 2);
            assert_int_equal(read_range(&unit, f, behind, 1), 2);
            if (first > 0) {
                assert_int_equal(read_range(&unit, f, first - 1, 1), 2);
                assert_int_equal(read_range(&unit, f, first - 1, 2), 2);
            }
        }
        refresh(&unit, MAP_STATE_STALE);
    }
    assert_int_equal(read_range(&unit, 3, 65535, 125), 2);
    assert_int_equal(read_range(&unit, 2, 65535, 2000), 2);
    unit_close(&unit);
}

/* No accepted range exceeds the arrays from which requests are answered. */
TEST(inside_arrays)
{
    struct unit unit;
    open_unit(&unit, STALE_HOLD);
    publish(&unit, 77, MAP_STATE_FRESH);
    for (unsigned address = 0; address <= 0xFFFF; address++) {
        if (read_range(&unit, 3, address, 1) == 0)
            assert_true(address < map_size(&settings));
        if (read_range(&unit, 1, address, 1) == 0)
            assert_true(address < MAP_COILS);
        if (read_range(&unit, 2, address, 1) == 0)
            assert_true(address < MAP_INPUTS);
    }
    unit_close(&unit);
}

/* Function 23 has two ranges, and both are checked. */
TEST(two_ranges)
{
    struct unit unit;
    open_unit(&unit, STALE_EXCEPTION);
    publish(&unit, 77, MAP_STATE_FRESH);
    struct mbap_request request = {.unit = 1, .function = 23, .read = {SOC, 1}, .write = {SOC, 1}};
    assert_int_equal(unit_check(&unit, &request), 0);
    request.write.address = 0;
    assert_int_equal(unit_check(&unit, &request), 2);
    request.write.address = SOC;
    request.read.address = 0;
    assert_int_equal(unit_check(&unit, &request), 2);
    unit_close(&unit);
}
