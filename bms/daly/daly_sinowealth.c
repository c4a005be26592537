// SPDX-License-Identifier: MIT
/*
 * Daly boards with a Sinowealth chip: requests 0A <command> <bytes wanted>, replies of that many
 * bytes and a CRC-8. Follows the sheet `daly-sinowealth`. Oddities: a reply has no header and can
 * only be recognized by its CRC, which covers the request too; there is no address; boards for 16
 * cells have cells where others have voltage, temperatures and current, and no other values of
 * them are known.
 */
#include "bms/bytes.h"
#include "bms/checksum.h"
#include "bms/driver.h"

#include <math.h>
#include <string.h>

#define START 0x0A
#define REQUEST_SIZE 3
#define REPLY_MAX 8 /* data bytes that a program may sensibly want; 2 and 4 are known */
#define MOST_CELLS 10
#define ALL_CELLS ((1u << MOST_CELLS) - 1)
#define MOST_CELLS_16S 16
#define CELL_MV_MAX 5000
#define ZERO_C 2731 /* 0.1 K */

enum command {
    CELL_1 = 0x01,
    PACK_VOLTAGE = 0x0B,
    TEMP_1,
    TEMP_2,
    IC_TEMP_1,
    IC_TEMP_2,
    CURRENT,
    FULL,
    REMAINING,
    SOC,
    CYCLE_COUNT,
    STATUS,
    FAULTS,
    CONFIG,
    COMMANDS = CONFIG
};

/* What command 0B returns, which decides the meaning of the following commands (section 9). */
enum meaning { NOT_READ, IN_DOUBT, IS_VOLTAGE, IS_CELL };

struct memory {
    uint16_t answered;            /* bit n: the voltage of cell n + 1 is known, */
    uint16_t cell_mv[MOST_CELLS]; /* and this is it; 0: not fitted */
    uint8_t eleventh;             /* enum meaning */
    bool config_known;
    uint8_t config;       /* low byte of 0x17 */
    uint8_t cells_to_ask; /* 0: not settled yet, all */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

// clang-format off
static const struct alarm_bit fault_bits[] = {
    /* section 8: only what acts is shown */
    { 0, CELL_OVER_VOLTAGE,           ALARM_PROTECTION},
    { 1, CELL_UNDER_VOLTAGE,          ALARM_PROTECTION},
    { 2, CHARGE_OVER_CURRENT,         ALARM_PROTECTION},
    { 3, DISCHARGE_OVER_CURRENT,      ALARM_PROTECTION},
    { 8, CHARGE_OVER_TEMPERATURE,     ALARM_PROTECTION},
    { 9, DISCHARGE_OVER_TEMPERATURE,  ALARM_PROTECTION},
    {10, CHARGE_UNDER_TEMPERATURE,    ALARM_PROTECTION},
    {11, DISCHARGE_UNDER_TEMPERATURE, ALARM_PROTECTION},
    {12, CELL_OVER_VOLTAGE,           ALARM_PROTECTION}, /* by hardware */
    {13, SHORT_CIRCUIT,               ALARM_PROTECTION},
    {14, VOLTAGE_SENSOR_FAULT,        ALARM_PROTECTION}, /* sense wire */
};
// clang-format on

/* ---- frames (sections 3 and 4) ---- */

/* Of two copies the second: the vendor's program sends each request twice. NULL: not ours. */
static const uint8_t *find_request(const struct bms_request *request)
{
    if (request->size < REQUEST_SIZE || request->size % REQUEST_SIZE != 0)
        return NULL;
    const uint8_t *asked = request->bytes + request->size - REQUEST_SIZE;
    return asked[0] == START && asked[2] >= 2 && asked[2] <= REPLY_MAX ? asked : NULL;
}

static uint8_t reply_crc(const uint8_t *asked, const uint8_t *data, size_t size)
{
    return crc8(crc8(0, asked, REQUEST_SIZE), data, size);
}

static bool is_reply(const uint8_t *asked, const uint8_t *bytes)
{
    return reply_crc(asked, bytes, asked[2]) == bytes[asked[2]];
}

/* One in 256 pieces of noise has a matching CRC. So a reply is looked for only at the start of the
 * received bytes or, after noise or a late reply, at their end, not at each offset in between. An
 * echo is never mistaken for a reply: no valid 2-byte reply begins with its own request, and as a
 * current or capacity it would be far beyond any pack. */
static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const uint8_t *asked = find_request(request);
    if (!asked)
        return (struct bms_span){BMS_SKIP, size};
    size_t length = asked[2] + 1u;
    if (size >= REQUEST_SIZE && memcmp(bytes, asked, REQUEST_SIZE) == 0)
        return (struct bms_span){BMS_SKIP, REQUEST_SIZE};
    if (size < length)
        return (struct bms_span){BMS_MORE, 0};
    if (size > length && is_reply(asked, bytes + size - length))
        return (struct bms_span){BMS_SKIP, size - length};
    if (is_reply(asked, bytes))
        return (struct bms_span){BMS_FRAME, length};
    return (struct bms_span){BMS_DAMAGED, size - length + 1};
}

