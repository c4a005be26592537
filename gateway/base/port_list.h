// SPDX-License-Identifier: MIT
/*
 * The serial ports that this host has: the name to put into a configuration, which stays the same when
 * an adapter is plugged in elsewhere or the host starts anew, and what the adapter says of itself.
 */
#ifndef PACKGATE_BASE_PORT_LIST_H
#define PACKGATE_BASE_PORT_LIST_H

#define PORT_TEXT 128
#define PORT_NAME 256

/* One port; texts are empty where nothing is known. */
struct port_listed {
    char device[PORT_TEXT]; /* "/dev/ttyUSB0" */
    char name
        [PORT_NAME]; /* "/dev/serial/by-id/…"; by-path where adapters have the same id; else the device */
    char maker[PORT_TEXT], product[PORT_TEXT], serial[PORT_TEXT]; /* as the adapter has them */
    int vendor_id, product_id;                                    /* of USB; 0: it is none */
    const char
        *seems; /* what such adapters are, by their USB ids or the device's name; NULL: not known */
};

/** Lists at most `room` ports; returns how many. */
unsigned port_list(struct port_listed *out, unsigned room);

/** Gives a port with `device` the name of the link in `folder`/by-id that leads to it, of by-path
 * if there is none; of several the one that comes first in the alphabet. Those that libserialport does
 * not know get what is in `folder`. */
void port_list_name(struct port_listed *port, const char *folder);

/** What is known of an adapter by its USB ids; NULL: nothing. */
const char *port_list_seems(int vendor_id, int product_id);

/** The same of a port that is no USB adapter, by its device's name. */
const char *port_list_seems_by_name(const char *device);

#endif
