// SPDX-License-Identifier: MIT
/*
 * Victron Instant Readout: the advertisements of a SmartShunt or BMV-71x over Bluetooth, decoded as a
 * pack without cells. Follows the sheet `ble`, section 6. The receiver (ports/ble/port_adverts.c) decrypts
 * them and passes each on in a frame with a checksum, so that bytes lost between two programs are
 * detected:
 *
 *   56 41 | 17 | 10 02 89 A3 02 B0 40 AF | FF FF E5 04 00 00 00 00 03 00 00 F4 01 40 DF | .. ..
 *   "VA"  | n  | record: product, type   | n - 8 bytes, decrypted: bits of the table    | CRC-16,
 *              |         02, nonce, key  |                                              | Modbus
 *
 * Oddities: records have no checksum besides the radio's, and a wrong key with the same first byte
 * yields noise, so unused bits must be ones. Signed values are compared with "unknown" before the sign
 * is applied.
 */
#include "vedirect.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <string.h>

#define HEAD 3        /* "VA" and the length */
#define RECORD 8      /* bytes of a record before the encrypted part */
#define VALUES 15     /* bytes that the table needs */
#define LENGTH_MAX 29 /* bytes of a record: an advertisement has 31 */
#define PRODUCT 0x10
#define NONCE 5
#define REPEATS_MOST 64 /* records that may be repeated */
#define BATTERY_MONITOR 2
#define ZERO_CELSIUS 273.15
#define VOLTAGE_UNKNOWN 0x7FFF
#define CURRENT_UNKNOWN 0x3FFFFF
#define CURRENT_NONE 0x1FFFFF /* from a device that does not measure it */
#define CONSUMED_UNKNOWN 0xFFFFF
#define SOC_UNKNOWN 0x3FF
#define SMARTSHUNT 0xA389

/* What the auxiliary input measures. */
enum { AUX_STARTER, AUX_MIDPOINT, AUX_TEMPERATURE, AUX_NOTHING };

/* `count` bits from bit `first` on, which is counted from the lowest of byte 0. */
static uint32_t bits(const uint8_t *bytes, unsigned first, unsigned count)
{
    const uint64_t word = get_sized(bytes + first / 8, (first % 8 + count + 7) / 8, false);
    return (uint32_t) (word >> first % 8) & ((1U << count) - 1);
}

static void put_bits(uint8_t *bytes, unsigned first, unsigned count, uint32_t value)
{
    for (unsigned i = 0; i < count; i++) {
        const unsigned at = first + i;
        const uint8_t bit = (uint8_t) (1U << at % 8);
        bytes[at / 8] = (uint8_t) ((bytes[at / 8] & ~bit) | (value >> i & 1 ? bit : 0));
    }
}

static double signed_value(uint32_t raw, unsigned count)
{
    const uint32_t sign = 1U << (count - 1);
    return raw & sign ? (double) raw - 2.0 * sign : (double) raw;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    if (bytes[0] != 'V' || (size > 1 && bytes[1] != 'A') ||
        (size > 2 && (bytes[2] <= RECORD || bytes[2] > LENGTH_MAX)))
        return (struct bms_span){BMS_SKIP, 1};
    const size_t whole = size > 2 ? HEAD + (size_t) bytes[2] + 2 : 0;
    if (size < HEAD || size < whole)
        return (struct bms_span){BMS_MORE, 0};
    if (crc16_modbus(bytes, whole - 2) != le16(bytes + whole - 2))
        return (struct bms_span){BMS_DAMAGED, 1};
    return (struct bms_span){BMS_FRAME, whole};
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const uint8_t *record = frame + HEAD, *values = record + RECORD;
    const size_t length = frame[2];
    if (size < HEAD + RECORD + 2 || record[0] != PRODUCT || record[4] != BATTERY_MONITOR)
        return BMS_FOREIGN;
    if (length < RECORD + VALUES || bits(values, 118, 2) != 3)
        return BMS_INVALID;
    /* Records are numbered, about one per second. The last number or an earlier one is a
     * repetition; a number far behind is that of a restarted shunt. */
    uint16_t nonce = le16(record + NONCE);
    struct vedirect_notes *notes = bms_memory(bms);
    const int ahead = (int16_t) (uint16_t) (nonce - notes->blocks);
    const bool old = notes->believed && ahead <= 0 && ahead > -REPEATS_MOST;
    if (!old)
        notes->blocks = nonce;
    notes->believed = true;
    if (old)
        return BMS_FOREIGN;
    vedirect_set_product(bms_memory(bms), pack, le16(record + 2));
    const uint32_t voltage = bits(values, 16, 16), aux = bits(values, 48, 16),
                   current = bits(values, 66, 22), consumed = bits(values, 88, 20),
                   soc = bits(values, 108, 10);
    if (voltage != VOLTAGE_UNKNOWN)
        vedirect_set_value(bms, pack, VOLTAGE_V, signed_value(voltage, 16) / 100);
    if (current != CURRENT_UNKNOWN && current != CURRENT_NONE)
        vedirect_set_value(bms, pack, CURRENT_A, signed_value(current, 22) / 1000);
    if (soc != SOC_UNKNOWN)
        vedirect_set_value(bms, pack, SOC_PERCENT, soc / 10.0);
    if (bits(values, 64, 2) == AUX_TEMPERATURE && aux != 0 && aux != 0xFFFF)
        vedirect_set_value(bms, pack, TEMP_C, aux / 100.0 - ZERO_CELSIUS);
    notes->consumed_ah.known = consumed != CONSUMED_UNKNOWN;
    notes->consumed_ah.value = -(consumed / 10.0);
    vedirect_set_alarms(pack, (uint16_t) bits(values, 32, 16));
    vedirect_set_capacity(bms, pack);
    return BMS_DONE;
}

