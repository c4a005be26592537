// SPDX-License-Identifier: MIT
/*
 * ANT boards of 2021 and later: frames 7E A1 … AA 55. Follows the sheet `ant`, sections 2 to 4.
 * Oddities: the number in a request is not the length of its reply; some replies have a second
 * segment after their CRC; the discharge switch comes before the charge switch; current and power
 * are positive when the pack discharges; the board ignores open inputs in its lowest cell.
 * Switching requires a password, which is sent once the board has rejected an order without it.
 */
#include "ant_codes.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <string.h>

#define HEAD 6 /* bytes: 7E A1, function, register, n */
#define CRC_SIZE 2
#define END_SIZE 2 /* bytes: AA 55 */
#define BARE (HEAD + CRC_SIZE + END_SIZE)
#define SEGMENT_SIZE 6
#define CELLS_MOST 32
#define ANSWER 0x10 /* the function of a reply is that of the request plus this */

static const uint8_t end[END_SIZE] = {0xAA, 0x55};
static const uint8_t segment[SEGMENT_SIZE] = {0xFF, 0x0B, 0x00, 0x00, 0x41, 0xF2};

enum function {
    STATUS = 0x01,
    READ = 0x02,
    READ_SETTING = 0x22,
    WRITE = 0x23,
    PASSWORD_TAKEN = 0x43,
    COMMAND = 0x51
};
enum { IDENTITY = 0x026C, IDENTITY_SIZE = 32, STATUS_SIZE = 0xBE };
enum { DONE = 1, NO_PERMISSION = 3 };
enum { PASSWORD = 0x016A };

/* State of an order: the message to send next. */
enum way { SWITCH, TELL_PASSWORD, SWITCH_AGAIN };

struct memory {
    uint8_t way;    /* enum way */
    bool permitted; /* of the emulated board */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

// clang-format off
static const struct bms_step plan[] = {
    {.name = "identity", .every_s = 3600},
    {.name = "status",   .vital = true},
};

/* Section 4: the protections, and 32 bits on the warnings. */
static const struct alarm_bit alarms[] = {
    ALARM_LEVELS(32 + 0,  1,  CELL_OVER_VOLTAGE),
    {2,  CELL_OVER_VOLTAGE,      PROT}, /* second level */
    ALARM_LEVELS(32 + 1,  3,  PACK_OVER_VOLTAGE),
    ALARM_LEVELS(32 + 2,  4,  CELL_UNDER_VOLTAGE),
    {5,  CELL_UNDER_VOLTAGE,     PROT},
    ALARM_LEVELS(32 + 3,  6,  PACK_UNDER_VOLTAGE),
    ALARM_LEVELS(32 + 4,  7,  CELL_IMBALANCE),
    ALARM_LEVELS(32 + 5,  8,  CHARGE_OVER_TEMPERATURE),
    ALARM_LEVELS(32 + 6,  9,  DISCHARGE_OVER_TEMPERATURE),
    ALARM_LEVELS(32 + 9,  10, MOS_OVER_TEMPERATURE),
    ALARM_LEVELS(32 + 7,  11, CHARGE_UNDER_TEMPERATURE),
    ALARM_LEVELS(32 + 8,  12, DISCHARGE_UNDER_TEMPERATURE),
    ALARM_LEVELS(32 + 10, 13, CHARGE_OVER_CURRENT),
    ALARM_LEVELS(32 + 11, 14, DISCHARGE_OVER_CURRENT),
    {15, DISCHARGE_OVER_CURRENT, PROT},
    {16, SHORT_CIRCUIT,          PROT},
    {25, VOLTAGE_SENSOR_FAULT,   PROT}, /* balance wire off */
    {26, HARDWARE_FAULT,         PROT}, /* strange current */
    {27, DISCHARGE_MOS_FAULT,    PROT},
    {28, CHARGE_MOS_FAULT,       PROT},
    {29, COMMUNICATION_FAULT,    PROT},
    {32 + 12, SOC_LOW,           WARN},
    {32 + 13, SOC_LOW,           WARN},
};
// clang-format on

/* ---- frames (section 2) ---- */

static void put_crc(uint8_t *bytes, size_t size)
{
    put_le16(bytes + size, crc16_modbus(bytes + 1, size - 1));
}

/* Completes a frame around the data that `b` already contains; returns its size. */
static size_t put_frame(uint8_t *b, uint8_t function, uint16_t reg, uint8_t n, size_t data)
{
    b[0] = 0x7E;
    b[1] = 0xA1;
    b[2] = function;
    put_le16(b + 3, reg);
    b[5] = n;
    put_crc(b, HEAD + data);
    memcpy(b + BARE - END_SIZE + data, end, END_SIZE);
    return BARE + data;
}

/* 7E A1 01 00 00 BE 18 55 AA 55 */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    request->size = step == 0 ? put_frame(request->bytes, READ, IDENTITY, IDENTITY_SIZE, 0)
                              : put_frame(request->bytes, STATUS, 0, STATUS_SIZE, 0);
    return true;
}

