// SPDX-License-Identifier: MIT
/*
 * JK boards on the GPS port (protocol 000): frames 4E 57, big-endian; one request, and one reply
 * with all values. Follows the sheet `jk-4e57`. Oddities: the reply is a sequence of register
 * codes and values without lengths, so an unknown code ends it; the last register gives the format
 * of the current and is missing on old boards; temperatures below zero are encoded as 100 and
 * more; every reply contains the settings password (B2), which is never read.
 */
#include "jk_record.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Section 2: offsets in a frame, and what its length field may have. */
#define LENGTH_AT 2
#define COMMAND_AT 8
#define SOURCE_AT 9
#define TYPE_AT 10
#define INFO_AT 11
#define TAIL 9 /* record number, end mark, unused, checksum */
#define OVERHEAD (INFO_AT + TAIL)
#define LEAST_LENGTH 0x13
#define MOST_LENGTH 0x200
#define END_MARK 0x68
#define MOST_WITHOUT_PASSWORD 60 /* bytes of one register, or of a few written ones */

enum command { ACTIVATE = 0x01, WRITE = 0x02, READ_ONE = 0x03, PASSWORD = 0x05, READ_ALL = 0x06 };
enum source { FROM_BMS = 0, FROM_GPS = 2, FROM_PC = 3 };
enum type { REQUEST = 0, REPLY = 1, UPLOAD = 2 };

enum code {
    CELLS = 0x79,
    MOS_TEMP = 0x80,
    TEMP_1 = 0x81,
    TEMP_2 = 0x82,
    VOLTAGE = 0x83,
    CURRENT = 0x84,
    SOC = 0x85,
    TEMPS = 0x86,
    CYCLE_COUNT = 0x87,
    STRINGS = 0x8A,
    ALARMS = 0x8B,
    STATE = 0x8C,
    BALANCER_SWITCH = 0x9D,
    CELL_SETTING = 0xA9,
    CAPACITY = 0xAA,
    CHARGE_SWITCH = 0xAB,
    DISCHARGE_SWITCH = 0xAC,
    PASSWORD_TEXT = 0xB2,
    VERSION = 0xB7,
    FULL_CAPACITY = 0xB9,
    MAKER = 0xBA,
    PROTOCOL = 0xC0
};

/* Section 4. 0: an unknown code, whose value has an unknown size. CELLS contains its own size. */
static const uint8_t value_size[0x100] = {
    [0x80 ... 0x84] = 2, [0x85 ... 0x86] = 1, [0x87] = 2,          [0x89] = 4,
    [0x8A ... 0x8C] = 2, [0x8E ... 0x9C] = 2, [0x9D] = 1,          [0x9E ... 0xA8] = 2,
    [0xA9] = 1,          [0xAA] = 4,          [0xAB ... 0xAC] = 1, [0xAD] = 2,
    [0xAE ... 0xAF] = 1, [0xB0] = 2,          [0xB1] = 1,          [0xB2] = 10,
    [0xB3] = 1,          [0xB4] = 8,          [0xB5 ... 0xB6] = 4, [0xB7] = 15,
    [0xB8] = 1,          [0xB9] = 4,          [0xBA] = 24,         [0xBB ... 0xBD] = 1,
    [0xBE ... 0xBF] = 2, [0xC0] = 1,
};

