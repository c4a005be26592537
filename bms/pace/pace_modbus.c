// SPDX-License-Identifier: MIT
/*
 * PACE boards on ports that are set to PACE_MODBUS: "PACE BMS Modbus protocol for RS485 V1.3" and a
 * longer layout for more cells. Follows the sheet `pace-modbus`; register numbers are decimal as
 * there. Oddities: register 15 is cell 1 or the number of cells, which identifies the layout;
 * "switches too hot" is one bit as a warning and another as a protection.
 */
#include "bms/modbus/modbus.h"

#define VALUES 37 /* registers that both layouts answer */
#define VALUES_LONG 59
#define LONG_CELLS 30
#define LONG_SENSORS 10
#define ABSENT 0xFFFF /* switches without a sensor, in the long layout */

enum { REG_VOLTAGE = 1, REG_SOC = 2, REG_SOH = 3, REG_LAYOUT = 15, REG_LONG_MOS = 57 };
enum { SETTINGS = 60, SETTINGS_COUNT = 47 };
enum { IDENTITY = 150, IDENTITY_COUNT = 30, LONG_IDENTITY = 170, LONG_IDENTITY_COUNT = 35 };

enum layout { LAYOUT_UNKNOWN, LAYOUT_SHORT, LAYOUT_LONG };

