// SPDX-License-Identifier: MIT
/*
 * JBD "UP" rack boards (UP16S…): frames that look like Modbus but are not, with a start and an end
 * register and a length in both directions. Follows the sheet `jbd`, section 9.2. Oddities: the
 * master of the battery bus replies for the packs at address 2 and up, and has fewer of their
 * values; the master's current limits are sums over the bank.
 */
#include "bms/bytes.h"
#include "bms/checksum.h"
#include "bms/driver.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ 0x78
#define WRITE 0x79
#define READ_SINGLE 0x45 /* other units, not requested */
#define HEAD_SIZE 8      /* address, function, start, end, length */
#define CRC_SIZE 2
#define DATA_MAX 512 /* longest recorded: 208 */
#define ADDRESS_MAX 247
#define MASTER 1
#define CURRENT_ZERO 300000
#define TEMP_ZERO 500
#define CELLS_AT 68   /* in the data of the status */
#define TRAIL_SIZE 36 /* bytes of the status after the temperatures, up to the end of the text */
#define TEXT_MAX 30
#define SERIAL_AT 16   /* in the data of the board's parameters */
#define BOARD_SIZE 134 /* of them, emulated */
#define SERIAL_TRIES 6 /* requests for them that may stay unanswered */
#define SETTLING_REPLIES 2

/* Bits of the switch word; the others are pre-charge, heater and fan. */
enum { ON_DISCHARGE = 1, ON_CHARGE = 2, ON_BOTH = 3 };

struct memory {
    uint16_t switches;    /* as last reported */
    uint8_t wanted;       /* ON_…: switched on, as far as commanded */
    uint8_t wanted_known; /* ON_…: bits of `wanted` that are known */
    uint8_t settling;     /* replies to come that may show the state before the last command */
    uint8_t serial_asked; /* requests for the serial number since the last answer */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

struct range {
    uint8_t function;
    uint16_t start, end;
};
static const struct range status_range = {READ, 0x1000, 0x10A0};
static const struct range board_range = {READ, 0x1C00, 0x1CA0};
static const struct range switch_range = {WRITE, 0x2902, 0x2904};
static const uint8_t write_key[] = {0x11, 'J', 'B', 'D'};

static size_t put_frame(uint8_t *out, uint8_t address, const struct range *range,
                        const uint8_t *data, size_t count)
{
    out[0] = address;
    out[1] = range->function;
    put_be16(out + 2, range->start);
    put_be16(out + 4, range->end);
    put_be16(out + 6, (uint32_t) count);
    if (count > 0)
        memcpy(out + HEAD_SIZE, data, count);
    put_le16(out + HEAD_SIZE + count, crc16_modbus(out, HEAD_SIZE + count));
    return HEAD_SIZE + count + CRC_SIZE;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    /* There is no start byte: the known parts of a head have to do. */
    if (bytes[0] < 1 || bytes[0] > ADDRESS_MAX)
        return (struct bms_span){BMS_SKIP, 1};
    if (size >= 2 && bytes[1] != READ && bytes[1] != WRITE && bytes[1] != READ_SINGLE)
        return (struct bms_span){BMS_SKIP, 1};
    if (size >= HEAD_SIZE && (be16(bytes + 2) > be16(bytes + 4) || be16(bytes + 6) > DATA_MAX))
        return (struct bms_span){BMS_SKIP, 1};
    if (size < HEAD_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    size_t whole = HEAD_SIZE + be16(bytes + 6) + CRC_SIZE;
    if (size < whole)
        return (struct bms_span){BMS_MORE, 0};
    if (le16(bytes + whole - CRC_SIZE) != crc16_modbus(bytes, whole - CRC_SIZE))
        return (struct bms_span){BMS_DAMAGED, 1};
    return (struct bms_span){BMS_FRAME, whole};
}

/* A read without data, or a write with data: replies are the other way round. */
static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    struct bms_span span = find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME)
        return span;
    const bool asks = (be16(bytes + 6) > 0) == (bytes[1] == WRITE);
    *address = bytes[0];
    return (struct bms_span){asks ? BMS_FRAME : BMS_SKIP, asks ? span.size : 1};
}

static const struct bms_step plan[] = {
    {.name = "status", .vital = true},
    {.name = "serial number", .every_s = 3600},
};

