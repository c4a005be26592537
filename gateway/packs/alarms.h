// SPDX-License-Identifier: MIT
/*
 * Which alarms of a pack or a bank are active, as far as they were read. All who report that an alarm began, changed its
 * level or ended decide it here: the log, the page, the history, MQTT, notifications, the database.
 */
#ifndef PACKGATE_PACKS_ALARMS_H
#define PACKGATE_PACKS_ALARMS_H

#include "bms/pack.h"

/* As read last, a bit for each enum pack_alarm; zeroed: none. */
struct alarms {
    uint32_t warning, protection;
};

/** The alarms after these values. One that they do not have, because its reply was lost or has not come yet, stays as it
 * was: it has neither begun nor ended. The same holds for each level alone. */
struct alarms alarms_after(struct alarms before, const struct pack *values);

/** 0: not active; else the worse enum alarm_level. */
int alarms_level(struct alarms alarms, int alarm);

/** A bit for each alarm that began, changed its level or ended. */
uint32_t alarms_changed(struct alarms before, struct alarms after);

#endif
