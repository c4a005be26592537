// SPDX-License-Identifier: MIT
/*
 * VE.Direct, HEX: requests and replies in hexadecimal digits, section 3 of the sheet `vedirect`.
 * The driver vedirect-hex polls a shunt's registers one by one instead of listening to its text;
 * the driver vedirect decodes those that arrive between the text. Oddities: some firmware stops its
 * text while it is polled, some does not; a register whose value is not available looks like a
 * number (FFFF of a temperature is 382 degrees).
 */
#include "vedirect_scan.h"
#include "vedirect_tables.h"
#include "vedirect_values.h"

#include "bms/bytes.h"

#include <stdio.h>
#include <string.h>

/* A value in a record. */
struct hex_value {
    uint16_t id;
    const uint8_t *bytes;
    size_t size;
    bool reading; /* present measurements may be taken from it */
};

/* The record's size counts, not the table's. All ones, without the sign: not available. False: no
 * such number. */
static bool read_raw(const struct hex_value *value, bool is_signed, struct vedirect_fact *raw)
{
    if (value->size != 1 && value->size != 2 && value->size != 4)
        return false;
    const uint32_t bits = (uint32_t) get_sized(value->bytes, value->size, false);
    uint32_t ones = UINT32_MAX >> (32 - 8 * value->size), missing = is_signed ? ones >> 1 : ones;
    raw->known = bits != missing;
    raw->value = is_signed && bits > missing ? (double) bits - ones - 1 : bits;
    return true;
}

/* Decodes a register; false: it is malformed. Unused registers are accepted with any value. */
static bool decode_register(struct bms *bms, const struct hex_value *value, struct pack *pack)
{
    struct vedirect_notes *notes = bms_memory(bms);
    switch (value->id) {
    case VEDIRECT_CAPACITY:
        if (!read_raw(value, false, &notes->capacity_ah))
            return false;
        vedirect_set_capacity(bms, pack);
        return true;
    case VEDIRECT_SERIAL:
        pack_set_text(pack, SERIAL, value->bytes, value->size);
        memcpy(notes->serial, pack->text[SERIAL], TEXT_SIZE);
        return true;
    case VEDIRECT_MODEL:
        /* Its wording differs from the product list's, which has precedence. */
        if (!pack->text[MODEL][0])
            pack_set_text(pack, MODEL, value->bytes, value->size);
        return true;
    case VEDIRECT_PRODUCT_ID:
        if (value->size < 3)
            return false;
        vedirect_set_product(notes, pack, le16(value->bytes + 1));
        return true;
    }
    if (!value->reading)
        return true;
    const struct vedirect_number *row = vedirect_find_number(value->id);
    struct vedirect_fact raw;
    if (row) {
        if (!read_raw(value, row->is_signed, &raw))
            return false;
        if (row->id == VEDIRECT_CURRENT)
            notes->fine_current = raw.known;
        if (row->id == VEDIRECT_COARSE_CURRENT && notes->fine_current)
            return true;
        pack_unset(pack, row->value);
        if (raw.known)
            vedirect_set_value(bms, pack, row->value, raw.value * row->unit + row->zero);
        return true;
    }
    if (value->id == VEDIRECT_CONSUMED) {
        if (!read_raw(value, true, &notes->consumed_ah))
            return false;
        notes->consumed_ah.value /= 10;
        vedirect_set_capacity(bms, pack);
        return true;
    }
    if (value->id != VEDIRECT_REASONS && value->id != VEDIRECT_SYNCHRONISED)
        return true;
    if (!read_raw(value, false, &raw))
        return false;
    if (value->id == VEDIRECT_SYNCHRONISED)
        notes->unsynchronised = raw.known && raw.value == 0;
    else if (raw.known)
        vedirect_set_alarms(pack, (uint16_t) (uint32_t) raw.value);
    return true;
}

/* An answer to Get, or the same unasked:
 *   7 | 8D ED    | 00    | 6D 0A          26.69 V
 *     | register | flags | value
 * With flags there is no value; the echo of a request has neither. */
static enum bms_result decode_get(struct bms *bms, const struct vedirect_record *record, bool asked,
                                  struct pack *pack)
{
    if (record->size < 3)
        return BMS_FOREIGN;
    if (record->data[2] != VEDIRECT_FINE)
        return asked ? BMS_REFUSED : BMS_FOREIGN;
    if (record->size == 3)
        return BMS_FOREIGN;
    /* Unsolicited, the text has the same values, more exactly and together; asynchronous records
     * only supplement it. */
    const struct vedirect_notes *notes = bms_memory(bms);
    bool reading = asked || (record->command == VEDIRECT_IS_GET && !notes->has_text);
    struct hex_value value = {le16(record->data), record->data + 3, record->size - 3, reading};
    if (!decode_register(bms, &value, pack))
        return BMS_INVALID;
    return asked ? BMS_DONE : BMS_PARTIAL;
}

