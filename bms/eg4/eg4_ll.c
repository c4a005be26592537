// SPDX-License-Identifier: MIT
/*
 * EG4 LL, LL-S, PowerPro and their relatives: "EG4-LL Battery MODBUS Communication Protocol".
 * Follows the sheet `eg4-ll`. Oddities: one generation counts current, charge and limit in tenths,
 * which only impossible numbers reveal; the number of sensors is not reported; address 16 is that
 * of the master. The state of the switches is not reported.
 */
#include "bms/modbus/modbus.h"

#include <math.h>

#define VALUES 39
#define SENSORS 6
#define CELLS_MOST 16
#define LIMIT_IMPOSSIBLE_A 500 /* no board allows that: these are tenths */
#define SENSOR_LEAST_C (-40)
#define SENSOR_MOST_C 100

enum {
    REG_VOLTAGE = 0,
    REG_CURRENT = 1,
    REG_CELLS = 2,
    REG_REMAINING = 21,
    REG_LIMIT = 22,
    REG_SOH = 23,
    REG_SOC = 24,
    REG_SENSORS = 33,
    REG_CELL_COUNT = 36,
    REG_IDENTITY = 105,
    IDENTITY_COUNT = 23
};

struct memory {
    bool tenths; /* seen of this unit */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

// clang-format off
static const struct bms_step plan[] = {
    {.name = "values", .vital = true, .read = {MODBUS_HOLDING, 0, VALUES}},
    {.name = "identity", .every_s = 3600, .read = {MODBUS_HOLDING, REG_IDENTITY, IDENTITY_COUNT}},
};

/* Section 3. Registers 19 and 20 change their meaning with the model. */
static const struct modbus_value values[] = {
    {.reg = 0,  .type = MODBUS_U16, .id = VOLTAGE_V, .divisor = 100},
    {.reg = 2,  .type = MODBUS_U16, .id = CELL_MV, .count = CELLS_MOST, .counted = REG_CELL_COUNT},
    {.reg = 18, .type = MODBUS_S16, .id = MOS_TEMP_C, .blank = 25},
    {.reg = 23, .type = MODBUS_U16, .id = SOH_PERCENT, .highest = 100, .required = true, .blank = 100},
    {.reg = 24, .type = MODBUS_U16, .id = SOC_PERCENT, .highest = 100, .required = true},
    {.reg = 29, .type = MODBUS_U32, .id = CYCLES},
    {.reg = 31, .type = MODBUS_U32, .id = FULL_AH, .divisor = 3.6e6, .lowest = 1, .highest = 0xFFFFFFFE},
    {.reg = 36, .type = MODBUS_U16, .id = CELL_COUNT, .lowest = 1, .highest = CELLS_MOST, .required = true},
    {.reg = 37, .type = MODBUS_U16, .id = RATED_AH, .divisor = 10, .lowest = 1, .highest = 0xFFFE},
    {.reg = 38, .type = MODBUS_U16, .id = BALANCE_MASK},
};
static const struct modbus_value identity[] = {
    {.reg = 105, .type = MODBUS_TEXT, .id = MODEL,    .count = 12},
    {.reg = 117, .type = MODBUS_TEXT, .id = FIRMWARE, .count = 3},
    {.reg = 120, .type = MODBUS_TEXT, .id = SERIAL,   .count = 8},
};

/* The same bit of 26 warns, that of 27 protects. */
#define LEVELS(bit, alarm) MODBUS_ALARM(26, bit, alarm, WARN), MODBUS_ALARM(27, bit, alarm, PROT)

/* Section 4. */
static const struct modbus_alarm alarms[] = {
    LEVELS( 0, PACK_OVER_VOLTAGE),
    LEVELS( 1, CELL_OVER_VOLTAGE),
    LEVELS( 2, PACK_UNDER_VOLTAGE),
    LEVELS( 3, CELL_UNDER_VOLTAGE),
    LEVELS( 4, CHARGE_OVER_CURRENT),
    LEVELS( 5, DISCHARGE_OVER_CURRENT),
    LEVELS( 7, MOS_OVER_TEMPERATURE),
    LEVELS( 8, CHARGE_OVER_TEMPERATURE),
    LEVELS( 9, DISCHARGE_OVER_TEMPERATURE),
    LEVELS(10, CHARGE_UNDER_TEMPERATURE),
    LEVELS(11, DISCHARGE_UNDER_TEMPERATURE),
    LEVELS(12, SOC_LOW), /* a full pack was seen to show it */
    MODBUS_ALARM(27, 13, SHORT_CIRCUIT,               PROT),
    MODBUS_ALARM(28,  0, VOLTAGE_SENSOR_FAULT,        PROT),
    MODBUS_ALARM(28,  1, TEMP_SENSOR_FAULT,           PROT),
    MODBUS_ALARM(28,  4, CELL_IMBALANCE,              PROT),
};
// clang-format on

/* Section 6. */
static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    if (!modbus_has(window, 0, REG_CELL_COUNT + 1))
        return BMS_DONE;
    const unsigned cells = modbus_word(window, REG_CELL_COUNT);
    bool fits = cells <= CELLS_MOST && modbus_cells_fit(window, REG_CELLS, cells,
                                                        modbus_word(window, REG_VOLTAGE) / 100.0);
    return fits ? BMS_DONE : BMS_INVALID;
}

