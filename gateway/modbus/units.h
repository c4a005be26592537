// SPDX-License-Identifier: MIT
/* The Modbus units: the registers of each pack, bank or view, and the table from id to unit. */
#pragma once

#include "mbap.h"
#include "view.h"

#include "config/config.h"
#include "packs/source.h"
#include "registers/map.h"

#define UNIT_FIRST 1
#define UNIT_LAST 247

struct unit {
    uint8_t id;
    const struct source *source; /* of its values; NULL: those of a view */
    char name[NAME_SIZE];        /* of the pack, the bank or the view */
    struct view *view;           /* of its registers; NULL: those of the map */
    const struct map_settings *settings;
    enum on_stale on_stale;
    bool known;                 /* values were published at least once */
    enum map_state shown_state; /* in the registers, as is the age: NaN, if there are no values */
    double shown_age_s;
    bool writable;              /* its switches may be written */
    bool settable;              /* its settings may be written */
    double refused_at;          /* when a rejected write was last logged */
    uint16_t *registers;        /* by address; input registers are the holding registers */
    uint8_t inputs[MAP_INPUTS]; /* a byte for each bit, 0 or 1 */
    uint8_t coils[MAP_COILS];
};

/** Keeps the source and `settings`; the registers are all 0. Before the first values only the status can be read. */
void unit_open(struct unit *unit, uint8_t id, const struct source *source,
               const struct map_settings *settings, enum on_stale on_stale);

/** Opens the unit of a view, which it then owns. It has no id of its own: see units_add_view. */
void unit_open_view(struct unit *unit, struct view *view);

/** With `whole`, replaces everything by the values of one poll cycle, so that no answer mixes two; otherwise only
 * what changes without new values: state, age, counters. */
void unit_update(struct unit *unit, bool whole, double now);

/** To be called before each request is answered: updates state and age to this moment, and marks
 * values as stale that are too old by now, even if no timer has noticed that yet. */
void unit_judge(struct unit *unit, double now);

void unit_close(struct unit *unit);

/** Whether the ranges of a request can be served, after unit_judge: 0 or an exception code, 2
 * outside of the map, 0x0B if the values concerned are stale. */
uint8_t unit_check(const struct unit *unit, const struct mbap_request *request);

/* The table from id to unit; NULL: no such unit. Clients use 0 and 255 to address the gateway itself. Does not own the units. */
struct units {
    struct unit *by_id[256];
};

/** False if the id is taken or invalid (valid: 1…247). */
bool units_add(struct units *units, struct unit *unit);

/** Serves a view under all its ids, in place of the unit that had 0 or 255 before. */
void units_add_view(struct units *units, struct unit *unit);
