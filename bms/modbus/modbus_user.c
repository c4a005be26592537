// SPDX-License-Identifier: MIT
/*
 * The driver for a BMS that is described by a map file. It cannot recognize a device: whatever
 * answers at the address is decoded by the map, if each value is plausible.
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
    const uint8_t address = (uint8_t) bms_address(bms);
    if (read->function == MODBUS_WRITE_MANY)
        modbus_write_words(address, read->start, user->written[step], read->count, request);
    else
        modbus_read(address, read->function, read->start, read->count, request);
    memmove(request->bytes + user->head_size, request->bytes, request->size);
    memcpy(request->bytes, user->head, user->head_size);
    request->size += user->head_size;
    return true;
}

/* Skips the bytes before the request; replies have them as well, as noise. */
static struct bms_request without_head(const struct bms *bms, const struct bms_request *request)
{
    const struct modbus_user *user = bms->options.map;
    struct bms_request inner = *request;
    if (!user || inner.size < user->head_size ||
        memcmp(inner.bytes, user->head, user->head_size) != 0)
        return inner;
    inner.size -= user->head_size;
    memmove(inner.bytes, inner.bytes + user->head_size, inner.size);
    return inner;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const struct bms_request inner = without_head(bms, request);
    return modbus_frame(bms, &inner, bytes, size);
}

/* Rejects replies of a device that is not ready yet, or of another one. */
static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    const struct modbus_user *user = bms->options.map;
    for (size_t i = 0; i < user->expected_count; i++)
        if (modbus_has(window, user->expected[i].reg, 1) &&
            modbus_word(window, user->expected[i].reg) != user->expected[i].value)
            return BMS_INVALID;
    return BMS_DONE;
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
        .tests = user->alarms,
        .test_count = user->alarm_count,
        .raw_first = user->raw_first,
        .raw_count = user->raw_count,
        .check = check,
    };
    const struct bms_request inner = without_head(bms, request);
    return modbus_decode_by(bms, &map, &inner, frame, size, pack);
}

/* ---- the device's side: a board with the registers of the map ---- */

/* The register with the sign of a value. */
static unsigned sign_word(const struct modbus_value *row, const struct pack *told, unsigned reg)
{
    if (!row->sign_mask || row->sign_reg != reg)
        return 0;
    const bool negative = told->value[row->id] < 0;
    return negative ? row->sign : row->sign == 0 ? row->sign_mask & (0u - row->sign_mask) : 0;
}

static unsigned alarm_bits(const struct modbus_value *value)
{
    if (value->type == MODBUS_BIT)
        return value->bit == MODBUS_COIL ? 1 : 1u << value->bit;
    return value->mask ? value->mask : 0xFFFF;
}

/* An alarm is emulated once at each level, by the first row with some bits for it. */
static unsigned alarm_word(const struct modbus_user *user, const struct pack *told, unsigned reg)
{
    uint32_t seen[2] = {0, 0};
    unsigned taken = 0, word = 0;
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < user->alarm_count; i++) {
            const struct modbus_test *row = &user->alarms[i];
            const struct modbus_value *value = &row->value;
            uint32_t *before = &seen[row->level == ALARM_WARNING];
            const bool active = pack_alarms_at(told, row->level) & ~*before & 1u << row->alarm;
            if (pass == 0 && active)
                *before |= 1u << row->alarm;
            if (value->reg != reg || (pass == 0) != active || (taken & alarm_bits(value)))
                continue;
            double least = isfinite(value->lowest) && value->lowest > 1 ? value->lowest : 1;
            double raw = value->matched ? active ? value->match : value->match == 0
                         : active       ? least
                                        : 0;
            taken |= active ? alarm_bits(value) : 0;
            word |= modbus_short_word(value, raw);
        }
    return word;
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

/* Several rows may share a register: bits, and the number of elements of runs that others count by. */
static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const struct modbus_user *user = bms->options.map;
    const bool coils = modbus_reads_bits(function);
    if (!user || !is_read(user, function, reg))
        return -1;
    for (size_t i = 0; i < user->expected_count; i++)
        if (!coils && user->expected[i].reg == reg)
            return user->expected[i].value;
    int32_t word = modbus_told_rows(user->values, user->value_count, told, function, reg);
    const bool valued = word >= 0;
    unsigned more = alarm_word(user, told, reg);
    for (size_t i = 0; i < user->value_count && !coils; i++) {
        const struct modbus_value *row = &user->values[i];
        const enum pack_value count = row->id >= TEMP_C ? TEMP_COUNT : CELL_COUNT;
        more |= sign_word(row, told, reg);
        if (!valued && row->counted == reg && reg != 0)
            more |= pack_scaled(told, count, 1, 0, UINT16_MAX);
    }
    return (valued ? word : 0) | (int32_t) more;
}

/* Accepts the writes of the map without storing them. */
static bool answer_write(const struct bms *bms, const uint8_t *bytes, size_t size, size_t *used,
                         struct bms_output *out)
{
    const struct modbus_user *user = bms->options.map;
    for (unsigned i = 0; user && i < MODBUS_USER_READS; i++) {
        struct bms_request request = {0};
        const struct bms_read *write = &user->reads[i];
        if (write->function != MODBUS_WRITE_MANY)
            continue;
        modbus_write_words((uint8_t) bms_address(bms), write->start, user->written[i], write->count,
                           &request);
        if (size < request.size || memcmp(bytes, request.bytes, request.size) != 0)
            continue;
        memcpy(out->bytes, bytes, 6);
        out->size = modbus_put_crc(out->bytes, 6);
        *used = request.size;
        return true;
    }
    return false;
}

static const struct modbus_board board = {
    .word = board_word,
    .functions = {MODBUS_COILS, MODBUS_DISCRETE, MODBUS_HOLDING, MODBUS_INPUT},
};

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    const struct modbus_user *user = bms->options.map;
    const size_t head = user ? user->head_size : 0;
    if (memcmp(bytes, user ? user->head : bytes, size < head ? size : head) != 0)
        return 1;
    if (size <= head)
        return 0;
    size_t used = 0;
    if (!answer_write(bms, bytes + head, size - head, &used, out))
        used = modbus_emulate(bms, pack, bytes + head, size - head, out);
    if (head > 0 && out->size > 0) {
        memmove(out->bytes + head, out->bytes, out->size);
        memcpy(out->bytes, user->head, head);
        out->size += head;
    }
    return used > 0 ? head + used : 0;
}

const struct bms_driver modbus_user_driver = {
    .name = "modbus",
    .title = "a Modbus RTU BMS described by a map",
    .guide =
        {.makes =
             "any other BMS that speaks Modbus RTU, described by a file; maps of Vatrer, Ective "
             "(LiPower), Buknuwo, Anenji (Saihang), BYD LVS, Huawei ESM and Felicity "
             "LPBF48 are in conf/maps",
         .port = "RS485",
         .wires = "as its manual says",
         .address = "1 if not given"},
    .address_min = 0,
    .address_max = 247,
    .address_default = 1,
    .line = {.baud = 9600, .framing = "8N1", .reply_ms = 500, .gap_ms = 50},
    .check = BMS_CHECK_CRC16,
    BMS_PLAN(plan),
    .build = build,
    .frame = find_frame,
    .question = modbus_question,
    .decode = decode,
    .finish = modbus_finish,
    .emulate = emulate,
    .board = &board,
};