struct memory {
    bool protocol_known; /* whether register C0 exists, and its value, are known */
    uint8_t protocol;
    bool read_awaited;    /* all values requested and not received since */
    bool woken;           /* in this silence */
    uint8_t unknown_code; /* that ended the reading of the last reply; 0: none */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

/*   4E 57 | 00 13  | 00 00 00 00 | 06      | 03     | 00   | 00   | 00 00 00 00 | 68  | 00 00  | 01
 * 29 start | length | terminal    | command | source | type | info | record      | end | unused |
 * sum from 4E to 68 */
static size_t put_frame(uint8_t *out, enum command command, enum source source, enum type type,
                        const uint8_t *info, size_t size)
{
    size_t whole = OVERHEAD + size;
    memset(out, 0, whole);
    out[0] = 0x4E;
    out[1] = 0x57;
    put_be16(out + LENGTH_AT, (uint32_t) whole - 2);
    out[COMMAND_AT] = (uint8_t) command;
    out[SOURCE_AT] = (uint8_t) source;
    out[TYPE_AT] = (uint8_t) type;
    memcpy(out + INFO_AT, info, size);
    out[whole - 5] = END_MARK;
    put_be16(out + whole - 2, sum_bytes(out, whole - 4));
    return whole;
}

enum step { STEP_WAKE, STEP_ALL, STEP_PROTOCOL, STEPS };

static const struct bms_step plan[STEPS] = {
    [STEP_WAKE] = {.name = "wake-up", .read.function = ACTIVATE},
    [STEP_ALL] = {.name = "all registers", .vital = true, .read.function = READ_ALL},
    [STEP_PROTOCOL] = {.name = "protocol version", .read = {READ_ONE, PROTOCOL, 1}},
};

/* Activates a sleeping board once per silence (section 3). Asks for the protocol version if an
 * unknown code hides it and no earlier reply contained it: the current depends on it. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const uint8_t info = (uint8_t) plan[step].read.start;
    if ((step == STEP_WAKE && (!memory->read_awaited || memory->woken)) ||
        (step == STEP_PROTOCOL && (memory->protocol_known || memory->unknown_code == 0)))
        return false;
    memory->woken |= step == STEP_WAKE;
    memory->read_awaited |= step == STEP_ALL;
    request->size = put_frame(request->bytes, plan[step].read.function, FROM_PC, REQUEST, &info, 1);
    return true;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    /* 4E 57 also occurs in texts, other protocols have lengths such as 27777 (sections 2 and 8). */
    const size_t length = size > 3 ? be16(bytes + LENGTH_AT) : LEAST_LENGTH, whole = length + 2;
    const bool may_start =
        bytes[0] == 0x4E && (size < 2 || bytes[1] == 0x57) && length >= LEAST_LENGTH &&
        length <= MOST_LENGTH &&
        (size <= COMMAND_AT || (bytes[COMMAND_AT] >= ACTIVATE && bytes[COMMAND_AT] <= READ_ALL)) &&
        (size <= TYPE_AT || bytes[TYPE_AT] <= UPLOAD);
    if (!may_start) {
        const uint8_t *start = size > 1 ? memchr(bytes + 1, 0x4E, size - 1) : NULL;
        return (struct bms_span){BMS_SKIP, start ? (size_t) (start - bytes) : size};
    }
    if (size < whole)
        return (struct bms_span){BMS_MORE, 0};
    if (bytes[whole - 5] != END_MARK ||
        (uint16_t) sum_bytes(bytes, whole - 4) != be16(bytes + whole - 2))
        return (struct bms_span){BMS_DAMAGED, 2};
    return (struct bms_span){BMS_FRAME, whole};
}

/* Size of the code at `at` and its value; 0: unknown, or larger than the rest. */
static size_t size_of_register(const uint8_t *at, const uint8_t *end)
{
    const size_t left = (size_t) (end - at) - 1;
    size_t size = value_size[at[0]];
    if (at[0] == CELLS && left > 0)
        size = at[1] % 3 == 0 ? 1u + at[1] : 0;
    return size > 0 && size <= left ? 1 + size : 0;
}

/* Finds each register's value in a reply; NULL: missing. Section 4: values before an unknown code
 * are valid, those after it are lost; it is reported with its position. True: read to the end. */
static bool find_registers(struct bms *bms, const uint8_t *frame, size_t end,
                           const uint8_t *at[0x100])
{
    struct memory *memory = bms_memory(bms);
    memory->unknown_code = 0;
    bms->remark[0] = '\0';
    for (size_t i = INFO_AT, size; i < end; i += size) {
        size = size_of_register(frame + i, frame + end);
        if (size == 0) {
            memory->unknown_code = frame[i];
            if (frame[i] != 0)
                snprintf(bms->remark, sizeof bms->remark,
                         "sends a register %02X that is not known (byte %u of its answer); what "
                         "follows it is not read",
                         frame[i], (unsigned) i);
            return false;
        }
        at[frame[i]] = frame + i + 1;
    }
    return true;
}

/* Section 5.2: 0…99 °C; from 100 on, 0 °C and below; beyond 140 there is no sensor. */
static void set_temperature(struct pack *pack, enum pack_value id, const uint8_t *value)
{
    if (value && be16(value) <= 140)
        pack_set(pack, id, be16(value) < 100 ? be16(value) : 100 - be16(value));
}

