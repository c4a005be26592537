// SPDX-License-Identifier: MIT
/* Writes to a pack: who may write, and what is written. Coils 0 and 1, or the registers of the MOS
 * states, are switches; a setting is written with both registers of its float at once. */
#pragma once

#include "mbap.h"

#include "config/allow.h"

#include "bms/switching.h"
#include "registers/map.h"

/** Whether a function sets registers or coils to values, and is allowed to. */
bool access_sets(uint8_t function);

/** Returns the Modbus exception code, or 0 if a request may proceed. Every accepted client may read.
 * Clients in allow_write may write to writable units (packs with switches or settings), with the
 * functions that set a value. `client` is NULL for the master of a serial line, which has no
 * address: it may write if there is such a list (NULL: there is none). */
uint8_t access_decide(const struct sockaddr *client, uint8_t function, bool writable,
                      const struct allow_list *allow_write);

/** Reads a checked request of function 5, 6, 15 or 16. Returns 0, or the exception code: 2 if it
 * writes to anything that is neither switch nor setting, 3 if a switch would get a value other
 * than 0 or 1, or a setting a value that is no number. */
uint8_t switches_read(const struct map_settings *map, const struct mbap_request *request,
                      const uint8_t *frame, struct switches *switches);

/** The exception code for the result of an order; 0: executed, or in progress. */
uint8_t switches_exception(enum order_result result);
