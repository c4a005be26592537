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

struct members {
    struct member *list;
    unsigned count;
    double silent_after; /* a silent pack goes before one that is due then only */
};

/** The pollers stay with the caller. False: out of memory. */
bool members_init(struct members *members, struct poller *const *pollers, unsigned count);
void members_close(struct members *members);

/** The pack whose cycle is under way, else the one that is or will be due first. Many that are
 * silent must not starve one that answers: before it, they have only their share of the time. */
struct member *members_next(const struct members *members, double now);

/** NULL: none of them. */
struct member *members_find(const struct members *members, const struct poller *poller);

/** A cycle came to nothing, which took a part of the line's time. */
void members_charge(struct members *members, const struct member *member, double now);

/** One warning when a pack has become silent, of a line with this name that was started then. */
void member_report_silence(struct member *member, const char *line, double started_at, double now);

/** What changes with values: it answers again, or its driver has something to say. */
void member_report_values(struct member *member, const char *line, double now);

#endif
