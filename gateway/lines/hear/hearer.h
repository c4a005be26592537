// SPDX-License-Identifier: MIT
/*
 * A line on which nobody is asked by us: its device talks by itself (talk.h), or it has another master, to whom its
 * packs answer (listener.h). What comes behind a silence may be as old as the silence was long.
 */
#ifndef PACKGATE_LINES_HEARER_H
#define PACKGATE_LINES_HEARER_H

#include "lines/asker.h"
#include "listener.h"
#include "talk.h"

struct hearer {
    struct wire *wire;
    struct turns *turns;
    const struct asker_events *events;
    void *data;
    bool any_age;              /* of a search: what speaks there counts, however old it is */
    struct listener *listener; /* NULL: the device talks */
    struct talk talk;
    struct reply buffer;
    double *missed_at; /* of each pack: silent by then, it is missed */
    double heard_at;   /* the last byte, or the opening */
    double lag_s;      /* what the listener hears may be so old */
    double afresh_at;  /* opened anew for what may be late; NaN: never */
    bool afresh_helped;
    struct {
        double usual_s, last_s, ended_at;
    } pause; /* between the master's rounds */
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
