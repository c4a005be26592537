// SPDX-License-Identifier: MIT
/* VE.Direct: a simulated shunt, section 4 of the sheet `vedirect`. */
#include "vedirect.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <string.h>

#define FIRMWARE_WORD 0x0416
#define ASYNC_EVERY 5 /* main blocks to one with a HEX record inside */

struct memory {
    unsigned blocks; /* main blocks sent */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

/* Rounded; "---" for what is not known. */
static void put_number(struct bms_output *out, const char *label, double number)
{
    if (isnan(number))
        bms_print(out, "\r\n%s\t---", label);
    else
        bms_print(out, "\r\n%s\t%.0f", label, number == 0 ? 0.0 : round(number));
}

static void put_record(struct bms_output *out, uint8_t command, const uint8_t *data, size_t size)
{
    out->size += vedirect_write_record(command, data, size, out->bytes + out->size);
}

/* Ends the block from `start` on; `passed`: the sum of the records in it, which are no part of its text. */
static void end_block(struct bms_output *out, size_t start, uint32_t passed)
{
    bms_print(out, "\r\nChecksum\t");
    const uint32_t sum = sum_bytes(out->bytes + start, out->size - start);
    out->bytes[out->size++] = (uint8_t) (passed - sum);
}

/* Whole Ah, as configured in a shunt; NaN if the pack has none. */
static double capacity_of(const struct pack *pack)
{
    return round(pack_known(pack, FULL_AH) ? pack->value[FULL_AH] : pack->value[RATED_AH]);
}

static double consumed_of(const struct pack *pack)
{
    double consumed_ah = pack->value[REMAINING_AH] - capacity_of(pack);
    return consumed_ah > 0 ? 0 : consumed_ah;
}

static const struct vedirect_product *product_of_pack(const struct pack *pack)
{
    static const struct vedirect_product usual = {0xA389, "SmartShunt 500A/50mV"};
    for (size_t i = 0; i < VEDIRECT_PRODUCTS; i++)
        if (strcmp(vedirect_products[i].name, pack->text[MODEL]) == 0)
            return &vedirect_products[i];
    return &usual;
}

static bool is_bmv(const struct pack *pack)
{
    return strncmp(product_of_pack(pack)->name, "BMV-", 4) == 0;
}

/* Writes a register's value, or its "not available", and returns its size. */
static size_t put_value(const struct vedirect_number *row, const struct pack *pack, uint8_t *bytes)
{
    double raw = round((pack->value[row->value] - row->zero) / row->unit);
    double end = ldexp(1, 8 * row->size - row->is_signed); /* the value before it: not available */
    bool fits = raw < end - 1 && raw >= (row->is_signed ? -end : 0);
    put_le32(bytes, fits ? (uint32_t) (int64_t) raw : (uint32_t) (int64_t) (end - 1));
    return row->size;
}

static void put_main(struct memory *memory, const struct pack *pack, struct bms_output *out)
{
    const struct vedirect_product *product = product_of_pack(pack);
    const bool bmv = is_bmv(pack);
    const double current_a = pack->value[CURRENT_A];
    uint32_t passed = 0;
    bms_print(out, "\r\nPID\t0x%X", product->id);
    put_number(out, "V", pack->value[VOLTAGE_V] * 1000);
    if (pack_known(pack, TEMP_C))
        put_number(out, "T", pack->value[TEMP_C]);
    put_number(out, "I", current_a * 1000);
    put_number(out, "P", pack->value[VOLTAGE_V] * current_a);
    if (++memory->blocks % ASYNC_EVERY == 0) {
        const struct vedirect_number *row = vedirect_find_number(VEDIRECT_VOLTAGE);
        uint8_t data[7] = {(uint8_t) row->id, (uint8_t) (row->id >> 8)};
        const size_t at = out->size;
        put_record(out, VEDIRECT_IS_ASYNC, data, 3 + put_value(row, pack, data + 3));
        passed = sum_bytes(out->bytes + at, out->size - at);
    }
    put_number(out, "CE", consumed_of(pack) * 1000);
    put_number(out, "SOC", pack->value[SOC_PERCENT] * 10);
    put_number(out, "TTG",
               current_a < 0 ? fmin(-60 * pack->value[REMAINING_AH] / current_a, 14400) : -1);
    bms_print(out, "\r\nAlarm\t%s%s", vedirect_told_reasons(pack) ? "ON" : "OFF",
              bmv ? "\r\nRelay\tOFF" : "");
    put_number(out, "AR", vedirect_told_reasons(pack));
    bms_print(out, "\r\nBMV\t%s\r\nFW\t%04X\r\nMON\t0", product->name + (bmv ? 4 : 0),
              FIRMWARE_WORD);
    end_block(out, 0, passed);
}

static size_t put_padded(const char *text, size_t size, uint8_t *bytes)
{
    if (!text[0])
        return 0;
    memset(bytes, 0, size);
    memcpy(bytes, text, strlen(text));
    return size;
}

static size_t put_word(double number, double most, uint8_t *bytes)
{
    put_le16(bytes, (uint32_t) fmin(number, most));
    return isnan(number) ? 0 : 2;
}

/* Writes the value of a register and returns its size; 0: there is no such register. A BMV does
 * not report alarms by HEX (section 3.2). */
static size_t put_register(const struct pack *pack, uint16_t id, uint8_t *value)
{
    const struct vedirect_number *row = vedirect_find_number(id);
    double consumed = round(consumed_of(pack) * 10);
    switch (id) {
    case VEDIRECT_CAPACITY:
        return put_word(capacity_of(pack), UINT16_MAX - 1, value);
    case VEDIRECT_REASONS:
        return is_bmv(pack) ? 0 : put_word(vedirect_told_reasons(pack), UINT16_MAX, value);
    case VEDIRECT_SYNCHRONISED:
        value[0] = pack_known(pack, SOC_PERCENT);
        return 1;
    case VEDIRECT_CONSUMED:
        put_le32(value, isnan(consumed) ? INT32_MAX : (uint32_t) (int32_t) consumed);
        return 4;
    case VEDIRECT_PRODUCT_ID:
        value[0] = 0;
        put_le16(value + 1, product_of_pack(pack)->id);
        value[3] = 0xFE;
        return 4;
    case VEDIRECT_SERIAL:
        return put_padded(pack->text[SERIAL], 32, value);
    case VEDIRECT_MODEL:
        return put_padded(product_of_pack(pack)->name, 32, value);
    default:
        return row ? put_value(row, pack, value) : 0;
    }
}

static void write_reply(const struct pack *pack, const struct vedirect_record *asked,
                        struct bms_output *out)
{
    const bool product = asked->command == VEDIRECT_PRODUCT, ping = asked->command == VEDIRECT_PING;
    uint8_t word[2];
    switch (asked->command) {
    case VEDIRECT_PING:
    case VEDIRECT_VERSION:
    case VEDIRECT_PRODUCT:
        put_le16(word, product ? product_of_pack(pack)->id : 0x4000 | FIRMWARE_WORD);
        put_record(out, ping ? VEDIRECT_IS_PING : VEDIRECT_IS_DONE, word, sizeof word);
        return;
    case VEDIRECT_GET:
        if (asked->size >= 3) {
            uint8_t data[VEDIRECT_DATA] = {asked->data[0], asked->data[1], VEDIRECT_FINE};
            size_t size = put_register(pack, le16(data), data + 3);
            if (size == 0)
                data[2] = VEDIRECT_NO_SUCH;
            put_record(out, VEDIRECT_IS_GET, data, 3 + size);
        }
        return;
    case VEDIRECT_SET:
        if (asked->size >= 2)
            put_record(out, VEDIRECT_IS_SET,
                       (const uint8_t[3]){asked->data[0], asked->data[1], VEDIRECT_NOT_SUPPORTED},
                       3);
        return;
    case VEDIRECT_RESTART:
        return;
    default:
        put_record(out, VEDIRECT_IS_UNKNOWN, NULL, 0);
    }
}

/* Malformed records are answered with an error; bytes outside of records are ignored. */
size_t vedirect_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                        struct bms_output *out)
{
    if (size == 0) {
        put_main(bms_memory(bms), pack, out);
        /* The history of a simulated shunt is empty but for its cycles. */
        const size_t start = out->size;
        for (unsigned n = 1; n <= 18; n++)
            if (n == 4)
                put_number(out, "H4", pack->value[CYCLES]);
            else if (n != 13 && n != 14)
                bms_print(out, "\r\nH%u\t0", n);
        end_block(out, start, 0);
        return 0;
    }
    if (bytes[0] != ':') {
        const uint8_t *colon = memchr(bytes, ':', size);
        return colon ? (size_t) (colon - bytes) : size;
    }
    struct bms_span span = vedirect_scan_record(bytes, size);
    struct vedirect_record asked;
    if (span.kind == BMS_FRAME && vedirect_parse_record(bytes, span.size, &asked))
        write_reply(pack, &asked, out);
    else if (span.kind == BMS_DAMAGED)
        put_record(out, VEDIRECT_IS_ERROR, (const uint8_t[2]){0xAA, 0xAA}, 2);
    return span.size;
}
