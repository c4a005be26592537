// SPDX-License-Identifier: MIT
/*
 * What a Modbus write means for the switches of a pack: coils 0 and 1, or the registers of the MOS
 * states; or for one of its settings: both registers of its float at once.
 */
#ifndef PACKGATE_MODBUS_SWITCHES_H
#define PACKGATE_MODBUS_SWITCHES_H

#include "mbap.h"

#include "lines/order.h"
#include "registers/map.h"

/** Reads a checked request of function 5, 6, 15 or 16. Returns 0, or the exception code: 2 when
 * it writes to anything that is neither switch nor setting, 3 when a switch would get another value
 * than 0 or 1, or a setting one that is no number. */
uint8_t switches_read(const struct map_settings *map, const struct mbap_request *request,
                      const uint8_t *frame, struct switches *switches);

#endif
