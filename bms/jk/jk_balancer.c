// SPDX-License-Identifier: MIT
/*
 * JK active balancers by their RS485 port: requests of 7 bytes, 55 AA, replies of 74, EB 90, with
 * a sum of 8 bits. Follows the sheet `jk-balancer`. Oddities: a balancer reports cells and
 * voltage, but neither current nor charge; the sum is weak, so a reply is accepted only if its
 * cells, their mean, their difference and the voltage agree; one board encodes the temperature in
 * tenths and another in whole degrees, so it is not read.
 */
#include "bms/bytes.h"
#include "bms/checksum.h"
#include "bms/driver.h"

#include <math.h>
#include <string.h>

#define ASK_SIZE 7
#define ANSWER_SIZE 74
#define CELLS_LEAST 2
#define CELLS_MOST 24
/* mV by which the board's mean and difference may differ from those of its cells */
#define APART_MV 30

/* Section 4: offsets in an answer. */
enum {
    ADDRESS = 2,
    COMMAND = 3,
    VOLTAGE = 4,
    MEAN = 6,
    FOUND = 8,
    HIGHEST = 9,
    LOWEST = 10,
    BALANCES = 11,
    ALARMS = 12,
    DIFFERENCE = 13,
    TRIGGER = 17,
    MOST_CURRENT = 19,
    SWITCHED_ON = 21,
    CONFIGURED = 22,
    CELLS = 23
};

/* Bits of the alarms. */
enum { WIRE_RESISTANCE = 1, OVER_VOLTAGE = 2 };

enum command {
    SET_CELLS = 0xF0,
    SET_TRIGGER = 0xF2,
    SET_CURRENT = 0xF4,
    SET_ON = 0xF6,
    READ = 0xFF
};

static const struct bms_step plan[] = {{.name = "cells", .vital = true}};

/* Bit 0, a wrong number of cells, is set in all recordings although the number is right. */
static const struct alarm_bit alarm_bits[] = {
    {WIRE_RESISTANCE, VOLTAGE_SENSOR_FAULT, ALARM_WARNING},
    {OVER_VOLTAGE, PACK_OVER_VOLTAGE, ALARM_WARNING},
};

/* ---- frames (section 2) ---- */

/* Finds a frame of `whole` bytes that begins with two given ones. */
static struct bms_span find_span(uint8_t first, uint8_t second, size_t whole, const uint8_t *bytes,
                                 size_t size)
{
    const uint8_t *start = memchr(bytes, first, size);
    if (start != bytes)
        return (struct bms_span){BMS_SKIP, start ? (size_t) (start - bytes) : size};
    if ((size > 1 && bytes[1] != second) ||
        (size > COMMAND &&
         !(bytes[COMMAND] == READ || bytes[COMMAND] == SET_CELLS || bytes[COMMAND] == SET_TRIGGER ||
           bytes[COMMAND] == SET_CURRENT || bytes[COMMAND] == SET_ON)))
        return (struct bms_span){BMS_SKIP, 1};
    if (size < whole)
        return (struct bms_span){BMS_MORE, 0};
    if ((sum_bytes(bytes, whole - 1) & 0xFF) != bytes[whole - 1])
        return (struct bms_span){BMS_DAMAGED, 1};
    return (struct bms_span){BMS_FRAME, whole};
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    return find_span(0xEB, 0x90, ANSWER_SIZE, bytes, size);
}

static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    const struct bms_span span = find_span(0x55, 0xAA, ASK_SIZE, bytes, size);
    if (span.kind == BMS_FRAME)
        *address = bytes[ADDRESS];
    return span.kind == BMS_DAMAGED ? (struct bms_span){BMS_SKIP, 1} : span;
}

/* 55 AA | 01      | FF      | 00 00 | FF
 * start | address | command | data  | sum */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const uint8_t head[] = {0x55, 0xAA, (uint8_t) bms_address(bms), READ, 0, 0};
    memcpy(request->bytes, head, sizeof head);
    request->bytes[sizeof head] = (uint8_t) sum_bytes(head, sizeof head);
    request->size = ASK_SIZE;
    return true;
}

/* ---- decoder (section 4) ---- */

static bool is_near(double a, double b)
{
    return fabs(a - b) <= APART_MV;
}

