// SPDX-License-Identifier: MIT
/*
 * What a line receives, no faster than a wire could bring it: a far end that sends without end must
 * neither keep the loop busy nor take the time of the other lines. What is too much waits in the
 * kernel, until its sender has to wait.
 */
#ifndef PACKGATE_LINES_INTAKE_H
#define PACKGATE_LINES_INTAKE_H

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
    ev_timer pause; /* behind a full block */
    const struct intake_events *events;
    void *data;
};

void intake_init(struct intake *intake, struct ev_loop *loop, const struct intake_events *events,
                 void *data);

/** Reads from a non-blocking descriptor from now on. Its events come before timers that are due
 * in the same turn of the loop, so that what has arrived in time counts, however late the loop
 * is. */
void intake_start(struct intake *intake, int fd);
void intake_stop(struct intake *intake);

/** Receives at once what has come; of a far end that sends without end only so much. False: it has
 * closed, or an error (errno; 0: closed). */
bool intake_receive(struct intake *intake);

#endif
