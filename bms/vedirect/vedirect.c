// SPDX-License-Identifier: MIT
/*
 * Victron BMV-70x, BMV-71x and SmartShunt over VE.Direct: a shunt as a pack without cells. It sends
 * a main block and a history block of text each second by itself; HEX requests and replies are
 * optional. The driver vedirect listens to the text, and takes the records that come between it;
 * vedirect-hex polls the registers one by one. Follows the sheet `vedirect`. Oddities: a checksum
 * can be any byte, HEX records can be anywhere, "---" is an unknown value, a register whose value is
 * not available looks like a number (FFFF of a temperature is 382 degrees), some firmware stops its
 * text while it is polled, and the charge that a shunt counts only yields a pack's remaining
 * capacity if its capacity is known (options.capacity_ah, or HEX register 1000).
 */
#include "vedirect.h"

#include "bms/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_LIFE 10 /* main blocks that the history values outlive their block by */
#define KELVIN 273.15

// clang-format off
/* Section 2.5. 8 and 16 are the starter battery's, 256 and up those of inverters. No name fits a
 * battery that is too hot or cold as such: both directions have it. */
static const struct alarm_bit reasons[] = {
    {0, PACK_UNDER_VOLTAGE,          ALARM_WARNING},
    {1, PACK_OVER_VOLTAGE,           ALARM_WARNING},
    {2, SOC_LOW,                     ALARM_WARNING},
    {5, CHARGE_UNDER_TEMPERATURE,    ALARM_WARNING},
    {5, DISCHARGE_UNDER_TEMPERATURE, ALARM_WARNING},
    {6, CHARGE_OVER_TEMPERATURE,     ALARM_WARNING},
    {6, DISCHARGE_OVER_TEMPERATURE,  ALARM_WARNING},
    {7, CELL_IMBALANCE,              ALARM_WARNING},
};

/* Section 2.6. */
const struct vedirect_product vedirect_products[VEDIRECT_PRODUCTS] = {
    {0x0203, "BMV-700"},
    {0x0204, "BMV-702"},
    {0x0205, "BMV-700H"},
    {0xA380, "BMV-710 Smart"},
    {0xA381, "BMV-712 Smart"},
    {0xA382, "BMV-710H Smart"},
    {0xA383, "BMV-712 Smart Rev2"},
    {0xA389, "SmartShunt 500A/50mV"},
    {0xA38A, "SmartShunt 1000A/50mV"},
    {0xA38B, "SmartShunt 2000A/50mV"},
    {0xA38C, "SmartShunt IP67 500A/50mV"},
    {0xA38D, "SmartShunt IP67 1000A/50mV"},
    {0xA38E, "SmartShunt IP67 2000A/50mV"},
    {0xA3A4, "Smart Battery Sense"},
    {0xA3A5, "Smart Battery Sense Rev2"},
    {0xC030, "SmartShunt IP65 500A/50mV"},
    {0xC031, "SmartShunt IP65 1000A/50mV"},
    {0xC032, "SmartShunt IP65 2000A/50mV"},
    {0xC034, "BMV-800 Smart"},
    {0xC035, "SmartShunt IP65 500A/50mV"},
    {0xC036, "SmartShunt IP65 1000A/50mV"},
    {0xC037, "SmartShunt IP65 2000A/50mV"},
    {0xC038, "SmartShunt 300A/50mV"},
    {0xC039, "SmartShunt IP65 300A/50mV"},
};

/* Section 3.2. */
static const struct vedirect_number numbers[] = {
    /* id                     size signed unit   zero     value */
    {VEDIRECT_VOLTAGE,        2, true,  0.01,  0,       VOLTAGE_V},
    {VEDIRECT_CURRENT,        4, true,  0.001, 0,       CURRENT_A},
    {VEDIRECT_COARSE_CURRENT, 2, true,  0.1,   0,       CURRENT_A},
    {VEDIRECT_POWER,          2, true,  1,     0,       POWER_W},
    {VEDIRECT_SOC,            2, false, 0.01,  0,       SOC_PERCENT},
    {VEDIRECT_TEMPERATURE,    2, false, 0.01,  -KELVIN, TEMP_C},
    {VEDIRECT_CYCLES,         4, false, 1,     0,       CYCLES},
};
// clang-format on

