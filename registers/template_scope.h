// SPDX-License-Identifier: MIT
/*
 * What a template can name: the gateway, and the unit, group, row, input or MQTT section that the loops around stand at.
 */
#ifndef PACKGATE_REGISTERS_TEMPLATE_SCOPE_H
#define PACKGATE_REGISTERS_TEMPLATE_SCOPE_H

#include "rows.h"

#define TEMPLATE_TEXT_SIZE 1024

/* All values are texts; a number is its digits. */
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
    const struct map_bit *input;
    const struct map_mqtt *connection, *dashboard;
    unsigned n; /* of a loop over numbers, from 1; 0: in none */
    bool first, last;
};

enum template_loop {
    LOOP_UNITS,
    LOOP_GROUPS,
    LOOP_ROWS,
    LOOP_INPUTS,
    LOOP_CONNECTIONS,
    LOOP_DASHBOARDS,
    LOOP_NUMBERS
};

/** Whether a loop is called so: "unit" is LOOP_UNITS. */
bool template_loop_find(const char *name, enum template_loop *loop);

/** Goes to item n of a loop, from 0. False: it has no such item here; `*over` tells that none follows either. */
bool template_loop_enter(struct template_scope *scope, enum template_loop loop, unsigned n,
                         bool *over);

/** The value of a name such as "row.address". False: there is none here. */
bool template_look_up(const struct template_scope *scope, const char *name,
                      struct template_value *value);

#endif