/* Requests that ask for n bytes, or give a command, carry no data. */
static size_t data_size(const uint8_t *bytes)
{
    const bool bare =
        bytes[2] == STATUS || bytes[2] == READ || bytes[2] == READ_SETTING || bytes[2] == COMMAND;
    return bare ? 0 : bytes[5];
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    if (bytes[0] != 0x7E || (size > 1 && bytes[1] != 0xA1))
        return (struct bms_span){BMS_SKIP, 1};
    if (size < HEAD)
        return (struct bms_span){BMS_MORE, 0};
    size_t length = HEAD + data_size(bytes) + CRC_SIZE;
    if (size < length)
        return (struct bms_span){BMS_MORE, 0};
    if (crc16_modbus(bytes + 1, length - 1 - CRC_SIZE) != le16(bytes + length - CRC_SIZE))
        return (struct bms_span){BMS_DAMAGED, 1};
    /* Finds the end of a frame after its CRC: AA 55, at once or after the second segment. */
    size_t at = length;
    if (at < size && bytes[at] == segment[0]) {
        size_t known = size - at < SEGMENT_SIZE ? size - at : SEGMENT_SIZE;
        if (memcmp(bytes + at, segment, known) == 0)
            at += SEGMENT_SIZE;
    }
    if (size < at + END_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    return memcmp(bytes + at, end, END_SIZE) == 0 ? (struct bms_span){BMS_FRAME, at + END_SIZE}
                                                  : (struct bms_span){BMS_DAMAGED, 1};
}

/* ---- status (section 3) ---- */

/* 7E A1 11 00 00 | 8E | level state | T N | protection warning push | N cells | T sensors | … */
static enum bms_result decode_status(const struct bms *bms, const uint8_t *b, struct pack *pack)
{
    if (b[5] < 28)
        return BMS_INVALID;
    unsigned temps = b[8], cells = b[9], shift = 2 * (temps + cells);
    if (cells < 1 || cells > CELLS_MOST || temps > MAX_TEMPS || b[5] < 106 + shift)
        return BMS_INVALID;
    pack_clear_alarms(pack);
    pack_alarm_bits(pack, alarms, COUNT(alarms), (uint64_t) le32(b + 18) << 32 | le32(b + 10));
    for (unsigned i = 0; i < 8; i++)
        pack_raw_alarm(pack, le16(b + 10 + 2 * i));
    pack_set(pack, CELL_COUNT, cells);
    for (unsigned n = 0; n < cells; n++)
        pack_set_cell(pack, n + 1, le16(b + 34 + 2 * n));
    pack_set(pack, TEMP_COUNT, temps);
    for (unsigned n = 0; n < temps; n++)
        ant_set_temp(pack, TEMP_C + n, sle16(b + 34 + 2 * (cells + n)));
    /* The part after cells and sensors; offsets are those of the sheet without o. */
    b += shift;
    ant_set_temp(pack, MOS_TEMP_C, sle16(b + 34));
    pack_set(pack, VOLTAGE_V, le16(b + 38) / 100.0);
    ant_set_current(bms, pack, sle16(b + 40), (int32_t) le32(b + 62));
    pack_set(pack, SOC_PERCENT, le16(b + 42));
    pack_set(pack, SOH_PERCENT, le16(b + 44));
    pack_set(pack, DISCHARGE_MOS, b[46] == ANT_ON);
    pack_set(pack, CHARGE_MOS, b[47] == ANT_ON);
    if (le32(b + 50) > 0) /* else it was never set */
        pack_set(pack, FULL_AH, le32(b + 50) / 1e6);
    pack_set(pack, REMAINING_AH, le32(b + 54) / 1e6);
    pack_set(pack, BALANCE_MASK, le32(b + 70));
    /* Voltage and number of the highest and of the lowest cell, which ignore open inputs. */
    for (unsigned i = 0; i < 2; i++) {
        const unsigned number = le16(b + 76 + 4 * i);
        if (number >= 1 && number <= cells) {
            pack_set(pack, CELL_MAX_MV + i, le16(b + 74 + 4 * i));
            pack_set(pack, CELL_MAX_INDEX + i, number);
        }
    }
    pack_set(pack, CELL_DELTA_MV, le16(b + 82));
    pack_set(pack, CELL_AVG_MV, le16(b + 84));
    return BMS_DONE;
}

/* One pack per line, and frames that identify themselves, also without a request. A password is
 * answered with function 43, anything else with the function of the request plus 10 hex. */
static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    const bool unasked = request->size == 0;
    const uint8_t asked = request->size >= BARE ? request->bytes[2] : 0;
    if (!unasked &&
        (asked == 0 || memcmp(frame + 3, request->bytes + 3, 2) != 0 ||
         (frame[2] != asked + ANSWER && (asked != WRITE || frame[2] != PASSWORD_TAKEN))))
        return BMS_FOREIGN;
    if (asked == COMMAND) {
        /* 7E A1 61 0F 00 02 | 03 00 | …      1 done, 2 failed, 3 the password first */
        const unsigned result = frame[5] == 2 ? le16(frame + HEAD) : 0;
        const bool first = memory->way == SWITCH;
        memory->way = result == NO_PERMISSION && first ? TELL_PASSWORD : SWITCH;
        return result == DONE ? BMS_DONE : result == 0 ? BMS_INVALID : BMS_REFUSED;
    }
    if (asked == WRITE) {
        if (le16(frame + 3) != PASSWORD)
            return BMS_FOREIGN;
        /* The board has received the password. That does not confirm the order, which is sent once
         * more: its reply shows whether the password was right. */
        memory->way = SWITCH_AGAIN;
        return BMS_REFUSED;
    }
    if (frame[2] == STATUS + ANSWER)
        return decode_status(bms, frame, pack);
    if (frame[2] != READ + ANSWER || le16(frame + 3) != IDENTITY || frame[5] != IDENTITY_SIZE)
        return BMS_FOREIGN;
    /* 7E A1 12 6C 02 20 | model, 16 | firmware, 16 | … */
    pack_set_text(pack, MODEL, frame + HEAD, 16);
    pack_set_text(pack, FIRMWARE, frame + HEAD + 16, 16);
    return unasked ? BMS_PARTIAL : BMS_DONE;
}

