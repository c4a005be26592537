// SPDX-License-Identifier: MIT
/* The attempts of a search on an unknown port, and their order: the guesses of all drivers. */
#pragma once

#include "lines/poller.h"

/* Shorter than usual: most answer within 150 ms, and there are many attempts. */
#define ATTEMPT_REPLY_MS 200
#define ATTEMPT_GAP_MS 20
/* Until the first byte arrives: the wait for a reply was silence enough. */
#define ATTEMPT_SILENT_GAP_MS 5
#define ATTEMPT_SWEEP_MS 150 /* the same when all addresses are tried */
#define ATTEMPT_FAST_MS 150  /* and on a fast wire, where all begin within 100 ms by their sheets */
#define ATTEMPT_FAST_BAUD 57600
#define ATTEMPT_LISTEN_S 1.4 /* for a device that sends by itself, once a second */

#define ATTEMPT_AIR_BAUD 115200 /* stands for the rate behind a Bluetooth module */

/* One address and variant of one protocol at one rate. */
struct attempt {
    const struct bms_driver *driver;
    struct bms_guess guess;
    unsigned polls; /* at least 1 */
    unsigned baud;
    const char *framing;
    unsigned order; /* in the list of drivers */
    uint8_t way;    /* form of requests that similar packs have answered (bms->way); 0: none */
};

/* The addresses to try of every protocol, and of one that has answered: those that switches on
 * boards, or numbering by a master, can set. */
#define SWEEP_LAST 17
#define SWEEP_NEAR_LAST 33
#define SWEEP_MOST 64 /* addresses of one protocol */

/** Lists the attempts on the port of `wanted`, at its baud rate and framing if these are set; to a
 * Bluetooth device with a key they only listen. Returns their number; without `out`, at most. */
size_t search_attempts_list(const struct line_config *wanted, struct attempt *out);

/** Lists all addresses of the protocol of `like` up to `last` and its other usual ones, or one if it
 * has none, with its settings and way and `polls` each. Returns how many, up to SWEEP_MOST. */
size_t search_attempts_sweep(const struct attempt *like, int last, unsigned polls,
                             struct attempt *out);

/** Whether the port is a Bluetooth module: only protocols of such modules are tried there. */
bool search_attempts_on_air(const struct line_config *wanted);

/** The first attempt of a search for this driver. */
struct attempt search_attempts_usual(const struct line_config *wanted,
                                     const struct bms_driver *driver);

/** Sorts attempts: by rate if that can be chosen, then by driver. */
void search_attempts_sort(const struct line_config *wanted, struct attempt *list, size_t count);

/** Reply timeout while nothing is known yet. */
unsigned search_attempts_reply_ms(const struct line_config *wanted, const struct attempt *attempt);

/** Limits a new poller to its first vital values, and to what may wake the pack before them. */
void search_attempts_shorten(struct poller *poller);

/** Whether any of the vital values were received. */
bool search_attempts_answered(const struct poller *poller);
