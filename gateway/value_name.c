// SPDX-License-Identifier: MIT
/* The numbers of a pack by their names. */
#include "value_name.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ALL_ALARMS ((double) ((1ull << PACK_ALARM_COUNT) - 1))

/* What is worked out of all alarms together. */
static const struct {
    const char *name;
    enum value_kind kind;
    double max;
} summaries[] = {
    {"alarm_level", VALUE_ALARM_LEVEL, ALARM_PROTECTION},
    {"alarms_active", VALUE_ALARMS_ACTIVE, ALL_ALARMS},
    {"alarms_warning", VALUE_ALARMS_WARNING, ALL_ALARMS},
    {"alarms_protection", VALUE_ALARMS_PROTECTION, ALL_ALARMS},
};
#define SUMMARIES (sizeof summaries / sizeof *summaries)
#define NAMES (PACK_VALUES + PACK_ALARM_COUNT + SUMMARIES)

/* All names in a row: numbers, alarms, summaries. An empty one is not published. */
static struct value_ref name_at(unsigned n, char name[VALUE_NAME_SIZE])
{
    if (n < PACK_VALUES) {
        pack_value_name((enum pack_value) n, name);
        return (struct value_ref){VALUE_NUMBER, (int) n};
    }
    n -= PACK_VALUES;
    if (n < PACK_ALARM_COUNT) {
        snprintf(name, VALUE_NAME_SIZE, "alarm.%s", pack_alarm_name((enum pack_alarm) n));
        return (struct value_ref){VALUE_ALARM, (int) n};
    }
    n -= PACK_ALARM_COUNT;
    snprintf(name, VALUE_NAME_SIZE, "%s", summaries[n].name);
    return (struct value_ref){summaries[n].kind, 0};
}

bool value_find(const char *name, struct value_ref *ref)
{
    char candidate[VALUE_NAME_SIZE];
    for (unsigned n = 0; name[0] && n < NAMES; n++) {
        struct value_ref found = name_at(n, candidate);
        if (strcmp(candidate, name) == 0) {
            *ref = found;
            return true;
        }
    }
    return false;
}

const char *value_format(const struct value_ref *ref, char out[VALUE_NAME_SIZE])
{
    for (unsigned n = 0; n < NAMES; n++) {
        struct value_ref found = name_at(n, out);
        if (found.kind == ref->kind && found.id == ref->id)
            break;
    }
    return out;
}

static double alarm_level(const struct pack *pack)
{
    if (pack->alarms_protection)
        return ALARM_PROTECTION;
    return pack->alarms_warning ? ALARM_WARNING : 0;
}

double value_of(const struct value_ref *ref, const struct pack *pack)
{
    if (ref->kind == VALUE_NUMBER)
        return pack->value[ref->id];
    if (ref->kind == VALUE_ALARM) {
        enum pack_alarm alarm = (enum pack_alarm) ref->id;
        return pack->alarms_known >> alarm & 1 ? pack_alarm_active(pack, alarm) : NAN;
    }
    /* A BMS that reports no alarms at all is not one without alarms. */
    if (!pack->alarms_known)
        return NAN;
    switch (ref->kind) {
    case VALUE_ALARM_LEVEL:
        return alarm_level(pack);
    case VALUE_ALARMS_WARNING:
        return pack->alarms_warning;
    case VALUE_ALARMS_PROTECTION:
        return pack->alarms_protection;
    default:
        return pack->alarms_warning | pack->alarms_protection;
    }
}

struct value_range value_range(const struct value_ref *ref)
{
    if (ref->kind == VALUE_NUMBER) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) ref->id);
        return (struct value_range){info->min, info->max};
    }
    for (size_t i = 0; i < SUMMARIES; i++)
        if (summaries[i].kind == ref->kind)
            return (struct value_range){0, summaries[i].max};
    return (struct value_range){0, 1};
}

void value_suggest(struct suggest *suggest, char best[VALUE_NAME_SIZE])
{
    char name[VALUE_NAME_SIZE];
    for (unsigned n = 0; n < NAMES; n++) {
        name_at(n, name);
        suggest_offer(suggest, name);
        if (suggest->best == name)
            suggest->best = memcpy(best, name, VALUE_NAME_SIZE);
    }
}