/* Answers that can be decoded only with their request. An error (:4) is none: it reports malformed
 * bytes on the line. */
static enum bms_result decode_short(struct vedirect_notes *notes,
                                    const struct vedirect_record *asked,
                                    const struct vedirect_record *record, struct pack *pack)
{
    if (record->command == VEDIRECT_IS_UNKNOWN)
        return BMS_REFUSED;
    if (record->size != 2)
        return BMS_FOREIGN;
    if ((record->command == VEDIRECT_IS_PING && asked->command == VEDIRECT_PING) ||
        (record->command == VEDIRECT_IS_DONE && asked->command == VEDIRECT_VERSION)) {
        /* The two top bits of the version say what is running; 01 is the application. */
        uint16_t word = le16(record->data);
        char version[16];
        snprintf(version, sizeof version, "%x.%02x", (unsigned) (word & 0x3FFF) >> 8, word & 0xFFu);
        vedirect_set_text(pack, FIRMWARE, version);
    } else if (record->command == VEDIRECT_IS_DONE && asked->command == VEDIRECT_PRODUCT)
        vedirect_set_product(notes, pack, le16(record->data));
    else
        return BMS_FOREIGN;
    return BMS_DONE;
}

enum bms_result vedirect_take_record(struct bms *bms, const struct bms_request *request,
                                     const uint8_t *bytes, size_t size, struct pack *pack)
{
    struct vedirect_record asked, record;
    /* Some programs send an LF first. */
    const uint8_t *colon = memchr(request->bytes, ':', request->size);
    size_t length = colon ? request->size - (size_t) (colon - request->bytes) : 0;
    bool question = colon && vedirect_parse_record(colon, length, &asked);
    bool echo = length == size && memcmp(colon, bytes, size) == 0;
    if (echo || !vedirect_parse_record(bytes, size, &record))
        return BMS_FOREIGN;
    if (record.command == VEDIRECT_IS_ASYNC ||
        (record.command == VEDIRECT_IS_GET && request->size == 0))
        return decode_get(bms, &record, false, pack);
    if (!question)
        return BMS_FOREIGN;
    if (record.command != VEDIRECT_IS_GET)
        return decode_short(bms_memory(bms), &asked, &record, pack);
    bool same = asked.command == VEDIRECT_GET && asked.size >= 2 && record.size >= 2 &&
                le16(asked.data) == le16(record.data);
    return same ? decode_get(bms, &record, true, pack) : BMS_FOREIGN;
}

void vedirect_finish(struct bms *bms, struct pack *pack)
{
    const struct vedirect_notes *notes = bms_memory(bms);
    if (!notes->unsynchronised)
        return;
    pack_unset(pack, SOC_PERCENT);
    pack_unset(pack, REMAINING_AH);
}

/* ---- polling (sections 3.2 and 3.3) ---- */

// clang-format off
enum step {
    STEP_VOLTAGE, STEP_CURRENT, STEP_COARSE_CURRENT, STEP_POWER, STEP_SOC, STEP_CAPACITY, STEP_CONSUMED,
    STEP_TEMPERATURE, STEP_ALARMS, STEP_SYNCHRONISED, STEP_CYCLES, STEP_VERSION, STEP_PRODUCT, STEP_PRODUCT_ID,
    STEP_MODEL, STEP_SERIAL, STEPS
};

/* The capacity is read before the consumed charge. What is read: a command, and the register that
 * VEDIRECT_GET has. */
