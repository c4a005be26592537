// SPDX-License-Identifier: MIT
/*
 * Daly's Modbus-like protocols: dialect D2 (one unit, address D2) and dialect 81 (RS485, boards
 * 81-90 that reply as 51-60). Follows the sheet `daly-d2`; what a register means is in the map of
 * the dialect. Oddities: a reply does not name its start register and so means nothing without its
 * request; a D2 unit's reply to a write is the same bytes as the echo of a two-wire adapter;
 * writing many registers has no byte count; other programs read other stretches of registers than
 * we do, so every reply is taken as a window onto the map.
 */
#include "daly_modbus.h"

#include "daly_common.h"

#include "bms/bytes.h"

#include <math.h>
#include <string.h>

#define CRC_SIZE 2
#define WRITE_SIZE 8 /* bytes of a request to write a register, and of its reply */
#define P81_PASSWORD 0x126
#define P81_PASSWORD_COUNT 3

extern const struct bms_driver daly_d2_driver, daly_p81_driver;

struct memory {
    struct daly_direction direction; /* of the current */
    bool line_echoes;                /* our own requests come back */
    bool echo_passed;                /* the echo of the current write was received */
    bool mos_useful;                 /* the MOS step returned useful values */
    bool mos_useless;                /* it was answered, but never with useful values */
    uint8_t heartbeat;               /* of the emulator */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

// clang-format off
static const struct bms_step d2_plan[] = {
    {.name = "status",        .vital = true,   .read = {MODBUS_HOLDING,   0, 62}},
    {.name = "MOS temperature",                .read = {MODBUS_HOLDING,  62,  9}},
    {.name = "settings",      .every_s = 3600, .read = {MODBUS_HOLDING, 128, 41}},
    {.name = "versions",      .every_s = 3600, .read = {MODBUS_HOLDING, 169, 32}},
    {.name = "serial number", .every_s = 3600, .read = {MODBUS_HOLDING,  87, 12}},
    {.name = "balancer switch", .every_s = 3600, .read = {MODBUS_HOLDING, 207, 1}},
};
/* The settings lie in the one range that is known to be answered. */
static const struct bms_step p81_plan[] = {
    {.name = "cells and measurements", .vital = true,   .read = {MODBUS_HOLDING, 0x000, 0x40}},
    {.name = "state and faults",       .vital = true,   .read = {MODBUS_HOLDING, 0x041, 0x3E}},
    {.name = "settings",               .every_s = 3600, .read = {MODBUS_HOLDING, 0x100, 0x51}},
    {.name = "versions",               .every_s = 3600, .read = {MODBUS_HOLDING, 0x178, 0x4A}},
};
// clang-format on

static const struct daly_map *map_of(const struct bms *bms)
{
    return bms->driver == &daly_p81_driver ? &daly_p81_map : &daly_d2_map;
}

/* ---- addresses and frames (sections 1 and 3) ---- */

static bool is_request_address(const struct daly_map *map, unsigned address)
{
    return address >= map->request_first && address <= map->request_last;
}

/* Requests and their echoes: D2 03 00 00 00 3E D7 B9, or with data for function 10. */
static size_t request_length(const uint8_t *bytes, size_t size)
{
    if (bytes[1] == MODBUS_HOLDING || bytes[1] == MODBUS_WRITE)
        return 8;
    if (bytes[1] != MODBUS_WRITE_MANY)
        return 0;
    if (size < 6)
        return 8;
    return be16(bytes + 4) <= MODBUS_READ_MAX ? 8u + 2u * be16(bytes + 4) : 0;
}

/* Replies: 51 03 02 FF FF 79 F8, 51 06 01 74 00 A2 45 C5, 51 10 0F 05 AA AA 21 93. */
static size_t reply_length(const uint8_t *bytes, size_t size)
{
    if (bytes[1] == MODBUS_HOLDING && size < 3)
        return 5 + 2;
    if (bytes[1] == MODBUS_HOLDING)
        return bytes[2] > 0 && bytes[2] % 2 == 0 && bytes[2] <= 2 * MODBUS_READ_MAX ? 5u + bytes[2]
                                                                                    : 0;
    const unsigned function = bytes[1] & ~(unsigned) MODBUS_EXCEPTION;
    if (function != MODBUS_HOLDING && function != MODBUS_WRITE && function != MODBUS_WRITE_MANY)
        return 0;
    return bytes[1] & MODBUS_EXCEPTION ? 5 : 8;
}

/* Finds a frame at bytes[0]. If both directions use the same address it may be a reply or the echo
 * of a request. A possible reply to a read is never a request: D2 has no registers above FF, so
 * the byte count is where requests have 0. */
static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const struct daly_map *map = map_of(bms);
    bool answers = is_request_address(map, bytes[0] + map->reply_shift);
    bool asks = is_request_address(map, bytes[0]);
    if (!answers && !asks)
        return (struct bms_span){BMS_SKIP, 1};
    if (size < 2)
        return (struct bms_span){BMS_MORE, 0};
    size_t lengths[] = {answers ? reply_length(bytes, size) : 0,
                        asks ? request_length(bytes, size) : 0};
    if (bytes[1] == MODBUS_HOLDING && lengths[0] > 0)
        lengths[1] = 0;
    enum bms_span_kind kind = BMS_SKIP;
    for (size_t i = 0; i < 2; i++) {
        if (lengths[i] > 0 && lengths[i] <= size && modbus_crc_fits(bytes, lengths[i]))
            return (struct bms_span){BMS_FRAME, lengths[i]};
        if (lengths[i] > size)
            kind = BMS_MORE;
        else if (lengths[i] > 0 && kind == BMS_SKIP)
            kind = BMS_DAMAGED;
    }
    return (struct bms_span){kind, 1};
}

