// SPDX-License-Identifier: MIT
/*
 * Encodes the records of JK boards for simulated packs. Follows the sheets `jk02` and `jk-pb`. The
 * offsets are deliberately written down a second time, so that the decoder is not only tested
 * against itself.
 */
#include "jk_encode.h"

#include "bms/bytes.h"
#include "bms/checksum.h"
#include "bms/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_SENSOR (-200.0)

static void put8(struct jk_image *image, size_t at, double value)
{
    image->bytes[at] = (uint8_t) lround(value);
}

static void put16(struct jk_image *image, size_t at, double value)
{
    uint32_t raw = (uint32_t) (int32_t) lround(value);
    if (image->big_endian)
        put_be16(image->bytes + at, raw);
    else
        put_le16(image->bytes + at, raw);
}

static void put32(struct jk_image *image, size_t at, double value)
{
    uint32_t raw = (uint32_t) llround(value);
    if (image->big_endian)
        put_be32(image->bytes + at, raw);
    else
        put_le32(image->bytes + at, raw);
}

/* Limited to the size of the field; the frame was zeroed before. */
static void put_text(struct jk_image *image, size_t at, size_t size, const char *text)
{
    size_t length = strlen(text);
    memcpy(image->bytes + at, text, length < size ? length : size);
}

static double value_or(const struct pack *pack, enum pack_value id, double otherwise)
{
    return pack_known(pack, id) ? pack->value[id] : otherwise;
}

static const char *text_or(const struct pack *pack, enum pack_text id, const char *otherwise)
{
    return pack->text[id][0] ? pack->text[id] : otherwise;
}

/* The version implies the layout: a version text of the pack that contradicts it is not used. */
static const char *software(const struct pack *pack, enum jk_layout layout)
{
    bool old = layout == JK_24S;
    const char *own = pack->text[FIRMWARE];
    bool usable = own[0] >= '1' && own[0] <= '9' && (strtol(own, NULL, 10) < 11) == old;
    return usable ? own : old ? "10.08" : "15.41";
}

/* ---- status ---- */

/* Distances between both layouts: up to here cells and resistances take 24 or 32 places. */
struct status_places {
    uint16_t cells, mask, average, resistances, mos_temp, voltage, power, current, t1, alarms,
        balance_current, soc, remaining, soh, runtime, mos;
};
// clang-format off
static const struct status_places places_24s = {
    .cells = 24, .mask = 54, .average = 58, .resistances = 64, .mos_temp = 134, .voltage = 118, .power = 122,
    .current = 126, .t1 = 130, .alarms = 136, .balance_current = 138, .soc = 141, .remaining = 142, .soh = 158,
    .runtime = 162, .mos = 166,
};
static const struct status_places places_32s = {
    .cells = 32, .mask = 70, .average = 74, .resistances = 80, .mos_temp = 144, .voltage = 150, .power = 154,
    .current = 158, .t1 = 162, .alarms = 166, .balance_current = 170, .soc = 173, .remaining = 174, .soh = 190,
    .runtime = 194, .mos = 198,
};

static const struct alarm_bit alarm_bits[] = {
    {1, MOS_OVER_TEMPERATURE, 0},       {3, HARDWARE_FAULT, 0},
    {4, CELL_OVER_VOLTAGE, 0},          {5, PACK_OVER_VOLTAGE, 0},            {6, CHARGE_OVER_CURRENT, 0},
    {14, SHORT_CIRCUIT, 0},             {8, CHARGE_OVER_TEMPERATURE, 0},      {9, CHARGE_UNDER_TEMPERATURE, 0},
    {10, COMMUNICATION_FAULT, 0},       {11, CELL_UNDER_VOLTAGE, 0},          {12, PACK_UNDER_VOLTAGE, 0},
    {13, DISCHARGE_OVER_CURRENT, 0},    {15, DISCHARGE_OVER_TEMPERATURE, 0},  {16, CHARGE_MOS_FAULT, 0},
    {17, DISCHARGE_MOS_FAULT, 0},       {22, TEMP_SENSOR_FAULT, 0},           {27, DISCHARGE_UNDER_TEMPERATURE, 0},
};
// clang-format on

/* The one alarm with a bit for each level. */
#define WIRE_RESISTANCE_BIT 0
#define CELL_COUNT_BIT 2

/* Set on many healthy boards; a host must not take it for an alarm. */
#define PASSWORD_REMINDER_BIT 19

