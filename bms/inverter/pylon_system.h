// SPDX-License-Identifier: MIT
/*
 * Pylontech RS485, the replies of a stack of batteries as a whole: 61H measured values, 62H alarms,
 * 63H limits; and 4FH and 96H, versions. Follows the sheet `inverter-rs485`. All other commands
 * address a single battery (topbms, variant pylontech).
 */
#pragma once

#include "table.h"

#include "bms/driver.h"

#define PYLON_SYSTEM_ANALOG 0x61
#define PYLON_SYSTEM_ALARMS 0x62
#define PYLON_SYSTEM_LIMITS 0x63

#define PYLON_SYSTEM_ADDRESS 2 /* of the first battery of a stack */

extern const struct table pylon_system_table;

/** Whether a battery of this driver and variant also answers for a stack. */
bool pylon_system_answers(const struct bms_driver *driver, int variant);

/** Answers a request to the stack at this address (ADR). Returns the number of handled bytes; 0: a
 * request may need more, or this is another request. `out` is the reply; size 0: none. `told` gets
 * the values in it. */
size_t pylon_system_answer(uint8_t address, const struct shown *shown, const uint8_t *bytes,
                           size_t size, struct bms_output *out, struct shown *told);

/** Some hosts send requests for a single battery with two bytes of INFO, the second of which is
 * meaningless: writes the same request with one byte, or without INFO if the command has none.
 * Returns the size of the original; 0: it is no such request. */
size_t pylon_system_shorten(const uint8_t *bytes, size_t size, struct bms_request *request);

/** Writes a request. */
void pylon_system_ask(uint8_t address, uint8_t command, struct bms_request *request);

/** Decodes the reply to a command. False: it is none, or an error. */
bool pylon_system_read(uint8_t address, uint8_t command, const uint8_t *frame, size_t size,
                       struct shown *shown);
