// SPDX-License-Identifier: MIT
/*
 * The driver for a BMS that is described by a map. It recognises nothing: what answers at the
 * address is taken for what the map says, as far as each value is plausible.
 */
#include "modbus_user.h"

#include <math.h>
#include <string.h>

#define SLOW_S 60

// clang-format off
#define FAST {.name = "registers", .vital = true}
#define SLOW {.name = "slow registers", .every_s = SLOW_S}
static const struct bms_step plan[2 * MODBUS_USER_READS] = {
    FAST, FAST, FAST, FAST, FAST, FAST, FAST, FAST,
    SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW,
};
// clang-format on

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct modbus_user *user = bms->options.map;
    if (!user || user->reads[step].count == 0)
        return false;
    const struct bms_read *read = &user->reads[step];
    modbus_read((uint8_t) bms_address(bms), read->function, read->start, read->count, request);
    return true;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const struct modbus_user *user = bms->options.map;
    if (!user)
        return BMS_FOREIGN;
    const struct modbus_map map = {
        .values = user->values,
        .value_count = user->value_count,
        .alarms = user->alarms,
        .alarm_count = user->alarm_count,
        .raw_first = user->raw_first,
        .raw_count = user->raw_count,
    };
    return modbus_decode(bms, &map, request, frame, size, pack);
}

/* ---- the other side: a board that has what the map says ---- */

static bool is_wide(const struct modbus_value *row)
{
    return row->type == MODBUS_U32 || row->type == MODBUS_S32 || row->type == MODBUS_F32 ||
           row->type == MODBUS_U32_LOW || row->type == MODBUS_S32_LOW ||
           row->type == MODBUS_F32_LOW;
}

static unsigned registers_of(const struct modbus_value *row)
{
    unsigned count = row->count ? row->count : 1;
    if (row->type == MODBUS_S8)
        return (count + 1) / 2;
    return is_wide(row) ? 2 * count : count;
}

/* The number that stands for a value; one that is not known is a number that means that, if there is any. */
static double raw_of(const struct modbus_value *row, const struct pack *told, unsigned n)
{
    const enum pack_value id = (enum pack_value)(row->id + n);
    const double divisor = row->divisor != 0 ? row->divisor : 1;
    const bool bounded = row->lowest != 0 || row->highest != 0;
    if (pack_known(told, id))
        return told->value[id] * divisor - row->offset;
    return bounded && row->lowest <= 0 && row->highest >= 0 ? row->lowest - 1 : 0;
}

/* One of the two words of a value of 32 bits. */
static unsigned wide_word(const struct modbus_value *row, double raw, unsigned half)
{
    const bool low_first =
        row->type == MODBUS_U32_LOW || row->type == MODBUS_S32_LOW || row->type == MODBUS_F32_LOW;
    uint32_t bits;
    if (row->type == MODBUS_F32 || row->type == MODBUS_F32_LOW) {
        const float number = (float) raw;
        memcpy(&bits, &number, sizeof bits);
    } else if (row->type == MODBUS_S32 || row->type == MODBUS_S32_LOW) {
        bits = (uint32_t) (int32_t) fmax(fmin(round(raw), INT32_MAX), INT32_MIN);
    } else {
        bits = (uint32_t) fmax(fmin(round(raw), UINT32_MAX), 0);
    }
    return (half == 0) != low_first ? bits >> 16 : bits & 0xFFFF;
}

static unsigned byte_of(const struct modbus_value *row, const struct pack *told, unsigned n)
{
    if (n >= (row->count ? row->count : 1u))
        return 0;
    return (uint8_t) (int8_t) fmax(fmin(round(raw_of(row, told, n)), INT8_MAX), INT8_MIN);
}

/* What one row has in its n-th register. */
static unsigned word_of(const struct modbus_value *row, const struct pack *told, unsigned n)
{
    if (row->type == MODBUS_TEXT)
        return (unsigned) modbus_told_text(told, (enum pack_text) row->id, 2 * n);
    if (row->type == MODBUS_BIT)
        return raw_of(row, told, n) > 0 ? row->bit == MODBUS_COIL ? 1 : 1u << row->bit : 0;
    if (row->type == MODBUS_S8)
        return byte_of(row, told, 2 * n) << 8 | byte_of(row, told, 2 * n + 1);
    if (is_wide(row))
        return wide_word(row, raw_of(row, told, n / 2), n % 2);
    const double raw = round(raw_of(row, told, n));
    if (row->type == MODBUS_S16)
        return (uint16_t) (int16_t) fmax(fmin(raw, INT16_MAX), INT16_MIN);
    return (uint16_t) fmax(fmin(raw, UINT16_MAX), 0);
}

static bool is_read(const struct modbus_user *user, unsigned function, unsigned reg)
{
    for (unsigned i = 0; i < 2 * MODBUS_USER_READS; i++) {
        const struct bms_read *read = &user->reads[i];
        if (read->function == function && reg >= read->start && reg - read->start < read->count)
            return true;
    }
    return false;
}

/* How many of a run there are, where another row counts them. */
static unsigned counted_by(const struct modbus_user *user, const struct pack *told, unsigned reg)
{
    for (size_t i = 0; i < user->value_count; i++) {
        const struct modbus_value *row = &user->values[i];
        if (row->counted == reg && reg != 0)
            return (unsigned) modbus_told(told, row->id >= TEMP_C ? TEMP_COUNT : CELL_COUNT, 1, 0,
                                          0);
    }
    return 0;
}

/* Several rows may share a register: bits, and the number of cells that others count by. */
static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const struct modbus_user *user = bms->options.map;
    const bool coils = function == MODBUS_COILS || function == MODBUS_DISCRETE;
    if (!user || !is_read(user, function, reg))
        return -1;
    unsigned word = 0;
    bool valued = false;
    for (size_t i = 0; i < user->value_count; i++) {
        const struct modbus_value *row = &user->values[i];
        const bool coil = row->type == MODBUS_BIT && row->bit == MODBUS_COIL;
        if (coil != coils || reg < row->reg || reg - row->reg >= registers_of(row))
            continue;
        word |= word_of(row, told, reg - row->reg);
        valued = true;
    }
    if (!valued && !coils)
        word = counted_by(user, told, reg);
    return (int32_t) (word | modbus_told_alarms(user->alarms, user->alarm_count, reg, told));
}

static const struct modbus_board board = {
    .word = board_word,
    .functions = {MODBUS_COILS, MODBUS_DISCRETE, MODBUS_HOLDING, MODBUS_INPUT},
};

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    return modbus_emulate(bms, &board, (uint8_t) bms_address(bms), pack, bytes, size, out);
}

const struct bms_driver modbus_user_driver = {
    .name = "modbus",
    .title = "a Modbus RTU BMS described by a map",
    .guide = {.makes = "any other BMS that speaks Modbus RTU, described by a file",
              .port = "RS485",
              .wires = "as its manual says",
              .setting = "",
              .address = "1 if not given"},
    .address_min = 0,
    .address_max = 247,
    .address_default = 1,
    .line = {.baud = 9600, .framing = "8N1", .reply_ms = 500, .gap_ms = 50, .tries = 3},
    .check = BMS_CHECK_CRC16,
    .plan = plan,
    .steps = 2 * MODBUS_USER_READS,
    .build = build,
    .frame = modbus_frame,
    .question = modbus_question,
    .decode = decode,
    .finish = modbus_finish,
    .emulate = emulate,
};
