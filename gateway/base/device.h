// SPDX-License-Identifier: MIT
/*
 * Looks whether a serial port of this host can do what a configuration wants of it, before anybody
 * waits for a battery. A port that another program holds is left alone.
 */
#ifndef PACKGATE_BASE_DEVICE_H
#define PACKGATE_BASE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

/** Whether `path` can be opened, takes `baud` (0: not asked) and, with `rs485`, drives RTS around
 * each transmission by itself; what was set before is put back. False with the reason in `why`. A
 * port in use counts as good. */
bool device_check(const char *path, unsigned baud, bool rs485, char *why, size_t size);

/** Whether a rate is near enough to the wanted one for bytes to arrive whole. */
bool device_rate_fits(unsigned wanted, unsigned got);

#endif
