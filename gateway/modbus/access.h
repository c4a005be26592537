// SPDX-License-Identifier: MIT
/*
 * Who may do what: the one function that decides on a request.
 */
#ifndef PACKGATE_MODBUS_ACCESS_H
#define PACKGATE_MODBUS_ACCESS_H

#include "config/allow.h"

/* What a client asks, after framing and checks. */
struct access_request {
    const struct sockaddr *client;
    uint8_t unit;
    uint8_t function;
    uint16_t address, count;
    bool writable; /* the unit is a pack of which the configuration hands something over */
    const struct allow_list *allow_write; /* clients that may write; NULL: none */
};

/** Whether a function sets registers or coils to values, and may do so at all. */
bool access_sets(uint8_t function);

/** The Modbus exception code to answer with, or 0 when the request may go ahead. Everybody who
 * is let in may read. Writing is for the clients of allow_write, to units that are writable,
 * with the functions that set a value. */
uint8_t access_decide(const struct access_request *request);

#endif
