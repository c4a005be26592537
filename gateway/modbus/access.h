// SPDX-License-Identifier: MIT
/*
 * Access control: one function decides on every request.
 */
#pragma once

#include "config/allow.h"

/** Whether a function sets registers or coils to values, and is allowed to. */
bool access_sets(uint8_t function);

/** Returns the Modbus exception code, or 0 if a request may proceed. Every accepted client may read.
 * Clients in allow_write may write to writable units (packs with switches or settings), with the
 * functions that set a value. `client` is NULL for the master of a serial line, which has no
 * address: it may write if there is such a list (NULL: there is none). */
uint8_t access_decide(const struct sockaddr *client, uint8_t function, bool writable,
                      const struct allow_list *allow_write);
