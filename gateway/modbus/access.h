// SPDX-License-Identifier: MIT
/*
 * Access control: one function decides on every request.
 */
#pragma once

#include "config/allow.h"

/* A client's request, after framing and checks. */
struct access_request {
    const struct sockaddr *client; /* NULL: the master of a serial line has no address */
    uint8_t unit;
    uint8_t function;
    uint16_t address, count;
    bool writable; /* the unit is a pack with switches or settings that may be written */
    const struct allow_list *allow_write; /* clients that may write; NULL: none */
};

/** Whether a function sets registers or coils to values, and is allowed to. */
bool access_sets(uint8_t function);

/** Returns the Modbus exception code, or 0 if the request may proceed. Every accepted client may
 * read. Clients in allow_write may write to writable units, with the functions that set a value;
 * so may clients without an address if there is such a list. */
uint8_t access_decide(const struct access_request *request);