/* Packs behind the master rarely answer the second request: it ends until the next connection. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const struct range *range = step == 0 ? &status_range : &board_range;
    if (range == &board_range) {
        if (memory->serial_asked >= SERIAL_TRIES)
            return false;
        memory->serial_asked++;
    }
    request->size = put_frame(request->bytes, (uint8_t) bms_address(bms), range, NULL, 0);
    return true;
}

// clang-format off
/* The protections, and 32 bits on the warnings. Of the former 13 and 14 are the ambient's, 23 the
 * current limiter, 24 aerosol, 25 fully charged, 27 reversed; of the latter 11 and 12 the ambient's, 16
 * EEPROM, 17 clock, 18 fully charged. */
static const struct alarm_bit alarms[] = {
    ALARM_VOLTAGES(32 + 0, 0, 1),
    ALARM_LEVELS(32 + 4,  4,  CHARGE_OVER_CURRENT),
    {5,  CHARGE_OVER_CURRENT,    PROT},
    ALARM_LEVELS(32 + 5,  6,  DISCHARGE_OVER_CURRENT),
    {7,  DISCHARGE_OVER_CURRENT, PROT},
    ALARM_TEMPERATURES(32 + 6, 8, 1),
    ALARM_LEVELS(32 + 10, 12, MOS_OVER_TEMPERATURE),
    ALARM_LEVELS(32 + 13, 15, CELL_IMBALANCE),
    ALARM_LEVELS(32 + 14, 16, TEMPERATURE_IMBALANCE),
    ALARM_LEVELS(32 + 15, 17, SOC_LOW),
    {18, SHORT_CIRCUIT,          PROT},
    {19, VOLTAGE_SENSOR_FAULT,   PROT},
    {20, TEMP_SENSOR_FAULT,      PROT},
    {21, CHARGE_MOS_FAULT,       PROT},
    {22, DISCHARGE_MOS_FAULT,    PROT},
    {26, HARDWARE_FAULT,         PROT},
};
// clang-format on
#define WARNING_FULL (1u << 18)

/* A reply in parts. */
struct reply {
    const struct bms_request *request;
    uint8_t address;
    struct range range;
    const uint8_t *data;
    size_t size;
};

/* A sensor that is missing reads 0, which would be -50 °C. */
static void set_celsius(struct pack *pack, enum pack_value id, const uint8_t *raw)
{
    if (be16(raw) != 0)
        pack_set(pack, id, (be16(raw) - TEMP_ZERO) / 10.0);
}

/* What commands have switched on. A MOS that is off while a protection is active, or the pack is
 * full, shows nothing: its remembered state stays, or is unknown. Right after a command the reply
 * may still show the state before it. */
static void note_switches(struct memory *memory, uint16_t word, bool reason_to_open)
{
    memory->switches = word;
    if (memory->settling > 0) {
        memory->settling--;
        return;
    }
    uint8_t on = word & ON_BOTH, told = reason_to_open ? on : ON_BOTH;
    memory->wanted = (uint8_t) ((memory->wanted & ~told) | (on & told));
    memory->wanted_known |= told;
}

/* Cells and temperatures, each preceded by their number; the rest is valid if they all had room. */
static bool decode_lists(const struct reply *reply, struct pack *pack)
{
    const uint8_t *d = reply->data;
    size_t cells = be16(d + CELLS_AT - 2), at = CELLS_AT + 2 * cells;
    if (cells > MAX_CELLS || at > reply->size)
        return false;
    pack_set(pack, CELL_COUNT, (double) cells);
    for (size_t i = 0; i < cells; i++)
        pack_set_cell(pack, (unsigned) i + 1, be16(d + CELLS_AT + 2 * i));
    if (at + 2 > reply->size)
        return true;
    size_t temps = be16(d + at), end = at + 2 + 2 * temps;
    if (temps > MAX_TEMPS || end > reply->size)
        return true;
    pack_set(pack, TEMP_COUNT, (double) temps);
    for (size_t i = 0; i < temps; i++)
        set_celsius(pack, (enum pack_value)(TEMP_C + i), d + at + 2 + 2 * i);
    if (end + TRAIL_SIZE <= reply->size) {
        /* After the temperatures:
         *   00 00 | 00 00     | 0C 04    | 4A 42 44 34 38 …
         *   -     | balancing | firmware | text, 30 characters
         * For the packs behind it the master knows only half of the firmware's number, which is not
         * used. */
        d += end;
        pack_set(pack, BALANCE_MASK, be16(d + 2));
        if (d[4] > 0) {
            char version[8];
            snprintf(version, sizeof version, "%d.%d", d[4], d[5]);
            pack_set_text(pack, FIRMWARE, version, sizeof version);
        }
        pack_set_text(pack, MODEL, d + 6, TEXT_MAX);
    }
    return true;
}

