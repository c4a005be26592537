// SPDX-License-Identifier: MIT
/*
 * Checksums of all protocols, put right in bytes that a fuzzer has made up: behind a checksum that
 * only one input in 65536 passes, hardly anything would ever be tried.
 */
#ifndef PACKGATE_TESTS_FUZZ_REPAIR_H
#define PACKGATE_TESTS_FUZZ_REPAIR_H

#include "bms/driver.h"

/** Finds the form of a protocol's checksum: the one by which damaged replies of its board become frames again. False:
 * it has none, or one that is not in repair.c, so that `repair` changes nothing. */
bool repair_learn(const struct bms_driver *driver, const struct bms_driver *board_driver,
                  const struct modbus_user *map);

/** Makes of what looks like frames of that protocol good ones, as far as possible. Worked out from
 * the sheets, not with the driver's own code. */
void repair(const struct bms_request *request, uint8_t *bytes, size_t size);

#endif
