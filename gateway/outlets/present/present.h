// SPDX-License-Identifier: MIT
/*
 * The outlet that answers masters (inverters, PLCs) on a port. present.c runs the process and decides whether values are fresh,
 * bus.c handles the port, state.h has the rule of when to answer. Each protocol is a `struct speaker`: modbus.c, battery.c, canbus.c.
 */
#pragma once

#include "bus.h"
#include "state.h"
#include "told_limits.h"

#include "bms/inverter/shown.h"
#include "outlets/outlet.h"

struct present; /* the process */

/* A protocol on a port. */
struct speaker {
    /** NULL: it cannot start; the reason is logged. */
    void *(*start)(struct present *present, double now);
    void (*free)(void *self);
    /** The values or the state of a pack have changed. May be NULL. */
    void (*changed)(void *self, struct outlet_pack *pack, unsigned changes, double now);
    /** As in struct bus_events. */
    size_t (*heard)(void *self, struct bus_link *link, const uint8_t *bytes, size_t size,
                    bool quiet, double now);
    /** As in struct bus_events. May be NULL. */
    void (*opened)(void *self, struct bus_link *link);
    void (*gone)(void *self, const struct bus_link *link);
    /** Called each second. May be NULL. */
    void (*second)(void *self, struct bus *bus, double now);
};

/* Modbus RTU; a BMS's own protocol; CAN. */
extern const struct speaker modbus_speaker, battery_speaker, can_speaker;

struct outlet *present_outlet(const struct present *present);
const struct present_config *present_config(const struct present *present);
/** "present deye". */
const char *present_title(const struct present *present);

/** Finds a pack or bank of the section by its name; NULL: there is none. */
struct outlet_pack *present_find(const struct present *present, const char *name);

/** Whether masters get values of a pack, a stop, or no answer at this moment. */
enum present_state present_state_of(const struct present *present, const struct outlet_pack *pack,
                                    double now);

/** Whether the gateway can carry out orders. */
bool present_has_gateway(const struct present *present, double now);

/** Records for the status that a master was answered: the request, such as "58 from 290 of unit 2" (empty if all requests are
 * alike), and the limits in the answer. */
void present_answered(struct present *present, const struct bus_link *link, const char *what,
                      const struct told_limits *told, double now);

/** Fills in the values that an inverter gets at this moment: the current ones, or a stop. */
void present_fill_shown(struct present *present, struct shown *shown, double now);

/** Records that another device has answered at our address: this outlet stays silent until that device has been silent for
 * PRESENT_STOP_S. `what` is its answer, for the log. */
void present_note_duplicate(struct present *present, const char *what, double now);
/** Whether another device answers at our address. */
bool present_has_duplicate(const struct present *present, double now);
