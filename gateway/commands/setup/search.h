// SPDX-License-Identifier: MIT
/* A search for set-up in the browser. */
#ifndef PACKGATE_COMMANDS_SETUP_SEARCH_H
#define PACKGATE_COMMANDS_SETUP_SEARCH_H

#include <stdbool.h>

/** Searches a port ("ble:": for Bluetooth devices), and prints {"tried", "found", "heard", "advice"} as one line of JSON after each
 * step. Returns when it is over. */
void setup_search(const char *port, bool all);

#endif