static void decode_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    if (modbus_has(window, 0, VALUES)) {
        /* Section 3, "tenths generation". Values that prove it are not always present. */
        struct memory *memory = bms_memory(bms);
        double most =
            fmax(pack->value[FULL_AH], pack->value[RATED_AH]); /* of two, NaN is passed over */
        memory->tenths |= modbus_word(window, REG_LIMIT) >= LIMIT_IMPOSSIBLE_A ||
                          modbus_word(window, REG_REMAINING) > 1.2 * most;
        const double divisor = memory->tenths ? 10 : 1;
        bms_set(bms, pack, CURRENT_A,
                (int16_t) modbus_word(window, REG_CURRENT) / (memory->tenths ? 10.0 : 100.0));
        /* One unit reports 0 here although it is not empty. */
        double ah = modbus_word(window, REG_REMAINING) / divisor;
        double by_soc = pack->value[FULL_AH] * pack->value[SOC_PERCENT] / 100;
        if (ah > 0 || by_soc < 1 || pack->value[SOC_PERCENT] == 0)
            pack_set(pack, REMAINING_AH, ah);
        else
            pack_unset(pack, REMAINING_AH);
        pack_set(pack, CHARGE_CURRENT_LIMIT_A, modbus_word(window, REG_LIMIT) / divisor);
    }
    if (modbus_has(window, REG_SENSORS, SENSORS / 2)) {
        /* 0 °C counts only if a later sensor reads something else. */
        bool more = false;
        for (unsigned n = SENSORS; n > 0; n--) {
            uint16_t word = modbus_word(window, REG_SENSORS + (n - 1) / 2);
            int celsius = (int8_t) (n % 2 == 1 ? word >> 8 : word & 0xFF);
            bool fitted = celsius >= SENSOR_LEAST_C && celsius <= SENSOR_MOST_C;
            if (fitted && (celsius != 0 || more))
                pack_set_temp(pack, n, celsius);
            more |= celsius != 0;
        }
    }
    /* Units of 12 V answer a longer range with other contents. */
    if (window->start == REG_IDENTITY && window->count == IDENTITY_COUNT)
        modbus_take(bms, identity, COUNT(identity), window, pack);
}

static const struct modbus_map map = {
    MODBUS_MAP_VALUES(values),
    MODBUS_MAP_ALARMS(alarms),
    .raw_first = 25,
    .raw_count = 4,
    .check = check,
    .rest = decode_rest,
};

/* ---- emulator: a pack of the generation that counts whole amperes ---- */

// clang-format off
/* What the decoder does not take by its tables. */
static const struct modbus_value board_values[] = {
    {.reg = 1,  .type = MODBUS_S16, .id = CURRENT_A, .divisor = 100},
    {.reg = 19, .type = MODBUS_S16, .id = TEMP_AVG_C, .blank = 25},
    {.reg = 20, .type = MODBUS_S16, .id = TEMP_AVG_C, .blank = 25},
    {.reg = 21, .type = MODBUS_U16, .id = REMAINING_AH},
    {.reg = 22, .type = MODBUS_U16, .id = CHARGE_CURRENT_LIMIT_A},
    {.reg = 33, .type = MODBUS_S8,  .id = TEMP_C, .count = SENSORS},
};
// clang-format on

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    if (reg == 25)
        return (int32_t) pack_flow(told);
    if (reg >= REG_IDENTITY)
        return modbus_told_rows(identity, COUNT(identity), told, function, reg);
    return modbus_told_rows(board_values, COUNT(board_values), told, function, reg);
}

static const struct modbus_board board = {.word = board_word, .functions = {MODBUS_HOLDING}};

/* Section 1: 16 is the master, and what a board comes with. */
static const struct bms_guess guesses[] = {{.address = 1}, {.address = 2}, {.address = 16}};

const struct bms_driver eg4_ll_driver = {
    .name = "eg4-ll",
    .title = "EG4 LL, LL-S, PowerPro, RS485 Modbus",
    .guide = {.makes = "EG4 LL, LL-S, PowerPro, WallMount (not the master), 12 V units of the "
                       "same electronics",
              .port = "RS485",
              .wires = "RS485, pins as printed in the manual",
              .setting = "DIP switches, inverted: all ON is the master, 16",
              .address = "16 if not given"},
    .address = {.min = 1, .max = 16, .usual = 16},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 100},
    MODBUS_PLAN(plan),
    BMS_GUESSES(guesses),
    MODBUS_ENGINE(map, board),
};
