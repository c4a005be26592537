// SPDX-License-Identifier: MIT
/*
 * How a Bluetooth device is named in a configuration: "AA:BB:CC:DD:EE:FF", "hci1/AA:BB:CC:DD:EE:FF"
 * where the host has several adapters, or by the name that it advertises.
 */
#ifndef PACKGATE_BASE_BLUETOOTH_H
#define PACKGATE_BASE_BLUETOOTH_H

#include <stdbool.h>

#define BLUETOOTH_ADDRESS 18 /* "AA:BB:CC:DD:EE:FF" */
#define BLUETOOTH_NAME 64

struct bluetooth_device {
    char adapter[8];                 /* "hci1"; empty: the first that there is */
    char address[BLUETOOTH_ADDRESS]; /* in capitals; empty: it is given by name */
    char name[BLUETOOTH_NAME];
};

/** False: `text` names no device. */
bool bluetooth_parse(const char *text, struct bluetooth_device *out);

/** Whether it is an address, in letters of any size; without an adapter. */
bool bluetooth_is_address(const char *text);

#endif
