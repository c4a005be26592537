// SPDX-License-Identifier: MIT
/* Sends messages to outlets. */
#include "tell.h"
#include "outlet.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define EVENTS (SOURCE_STATE | SOURCE_SWITCHES | SOURCE_ALARMS)

bool tell_send(struct process *process, const uint8_t *bytes, size_t size)
{
    if (send(process->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        process->refused++;
        return false;
    }
    process->sent++;
    return true;
}

/* Values that wait in the pipe, or for room in it, are from when they were published, and more of
 * that time may follow. */
static double wall_of(const struct process *process, unsigned n, unsigned changes)
{
    if (changes & SOURCE_PUBLISHED && process->published[n] > 0)
        return process->published[n];
    return process->owed_count > 0 ? 0 : process->outlets->wall;
}

static size_t compose_values(struct process *process, unsigned n, unsigned changes, double now,
                             uint8_t bytes[PIPE_SMALL_MAX])
{
    const struct source *source = process->sources[n];
    struct pipe_values values = {
        .pack = n,
        .changes = changes,
        .sequence = process->sequences[n] + 1,
        .at = now,
        .wall = wall_of(process, n, changes),
        .good_until = source->good_until,
        .settle_s = source->settle_s,
        .status = source->status,
        .whole = (changes & ~(unsigned) SOURCE_AGED) != 0,
    };
    if (source->status.driver)
        snprintf(values.driver, sizeof values.driver, "%s", source->status.driver);
    if (source->status.driver_title)
        snprintf(values.driver_title, sizeof values.driver_title, "%s",
                 source->status.driver_title);
    if (source->status.bank)
        values.bank = *source->status.bank;
    if (values.whole)
        values.values = *source->values;
    struct pipe_message message = pipe_new(PIPE_VALUES, bytes, PIPE_SMALL_MAX);
    pipe_values(&message, &values);
    return pipe_finish(&message);
}

static bool send_values(struct process *process, unsigned n, unsigned changes, double now)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    size_t size = compose_values(process, n, changes, now, bytes);
    if (!tell_send(process, bytes, size))
        return false;
    process->sequences[n]++;
    return true;
}

void tell_owe(struct process *process, unsigned n, unsigned changes)
{
    if (!process->owed[n])
        process->owed_count++;
    process->owed[n] |= changes;
}

/* If there is no room, the oldest event is dropped: the state that it led to is still sent. */
static void keep_event(struct process *process, const uint8_t *bytes, size_t size)
{
    if (process->event_count == EVENTS_MAX) {
        process->first_event = (process->first_event + 1) % EVENTS_MAX;
        process->event_count--;
        if (!process->lost_events)
            log_warn("outlet %s: does not read, events are dropped", process->title);
        process->lost_events = true;
    }
    struct event *event =
        &process->events[(process->first_event + process->event_count++) % EVENTS_MAX];
    event->size = size;
    memcpy(event->bytes, bytes, size);
}

void tell_event(struct process *process, const uint8_t *bytes, size_t size)
{
    if (process->event_count > 0 || !tell_send(process, bytes, size))
        keep_event(process, bytes, size);
}

static bool send_events(struct process *process)
{
    while (process->event_count > 0) {
        const struct event *event = &process->events[process->first_event];
        if (!tell_send(process, event->bytes, event->size))
            return false;
        process->first_event = (process->first_event + 1) % EVENTS_MAX;
        process->event_count--;
    }
    process->lost_events = false;
    return true;
}

/* Sends owed packs, beginning with the one at which the pipe was full the last time. */
static void send_owed(struct process *process, double now)
{
    if (process->fd < 0 || !send_events(process))
        return;
    for (unsigned i = 0; i < process->source_count && process->owed_count > 0; i++) {
        unsigned n = process->turn;
        if (process->owed[n]) {
            if (!send_values(process, n, process->owed[n], now))
                return;
            process->owed[n] = 0;
            process->owed_count--;
        }
        process->turn = (n + 1) % process->source_count;
    }
}

/* Masters rely on an outlet that lingers, and would never get an answer from a hung one. The kernel
 * knows what it has not read. Other kinds may wait for a disk. */
static bool is_hung(struct process *process, double now)
{
    int unread = 0;
    if (ioctl(process->fd, TIOCOUTQ, &unread) < 0 || unread == 0)
        process->read_at = now;
    return process->kind->lingers && now - process->read_at > OUTLET_DEAF_S;
}

static void send_or_owe(struct process *process, unsigned n, unsigned changes, double now)
{
    if (changes & SOURCE_PUBLISHED)
        process->published[n] = process->outlets->wall;
    if (process->fd < 0)
        return;
    if (is_hung(process, now)) {
        log_error("outlet %s: has read nothing for %.0f s; killing and restarting it",
                  process->title, OUTLET_DEAF_S);
        process->read_at = now;
        kill(process->pid, SIGKILL);
        return;
    }
    if (process->owed_count > 0 || process->event_count > 0)
        send_owed(process, now);
    bool waits = process->owed_count > 0 || process->event_count > 0;
    if (!waits && send_values(process, n, changes, now))
        return;
    if (changes & EVENTS) {
        uint8_t bytes[PIPE_SMALL_MAX];
        size_t size = compose_values(process, n, changes | process->owed[n], now, bytes);
        process->sequences[n]++;
        keep_event(process, bytes, size);
        if (process->owed[n])
            process->owed_count--;
        process->owed[n] = 0;
    } else {
        if (changes & SOURCE_PUBLISHED)
            process->sequences[n]++;
        tell_owe(process, n, changes);
    }
}

void tell_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct outlets *outlets = data;
    outlets->wall = clock_wall();
    for (struct process *process = outlets->first; process; process = process->next)
        for (unsigned n = 0; n < process->source_count; n++)
            if (process->sources[n] == source)
                send_or_owe(process, n, changes, now);
}

void tell_ordered(void *data, const struct source *source, const struct order_report *report)
{
    if (report->ordered.sets) /* an order for a setting is visible by its value */
        return;
    struct outlets *outlets = data;
    struct pipe_ordered ordered = {.what = report->ordered, .result = report->result};
    snprintf(ordered.from, sizeof ordered.from, "%s", report->from);
    for (struct process *process = outlets->first; process; process = process->next)
        for (unsigned n = 0; n < process->source_count; n++) {
            if (process->sources[n] != source || process->fd < 0)
                continue;
            uint8_t bytes[PIPE_SMALL_MAX];
            struct pipe_message message = pipe_new(PIPE_ORDERED, bytes, sizeof bytes);
            ordered.pack = n;
            pipe_ordered(&message, &ordered);
            size_t size = pipe_finish(&message);
            tell_event(process, bytes, size);
        }
}
