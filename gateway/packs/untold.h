// SPDX-License-Identifier: MIT
/* What an inverter is not told, because its protocol has no place for it, or the BMS does not report it: for `check`. */
#ifndef PACKGATE_PACKS_UNTOLD_H
#define PACKGATE_PACKS_UNTOLD_H

#include "config/config.h"

/** Writes a list such as "health, cycles" for a section with another protocol than Modbus; empty: it is told everything. The
 * packs are taken to report all that their protocols have. Returns false if the inverter cannot be told to stop. */
bool untold_list(const struct config *config, const struct present_config *present, char *out,
                 size_t size);

#endif
