// SPDX-License-Identifier: MIT
/*
 * CAN on the port of a [present] section: sends all frames of a dialect's table each second, without being asked. On a serial
 * port and by TCP frames are lines of SLCAN.
 *
 * Frames wait in the interface while no device on the bus acknowledges them, and no program can take them back: limits
 * would be sent long after they were true. So the name of the battery goes first, which never changes. Each of the others
 * follows, with the values of that moment, once the one before has left the interface, whose queue has room for few.
 */
#include "present.h"

#include "base/alloc.h"
#include "base/slcan.h"
#include "bms/inverter/can.h"

#include <stdio.h>
#include <string.h>

_Static_assert(CAN_PERIOD_S == 1.0, "the period of the timer in present.c");

struct canbus {
    struct present *present;
    const struct table *table;
    unsigned next;              /* place of the message that is sent next */
    struct shown sending, told; /* decoded from the frames of this set, and of the last whole one */
};

static bool has_message(const struct table *table, unsigned id)
{
    for (unsigned i = 0; i < table->message_count; i++)
        if (table->messages[i].message == id)
            return true;
    return false;
}

/* False: nothing in it is known. */
static bool send_message(struct canbus *canbus, struct bus *bus, unsigned id,
                         const struct shown *shown)
{
    uint8_t message[TABLE_MESSAGE_MAX], line[SLCAN_LINE];
    const unsigned size = table_write(canbus->table, id, shown, message);
    struct can_message frame = {.id = (uint16_t) id, .size = (uint8_t) size};
    if (size == 0 || size > sizeof frame.data)
        return false;
    memcpy(frame.data, message, size);
    if (bus_send_all(bus, line, slcan_write(&frame, line)))
        table_read(canbus->table, id, message, size, &canbus->sending);
    return true;
}

static void send_next(void *self, struct bus *bus, double now)
{
    struct canbus *canbus = self;
    const struct table *table = canbus->table;
    struct shown shown;
    bool sent = false;
    if (canbus->next >= table->message_count ||
        !present_answers(canbus->present, canbus->present->pack, now))
        return;
    present_fill_shown(canbus->present, &shown, now);
    while (!sent && canbus->next < table->message_count) {
        const unsigned id = table->messages[canbus->next++].message;
        sent = id != CAN_BATTERY_NAME && send_message(canbus, bus, id, &shown);
    }
    if (canbus->next == table->message_count)
        canbus->told = canbus->sending;
}

static void second(void *self, struct bus *bus, double now)
{
    struct canbus *canbus = self;
    struct shown shown;
    if (!present_answers(canbus->present, canbus->present->pack, now))
        return;
    present_fill_shown(canbus->present, &shown, now);
    bus_drop_unsent(bus);
    canbus->next = 0;
    pack_clear(&canbus->sending.values);
    send_message(canbus, bus, CAN_BATTERY_NAME, &shown);
    while (!bus_confirms(bus) && canbus->next < canbus->table->message_count)
        send_next(canbus, bus, now);
}

static size_t heard(void *self, struct bus_link *link, const uint8_t *bytes, size_t size,
                    bool quiet, double now)
{
    struct canbus *canbus = self;
    struct can_message frame;
    size_t over = 0;
    for (size_t n; (n = slcan_read(bytes + over, size - over, &frame)) > 0; over += n) {
        char what[32];
        /* For the status only: a battery sends whether an inverter is present or not. */
        if (frame.size <= 8 && (frame.id == CAN_INVERTER_ALIVE || frame.id == CAN_INVERTER_NAME) &&
            present_speaks(canbus->present, canbus->present->pack, now))
            present_answered(canbus->present, link, "", present_limits(&canbus->told.values), now);
        if (frame.size > 8 || !bus_is_shared(link) || !has_message(canbus->table, frame.id))
            continue;
        snprintf(what, sizeof what, "frame %03X", frame.id);
        present_note_duplicate(canbus->present, what, now);
    }
    return over;
}

/* Initializes an SLCAN adapter; a program at the other end of a stream ignores it. */
static void opened(void *self, struct bus_link *link)
{
    if (bus_is_shared(link))
        bus_send(link, (const uint8_t *) SLCAN_OPEN, strlen(SLCAN_OPEN));
}

static void *start_canbus(struct present *present, double now)
{
    struct canbus *canbus = alloc_zeroed(1, sizeof *canbus);
    canbus->present = present;
    canbus->table = can_table_find(present->config->protocol);
    shown_clear(&canbus->sending);
    pack_clear(&canbus->sending.values);
    canbus->told = canbus->sending;
    return canbus;
}

const struct speaker can_speaker = {
    .start = start_canbus,
    .events = {.heard = heard, .opened = opened, .confirmed = send_next},
    .second = second,
};