struct memory {
    enum layout layout;
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

/* Section 2. */
enum step { STEP_VALUES, STEP_LONG_VALUES, STEP_IDENTITY, STEP_LONG_IDENTITY, STEP_SETTINGS };

// clang-format off
static const struct bms_step plan[] = {
    [STEP_VALUES]        = {.name = "values", .vital = true, .read = {MODBUS_HOLDING, 0, VALUES}},
    [STEP_LONG_VALUES]   = {.name = "values, long layout", .vital = true, .read = {MODBUS_HOLDING, 0, VALUES_LONG}},
    [STEP_IDENTITY]      = {.name = "identity", .every_s = 3600, .read = {MODBUS_HOLDING, IDENTITY, IDENTITY_COUNT}},
    [STEP_LONG_IDENTITY] = {.name = "identity, long layout", .every_s = 3600,
                            .read = {MODBUS_HOLDING, LONG_IDENTITY, LONG_IDENTITY_COUNT}},
    [STEP_SETTINGS]      = {.name = "settings", .every_s = 3600, .read = {MODBUS_HOLDING, SETTINGS, SETTINGS_COUNT}},
};

/* Section 3. A sensor that is not fitted reads -200 °C. */
#define CELSIUS .type = MODBUS_S16, .divisor = 10, .lowest = -600, .highest = 1500, .blank = -2000

static const struct modbus_value common[] = {
    {.reg = 0,  .type = MODBUS_S16, .id = CURRENT_A,    .divisor = 100},
    {.reg = 1,  .type = MODBUS_U16, .id = VOLTAGE_V,    .divisor = 100},
    {.reg = 2,  .type = MODBUS_U16, .id = SOC_PERCENT},
    {.reg = 3,  .type = MODBUS_U16, .id = SOH_PERCENT, .blank = 100},
    {.reg = 4,  .type = MODBUS_U16, .id = REMAINING_AH, .divisor = 100},
    {.reg = 5,  .type = MODBUS_U16, .id = FULL_AH,      .divisor = 100},
    {.reg = 6,  .type = MODBUS_U16, .id = RATED_AH,     .divisor = 100},
    {.reg = 7,  .type = MODBUS_U16, .id = CYCLES},
    {.reg = 11, .type = MODBUS_BIT, .bit = 10, .id = CHARGE_MOS},
    {.reg = 11, .type = MODBUS_BIT, .bit = 11, .id = DISCHARGE_MOS},
    {.reg = 12, .type = MODBUS_U16, .id = BALANCE_MASK},
};

static const struct modbus_value short_layout[] = {
    {.reg = 15, .type = MODBUS_U16, .id = CELL_MV, .count = 16},
    {.reg = 31, CELSIUS, .id = TEMP_C, .count = 4},
    {.reg = 35, CELSIUS, .id = MOS_TEMP_C},
};
static const struct modbus_value short_identity[] = {
    {.reg = 150, .type = MODBUS_TEXT, .id = FIRMWARE, .count = 10},
    {.reg = 160, .type = MODBUS_TEXT, .id = SERIAL,   .count = 10},
};

/* Section 5; those of protections, not of warnings. Their place in the long layout is unknown. */
#define SET .type = MODBUS_U16, .lowest = 1, .highest = 0xFFFE

static const struct modbus_value settings[] = {
    {.reg = 65,  SET,     .id = SET_CELL_HIGH_MV},
    {.reg = 66,  SET,     .id = SET_CELL_HIGH_RELEASE_MV},
    {.reg = 73,  SET,     .id = SET_CELL_LOW_MV},
    {.reg = 74,  SET,     .id = SET_CELL_LOW_RELEASE_MV},
    {.reg = 77,  SET,     .id = SET_CHARGE_CURRENT_A},
    {.reg = 80,  SET,     .id = SET_DISCHARGE_CURRENT_A},
    {.reg = 85,  CELSIUS, .id = SET_CHARGE_HOT_C},
    {.reg = 86,  CELSIUS, .id = SET_CHARGE_HOT_RELEASE_C},
    {.reg = 88,  CELSIUS, .id = SET_DISCHARGE_HOT_C},
    {.reg = 89,  CELSIUS, .id = SET_DISCHARGE_HOT_RELEASE_C},
    {.reg = 91,  CELSIUS, .id = SET_CHARGE_COLD_C},
    {.reg = 92,  CELSIUS, .id = SET_CHARGE_COLD_RELEASE_C},
    {.reg = 94,  CELSIUS, .id = SET_DISCHARGE_COLD_C},
    {.reg = 95,  CELSIUS, .id = SET_DISCHARGE_COLD_RELEASE_C},
    {.reg = 97,  CELSIUS, .id = SET_MOS_HOT_C},
    {.reg = 98,  CELSIUS, .id = SET_MOS_HOT_RELEASE_C},
    {.reg = 105, SET,     .id = SET_BALANCE_START_MV},
    {.reg = 106, SET,     .id = SET_BALANCE_DIFFERENCE_MV},
};

static const struct modbus_value long_layout[] = {
    {.reg = 15, .type = MODBUS_U16, .id = CELL_COUNT, .lowest = 1, .highest = LONG_CELLS},
    {.reg = 16, .type = MODBUS_U16, .id = CELL_MV, .count = LONG_CELLS, .counted = 15},
    {.reg = 46, .type = MODBUS_U16, .id = TEMP_COUNT, .lowest = 0, .highest = LONG_SENSORS},
    {.reg = 47, CELSIUS, .id = TEMP_C, .count = LONG_SENSORS, .counted = 46},
};
static const struct modbus_value long_identity[] = {
    {.reg = 170, .type = MODBUS_TEXT, .id = FIRMWARE, .count = 10},
    {.reg = 180, .type = MODBUS_TEXT, .id = SERIAL,   .count = 10},
};

/* The same bit of 9 warns, that of 10 protects. */
#define LEVELS(bit, alarm) MODBUS_ALARM(9, bit, alarm, WARN), MODBUS_ALARM(10, bit, alarm, PROT)

/* Section 4. */
static const struct modbus_alarm alarms[] = {
    LEVELS( 0, CELL_OVER_VOLTAGE),
    LEVELS( 1, CELL_UNDER_VOLTAGE),
    LEVELS( 2, PACK_OVER_VOLTAGE),
    LEVELS( 3, PACK_UNDER_VOLTAGE),
    LEVELS( 4, CHARGE_OVER_CURRENT),
    LEVELS( 5, DISCHARGE_OVER_CURRENT),
    LEVELS( 8, CHARGE_OVER_TEMPERATURE),
    LEVELS( 9, DISCHARGE_OVER_TEMPERATURE),
    LEVELS(10, CHARGE_UNDER_TEMPERATURE),
    LEVELS(11, DISCHARGE_UNDER_TEMPERATURE),
    MODBUS_ALARM( 9, 14, MOS_OVER_TEMPERATURE,        WARN),
    MODBUS_ALARM( 9, 15, SOC_LOW,                     WARN),
    MODBUS_ALARM(10,  6, SHORT_CIRCUIT,               PROT),
    MODBUS_ALARM(10, 12, MOS_OVER_TEMPERATURE,        PROT),
    MODBUS_ALARM(11,  0, CHARGE_MOS_FAULT,            PROT),
    MODBUS_ALARM(11,  1, DISCHARGE_MOS_FAULT,         PROT),
    MODBUS_ALARM(11,  2, TEMP_SENSOR_FAULT,           PROT),
    MODBUS_ALARM(11,  4, HARDWARE_FAULT,              PROT), /* a cell */
    MODBUS_ALARM(11,  5, COMMUNICATION_FAULT,         PROT), /* front end */
};
// clang-format on

/* Section 2. A board that has shown cell 1 there may read 0 when the cell's wire breaks. */
static enum layout layout_of(struct bms *bms, const struct modbus_window *window)
{
    const struct memory *memory = bms_memory(bms);
    if (!modbus_has(window, REG_LAYOUT, 1))
        return memory->layout;
    unsigned word = modbus_word(window, REG_LAYOUT);
    if (word >= 1 && word <= LONG_CELLS)
        return LAYOUT_LONG;
    if (word == 0)
        return memory->layout == LAYOUT_SHORT ? LAYOUT_SHORT : LAYOUT_UNKNOWN;
    return word >= 500 && word <= 5000 ? LAYOUT_SHORT : LAYOUT_UNKNOWN;
}

static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    if (window->start >= IDENTITY)
        return BMS_DONE;
    enum layout layout = layout_of(bms, window);
    /* What both layouts have can be read apart from the register that tells which one it is. */
    if (layout == LAYOUT_UNKNOWN)
        return window->start + window->count <= REG_LAYOUT ? BMS_DONE : BMS_INVALID;
    if (!modbus_has(window, 0, VALUES))
        return BMS_DONE;
    /* Section 6. */
    unsigned first = REG_LAYOUT, count = 16;
    if (layout == LAYOUT_LONG)
        count = modbus_word(window, first++);
    while (layout == LAYOUT_SHORT && count > 0 && modbus_word(window, first + count - 1) == 0)
        count--; /* unfitted */
    bool fits = modbus_word(window, REG_SOC) <= 100 && modbus_word(window, REG_SOH) <= 200 &&
                ((layout == LAYOUT_LONG && !modbus_has(window, first, count)) ||
                 modbus_cells_fit(window, first, count, modbus_word(window, REG_VOLTAGE) / 100.0));
    return fits ? BMS_DONE : BMS_INVALID;
}

