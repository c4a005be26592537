// SPDX-License-Identifier: MIT
/*
 * Tracks which alarms of a pack or a bank are active, as far as they were read. Everything that
 * reports alarms (log, web page, history, MQTT, notifications, database) uses these functions to
 * decide whether one began, changed its level or ended.
 */
#pragma once

#include "bms/pack.h"

#include <stdbool.h>

/* As last read, a bit for each enum pack_alarm. All zeros: none. */
struct alarms {
    uint32_t warning, protection;
    int32_t bms; /* of which they are: `bms` of struct map_status, positive; 0: not known */
};

/** Whether the pack has another BMS than before, which was read completely, so that what the one before has reported is over. */
bool alarms_other_bms(int32_t before, int32_t bms);

/** Returns the alarms after a poll cycle with these values of this BMS. An alarm that was not read, because its
 * reply was lost or is still to come, keeps its state, unless another BMS has reported it. The same holds for each level. */
struct alarms alarms_after(struct alarms before, const struct pack *values, int32_t bms);

/** 0 if the alarm is not active, else the worst enum alarm_level. */
int alarms_level(struct alarms alarms, int alarm);

/** The cell (from 1) that an active alarm most likely concerns, by the values of this poll cycle: the highest, the
 * lowest, or of both the one further from the mean. 0: it concerns no cell, or its number is unknown. */
int alarms_cell(enum pack_alarm alarm, const struct pack *values);
/** Whether an alarm concerns a cell. */
bool alarms_has_cell(enum pack_alarm alarm);
/** The same of temperature sensors: the hottest or the coldest. */
int alarms_sensor(enum pack_alarm alarm, const struct pack *values);

/** A bit for each alarm that began, changed its level or ended. */
uint32_t alarms_changed(struct alarms before, struct alarms after);
