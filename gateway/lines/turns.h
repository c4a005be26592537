// SPDX-License-Identifier: MIT
/*
 * The packs on one line: which one is next, how long to wait for its reply, and what is logged about
 * them.
 *
 * The time for a reply is the timeout of the protocol or the configuration, longer if the pack's
 * replies are known to be late (patience.h), shorter if it will probably not answer.
 */
#pragma once

#include "poller.h"
#include "wire.h"

/* While others wait, silent packs get 1/(n + 1) of the time; one of n attempts its full one. */
#define SILENT_SHARE 4

struct line_events {
    /** poller->values are new. */
    void (*published)(void *data, struct poller *poller, double now);
    /** A cycle ended without values: silence, or a part is missing. NULL: logged if it lasts. */
    void (*missed)(void *data, struct poller *poller, double now);
    /** The port does not open, or was lost before anything useful came. NULL: it is logged. */
    void (*down)(void *data, const char *why);
    /** Bytes on the line that may be shown (mask.h). May be NULL. */
    mask_show *passed;
};

struct member {
    struct poller *poller;
    bool noisy;              /* noise was received after a request, since its last good answer */
    char remark[BMS_REMARK]; /* of its driver, as logged last */
    double silent_since;     /* as logged; NaN: not logged */
    double missing_since;    /* first cycle in vain on this connection; NaN: none */
    double missed_at;        /* where it is not polled: when it counts as silent */
};

struct turns {
    struct wire *wire;
    struct member *list;
    unsigned count;
    double silent_from; /* until then, silent packs wait while one that answers is due */
    const struct line_events *events;
    void *data; /* for the events */
};

/** The pollers and the wire stay with the caller. */
void turns_init(struct turns *turns, struct wire *wire, struct poller *const *pollers,
                unsigned count);
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

/** A pack has answered after silence: the line was away, maybe: polls other silent ones at once. */
void turns_wake(struct turns *turns, const struct poller *poller, double now);

/** After a cycle: estimates a round of the line, pace.expected_s, by the cycles of its packs that answer. */
void turns_expect(struct turns *turns);

/** The usual time for a reply in seconds; each protocol on a line has its own. */
double turns_usual_s(const struct wire *wire, const struct poller *poller);

/** The time where a reply is expected. */
double turns_reply_s(const struct wire *wire, const struct poller *poller);

/** The time for the next request of the pack's plan, which may well stay unanswered. */
double turns_next_reply_s(const struct turns *turns, const struct poller *poller);

/** Sets facts.late_s. Logs once what to configure if replies are late. */
void turns_report_late(const struct turns *turns);

/** A pack's cycle ended without an answer. Logs a warning once it has been missed for half of its stale_after. */
void turns_missed(struct turns *turns, struct member *member, double now);

/** A pack has new values: logs that it answers again, and a new remark of its driver. After its first values, other
 * packs whose form of requests is not known yet get the same form first: mostly they are of one make. */
void turns_published(struct turns *turns, struct member *member, double now);