static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    const struct daly_map *map = map_of(bms);
    if (!is_request_address(map, bytes[0]))
        return (struct bms_span){BMS_SKIP, 1};
    struct bms_span span = modbus_question(bms, bytes, size, address);
    *address = bytes[0] - map->request_first + 1;
    return span;
}

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    const bool useless = step > 0 && step == map_of(bms)->mos_step && memory->mos_useless;
    return !useless && modbus_build(bms, step, request);
}

static const struct bms_setting d2_settings[] = {
    {SOC_PERCENT, 0, 100, 0.1, 0}, {RATED_AH, 1, 6000, 0.1, 0}, {SET_BALANCER, 0, 1, 1, 0}};
static const struct bms_setting p81_settings[] = {{SOC_PERCENT, 0, 100, 0.1, 0}};

/* Section 9. */
static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const struct daly_register *row = map_of(bms)->writable;
    memory->echo_passed = false;
    for (; row->factor > 0; row++)
        if (row->id == id)
            modbus_write(modbus_address(bms), row->reg, (unsigned) lround(value * row->factor),
                         request);
    return true;
}

/* ---- reading the map ---- */

void daly_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack)
{
    const struct daly_map *map = map_of(bms);
    struct memory *memory = bms_memory(bms);
    map->decode_rest(window, pack);
    memory->direction.state_is_new |= modbus_has(window, map->flow, 1);
    /* Other programs read windows without the number of cells: 0 may then be behind the last one. */
    const bool counts = modbus_has(window, map->cell_count, 1);
    for (unsigned i = 0; i < MAX_CELLS && !counts; i++)
        if (modbus_has(window, i, 1) && pack->value[CELL_MV + i] == 0)
            pack_unset(pack, (enum pack_value)(CELL_MV + i));
    /* Some units have no MOS sensor, and some of these no balance mask either (section 5): the step
     * is requested as long as it returns one of them. */
    if (map->mos_step == 0 || !modbus_has(window, map->mos_temp, 1))
        return;
    memory->mos_useful |= pack_known(pack, MOS_TEMP_C) || pack_known(pack, BALANCE_MASK);
    memory->mos_useless = !memory->mos_useful;
}

/* The request with the address that a reply to it has; empty: it is not for a board of this
 * dialect. */
