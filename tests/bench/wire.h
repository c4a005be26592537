// SPDX-License-Identifier: MIT
/*
 * BMS behind a serial line, kept to the time that each byte takes: a process of its own serves a
 * driver's emulator on a TCP port. Requests are heard once their last byte would have passed, the
 * answer follows after a delay and arrives as its bytes would. It counts what it did and the least
 * time that this takes.
 */
#pragma once

#include "bms/driver.h"

#include <sys/types.h>

/* Shared with the process; they change only while it has a request to answer. */
struct wire_counters {
    unsigned requests;
    unsigned bytes; /* both ways */
    double
        least_s; /* time of both directions and the delays between them; for a talker, its period */
};

struct cable {
    const struct bms_driver *driver;
    unsigned
        packs; /* 1: at the default address of the driver; more: at the addresses from that on */
    unsigned baud;
    double delay_s; /* from a request's last byte to the answer's first */
    unsigned port;
    pid_t pid;
    struct wire_counters *counters;
};

#define WIRE_PACKS_MAX 16

/** Starts it with driver, packs, baud and delay_s as they are set; the other members follow. */
void cable_start(struct cable *wire);

/** Ends the process. */
void cable_stop(struct cable *wire);

/* * An idle pack of 16 cells whose values do not change. */
void cable_pack(struct pack *pack);

/* * The address of the n-th pack (from 0) of `packs` on a line; -1: the default of the driver. */
int cable_address(const struct bms_driver *driver, unsigned packs, unsigned n);
