// SPDX-License-Identifier: MIT
/*
 * A line: one port with one or more packs on it. packgate polls the packs (asker.h), unless the
 * device sends by itself or another master polls (hearer.h). Between two exchanges the line can be
 * lent (lender.h). wire.h opens its port.
 */
#pragma once

#include "loan.h"
#include "order.h"
#include "turns.h"

struct line;

/** For pollers that outlive it. The driver of the first one gives the usual settings. */
struct line *line_new(struct ev_loop *loop, const struct line_config *config,
                      struct poller **pollers, unsigned count, const struct line_events *events,
                      void *data);
void line_free(struct line *line);

/** Before its start: answers to what an earlier line has asked through the same port are not taken for its own. */
void line_follow(struct line *line, const struct line *old);

/** Opens the port and polls from then on; reopens a lost port. Does nothing if the line runs. */
void line_start(struct line *line);

/** Takes the same settings from a new configuration. */
void line_rebind(struct line *line, const struct line_config *config);

/** Puts an order into the queue of its pack's line; it is carried out before the next poll and
 * its `done` follows. False: the line is down. */
bool line_order(struct line *line, struct order *order);

/** Puts a loan into the queue (loan.h): `done` follows, never from within. False: the line is down,
 * or its device sends by itself and the loan has no open end. */
bool line_lend(struct line *line, struct loan *loan);

/** Sends bytes of a loan with an open end that has its turn. False: it has not, or they do not fit. */
bool line_pass(struct line *line, const struct loan *loan, const uint8_t *bytes, size_t size);

/** Ends a loan, or takes it out of the queue; `done` does not follow. */
void line_take_back(struct line *line, struct loan *loan);

void line_watch(struct line *line, struct line_tap *tap);
void line_unwatch(struct line *line, struct line_tap *tap);

/** False for NULL, the line of a pack that is still to be found. */
bool line_is_open(const struct line *line);

struct line_facts line_facts(const struct line *line);

/** The protocol of its first pack. */
const char *line_protocol(const struct line *line);