static struct bms_request as_answered(const struct bms *bms, const struct bms_request *request)
{
    const struct daly_map *map = map_of(bms);
    struct bms_request asked = *request;
    if (asked.size > 0 && !is_request_address(map, asked.bytes[0]))
        asked.size = 0;
    asked.bytes[0] = (uint8_t) (asked.bytes[0] - map->reply_shift);
    return asked;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    const struct bms_request asked = as_answered(bms, request);
    const bool repeats = size == request->size && memcmp(frame, request->bytes, size) == 0;
    if (asked.size >= WRITE_SIZE && size == WRITE_SIZE && frame[1] == MODBUS_WRITE &&
        memcmp(frame, asked.bytes, WRITE_SIZE - CRC_SIZE) == 0) {
        /* The reply to a write repeats it. On a line with an echo, the first of two equal frames is
         * the echo. */
        memory->echo_passed = memory->line_echoes && repeats && !memory->echo_passed;
        return memory->echo_passed ? BMS_FOREIGN : BMS_DONE;
    }
    memory->line_echoes |= repeats;
    return modbus_decode(bms, &asked, frame, size, pack);
}

/* Registers 0x126 to 0x128 hold a password. The size of a reply shows which of our requests it
 * answers. A reply to another program may contain anything, so all of it is blanked. */
static void mask_p81(uint8_t *frame, size_t size)
{
    size_t first = 3, end = size - CRC_SIZE;
    if (frame[1] != MODBUS_HOLDING || size <= 8)
        return;
    for (unsigned i = 0; i < COUNT(p81_plan); i++) {
        const struct bms_read *read = &p81_plan[i].read;
        if (size != 5u + 2u * read->count)
            continue;
        bool holds = read->start <= P81_PASSWORD &&
                     P81_PASSWORD + P81_PASSWORD_COUNT <= read->start + read->count;
        first = 3u + (holds ? 2u * (P81_PASSWORD - read->start) : 0);
        end = first + (holds ? 2u * P81_PASSWORD_COUNT : 0);
    }
    memset(frame + first, '*', end - first);
    modbus_put_crc(frame, size - CRC_SIZE);
}

/* ---- what needs more than one reply ---- */

static void finish(struct bms *bms, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    /* The engine has already inverted an inverted one. */
    const enum bms_current option =
        bms->options.current == BMS_CURRENT_AUTO ? BMS_CURRENT_AUTO : BMS_CURRENT_NORMAL;
    daly_current_settle(&memory->direction, pack, pack->value[CURRENT_A], DALY_ABOVE_CHARGES,
                        option);
    /* Accepts a mask only if it agrees with the state of the balancer and with the number of cells:
     * in the document these registers hold something else (section 5). */
    if (pack_known(pack, BALANCE_MASK)) {
        double mask = pack->value[BALANCE_MASK];
        bool beyond =
            pack_known(pack, CELL_COUNT) && mask >= ldexp(1, (int) pack->value[CELL_COUNT]);
        bool denied = pack_known(pack, BALANCING) && (mask > 0) != (pack->value[BALANCING] > 0);
        if (beyond || denied)
            pack_unset(pack, BALANCE_MASK);
    }
    for (int i = 0; i < MAX_TEMPS; i++)
        if (pack->value[TEMP_COUNT] <= i)
            pack_unset(pack, (enum pack_value)(TEMP_C + i));
    /* Not every dialect reports which cell is the highest; with all cells known, voltage and number
     * follow from them. A number without its voltage, whose register a program may not read, is
     * discarded. */
    if (pack_known(pack, CELL_MV)) {
        pack_unset(pack, CELL_MAX_MV);
        pack_unset(pack, CELL_MIN_MV);
    }
    if (!pack_known(pack, CELL_MAX_MV))
        pack_unset(pack, CELL_MAX_INDEX);
    if (!pack_known(pack, CELL_MIN_MV))
        pack_unset(pack, CELL_MIN_INDEX);
}

/* ---- emulator ---- */

