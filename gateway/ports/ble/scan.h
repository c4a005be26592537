// SPDX-License-Identifier: MIT
/*
 * Lists the Bluetooth devices in reach. It only receives advertisements: it does not connect,
 * pair or store anything.
 */
#pragma once

#include "base/bluetooth.h"

#include <ev.h>

#define SCAN_DEVICES 128
#define SCAN_S 10.0

struct scan_device {
    char adapter[8]; /* "hci0" */
    char address[BLUETOOTH_ADDRESS];
    char name[BLUETOOTH_NAME]; /* printable; empty: it has none */
    bool connected;            /* to this host, and so not advertising */
    int signal_dbm;            /* 0: not known */
    const char *guess;         /* what it may be; NULL: no known BMS */
};

struct scan;

/** The scan is over; the devices are in the order of their signal, those with a guess first. `why` is why there
 * are none; NULL: nothing went wrong. The scan may be freed from within. */
typedef void scan_done(void *data, const struct scan_device *devices, unsigned count,
                       const char *why);

/** Listens for SCAN_S on an adapter; "": the first one. */
struct scan *scan_new(struct ev_loop *loop, const char *adapter, scan_done *done, void *data);
void scan_free(struct scan *scan);
