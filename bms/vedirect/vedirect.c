// SPDX-License-Identifier: MIT
/*
 * Victron BMV-70x, BMV-71x and SmartShunt over VE.Direct: a shunt as a pack without cells. It sends
 * a main block and a history block of text each second by itself; HEX requests and replies are
 * optional. Follows the sheet `vedirect`. Oddities: a checksum can be any byte, HEX records can be
 * anywhere, "---" is an unknown value, and the charge that a shunt counts only yields a pack's
 * remaining capacity if its capacity is known (options.capacity_ah, or HEX register 1000).
 */
#include "vedirect_scan.h"
#include "vedirect_tables.h"
#include "vedirect_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_LIFE 10 /* main blocks that the history values outlive their block by */

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

/* "0308" is 3.08, "C208" candidate C of 2.08. */
static void set_firmware(struct pack *pack, const char *text)
{
    char version[32];
    size_t length = strlen(text);
    if (length < 3 || length > 4 || strspn(text, "0123456789ABCDEF") != length)
        return;
    bool candidate = length == 4 && text[0] >= 'A';
    unsigned number = (unsigned) strtoul(text + candidate, NULL, 16);
    int end = snprintf(version, sizeof version, "%x.%02x", number >> 8, number & 0xFF);
    if (candidate)
        snprintf(version + end, sizeof version - (size_t) end, " candidate %c", text[0]);
    vedirect_set_text(pack, FIRMWARE, version);
}

/* "0208FF" is 2.08, "020801" beta 1 of it. */
static void set_long_firmware(struct pack *pack, const char *text)
{
    char version[32];
    if (strlen(text) != 6 || strspn(text, "0123456789ABCDEF") != 6)
        return;
    unsigned number = (unsigned) strtoul(text, NULL, 16);
    int length = snprintf(version, sizeof version, "%x.%02x", number >> 16, number >> 8 & 0xFF);
    if ((number & 0xFF) != 0xFF)
        snprintf(version + length, sizeof version - (size_t) length, " beta %x", number & 0xFF);
    vedirect_set_text(pack, FIRMWARE, version);
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
    for (size_t i = 0; i < COUNT(text_values); i++)
        pack_unset(pack, text_values[i].id);
    for (size_t i = 0; i < COUNT(others); i++)
        pack_unset(pack, others[i]);
    pack_clear_alarms(pack);
    for (size_t i = 0; i < COUNT(text_values); i++)
        if (read_number(vedirect_value(block, text_values[i].label), &number))
            vedirect_set_value(bms, pack, text_values[i].id, number / text_values[i].per_unit);
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
    const char *firmware = vedirect_value(block, "FW");
    const char *long_firmware = vedirect_value(block, "FWE");
    const char *serial = vedirect_value(block, "SER#");
    unsigned id = product_of(block);
    const char *name = vedirect_product_name(id);
    char unnamed[32] = "";
    if (id > 0)
        snprintf(unnamed, sizeof unnamed, "VE.Direct 0x%X", id);
    if (!name)
        name = vedirect_value(block, "BMV");
    vedirect_set_text(pack, MODEL, name ? name : unnamed);
    if (firmware)
        set_firmware(pack, firmware);
    if (long_firmware)
        set_long_firmware(pack, long_firmware);
    vedirect_set_text(pack, SERIAL, serial ? serial : notes->serial);
    notes->has_text = true;
}

/* Voltage and current make a main block. A solar charger or an inverter has them too, but no state
 * of charge. */
static enum bms_result decode_text(struct bms *bms, const struct vedirect_block *block,
                                   struct pack *pack)
{
    struct vedirect_notes *notes = bms_memory(bms);
    double number;
    bool shunt = vedirect_product_name(product_of(block)) || vedirect_value(block, "SOC");
    if (vedirect_value(block, "V")) {
        bool readable = read_number(vedirect_value(block, "V"), &number) &&
                        read_number(vedirect_value(block, "I"), &number);
        if (!shunt || !readable)
            return BMS_FOREIGN;
        /* The checksum of a fragment is right once in 256 times; since the product id comes first, a
         * fragment lacks it. A device that never sends one is accepted from its second block on. */
        const bool fragment = !notes->believed && !vedirect_value(block, "PID");
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
        return vedirect_take_record(bms, request, frame, size, pack);
    struct vedirect_block block;
    vedirect_scan_block(frame, size, &block);
    if (!block.sound)
        return BMS_FOREIGN;
    /* The result of the records inside a block: one answer among them makes it an answer. */
    enum bms_result all = BMS_FOREIGN;
    for (unsigned i = 0; i < block.record_count; i++) {
        struct vedirect_piece piece = block.records[i];
        enum bms_result result =
            vedirect_take_record(bms, request, frame + piece.at, piece.size, pack);
        bool answered = all == BMS_DONE || all == BMS_REFUSED;
        if (!answered && result != BMS_FOREIGN && result != BMS_INVALID)
            all = result;
    }
    enum bms_result records = all;
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
    .line = {.baud = 19200, .framing = "8N1", .reply_ms = 1500, .one_pack = true},
    .check = BMS_CHECK_SUM,
    .frame = vedirect_scan,
    .decode = decode,
    .finish = vedirect_finish,
    .emulate = vedirect_emulate,
};