/* ---- a simulated shunt ---- */

static uint32_t raw_of(const struct pack *pack, enum pack_value id, double unit, unsigned count,
                       uint32_t unknown)
{
    if (!pack_known(pack, id))
        return unknown;
    return (uint32_t) (int32_t) lround(pack->value[id] / unit) & ((1U << count) - 1);
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    if (size > 0)
        return size; /* it accepts no requests */
    struct vedirect_notes *notes = bms_memory(bms);
    const unsigned nonce = ++notes->blocks;
    const uint8_t head[HEAD + RECORD] = {'V', 'A', RECORD + VALUES, PRODUCT, 2};
    uint8_t *record = out->bytes + HEAD, *values = record + RECORD;
    memcpy(out->bytes, head, sizeof head);
    put_le16(record + 2, SMARTSHUNT);
    record[4] = BATTERY_MONITOR;
    put_le16(record + NONCE, nonce);
    memset(values, 0xFF, VALUES);
    put_bits(values, 16, 16, raw_of(pack, VOLTAGE_V, 0.01, 16, VOLTAGE_UNKNOWN));
    put_bits(values, 32, 16, vedirect_told_reasons(pack));
    put_bits(values, 66, 22, raw_of(pack, CURRENT_A, 0.001, 22, CURRENT_UNKNOWN));
    const double given_ah = bms->options.capacity_ah;
    const double consumed_ah =
        (given_ah > 0 ? given_ah : pack->value[RATED_AH]) - pack->value[REMAINING_AH];
    put_bits(values, 88, 20,
             isnan(consumed_ah) ? CONSUMED_UNKNOWN : (uint32_t) lround(fmax(consumed_ah, 0) * 10));
    put_bits(values, 108, 10, raw_of(pack, SOC_PERCENT, 0.1, 10, SOC_UNKNOWN));
    if (pack_known(pack, TEMP_C)) {
        put_bits(values, 48, 16, (uint32_t) lround((pack->value[TEMP_C] + ZERO_CELSIUS) * 100));
        put_bits(values, 64, 2, AUX_TEMPERATURE);
    }
    out->size = sizeof head + VALUES;
    put_le16(out->bytes + out->size, crc16_modbus(out->bytes, out->size));
    out->size += 2;
    return 0;
}

const struct bms_driver victron_ble_driver = {
    .name = "victron-ble",
    .title = "Victron BMV and SmartShunt (Bluetooth, Instant Readout)",
    .guide = {.makes = "Victron SmartShunt, BMV-712, BMV-710",
              .port = "Bluetooth",
              .wires = "none: the host's Bluetooth adapter, `port = ble:ADDRESS`",
              .setting =
                  "VictronConnect: instant readout via Bluetooth on; its encryption key goes "
                  "into a file, `key_file`. `capacity` gives the remaining Ah"},
    .advertises = true,
    .line = {.baud = 115200, .reply_ms = 3000, .one_pack = true},
    .check = BMS_CHECK_CRC16,
    .frame = find_frame,
    .decode = decode,
    .emulate = emulate,
};
