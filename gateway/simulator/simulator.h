// SPDX-License-Identifier: MIT
/*
 * A bus with emulated BMS on it, behind a file descriptor: the far end of a `sim:` port, of a pty
 * or of a TCP connection
 * (`packgate simulate`). The drivers emulate, a battery model (bms/battery.h) moves the values.
 */
#ifndef PACKGATE_SIMULATOR_SIMULATOR_H
#define PACKGATE_SIMULATOR_SIMULATOR_H

#include "bms/driver.h"

#include <ev.h>
#include <stdio.h>

struct simulator;

/** Checks the options behind "sim:", as "cells=16,capacity=280,soc=55,profile=cycle,@2:soc=40".
 * False: `error` says why. */
bool simulator_check(const char *options, char *error, size_t error_size);

/** One line of help for each option. */
void simulator_print_options(FILE *out);

/** A bus with `count` BMS (driver and options of each are taken from `bms`), all set up by the
 * same options except that each gets its own seed and those of its address. NULL: out of memory,
 * or options that simulator_check refuses. */
struct simulator *simulator_new(struct ev_loop *loop, const struct bms *bms, unsigned count,
                                const char *options);
void simulator_free(struct simulator *simulator);

/** Serves one more connection to the bus; the simulator owns the non-blocking descriptor from here
 * on and closes it: when the peer closes its end or does not read what it is sent. False: too many
 * connections (16) or out of memory; it is closed as well. */
bool simulator_attach(struct simulator *simulator, int fd);

/** The same for the master of a pty (pty_open). It stays, whatever its clients do. */
bool simulator_attach_pty(struct simulator *simulator, int master);

/** What the n-th BMS of the bus (from 0) reports now. */
const struct pack *simulator_pack(const struct simulator *simulator, unsigned n);

#endif
