// SPDX-License-Identifier: MIT
/* What is kept over a restart, in memory (kept.h): entries of packs and banks, and notes of outlets. */
#pragma once

#include "source.h"

#include "config/config.h"

#include <time.h>

struct kept_entry {
    char name[NAME_SIZE];
    double charged_wh, discharged_wh;
    int peak_percent;           /* below 0: none yet */
    int peak_hour, peak_minute; /* local time at which it was first reached */
    int peak_day;               /* yyyymmdd */
    double full_at;             /* time of day at which its cells were full last, in s; 0: never */
    char protocol[NAME_SIZE];   /* found for `protocol = auto`; empty: not found yet */
    int address, baud;          /* found with them */
    int variant;                /* found with it, numbered as in version 0.1.0 */
    int cells, sensors;         /* last known number of cells and sensors; 0: unknown */
    int gone_day;        /* yyyymmdd since when no such pack is configured; 0: it is configured */
    bool used;           /* by the current configuration */
    const char *trouble; /* the last one, only over reloads (source.h) */
    double trouble_at;
    struct kept_entry *next;
};

/* A line that an outlet stores for itself. */
#define KEPT_KEY_SIZE 64
#define KEPT_TEXT_SIZE 192 /* as long as a line of the configuration can be */
#define KEPT_ID_SIZE 9
struct kept_note {
    char outlet[2 * NAME_SIZE]; /* "mqtt home" */
    char key[KEPT_KEY_SIZE];
    char text[KEPT_TEXT_SIZE];
    struct kept_note *next;
};

struct kept {
    struct kept_entry *first;
    struct kept_note *notes;
    unsigned note_count;
    bool look_only; /* the file of a running gateway is only read */
    /* Eight hex digits that identify this gateway: drawn once, kept in the file and its lock. They
     * survive another host name, and version 0.1.0, which does not write them. With an empty path
     * they are derived from the machine id. */
    char id[KEPT_ID_SIZE];
    char *saved;  /* content of the file; NULL: not known */
    char *saving; /* content that a child process is writing; NULL: none */
    bool failing; /* the last attempt to save failed, and that was logged */
    int lock;     /* descriptor of PATH.lock; -1: not locked */
    bool foreign; /* another gateway has locked the file: it is neither read nor written here */
};

/** Switches to a configuration. To be called before kept_get for its packs and banks; pointers to
 * entries of the previous configuration stay valid. Entries that have no pack or bank any more are
 * kept for three years, the latest 500 of them. The log says what a removed or renamed pack means
 * for its counters. `local` is the local time. */
void kept_take_up(struct kept *kept, const struct config *config, const struct tm *local);

/** The entry of a pack, created if there is none. Valid while the configuration has the name. */
struct kept_entry *kept_get(struct kept *kept, const char *name);

/** Stores a line for an outlet in place of the one with the same key; an empty text deletes it. Key
 * and text are one line each, without ; # = [ ] " and without blanks at their ends. Others are
 * ignored, and so is what would make the file too large. */
void kept_set_note(struct kept *kept, const char *outlet, const char *key, const char *text);

/** The note after `at` (NULL: the first one) of an outlet (NULL: of any); NULL: no more. */
const struct kept_note *kept_next_note(const struct kept *kept, const char *outlet,
                                       const struct kept_note *at);

/** Updates the day's highest state of charge (NaN: not known), in whole percent. A new day of
 * `local`, the local time now, resets it. A clock that was never set (before 2020) is ignored. */
void soc_peak_update(struct kept_entry *entry, double soc_percent, const struct tm *local);

/** Whether its cells were last full longer ago than that, or never. False if the clock was never
 * set (before 2020), or if the cells were full in the future: the clock was wrong then, or is now.
 */
bool full_charge_due(const struct kept_entry *entry, double every_s, time_t wall);

/** Records that the cells are full now. A clock that was never set is ignored. */
void full_charge_reached(struct kept_entry *entry, time_t wall);

/** Records what is worse than in the status `before`, and tells the source the last trouble. */
void kept_note_trouble(struct kept_entry *entry, const struct map_status *before,
                       struct source *source, double now);

/** The highest state of charge of the day of `local`; its percent is below 0 if there is none. */
struct map_soc_peak soc_peak_today(const struct kept_entry *entry, const struct tm *local);

/** Whether a text can be the id of a gateway. */
bool kept_text_is_id(const char *text);

/** Composes the content of the file. NULL: out of memory. The caller frees it. */
char *kept_text_compose(const struct kept *kept);

/** Reads the content of a file into an empty state. False: it is damaged, and nothing was read. */
bool kept_text_parse(struct kept *kept, const char *text, size_t size);
