// SPDX-License-Identifier: MIT
/* Corrects the checksums in bytes of a fuzzer: otherwise only one input in 65536 would get past a checksum. */
#pragma once

#include "bms/driver.h"

/* * Finds the form of a protocol's checksum: the one with which damaged replies of its board become valid frames.
 * False: there is none in repair.c, so `repair` changes nothing. */
bool repair_learn(const struct bms_driver *driver, const struct bms_driver *board_driver,
                  const struct modbus_user *map);

/* * Corrects the checksums of everything that looks like a frame of that protocol. Implemented from the sheets, not
 * with the driver's code. */
void repair(const struct bms_request *request, uint8_t *bytes, size_t size);