/* Step n asks for command n + 1. */
// clang-format off
static const struct bms_step plan[COMMANDS] = {
    [CELL_1 - 1]       = {.name = "cell 1", .vital = true},
    [CELL_1]           = {.name = "cell 2"},
    [CELL_1 + 1]       = {.name = "cell 3"},
    [CELL_1 + 2]       = {.name = "cell 4"},
    [CELL_1 + 3]       = {.name = "cell 5"},
    [CELL_1 + 4]       = {.name = "cell 6"},
    [CELL_1 + 5]       = {.name = "cell 7"},
    [CELL_1 + 6]       = {.name = "cell 8"},
    [CELL_1 + 7]       = {.name = "cell 9"},
    [CELL_1 + 8]       = {.name = "cell 10"},
    [PACK_VOLTAGE - 1] = {.name = "pack voltage (or cell 11)", .vital = true},
    [TEMP_1 - 1]       = {.name = "temperature 1 (or cell 12)"},
    [TEMP_2 - 1]       = {.name = "temperature 2 (or cell 13)"},
    [IC_TEMP_1 - 1]    = {.name = "cell 14"},
    [IC_TEMP_2 - 1]    = {.name = "cell 15"},
    [CURRENT - 1]      = {.name = "current (or cell 16)"},
    [FULL - 1]         = {.name = "full capacity",      .every_s = 600},
    [REMAINING - 1]    = {.name = "remaining capacity"},
    [SOC - 1]          = {.name = "state of charge"},
    [CYCLE_COUNT - 1]  = {.name = "cycles",             .every_s = 600},
    [STATUS - 1]       = {.name = "pack status"},
    [FAULTS - 1]       = {.name = "protections"},
    [CONFIG - 1]       = {.name = "pack configuration", .every_s = 600},
};
// clang-format on

/* Whether its value has 4 bytes, where it is not a cell. */
static bool is_wide(unsigned command)
{
    return command >= CURRENT && command <= REMAINING;
}

static bool is_command_wanted(const struct memory *memory, unsigned command)
{
    if (memory->eleventh == IS_CELL)
        return command <= MOST_CELLS_16S;
    if (command <= MOST_CELLS)
        return memory->cells_to_ask == 0 || command <= memory->cells_to_ask;
    if (memory->eleventh == IN_DOUBT)
        return command == PACK_VOLTAGE;
    return command != IC_TEMP_1 && command != IC_TEMP_2;
}

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    unsigned command = step + 1;
    if (!is_command_wanted(memory, command))
        return false;
    bool wide = is_wide(command) && memory->eleventh != IS_CELL;
    request->bytes[0] = START;
    request->bytes[1] = (uint8_t) command;
    request->bytes[2] = wide ? 4 : 2;
    request->size = REQUEST_SIZE;
    return true;
}

/* ---- decoder (section 5) ---- */

/* 0A 01 02 -> 0D 03 | FD      3331 mV; not fitted: 0
 *             mV    | CRC */
