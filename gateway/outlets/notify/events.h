// SPDX-License-Identifier: MIT
/*
 * Detects events of one pack that are worth a message: alarms, silence and thresholds. Each must
 * last for `hold` before it is reported, is repeated after `repeat` at the earliest, and its end is
 * reported when it has been over for `hold`; shorter pauses belong to it. Pure: time is an argument.
 */
#pragma once

#include "message.h"

#include "packs/alarms.h"

#define WATCH_STALE PACK_ALARM_COUNT /* behind the alarms */
#define WATCH_SOC (PACK_ALARM_COUNT + 1)
#define WATCH_CELLS (PACK_ALARM_COUNT + 2)
#define WATCHES (PACK_ALARM_COUNT + 3)

struct watch {
    int level;        /* now; 0: it is not so */
    double since[3];  /* clock: since when it is 0, at least 1, at least 2 */
    double was_at[3]; /* clock: when it was at least 1, at least 2 the last time; NaN: never */
    double began;     /* Unix seconds; NaN: unknown */
    double ended;     /* the same */
    int told;         /* level that was reported; 0: none, or its end was reported */
    int last;         /* the same, but kept when the end is reported */
    double told_at;   /* clock: of `last`; NaN: never */
    int32_t bms;      /* which had it last, as in struct alarms */
};

struct events {
    struct watch watches[WATCHES];
    struct alarms alarms; /* as read last */
    bool below_full;      /* it can only become full after it was below */
    double full_since;    /* clock */
    int full_day;         /* yyyymmdd on which it was reported */
    bool fresh;           /* as seen last */
    bool seen;            /* there were fresh values in this process */
    double offset;        /* of the time of day to the clock; NaN: unknown yet */
};

/* A pack at this moment. */
struct seen {
    bool fresh;
    bool silent; /* it is stale for long enough to be reported */
    const struct pack *values;
    int32_t bms; /* of struct map_status */
};

void events_init(struct events *events);

/** Checks the state, and returns the number of events to report. `now` is the clock, `time` Unix
 * seconds, `day` the local day as yyyymmdd. The watch of "full" is WATCHES. */
unsigned events_look(struct events *events, const struct notify_config *config,
                     const struct seen *seen, double now, double time, int day,
                     struct happening out[WATCHES + 1]);

/** The name of a watch for notes: "soc_low", "stale", "soc_below", "cell_delta", "full". */
const char *events_watch_name(unsigned watch);

/** Writes a watch as a line, and reads it back, so that a restart does not repeat a report. False:
 * the line is malformed or outdated (it ended longer than `repeat` ago). */
bool events_note(const struct watch *watch, double now, double time, double repeat_s, char *out,
                 size_t size);
bool events_take_note(struct events *events, unsigned number, const char *text, double now,
                      double time);
