// SPDX-License-Identifier: MIT
/* A simulated JK board on its GPS port. */
#include "jk_4e57.h"

#include "bms/bytes.h"

#include <math.h>
#include <string.h>

/* An LFP pack as the app presets it; texts that are not here are zero, the password among them. */
// clang-format off
static const struct {
    uint8_t code;
    int32_t value;
} presets[] = {
    {0x89, 8212}, {0x8E, 5840}, {0x8F, 4160}, {0x90, 3650}, {0x91, 3450}, {0x92, 5},   {0x93, 2600}, {0x94, 2650},
    {0x95, 5},    {0x96, 300},  {0x97, 150},  {0x98, 300},  {0x99, 100},  {0x9A, 30},  {0x9B, 3300}, {0x9C, 10},
    {0x9D, 1},    {0x9E, 90},   {0x9F, 70},   {0xA0, 70},   {0xA1, 60},   {0xA2, 20},  {0xA3, 70},   {0xA4, 70},
    {0xA5, 2},    {0xA6, 5},    {0xA7, -20},  {0xA8, -10},  {0xAD, 1000}, {0xAE, 1},   {0xB0, 10},   {0xB1, 20},
    {0xB6, 1440}, {0xC0, 1},
};
// clang-format on

/* Limits values below zero or beyond 99 °C; a missing sensor reads beyond the range. */
static uint32_t raw_temperature(const struct pack *pack, enum pack_value id)
{
    if (!pack_known(pack, id))
        return 0xFF;
    double celsius = fmax(fmin(round(pack->value[id]), 99), -40);
    return (uint32_t) (celsius < 0 ? 100 - celsius : celsius);
}

static unsigned emulated_cells(const struct pack *pack)
{
    return (unsigned) fmin(pack_value_or(pack, CELL_COUNT, 0), MAX_CELLS);
}

static uint32_t raw_number(const struct pack *pack, uint8_t code)
{
    switch (code) {
    case MOS_TEMP:
        return raw_temperature(pack, MOS_TEMP_C);
    case TEMP_1:
        return raw_temperature(pack, TEMP_C);
    case TEMP_2:
        return raw_temperature(pack, TEMP_C + 1);
    case VOLTAGE:
        return (uint32_t) fmin(round(pack_value_or(pack, VOLTAGE_V, 0) * 100), UINT16_MAX);
    case CURRENT: {
        double amps = pack_value_or(pack, CURRENT_A, 0);
        uint32_t amount = (uint32_t) fmin(round(fabs(amps) * 100), 0x7FFF);
        return amps > 0 ? amount | 0x8000 : amount;
    }
    case SOC:
        return (uint32_t) lround(pack_value_or(pack, SOC_PERCENT, 0));
    case TEMPS:
        return (uint32_t) fmin(pack_value_or(pack, TEMP_COUNT, 2), 2);
    case CYCLE_COUNT:
        return (uint32_t) fmin(pack_value_or(pack, CYCLES, 0), UINT16_MAX);
    case STRINGS:
    case CELL_SETTING:
        return emulated_cells(pack);
    case ALARMS: {
        const uint32_t active = pack->alarms_warning | pack->alarms_protection;
        const struct pack any = {.alarms_warning = active, .alarms_protection = active};
        const bool hot =
            active >> CHARGE_OVER_TEMPERATURE & 1 || active >> DISCHARGE_OVER_TEMPERATURE & 1;
        const bool cold =
            active >> CHARGE_UNDER_TEMPERATURE & 1 || active >> DISCHARGE_UNDER_TEMPERATURE & 1;
        return (uint32_t) pack_alarm_word(&any, jk_4e57_alarms, JK_4E57_ALARMS, true) |
               (uint32_t) hot << JK_4E57_HOT_BIT | (uint32_t) cold << JK_4E57_COLD_BIT;
    }
    case STATE:
        return (pack_value_or(pack, CHARGE_MOS, 1) > 0 ? 1 : 0) |
               (pack_value_or(pack, DISCHARGE_MOS, 1) > 0 ? 2 : 0) |
               (pack_value_or(pack, BALANCING, 0) > 0 ? 4 : 0);
    case CAPACITY:
        return (uint32_t) lround(pack_value_or(pack, RATED_AH, pack_value_or(pack, FULL_AH, 0)));
    case FULL_CAPACITY:
        return (uint32_t) lround(pack_value_or(pack, FULL_AH, 0));
    case CHARGE_SWITCH:
        return pack_value_or(pack, CHARGE_MOS, 1) > 0;
    case DISCHARGE_SWITCH:
        return pack_value_or(pack, DISCHARGE_MOS, 1) > 0;
    }
    /* Settings of the pack replace the presets of the app. */
    for (size_t i = 0; i < JK_4E57_SETTINGS; i++) {
        const struct jk_4e57_setting *row = &jk_4e57_settings[i];
        if (row->code == code && pack_known(pack, row->id))
            return (uint32_t) (int32_t) lround(row->divisor * pack->value[row->id]);
    }
    if (code == BALANCER_SWITCH && pack_known(pack, SET_BALANCER))
        return pack->value[SET_BALANCER] > 0;
    for (size_t i = 0; i < COUNT(presets); i++)
        if (presets[i].code == code)
            return (uint32_t) presets[i].value;
    return 0;
}