/* A cell that reads 0 has a broken wire, which is an alarm; what the mean is then is unknown. */
static bool adds_up(const uint8_t *frame, unsigned count)
{
    double sum = 0, lowest = INFINITY, highest = 0;
    if (count < CELLS_LEAST || count > CELLS_MOST ||
        !bms_cells_fit(frame + CELLS, count, be16(frame + VOLTAGE) / 100.0))
        return false;
    for (unsigned i = 0; i < count; i++) {
        const double mv = be16(frame + CELLS + 2 * i);
        sum += mv;
        lowest = fmin(lowest, mv);
        highest = fmax(highest, mv);
    }
    if (lowest == 0)
        return frame[ALARMS] >> WIRE_RESISTANCE & 1;
    return is_near(be16(frame + MEAN), sum / count) &&
           is_near(be16(frame + DIFFERENCE), highest - lowest);
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const uint8_t *asked = request->bytes;
    if (size != ANSWER_SIZE || request->size != ASK_SIZE || asked[COMMAND] != READ ||
        frame[COMMAND] != READ || frame[ADDRESS] != asked[ADDRESS])
        return BMS_FOREIGN;
    const unsigned count = frame[FOUND];
    if (!adds_up(frame, count) || frame[SWITCHED_ON] > 1 || frame[BALANCES] > 3)
        return BMS_INVALID;
    pack_set(pack, VOLTAGE_V, be16(frame + VOLTAGE) / 100.0);
    pack_set(pack, CELL_COUNT, count);
    for (unsigned i = 0; i < count; i++)
        pack_set_cell(pack, i + 1, be16(frame + CELLS + 2 * i));
    pack_set(pack, BALANCING, frame[BALANCES] > 0);
    pack_set(pack, SET_BALANCE_DIFFERENCE_MV, be16(frame + TRIGGER));
    pack_set(pack, SET_BALANCER, frame[SWITCHED_ON]);
    pack_clear_alarms(pack);
    pack_alarm_bits(pack, alarm_bits, COUNT(alarm_bits), frame[ALARMS]);
    pack_raw_alarm(pack, frame[ALARMS]);
    return BMS_DONE;
}

/* ---- emulator ---- */

/* No setting can be written. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    int address = -1;
    const struct bms_span span = find_question(bms, bytes, size, &address);
    if (span.kind != BMS_FRAME || address != bms_address(bms) || bytes[COMMAND] != READ)
        return span.size;
    uint8_t *d = out->bytes;
    const unsigned count = pack_scaled(pack, CELL_COUNT, 1, 0, CELLS_MOST);
    memset(d, 0, ANSWER_SIZE);
    d[0] = 0xEB;
    d[1] = 0x90;
    d[ADDRESS] = (uint8_t) address;
    d[COMMAND] = READ;
    put_be16(d + VOLTAGE, pack_scaled(pack, VOLTAGE_V, 100, 0, UINT16_MAX));
    d[FOUND] = d[CONFIGURED] = (uint8_t) count;
    unsigned sum = 0, highest = 0, lowest = 0;
    for (unsigned i = 0; i < count; i++) {
        const unsigned mv = pack_scaled(pack, CELL_MV + i, 1, 0, UINT16_MAX);
        put_be16(d + CELLS + 2 * i, mv);
        sum += mv;
        if (mv > be16(d + CELLS + 2 * highest))
            highest = i;
        if (mv < be16(d + CELLS + 2 * lowest))
            lowest = i;
    }
    put_be16(d + MEAN, count > 0 ? (sum + count / 2) / count : 0);
    put_be16(d + DIFFERENCE, be16(d + CELLS + 2 * highest) - be16(d + CELLS + 2 * lowest));
    d[HIGHEST] = (uint8_t) highest;
    d[LOWEST] = (uint8_t) lowest;
    d[BALANCES] = pack_scaled(pack, BALANCING, 1, 0, UINT16_MAX) > 0;
    for (unsigned i = 0; i < COUNT(alarm_bits); i++)
        if (pack_alarm_active(pack, alarm_bits[i].alarm))
            d[ALARMS] |= (uint8_t) (1u << alarm_bits[i].bit);
    put_be16(d + TRIGGER, pack_scaled(pack, SET_BALANCE_DIFFERENCE_MV, 1, 0, UINT16_MAX));
    put_be16(d + MOST_CURRENT, 2000);
    d[SWITCHED_ON] = pack_scaled(pack, SET_BALANCER, 1, 0, UINT16_MAX) > 0;
    d[ANSWER_SIZE - 1] = (uint8_t) sum_bytes(d, ANSWER_SIZE - 1);
    out->size = ANSWER_SIZE;
    return span.size;
}

const struct bms_driver jk_balancer_driver = {
    .name = "jk-balancer",
    .title = "JK active balancer, RS485",
    .guide = {.makes = "JK active balancers with RS485 (JK-B1A24S, JK-B2A24S; boards DZ08, DZ11)",
              .port = "RS485",
              .wires = "RS485, as printed on the board",
              .setting = "reports cells and voltage, but neither current nor SOC",
              .address = "1 if not given, as they come"},
    .address = {.min = 1, .max = 254, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 1000, .gap_ms = 150},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    .build = build,
    .frame = find_frame,
    .question = find_question,
    .decode = decode,
    .emulate = emulate,
};
