// SPDX-License-Identifier: MIT
/* Sends messages to outlets. */
#include "running.h"
#include "outlet.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define EVENTS (SOURCE_STATE | SOURCE_SWITCHES | SOURCE_ALARMS)

bool tell_send(struct process *process, const struct pipe_message *message)
{
    const bool sent = pipe_send(process->fd, message, -1);
    process->sent += sent;
    process->refused += !sent;
    return sent;
}

static struct pipe_message compose_values(struct process *process, unsigned n, unsigned changes,
                                          double now)
{
    const struct source *source = process->sources[n];
    const struct feed *feed = &process->feeds[n];
    const bool published = changes & SOURCE_PUBLISHED && feed->published > 0;
    struct pipe_message message = {.type = PIPE_VALUES,
                                   .values = {
                                       .pack = n,
                                       .changes = changes,
                                       .sequence = feed->sequence + 1,
                                       .at = now,
                                       /* Values that wait in the pipe, or for room in it, are
                                        * from when they were published, and more of that time may
                                        * follow. */
                                       .wall = published                 ? feed->published
                                               : process->owed_count > 0 ? 0
                                                                         : process->outlets->wall,
                                       .good_until = source->good_until,
                                       .settle_s = source->settle_s,
                                       .status = source->status,
                                       .is_bank = source->status.bank != NULL,
                                       .whole = (changes & ~(unsigned) SOURCE_AGED) != 0,
                                   }};
    struct pipe_values *values = &message.values;
    struct map_status *status = &values->status;
    if (status->driver)
        snprintf(values->driver, sizeof values->driver, "%s", status->driver);
    if (status->driver_title)
        snprintf(values->driver_title, sizeof values->driver_title, "%s", status->driver_title);
    if (status->bank)
        values->bank = *status->bank;
    if (values->whole)
        values->values = *source->values;
    /* Addresses of this process are nobody's business. */
    status->driver = status->driver_title = status->pack_name = NULL;
    status->bank = NULL;
    return message;
}

static bool send_values(struct process *process, unsigned n, unsigned changes, double now)
{
    const struct pipe_message message = compose_values(process, n, changes, now);
    const bool sent = tell_send(process, &message);
    process->feeds[n].sequence += sent;
    return sent;
}

void tell_owe(struct process *process, unsigned n, unsigned changes)
{
    if (!process->feeds[n].owed)
        process->owed_count++;
    process->feeds[n].owed |= changes;
}

static void drop_first_event(struct process *process)
{
    process->first_event = (process->first_event + 1) % EVENTS_MAX;
    process->event_count--;
}

/* If there is no room, the oldest event is dropped: the state that it led to is still sent. */
static void keep_event(struct process *process, const struct pipe_message *message)
{
    if (process->event_count == EVENTS_MAX) {
        drop_first_event(process);
        if (!process->lost_events)
            log_warn("outlet %s: does not read, events are dropped", process->title);
        process->lost_events = true;
    }
    process->events[(process->first_event + process->event_count++) % EVENTS_MAX] = *message;
}

void tell_event(struct process *process, const struct pipe_message *message)
{
    if (process->event_count > 0 || !tell_send(process, message))
        keep_event(process, message);
}

static bool send_events(struct process *process)
{
    while (process->event_count > 0) {
        if (!tell_send(process, &process->events[process->first_event]))
            return false;
        drop_first_event(process);
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
        if (process->feeds[n].owed) {
            if (!send_values(process, n, process->feeds[n].owed, now))
                return;
            process->feeds[n].owed = 0;
            process->owed_count--;
        }
        process->turn = (n + 1) % process->source_count;
    }
}

static void send_or_owe(struct process *process, unsigned n, unsigned changes, double now)
{
    if (changes & SOURCE_PUBLISHED)
        process->feeds[n].published = process->outlets->wall;
    if (process->fd < 0)
        return;
    /* Masters rely on an outlet that lingers, and would never get an answer from a hung one. The
     * kernel knows what it has not read. Other kinds may wait for a disk. */
    int unread = 0;
    if (ioctl(process->fd, TIOCOUTQ, &unread) < 0 || unread == 0)
        process->read_at = now;
    if (process->kind->lingers && now - process->read_at > OUTLET_DEAF_S) {
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
        const struct pipe_message message =
            compose_values(process, n, changes | process->feeds[n].owed, now);
        process->feeds[n].sequence++;
        keep_event(process, &message);
        if (process->feeds[n].owed)
            process->owed_count--;
        process->feeds[n].owed = 0;
    } else {
        if (changes & SOURCE_PUBLISHED)
            process->feeds[n].sequence++;
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
    struct pipe_message message = {.type = PIPE_ORDERED,
                                   .ordered = {.what = report->ordered, .result = report->result}};
    struct pipe_ordered *ordered = &message.ordered;
    snprintf(ordered->from, sizeof ordered->from, "%s", report->from);
    for (struct process *process = outlets->first; process; process = process->next)
        for (ordered->pack = 0; ordered->pack < process->source_count; ordered->pack++)
            if (process->sources[ordered->pack] == source && process->fd >= 0)
                tell_event(process, &message);
}