/* Hardware and software; the pack's own version is used if it has both. */
static const char *version_of(const struct pack *pack)
{
    const char *own = pack->text[FIRMWARE];
    return strstr(own, "_S") ? own : "11.XW_S11.262H";
}

static size_t put_register(uint8_t *out, uint8_t code, const struct pack *pack)
{
    size_t size = jk_4e57_value_size[code];
    out[0] = code;
    if (code == CELLS) {
        const unsigned count = emulated_cells(pack);
        out[1] = (uint8_t) (3 * count);
        for (unsigned i = 0; i < count; i++) {
            out[2 + 3 * i] = (uint8_t) (i + 1);
            put_be16(out + 3 + 3 * i,
                     (uint32_t) lround(pack_value_or(pack, (enum pack_value)(CELL_MV + i), 0)));
        }
        return 2u + out[1];
    }
    memset(out + 1, 0, size);
    if (code == VERSION) {
        const char *text = version_of(pack);
        memset(out + 1, '_', size);
        memcpy(out + 1, text, strnlen(text, size));
    } else if (code == MAKER) {
        /* 12 bytes of the user's text, 12 of the model. */
        const char *model = pack->text[MODEL][0] ? pack->text[MODEL] : "JK_B2A20S20P";
        memcpy(out + 1, "Input Userda", 12);
        memcpy(out + 13, model, strnlen(model, 12));
    } else if (size == 1)
        out[1] = (uint8_t) raw_number(pack, code);
    else if (size == 2)
        put_be16(out + 1, raw_number(pack, code));
    else if (size == 4)
        put_be32(out + 1, raw_number(pack, code));
    return 1 + size;
}

/* Everything that can be read, in the order of every recorded reply: BB to BF are write-only. */
static size_t put_all(uint8_t *out, const struct pack *pack)
{
    size_t size = 0;
    for (unsigned code = CELLS; code <= PROTOCOL; code++)
        if ((code == CELLS || jk_4e57_value_size[code] != 0) && (code < 0xBB || code == PROTOCOL))
            size += put_register(out + size, (uint8_t) code, pack);
    return size;
}

static void reply(struct bms_output *out, enum jk_4e57_command command, const uint8_t *info,
                  size_t size)
{
    out->size = jk_4e57_put_frame(out->bytes, command, FROM_BMS, REPLY, info, size);
}

/* Accepts the switches of the MOS. Boards of version 11 do not answer writes to the balancer's
 * switch, and no board answers unknown ones. */
static void emulate_write(const uint8_t *info, size_t size, struct pack *pack,
                          struct bms_output *out)
{
    bool old = strncmp(version_of(pack), "11.", 3) != 0;
    if (size != 2 || info[1] > 1)
        return;
    if (info[0] == CHARGE_SWITCH || info[0] == DISCHARGE_SWITCH)
        pack_set(pack, info[0] == CHARGE_SWITCH ? CHARGE_MOS : DISCHARGE_MOS, info[1]);
    else if (info[0] == BALANCER_SWITCH && old)
        pack_set(pack, SET_BALANCER, info[1]);
    else
        return;
    reply(out, WRITE, info, 1);
}

size_t jk_4e57_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                       struct bms_output *out)
{
    struct bms_span span = jk_4e57_find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME || bytes[TYPE_AT] != REQUEST || span.size <= OVERHEAD)
        return span.size;
    uint8_t info[MOST_LENGTH];
    uint8_t code = bytes[INFO_AT];
    switch (bytes[COMMAND_AT]) {
    case ACTIVATE:
        reply(out, ACTIVATE, &code, 1);
        break;
    case READ_ALL:
        reply(out, READ_ALL, info, put_all(info, pack));
        break;
    case READ_ONE:
        if (code == 0)
            reply(out, READ_ONE, info, put_all(info, pack));
        else if (code == CELLS || jk_4e57_value_size[code] != 0)
            reply(out, READ_ONE, info, put_register(info, code, pack));
        break;
    case WRITE:
        emulate_write(bytes + INFO_AT, span.size - OVERHEAD, pack, out);
        break;
    }
    return span.size;
}
