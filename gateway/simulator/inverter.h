// SPDX-License-Identifier: MIT
/*
 * A simulated inverter: the requests that it sends to a battery, the values that it receives, and
 * the current that it draws. Pure: bytes and times are arguments.
 */
#pragma once

#include "base/slcan.h"
#include "bms/driver.h"
#include "bms/inverter/table.h"

#define INVERTER_PATIENCE_S 5.0 /* without limits it stops then, unless it ignores them */

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
    double limits_at; /* when it last received limits; NaN: never */
};

/** The names of all kinds, for help: "pylontech, modbus-rtu, …". */
void inverter_names(char *out, size_t size);

/** Prepares an inverter; address -1: the usual one. False: no such kind. */
bool inverter_init(struct inverter *inverter, const char *name, int address);

/** The bytes that it sends once a second: a request, or on a CAN bus a keep-alive frame. */
void inverter_ask(struct inverter *inverter, struct bms_request *out);

/** Handles received bytes. Returns the number of handled ones. */
size_t inverter_hear(struct inverter *inverter, const uint8_t *bytes, size_t size, double now);

/** The current that it draws (positive charges). NaN: it has received nothing yet, and does
 * nothing. */
double inverter_current(const struct inverter *inverter, double now);

/** The received values and its reaction, as one line of text. */
void inverter_describe(const struct inverter *inverter, double now, char *out, size_t size);