/* Status, up to the cells:
 *   14 C5   | 00 00 | 00 04 93 E0 | 17 CF | 17 CF     | 27 10 | 27 10 | 02 C6 | 02 D6   | 00 00 |
 *   voltage | -     | current     | SOC   | remaining | full  | rated | MOS   | ambient | flow  |
 *   00 64 | 00 00 00 00 | 00 00 00 00 | 00 03    | 00 04 | 00 0C  | … 00 10
 *   SOH   | protections | warnings    | switches | bus   | cycles |   cells
 * The extremes in between follow from the cells. */
static bool decode_status(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    const uint8_t *d = reply->data;
    if (!decode_lists(reply, pack))
        return false;
    pack_set(pack, VOLTAGE_V, be16(d) / 100.0);
    bms_set(bms, pack, CURRENT_A, ((double) be32(d + 4) - CURRENT_ZERO) / 100);
    pack_set(pack, SOC_PERCENT, be16(d + 8) / 100.0);
    pack_set(pack, REMAINING_AH, be16(d + 10) / 100.0);
    pack_set(pack, FULL_AH, be16(d + 12) / 100.0);
    pack_set(pack, RATED_AH, be16(d + 14) / 100.0);
    set_celsius(pack, MOS_TEMP_C, d + 16);
    pack_set(pack, SOH_PERCENT, be16(d + 22));
    pack_set(pack, DISCHARGE_MOS, d[33] & ON_DISCHARGE ? 1 : 0);
    pack_set(pack, CHARGE_MOS, d[33] & ON_CHARGE ? 1 : 0);
    pack_set(pack, CYCLES, be16(d + 36));
    /* 58 limits in steps of 0.1:
     *   02 48          | 07 D0          | 01 C0             | 07 D0
     *   charge voltage | charge current | discharge voltage | discharge current
     * The master's currents are those of the whole bank and would be counted twice there. */
    pack_set(pack, CHARGE_VOLTAGE_LIMIT_V, be16(d + 58) / 10.0);
    pack_set(pack, DISCHARGE_VOLTAGE_LIMIT_V, be16(d + 62) / 10.0);
    if (reply->address != MASTER) {
        pack_set(pack, CHARGE_CURRENT_LIMIT_A, be16(d + 60) / 10.0);
        pack_set(pack, DISCHARGE_CURRENT_LIMIT_A, be16(d + 64) / 10.0);
    }
    uint32_t protection_word = be32(d + 24), warning_word = be32(d + 28);
    pack_clear_alarms(pack);
    for (size_t at = 24; at < 32; at += 2)
        pack_raw_alarm(pack, be16(d + at));
    pack_alarm_bits(pack, alarms, COUNT(alarms), (uint64_t) warning_word << 32 | protection_word);
    note_switches(bms_memory(bms), be16(d + 32),
                  protection_word != 0 || (warning_word & WARNING_FULL));
    return true;
}

static bool decode_board(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    memory->serial_asked = 0;
    pack_set_text(pack, SERIAL, reply->data + SERIAL_AT, TEXT_MAX);
    return true;
}

/* The acknowledgement is empty: the request shows what it confirms. */
static bool decode_switch(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    size_t size = HEAD_SIZE + sizeof write_key + 2;
    if (reply->request->size != size + CRC_SIZE)
        return true;
    memory->wanted = reply->request->bytes[size - 1] & ON_BOTH;
    memory->wanted_known = ON_BOTH;
    memory->settling = SETTLING_REPLIES;
    return true;
}

static const struct message {
    const struct range *range;
    size_t min, max; /* bytes of data */
    bool (*take)(struct bms *bms, const struct reply *reply, struct pack *pack);
} messages[] = {
    {&status_range, CELLS_AT, DATA_MAX, decode_status},
    {&board_range, SERIAL_AT + TEXT_MAX, DATA_MAX, decode_board},
    {&switch_range, 0, 0, decode_switch},
};

/* Both heads must agree up to the length. A read request has no data, and a write request has;
 * replies are the other way round, which identifies an echo. */