static enum bms_result decode_cell(struct memory *memory, unsigned n, const uint8_t *data,
                                   struct pack *pack)
{
    uint16_t mv = be16(data);
    if (mv > CELL_MV_MAX)
        return BMS_INVALID;
    if (n <= MOST_CELLS) {
        memory->answered |= (uint16_t) (1u << (n - 1));
        memory->cell_mv[n - 1] = mv;
    }
    pack_set_cell(pack, n, mv);
    return BMS_DONE;
}

/* A value above the range of a cell is the pack's voltage. Otherwise all ten cells are needed: if
 * all are fitted it is another cell, with fewer it is the pack if it matches their sum. A cell
 * that was not read, or whose wire is broken, leaves it open. */
static enum meaning find_meaning(const struct memory *memory, uint16_t mv)
{
    unsigned fitted = 0, sum = 0;
    if (mv > CELL_MV_MAX)
        return IS_VOLTAGE;
    if (mv == 0 || memory->answered != ALL_CELLS)
        return IN_DOUBT;
    for (unsigned i = 0; i < MOST_CELLS; i++) {
        fitted += memory->cell_mv[i] > 0;
        sum += memory->cell_mv[i];
    }
    if (fitted == MOST_CELLS)
        return IS_CELL;
    return mv > sum * 3 / 4 && mv < sum * 5 / 4 ? IS_VOLTAGE : IN_DOUBT;
}

/* Commands TEMP_1 and up, of boards on which they are not cells. */
static enum bms_result decode_value(struct bms *bms, unsigned command, const uint8_t *data,
                                    struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    const uint16_t word = be16(data);
    switch (command) {
    case TEMP_1:
    case TEMP_2: /* 0A 0C 02 -> 0A 56 | C4      -8.5 °C, in 0.1 K; without a sensor any value */
        if (word >= ZERO_C - 500 && word <= ZERO_C + 1300)
            pack_set_temp(pack, command - TEMP_1 + 1, (word - ZERO_C) / 10.0);
        break;
    case CURRENT: /* 0A 10 04 -> FF FF FF 6B | 79      -149 mA, discharging (section 6) */
        bms_set(bms, pack, CURRENT_A, sbe32(data) / 1000.0);
        break;
    case FULL:
        pack_set(pack, FULL_AH, be32(data) / 1000.0);
        break;
    case REMAINING:
        pack_set(pack, REMAINING_AH, be32(data) / 1000.0);
        break;
    case SOC: /* 0A 13 02 -> 00 5F | CC      95 %, the low byte is enough */
        if (data[1] > 100)
            return BMS_INVALID;
        pack_set(pack, SOC_PERCENT, data[1]);
        break;
    case CYCLE_COUNT:
        pack_set(pack, CYCLES, word);
        break;
    case STATUS: /* 0A 15 02 -> 00 4B | D4      bit 0 charge FET, 1 discharge FET … (section 7) */
        pack_set(pack, CHARGE_MOS, word & 1);
        pack_set(pack, DISCHARGE_MOS, word >> 1 & 1);
        break;
    case FAULTS: /* 0A 16 02 -> 04 00 | 4C      too cold for charging */
        pack_clear_alarms(pack);
        pack_alarm_bits(pack, fault_bits, COUNT(fault_bits), word);
        pack_raw_alarm(pack, word);
        break;
    case CONFIG: /* 0A 17 02 -> 00 41 | CE      bits 0-2: cells - 3, bit 6: two sensors, for finish() */
        memory->config = data[1];
        memory->config_known = true;
        break;
    }
    return BMS_DONE;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    const uint8_t *asked = find_request(request);
    if (!asked || size != asked[2] + 1u)
        return BMS_FOREIGN;
    unsigned command = asked[1];
    if (command == PACK_VOLTAGE) {
        /* 0A 0B 02 -> 34 0D | 0F      13.325 V, or cell 11 where ten cells have more in sum */
        uint16_t mv = be16(frame);
        const enum meaning meaning = find_meaning(memory, mv);
        if (meaning != IN_DOUBT || memory->eleventh != IS_CELL) /* else a wire is lost */
            memory->eleventh = (uint8_t) meaning;
        if (memory->eleventh == IS_CELL)
            return decode_cell(memory, PACK_VOLTAGE, frame, pack);
        if (memory->eleventh == IS_VOLTAGE)
            pack_set(pack, VOLTAGE_V, mv / 1000.0);
        return BMS_DONE;
    }
    if (command >= CELL_1 && command <= (memory->eleventh == IS_CELL ? MOST_CELLS_16S : MOST_CELLS))
        return decode_cell(memory, command, frame, pack);
    /* The CRC covers the request, so this is its reply even if the command is unknown. */
    if (memory->eleventh == IS_CELL || memory->eleventh == IN_DOUBT)
        return BMS_DONE;
    return is_wide(command) && asked[2] < 4 ? BMS_FOREIGN : decode_value(bms, command, frame, pack);
}