static uint32_t alarm_word(const struct pack *pack)
{
    uint32_t word = 1u << PASSWORD_REMINDER_BIT;
    word |= (uint32_t) pack_alarm_word(alarm_bits, COUNT(alarm_bits),
                                       pack->alarms_warning | pack->alarms_protection);
    if (pack->alarms_warning >> VOLTAGE_SENSOR_FAULT & 1)
        word |= 1u << WIRE_RESISTANCE_BIT;
    if (pack->alarms_protection >> VOLTAGE_SENSOR_FAULT & 1)
        word |= 1u << CELL_COUNT_BIT;
    return word;
}

static void encode_cells(struct jk_image *image, const struct status_places *at,
                         const struct pack *pack)
{
    double count = fmin(value_or(pack, CELL_COUNT, at->cells), at->cells);
    unsigned highest = 0, lowest = 0, present = 0;
    double sum = 0, mv[32] = {0};
    uint32_t mask = 0;
    for (unsigned i = 0; i < count; i++) {
        mv[i] = value_or(pack, (enum pack_value)(CELL_MV + i), 0);
        if (mv[i] <= 0)
            continue;
        if (present == 0 || mv[i] > mv[highest])
            highest = i;
        if (present == 0 || mv[i] < mv[lowest])
            lowest = i;
        present++;
        sum += mv[i];
        mask |= 1u << i;
        put16(image, 6 + 2 * i, mv[i]);
        put16(image, at->resistances + 2 * i, 60 + i % 5);
    }
    put32(image, at->mask, mask);
    put16(image, at->average, present ? sum / present : 0);
    put16(image, at->average + 2u, mv[highest] - mv[lowest]);
    put8(image, at->average + 4u, highest); /* from 0, unlike everything else */
    put8(image, at->average + 5u, lowest);
}

static double sensor(const struct pack *pack, unsigned number)
{
    bool counted = number <= value_or(pack, TEMP_COUNT, MAX_TEMPS);
    return 10 * (counted ? value_or(pack, (enum pack_value)(TEMP_C + number - 1), NO_SENSOR)
                         : NO_SENSOR);
}

static void encode_values(struct jk_image *image, const struct status_places *at,
                          const struct pack *pack)
{
    double voltage = value_or(pack, VOLTAGE_V, 0), current = value_or(pack, CURRENT_A, 0);
    bool balancing = value_or(pack, BALANCING, 0) > 0;
    put16(image, at->mos_temp, 10 * value_or(pack, MOS_TEMP_C, NO_SENSOR));
    put32(image, at->voltage, 1000 * voltage);
    put32(image, at->power, fabs(1000 * voltage * current));
    put32(image, at->current, 1000 * current);
    put16(image, at->t1, sensor(pack, 1));
    put16(image, at->t1 + 2u, sensor(pack, 2));
    put16(image, at->balance_current, balancing ? -1000 : 0);
    put8(image, at->soc - 1u, balancing ? 2 : 0);
    put8(image, at->soc, value_or(pack, SOC_PERCENT, 0));
    put32(image, at->remaining, 1000 * value_or(pack, REMAINING_AH, 0));
    put32(image, at->remaining + 4u, 1000 * value_or(pack, FULL_AH, value_or(pack, RATED_AH, 0)));
    put32(image, at->remaining + 8u, value_or(pack, CYCLES, 0));
    put8(image, at->soh, value_or(pack, SOH_PERCENT, 100));
    put32(image, at->runtime, 86400);
    put8(image, at->mos, value_or(pack, CHARGE_MOS, 1));
    put8(image, at->mos + 1u, value_or(pack, DISCHARGE_MOS, 1));
}

static void encode_status(struct jk_image *image, enum jk_layout layout, const struct pack *pack)
{
    const struct status_places *at = layout == JK_24S ? &places_24s : &places_32s;
    encode_cells(image, at, pack);
    encode_values(image, at, pack);
    if (layout == JK_24S) {
        put16(image, at->alarms, alarm_word(pack) & 0xFFFF);
        put8(image, 182, 0x07);
        return;
    }
    put32(image, at->alarms, alarm_word(pack));
    put8(image, 214, 0xFF); /* all sensors present, even if they are not */
    put16(image, 234, fmin(100 * value_or(pack, VOLTAGE_V, 0), UINT16_MAX));
    if (strtol(software(pack, layout), NULL, 10) < 14)
        return; /* no T4, T5 before it: 0, not the mark of an absent sensor */
    put16(image, 254, 10 * value_or(pack, MOS_TEMP_C, NO_SENSOR));
    put16(image, 256, sensor(pack, 3));
    put16(image, 258, sensor(pack, 4));
}

/* ---- settings and about ---- */

