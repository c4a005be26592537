// SPDX-License-Identifier: MIT
/*
 * The connection to packs or to a master: a serial port, a TCP serial server, a Bluetooth module
 * or a simulated bus. A port is opened without blocking and is then a descriptor to read and write,
 * independent of the protocol.
 */
#pragma once

#include "config/config.h"

#include <ev.h>

/* The settings of a serial port; other kinds ignore them. */
struct port_settings {
    unsigned baud;
    char framing[4]; /* "8N1" */
    enum rts_mode rts;
    bool listen;              /* opened for reading only, if its kind can */
    bool advertises;          /* with ble: receives advertisements, without a connection */
    char key_file[PORT_SIZE]; /* the key of encrypted advertisements */
};

/* What a simulated port emulates. */
struct port_simulated {
    const struct bms *bms;
    unsigned count;
};

/* Called back once for each port_open, never from within it. */
struct port_events {
    void (*opened)(void *data, int fd); /* non-blocking; it stays the port's */
    void (*failed)(void *data, const char *why);
};

/* What its kind means for polling. */
struct port_traits {
    bool forgets; /* a reply in flight is lost when the port is reopened, as with TCP, where each
                              * connection has its own bytes. A serial port receives it. */
    bool stores;  /* what packs say while it is not open may come first when it is, as from some
                              * serial servers */
    bool prompt;  /* bytes are never delayed: a lost radio packet does not arrive later */
    unsigned least_reply_ms; /* least reply timeout; 0: the protocol's */
};

struct port;

/** A port for "serial:…", "tcp://…", "ble:…" or "sim:…"; the text and `simulated` are copied. NULL: there
 * is no such kind or address (the configuration has checked it before). */
struct port *port_new(struct ev_loop *loop, const char *address,
                      const struct port_settings *settings, const struct port_simulated *simulated,
                      const struct port_events *events, void *data);
void port_free(struct port *port);

/** Starts to open; one of the events follows. */
void port_open(struct port *port);

const struct port_traits *port_traits(const struct port *port);

/** Signal of its device in dBm; 0: not known, or a wire. */
int port_signal_dbm(const struct port *port);

/** Closes it, or stops opening it. */
void port_close(struct port *port);
