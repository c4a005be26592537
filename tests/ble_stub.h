// SPDX-License-Identifier: MIT
/* A stand-in for BlueZ on the bus: records the calls of a port, and sends the port what a test wants BlueZ to report.
 * The source file of the port is included after this file; the clock is test-controlled. */
#pragma once

#include "turned_clock.h"

#include "ports/ble/bluez.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define STUB_CALLS 64

/* the calls in order: "Connect /path" */
static struct stub_call {
    struct bluez *bluez;
    char text[200];
    bluez_reply *reply;   /* NULL: nothing awaits the reply */
    bluez_listed *listed; /* of a list, in its place */
    double at;
    unsigned char bytes[64];
    size_t size;
} stub_calls[STUB_CALLS];
static unsigned stub_count, stub_looked;
static bool stub_no_bus;

static struct stub_call *stub_note(struct bluez *bluez, const char *what, const char *path,
                                   bluez_reply *reply)
{
    assert_in_range(stub_count, 0, STUB_CALLS - 1);
    struct stub_call *call = &stub_calls[stub_count++];
    *call = (struct stub_call){.bluez = bluez, .reply = reply, .at = turned_clock_at};
    snprintf(call->text, sizeof call->text, "%s %s", what, path);
    return call;
}

void bluez_init(struct bluez *bluez, struct ev_loop *loop, const char *adapter,
                const struct bluez_events *events, void *data)
{
    *bluez = (struct bluez){.loop = loop, .events = events, .data = data};
    snprintf(bluez->wanted, sizeof bluez->wanted, "%s", adapter);
}

bool bluez_open(struct bluez *bluez)
{
    bluez->bus = stub_no_bus ? NULL : (sd_bus *) bluez; /* not closed */
    return !stub_no_bus;
}

void bluez_close(struct bluez *bluez)
{
    if (bluez->bus)
        stub_note(bluez, "close", "", NULL);
    bluez->bus = NULL;
    bluez->why[0] = bluez->adapter[0] = '\0';
    bluez->chosen = bluez->powered = false;
}

void bluez_list(struct bluez *bluez, bluez_listed *listed)
{
    stub_note(bluez, "list", "", NULL)->listed = listed;
}

void bluez_watch(struct bluez *bluez, const char *path, bool below)
{
}

void bluez_call(struct bluez *bluez, const char *path, const char *interface, const char *method,
                double patience_s, bluez_reply *reply)
{
    stub_note(bluez, method, path, reply);
}

void bluez_discover(struct bluez *bluez, bluez_reply *reply)
{
    stub_note(bluez, "scan", bluez->adapter, reply);
}

void bluez_stop_discovering(struct bluez *bluez, bluez_reply *reply)
{
    stub_note(bluez, "stop", "", reply);
}

void bluez_ping(struct bluez *bluez, bluez_reply *reply)
{
    stub_note(bluez, "ping", "", reply);
}

void bluez_write(struct bluez *bluez, const char *path, bool command, const void *bytes,
                 size_t size, bluez_reply *reply)
{
    struct stub_call *call = stub_note(bluez, command ? "command" : "request", path, reply);
    assert_in_range(size, 1, sizeof call->bytes);
    memcpy(call->bytes, bytes, size);
    call->size = size;
}

void bluez_disconnect(struct bluez *bluez, const char *device)
{
    stub_note(bluez, "Disconnect", device, NULL);
}

bool bluez_claim(struct bluez *bluez, const char *device)
{
    return true;
}

void bluez_remove(struct bluez *bluez, const char *device)
{
    stub_note(bluez, "RemoveDevice", device, NULL);
}

static void stub_begin(void)
{
    stub_count = stub_looked = 0;
    stub_no_bus = false;
}

/* Checks that the next call is this one. Timers run until it is made. */
static __attribute__((unused)) struct stub_call *stub_await(struct ev_loop *loop, const char *text)
{
    for (int more = 1; stub_looked == stub_count; more = ev_run(loop, EVRUN_ONCE))
        assert_true(more);
    struct stub_call *call = &stub_calls[stub_looked++];
    assert_string_equal(call->text, text);
    return call;
}

static void stub_answer(struct stub_call *call, const char *error, const char *text)
{
    const struct bluez_error told = {.name = error, .text = text ? text : error};
    if (call->listed)
        bluez_end_list(call->bluez, error ? &told : NULL, call->listed);
    else
        call->reply(call->bluez->data, error ? &told : NULL);
    call->bluez->events->settled(call->bluez->data);
}

static void stub_tell(struct bluez *bluez, const struct bluez_object *object)
{
    bluez_report(bluez, object);
    bluez->events->settled(bluez->data);
}

/* Properties that BlueZ has not reported yet. */
#define STUB_UNTOLD .connected = -1, .resolved = -1, .powered = -1, .paired = -1, .trusted = -1