static bool is_answer(const struct bms *bms, const struct reply *reply, const uint8_t *frame)
{
    if ((reply->size > 0) != (reply->range.function != WRITE))
        return false;
    if (reply->request->size >= HEAD_SIZE)
        return memcmp(frame, reply->request->bytes, 6) == 0;
    bool ours = bms->options.address < 0 || reply->address == bms->options.address;
    return reply->request->size == 0 && ours && reply->range.function == READ;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct reply reply = {request,
                          frame[0],
                          {frame[1], be16(frame + 2), be16(frame + 4)},
                          frame + HEAD_SIZE,
                          size - HEAD_SIZE - CRC_SIZE};
    if (!is_answer(bms, &reply, frame))
        return BMS_FOREIGN;
    for (size_t i = 0; i < COUNT(messages); i++) {
        const struct message *message = &messages[i];
        if (message->range->function != reply.range.function ||
            message->range->start != reply.range.start)
            continue;
        bool fits = reply.size >= message->min && reply.size <= message->max;
        return fits && message->take(bms, &reply, pack) ? BMS_DONE : BMS_INVALID;
    }
    return BMS_FOREIGN;
}

/* Writes both switches at once, with heater and others unchanged. The commanded state of the other
 * switch must be known: if a protection has opened it, writing "off" would keep it off for good. */
static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    uint8_t bit = which == BMS_CHARGE_MOS ? ON_CHARGE : ON_DISCHARGE;
    uint8_t other = ON_BOTH & ~bit;
    if (!(memory->wanted_known & other))
        return false;
    uint8_t data[sizeof write_key + 2];
    memcpy(data, write_key, sizeof write_key);
    put_be16(data + sizeof write_key,
             (memory->switches & ~(uint32_t) ON_BOTH) | (memory->wanted & other) | (on ? bit : 0));
    request->size =
        put_frame(request->bytes, (uint8_t) bms_address(bms), &switch_range, data, sizeof data);
    return true;
}

/* ---- emulator ---- */

static uint32_t scaled_word(const struct pack *pack, enum pack_value id, double factor)
{
    return pack_scaled(pack, id, factor, 0, UINT16_MAX);
}

static uint32_t temp_of(const struct pack *pack, enum pack_value id)
{
    return pack_scaled(pack, id, 10, TEMP_ZERO, UINT16_MAX);
}

static size_t put_status(const struct memory *memory, const struct pack *pack, uint8_t address,
                         uint8_t *d)
{
    uint32_t on = scaled_word(pack, DISCHARGE_MOS, 1) | scaled_word(pack, CHARGE_MOS, 1) << 1;
    double current_a = pack_known(pack, CURRENT_A) ? pack->value[CURRENT_A] : 0;
    const uint64_t active = pack_alarm_word(pack, alarms, COUNT(alarms), false);
    put_be16(d, scaled_word(pack, VOLTAGE_V, 100));
    put_be32(d + 4, (uint32_t) fmax(0, round(current_a * 100 + CURRENT_ZERO)));
    put_be16(d + 8, scaled_word(pack, SOC_PERCENT, address == MASTER ? 100 : 1) *
                        (address == MASTER ? 1 : 100));
    put_be16(d + 10, scaled_word(pack, REMAINING_AH, 100));
    put_be16(d + 12, scaled_word(pack, FULL_AH, 100));
    put_be16(d + 14, scaled_word(pack, RATED_AH, 100));
    put_be16(d + 16, temp_of(pack, MOS_TEMP_C));
    put_be16(d + 18, 250 + TEMP_ZERO);
    put_be16(d + 20, pack_flow(pack));
    put_be16(d + 22, scaled_word(pack, SOH_PERCENT, 1));
    put_be32(d + 24, (uint32_t) active);
    put_be32(d + 28, (uint32_t) (active >> 32));
    put_be16(d + 32, (memory->switches & ~(uint32_t) ON_BOTH) | on);
    put_be16(d + 36, scaled_word(pack, CYCLES, 1));
    put_be16(d + 38, scaled_word(pack, CELL_MAX_INDEX, 1));
    put_be16(d + 40, scaled_word(pack, CELL_MAX_MV, 1));
    put_be16(d + 42, scaled_word(pack, CELL_MIN_INDEX, 1));
    put_be16(d + 44, scaled_word(pack, CELL_MIN_MV, 1));
    put_be16(d + 46, scaled_word(pack, CELL_AVG_MV, 1));
    put_be16(d + 56, temp_of(pack, TEMP_AVG_C));
    put_be16(d + 58, scaled_word(pack, CHARGE_VOLTAGE_LIMIT_V, 10));
    put_be16(d + 60, scaled_word(pack, CHARGE_CURRENT_LIMIT_A, 10));
    put_be16(d + 62, scaled_word(pack, DISCHARGE_VOLTAGE_LIMIT_V, 10));
    put_be16(d + 64, scaled_word(pack, DISCHARGE_CURRENT_LIMIT_A, 10));
    /* Layout: count, cells, count, temperatures, rest. For packs other than itself the master has
     * only one byte of the firmware version. */
    size_t cells = pack_scaled(pack, CELL_COUNT, 1, 0, MAX_CELLS),
           temps = pack_scaled(pack, TEMP_COUNT, 1, 0, MAX_TEMPS);
    size_t at = CELLS_AT;
    put_be16(d + at - 2, (uint32_t) cells);
    for (size_t i = 0; i < cells; i++, at += 2)
        put_be16(d + at, scaled_word(pack, (enum pack_value)(CELL_MV + i), 1));
    put_be16(d + at, (uint32_t) temps);
    at += 2;
    for (size_t i = 0; i < temps; i++, at += 2)
        put_be16(d + at, temp_of(pack, (enum pack_value)(TEMP_C + i)));
    put_be16(d + at + 2, scaled_word(pack, BALANCE_MASK, 1));
    char *minor;
    unsigned long major = strtoul(pack->text[FIRMWARE], &minor, 10);
    d[at + 4] = address == MASTER ? (uint8_t) major : 0;
    d[at + 5] = *minor ? (uint8_t) strtoul(minor + 1, NULL, 10) : 0;
    memcpy(d + at + 6, pack->text[MODEL], strnlen(pack->text[MODEL], TEXT_MAX));
    return at + TRAIL_SIZE + 4;
}

