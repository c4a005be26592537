// SPDX-License-Identifier: MIT
/* The numbers of a pack or a bank by their names. */
#include "value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

unsigned value_count(void)
{
    return PACK_VALUES + PACK_ALARM_COUNT + map_number_count();
}

struct value_ref value_at(unsigned n, char name[VALUE_NAME_SIZE])
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
    snprintf(name, VALUE_NAME_SIZE, "%s", map_number_info(n).name);
    return (struct value_ref){VALUE_MAPPED, (int) n};
}

bool value_find(const char *name, struct value_ref *ref)
{
    char candidate[VALUE_NAME_SIZE];
    for (unsigned n = 0, count = value_count(); name[0] && n < count; n++) {
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
    for (unsigned n = 0, count = value_count(); n < count; n++) {
        struct value_ref found = value_at(n, out);
        if (found.kind == ref->kind && found.id == ref->id)
            break;
    }
    return out;
}

double value_of(const struct value_ref *ref, const struct pack *pack,
                const struct map_status *status)
{
    if (ref->kind == VALUE_NUMBER)
        return pack->value[ref->id];
    if (ref->kind == VALUE_MAPPED)
        return map_number((unsigned) ref->id, pack, status);
    enum pack_alarm alarm = (enum pack_alarm) ref->id;
    return pack->alarms_known >> alarm & 1 ? pack_alarm_active(pack, alarm) : NAN;
}

struct value_traits value_traits(const struct value_ref *ref)
{
    if (ref->kind == VALUE_NUMBER) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) ref->id);
        return (struct value_traits){.min = info->min, .max = info->max};
    }
    if (ref->kind == VALUE_MAPPED) {
        struct map_number number = map_number_info((unsigned) ref->id);
        return (struct value_traits){number.min, number.max, number.is_bits, number.is_status};
    }
    return (struct value_traits){.min = 0, .max = 1};
}
