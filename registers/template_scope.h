// SPDX-License-Identifier: MIT
/*
 * The names that a template can use: those of the gateway, and those of the unit, group, row,
 * input or MQTT section of the surrounding loops.
 */
#pragma once

#include "rows.h"

#define TEMPLATE_TEXT_SIZE 1024

/* All values are texts; a number is written in digits. */
struct template_value {
    char text[TEMPLATE_TEXT_SIZE];
};

struct template_scope {
    const struct map_settings *settings;
    const struct map_clients *clients;
    const char *format;
    const struct map_unit *unit; /* each NULL outside its loop */
    const struct map_group *group;
    const struct map_row *row;
    const struct map_bit *bit; /* of a loop over inputs or coils */
    const struct map_mqtt *connection, *dashboard;
    unsigned n; /* of a loop over numbers, from 1; 0: none */
    bool first, last;
};

enum template_loop {
    LOOP_UNITS,
    LOOP_GROUPS,
    LOOP_ROWS,
    LOOP_INPUTS,
    LOOP_COILS,
    LOOP_CONNECTIONS,
    LOOP_DASHBOARDS,
    LOOP_NUMBERS
};

/** Finds a loop by its name: "unit" is LOOP_UNITS. */
bool template_loop_find(const char *name, enum template_loop *loop);

/** Advances to item n of a loop, from 0. False: it is not available here; `*over` is true if no
 * item follows either. */
bool template_loop_enter(struct template_scope *scope, enum template_loop loop, unsigned n,
                         bool *over);

/** The value of a name such as "row.address". False: unknown here. */
bool template_look_up(const struct template_scope *scope, const char *name,
                      struct template_value *value);