static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const struct daly_map *map = map_of(bms);
    struct memory *memory = bms_memory(bms);
    if (reg > map->last_reg)
        return MODBUS_NONE;
    if (map->heartbeat > 0 && reg == map->heartbeat)
        return memory->heartbeat++;
    int32_t word = map->encode_rest(told, reg);
    if (word >= 0)
        return word;
    struct pack rounded = *told;
    for (int i = 0; i < MAX_TEMPS; i++) /* before the 40 is added: -0.5 °C is -1 */
        rounded.value[TEMP_C + i] = round(told->value[TEMP_C + i]);
    const struct modbus_map *registers = &map->registers;
    word = modbus_told_rows(registers->values, registers->value_count, &rounded, function, reg);
    return word < 0 ? 0 : word;
}

static unsigned board_write(struct bms *bms, struct pack *told, unsigned reg, unsigned value)
{
    for (const struct daly_register *row = map_of(bms)->writable; row->factor > 0; row++)
        if (row->reg == reg && value >= row->least && value <= row->most) {
            pack_set(told, (enum pack_value) row->id, (double) value / row->factor);
            return 0;
        }
    return MODBUS_BAD_VALUE;
}

static const struct modbus_board d2_board = {.word = board_word,
                                             .write = board_write,
                                             .functions = {MODBUS_HOLDING},
                                             .address_offset = 0xD1};
static const struct modbus_board p81_board = {.word = board_word,
                                              .write = board_write,
                                              .functions = {MODBUS_HOLDING},
                                              .address_offset = 0x80};

/* What another board would reject is not answered (section 10). Writes of many registers, which
 * have no byte count, are not emulated. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    if (bytes[0] != modbus_address(bms) || (size > 1 && bytes[1] == MODBUS_WRITE_MANY))
        return 1;
    const size_t used = modbus_emulate(bms, pack, bytes, size, out);
    if (out->size == 0 || out->bytes[1] & MODBUS_EXCEPTION) {
        out->size = 0;
        return used;
    }
    out->bytes[0] = (uint8_t) (out->bytes[0] - map_of(bms)->reply_shift);
    modbus_put_crc(out->bytes, out->size - CRC_SIZE);
    return used;
}

/* Members of both drivers. */
#define BOTH_DIALECTS(map_, board_)                                                                \
    .check = BMS_CHECK_CRC16, .build = build, .frame = find_frame, .question = find_question,      \
    .decode = decode, .finish = finish, .control = bms_control_by_set, .set = build_setting,       \
    .emulate = emulate, .map = &(map_).registers, .board = &(board_)

const struct bms_driver daly_d2_driver = {
    .name = "daly-d2",
    .on_air = true,
    .title = "Daly, Modbus-like, one unit (address D2)",
    .guide = {.makes = "Daly H, K, M, S, Active Balance since about 2023",
              .port = "UART, RS485",
              .wires = "UART or RS485",
              .setting = "sleep time 65535: RS485 does not wake it"},
    .address = {.min = 1, .max = 1, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 30, .one_pack = true},
    BMS_PLAN(d2_plan),
    BMS_SETTINGS(d2_settings),
    BOTH_DIALECTS(daly_d2_map, d2_board),
};

static const struct bms_guess p81_guesses[] = {
    {.address = 1}, {.address = 2}, {.address = 3}, {.address = 4}};

const struct bms_driver daly_p81_driver = {
    .name = "daly-p81",
    .title = "Daly H/K/M/S, Modbus-like, boards 1 to 16 on RS485 (addresses 81-90)",
    .guide = {.makes = "Daly H, K, M, S, Active Balance, several on one RS485 bus",
              .port = "RS485",
              .wires = "RS485",
              .setting = "Board number (BMSTool), sleep time 65535"},
    .address = {.min = 1, .max = 16, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 30},
    BMS_PLAN(p81_plan),
    BMS_GUESSES(p81_guesses),
    BMS_SETTINGS(p81_settings),
    .mask = mask_p81,
    BOTH_DIALECTS(daly_p81_map, p81_board),
};