/* Section 6. Bits 4, 8 and 9 have no direction. */
// clang-format off
static const struct alarm_bit alarms[] = {
    {0,  SOC_LOW,                ALARM_WARNING},
    {1,  MOS_OVER_TEMPERATURE,   ALARM_PROTECTION},
    {2,  PACK_OVER_VOLTAGE,      ALARM_PROTECTION},
    {3,  PACK_UNDER_VOLTAGE,     ALARM_PROTECTION},
    {5,  CHARGE_OVER_CURRENT,    ALARM_PROTECTION},
    {6,  DISCHARGE_OVER_CURRENT, ALARM_PROTECTION},
    {7,  CELL_IMBALANCE,         ALARM_PROTECTION},
    {10, CELL_OVER_VOLTAGE,      ALARM_PROTECTION},
    {11, CELL_UNDER_VOLTAGE,     ALARM_PROTECTION},
    {12, HARDWARE_FAULT,         ALARM_PROTECTION},
    {13, HARDWARE_FAULT,         ALARM_PROTECTION},
};
// clang-format on
#define HOT_BIT 4
#define HOT_BITS (1u << HOT_BIT | 1u << 8)
#define COLD_BIT 9

/* Section 5.3: B9 is meaningless before software 10.10; 10.XW_S10.07 is 10.07, after the last _S. */
static bool knows_full_capacity(const uint8_t *version)
{
    char text[16] = "";
    if (!version)
        return false;
    memcpy(text, version, value_size[VERSION]);
    const char *software = NULL;
    for (const char *at = strstr(text, "_S"); at; at = strstr(at + 1, "_S"))
        software = at + 2;
    if (!software)
        return false;
    char *dot;
    long major = strtol(software, &dot, 10);
    long minor = *dot == '.' ? strtol(dot + 1, NULL, 10) : 0;
    return major > 10 || (major == 10 && minor >= 10);
}

/* Section 4: plain numbers; 8E to A8 are limits as they are set, of which the cold ones are two's
 * complement. */
// clang-format off
static const struct register_row {
    uint8_t code;
    bool is_signed;
    enum pack_value id;
    double divisor;
} rows[] = {
    {VOLTAGE, false, VOLTAGE_V, 100},             {SOC, false, SOC_PERCENT, 1},
    {CYCLE_COUNT, false, CYCLES, 1},              {BALANCER_SWITCH, false, SET_BALANCER, 1},
    {0x8E, false, SET_PACK_HIGH_V, 100},          {0x8F, false, SET_PACK_LOW_V, 100},
    {0x90, false, SET_CELL_HIGH_MV, 1},           {0x91, false, SET_CELL_HIGH_RELEASE_MV, 1},
    {0x93, false, SET_CELL_LOW_MV, 1},            {0x94, false, SET_CELL_LOW_RELEASE_MV, 1},
    {0x96, false, SET_CELL_DIFFERENCE_MV, 1},     {0x97, false, SET_DISCHARGE_CURRENT_A, 1},
    {0x99, false, SET_CHARGE_CURRENT_A, 1},       {0x9B, false, SET_BALANCE_START_MV, 1},
    {0x9C, false, SET_BALANCE_DIFFERENCE_MV, 1},  {0x9E, false, SET_MOS_HOT_C, 1},
    {0x9F, false, SET_MOS_HOT_RELEASE_C, 1},      {0xA3, false, SET_CHARGE_HOT_C, 1},
    {0xA4, false, SET_DISCHARGE_HOT_C, 1},        {0xA5, true, SET_CHARGE_COLD_C, 1},
    {0xA6, true, SET_CHARGE_COLD_RELEASE_C, 1},   {0xA7, true, SET_DISCHARGE_COLD_C, 1},
    {0xA8, true, SET_DISCHARGE_COLD_RELEASE_C, 1},
};
// clang-format on