static void decode_layout(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    if (window->start >= IDENTITY) {
        /* While the layout is unknown, the first register of a read of all of it tells it; 170 alone
         * is the pack's serial number in the short one. */
        const bool all = window->start == LONG_IDENTITY && window->count == LONG_IDENTITY_COUNT;
        if (memory->layout == LAYOUT_LONG || (memory->layout == LAYOUT_UNKNOWN && all))
            modbus_take(bms, long_identity, COUNT(long_identity), window, pack);
        else
            modbus_take(bms, short_identity, COUNT(short_identity), window, pack);
        return;
    }
    memory->layout = layout_of(bms, window);
    if (memory->layout == LAYOUT_SHORT) {
        modbus_take(bms, short_layout, COUNT(short_layout), window, pack);
        modbus_take(bms, settings, COUNT(settings), window, pack);
    } else {
        modbus_take(bms, long_layout, COUNT(long_layout), window, pack);
        if (modbus_has(window, REG_LONG_MOS, 1) && modbus_word(window, REG_LONG_MOS) != ABSENT)
            pack_set(pack, MOS_TEMP_C, (int16_t) modbus_word(window, REG_LONG_MOS) / 10.0);
    }
}

static const struct modbus_map map = {
    MODBUS_MAP_VALUES(common),
    MODBUS_MAP_ALARMS(alarms),
    .raw_first = 9,
    .raw_count = 3,
    .check = check,
    .rest = decode_layout,
};

