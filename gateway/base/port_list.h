// SPDX-License-Identifier: MIT
/*
 * Lists the serial ports of this host: the name to use in a configuration, which stays the same when
 * an adapter is plugged in elsewhere or the host reboots, and what the adapter reports about itself.
 */
#pragma once

#define PORT_TEXT 128
#define PORT_NAME 256

/* One port; unknown texts are empty. */
struct port_listed {
    char device[PORT_TEXT]; /* "/dev/ttyUSB0" */
    char name[PORT_NAME];   /* for a configuration, as port_list_name finds it */
    char maker[PORT_TEXT], product[PORT_TEXT], serial[PORT_TEXT]; /* as the adapter reports them */
    int vendor_id, product_id;                                    /* of USB; 0: not a USB adapter */
    const char *seems; /* kind of adapter, by its USB ids or the device's name; NULL: unknown */
};

/** Lists at most `room` ports; returns their number. */
unsigned port_list(struct port_listed *out, unsigned room);

/** Sets `name` from `device`: to the link in `folder`/by-id that points to the device, else to the
 * one in `folder`/by-path, else to the device itself. Of several links, the alphabetically first is
 * used. */
void port_list_name(struct port_listed *port, const char *folder);

/** Describes an adapter by its USB ids; NULL: unknown. */
const char *port_list_seems(int vendor_id, int product_id);

/** Describes a port that is not a USB adapter, by its device's name; NULL: unknown. */
const char *port_list_seems_by_name(const char *device);