static const struct bms_step plan[STEPS] = {
    [STEP_VOLTAGE]        = {.name = "voltage", .vital = true,           .read = {VEDIRECT_GET, VEDIRECT_VOLTAGE, 0}},
    [STEP_CURRENT]        = {.name = "current",                          .read = {VEDIRECT_GET, VEDIRECT_CURRENT, 0}},
    [STEP_COARSE_CURRENT] = {.name = "current, tenths of an ampere",     .read = {VEDIRECT_GET, VEDIRECT_COARSE_CURRENT, 0}},
    [STEP_POWER]          = {.name = "power",                            .read = {VEDIRECT_GET, VEDIRECT_POWER, 0}},
    [STEP_SOC]            = {.name = "state of charge",                  .read = {VEDIRECT_GET, VEDIRECT_SOC, 0}},
    [STEP_CAPACITY]       = {.name = "capacity",         .every_s = 300, .read = {VEDIRECT_GET, VEDIRECT_CAPACITY, 0}},
    [STEP_CONSUMED]       = {.name = "consumed capacity",                .read = {VEDIRECT_GET, VEDIRECT_CONSUMED, 0}},
    [STEP_TEMPERATURE]    = {.name = "temperature",                      .read = {VEDIRECT_GET, VEDIRECT_TEMPERATURE, 0}},
    [STEP_ALARMS]         = {.name = "alarms",           .every_s = 3,   .read = {VEDIRECT_GET, VEDIRECT_REASONS, 0}},
    [STEP_SYNCHRONISED]   = {.name = "synchronisation",  .every_s = 10,  .read = {VEDIRECT_GET, VEDIRECT_SYNCHRONISED, 0}},
    [STEP_CYCLES]         = {.name = "cycles",           .every_s = 300, .read = {VEDIRECT_GET, VEDIRECT_CYCLES, 0}},
    [STEP_VERSION]        = {.name = "firmware version", .every_s = 3600, .read = {VEDIRECT_PING, 0, 0}},
    [STEP_PRODUCT]        = {.name = "product",          .every_s = 3600, .read = {VEDIRECT_PRODUCT, 0, 0}},
    [STEP_PRODUCT_ID]     = {.name = "product id",       .every_s = 3600, .read = {VEDIRECT_GET, VEDIRECT_PRODUCT_ID, 0}},
    [STEP_MODEL]          = {.name = "model name",       .every_s = 3600, .read = {VEDIRECT_GET, VEDIRECT_MODEL, 0}},
    [STEP_SERIAL]         = {.name = "serial number",    .every_s = 3600, .read = {VEDIRECT_GET, VEDIRECT_SERIAL, 0}},
};
// clang-format on

/* Alternative steps are skipped if the step that they replace was answered. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct vedirect_notes *notes = bms_memory(bms);
    if (step == STEP_COARSE_CURRENT && notes->fine_current)
        return false;
    if ((step == STEP_PRODUCT_ID || step == STEP_MODEL) && notes->named)
        return false;
    if (step == STEP_CURRENT)
        notes->fine_current = false;
    /* Values of a part of the cycle expire with it: the remaining capacity follows from the
     * consumed charge, not from the capacity, which is kept longer. */
    notes->consumed_ah.known = false;
    const struct bms_read *read = &plan[step].read;
    const uint8_t data[3] = {(uint8_t) read->start, (uint8_t) (read->start >> 8)};
    request->size = vedirect_write_record(
        read->function, data, read->function == VEDIRECT_GET ? sizeof data : 0, request->bytes);
    return true;
}

/* Unsolicited records are ignored while a request is in flight: their values would outlive the
 * part that was requested. */
static enum bms_result decode_answer(struct bms *bms, const struct bms_request *request,
                                     const uint8_t *bytes, size_t size, struct pack *pack)
{
    struct vedirect_record record;
    bool unasked = !vedirect_parse_record(bytes, size, &record) ||
                   (record.command == VEDIRECT_IS_ASYNC && request->size > 0);
    return unasked ? BMS_FOREIGN : vedirect_take_record(bms, request, bytes, size, pack);
}

/* Text does not answer the request, but the answer may be inside it. */
static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    if (frame[0] == ':')
        return decode_answer(bms, request, frame, size, pack);
    struct vedirect_block block;
    enum bms_result answer = BMS_FOREIGN;
    vedirect_scan_block(frame, size, &block);
    for (unsigned i = 0; i < block.record_count && answer == BMS_FOREIGN; i++)
        answer =
            decode_answer(bms, request, frame + block.records[i].at, block.records[i].size, pack);
    return answer;
}

const struct bms_driver vedirect_hex_driver = {
    .name = "vedirect-hex",
    .title = "Victron BMV and SmartShunt (VE.Direct, HEX registers)",
    .guide = {.makes = "Victron SmartShunt, BMV-700, BMV-712, asked register by register",
              .port = "VE.Direct",
              .wires = "VE.Direct, JST PH 2.0: 1 GND, 2 RX, 3 TX, 4 power: Victron's isolated "
                       "USB cable; the RS232 cable needs `baud = 19200 on`, both directions",
              .setting = "for shunts whose text is off, or stops while they are asked"},
    .line = {.baud = 19200, .framing = "8N1", .reply_ms = 400, .gap_ms = 10, .one_pack = true},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    .build = build,
    .frame = vedirect_scan,
    .decode = decode,
    .finish = vedirect_finish,
    .emulate = vedirect_emulate,
};