static void decode_registers(const struct bms *bms, const struct memory *memory,
                             const uint8_t *const *at, struct pack *pack)
{
    if (at[CELLS]) {
        /* 79: count of bytes, then index and voltage of each cell: 2A | 01 0E ED | 02 0E FA | … */
        unsigned count = at[CELLS][0] / 3u;
        for (unsigned i = 0; i < count; i++)
            pack_set_cell(pack, at[CELLS][1 + 3 * i], be16(at[CELLS] + 2 + 3 * i));
        pack_set(pack, CELL_COUNT, count);
    }
    const uint8_t *counter = at[TEMPS];
    const unsigned temps = counter && *counter < 2 ? *counter : 2;
    set_temperature(pack, MOS_TEMP_C, at[MOS_TEMP]);
    for (unsigned i = 0; i < temps; i++)
        set_temperature(pack, TEMP_C + i, at[TEMP_1 + i]);
    if (counter)
        pack_set(pack, TEMP_COUNT, temps);
    if (at[CURRENT] && memory->protocol_known && memory->protocol <= 1) {
        /* Section 5.1: 1, bit 15 is charging, the rest the amount; 0, below 10000 charges. */
        const int raw = be16(at[CURRENT]), amount = raw & 0x7FFF;
        bms_set(bms, pack, CURRENT_A,
                (memory->protocol == 0 ? 10000 - raw
                 : raw & 0x8000        ? amount
                                       : -amount) /
                    100.0);
    }
    /* Section 5.4: the actual state of the MOS; AB and AC are only what was commanded. */
    const uint16_t state = at[STATE] ? be16(at[STATE]) : 0;
    const bool charge_mos = state & 1, discharge_mos = state & 2;
    if (at[STATE]) {
        pack_set(pack, CHARGE_MOS, charge_mos);
        pack_set(pack, DISCHARGE_MOS, discharge_mos);
        pack_set(pack, BALANCING, state >> 2 & 1);
    }
    if (at[ALARMS]) {
        uint16_t word = be16(at[ALARMS]);
        pack_clear_alarms(pack);
        pack_alarm_bits(pack, alarms, COUNT(alarms), word);
        jk_alarm_by_direction(pack, CHARGE_OVER_TEMPERATURE, DISCHARGE_OVER_TEMPERATURE,
                              ALARM_PROTECTION, word & HOT_BITS, charge_mos, discharge_mos);
        jk_alarm_by_direction(pack, CHARGE_UNDER_TEMPERATURE, DISCHARGE_UNDER_TEMPERATURE,
                              ALARM_PROTECTION, word >> COLD_BIT & 1, charge_mos, discharge_mos);
        pack_raw_alarm(pack, word);
    }
    if (at[CAPACITY] && be32(at[CAPACITY]) != 0)
        pack_set(pack, RATED_AH, be32(at[CAPACITY]));
    if (at[FULL_CAPACITY] && be32(at[FULL_CAPACITY]) != 0 && knows_full_capacity(at[VERSION]))
        pack_set(pack, FULL_AH, be32(at[FULL_CAPACITY]));
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct register_row *row = &rows[i];
        const uint8_t *value = at[row->code];
        if (value)
            pack_set(pack, row->id,
                     (row->is_signed ? sbe16(value)
                                     : (double) get_sized(value, value_size[row->code], true)) /
                         row->divisor);
    }
    /* Section 5.5: the version is padded with _; the second half of BA is the model on new boards,
     * or a serial number. */
    const uint8_t *version = at[VERSION], *maker = at[MAKER];
    if (version) {
        size_t size = strnlen((const char *) version, value_size[VERSION]);
        while (size > 0 && (version[size - 1] == '_' || version[size - 1] == ' '))
            size--;
        pack_set_text(pack, FIRMWARE, version, size);
    }
    if (maker && (memcmp(maker + 12, "JK_", 3) == 0 || memcmp(maker + 12, "JK-", 3) == 0))
        pack_set_text(pack, MODEL, maker + 12, 12);
}

static enum bms_result decode_read(struct bms *bms, uint8_t asked, const uint8_t *frame,
                                   size_t size, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    const uint8_t *at[0x100] = {NULL};
    if (asked != 0 && frame[INFO_AT] != asked)
        return BMS_FOREIGN;
    const bool complete = find_registers(bms, frame, size - TAIL, at);
    const bool vital = at[CELLS] && at[VOLTAGE] && at[CURRENT] && at[SOC];
    if (asked == 0 ? !vital : !at[asked])
        return BMS_INVALID;
    if (asked == 0) /* the whole table, also requested as register 0 only */
        memory->read_awaited = memory->woken = false;
    /* C0, the last register, counts as 0 if a reply that was read to its end does not have it. */
    if (at[PROTOCOL] || (complete && vital)) {
        memory->protocol_known = true;
        memory->protocol = at[PROTOCOL] ? *at[PROTOCOL] : 0;
    }
    decode_registers(bms, memory, at, pack);
    return BMS_DONE;
}

