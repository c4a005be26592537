// SPDX-License-Identifier: MIT
/*
 * A simulated inverter: what it asks a battery, what it is told, and what it does then. Pure: bytes and times are arguments.
 */
#ifndef PACKGATE_SIMULATOR_INVERTER_H
#define PACKGATE_SIMULATOR_INVERTER_H

#include "base/slcan.h"
#include "bms/driver.h"
#include "bms/inverter/table.h"

#define INVERTER_PATIENCE_S 5.0 /* without limits it stops after this time, if it obeys */

enum inverter_kind { INVERTER_PYLONTECH, INVERTER_MODBUS, INVERTER_CAN };

struct inverter {
    enum inverter_kind kind;
    const struct table *table; /* of CAN */
    uint8_t address;
    double wants_a; /* charging is positive */
    bool obeys;
    unsigned turn;              /* of its requests */
    struct bms_request request; /* the last one; size 0: answered */
    struct shown told;
    double limits_at; /* when it was told limits last; NaN: never */
};

/** The names of all kinds, for help: "pylontech, modbus-rtu, …". */
void inverter_names(char *out, size_t size);

/** Prepares one; address -1: the usual one. False: no such kind. */
bool inverter_init(struct inverter *inverter, const char *name, int address);

/** What it sends now, once a second. On a CAN bus that it is alive. */
void inverter_ask(struct inverter *inverter, struct bms_request *out);

/** Takes bytes that came. Returns how many are over. */
size_t inverter_hear(struct inverter *inverter, const uint8_t *bytes, size_t size, double now);

/** Takes a frame of a CAN bus. */
void inverter_hear_frame(struct inverter *inverter, const struct can_message *frame, double now);

/** The current that it takes (charging is positive). NaN: it was never told anything, and does nothing. */
double inverter_current(const struct inverter *inverter, double now);

/** What it was told and what it does, as one line of text. */
void inverter_describe(const struct inverter *inverter, double now, char *out, size_t size);

#endif
