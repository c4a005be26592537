// SPDX-License-Identifier: MIT
/* Lists the values that an inverter does not receive, because its protocol has no place for them,
 * or the BMS does not report them: for `check`. */
#ifndef PACKGATE_PACKS_UNTOLD_H
#define PACKGATE_PACKS_UNTOLD_H

#include "config/config.h"

/** Writes a list such as "health, cycles" for a section whose protocol is not Modbus; empty: it
 * receives everything. Assumes that the packs report everything that their protocols have. Returns
 * false if there is no message that makes the inverter stop. */
bool untold_list(const struct config *config, const struct present_config *present, char *out,
                 size_t size);

#endif