/* ---- switching (section 5) ---- */

/* The registers of the commands: off, on. */
static const uint8_t switch_codes[][2] = {[BMS_CHARGE_MOS] = {4, 6}, [BMS_DISCHARGE_MOS] = {1, 3}};

static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    if (strlen(bms->options.password) != BMS_PASSWORD)
        return false;
    if (memory->way == TELL_PASSWORD) {
        memcpy(request->bytes + HEAD, bms->options.password, BMS_PASSWORD);
        request->size = put_frame(request->bytes, WRITE, PASSWORD, BMS_PASSWORD, BMS_PASSWORD);
    } else {
        request->size = put_frame(request->bytes, COMMAND, switch_codes[which][on], 0, 0);
    }
    return true;
}

/* Section 5: functions 23 and 43 write and confirm passwords in plain text. */
static void mask(uint8_t *frame, size_t size)
{
    if ((frame[2] & 0x0F) != 0x03)
        return;
    size_t data = data_size(frame);
    memset(frame + HEAD, '*', data);
    put_crc(frame, HEAD + data);
}

/* ---- emulator ---- */

static uint8_t switch_code(const struct pack *told, enum pack_value id)
{
    return told->value[id] > 0 ? ANT_ON : ANT_OFF_BY_HAND;
}

static size_t tell_status(const struct pack *told, uint8_t *data)
{
    unsigned cells = pack_scaled(told, CELL_COUNT, 1, 0, CELLS_MOST);
    unsigned temps = pack_scaled(told, TEMP_COUNT, 1, 0, MAX_TEMPS);
    size_t size = 106 + 2 * (cells + temps);
    memset(data, 0, size);
    data[0] = 5;
    data[1] = (uint8_t) (pack_flow(told) + 1);
    data[2] = (uint8_t) temps;
    data[3] = (uint8_t) cells;
    const uint64_t active = pack_alarm_word(told, alarms, COUNT(alarms), false);
    const enum pack_flow flow = pack_flow(told);
    put_le32(data + 4, (uint32_t) active);
    put_le32(data + 12, (uint32_t) (active >> 32) | (uint32_t) (flow == FLOW_CHARGING) << 18 |
                            (uint32_t) (flow == FLOW_DISCHARGING) << 19 |
                            (uint32_t) (told->value[CHARGE_MOS] > 0) << 23 |
                            (uint32_t) (told->value[DISCHARGE_MOS] > 0) << 24);
    uint8_t *at = data + 28;
    for (unsigned n = 0; n < cells; n++, at += 2)
        put_le16(at, pack_raw(told, CELL_MV + n, 1, 0));
    for (unsigned n = 0; n < temps; n++, at += 2)
        put_le16(at, (uint32_t) ant_told_temp(told, TEMP_C + n));
    put_le16(at, (uint32_t) ant_told_temp(told, MOS_TEMP_C)); /* 34 of the sheet */
    put_le16(at + 2, 25);
    put_le16(at + 4, pack_raw(told, VOLTAGE_V, 100, 0));
    put_le16(at + 6, pack_raw(told, CURRENT_A, -10, 0));
    put_le16(at + 8, pack_raw(told, SOC_PERCENT, 1, 0));
    put_le16(at + 10, pack_raw(told, SOH_PERCENT, 1, 0));
    at[12] = switch_code(told, DISCHARGE_MOS);
    at[13] = switch_code(told, CHARGE_MOS);
    put_le32(at + 16, pack_raw(told, FULL_AH, 1e6, 0));
    put_le32(at + 20, pack_raw(told, REMAINING_AH, 1e6, 0));
    put_le32(at + 28, pack_raw(told, POWER_W, -1, 0));
    put_le32(at + 36, (uint32_t) (uint64_t) fmax(told->value[BALANCE_MASK], 0));
    put_le16(at + 40, pack_raw(told, CELL_MAX_MV, 1, 0));
    put_le16(at + 42, pack_raw(told, CELL_MAX_INDEX, 1, 0));
    put_le16(at + 44, pack_raw(told, CELL_MIN_MV, 1, 0));
    put_le16(at + 46, pack_raw(told, CELL_MIN_INDEX, 1, 0));
    put_le16(at + 48, pack_raw(told, CELL_DELTA_MV, 1, 0));
    put_le16(at + 50, pack_raw(told, CELL_AVG_MV, 1, 0));
    put_le16(at + 60, 0xFAF2); /* LFP */
    return size;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct bms_span span = find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME)
        return span.size;
    struct pack told = *pack;
    pack_derive(&told);
    struct memory *memory = bms_memory(bms);
    const uint8_t function = bytes[2];
    const uint16_t reg = le16(bytes + 3);
    uint8_t *data = out->bytes + HEAD;
    size_t count = 2;
    if (function == STATUS && reg == 0) {
        count = tell_status(&told, data);
    } else if (function == READ && reg == IDENTITY && bytes[5] == IDENTITY_SIZE) {
        count = IDENTITY_SIZE;
        memset(data, 0, IDENTITY_SIZE);
        memcpy(data, told.text[MODEL], strnlen(told.text[MODEL], 16));
        memcpy(data + 16, told.text[FIRMWARE], strnlen(told.text[FIRMWARE], 16));
    } else if (function == COMMAND) {
        /* Restart, power-down and other commands are not emulated. */
        unsigned result = memory->permitted ? 2 : NO_PERMISSION;
        for (unsigned i = 0; i < 2 * COUNT(switch_codes); i++)
            if (memory->permitted && reg == switch_codes[i / 2][i % 2]) {
                pack_set(pack, i / 2 == BMS_CHARGE_MOS ? CHARGE_MOS : DISCHARGE_MOS, i % 2);
                result = DONE;
            }
        put_le16(data, result);
    } else if (function == WRITE && reg == PASSWORD && bytes[5] == BMS_PASSWORD) {
        /* Without a configured password the board has its default one. */
        const char *own = bms->options.password[0] ? bms->options.password : "12345678";
        memory->permitted = memcmp(bytes + HEAD, own, BMS_PASSWORD) == 0;
        put_le16(data, 5);
    } else {
        return span.size;
    }
    out->size = put_frame(out->bytes, function == WRITE ? PASSWORD_TAKEN : function + ANSWER, reg,
                          (uint8_t) count, count);
    if (function == READ || function == WRITE) { /* a second segment */
        memcpy(out->bytes + out->size - END_SIZE, segment, SEGMENT_SIZE);
        memcpy(out->bytes + out->size + SEGMENT_SIZE - END_SIZE, end, END_SIZE);
        out->size += SEGMENT_SIZE;
    }
    return span.size;
}

const struct bms_driver ant_driver = {
    .name = "ant",
    .title = "ANT boards of 2021 and later (frames 7E A1)",
    .guide = {.makes = "ANT boards of 2021 and later (16ZMUB, 24BHUB, 24CBUB…)",
              .port = "UART",
              .wires = "the UART socket of the Bluetooth module: 3.3 V TTL, its VCC pin must be "
                       "fed with 3.3 V",
              .setting = "the board falls asleep without current: wake it by button or charger",
              .switching = "with `password_file`"},
    .line = {.baud = 19200, .reply_ms = 500, .gap_ms = 100, .one_pack = true},
    .check = BMS_CHECK_CRC16,
    BMS_PLAN(plan),
    .build = build,
    .frame = find_frame,
    .decode = decode,
    .control = build_switch,
    .wants_password = true,
    .mask = mask,
    .emulate = emulate,
};
