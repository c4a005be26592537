// SPDX-License-Identifier: MIT
/*
 * The registers of a view, [view NAME]: chosen one by one, at the addresses that another program
 * expects. They are computed at the first request after values have arrived or turned stale, each
 * with whether it can be read: further requests only check the clock and these states.
 */
#pragma once

#include "mbap.h"

#include "config/config.h"
#include "packs/source.h"

struct view {
    const struct view_config *config;
    uint16_t *registers;     /* by address; they stay where they are */
    unsigned size;           /* how many */
    uint8_t *states;         /* the state of each register */
    struct view_item *items; /* in the order of the configuration */
    double started_at;
    double now;    /* the moment that is shown */
    double second; /* the second of the gateway's counter that is shown */
    double until;  /* nothing changes before; an update sets it to -infinity */
    bool ticks;    /* an item changes each second without new values */
};

/** Keeps `config` and the sources. `started_at`: when the gateway's counter of seconds was 0. */
struct view *view_new(const struct view_config *config, source_find *find, const void *data,
                      double started_at, double now);
void view_free(struct view *view);

/** To be called after a pack or a bank has changed. */
void view_update(struct view *view);

/** To be called before each request is answered: brings the registers up to date. */
void view_judge(struct view *view, double now);

/** Whether a request can be answered, after view_judge: 0 or an exception code. 1: it reads bits,
 * 2: no such register, or it writes, 0x0B: stale or unknown, if the configuration wants that. */
uint8_t view_check(const struct view *view, const struct mbap_request *request);
