// SPDX-License-Identifier: MIT
/* struct pack: setting, merging and deriving values. Only this file computes values from others. */
#include "pack.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// clang-format off
#define PACK_VALUE_INFO(symbol, name, unit, min, max, decimals) [symbol] = {name, unit, min, max, decimals},
static const struct pack_value_info value_info[CELL_MV + 2] = {
    PACK_VALUE_LIST(PACK_VALUE_INFO)
    [CELL_MV]     = {"cell_mv", "mV", 0, 6000, 0},
    [CELL_MV + 1] = {"temp_c", "°C", -60, 150, 1},
};
#define PACK_ALARM_NAME(symbol, name) name,
static const char *const alarm_names[] = {PACK_ALARMS(PACK_ALARM_NAME)};
// clang-format on

static const char *const text_names[PACK_TEXTS] = {"serial", "model", "firmware"};

void pack_clear(struct pack *pack)
{
    memset(pack, 0, sizeof *pack);
    for (int i = 0; i < PACK_VALUES; i++)
        pack->value[i] = NAN;
}

void pack_set(struct pack *pack, enum pack_value id, double value)
{
    const struct pack_value_info *info = pack_value_info(id);
    bool plausible = value >= info->min && value <= info->max;
    if (!plausible)
        pack->implausible++;
    pack->value[id] = plausible ? value + 0.0 : NAN; /* + 0.0: never minus zero */
}

enum pack_flow pack_flow(const struct pack *pack)
{
    const double current_a = pack->value[CURRENT_A];
    return current_a > 0 ? FLOW_CHARGING : current_a < 0 ? FLOW_DISCHARGING : FLOW_IDLE;
}

uint32_t pack_scaled(const struct pack *pack, enum pack_value id, double factor, double offset,
                     uint32_t most)
{
    double raw = pack_known(pack, id) ? round(pack->value[id] * factor + offset) : 0;
    return raw <= 0 ? 0 : raw >= most ? most : (uint32_t) raw;
}

uint32_t pack_raw(const struct pack *pack, enum pack_value id, double factor, double offset)
{
    const double raw = pack_known(pack, id) ? round(pack->value[id] * factor + offset) : 0;
    return raw < 0 ? (uint32_t) (int32_t) fmax(raw, INT32_MIN) : (uint32_t) fmin(raw, UINT32_MAX);
}

void pack_set_cell(struct pack *pack, unsigned n, double mv)
{
    if (n >= 1 && n <= MAX_CELLS)
        pack_set(pack, CELL_MV + n - 1, mv);
}

void pack_set_temp(struct pack *pack, unsigned n, double celsius)
{
    if (n >= 1 && n <= MAX_TEMPS)
        pack_set(pack, TEMP_C + n - 1, celsius);
}

void pack_set_text(struct pack *pack, enum pack_text id, const void *bytes, size_t size)
{
    const uint8_t *text = bytes;
    char *out = pack->text[id];
    memset(out, 0, TEXT_SIZE);
    const uint8_t *end = memchr(text, 0, size);
    if (end)
        size = (size_t) (end - text);
    while (size > 0 && text[0] == ' ')
        text++, size--;
    for (size_t i = 0; i < size; i++)
        if (text[i] < 0x20 || text[i] > 0x7E)
            return;
    if (size > TEXT_SIZE - 1)
        size = TEXT_SIZE - 1;
    while (size > 0 && text[size - 1] == ' ')
        size--;
    memcpy(out, text, size);
}

void pack_clear_alarms(struct pack *pack)
{
    pack->alarms_known = pack->alarms_warning = pack->alarms_protection = 0;
    pack->alarms_can_warn = pack->alarms_can_protect = 0;
    pack->raw_alarm_count = 0;
}

void pack_alarm_at(struct pack *pack, enum pack_alarm alarm, int level, bool active)
{
    uint32_t bit = 1u << alarm, now = active ? bit : 0;
    pack->alarms_known |= bit;
    if (level == ALARM_WARNING) {
        pack->alarms_can_warn |= bit;
        pack->alarms_warning |= now;
    } else {
        pack->alarms_can_protect |= bit;
        pack->alarms_protection |= now;
    }
}

void pack_alarm(struct pack *pack, enum pack_alarm alarm, int level)
{
    pack_alarm_at(pack, alarm, ALARM_WARNING, level == ALARM_WARNING);
    pack_alarm_at(pack, alarm, ALARM_PROTECTION, level == ALARM_PROTECTION);
}

void pack_alarm_bits(struct pack *pack, const struct alarm_bit *rows, size_t count, uint64_t word)
{
    for (size_t i = 0; i < count; i++)
        pack_alarm_at(pack, rows[i].alarm, rows[i].level, word >> rows[i].bit & 1);
}

void pack_alarm_bits_at(struct pack *pack, const struct alarm_bit *rows, size_t count,
                        uint64_t word, int level)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].level == level)
            pack_alarm_bits(pack, &rows[i], 1, word);
}

uint64_t pack_alarm_word(const struct pack *pack, const struct alarm_bit *rows, size_t count,
                         bool once)
{
    uint64_t word = 0;
    uint32_t shown[ALARM_PROTECTION + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        const uint32_t bit = 1u << rows[i].alarm;
        if (pack_alarms_at(pack, rows[i].level) & bit & ~shown[rows[i].level])
            word |= UINT64_C(1) << rows[i].bit;
        shown[rows[i].level] |= once ? bit : 0;
    }
    return word;
}

