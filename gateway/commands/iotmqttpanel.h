// SPDX-License-Identifier: MIT
/*
 * The import file of the app IoT MQTT Panel, for the sections [mqtt NAME] whose layout is
 * smartbms-bat: a connection and a dashboard each, with the panels of the extractor's own file.
 */
#ifndef PACKGATE_COMMANDS_IOTMQTTPANEL_H
#define PACKGATE_COMMANDS_IOTMQTTPANEL_H

#include "config/config.h"

#include <stdio.h>

/** `clients` tells how many cells a pack has. The password stands in the file only on demand:
 * whoever gets the file could read it. False: there is no such section, and nothing is printed; said on
 * standard error. */
bool print_iotmqttpanel(const struct config *config, const struct map_clients *clients,
                        bool with_password, FILE *out);

#endif