/* ---- what needs more than one reply ---- */

static unsigned last_fitted(const struct pack *pack)
{
    for (unsigned n = MOST_CELLS_16S; n > 0; n--)
        if (pack->value[CELL_MV + n - 1] > 0)
            return n;
    return 0;
}

static bool all_known(const struct pack *pack, unsigned cells)
{
    for (unsigned i = 0; i < cells; i++)
        if (!pack_known(pack, CELL_MV + i))
            return false;
    return true;
}

/* The configured number of cells allows for a dead or unread cell at the end; if it differs by
 * more, the board has another chip (section 5). Without a configured number each cell must have
 * been read, because the last ones may be missing. 0: not known. */
static unsigned count_cells(const struct memory *memory, const struct pack *pack)
{
    unsigned fitted = last_fitted(pack), configured = (memory->config & 7u) + 3;
    bool is_16s = memory->eleventh == IS_CELL;
    bool agrees = configured == fitted || configured == fitted + 1;
    if (memory->config_known && !is_16s && fitted > 0 && agrees)
        return configured;
    unsigned asked = is_16s ? MOST_CELLS_16S : MOST_CELLS;
    if (!is_16s && memory->cells_to_ask > 0)
        asked = memory->cells_to_ask;
    return all_known(pack, asked) ? fitted : 0;
}

static void finish(struct bms *bms, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    bool is_16s = memory->eleventh == IS_CELL, in_doubt = memory->eleventh == IN_DOUBT;
    unsigned count = in_doubt ? 0 : count_cells(memory, pack);
    if (is_16s || in_doubt) {
        /* Clears values that were read while their meaning was not known. */
        for (int id = 0; id < PACK_VALUES; id++)
            if (id < CELL_MV || id >= CELL_MV + MAX_CELLS)
                pack_unset(pack, (enum pack_value) id);
        pack_clear_alarms(pack);
    }
    if (count > 0)
        pack_set(pack, CELL_COUNT, count);
    if (count == 0 || !all_known(pack, count)) {
        pack_set(pack, CELLS_UNREAD, 1);
    } else if (is_16s) {
        double sum = 0;
        for (unsigned i = 0; i < count; i++)
            sum += pack->value[CELL_MV + i];
        pack_set(pack, VOLTAGE_V, sum / 1000);
    }
    for (unsigned i = count > 0 ? count : last_fitted(pack); i < MOST_CELLS_16S; i++)
        pack_unset(pack, CELL_MV + i);
    if (is_16s || in_doubt)
        return;
    /* From then on only cells that can exist are requested. */
    unsigned configured = memory->config_known ? (memory->config & 7u) + 3 : 0;
    unsigned possible = configured > count ? configured : count;
    /* Without a configuration an unanswered cell may exist all the same. */
    unsigned needed = memory->config_known ? possible : MOST_CELLS;
    if (count > 0 && possible <= MOST_CELLS && possible > memory->cells_to_ask &&
        memory->answered == ALL_CELLS && all_known(pack, needed))
        memory->cells_to_ask = (uint8_t) possible;
    /* Without a second sensor it reads about 0 °C, accepted only if two are configured. */
    const enum pack_value second = TEMP_C + 1;
    if (memory->config_known) {
        unsigned sensors = memory->config & 1 << 6 ? 2 : 1;
        pack_set(pack, TEMP_COUNT, sensors);
        if (sensors < 2)
            pack_unset(pack, second);
    } else if (fabs(pack->value[second]) < 0.15) {
        pack_unset(pack, second);
    }
}

