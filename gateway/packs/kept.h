// SPDX-License-Identifier: MIT
/*
 * What is kept over a restart, for each pack by its name: energy counters and the day's highest
 * state of charge, and what `protocol = auto` has found; the gateway's id, and what outlets want to
 * find again. The file is INI text with a checksum at
 * its end. It is replaced as a whole, so that a power cut leaves the old one or the new one; a
 * damaged one is set aside, and nothing that goes wrong with it stops the gateway.
 */
#ifndef PACKGATE_PACKS_KEPT_H
#define PACKGATE_PACKS_KEPT_H

#include "config/config.h"

#include <sys/types.h>
#include <time.h>

struct kept_entry {
    char name[NAME_SIZE];
    double charged_wh, discharged_wh;
    int peak_percent;           /* below 0: none yet */
    int peak_hour, peak_minute; /* local time at which it was reached first */
    int peak_day;               /* yyyymmdd */
    char protocol[NAME_SIZE];   /* what answered to `protocol = auto`; empty: nothing yet */
    int address, baud;          /* as it was found */
    int variant;                /* the same, counted as in version 0.1.0 */
    int cells, sensors;         /* that it had last; 0: not known */
    int gone_day; /* yyyymmdd, since then nothing of that name is configured; 0: it is */
    bool used;    /* by the configuration taken up last */
    struct kept_entry *next;
};

/* A line that an outlet keeps for itself. */
#define KEPT_KEY_SIZE 64
#define KEPT_TEXT_SIZE 120
#define KEPT_ID_SIZE 9
struct kept_note {
    char outlet[2 * NAME_SIZE]; /* "mqtt home" */
    char key[KEPT_KEY_SIZE];
    char text[KEPT_TEXT_SIZE];
    struct kept_note *next;
};

struct kept;

/** Reads the file, which is locked (PATH.lock) until kept_free. A missing one, a damaged one (renamed to PATH.bad, or
 * PATH.bad.2 and so on) and an empty path give an empty one. So does a file that another gateway has locked, which is
 * then never written either: an error in the log says so, as it does at once when nothing can be written there. A missing
 * folder is made. NULL: out of memory. The caller frees it with kept_free. */
struct kept *kept_load(const char *path);
/** The same to look only, beside a running gateway: nothing is locked, a damaged file stays. */
struct kept *kept_look(const char *path);
void kept_free(struct kept *kept);

/** A configuration is taken up, before kept_get for its packs and banks, while what refers to those of the one before is
 * still there. Entries that have no pack or bank any more are kept for three years, the latest 500 of them; the log says
 * what that means for counters when something was renamed. `local` is the local time. */
void kept_take_up(struct kept *kept, const struct config *config, const struct tm *local);

/** The entry of a pack, made if there is none; NULL: out of memory. It stays where it is while the configuration has the
 * name. */
struct kept_entry *kept_get(struct kept *kept, const char *name);

/** Eight hex digits that tell this gateway from all others: drawn once and kept, in the file and in its lock, so that renaming
 * the host changes nothing for those who know it by them, nor does a while with version 0.1.0, which does not write them. With an empty path they are derived from
 * the machine id, so that they stay the same all the same. */
const char *kept_id(const struct kept *kept);

/** Keeps a line for an outlet in place of the one with the same key; an empty text takes it away.
 * Key and text are one line each, without ; # = [ ] " and blanks at their ends; others are not kept, nor
 * is what would make the file too large. */
void kept_set_note(struct kept *kept, const char *outlet, const char *key, const char *text);

/** The first note of an outlet, or of any (NULL), if `at` is NULL; and the one after `at`; NULL: no more. */
const struct kept_note *kept_next_note(const struct kept *kept, const char *outlet,
                                       const struct kept_note *at);

/** Whether the file is written here, and not by another gateway that runs. */
bool kept_is_ours(const struct kept *kept);

/** What is kept of a pack goes on under another name: counters, notes of outlets, and for those that
 * have told others of it, under which name they know it. What was counted under the new name already
 * is added. False: there is nothing under the old one. */
bool kept_rename(struct kept *kept, const char *before, const char *after);

/* The note of an outlet under which name others know a pack: "as.NAME". */
#define KEPT_KNOWN_AS "as."

/* The note of an outlet that others have been sent something under a former name of a pack: "left.NAME". */
#define KEPT_LEFT "left."

/** Writes the file if anything has changed. -1 with errno: it could not be written and is still the
 * old one; the first failure and the recovery are logged. Waits for the disk. An empty path:
 * nothing to do. */
int kept_save(struct kept *kept, const char *path);

/** The same without waiting: a child process writes the file. Returns its pid, whose exit status
 * goes to kept_save_finish; 0: there is nothing to write; -1 with errno. One at a time. */
pid_t kept_save_start(struct kept *kept, const char *path);
void kept_save_finish(struct kept *kept, const char *path, int status);

/** Instead of that: the child was killed, nobody knows what it had written. */
void kept_save_cancel(struct kept *kept);

/** Takes a state of charge (NaN: not known) into the day's highest one, compared in whole percent.
 * A new day of `local`, which is the local time now, starts anew. A clock that was never set
 * (before 2020) is not believed. */
void soc_peak_update(struct kept_entry *entry, double soc_percent, const struct tm *local);

/** The highest state of charge of the day that `local` lies in; its percent is below 0 when there
 * is none. */
struct map_soc_peak soc_peak_today(const struct kept_entry *entry, const struct tm *local);

#endif
