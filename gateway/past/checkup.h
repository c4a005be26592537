// SPDX-License-Identifier: MIT
/*
 * Health from the database: a finished day is examined once, and its figures are stored; findings
 * about a pack are derived from the stored days.
 */
#pragma once

#include "health.h"
#include "query.h"

#define CHECKUP_DAYS 400     /* days that are judged */
#define CHECKUP_BACK_DAYS 40 /* days of an older history that are checked at the first start */

/** The midnight of a pack's first finished day that was not checked yet; 0: none. A day is finished
 * when anything later was written. Rows after `now` (UTC seconds), written while the clock was
 * wrong, do not count. */
int64_t checkup_due(struct query *query, const char *pack, int64_t now);

/** Checks the day from `midnight` on. False: it cannot be read. */
bool checkup_day(struct query *query, const char *pack, int64_t midnight, struct health_day *day);

/** Findings about a pack at a time, the gravest first; returns how many. */
unsigned checkup_judge(struct query *query, const char *pack, int64_t now,
                       struct health_finding findings[HEALTH_FINDINGS]);

/** The same for a report, as lines such as "Health: cell 7 falls …"; nothing if there are no
 * findings or no history. `file` is that of [history]. */
void checkup_report(const char *file, const char *pack, int64_t now, struct text *text);
