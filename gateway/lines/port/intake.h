// SPDX-License-Identifier: MIT
/*
 * Receives the bytes of a line, no faster than a wire could deliver them: a far end that sends
 * endlessly must neither keep the loop busy nor take the time of other lines. Further bytes wait in
 * the kernel, which makes their sender wait.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intake_events {
    void (*received)(void *data, const uint8_t *bytes, size_t size);
    void (*ended)(void *data, const char *why); /* closed by the far end, or an error */
};

/* Embedded in its line. */
struct intake {
    struct ev_loop *loop;
    int fd; /* -1: stopped */
    ev_io readable;
    ev_timer pause; /* after a full block */
    const struct intake_events *events;
    void *data;
};

void intake_init(struct intake *intake, struct ev_loop *loop, const struct intake_events *events,
                 void *data);

/** Reads from a non-blocking descriptor from now on. Its events are called before timers that are
 * due in the same turn of the loop, so that bytes that arrived in time count, however late the loop
 * is. */
void intake_start(struct intake *intake, int fd);
void intake_stop(struct intake *intake);

/** Receives pending bytes at once, up to a limit. False: the far end has closed, or an error
 * (errno; 0: closed). */
bool intake_receive(struct intake *intake);