/* NULL: not a shunt. */
static const char *product_name(unsigned id)
{
    for (size_t i = 0; i < VEDIRECT_PRODUCTS; i++)
        if (vedirect_products[i].id == id)
            return vedirect_products[i].name;
    return NULL;
}

uint16_t vedirect_told_reasons(const struct pack *pack)
{
    struct pack any = *pack;
    any.alarms_warning |= pack->alarms_protection;
    return (uint16_t) pack_alarm_word(&any, reasons, COUNT(reasons), false);
}

const struct vedirect_number *vedirect_find_number(unsigned id)
{
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (numbers[i].id == id)
            return &numbers[i];
    return NULL;
}

/* ---- from a shunt's numbers to struct pack ---- */

static void set_text(struct pack *pack, enum pack_text id, const char *text)
{
    pack_set_text(pack, id, text, strlen(text));
}

void vedirect_set_product(struct vedirect_notes *notes, struct pack *pack, unsigned id)
{
    const char *name = product_name(id);
    notes->named = name != NULL;
    if (name)
        set_text(pack, MODEL, name);
}

void vedirect_set_value(const struct bms *bms, struct pack *pack, enum pack_value id, double value)
{
    bms_set(bms, pack, id, value);
    if (id == TEMP_C)
        pack_set(pack, TEMP_COUNT, 1);
}

void vedirect_set_alarms(struct pack *pack, uint16_t word)
{
    pack_clear_alarms(pack);
    pack_raw_alarm(pack, word);
    pack_alarm_bits(pack, reasons, COUNT(reasons), word);
}

void vedirect_set_capacity(const struct bms *bms, struct pack *pack)
{
    const struct vedirect_notes *notes = (const void *) bms->memory.bytes;
    bool given = bms->options.capacity_ah > 0;
    if (!given && !notes->capacity_ah.known)
        return;
    double capacity_ah = given ? bms->options.capacity_ah : notes->capacity_ah.value;
    pack_set(pack, RATED_AH, capacity_ah);
    if (notes->consumed_ah.known)
        pack_set(pack, REMAINING_AH, capacity_ah + notes->consumed_ah.value);
}

/* ---- HEX records (section 3) ---- */

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
    const struct vedirect_number *row = vedirect_find_number(value->id);
    const bool consumed = value->id == VEDIRECT_CONSUMED;
    const bool synchronised = value->id == VEDIRECT_SYNCHRONISED;
    struct vedirect_fact raw;
    if (!value->reading || !(row || consumed || synchronised || value->id == VEDIRECT_REASONS))
        return true;
    if (!read_raw(value, row ? row->is_signed : consumed, &raw))
        return false;
    if (row) {
        if (row->id == VEDIRECT_CURRENT)
            notes->fine_current = raw.known;
        if (row->id == VEDIRECT_COARSE_CURRENT && notes->fine_current)
            return true;
        pack_unset(pack, row->value);
        if (raw.known)
            vedirect_set_value(bms, pack, row->value, raw.value * row->unit + row->zero);
    } else if (consumed) {
        notes->consumed_ah = (struct vedirect_fact){raw.known, raw.value / 10};
        vedirect_set_capacity(bms, pack);
    } else if (synchronised) {
        notes->unsynchronised = raw.known && raw.value == 0;
    } else if (raw.known) {
        vedirect_set_alarms(pack, (uint16_t) (uint32_t) raw.value);
    }
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
        set_text(pack, FIRMWARE, version);
    } else if (record->command == VEDIRECT_IS_DONE && asked->command == VEDIRECT_PRODUCT)
        vedirect_set_product(notes, pack, le16(record->data));
    else
        return BMS_FOREIGN;
    return BMS_DONE;
}

