// SPDX-License-Identifier: MIT
#include "port_list.h"

#include <glob.h>
#include <libserialport.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bms/count.h"

#define LINKS "/dev/serial"

/* Chips of adapters, and devices that have a USB serial port of their own. Ids as in the kernel's
 * drivers and in usb.ids. */
static const struct {
    int vendor_id, product_id; /* 0: any */
    const char *seems;
} adapters[] = {
    // clang-format off
    {0x0403, 0x6001, "FTDI FT232R; cables of Victron (VE.Direct) and many RS485 adapters"},
    {0x0403, 0x6010, "FTDI FT2232, two ports"},
    {0x0403, 0x6011, "FTDI FT4232, four ports"},
    {0x0403, 0x6014, "FTDI FT232H"},
    {0x0403, 0x6015, "FTDI FT231X; cables of Victron (VE.Direct) and RS485 adapters"},
    {0x0403, 0,      "FTDI"},
    {0x1A86, 0x7523, "WCH CH340; cheap RS485 adapters, cables of BMS makers"},
    {0x1A86, 0x5523, "WCH CH341"},
    {0x1A86, 0x55D3, "WCH CH343; RS485 adapters"},
    {0x1A86, 0x55D4, "WCH CH9102"},
    {0x1A86, 0,      "WCH"},
    {0x10C4, 0xEA60, "Silicon Labs CP210x; cables of BMS makers, Zigbee sticks"},
    {0x10C4, 0,      "Silicon Labs"},
    {0x067B, 0x2303, "Prolific PL2303; console cables"},
    {0x067B, 0,      "Prolific"},
    {0x04D8, 0x00DD, "Microchip MCP2221"},
    {0x0483, 0x5740, "STM32 virtual port: a microcontroller, no adapter"},
    {0x2341, 0,      "Arduino: a microcontroller, no adapter"},
    {0x303A, 0,      "Espressif ESP32: a microcontroller, no adapter"},
    {0x2E8A, 0,      "Raspberry Pi Pico: a microcontroller, no adapter"},
    {0x1CF1, 0,      "dresden elektronik, a Zigbee stick: no BMS"},
    {0x0451, 0x16A8, "Texas Instruments CC2531, a Zigbee stick: no BMS"},
    {0x1546, 0,      "u-blox, a GPS receiver: no BMS"},
    // clang-format on
};

const char *port_list_seems(int vendor_id, int product_id)
{
    for (size_t i = 0; i < COUNT(adapters); i++)
        if (adapters[i].vendor_id == vendor_id &&
            (adapters[i].product_id == product_id || adapters[i].product_id == 0))
            return adapters[i].seems;
    return NULL;
}

/* Ports that are not USB adapters, by the names that the kernel's drivers give them. */
static const struct {
    const char *stem, *seems;
} own_ports[] = {
    {"/dev/ttyS", "this machine's own, RS232 on a PC, 3.3 V on the pins of a small board"},
    {"/dev/ttyAMA", "this machine's own, 3.3 V on the pins of the board"},
    {"/dev/ttymxc",
     "this machine's own, 3.3 V on the pins of the board, or behind its RS485 driver"},
    {"/dev/ttyGS", "this machine as another one's USB device: no BMS"},
    {"/dev/rfcomm", "classic Bluetooth, as a serial port"},
};

const char *port_list_seems_by_name(const char *device)
{
    for (size_t i = 0; i < COUNT(own_ports); i++)
        if (strncmp(device, own_ports[i].stem, strlen(own_ports[i].stem)) == 0)
            return own_ports[i].seems;
    return NULL;
}

static void copy_text(char out[PORT_TEXT], const char *text)
{
    snprintf(out, PORT_TEXT, "%s", text ? text : "");
}

void port_list_name(struct port_listed *port, const char *folder)
{
    static const char *const kinds[] = {"by-id", "by-path"};
    char *device = realpath(port->device, NULL);
    glob_t links = {0};
    snprintf(port->name, sizeof port->name, "%s", port->device);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char pattern[PATH_MAX];
        snprintf(pattern, sizeof pattern, "%s/%s/*", folder, kinds[i]);
        glob(pattern, i > 0 ? GLOB_APPEND : 0, NULL, &links);
    }
    bool found = !device;
    for (size_t i = 0; i < links.gl_pathc && !found; i++) {
        char *target = realpath(links.gl_pathv[i], NULL);
        found =
            target && strcmp(target, device) == 0 && strlen(links.gl_pathv[i]) < sizeof port->name;
        if (found)
            strcpy(port->name, links.gl_pathv[i]);
        free(target);
    }
    globfree(&links);
    free(device);
}

unsigned port_list(struct port_listed *out, unsigned room)
{
    struct sp_port **ports;
    unsigned count = 0;
    if (sp_list_ports(&ports) != SP_OK)
        return 0;
    for (unsigned i = 0; ports[i] && count < room; i++) {
        /* A container sees the ports of its host in /sys, but has only the devices that were passed on. */
        if (access(sp_get_port_name(ports[i]), F_OK) != 0)
            continue;
        struct port_listed *port = &out[count++];
        *port = (struct port_listed){0};
        copy_text(port->device, sp_get_port_name(ports[i]));
        if (sp_get_port_transport(ports[i]) == SP_TRANSPORT_USB) {
            sp_get_port_usb_vid_pid(ports[i], &port->vendor_id, &port->product_id);
            copy_text(port->maker, sp_get_port_usb_manufacturer(ports[i]));
            copy_text(port->product, sp_get_port_usb_product(ports[i]));
            copy_text(port->serial, sp_get_port_usb_serial(ports[i]));
            port->seems = port_list_seems(port->vendor_id, port->product_id);
        } else {
            copy_text(port->product, sp_get_port_description(ports[i]));
            port->seems = port_list_seems_by_name(port->device);
        }
        port_list_name(port, LINKS);
    }
    sp_free_port_list(ports);
    return count;
}
