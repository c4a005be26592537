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
#define NO_CURRENT 30000
#define ABSENT 0xFFFF /* content of a register that the unit does not have */
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

static uint8_t own_address(const struct bms *bms)
{
    return (uint8_t) (map_of(bms)->request_first + bms_address(bms) - 1);
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
    const struct daly_map *map = map_of(bms);
    const struct memory *memory = bms_memory(bms);
    if (step > 0 && step == map->mos_step && memory->mos_useless)
        return false;
    const struct bms_read *read = &bms->driver->plan[step].read;
    modbus_read(own_address(bms), read->function, read->start, read->count, request);
    return true;
}

/* Section 9. */
static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    const struct daly_map *map = map_of(bms);
    struct memory *memory = bms_memory(bms);
    memory->echo_passed = false;
    modbus_write(own_address(bms),
                 which == BMS_CHARGE_MOS ? map->charge_switch : map->discharge_switch, on, request);
    return true;
}

static const struct bms_setting d2_settings[] = {
    {SOC_PERCENT, 0, 100, 0.1, 0}, {RATED_AH, 1, 6000, 0.1, 0}, {SET_BALANCER, 0, 1, 1, 0}};
static const struct bms_setting p81_settings[] = {{SOC_PERCENT, 0, 100, 0.1, 0}};

/* Section 9. SOC and capacity in tenths. */
static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const struct daly_map *map = map_of(bms);
    const unsigned reg = id == SOC_PERCENT ? map->soc_setting
                         : id == RATED_AH  ? map->rated_setting
                                           : map->balancer_setting;
    memory->echo_passed = false;
    modbus_write(own_address(bms), reg, (uint16_t) lround(id == SET_BALANCER ? value : value * 10),
                 request);
    return true;
}

/* ---- reading the map ---- */

uint64_t daly_bits(const struct modbus_window *window, unsigned reg, unsigned count)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < count; i++)
        bits |= (uint64_t) modbus_word(window, reg + i) << 16 * i;
    return bits;
}

/* A count register of this window: 0 … most, or -1 if it is in another window or invalid. */
static int count_in(const struct modbus_window *window, unsigned reg, unsigned most)
{
    if (!modbus_has(window, reg, 1) || modbus_word(window, reg) > most)
        return -1;
    return modbus_word(window, reg);
}

/* The registers after the last cell hold 0 or invalid values. If the count is not in the same
 * window, finish() removes them. */
