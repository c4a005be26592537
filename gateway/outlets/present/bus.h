// SPDX-License-Identifier: MIT
/*
 * The port of a [present] section, for any protocol: a serial port with one master, a TCP port with
 * several, or a CAN interface, whose frames are converted to lines of SLCAN. A lost port is opened
 * again. Replies are sent at once or not at all.
 */
#pragma once

#include "config/outlet_config.h"

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

struct bus;
struct bus_link; /* a master */

struct bus_events {
    /** Bytes were received; `bytes` are all that were not handled yet. Returns how many are now. On
     * a serial port called again with `quiet` after the silence that ends a frame. */
    size_t (*heard)(void *data, struct bus_link *link, const uint8_t *bytes, size_t size,
                    bool quiet, double now);
    /** A master can be reached. May be NULL. */
    void (*opened)(void *data, struct bus_link *link);
    /** A CAN frame that was sent has left the interface: the bus works. May be NULL. */
    void (*confirmed)(void *data, struct bus *bus, double now);
    /** It is no longer reachable. May be NULL. */
    void (*gone)(void *data, const struct bus_link *link);
};

/** Opens the port of a section, and keeps trying, as long as the process lives. `title` is for the
 * log: "present deye". All pointers must outlive it. NULL: there is no timer for it. */
struct bus *bus_new(struct ev_loop *loop, const struct present_config *config, const char *title,
                    const struct bus_events *events, void *data);

bool bus_is_open(const struct bus *bus);

/** Sends a reply without waiting. Bytes that the port does not accept at once are dropped; a TCP
 * client that does not read is disconnected. */
void bus_send(struct bus_link *link, const uint8_t *bytes, size_t size);

/** The same to all masters. False: there is none. */
bool bus_send_all(struct bus *bus, const uint8_t *bytes, size_t size);

/** Whether `confirmed` is called: CAN frames wait in the interface while the bus does not work. */
bool bus_confirms(const struct bus *bus);

/** Drops what waits in a serial port, because its adapter does not accept it. */
void bus_drop_unsent(struct bus *bus);

/** Whether other devices may answer there: true for serial ports and CAN interfaces; a TCP client
 * has a connection of its own. */
bool bus_is_shared(const struct bus_link *link);

/** The address of a TCP client; NULL: none. */
const struct sockaddr *bus_client(const struct bus_link *link);
