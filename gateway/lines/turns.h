// SPDX-License-Identifier: MIT
/* The packs on one line: which one is next, and what is logged about them. */
#pragma once

#include "poller.h"

/* While others wait, silent packs get 1/(n + 1) of the time, and one of n attempts gets its full
 * timeout. */
#define SILENT_SHARE 4

struct member {
    struct poller *poller;
    bool noisy;              /* noise was received after a request, since its last good answer */
    char remark[BMS_REMARK]; /* of its driver, as logged last */
    double silent_since;     /* as logged; NaN: not logged */
    double missing_since;    /* first request in vain on this connection; NaN: none */
};

struct turns {
    struct member *list;
    unsigned count;
    bool listens;       /* another master polls them */
    double silent_from; /* until then, silent packs wait while one that answers is due */
};

/** The pollers stay with the caller. False: out of memory. */
bool turns_init(struct turns *turns, struct poller *const *pollers, unsigned count);
void turns_close(struct turns *turns);

/** The pack whose cycle is under way, otherwise the one that is due first. Silent packs must not
 * starve one that answers: while it is due, they get only their share of the time. */
struct member *turns_next(const struct turns *turns, double now);

/** NULL: none of them. */
struct member *turns_find(const struct turns *turns, const struct poller *poller);

/** Requests since then stayed unanswered: charges that time to the share of silent packs. */
void turns_charge(struct turns *turns, double since, double now);

/** Whether to postpone requests that this pack may leave unanswered: another one waits for its
 * first turn, or one that answers is due and the share of silent packs is used up. */
bool turns_wait(const struct turns *turns, const struct poller *poller, double now);

/** A pack has answered after the line was silent: polls the other silent ones at once, because the
 * line may have been away. */
void turns_wake(struct turns *turns, const struct poller *poller, double now);

/** A pack has its first values. Packs on a line are mostly of one make: others whose form of
 * requests is not known yet get the same form first. */
void turns_tell_way(struct turns *turns, const struct poller *poller, double now);

/** After a cycle: estimates pace.expected_s, a round of the line, by what the cycles of its packs take. Silent packs do not
 * count. */
void turns_expect(struct turns *turns);

/** A pack's cycle ended without an answer. */
void turns_note_miss(struct member *member);

/** Logs one warning for all packs of the line that have become silent, once each has been missed for half of its
 * stale_after. `started_at`: of the line. */
void turns_report_silence(struct turns *turns, const char *line, double started_at, double now);

/** Logs that a pack answers again, and a new remark of its driver. */
void member_report_values(struct member *member, const char *line, double now);
