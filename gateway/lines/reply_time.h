// SPDX-License-Identifier: MIT
/*
 * How long the reply of a pack is waited for: as its protocol or the configuration says, longer where its replies are
 * known to come later (patience.h), shorter where it may well not answer.
 */
#ifndef PACKGATE_LINES_REPLY_TIME_H
#define PACKGATE_LINES_REPLY_TIME_H

#include "turns.h"
#include "wire.h"

/** What is usual; protocols on one line have their own. */
double reply_time_usual_s(const struct wire *wire, const struct poller *poller);

/** For so long it is waited for, in seconds, where a reply is expected. */
double reply_time_s(const struct wire *wire, const struct poller *poller);

/** The longest of these on the line. */
double reply_time_longest_s(const struct wire *wire, const struct turns *turns);

/** The same for the next request of the pack's plan, which may well stay unanswered. */
double reply_time_next_s(const struct wire *wire, const struct turns *turns,
                         const struct poller *poller);

/** Sets facts.late_s. Logs once what to configure where replies come late. */
void reply_time_report(struct wire *wire, const struct turns *turns);

#endif
