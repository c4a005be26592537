// SPDX-License-Identifier: MIT
/*
 * Encodes the records of JK boards for simulated packs. Follows the sheets `jk02` and `jk-pb`. The
 * fields are those of the decoder, which recordings and tests have proved one by one.
 */
#include "jk_encode.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NO_SENSOR (-200.0)

static void put(struct jk_image *image, size_t at, enum jk_kind kind, double value)
{
    put_sized(image->bytes + at, (uint64_t) llround(value), jk_kind_size[kind], image->big_endian);
}

/* Limited to the size of the field; the frame was zeroed before. */
static void put_text(struct jk_image *image, size_t at, size_t size, const char *text)
{
    memcpy(image->bytes + at, text, strnlen(text, size));
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

static void put_fields(struct jk_image *image, const struct jk_field *fields, size_t count,
                       enum jk_layout layout, const struct pack *pack)
{
    for (size_t i = 0; i < count; i++) {
        const struct jk_field *field = &fields[i];
        const size_t at = layout == JK_24S ? field->at_24s : field->at_32s;
        const double raw = field->divisor * pack->value[field->id];
        if (!pack_known(pack, field->id))
            continue;
        put(image, at, field->kind, raw);
    }
}

/* ---- status ---- */

/* Set on many healthy boards; a host must not take it for an alarm. */
#define PASSWORD_REMINDER_BIT 19

/* A board has one level of each alarm but one, which has a bit for each level. */
static uint32_t alarm_word(const struct pack *pack)
{
    const uint32_t both = pack->alarms_warning | pack->alarms_protection;
    const uint32_t wires = 1u << VOLTAGE_SENSOR_FAULT;
    struct pack any = *pack;
    any.alarms_warning = (both & ~wires) | (pack->alarms_warning & wires);
    any.alarms_protection = (both & ~wires) | (pack->alarms_protection & wires);
    return (uint32_t) pack_alarm_word_once(&any, jk_alarm_rows, JK_ALARM_ROWS) |
           1u << PASSWORD_REMINDER_BIT;
}

static void encode_cells(struct jk_image *image, const struct jk_places *at,
                         const struct pack *pack)
{
    double count = fmin(pack_value_or(pack, CELL_COUNT, at->cells), at->cells);
    unsigned highest = 0, lowest = 0, present = 0;
    double sum = 0, mv[32] = {0};
    uint32_t mask = 0;
    for (unsigned i = 0; i < count; i++) {
        mv[i] = pack_value_or(pack, (enum pack_value)(CELL_MV + i), 0);
        if (mv[i] <= 0)
            continue;
        if (present == 0 || mv[i] > mv[highest])
            highest = i;
        if (present == 0 || mv[i] < mv[lowest])
            lowest = i;
        present++;
        sum += mv[i];
        mask |= 1u << i;
        put(image, 6 + 2 * i, S16, mv[i]);
        put(image, at->mask + 10u + 2 * i, S16, 60 + i % 5);
    }
    put(image, at->mask, S32, mask);
    put(image, at->mask + 4u, S16, present ? sum / present : 0);
    put(image, at->mask + 6u, S16, mv[highest] - mv[lowest]);
    put(image, at->mask + 8u, U8, highest); /* from 0, unlike everything else */
    put(image, at->mask + 9u, U8, lowest);
}

static double sensor(const struct pack *pack, unsigned number)
{
    bool counted = number <= pack_value_or(pack, TEMP_COUNT, MAX_TEMPS);
    return 10 * (counted ? pack_value_or(pack, (enum pack_value)(TEMP_C + number - 1), NO_SENSOR)
                         : NO_SENSOR);
}

static void encode_status(struct jk_image *image, enum jk_layout layout, const struct pack *pack)
{
    const struct jk_places *at = &jk_places[layout == JK_24S ? JK_24S : JK_32S];
    const double voltage = pack_value_or(pack, VOLTAGE_V, 0),
                 current = pack_value_or(pack, CURRENT_A, 0);
    const bool balancing = pack_value_or(pack, BALANCING, 0) > 0;
    struct pack told = *pack;
    told.value[FULL_AH] = pack_value_or(pack, FULL_AH, pack_value_or(pack, RATED_AH, 0));
    told.value[SOH_PERCENT] = pack_value_or(pack, SOH_PERCENT, 100);
    told.value[CHARGE_MOS] = pack_value_or(pack, CHARGE_MOS, 1);
    told.value[DISCHARGE_MOS] = pack_value_or(pack, DISCHARGE_MOS, 1);
    told.value[MOS_TEMP_C] = pack_value_or(pack, MOS_TEMP_C, NO_SENSOR);
    put_fields(image, jk_status_fields, JK_STATUS_FIELDS, layout, &told);
    encode_cells(image, at, pack);
    put(image, at->voltage + 4u, S32, fabs(1000 * voltage * current));
    put(image, at->temps[0], S16, sensor(pack, 1));
    put(image, at->temps[1], S16, sensor(pack, 2));
    put(image, at->balancing - 2u, S16, balancing ? -1000 : 0);
    put(image, at->balancing, U8, balancing ? 2 : 0);
    put(image, at->charge_mos - 4u, S32, 86400); /* running for a day */
    if (layout == JK_24S) {
        put(image, at->alarms, S16, alarm_word(pack) & 0xFFFF);
        put(image, 182, U8, 0x07);
        return;
    }
    put(image, at->alarms, S32, alarm_word(pack));
    put(image, 214, U8, 0xFF); /* all sensors present, even if they are not */
    put(image, 234, S16, fmin(100 * voltage, UINT16_MAX));
    if (strtol(software(pack, layout), NULL, 10) < 14)
        return; /* no T4, T5 before it: 0, not the mark of an absent sensor */
    put(image, 254, S16, 10 * told.value[MOS_TEMP_C]);
    put(image, at->temps[2], S16, sensor(pack, 3));
    put(image, at->temps[3], S16, sensor(pack, 4));
}

/* ---- settings and about ---- */

/* Section 7: an LFP pack as the app presets it; the pack's own settings replace these. */
// clang-format off
static const struct {
    uint16_t at;
    int32_t value;
} presets[] = {
    {6, 3500},   {10, 2600},  {14, 2650},   {18, 3650},  {22, 3450},  {26, 10},   {30, 3445},  {34, 2700},
    {46, 2500},  {50, 150000}, {54, 30},    {58, 60},    {62, 150000}, {66, 300}, {70, 60},    {74, 5},
    {78, 1000},  {82, 700},   {86, 600},    {90, 700},   {94, 600},   {98, -100}, {102, -50},  {106, 1000},
    {110, 800},  {126, 1},    {134, 1500},  {138, 3300},
};
// clang-format on

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
    else if (type == JK_SETTINGS) {
        struct pack told = *pack;
        told.value[CELL_COUNT] =
            fmin(pack_value_or(pack, CELL_COUNT, 0), layout == JK_24S ? 24 : 32);
        told.value[RATED_AH] = pack_value_or(pack, RATED_AH, pack_value_or(pack, FULL_AH, 0));
        for (size_t i = 0; i < COUNT(presets); i++)
            put(image, presets[i].at, S32, presets[i].value);
        put_fields(image, jk_settings_fields, JK_SETTINGS_FIELDS, JK_32S, &told);
        put(image, 118, S32, pack_value_or(pack, CHARGE_MOS, 1));
        put(image, 122, S32, pack_value_or(pack, DISCHARGE_MOS, 1));
        if (layout != JK_24S)
            put(image, 270, S32, address);
    } else if (type == JK_ABOUT) {
        /* PIN and password, which real boards send in plain text at 62 and 118, stay empty. */
        bool old = layout == JK_24S;
        put_text(image, 6, 15, text_or(pack, MODEL, old ? "JK-B2A24S15P" : "JK_PB2A16S20P"));
        put_text(image, 22, 8, old ? "10.XG" : "15A");
        put_text(image, 30, 8, software(pack, layout));
        put(image, 38, S32, 86400);
        put(image, 42, S32, 9);
        put_text(image, 46, 16, "packgate");
        put_text(image, 78, 8, "260101");
        put_text(image, 86, 16, text_or(pack, SERIAL, "0123456789"));
    }
    image->bytes[JK_RECORD_SIZE - 1] = (uint8_t) sum_bytes(image->bytes, JK_RECORD_SIZE - 1);
}
