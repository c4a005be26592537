// SPDX-License-Identifier: MIT
/*
 * The packs on one line: whose turn it is, and what the log says of them.
 */
#ifndef PACKGATE_LINES_TURNS_H
#define PACKGATE_LINES_TURNS_H

#include "poller.h"

/* While others wait, so many times as much is for them as for silent packs, and one attempt in so many has all its time. */
#define SILENT_SHARE 4

struct member {
    struct poller *poller;
    bool noisy;              /* noise came when it was asked, since its last good answer */
    char remark[BMS_REMARK]; /* of its driver, as it was said last */
    double silent_since;     /* as it was reported; NaN: it was not */
    double missing_since;    /* asked in vain, on this connection; NaN: not so */
};

struct turns {
    struct member *list;
    unsigned count;
    bool listens;       /* somebody else asks them */
    double silent_from; /* before, silent packs wait while one that answers is due */
};

/** The pollers stay with the caller. False: out of memory. */
bool turns_init(struct turns *turns, struct poller *const *pollers, unsigned count);
void turns_close(struct turns *turns);

/** The pack whose cycle is under way, else the one that is or will be due first. Many that are
 * silent must not starve one that answers: before it, they have only their share of the time. */
struct member *turns_next(const struct turns *turns, double now);

/** NULL: none of them. */
struct member *turns_find(const struct turns *turns, const struct poller *poller);

/** What was asked since then came to nothing, which took a part of the line's time. */
void turns_charge(struct turns *turns, double since, double now);

/** Whether others wait while this pack is asked what may come to nothing: before all have had their
 * first turn, and while one that answers is due, that has only its share of the time, too. */
bool turns_wait(const struct turns *turns, const struct poller *poller, double now);

/** A pack has answered, or (NULL) something came on a silent line: those that were silent with it are asked at once, as it may have been the
 * line that was away. */
void turns_wake(struct turns *turns, const struct poller *poller, double now);

/** A pack has told its first values. Packs on one line are mostly of one make: those of which nobody knows yet how they are
 * asked are asked in the same way first. */
void turns_tell_way(struct turns *turns, const struct poller *poller, double now);

/** A pack's cycle is over: from what cycles take, tells those that have not asked all yet how long a round of the line will be.
 * Those that are silent do not count. */
void turns_expect(struct turns *turns);

/** A pack's cycle ended without an answer. */
void turns_note_miss(struct member *member);

/** One warning when packs have become silent, all that are so far, of a line with this name that was started then: when each
 * was missed for half as long as its values may get old. */
void turns_report_silence(struct turns *turns, const char *line, double started_at, double now);

/** What changes with values: it answers again, or its driver has something to say. */
void member_report_values(struct member *member, const char *line, double now);

#endif
