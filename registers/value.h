// SPDX-License-Identifier: MIT
/*
 * Finds numbers of a pack or a bank by name: "soc_percent", "cell_mv.3", "alarm.soc_low",
 * "charged_wh". The names are those of the register map, and some derived ones: "level.soc_low"
 * (0, 1 warning, 2 protection), "warning.soc_low", "protection.soc_low", "direction". Pure.
 */
#pragma once

#include "map.h"

enum value_kind {
    VALUE_NUMBER, /* enum pack_value */
    VALUE_ALARM,  /* enum pack_alarm: 0 or 1 */
    VALUE_MAPPED, /* index of map_rows */

    VALUE_LEVEL,      /* enum pack_alarm: 0, or its enum alarm_level */
    VALUE_WARNING,    /* 1 if active at this level, else 0 */
    VALUE_PROTECTION, /* the same */
    VALUE_DIRECTION   /* enum pack_flow, by the sign of the current, as in the discrete inputs */
};

struct value_ref {
    enum value_kind kind;
    int id;
};

/** False: no number has this name (texts such as the serial number have none). */
bool value_find(const char *name, struct value_ref *ref);

/** Writes the name and returns `out`. */
const char *value_format(const struct value_ref *ref, char out[VALUE_NAME_SIZE]);

/** NaN: unknown. */
double value_of(const struct value_ref *ref, const struct pack *pack,
                const struct map_status *status);

/* What is known about a name without a value. */
struct value_traits {
    double min, max; /* wider than those of any one pack */
    bool must_fit;   /* meaningless if truncated: a set of bits */
    bool is_status;  /* known even while the pack is silent */
    bool is_limit;   /* an allowed current or voltage: a lower one must be sent at once */
};
struct value_traits value_traits(const struct value_ref *ref);

/** How many names there are, and the n-th of them, from 0. An empty name is not published. The
 * names of the map are followed by value_more_count derived ones, for users who select values one
 * by one. */
unsigned value_count(void);
unsigned value_more_count(void);
struct value_ref value_at(unsigned n, char name[VALUE_NAME_SIZE]);

/* What programs for people show of a value; all client files and messages take it from the rows of the map. */
#define MEANING_TITLE 64
struct meaning {
    char title[MEANING_TITLE]; /* "State of charge"; for an array the title of an element: "Cell" */
    const char *unit;          /* "" if it has none */
    int decimals;              /* decimals worth printing */
    const char *device_class;  /* of Home Assistant; NULL: none */
    const char *state_class;   /* of Home Assistant; NULL: none */
};

/** For a value by its name in the extended block, for an array by its stem ("cell_mv"). False:
 * unknown name. */
bool meaning_find(const char *name, struct meaning *meaning);

/** For a value with this unit. */
const char *meaning_device_class(const char *name, const char *unit);
const char *meaning_state_class(const char *unit, bool is_counter);
