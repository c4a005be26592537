// SPDX-License-Identifier: MIT
/*
 * A bus of emulated BMS behind a file descriptor: the far end of a `sim:` port, a pty or a TCP
 * connection (`packgate simulate`). The drivers emulate the protocols, a battery model
 * (bms/battery.h) changes the values.
 */
#pragma once

#include "bms/driver.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct simulator;

/** Checks the options after "sim:", such as "cells=16,capacity=280,soc=55,profile=cycle,@2:soc=40".
 * False: `error` says why. */
bool simulator_check(const char *options, char *error, size_t error_size);

/** Creates a bus with `count` BMS (drivers and options from `bms`), all with the same options
 * except for the seed and those of their address; simulator_check accepts them. */
struct simulator *simulator_new(struct ev_loop *loop, const struct bms *bms, unsigned count,
                                const char *options);
void simulator_free(struct simulator *simulator);

/** Serves one more connection to the bus. Takes over the non-blocking descriptor: a socket, which it closes when the peer closes its
 * end or does not read, or the master of a pty (pty_open), which stays open. False: too many connections (16) or out of memory; it
 * is closed as well. */
bool simulator_attach(struct simulator *simulator, int fd);

/** What the n-th BMS of the bus (from 0) reports now. */
const struct pack *simulator_pack(const struct simulator *simulator, unsigned n);
