// SPDX-License-Identifier: MIT
/*
 * The serial lines of Bluetooth modules: a characteristic that notifies the bytes of the BMS, and
 * one to write to. The pair depends on the module, not on the protocol. The sheet `ble`, section 1.
 */
#pragma once

#include "bluez.h"

#define MODULE_PAIRS 9

struct module_pair {
    char receive[BLUEZ_PATH], send[BLUEZ_PATH]; /* empty: not there */
    unsigned flags;                             /* of the one to write to */
};

/* In the order in which they are tried. */
struct module {
    struct module_pair pairs[MODULE_PAIRS];
};

/** Adds a characteristic to the pair that it belongs to, if any. */
void module_note(struct module *module, const struct bluez_object *object);

/** The next usable pair, from `from` on; MODULE_PAIRS: none. */
unsigned module_next(const struct module *module, unsigned from);

/** What a device is likely to be, by address, advertised name and services (enum bluez_service), in
 * words for people. NULL: no idea. */
const char *module_guess(const char *address, const char *name, unsigned services);
