// SPDX-License-Identifier: MIT
/*
 * What a search on a port of which nothing is known tries, and in which order: the guesses of all
 * drivers.
 */
#ifndef PACKGATE_LINES_SEARCH_ATTEMPTS_H
#define PACKGATE_LINES_SEARCH_ATTEMPTS_H

#include "poller.h"

/* Short of the usual: most answer within 150 ms, and there is much to try. */
#define ATTEMPT_REPLY_MS 200
#define ATTEMPT_GAP_MS 20
#define ATTEMPT_LISTEN_S 1.4 /* for a device that talks unasked, once a second */

/* One address and variant of one protocol at one rate. */
struct attempt {
    const struct bms_driver *driver;
    struct bms_guess guess;
    unsigned polls; /* at least 1 */
    unsigned baud;
    const char *framing;
    unsigned order; /* in the list of drivers */
};

/** Lists the attempts on the port of `wanted`, of which a baud rate and framing that are set are
 * kept to. Returns how many there are; without `out`, how many there can be. */
size_t search_attempts_list(const struct line_config *wanted, struct attempt *out);

/** Leaves a new poller the steps that lead to the first vital values: what may wake a pack up
 * goes before them, all else can wait. */
void search_attempts_shorten(struct poller *poller);

/** Whether any of the vital values have been there. */
bool search_attempts_answered(const struct poller *poller);

/** Whether two attempts can share an open port, one after the other. */
bool search_attempts_alike(const struct attempt *a, const struct attempt *b);

#endif