/* Section 7: an LFP pack as the app presets it. The table stops where pack and address come in. */
// clang-format off
static const struct {
    uint16_t at;
    int32_t value;
} settings[] = {
    {6, 3500},   {10, 2600},  {14, 2650},   {18, 3650},  {22, 3450},  {26, 10},   {30, 3445},  {34, 2700},
    {46, 2500},  {50, 150000}, {54, 30},    {58, 60},    {62, 150000}, {66, 300}, {70, 60},    {74, 5},
    {78, 1000},  {82, 700},   {86, 600},    {90, 700},   {94, 600},   {98, -100}, {102, -50},  {106, 1000},
    {110, 800},  {126, 1},    {134, 1500},  {138, 3300},
};
// clang-format on

/* Settings of the pack, which replace a preset. */
static const struct {
    enum pack_value id;
    uint16_t at, factor;
} own_settings[] = {
    {SET_CELL_LOW_MV, 10, 1},
    {SET_CELL_LOW_RELEASE_MV, 14, 1},
    {SET_CELL_HIGH_MV, 18, 1},
    {SET_CELL_HIGH_RELEASE_MV, 22, 1},
    {SET_BALANCE_DIFFERENCE_MV, 26, 1},
    {SET_CHARGE_CURRENT_A, 50, 1000},
    {SET_DISCHARGE_CURRENT_A, 62, 1000},
    {SET_CHARGE_HOT_C, 82, 10},
    {SET_CHARGE_HOT_RELEASE_C, 86, 10},
    {SET_DISCHARGE_HOT_C, 90, 10},
    {SET_DISCHARGE_HOT_RELEASE_C, 94, 10},
    {SET_CHARGE_COLD_C, 98, 10},
    {SET_CHARGE_COLD_RELEASE_C, 102, 10},
    {SET_MOS_HOT_C, 106, 10},
    {SET_MOS_HOT_RELEASE_C, 110, 10},
    {SET_BALANCER, 126, 1},
    {SET_BALANCE_START_MV, 138, 1},
};

static void encode_settings(struct jk_image *image, uint8_t address, enum jk_layout layout,
                            const struct pack *pack)
{
    for (size_t i = 0; i < COUNT(settings); i++)
        put32(image, settings[i].at, settings[i].value);
    for (size_t i = 0; i < COUNT(own_settings); i++)
        if (pack_known(pack, own_settings[i].id))
            put32(image, own_settings[i].at,
                  own_settings[i].factor * pack->value[own_settings[i].id]);
    put32(image, 114, fmin(value_or(pack, CELL_COUNT, 0), layout == JK_24S ? 24 : 32));
    put32(image, 118, value_or(pack, CHARGE_MOS, 1));
    put32(image, 122, value_or(pack, DISCHARGE_MOS, 1));
    put32(image, 130, 1000 * value_or(pack, RATED_AH, value_or(pack, FULL_AH, 0)));
    if (layout != JK_24S)
        put32(image, 270, address);
}

/* PIN and password, which real boards send in plain text at 62 and 118, stay empty. */
static void encode_about(struct jk_image *image, enum jk_layout layout, const struct pack *pack)
{
    bool old = layout == JK_24S;
    put_text(image, 6, 15, text_or(pack, MODEL, old ? "JK-B2A24S15P" : "JK_PB2A16S20P"));
    put_text(image, 22, 8, old ? "10.XG" : "15A");
    put_text(image, 30, 8, software(pack, layout));
    put32(image, 38, 86400);
    put32(image, 42, 9);
    put_text(image, 46, 16, "packgate");
    put_text(image, 78, 8, "260101");
    put_text(image, 86, 16, text_or(pack, SERIAL, "0123456789"));
}

/* ---- frame ---- */

void jk_encode(struct jk_image *image, enum jk_type type, enum jk_layout layout, uint8_t counter,
               uint8_t address, const struct pack *pack)
{
    static const uint8_t header[] = {0x55, 0xAA, 0xEB, 0x90};
    memset(image->bytes, 0, sizeof image->bytes);
    memcpy(image->bytes, header, sizeof header);
    image->bytes[4] = (uint8_t) type;
    image->bytes[5] = counter;
    if (type == JK_STATUS)
        encode_status(image, layout, pack);
    else if (type == JK_SETTINGS)
        encode_settings(image, address, layout, pack);
    else if (type == JK_ABOUT)
        encode_about(image, layout, pack);
    image->bytes[JK_RECORD_SIZE - 1] = (uint8_t) sum_bytes(image->bytes, JK_RECORD_SIZE - 1);
}
