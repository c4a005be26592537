// SPDX-License-Identifier: MIT
/*
 * A line on which nobody is asked by us: its device talks by itself, one set of values each second, or it has another
 * master, to whom its packs answer (listener.h). lag.h says how old that may be.
 */
#ifndef PACKGATE_LINES_HEARER_H
#define PACKGATE_LINES_HEARER_H

#include "lines/asker.h"
#include "lag.h"
#include "listener.h"

struct hearer {
    struct wire *wire;
    struct turns *turns;
    const struct asker_events *events;
    void *data;
    struct listener *listener; /* NULL: the device talks */
    struct reply buffer;       /* what it says */
    struct lag lag;
    double *missed_at; /* of each pack: silent by then, it is missed */
    double deaf_until; /* what comes so soon behind the opening is dropped */
    double afresh_at;  /* opened anew for what may be late; NaN: never */
};

/** False: out of memory. */
bool hearer_init(struct hearer *hearer, struct wire *wire, struct turns *turns,
                 const struct asker_events *events, void *data);
void hearer_free(struct hearer *hearer);

void hearer_opened(struct hearer *hearer, bool away, double now);
void hearer_received(struct hearer *hearer, const uint8_t *bytes, size_t size, double now);

/** It is time to look who was not heard for too long; also when a loan is over. */
void hearer_due(struct hearer *hearer, double now);

#endif
