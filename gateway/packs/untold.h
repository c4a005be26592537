// SPDX-License-Identifier: MIT
/* Lists the values that an inverter does not receive, because its protocol has no place for them,
 * or the BMS does not report them: for `check` and the status. */
#pragma once

#include "bms/inverter/shown.h"
#include "config/config.h"

/** Writes a list such as "capacity, cycles; perhaps health (set soh)" for a section whose protocol is
 * not Modbus; empty: it receives everything. Packs count as reporting all that their protocols have;
 * perhaps: not in each variant. False: no message makes the inverter stop. */
bool untold_list(const struct config *config, const struct present_config *present, char *out,
                 size_t size);

/** Writes the values that the protocol could carry but that are not sent, because this battery
 * reports neither them nor another value that the same message needs. For a bank, skips messages
 * about a single battery of a stack, which only packs answer. */
void untold_now(const struct present_config *present, const struct shown *shown, char *out,
                size_t size);
