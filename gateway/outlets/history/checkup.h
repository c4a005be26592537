// SPDX-License-Identifier: MIT
/*
 * Health from the database: a day that is over is looked at once, and what was found is kept in it;
 * what is to be said of a pack now follows from the days that were.
 */
#ifndef PACKGATE_OUTLETS_HISTORY_CHECKUP_H
#define PACKGATE_OUTLETS_HISTORY_CHECKUP_H

#include "health.h"
#include "query.h"

#define CHECKUP_DAYS 400     /* that are judged */
#define CHECKUP_BACK_DAYS 40 /* of an older history, at the first time */

/** The midnight after a local one, both in UTC seconds. */
int64_t checkup_next(int64_t midnight);

/** The midnight of the first day of a pack that is over and was not looked at yet; 0: there is none.
 * A day is over when anything later was written. What a clock that was wrong has written of the time after `now` (UTC
 * seconds) does not count. */
int64_t checkup_due(struct query *query, const char *pack, int64_t now);

/** Looks at the day from `midnight` on. False: it cannot be read. */
bool checkup_day(struct query *query, const char *pack, int64_t midnight, struct health_day *day);

/** The kept days of a pack that began from `from` to `to` (UTC seconds), the oldest first, at most `most`; how many. */
unsigned checkup_days(struct query *query, const char *pack, int64_t from, int64_t to,
                      struct health_day *days, unsigned most);

/** What is to be said of a pack at a time, the gravest first; how many findings there are. */
unsigned checkup_judge(struct query *query, const char *pack, int64_t now,
                       struct health_finding findings[HEALTH_FINDINGS]);

/** The same for a report, lines as "Health: cell 7 falls …": nothing where there is nothing to be said, or no history. `file` is
 * that of [history]. */
void checkup_report(const char *file, const char *pack, int64_t now, struct text *text);

#endif
