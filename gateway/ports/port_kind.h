// SPDX-License-Identifier: MIT
/*
 * What each kind of port implements; only port.c and port_*.c see it.
 */
#pragma once

#include "port.h"

struct port_kind {
    const char *prefix; /* "tcp://" */
    struct port_traits traits;
    size_t size; /* of the struct that begins with its port; the rest is its own state */
    /* Fills in that state. False: there is no such address. May be NULL, as destroy and close. */
    bool (*create)(struct port *port, const struct port_simulated *simulated);
    void (*destroy)(struct port *port); /* after close; does not free the port */
    void (*open)(struct port *port);    /* ends with port_opened or port_failed, now or later */
    void (*close)(struct port *port);   /* whether it is open or opening */
};

struct port {
    const struct port_kind *kind;
    struct ev_loop *loop;
    const char *address; /* behind the prefix */
    struct port_settings settings;
    struct port_events events;
    void *data;
    ev_timer start; /* opens from the loop, so that events never come from within port_open */
    bool active;    /* opening or open */
    int fd, far;    /* closed with the port; far: our end of a pair; -1: none, or its kind's own */
    int signal_dbm; /* set by its kind, as it was last; 0: not known, or a wire */
    char text[PORT_SIZE];
};

/* What `open` ends with; `data` is the port. */
void port_opened(void *data, int fd);
void port_failed(void *data, const char *why);

/** Makes a pair of sockets for a port whose bytes are made here: `fd` for the line, and `far`. False: the port has
 * failed. */
bool port_make_pair(struct port *port);

/** Closes `far`: the line sees the end of the connection. */
void port_end_pair(struct port *port);

extern const struct port_kind port_serial_kind;
extern const struct port_kind port_tcp_kind;
extern const struct port_kind port_sim_kind;
extern const struct port_kind port_ble_kind;
extern const struct port_kind port_adverts_kind; /* instead of the other one for what advertises */
