// SPDX-License-Identifier: MIT
/*
 * Checks whether a serial port of this host supports the configured settings, so that a mistake is
 * reported at once rather than as a silent battery. A port that another program uses is not touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** Whether `path` can be opened, supports `baud` (0: any) and, with `rs485`, has a driver that
 * switches RTS around each transmission. Restores the port's settings. False with the reason in
 * `why`. A port in use counts as good. */
bool device_check(const char *path, unsigned baud, bool rs485, char *why, size_t size);

/** Whether a rate is near enough to the wanted one for bytes to be received correctly. */
bool device_rate_fits(unsigned wanted, unsigned got);