static void decode_cells(const struct daly_map *map, const struct modbus_window *window,
                         struct pack *pack)
{
    int count = count_in(window, map->cell_count, map->max_cells);
    for (unsigned n = 1; n <= map->max_cells; n++) {
        if (!modbus_has(window, n - 1, 1))
            continue;
        uint16_t raw = modbus_word(window, n - 1);
        if (raw != ABSENT && (count >= 0 ? n <= (unsigned) count : raw != 0))
            pack_set_cell(pack, n, raw);
    }
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const struct daly_map *map = map_of(bms);
    struct memory *memory = bms_memory(bms);
    /* Ignores the CRC of a recorded request: well-known programs have a wrong one in their notes.
     */
    const uint8_t *asked = request->bytes;
    if (request->size < 8 || !is_request_address(map, asked[0]) ||
        frame[0] != asked[0] - map->reply_shift)
        return BMS_FOREIGN;
    if (frame[1] == (asked[1] | MODBUS_EXCEPTION))
        return BMS_REFUSED;
    if (frame[1] != asked[1])
        return BMS_FOREIGN;
    if (frame[1] == MODBUS_WRITE) {
        /* The reply to a write repeats it. On a line with an echo, the first of two equal frames is
         * the echo. */
        if (memcmp(frame + 1, request->bytes + 1, 5) != 0)
            return BMS_FOREIGN;
        if (memory->line_echoes && frame[0] == request->bytes[0] && !memory->echo_passed) {
            memory->echo_passed = true;
            return BMS_FOREIGN;
        }
        memory->echo_passed = false;
        return BMS_DONE;
    }
    if (size == request->size && memcmp(frame, request->bytes, size) == 0) {
        memory->line_echoes = true;
        return BMS_FOREIGN;
    }
    if (frame[1] == MODBUS_WRITE_MANY)
        return size == 8 && memcmp(frame + 2, asked + 2, 4) == 0 ? BMS_DONE : BMS_FOREIGN;
    /* Read reply: D2 03 | 7C        | 10 1F | 10 29 | … | A0 DF
     *                    | 2 * count | first register … | CRC */
    const struct modbus_window window = {frame[1], be16(request->bytes + 2),
                                         be16(request->bytes + 4), frame + 3};
    if (size != 5 + 2 * window.count)
        return BMS_FOREIGN;
    /* A unit that reports no cells is not ready (section 10); the rest of its reply is 0 or
     * invalid, too. */
    if (modbus_has(&window, map->cell_count, 1) &&
        count_in(&window, map->cell_count, map->max_cells) <= 0)
        return BMS_INVALID;
    modbus_take(bms, map->values, map->value_count, &window, pack);
    memory->direction.state_is_new |= pack_known(pack, FLOW);
    if (modbus_has(&window, map->current, 1)) {
        uint16_t raw = modbus_word(&window, map->current);
        if (raw != 0 && raw != ABSENT)
            pack_set(pack, CURRENT_A, (raw - NO_CURRENT) / 10.0);
    }
    decode_cells(map, &window, pack);
    map->decode_rest(&window, pack);
    /* Some units have no MOS sensor, and some of these no balance mask either (section 5): the step
     * is requested as long as it returns one of them. */
    if (map->mos_step != 0 && modbus_has(&window, map->mos_temp, 1)) {
        memory->mos_useful |= pack_known(pack, MOS_TEMP_C) || pack_known(pack, BALANCE_MASK);
        memory->mos_useless = !memory->mos_useful;
    }
    return BMS_DONE;
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
    daly_current_settle(&memory->direction, pack, pack->value[CURRENT_A], DALY_ABOVE_CHARGES,
                        bms->options.current);
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

/* A value as raw = value * divisor - offset, 0 … FFFE; `blank` if it is unknown. */
static uint16_t raw_of(const struct pack *pack, enum pack_value id, int offset, unsigned divisor,
                       uint16_t blank)
{
    if (!pack_known(pack, id))
        return blank;
    return (uint16_t) fmin(fmax(round(pack->value[id] * divisor) - offset, 0), ABSENT - 1);
}

/* The raw temperature of the hottest or coldest sensor, or 255 if there is none. */
static uint16_t raw_extreme_temp(const struct pack *pack, bool hottest)
{
    int found = -1;
    for (int i = 0; i < MAX_TEMPS; i++) {
        double celsius = pack->value[TEMP_C + i];
        bool better = found < 0 || (celsius > pack->value[TEMP_C + found]) == hottest;
        if (!isnan(celsius) && better)
            found = i;
    }
    return found < 0 ? 255 : raw_of(pack, (enum pack_value)(TEMP_C + found), -40, 1, 255);
}

static uint16_t encode_register(const struct daly_map *map, const struct pack *pack, unsigned reg)
{
    if (reg < map->max_cells)
        return reg < pack->value[CELL_COUNT]
                   ? raw_of(pack, (enum pack_value)(CELL_MV + reg), 0, 1, 0)
                   : 0;
    if (reg == map->current)
        return raw_of(pack, CURRENT_A, -NO_CURRENT, 10, NO_CURRENT);
    const int32_t word = modbus_told_rows(map->values, map->value_count, pack, MODBUS_HOLDING, reg);
    if (word >= 0)
        return (uint16_t) word;
    if (reg == map->cell_average)
        return (uint16_t) pack_value_or(pack, CELL_AVG_MV, 0);
    if (reg == map->cell_delta)
        return raw_of(pack, CELL_DELTA_MV, 0, 1, 0);
    if (reg == map->power)
        return (uint16_t) fmin(fabs(pack_value_or(pack, POWER_W, 0)), ABSENT - 1);
    if (reg == map->hottest || reg == map->coldest)
        return raw_extreme_temp(pack, reg == map->hottest);
    if (reg == map->temp_delta)
        return (uint16_t) (raw_extreme_temp(pack, true) - raw_extreme_temp(pack, false));
    if (reg == map->charge_switch || reg == map->discharge_switch)
        return raw_of(pack, reg == map->charge_switch ? CHARGE_MOS : DISCHARGE_MOS, 0, 1, 0);
    return map->encode_rest(pack, reg);
}

/* Reads of missing registers are not answered (section 10). */
static void emulate_read(struct bms *bms, const struct pack *pack, const uint8_t *asked,
                         struct bms_output *out)
{
    const struct daly_map *map = map_of(bms);
    struct memory *memory = bms_memory(bms);
    unsigned start = be16(asked + 2), count = be16(asked + 4);
    if (count == 0 || count > MODBUS_READ_MAX || start + count > map->last_reg + 1u)
        return;
    struct pack told = *pack;
    pack_derive(&told);
    pack_set(&told, FLOW, pack_flow(&told));
    for (int i = 0; i < MAX_TEMPS; i++) /* before the 40 is added: -0.5 °C is -1 */
        told.value[TEMP_C + i] = round(told.value[TEMP_C + i]);
    out->bytes[0] = (uint8_t) (asked[0] - map->reply_shift);
    out->bytes[1] = MODBUS_HOLDING;
    out->bytes[2] = (uint8_t) (2 * count);
    for (unsigned i = 0; i < count; i++) {
        bool beats = map->heartbeat > 0 && start + i == map->heartbeat;
        put_be16(out->bytes + 3 + 2 * i,
                 beats ? memory->heartbeat++ : encode_register(map, &told, start + i));
    }
    out->size = modbus_put_crc(out->bytes, 3 + 2 * count);
}

/* Skips traffic of other boards byte by byte. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    if (bytes[0] != own_address(bms))
        return 1;
    if (size < 2)
        return 0;
    size_t length = request_length(bytes, size);
    if (length > size)
        return 0;
    if (length == 0 || !modbus_crc_fits(bytes, length))
        return 1;
    if (bytes[1] == MODBUS_HOLDING) {
        emulate_read(bms, pack, bytes, out);
    } else if (bytes[1] == MODBUS_WRITE) {
        const struct daly_map *map = map_of(bms);
        unsigned reg = be16(bytes + 2), value = be16(bytes + 4);
        if ((reg == map->charge_switch || reg == map->discharge_switch) && value <= 1)
            pack_set(pack, reg == map->charge_switch ? CHARGE_MOS : DISCHARGE_MOS, value);
        else if (reg == map->soc_setting && value <= 1000)
            pack_set(pack, SOC_PERCENT, value / 10.0);
        else if (reg != 0 && reg == map->rated_setting && value > 0)
            pack_set(pack, RATED_AH, value / 10.0);
        else if (reg != 0 && reg == map->balancer_setting && value <= 1)
            pack_set(pack, SET_BALANCER, value);
        else
            return length;
        memcpy(out->bytes, bytes, 6);
        out->bytes[0] = (uint8_t) (bytes[0] - map->reply_shift);
        out->size = modbus_put_crc(out->bytes, 6);
    }
    return length;
}

const struct bms_driver daly_d2_driver = {
    .name = "daly-d2",
    .on_air = true,
    .title = "Daly, Modbus-like, one unit (address D2)",
    .guide = {.makes = "Daly H, K, M, S, Active Balance since about 2023",
              .port = "UART, RS485",
              .wires = "UART or RS485",
              .setting = "sleep time 65535: RS485 does not wake it"},
    .address_min = 1,
    .address_max = 1,
    .address_default = 1,
    .line = {.baud = 9600, .framing = "8N1", .reply_ms = 500, .gap_ms = 30, .one_pack = true},
    .check = BMS_CHECK_CRC16,
    BMS_PLAN(d2_plan),
    .build = build,
    .frame = find_frame,
    .question = find_question,
    .decode = decode,
    .finish = finish,
    .control = build_switch,
    BMS_SETTINGS(d2_settings),
    .set = build_setting,
    .emulate = emulate,
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
    .address_min = 1,
    .address_max = 16,
    .address_default = 1,
    .line = {.baud = 9600, .framing = "8N1", .reply_ms = 500, .gap_ms = 30},
    .check = BMS_CHECK_CRC16,
    BMS_PLAN(p81_plan),
    BMS_GUESSES(p81_guesses),
    .build = build,
    .frame = find_frame,
    .question = find_question,
    .decode = decode,
    .finish = finish,
    .control = build_switch,
    BMS_SETTINGS(p81_settings),
    .set = build_setting,
    .mask = mask_p81,
    .emulate = emulate,
};