/* Half-duplex adapters echo the request, which is a frame of its own with type 0. */
static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    uint8_t command = frame[COMMAND_AT], type = frame[TYPE_AT];
    if (request->size == 0)
        return type != REQUEST && command == READ_ALL ? decode_read(bms, 0, frame, size, pack)
                                                      : BMS_FOREIGN;
    if (type != REPLY || request->size < OVERHEAD || command != request->bytes[COMMAND_AT])
        return BMS_FOREIGN;
    uint8_t asked = request->size > OVERHEAD ? request->bytes[INFO_AT] : 0;
    if (command == READ_ALL || command == READ_ONE)
        return decode_read(bms, command == READ_ALL ? 0 : asked, frame, size, pack);
    return command == ACTIVATE || (command == WRITE && frame[INFO_AT] == asked) ? BMS_DONE
                                                                                : BMS_FOREIGN;
}

/* Skips registers with codes up to `last` (`rising`: each above the one before); returns where they end. */
static uint8_t *skip_registers(uint8_t *at, const uint8_t *end, unsigned last, bool rising)
{
    int before = -1;
    for (size_t size; at < end; at += size) {
        size = size_of_register(at, end);
        if (size == 0 || at[0] > last || (rising && at[0] <= before))
            break;
        before = at[0];
    }
    return at;
}

/* A password register directly followed by its neighbour, with only valid registers after it, is
 * certainly a password, whatever mask_registers makes of the frame. */
static bool mask_sure_password(uint8_t *info, const uint8_t *end)
{
    const size_t size = value_size[PASSWORD_TEXT];
    bool found = false;
    for (uint8_t *at = info; at + 1 + size < end; at++)
        if (at[0] == PASSWORD_TEXT && at[1 + size] == PASSWORD_TEXT + 1 &&
            skip_registers(at, end, PROTOCOL, false) == end) {
            memset(at + 1, '*', size);
            found = true;
        }
    return found;
}

/* Masks the password. False: these bytes are no sequence of registers with rising codes, or the
 * whole table without a password. Damage that keeps the sum can change any code, so that the password
 * is missed. */
static bool mask_registers(uint8_t *info, const uint8_t *end)
{
    uint8_t *at = skip_registers(info, end, PASSWORD_TEXT - 1, true);
    if (skip_registers(info, end, PROTOCOL, true) != end)
        return false;
    if (at == end || at[0] != PASSWORD_TEXT)
        return end - info < MOST_WITHOUT_PASSWORD;
    memset(at + 1, '*', value_size[PASSWORD_TEXT]);
    return true;
}

/* The end of the measurements, which come first and are too short to contain a password. */
static uint8_t *end_of_measurements(uint8_t *info, const uint8_t *end)
{
    uint8_t *at = skip_registers(info, end, STATE, true);
    bool counted = true;
    for (unsigned i = 0; at > info && info[0] == CELLS && i < info[1] / 3u; i++)
        counted &= info[2 + 3 * i] == i + 1;
    return at == end || !counted ? info : at;
}

/* Masks the settings password: in replies, when it is written, and when it is sent to permit
 * writing. If a frame cannot be read to its end, only the measurements are kept; the filler cannot
 * be mistaken for a count of cells, or for anything else. */
static void mask(uint8_t *frame, size_t size)
{
    _Static_assert('#' % 3 != 0, "no count of cells");
    uint8_t *info = frame + INFO_AT, *end = frame + size - TAIL;
    uint8_t *from = end;
    if (frame[COMMAND_AT] == PASSWORD)
        from = info;
    else if (end - info > 1 && !mask_sure_password(info, end) && !mask_registers(info, end))
        from = end_of_measurements(info, end);
    memset(from, '#', (size_t) (end - from));
    put_be16(frame + size - 2, sum_bytes(frame, size - 4));
}

static const struct bms_setting settings[] = {{SET_BALANCER, 0, 1, 1, 0}};

static const struct bms_code switches[] = {{CHARGE_SWITCH, CHARGE_MOS},
                                           {DISCHARGE_SWITCH, DISCHARGE_MOS},
                                           {BALANCER_SWITCH, SET_BALANCER}};

/* Section 7. Some boards require the password first (command 05), which the gateway does not send.
 * Firmware of version 11 ignores the balancer's switch. */
