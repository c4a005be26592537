// SPDX-License-Identifier: MIT
/*
 * The packs on one line: whose turn it is, and what the log says of them.
 */
#ifndef PACKGATE_LINES_TURNS_H
#define PACKGATE_LINES_TURNS_H

#include "poller.h"

struct member {
    struct poller *poller;
    bool heard; /* noise came when it was asked, since its last good answer */
    bool reported_silent;
    char remark[BMS_REMARK]; /* of its driver, as it was said last */
    double silent_since;
};

struct turns {
    struct member *list;
    unsigned count;
    double silent_after; /* a silent pack goes before one that is due then only */
};

/** The pollers stay with the caller. False: out of memory. */
bool turns_init(struct turns *turns, struct poller *const *pollers, unsigned count);
void turns_close(struct turns *turns);

/** The pack whose cycle is under way, else the one that is or will be due first. Many that are
 * silent must not starve one that answers: before it, they have only their share of the time. */
struct member *turns_next(const struct turns *turns, double now);

/** NULL: none of them. */
struct member *turns_find(const struct turns *turns, const struct poller *poller);

/** A cycle came to nothing, which took a part of the line's time. */
void turns_charge(struct turns *turns, const struct member *member, double now);

/** One warning when a pack has become silent, of a line with this name that was started then. */
void member_report_silence(struct member *member, const char *line, double started_at, double now);

/** What changes with values: it answers again, or its driver has something to say. */
void member_report_values(struct member *member, const char *line, double now);

#endif
