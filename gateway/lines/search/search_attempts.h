// SPDX-License-Identifier: MIT
/*
 * What a search on a port of which nothing is known tries, and in which order: the guesses of all
 * drivers.
 */
#ifndef PACKGATE_LINES_SEARCH_ATTEMPTS_H
#define PACKGATE_LINES_SEARCH_ATTEMPTS_H

#include "lines/poller.h"

/* Short of the usual: most answer within 150 ms, and there is much to try. */
#define ATTEMPT_REPLY_MS 200
#define ATTEMPT_GAP_MS 20
#define ATTEMPT_SILENT_GAP_MS                                                                      \
    5                        /* until a first byte comes: the wait for a reply was silence enough */
#define ATTEMPT_SWEEP_MS 150 /* the same where all addresses are gone through */
#define ATTEMPT_FAST_MS                                                                            \
    150 /* and on a fast wire: there all begin within 100 ms, as their sheets have it */
#define ATTEMPT_FAST_BAUD 57600
#define ATTEMPT_LISTEN_S 1.4 /* for a device that talks unasked, once a second */

#define ATTEMPT_AIR_BAUD 115200 /* so to speak, behind a Bluetooth module */

/* One address and variant of one protocol at one rate. */
struct attempt {
    const struct bms_driver *driver;
    struct bms_guess guess;
    unsigned polls; /* at least 1 */
    unsigned baud;
    const char *framing;
    unsigned order; /* in the list of drivers */
    uint8_t way;    /* in which its like have answered (bms->way); 0: none has */
};

/* Addresses that are gone through of every protocol, and of one that was answered: what switches on
 * boards and numbering by a master can give. */
#define SWEEP_LAST 17
#define SWEEP_NEAR_LAST 33
#define SWEEP_MOST 64 /* addresses of one protocol */

/** Lists the attempts on the port of `wanted`, of which a baud rate and framing that are set are
 * kept to; a Bluetooth device with a key is heard and not asked. Returns how many there are; without `out`, how many there can be. */
size_t search_attempts_list(const struct line_config *wanted, struct attempt *out);

/** Lists all addresses of one protocol up to `last`, and those that its packs are often found at; its
 * only one where it has none. Settings and way are those of `like`, with `polls` each. Returns how
 * many, at most SWEEP_MOST. */
size_t search_attempts_sweep(const struct attempt *like, int last, unsigned polls,
                             struct attempt *out);

/** Whether the port is a Bluetooth module: what is not met there is not tried. */
bool search_attempts_on_air(const struct line_config *wanted);

/** The first attempt of a search for this driver. */
struct attempt search_attempts_usual(const struct line_config *wanted,
                                     const struct bms_driver *driver);

/** Whether two attempts ask for their vital values in the same words: the address is not in them, and
 * who answers the one answers the other. */
bool search_attempts_same(const struct attempt *a, const struct attempt *b);

/** Puts attempts into the order in which they are tried: by rate where that can be chosen, then by
 * driver. */
void search_attempts_sort(const struct line_config *wanted, struct attempt *list, size_t count);

/** How long a reply to it is waited for when nothing is known yet. */
unsigned search_attempts_reply_ms(const struct line_config *wanted, const struct attempt *attempt);

/** How long one takes when nobody answers, about, with so long a wait for each reply. */
double search_attempts_seconds(const struct attempt *attempt, unsigned reply_ms);

/** Leaves a new poller the steps that lead to the first vital values: what may wake a pack up
 * goes before them, all else can wait. */
void search_attempts_shorten(struct poller *poller);

/** Whether any of the vital values have been there. */
bool search_attempts_answered(const struct poller *poller);

/** Whether two attempts can share an open port, one after the other. */
bool search_attempts_alike(const struct attempt *a, const struct attempt *b);

#endif