static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    const uint8_t info[] = {(uint8_t) bms_code_of(switches, COUNT(switches), id), value > 0};
    request->size = put_frame(request->bytes, WRITE, FROM_GPS, REQUEST, info, sizeof info);
    return true;
}

/* ---- emulator ---- */

/* An LFP pack as the app presets it; texts that are not here are zero, the password among them. */
// clang-format off
static const struct {
    uint8_t code;
    int32_t value;
} presets[] = {
    {0x89, 8212}, {0x8E, 5840}, {0x8F, 4160}, {0x90, 3650}, {0x91, 3450}, {0x92, 5},   {0x93, 2600}, {0x94, 2650},
    {0x95, 5},    {0x96, 300},  {0x97, 150},  {0x98, 300},  {0x99, 100},  {0x9A, 30},  {0x9B, 3300}, {0x9C, 10},
    {0x9D, 1},    {0x9E, 90},   {0x9F, 70},   {0xA0, 70},   {0xA1, 60},   {0xA2, 20},  {0xA3, 70},   {0xA4, 70},
    {0xA5, 2},    {0xA6, 5},    {0xA7, -20},  {0xA8, -10},  {0xAD, 1000}, {0xAE, 1},   {0xB0, 10},   {0xB1, 20},
    {0xB6, 1440}, {0xC0, 1},
};
// clang-format on

/* Limits values below zero or beyond 99 °C; a missing sensor reads beyond the range. */
static uint32_t raw_temperature(const struct pack *pack, enum pack_value id)
{
    if (!pack_known(pack, id))
        return 0xFF;
    double celsius = fmax(fmin(round(pack->value[id]), 99), -40);
    return (uint32_t) (celsius < 0 ? 100 - celsius : celsius);
}

static unsigned emulated_cells(const struct pack *pack)
{
    return (unsigned) fmin(pack_value_or(pack, CELL_COUNT, 0), MAX_CELLS);
}

static uint32_t raw_number(const struct pack *pack, uint8_t code)
{
    switch (code) {
    case MOS_TEMP:
    case TEMP_1:
    case TEMP_2:
        return raw_temperature(pack, code == MOS_TEMP ? MOS_TEMP_C : TEMP_C + code - TEMP_1);
    case CURRENT: {
        double amps = pack_value_or(pack, CURRENT_A, 0);
        uint32_t amount = (uint32_t) fmin(round(fabs(amps) * 100), 0x7FFF);
        return amps > 0 ? amount | 0x8000 : amount;
    }
    case TEMPS:
        return (uint32_t) fmin(pack_value_or(pack, TEMP_COUNT, 2), 2);
    case STRINGS:
    case CELL_SETTING:
        return emulated_cells(pack);
    case ALARMS: {
        const uint32_t active = pack->alarms_warning | pack->alarms_protection;
        const struct pack any = {.alarms_warning = active, .alarms_protection = active};
        const bool hot =
            active >> CHARGE_OVER_TEMPERATURE & 1 || active >> DISCHARGE_OVER_TEMPERATURE & 1;
        const bool cold =
            active >> CHARGE_UNDER_TEMPERATURE & 1 || active >> DISCHARGE_UNDER_TEMPERATURE & 1;
        return (uint32_t) pack_alarm_word(&any, alarms, COUNT(alarms), true) |
               (uint32_t) hot << HOT_BIT | (uint32_t) cold << COLD_BIT;
    }
    case STATE:
        return (pack_value_or(pack, CHARGE_MOS, 1) > 0 ? 1 : 0) |
               (pack_value_or(pack, DISCHARGE_MOS, 1) > 0 ? 2 : 0) |
               (pack_value_or(pack, BALANCING, 0) > 0 ? 4 : 0);
    case CAPACITY:
        return (uint32_t) lround(pack_value_or(pack, RATED_AH, pack_value_or(pack, FULL_AH, 0)));
    case FULL_CAPACITY:
        return (uint32_t) lround(pack_value_or(pack, FULL_AH, 0));
    case CHARGE_SWITCH:
    case DISCHARGE_SWITCH:
        return pack_value_or(pack, code == CHARGE_SWITCH ? CHARGE_MOS : DISCHARGE_MOS, 1) > 0;
    }
    /* Settings of the pack replace the presets of the app. */
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct register_row *row = &rows[i];
        if (row->code == code && pack_known(pack, row->id))
            return row->is_signed ? pack_raw(pack, row->id, row->divisor, 0)
                                  : pack_scaled(pack, row->id, row->divisor, 0, UINT16_MAX);
    }
    for (size_t i = 0; i < COUNT(presets); i++)
        if (presets[i].code == code)
            return (uint32_t) presets[i].value;
    return 0;
}