static enum bms_result take_record(struct bms *bms, const struct bms_request *request,
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

static void finish(struct bms *bms, struct pack *pack)
{
    const struct vedirect_notes *notes = bms_memory(bms);
    if (!notes->unsynchronised)
        return;
    pack_unset(pack, SOC_PERCENT);
    pack_unset(pack, REMAINING_AH);
}

/* ---- text (section 2) ---- */

/* A whole number only: "---" and damaged text are rejected. */
static bool read_number(const char *text, double *value)
{
    if (!text)
        return false;
    size_t sign = *text == '-' || *text == '+';
    size_t digits = strspn(text + sign, "0123456789");
    if (digits == 0 || digits > 10 || text[sign + digits] != '\0')
        return false;
    *value = strtod(text, NULL);
    return true;
}

static bool read_fact(const struct vedirect_block *block, const char *label, double per_unit,
                      struct vedirect_fact *fact)
{
    double number;
    fact->known = read_number(vedirect_value(block, label), &number);
    fact->value = fact->known ? number / per_unit : 0;
    return fact->known;
}

/* "0308" is 3.08, "C208" candidate C of 2.08; of six characters, "0208FF" is 2.08, "020801" beta 1 of
 * it. */
static void set_firmware(struct pack *pack, const char *text)
{
    char version[32];
    const size_t length = strlen(text);
    if (length < 3 || length == 5 || length > 6 || strspn(text, "0123456789ABCDEF") != length)
        return;
    const bool candidate = length == 4 && text[0] >= 'A';
    unsigned number = (unsigned) strtoul(text + candidate, NULL, 16), beta = 0xFF;
    if (length == 6) {
        beta = number & 0xFF;
        number >>= 8;
    }
    const int end = snprintf(version, sizeof version, "%x.%02x", number >> 8, number & 0xFF);
    if (candidate)
        snprintf(version + end, sizeof version - (size_t) end, " candidate %c", text[0]);
    if (beta != 0xFF)
        snprintf(version + end, sizeof version - (size_t) end, " beta %x", beta);
    set_text(pack, FIRMWARE, version);
}

/* 0 when there is none. */
static unsigned product_of(const struct vedirect_block *block)
{
    const char *text = vedirect_value(block, "PID");
    return text ? (unsigned) strtoul(text, NULL, 16) : 0;
}

static const struct text_value {
    const char *label;
    enum pack_value id;
    double per_unit;
} text_values[] = {{"V", VOLTAGE_V, 1000},
                   {"I", CURRENT_A, 1000},
                   {"P", POWER_W, 1},
                   {"SOC", SOC_PERCENT, 10},
                   {"T", TEMP_C, 1}};

static void decode_main(struct bms *bms, const struct vedirect_block *block, struct pack *pack)
{
    struct vedirect_notes *notes = bms_memory(bms);
    double number;
    /* The main block is complete: values that it lacks are unknown from now on. */
    static const enum pack_value others[] = {REMAINING_AH, RATED_AH, TEMP_COUNT, CYCLES};
    for (size_t i = 0; i < COUNT(others); i++)
        pack_unset(pack, others[i]);
    pack_clear_alarms(pack);
    for (size_t i = 0; i < COUNT(text_values); i++) {
        pack_unset(pack, text_values[i].id);
        if (read_number(vedirect_value(block, text_values[i].label), &number))
            vedirect_set_value(bms, pack, text_values[i].id, number / text_values[i].per_unit);
    }
    if (read_number(vedirect_value(block, "AR"), &number) && number >= 0 && number <= UINT16_MAX)
        vedirect_set_alarms(pack, (uint16_t) number);
    read_fact(block, "CE", 1000, &notes->consumed_ah);
    vedirect_set_capacity(bms, pack);
    /* History values survive main blocks, but only for HISTORY_LIFE of them without a new
     * history block. */
    if (notes->blocks < HISTORY_LIFE)
        notes->blocks++;
    else
        notes->cycles.known = false;
    if (notes->cycles.known)
        pack_set(pack, CYCLES, notes->cycles.value);
    const char *const firmware[] = {vedirect_value(block, "FW"), vedirect_value(block, "FWE")};
    const char *serial = vedirect_value(block, "SER#"), *name = product_name(product_of(block));
    char unnamed[32] = "";
    if (product_of(block) > 0)
        snprintf(unnamed, sizeof unnamed, "VE.Direct 0x%X", product_of(block));
    if (!name)
        name = vedirect_value(block, "BMV");
    set_text(pack, MODEL, name ? name : unnamed);
    for (size_t i = 0; i < COUNT(firmware); i++) /* the longer one counts */
        if (firmware[i])
            set_firmware(pack, firmware[i]);
    set_text(pack, SERIAL, serial ? serial : notes->serial);
    notes->has_text = true;
}

/* Voltage and current make a main block. A solar charger or an inverter has them too, but no state
 * of charge. */
static enum bms_result decode_text(struct bms *bms, const struct vedirect_block *block,
                                   struct pack *pack)
{
    struct vedirect_notes *notes = bms_memory(bms);
    double number;
    bool shunt = product_name(product_of(block)) || vedirect_value(block, "SOC");
    if (vedirect_value(block, "V")) {
        bool readable = read_number(vedirect_value(block, "V"), &number) &&
                        read_number(vedirect_value(block, "I"), &number);
        if (!shunt || !readable)
            return BMS_FOREIGN;
        /* The checksum of a fragment is right once in 256 times; since the product id comes first, a
         * fragment lacks it. A BMV-60x, which has none, begins with the voltage. Another device that never
         * sends one is accepted from its second block on. */
        const char *text = vedirect_value(block, "BMV");
        const bool old =
            text && strncmp(text, "60", 2) == 0 && strcmp(block->fields[0].label, "V") == 0;
        const bool fragment = !notes->believed && !vedirect_value(block, "PID") && !old;
        notes->believed = true;
        if (fragment)
            return BMS_FOREIGN;
        decode_main(bms, block, pack);
        /* MON, section 2.4: anything but 0 is an energy meter of something else, whose values
         * are served all the same. */
        double mode;
        bool meter = read_number(vedirect_value(block, "MON"), &mode) && mode != 0;
        snprintf(bms->remark, sizeof bms->remark, "%s",
                 meter ? "is set up as a DC energy meter (MON), not as a battery monitor" : "");
        return BMS_DONE;
    }
    for (unsigned i = 0; i < block->field_count; i++)
        if (block->fields[i].label[0] == 'H') {
            if (vedirect_value(block, "H4")) {
                notes->blocks = 0;
                pack_unset(pack, CYCLES);
                if (read_fact(block, "H4", 1, &notes->cycles))
                    pack_set(pack, CYCLES, notes->cycles.value);
            }
            return BMS_PARTIAL;
        }
    return BMS_FOREIGN;
}

/* The text is decoded last, as it is more exact than the records inside it. With a request in
 * flight it is used, but does not count as the answer. */
static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    if (frame[0] == ':')
        return take_record(bms, request, frame, size, pack);
    struct vedirect_block block;
    vedirect_scan_block(frame, size, &block);
    if (!block.sound)
        return BMS_FOREIGN;
    /* The result of the records inside a block: one answer among them makes it an answer. */
    enum bms_result records = BMS_FOREIGN;
    for (unsigned i = 0; i < block.record_count; i++) {
        struct vedirect_piece piece = block.records[i];
        enum bms_result result = take_record(bms, request, frame + piece.at, piece.size, pack);
        bool answered = records == BMS_DONE || records == BMS_REFUSED;
        if (!answered && result != BMS_FOREIGN && result != BMS_INVALID)
            records = result;
    }
    enum bms_result text = decode_text(bms, &block, pack);
    if (text == BMS_FOREIGN)
        return records;
    if (request->size == 0)
        return text;
    return records == BMS_FOREIGN ? BMS_PARTIAL : records;
}

