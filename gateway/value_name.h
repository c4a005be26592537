// SPDX-License-Identifier: MIT
/*
 * The numbers of a pack by their names: "soc_percent", "cell_mv.3", "alarm.soc_low", "alarm_level".
 * The names are those of the register map. Pure.
 */
#ifndef PACKGATE_GATEWAY_VALUE_NAME_H
#define PACKGATE_GATEWAY_VALUE_NAME_H

#include "bms/pack.h"
#include "suggest.h"

enum value_kind {
    VALUE_NUMBER,        /* enum pack_value */
    VALUE_ALARM,         /* enum pack_alarm: 0 or 1 */
    VALUE_ALARM_LEVEL,   /* 0 none, 1 warning, 2 protection */
    VALUE_ALARMS_ACTIVE, /* these three: bit n is enum pack_alarm n */
    VALUE_ALARMS_WARNING,
    VALUE_ALARMS_PROTECTION
};

struct value_ref {
    enum value_kind kind;
    int id; /* of a number or an alarm */
};

/** False: no number has this name (texts such as the serial number have none). */
bool value_find(const char *name, struct value_ref *ref);

/** Writes the name and returns `out`. */
const char *value_format(const struct value_ref *ref, char out[VALUE_NAME_SIZE]);

/** NaN: not known. */
double value_of(const struct value_ref *ref, const struct pack *pack);

/** What it can be at least and at most. */
struct value_range {
    double min, max;
};
struct value_range value_range(const struct value_ref *ref);

/** For "did you mean": puts the name nearest to suggest->word there, written into `best`. */
void value_suggest(struct suggest *suggest, char best[VALUE_NAME_SIZE]);

#endif