/* The short request is sent until the layout is known; the long one includes its registers. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    if (step == STEP_SETTINGS && memory->layout != LAYOUT_SHORT)
        return false;
    bool for_long = step == STEP_LONG_VALUES || step == STEP_LONG_IDENTITY;
    return for_long == (memory->layout == LAYOUT_LONG) && modbus_build(bms, step, request);
}

/* In the cycle that finds the layout, both replies contain the alarm words. */
static void finish(struct bms *bms, struct pack *pack)
{
    if (pack->raw_alarm_count > map.raw_count)
        pack->raw_alarm_count = map.raw_count;
    modbus_finish(bms, pack);
}

/* ---- emulator: packs of more than 16 cells have the long layout ---- */

static const struct modbus_value long_mos = {
    .reg = REG_LONG_MOS, .type = MODBUS_S16, .id = MOS_TEMP_C, .divisor = 10, .blank = ABSENT};

static const struct {
    const struct modbus_value *rows;
    size_t count;
    bool is_long;
} tables[] = {
    {short_layout, COUNT(short_layout), false},  {short_identity, COUNT(short_identity), false},
    {settings, COUNT(settings), false},          {long_layout, COUNT(long_layout), true},
    {long_identity, COUNT(long_identity), true}, {&long_mos, 1, true},
};

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const bool is_long = told->value[CELL_COUNT] > 16;
    if (reg == 11) /* with the direction of the current */
        return modbus_told_alarms(&map, told, reg) |
               modbus_told_rows(common, COUNT(common), told, function, reg) |
               (told->value[CURRENT_A] > 0) << 8 | (told->value[CURRENT_A] < 0) << 9;
    if (reg < REG_LAYOUT)
        return -1;
    for (size_t i = 0; i < COUNT(tables); i++) {
        const int32_t word = modbus_told_rows(tables[i].rows, tables[i].count, told, function, reg);
        if (tables[i].is_long == is_long && word >= 0)
            return word;
    }
    if (is_long)
        return reg == 58 ? ABSENT : reg >= 190 && reg <= 204 ? 0 : MODBUS_NONE;
    if (reg == 36)
        return 250;
    if (reg >= 170 && reg <= 179)
        return 0x2020;
    return reg >= SETTINGS && reg < SETTINGS + SETTINGS_COUNT ? 0 : MODBUS_NONE;
}

static const struct modbus_board board = {
    .word = board_word,
    .functions = {MODBUS_HOLDING},
    .most = VALUES_LONG,
};

static const struct bms_guess guesses[] = {{.address = 1}, {.address = 2}};

const struct bms_driver pace_modbus_driver = {
    .name = "pace-modbus",
    .title = "PACE, RS485 Modbus (V1.3 and the layout for up to 30 cells)",
    .guide = {.makes = "PACE boards set to PACE_MODBUS (Gobel, Jakiper, SOK, Hubble), JK with "
                       "protocol 004",
              .port = "RS485",
              .wires = "RS485, RJ45",
              .setting = "protocol PACE_MODBUS (PBmsTools or display), DIP switches. JK: `jk-pb` "
                         "reports more"},
    .address = {.min = 1, .max = 15, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 100},
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    MODBUS_ENGINE(map, board),
    .finish = finish,
};
