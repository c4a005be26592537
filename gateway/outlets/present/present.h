// SPDX-License-Identifier: MIT
/*
 * The outlet that answers masters (inverters, PLCs) on a port. present.c is the process and knows what is fresh, bus.c has the port,
 * state.h the rule of when what is said. Who speaks a protocol is a `struct speaker`: modbus.c, battery.c, canbus.c.
 */
#ifndef PACKGATE_OUTLETS_PRESENT_PRESENT_H
#define PACKGATE_OUTLETS_PRESENT_PRESENT_H

#include "bus.h"
#include "state.h"
#include "told_limits.h"

#include "bms/inverter/shown.h"
#include "outlets/outlet.h"

struct present; /* the process */

/* A protocol on a port. */
struct speaker {
    /** NULL: it cannot start, and has logged why. */
    void *(*start)(struct present *present, double now);
    void (*free)(void *self);
    /** The values or the state of a pack have changed. May be NULL. */
    void (*changed)(void *self, struct outlet_pack *pack, unsigned changes, double now);
    /** As in struct bus_events. */
    size_t (*heard)(void *self, struct bus_link *link, const uint8_t *bytes, size_t size,
                    bool quiet, double now);
    /** As there. NULL: of no interest. */
    void (*opened)(void *self, struct bus_link *link);
    void (*gone)(void *self, const struct bus_link *link);
    /** A second has passed. May be NULL. */
    void (*second)(void *self, struct bus *bus, double now);
};

/* Modbus RTU; a BMS's own protocol; frames of a CAN bus. */
extern const struct speaker modbus_speaker, battery_speaker, can_speaker;

struct outlet *present_outlet(const struct present *present);
const struct present_config *present_config(const struct present *present);
/** "present deye". */
const char *present_title(const struct present *present);

/** A pack or bank of the section by its name; NULL: there is none. The first one that the section names is `of`. */
struct outlet_pack *present_find(const struct present *present, const char *name);

/** What masters may be told about a pack now. */
enum present_state present_may(const struct present *present, const struct outlet_pack *pack,
                               double now);

/** Whether the gateway can carry out orders. */
bool present_has_gateway(const struct present *present, double now);

/** Notes for the status that a master was answered, to what: "58 from 290 of unit 2" (empty: all of its requests are alike), and the
 * limits in the answer. */
void present_answered(struct present *present, const struct bus_link *link, const char *what,
                      const struct told_limits *told, double now);

/** What an inverter is to see of `of`. */
void present_show(struct present *present, struct shown *shown, double now);

/** Another device answers in our place: stay silent until it has been silent for PRESENT_STOP_S. */
void present_second(struct present *present, const char *what, double now);
/** Whether another device answers in our place. */
bool present_is_second(const struct present *present, double now);

#endif
