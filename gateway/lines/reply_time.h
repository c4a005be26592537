// SPDX-License-Identifier: MIT
/*
 * How long to wait for a pack's reply: as its protocol or the configuration says, longer where its replies are known to
 * come later (patience.h), shorter where it may well not answer.
 */
#ifndef PACKGATE_LINES_REPLY_TIME_H
#define PACKGATE_LINES_REPLY_TIME_H

#include "turns.h"
#include "wire.h"

/** The usual timeout, in seconds; each protocol on a line has its own. */
double reply_time_usual_s(const struct wire *wire, const struct poller *poller);

/** How long to wait where a reply is expected, in seconds. */
double reply_time_s(const struct wire *wire, const struct poller *poller);

/** The longest reply_time_s of the packs on the line. */
double reply_time_longest_s(const struct wire *wire, const struct turns *turns);

/** How long to wait for the next request of the pack's plan, which may well stay unanswered. */
double reply_time_next_s(const struct wire *wire, const struct turns *turns,
                         const struct poller *poller);

/** Sets facts.late_s. Logs once what to configure where replies come late. */
void reply_time_report(struct wire *wire, const struct turns *turns);

#endif