/* Hardware and software; the pack's own version is used if it has both. */
static const char *version_of(const struct pack *pack)
{
    const char *own = pack->text[FIRMWARE];
    return strstr(own, "_S") ? own : "11.XW_S11.262H";
}

static size_t put_register(uint8_t *out, uint8_t code, const struct pack *pack)
{
    size_t size = value_size[code];
    out[0] = code;
    if (code == CELLS) {
        const unsigned count = emulated_cells(pack);
        out[1] = (uint8_t) (3 * count);
        for (unsigned i = 0; i < count; i++) {
            out[2 + 3 * i] = (uint8_t) (i + 1);
            put_be16(out + 3 + 3 * i, (uint32_t) lround(pack_value_or(pack, CELL_MV + i, 0)));
        }
        return 2u + out[1];
    }
    if (code == VERSION) {
        const char *text = version_of(pack);
        memset(out + 1, '_', size);
        memcpy(out + 1, text, strnlen(text, size));
    } else if (code == MAKER) {
        /* 12 bytes of the user's text, 12 of the model. */
        const char *model = pack->text[MODEL][0] ? pack->text[MODEL] : "JK_B2A20S20P";
        memset(out + 1, 0, size);
        memcpy(out + 1, "Input Userda", 12);
        memcpy(out + 13, model, strnlen(model, 12));
    } else {
        put_sized(out + 1, raw_number(pack, code), size, true);
    }
    return 1 + size;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct bms_span span = find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME || bytes[TYPE_AT] != REQUEST || span.size <= OVERHEAD)
        return span.size;
    const uint8_t code = bytes[INFO_AT], command = bytes[COMMAND_AT];
    uint8_t info[MOST_LENGTH] = {code};
    size_t count = 0;
    if (command == READ_ALL || (command == READ_ONE && code == 0)) {
        /* In the order of every recorded reply: BB to BF are write-only. */
        for (unsigned each = CELLS; each <= PROTOCOL; each++)
            if ((each == CELLS || value_size[each] != 0) && (each < 0xBB || each == PROTOCOL))
                count += put_register(info + count, (uint8_t) each, pack);
    } else if (command == READ_ONE && (code == CELLS || value_size[code] != 0)) {
        count = put_register(info, code, pack);
    } else if (command == ACTIVATE) {
        count = 1;
    } else if (command == WRITE && span.size == OVERHEAD + 2) {
        /* Boards of version 11 do not answer writes to the balancer's switch, and no board answers
         * unknown ones. */
        const bool old = strncmp(version_of(pack), "11.", 3) != 0;
        const struct bms_code *written = bms_code_find(switches, COUNT(switches), code);
        const uint8_t value = bytes[INFO_AT + 1];
        count = value <= 1 && written && (written->id != SET_BALANCER || old);
        if (count > 0)
            pack_set(pack, written->id, value);
    }
    if (count > 0)
        out->size = put_frame(out->bytes, command, FROM_BMS, REPLY, info, count);
    return span.size;
}

/* The second poll activates a sleeping board. */
static const struct bms_guess guesses[] = {{.address = -1, .polls = 2}};

const struct bms_driver jk_4e57_driver = {
    .name = "jk-4e57",
    .title = "JK, GPS port (4E 57 frames, protocol 000)",
    .guide = {.makes = "JK-B, JK-BD (GPS port) and JK-PB with protocol 000",
              .port = "UART",
              .wires = "4-pin GPS port, JST 1.25: GND, RX, TX, **full pack voltage**. 3.3 V TTL, "
                       "no RS485 without JK's dongle",
              .setting = "UART1 Protocol No. 000. *GPS heartbeat* off: it opens the MOS when "
                         "nobody talks"},
    .line = {.baud = 115200, .reply_ms = 1000, .gap_ms = 100, .tries = 2, .one_pack = true},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    .frame = find_frame,
    .decode = decode,
    .control = bms_control_by_set,
    BMS_SETTINGS(settings),
    .set = build_setting,
    .mask = mask,
    .emulate = emulate,
};
