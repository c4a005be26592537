// SPDX-License-Identifier: MIT
/*
 * The Modbus units: the registers of each pack, bank or view, and the table from unit id to unit.
 */
#ifndef PACKGATE_MODBUS_UNITS_H
#define PACKGATE_MODBUS_UNITS_H

#include "mbap.h"
#include "view.h"

#include "config/config.h"
#include "packs/source.h"
#include "registers/map.h"

#include <modbus.h>

#define UNIT_FIRST 1
#define UNIT_LAST 247

/* Its mapping points into the struct itself: a unit stays where it was opened. */
struct unit {
    uint8_t id;
    const struct source *source; /* whose values these are; NULL: nobody's that is known */
    char name[NAME_SIZE];        /* of the pack, the bank or the view */
    struct view *view;           /* whose registers these are; NULL: those of the map */
    const struct map_settings *settings;
    enum on_stale on_stale;
    struct map_status status; /* published last */
    bool known;               /* values were published at least once */
    bool stale;               /* the values are too old to be served as fresh */
    double good_until;        /* clock_now until which the values are fresh; NaN: never were */
    double read_at;           /* the values, which their age is counted from; NaN: never */
    bool writable;            /* its switches may be written, */
    bool settable;            /* its settings; the rest never */
    double refused_at;        /* when the log last told of a refused write */
    modbus_mapping_t mapping; /* input registers are the holding registers */
    uint8_t inputs[MAP_INPUTS];
    uint8_t coils[MAP_COILS];
};

/** Gets the registers, all 0; until unit_publish there is nothing to read but the status.
 * `settings` is kept by reference. 0, or -1 with errno. */
int unit_open(struct unit *unit, uint8_t id, const char *name, const struct map_settings *settings,
              enum on_stale on_stale);

/** Of a view, which it takes over. It has no id of its own: units_add_view. */
void unit_open_view(struct unit *unit, struct view *view);

/** Everything anew, from one poll cycle: no answer is made of two. Fresh or stale is what the
 * status says, and from `good_until` on they are stale in any case. */
void unit_publish(struct unit *unit, const struct pack *pack, const struct map_status *status,
                  double good_until, double now);

/** Only what changes without new values: state, age, counters. `pack` is the one that was published
 * last, or a cleared one. */
void unit_refresh(struct unit *unit, const struct pack *pack, const struct map_status *status,
                  double good_until, double now);

/** To be called before each request is answered: state and age are those of this moment, and values that are too old by
 * now are stale, whenever anybody was last told of them. */
void unit_judge(struct unit *unit, double now);

void unit_close(struct unit *unit);

/** Whether the ranges of a request can be served, after unit_judge: 0 or an exception code, 2 outside of the map,
 * 0x0B when the values that are touched are stale. */
uint8_t unit_check(const struct unit *unit, const struct mbap_request *request);

/* The table; zeroed it is empty. It does not own the units. */
struct units {
    struct unit *by_id[256];
};

/** False when the id is taken or not a unit's (1…247). */
bool units_add(struct units *units, struct unit *unit);

/** Serves a view under all its ids, in place of who had 0 or 255 before. */
void units_add_view(struct units *units, struct unit *unit);

/** Serves a unit under 0 and 255 as well, which is what clients use that address the gateway
 * itself. */
void units_set_default(struct units *units, struct unit *unit);

/** NULL: no such unit. */
struct unit *units_find(const struct units *units, uint8_t id);

#endif