const struct bms_driver vedirect_driver = {
    .name = "vedirect",
    .title = "Victron BMV and SmartShunt (VE.Direct)",
    .guide = {.makes = "Victron SmartShunt, BMV-700, BMV-712",
              .port = "VE.Direct",
              .wires = "VE.Direct, JST PH 2.0: 1 GND, 2 RX, 3 TX, 4 power: Victron's isolated "
                       "USB cable; the RS232 cable needs `baud = 19200 on`",
              .setting = "monitor mode: battery monitor. `capacity` gives the remaining Ah"},
    .line = {.baud = 19200, .reply_ms = 1500, .one_pack = true},
    .check = BMS_CHECK_SUM,
    .frame = vedirect_scan,
    .decode = decode,
    .finish = finish,
    .emulate = vedirect_emulate,
};

/* ---- polling (sections 3.2 and 3.3) ---- */

// clang-format off
/* The capacity is read before the consumed charge. What is read: a command, and the register that
 * VEDIRECT_GET has. */
static const struct bms_step plan[] = {
    {.name = "voltage", .vital = true,           .read = {VEDIRECT_GET, VEDIRECT_VOLTAGE, 0}},
    {.name = "current",                          .read = {VEDIRECT_GET, VEDIRECT_CURRENT, 0}},
    {.name = "current, tenths of an ampere",     .read = {VEDIRECT_GET, VEDIRECT_COARSE_CURRENT, 0}},
    {.name = "power",                            .read = {VEDIRECT_GET, VEDIRECT_POWER, 0}},
    {.name = "state of charge",                  .read = {VEDIRECT_GET, VEDIRECT_SOC, 0}},
    {.name = "capacity",         .every_s = 300, .read = {VEDIRECT_GET, VEDIRECT_CAPACITY, 0}},
    {.name = "consumed capacity",                .read = {VEDIRECT_GET, VEDIRECT_CONSUMED, 0}},
    {.name = "temperature",                      .read = {VEDIRECT_GET, VEDIRECT_TEMPERATURE, 0}},
    {.name = "alarms",           .every_s = 3,   .read = {VEDIRECT_GET, VEDIRECT_REASONS, 0}},
    {.name = "synchronisation",  .every_s = 10,  .read = {VEDIRECT_GET, VEDIRECT_SYNCHRONISED, 0}},
    {.name = "cycles",           .every_s = 300, .read = {VEDIRECT_GET, VEDIRECT_CYCLES, 0}},
    {.name = "firmware version", .every_s = 3600, .read = {VEDIRECT_PING, 0, 0}},
    {.name = "product",          .every_s = 3600, .read = {VEDIRECT_PRODUCT, 0, 0}},
    {.name = "product id",       .every_s = 3600, .read = {VEDIRECT_GET, VEDIRECT_PRODUCT_ID, 0}},
    {.name = "model name",       .every_s = 3600, .read = {VEDIRECT_GET, VEDIRECT_MODEL, 0}},
    {.name = "serial number",    .every_s = 3600, .read = {VEDIRECT_GET, VEDIRECT_SERIAL, 0}},
};
// clang-format on

/* Alternative steps are skipped if the step that they replace was answered. */
static bool build_hex(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct vedirect_notes *notes = bms_memory(bms);
    const struct bms_read *read = &plan[step].read;
    if (read->start == VEDIRECT_COARSE_CURRENT && notes->fine_current)
        return false;
    if ((read->start == VEDIRECT_PRODUCT_ID || read->start == VEDIRECT_MODEL) && notes->named)
        return false;
    if (read->start == VEDIRECT_CURRENT)
        notes->fine_current = false;
    /* Values of a part of the cycle expire with it: the remaining capacity follows from the
     * consumed charge, not from the capacity, which is kept longer. */
    notes->consumed_ah.known = false;
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
    return unasked ? BMS_FOREIGN : take_record(bms, request, bytes, size, pack);
}

/* Text does not answer the request, but the answer may be inside it. */
static enum bms_result decode_hex(struct bms *bms, const struct bms_request *request,
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
    .line = {.baud = 19200, .reply_ms = 400, .gap_ms = 10, .one_pack = true},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    .build = build_hex,
    .frame = vedirect_scan,
    .decode = decode_hex,
    .finish = finish,
    .emulate = vedirect_emulate,
};
