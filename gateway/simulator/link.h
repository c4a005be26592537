// SPDX-License-Identifier: MIT
/*
 * One connection to a simulated bus: receives bytes, and sends bytes at a given time and pace.
 * Knows no protocol.
 */
#pragma once

#include "options.h"

#include <ev.h>

struct simulator_link_events {
    void (*heard)(void *data, const uint8_t *bytes, size_t size);
    void (*quiet)(void *data);  /* no bytes were received for a while */
    void (*closed)(void *data); /* the owner frees the link, now or later */
};

struct simulator_link;

/** Takes over the descriptor (non-blocking), even if it fails: a socket, which ends when the peer closes it or does not read, or the
 * master of a pty, which never ends; what is not read there is lost, as on a serial line. NULL: out of memory. `options` must outlive
 * it. */
struct simulator_link *simulator_link_new(struct ev_loop *loop, int fd,
                                          const struct simulator_options *options, uint64_t seed,
                                          const struct simulator_link_events *events, void *data);
void simulator_link_free(struct simulator_link *link);

/** Sends bytes (at most SIMULATOR_SAY_MAX) after a delay; a shorter delay overtakes a longer one.
 * If too much is waiting already, the bytes are lost. Never calls an event from within. */
#define SIMULATOR_SAY_MAX 4608
void simulator_link_say(struct simulator_link *link, const uint8_t *bytes, size_t size,
                        double delay_s);

/** Opens a pseudo terminal that replaces a serial port, raw, without echo: clients open, close and reopen its slave, whose path
 * is written. Returns the non-blocking master; -1 with errno. */
#define PTY_NAME 64
int pty_open(char name[PTY_NAME]);
