// SPDX-License-Identifier: MIT
/*
 * Translates a Modbus write for a pack: coils 0 and 1, or the registers of the MOS states, are
 * switches; a setting is written with both registers of its float at once.
 */
#pragma once

#include "mbap.h"

#include "bms/switching.h"
#include "registers/map.h"

/** Reads a checked request of function 5, 6, 15 or 16. Returns 0, or the exception code: 2 if it
 * writes to anything that is neither switch nor setting, 3 if a switch would get a value other
 * than 0 or 1, or a setting a value that is no number. */
uint8_t switches_read(const struct map_settings *map, const struct mbap_request *request,
                      const uint8_t *frame, struct switches *switches);

/** The exception code that reports the result of an order to its client; 0: executed, or in
 * progress. */
uint8_t switches_exception(enum order_result result);
