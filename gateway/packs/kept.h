// SPDX-License-Identifier: MIT
/*
 * What is kept over a restart, for each pack by its name: energy counters and the day's highest
 * state of charge, and what `protocol = auto` has found. The file is INI text with a checksum at
 * its end. It is replaced as a whole, so that a power cut leaves the old one or the new one; a
 * damaged one is set aside, and nothing that goes wrong with it stops the gateway.
 */
#ifndef PACKGATE_PACKS_KEPT_H
#define PACKGATE_PACKS_KEPT_H

#include "config/config.h"

#include <sys/types.h>
#include <time.h>

struct state_entry {
    char name[NAME_SIZE];
    double charged_wh, discharged_wh;
    int peak_percent;           /* below 0: none yet */
    int peak_hour, peak_minute; /* local time at which it was reached first */
    int peak_day;               /* yyyymmdd */
    char protocol[NAME_SIZE];   /* what answered to `protocol = auto`; empty: nothing yet */
    int address, variant, baud; /* as it was found */
    struct state_entry *next;
};

struct state;

/** Reads the file. A missing one, a damaged one (renamed to PATH.bad) and an empty path give an
 * empty state; NULL: out of memory. The caller frees it with state_free. */
struct state *state_load(const char *path);
void state_free(struct state *state);

/** The entry of a pack, made if there is none; NULL: out of memory. It stays where it is as long as
 * the state. Entries of packs that the configuration no longer has are kept in the file. */
struct state_entry *state_get(struct state *state, const char *name);

/** Writes the file if anything has changed. -1 with errno: it could not be written and is still the
 * old one; the first failure and the recovery are logged. Waits for the disk. An empty path:
 * nothing to do. */
int state_save(struct state *state, const char *path);

/** The same without waiting: a child process writes the file. Returns its pid, whose exit status
 * goes to state_save_finish; 0: there is nothing to write; -1 with errno. One at a time. */
pid_t state_save_start(struct state *state, const char *path);
void state_save_finish(struct state *state, const char *path, int status);

/** Instead of that: the child was killed, nobody knows what it had written. */
void state_save_cancel(struct state *state);

/** Takes a state of charge (NaN: not known) into the day's highest one, compared in whole percent.
 * A new day of `local`, which is the local time now, starts anew. A clock that was never set
 * (before 2020) is not believed. */
void soc_peak_update(struct state_entry *entry, double soc_percent, const struct tm *local);

/** The highest state of charge of the day that `local` lies in; its percent is below 0 when there
 * is none. */
struct map_soc_peak soc_peak_today(const struct state_entry *entry, const struct tm *local);

#endif
