// SPDX-License-Identifier: MIT
/* The daily report: the counts of a day, when it is due, and its text for a pack. Pure. */
#pragma once

#include "message.h"

#include "base/text.h"

/* The counts of a pack's day so far. */
struct tally {
    int day;                          /* yyyymmdd; 0: nothing yet */
    double since;                     /* Unix seconds: midnight, or when it began to be counted */
    double charged_wh, discharged_wh; /* the gateway's counters at `since`; NaN: unknown */
    double silent_s;                  /* without fresh values */
    uint32_t alarms;                  /* alarms that were active at some time */
};

/** Counts a moment of the day `day`; `elapsed_s` since the previous one. `time` in Unix seconds. */
void tally_look(struct tally *tally, const struct source *source, bool fresh, int day,
                double elapsed_s, double time);

/** Writes the tally as a line, and reads it back. False: the line is malformed. */
void tally_note(const struct tally *tally, char *out, size_t size);
bool tally_take_note(struct tally *tally, const char *text);

/** Writes the report of a pack or a bank. `time` is now. */
void report_pack(struct text *text, const struct source *source, const struct tally *tally,
                 bool fresh, double time);

/** "sunset", "07:30": the n-th time of a section. */
void report_name(const struct notify_reports *reports, unsigned n, char *out, size_t size);

/** Unix seconds at which the n-th of them is due on the local day of `time`; NaN: at no fixed time.
 * If the sun does not rise or set on that day, noon. */
double report_due(const struct notify_config *config, unsigned n, double time);

/** "Sunrise 07:32, sunset 16:45." Nothing if the location is unknown. */
void report_sun(struct text *text, const struct notify_config *config, double time);
