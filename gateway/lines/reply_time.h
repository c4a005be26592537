// SPDX-License-Identifier: MIT
/*
 * How long to wait for a pack's reply: the timeout of the protocol or the configuration, longer
 * if its replies are known to be late (patience.h), shorter if it will probably not answer.
 */
#pragma once

#include "turns.h"
#include "wire.h"

/** The usual timeout, in seconds; each protocol on a line has its own. */
double reply_time_usual_s(const struct wire *wire, const struct poller *poller);

/** How long to wait where a reply is expected, in seconds. */
double reply_time_s(const struct wire *wire, const struct poller *poller);

/** The longest reply_time_s of the packs on the line. */
double reply_time_longest_s(const struct wire *wire, const struct turns *turns);

/** How long to wait for the next request of the pack's plan if it will probably stay unanswered. */
double reply_time_next_s(const struct wire *wire, const struct turns *turns,
                         const struct poller *poller);

/** Sets facts.late_s. Logs once what to configure if replies are late. */
void reply_time_report(struct wire *wire, const struct turns *turns);
