// SPDX-License-Identifier: MIT
/*
 * A battery as presented to an inverter: a pack or a bank, and its limits. Every protocol for
 * inverters is encoded from this struct (dialect.h, table.h).
 */
#pragma once

#include "bms/pack.h"

#define SHOWN_NAME 17 /* bytes: two CAN frames and the NUL */

/* Numbers that are not in struct pack. Packs count from 1. */
enum shown_number {
    SHOWN_TEMP_MAX_C = PACK_VALUES, /* of all sensors */
    SHOWN_TEMP_MIN_C,
    SHOWN_MOS_TEMP_C, /* of a pack; of a bank only the hottest MOS is known */
    SHOWN_CHARGED_WH,
    SHOWN_DISCHARGED_WH,
    SHOWN_PACKS,           /* wired in parallel, with fresh values */
    SHOWN_MISSING,         /* without */
    SHOWN_BLOCKING_CHARGE, /* packs whose MOS is off */
    SHOWN_BLOCKING_DISCHARGE,
    SHOWN_CELL_MAX_PACK, /* the pack that has it */
    SHOWN_CELL_MIN_PACK,
    SHOWN_TEMP_MAX_PACK,
    SHOWN_TEMP_MIN_PACK,
    SHOWN_NUMBERS
};

struct shown {
    /* The limits are the allowed ones, not those that the BMS reports. A MOS counts as off while
     * its direction is not allowed, because some protocols have no other way to express this. */
    struct pack values;
    double number[SHOWN_NUMBERS - PACK_VALUES]; /* NaN: unknown */
    char name[SHOWN_NAME];                      /* as configured */
    /* Nothing is allowed, because the values are stale. Only messages that say so are sent: limits,
     * switches, and values in the same message. */
    bool stopping;
};

/** Everything unknown, nothing allowed. */
void shown_clear(struct shown *shown);

/** The value of an enum pack_value or enum shown_number; NaN: unknown. */
static inline double shown_number(const struct shown *shown, unsigned id)
{
    return id < PACK_VALUES ? shown->values.value[id] : shown->number[id - PACK_VALUES];
}

/** Sets a number that was decoded from a message. */
static inline void shown_set(struct shown *shown, unsigned id, double value)
{
    if (id < PACK_VALUES)
        pack_set(&shown->values, id, value);
    else
        shown->number[id - PACK_VALUES] = value;
}

/** From now on nothing is allowed, or only discharging with this current. */
void shown_stop(struct shown *shown, double discharge_a);

/** Whether a number is a limit or a switch. */
static inline bool shown_allows(unsigned id)
{
    return id == CHARGE_CURRENT_LIMIT_A || id == DISCHARGE_CURRENT_LIMIT_A || id == CHARGE_MOS ||
           id == DISCHARGE_MOS;
}
