// SPDX-License-Identifier: MIT
/*
 * The name of a Bluetooth device in a configuration: "AA:BB:CC:DD:EE:FF", "hci1/AA:BB:CC:DD:EE:FF"
 * on a host with several adapters, or the name that the device advertises.
 */
#pragma once

#include <stdbool.h>

#define BLUETOOTH_ADDRESS 18 /* "AA:BB:CC:DD:EE:FF" */
#define BLUETOOTH_NAME 64

struct bluetooth_device {
    char adapter[8];                 /* "hci1"; empty: the first adapter */
    char address[BLUETOOTH_ADDRESS]; /* in capitals; empty: the device is given by name */
    char name[BLUETOOTH_NAME];
};

/** Parses `text`. False: it names no device. */
bool bluetooth_parse(const char *text, struct bluetooth_device *out);

/** Whether it is an address, in upper or lower case, without an adapter. */
bool bluetooth_is_address(const char *text);
