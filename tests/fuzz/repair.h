// SPDX-License-Identifier: MIT
/*
 * Checksums of all protocols, put right in bytes that a fuzzer has made up: behind a checksum that
 * only one input in 65536 passes, hardly anything would ever be tried.
 */
#ifndef PACKGATE_TESTS_FUZZ_REPAIR_H
#define PACKGATE_TESTS_FUZZ_REPAIR_H

#include "bms/driver.h"

/** Whether there is anything for a driver, by its name. */
bool repair_knows(const char *driver);

/** Makes of what looks like frames of that protocol good ones, as far as possible. Worked out from
 * the sheets, not with the driver's own code. */
void repair(const char *driver, const struct bms_request *request, uint8_t *bytes, size_t size);

#endif
