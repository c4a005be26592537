// SPDX-License-Identifier: MIT
/* Detects alarms that begin and end. */
#include "alarms.h"

struct alarms alarms_after(struct alarms before, const struct pack *values)
{
    return (struct alarms){
        .warning = (before.warning & ~values->alarms_can_warn) | values->alarms_warning,
        .protection = (before.protection & ~values->alarms_can_protect) | values->alarms_protection,
    };
}

int alarms_level(struct alarms alarms, int alarm)
{
    return alarms.protection >> alarm & 1 ? ALARM_PROTECTION
           : alarms.warning >> alarm & 1  ? ALARM_WARNING
                                          : 0;
}

uint32_t alarms_changed(struct alarms before, struct alarms after)
{
    const uint32_t warned = before.warning & ~before.protection;
    const uint32_t warns = after.warning & ~after.protection;
    return (before.protection ^ after.protection) | (warned ^ warns);
}