/* ---- emulator ---- */

// clang-format off
static const struct scale {
    uint8_t command, value;
    double factor, offset;
} scales[] = {
    {PACK_VOLTAGE, VOLTAGE_V,    1000, 0},
    {TEMP_1,       TEMP_C,         10, ZERO_C},
    {TEMP_2,       TEMP_C + 1,     10, ZERO_C},
    {IC_TEMP_1,    MOS_TEMP_C,     10, ZERO_C},
    {CURRENT,      CURRENT_A,    1000, 0},
    {FULL,         FULL_AH,      1000, 0},
    {REMAINING,    REMAINING_AH, 1000, 0},
    {SOC,          SOC_PERCENT,     1, 0},
    {CYCLE_COUNT,  CYCLES,          1, 0},
};
// clang-format on

static uint32_t encode(const struct pack *pack, unsigned command)
{
    switch (command) {
    case TEMP_2:
        if (!pack_known(pack, TEMP_C + 1))
            return ZERO_C;
        break;
    case IC_TEMP_2:
        return 71; /* as all known units */
    case STATUS:
        return pack_raw(pack, CHARGE_MOS, 1, 0) | pack_raw(pack, DISCHARGE_MOS, 1, 0) << 1 |
               (uint32_t) (pack->value[CURRENT_A] > 0) << 2 |
               (uint32_t) (pack->value[CURRENT_A] < 0) << 3;
    case FAULTS:
        return (uint32_t) pack_alarm_word(pack, fault_bits, COUNT(fault_bits), true);
    case CONFIG:
        return ((pack_raw(pack, CELL_COUNT, 1, 0) - 3) & 7) |
               (pack_known(pack, TEMP_C + 1) ? 1u << 6 : 0);
    }
    for (size_t i = 0; i < COUNT(scales); i++)
        if (scales[i].command == command)
            return pack_raw(pack, scales[i].value, scales[i].factor, scales[i].offset);
    return 0;
}

/* A pack with more than ten cells is a board of section 9 and answers only for its cells. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    if (bytes[0] != START)
        return 1;
    if (size < REQUEST_SIZE)
        return 0;
    const unsigned command = bytes[1], wanted = bytes[2];
    bool is_16s = pack_raw(pack, CELL_COUNT, 1, 0) > MOST_CELLS;
    bool is_cell = command >= CELL_1 && command <= (is_16s ? MOST_CELLS_16S : MOST_CELLS);
    if ((wanted != 2 && wanted != 4) || command < CELL_1 || command > COMMANDS ||
        (is_16s && !is_cell))
        return REQUEST_SIZE;
    uint32_t value =
        is_cell ? pack_raw(pack, CELL_MV + command - CELL_1, 1, 0) : encode(pack, command);
    put_be32(out->bytes, !is_cell && is_wide(command) ? value : value << 16);
    out->bytes[wanted] = reply_crc(bytes, out->bytes, wanted);
    out->size = wanted + 1;
    return REQUEST_SIZE;
}

const struct bms_driver daly_sinowealth_driver = {
    .name = "daly-sinowealth",
    .title = "Daly with Sinowealth chip (requests of 3 bytes)",
    .guide = {.makes = "Daly R05, R10, R16J and other boards with a Sinowealth chip",
              .port = "UART, RS232",
              .wires = "UART or RS232 service port"},
    .line = {.baud = 9600, .reply_ms = 300, .gap_ms = 20, .one_pack = true},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    .build = build,
    .frame = find_frame,
    .decode = decode,
    .finish = finish,
    .emulate = emulate,
};