void pack_raw_alarm(struct pack *pack, uint16_t word)
{
    if (pack->raw_alarm_count < MAX_RAW_ALARMS)
        pack->raw_alarms[pack->raw_alarm_count++] = word;
}

bool pack_same(const struct pack *a, const struct pack *b)
{
    return memcmp(a->value, b->value, sizeof a->value) == 0 && a->alarms_known == b->alarms_known &&
           a->alarms_warning == b->alarms_warning && a->alarms_protection == b->alarms_protection &&
           a->raw_alarm_count == b->raw_alarm_count &&
           memcmp(a->raw_alarms, b->raw_alarms, a->raw_alarm_count * sizeof *a->raw_alarms) == 0 &&
           memcmp(a->text, b->text, sizeof a->text) == 0;
}

void pack_merge(struct pack *pack, const struct pack *part)
{
    for (int i = 0; i < PACK_VALUES; i++)
        if (!isnan(part->value[i]))
            pack->value[i] = part->value[i];
    pack->alarms_known |= part->alarms_known;
    pack->alarms_warning |= part->alarms_warning;
    pack->alarms_protection |= part->alarms_protection;
    pack->alarms_can_warn |= part->alarms_can_warn;
    pack->alarms_can_protect |= part->alarms_can_protect;
    for (unsigned i = 0; i < part->raw_alarm_count; i++)
        pack_raw_alarm(pack, part->raw_alarms[i]);
    for (int i = 0; i < PACK_TEXTS; i++)
        if (part->text[i][0])
            memcpy(pack->text[i], part->text[i], TEXT_SIZE);
    pack->implausible += part->implausible;
}

static void set_unknown(struct pack *pack, enum pack_value id, double value)
{
    if (!pack_known(pack, id))
        pack_set(pack, id, value);
}

static void derive_cells(struct pack *pack)
{
    double sum = 0;
    int count = 0, highest = -1, lowest = -1;
    for (int i = 0; i < MAX_CELLS; i++) {
        double mv = pack->value[CELL_MV + i];
        if (isnan(mv))
            continue;
        if (highest < 0 || mv > pack->value[CELL_MV + highest])
            highest = i;
        if (lowest < 0 || mv < pack->value[CELL_MV + lowest])
            lowest = i;
        sum += mv;
        count++;
    }
    if (count > 0) {
        /* An index is only valid together with its voltage: use both from the BMS, or both from
         * here. */
        if (!pack_known(pack, CELL_MAX_MV)) {
            pack_set(pack, CELL_MAX_MV, pack->value[CELL_MV + highest]);
            pack_set(pack, CELL_MAX_INDEX, highest + 1);
        }
        if (!pack_known(pack, CELL_MIN_MV)) {
            pack_set(pack, CELL_MIN_MV, pack->value[CELL_MV + lowest]);
            pack_set(pack, CELL_MIN_INDEX, lowest + 1);
        }
        set_unknown(pack, CELL_AVG_MV, sum / count);
    }
}

void pack_derive(struct pack *pack)
{
    if (pack_known(pack, CELL_COUNT))
        for (int i = (int) pack->value[CELL_COUNT]; i < MAX_CELLS; i++)
            pack_unset(pack, (enum pack_value)(CELL_MV + i));
    if (pack_known(pack, VOLTAGE_V) && pack_known(pack, CURRENT_A))
        set_unknown(pack, POWER_W, pack->value[VOLTAGE_V] * pack->value[CURRENT_A]);
    /* The extremes of some cells are not those of the pack. */
    if (!pack_known(pack, CELLS_UNREAD))
        derive_cells(pack);
    if (pack_known(pack, CELL_MAX_MV) && pack_known(pack, CELL_MIN_MV))
        set_unknown(pack, CELL_DELTA_MV, pack->value[CELL_MAX_MV] - pack->value[CELL_MIN_MV]);
    double sum = 0;
    int count = 0;
    for (unsigned i = 0; i < MAX_TEMPS; i++) {
        sum += pack_value_or(pack, TEMP_C + i, 0);
        count += pack_known(pack, TEMP_C + i);
    }
    if (count > 0)
        set_unknown(pack, TEMP_AVG_C, sum / count);
    if (pack_known(pack, BALANCE_MASK))
        set_unknown(pack, BALANCING, pack->value[BALANCE_MASK] > 0);
}

const struct pack_value_info *pack_value_info(enum pack_value id)
{
    if (id >= TEMP_C)
        return &value_info[CELL_MV + 1];
    return &value_info[id >= CELL_MV ? CELL_MV : id];
}

const char *pack_alarm_level_name(enum alarm_level level)
{
    return level == ALARM_PROTECTION ? "protection" : "warning";
}

const char *pack_alarm_name(enum pack_alarm alarm)
{
    return alarm_names[alarm];
}

const char *pack_text_name(enum pack_text id)
{
    return text_names[id];
}

const char *pack_value_name(enum pack_value id, char out[VALUE_NAME_SIZE])
{
    const char *stem = pack_value_info(id)->name;
    if (id >= CELL_MV)
        snprintf(out, VALUE_NAME_SIZE, "%s.%d", stem, id - (id >= TEMP_C ? TEMP_C : CELL_MV) + 1);
    else
        snprintf(out, VALUE_NAME_SIZE, "%s", stem ? stem : "");
    return out;
}