/* A wrong CRC, another address and unknown requests are not answered. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct bms_span span = find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME || bytes[0] != bms_address(bms))
        return span.size;
    struct memory *memory = bms_memory(bms);
    uint8_t address = bytes[0], d[DATA_MAX] = {0};
    struct range range = {bytes[1], be16(bytes + 2), be16(bytes + 4)};
    size_t count = be16(bytes + 6);
    if (range.function == WRITE && range.start == switch_range.start) {
        const uint8_t *data = bytes + HEAD_SIZE;
        if (count != sizeof write_key + 2 || memcmp(data, write_key, sizeof write_key) != 0)
            return span.size;
        memory->switches = be16(data + sizeof write_key);
        pack_set(pack, CHARGE_MOS, memory->switches & ON_CHARGE ? 1 : 0);
        pack_set(pack, DISCHARGE_MOS, memory->switches & ON_DISCHARGE ? 1 : 0);
        out->size = put_frame(out->bytes, address, &range, NULL, 0);
        return span.size;
    }
    if (range.function != READ || count > 0)
        return span.size;
    if (range.start == status_range.start) {
        count = put_status(memory, pack, address, d);
    } else if (range.start == board_range.start && address == MASTER) {
        memcpy(d + SERIAL_AT, pack->text[SERIAL], strnlen(pack->text[SERIAL], TEXT_MAX));
        count = BOARD_SIZE;
    }
    if (count > 0)
        out->size = put_frame(out->bytes, address, &range, d, count);
    return span.size;
}

/* Replies take up to 0.31 s (section 9.2): a late one answers the second request. */
static const struct bms_guess guesses[] = {{.address = MASTER, .polls = 2}};

const struct bms_driver jbd_up_driver = {
    .name = "jbd-up",
    .title = "JBD UP16S rack boards (RS485, RS232)",
    .guide = {.makes = "JBD UP16S rack boards: ECO-WORTHY, JBD48100000",
              .port = "RS485, RS232",
              .wires = "RS485 or RS232",
              .setting = "the pack at address 1 passes on to the others"},
    .address = {.min = MASTER, .max = 32, .usual = MASTER},
    .line = {.baud = 9600, .reply_ms = 1000, .gap_ms = 50},
    .check = BMS_CHECK_CRC16,
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    .frame = find_frame,
    .question = find_question,
    .decode = decode,
    .control = build_switch,
    .emulate = emulate,
};
