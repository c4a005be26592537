// SPDX-License-Identifier: MIT
/* Finds numbers of a pack or a bank by name, and what they mean. */
#include "value.h"

#include "rows.h"

#include "bms/count.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* In the order of value_at; those of the map come first. */
static const struct {
    enum value_kind kind;
    const char *prefix; /* of the name of an alarm */
} kinds[] = {{VALUE_NUMBER, NULL},
             {VALUE_ALARM, "alarm"},
             {VALUE_MAPPED, NULL},
             {VALUE_DIRECTION, NULL},
             {VALUE_LEVEL, "level"},
             {VALUE_WARNING, "warning"},
             {VALUE_PROTECTION, "protection"}};

static unsigned count_of(enum value_kind kind)
{
    return kind == VALUE_NUMBER      ? PACK_VALUES
           : kind == VALUE_MAPPED    ? map_row_count
           : kind == VALUE_DIRECTION ? 1
                                     : PACK_ALARM_COUNT;
}

unsigned value_count(void)
{
    return PACK_VALUES + PACK_ALARM_COUNT + map_row_count;
}

unsigned value_more_count(void)
{
    return 1 + 3 * PACK_ALARM_COUNT;
}

struct value_ref value_at(unsigned n, char name[VALUE_NAME_SIZE])
{
    size_t i = 0;
    for (; n >= count_of(kinds[i].kind); i++)
        n -= count_of(kinds[i].kind);
    if (kinds[i].prefix)
        snprintf(name, VALUE_NAME_SIZE, "%s.%s", kinds[i].prefix, pack_alarm_name(n));
    else if (kinds[i].kind == VALUE_NUMBER)
        pack_value_name(n, name);
    else if (kinds[i].kind == VALUE_DIRECTION)
        strcpy(name, "direction");
    else
        snprintf(name, VALUE_NAME_SIZE, "%s", map_is_number(&map_rows[n]) ? map_rows[n].name : "");
    return (struct value_ref){kinds[i].kind, (int) n};
}

bool value_find(const char *name, struct value_ref *ref)
{
    char candidate[VALUE_NAME_SIZE];
    for (unsigned n = 0, count = value_count() + value_more_count(); name[0] && n < count; n++) {
        struct value_ref found = value_at(n, candidate);
        if (strcmp(candidate, name) == 0) {
            *ref = found;
            return true;
        }
    }
    return false;
}

const char *value_format(const struct value_ref *ref, char out[VALUE_NAME_SIZE])
{
    for (unsigned n = 0, count = value_count() + value_more_count(); n < count; n++) {
        struct value_ref found = value_at(n, out);
        if (found.kind == ref->kind && found.id == ref->id)
            break;
    }
    return out;
}

static double alarm_of(enum value_kind kind, unsigned alarm, const struct pack *pack)
{
    const bool warning = pack->alarms_warning >> alarm & 1;
    const bool protection = pack->alarms_protection >> alarm & 1;
    if (!(pack->alarms_known >> alarm & 1))
        return NAN;
    switch (kind) {
    case VALUE_LEVEL:
        return protection ? ALARM_PROTECTION : warning ? ALARM_WARNING : 0;
    case VALUE_WARNING:
        return warning;
    case VALUE_PROTECTION:
        return protection;
    default:
        return warning || protection;
    }
}

double value_of(const struct value_ref *ref, const struct pack *pack,
                const struct map_status *status)
{
    switch (ref->kind) {
    case VALUE_NUMBER:
        return pack->value[ref->id];
    case VALUE_MAPPED:
        return map_number(&map_rows[ref->id], pack, status);
    case VALUE_DIRECTION:
        return pack_known(pack, CURRENT_A) ? (double) pack_flow(pack) : (double) NAN;
    default:
        return alarm_of(ref->kind, (unsigned) ref->id, pack);
    }
}

struct value_traits value_traits(const struct value_ref *ref)
{
    if (ref->kind == VALUE_NUMBER) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) ref->id);
        return (struct value_traits){.min = info->min, .max = info->max};
    }
    if (ref->kind == VALUE_MAPPED) {
        const struct map_row *row = &map_rows[ref->id];
        const struct map_limits *limits = &map_types[row->type].known;
        const bool is_bits = row->type == REG_BITS32;
        const bool is_limit = row->source == OF_GATEWAY && row->id >= OUR_ALLOWED_CHARGE_V &&
                              row->id <= OUR_ALLOWED_DISCHARGE_A;
        return (struct value_traits){.min = is_limit ? 0 : limits->min * row->scale,
                                     .max = is_bits ? (double) ((1u << PACK_ALARM_COUNT) - 1)
                                                    : limits->max * row->scale,
                                     .must_fit = is_bits,
                                     .is_status = row->class == STATUS,
                                     .is_limit = is_limit};
    }
    const bool three = ref->kind == VALUE_LEVEL || ref->kind == VALUE_DIRECTION;
    return (struct value_traits){.min = 0, .max = three ? 2 : 1};
}

// clang-format off
static const struct {
    const char *unit, *device_class, *state_class;
} classes[] = {
    {"V",  "voltage",     "measurement"},
    {"mV", "voltage",     "measurement"},
    {"A",  "current",     "measurement"},
    {"W",  "power",       "measurement"},
    {"°C", "temperature", "measurement"},
    {"s",  "duration",    "measurement"},
    {"Wh", "energy",      "total_increasing"},
    {"%",  NULL,          "measurement"},
    {"Ah", NULL,          "measurement"},
};
// clang-format on

const char *meaning_device_class(const char *name, const char *unit)
{
    if (strcmp(name, "soc_percent") == 0)
        return "battery";
    for (size_t i = 0; i < COUNT(classes); i++)
        if (strcmp(classes[i].unit, unit) == 0)
            return classes[i].device_class;
    return NULL;
}

const char *meaning_state_class(const char *unit, bool is_counter)
{
    for (size_t i = 0; i < COUNT(classes); i++)
        if (strcmp(classes[i].unit, unit) == 0)
            return classes[i].state_class;
    return is_counter ? "total_increasing" : NULL;
}

static int decimals_of(const struct map_row *row)
{
    if (row->source == OF_PACK)
        return pack_value_info((enum pack_value) row->id)->decimals;
    return row->type == REG_FLOAT32 ? pack_value_info(TEMP_C)->decimals : 0;
}

bool meaning_find(const char *name, struct meaning *meaning)
{
    const struct map_row *row = map_row_find(name);
    if (!row)
        return false;
    snprintf(meaning->title, sizeof meaning->title, "%.*s", (int) strcspn(row->meaning, ","),
             row->meaning);
    meaning->title[0] = (char) toupper((unsigned char) meaning->title[0]);
    meaning->unit = row->unit;
    meaning->decimals = decimals_of(row);
    meaning->device_class = meaning_device_class(row->name, row->unit);
    meaning->state_class = meaning_state_class(row->unit, row->type == REG_U32);
    return true;
}
