// SPDX-License-Identifier: MIT
/* Searches a port for set-up in the browser. */
#pragma once

#include <stdbool.h>

/** Searches a port, or for Bluetooth devices ("ble:"). Prints {"tried", "found", "heard", "advice"} as one line of JSON
 * after each step. Returns when the search has ended. `all`: find every pack on the port, rather than the
 * first one and others of its protocol. */
void setup_search(const char *port, bool all);
