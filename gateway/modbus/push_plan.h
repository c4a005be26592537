// SPDX-License-Identifier: MIT
/*
 * Which registers of a push are due, and what goes into its next request. Pure: push_target.c sends
 * it, and time is an argument.
 *
 * Nothing queues up. What is due is only marked; a request takes its values at the moment in which
 * it is made, those of one source all from one poll cycle. A target that is slow gets fewer writes,
 * never old ones.
 *
 * What the target does not take is tried again after a pause that grows, with the values of then.
 * Which of several registers it is that it does not take, or does not answer, is found out by
 * halves: the others are written without it from then on. What is not answered comes last, as
 * waiting for it holds up all else.
 */
#ifndef PACKGATE_MODBUS_PUSH_PLAN_H
#define PACKGATE_MODBUS_PUSH_PLAN_H

#include "push_encode.h"

#include "config/config.h"
#include "packs/source.h"

#define PUSH_NO_EXCEPTION 0 /* in place of an exception's number: the answer is malformed */

/** Finds a source by its name in the configuration; NULL: there is none. */
typedef const struct source *push_find(const void *data, const char *name);

/* What the target makes of a register. */
enum push_state {
    PUSH_TAKEN,    /* or not tried yet */
    PUSH_PUT_OFF,  /* not now: it is busy, or cannot reach what is behind it */
    PUSH_BARRED,   /* refused by itself */
    PUSH_DOUBTFUL, /* a request with it was not answered although others were */
    PUSH_IGNORED   /* not answered by itself, twice at least */
};

/* One write and what is at the target already. */
struct push_item {
    const struct push_write *write;
    const struct source *source; /* NULL: the gateway itself */
    bool due;
    bool ever_known;
    bool sent;    /* the target has `sent_value`, in the form of `sent_words` */
    bool clipped; /* the value did not fit when it was sent last */
    double sent_value;
    uint16_t sent_words[2];
    enum push_state state;
    uint8_t exception;   /* with which it was put off or barred */
    bool apart;          /* what was written together with the item before was not taken */
    bool apart_by_guess; /* or nothing at all was */
    bool unheard;        /* the last request with it was not answered */
    bool searching;      /* of it and others one is not taken: which, is being found out */
    double since;        /* when `state` ceased to be PUSH_TAKEN */
    double pause_s;      /* the last pause */
    double not_before;   /* its end */
    bool told, was_told; /* in the log: of this trouble, of one before; push_report.c */
    bool told_clipped;
};

struct push_plan {
    const struct push_config *config;
    struct push_item *items; /* by address */
    unsigned count;
    unsigned cursor; /* where the search for what is due goes on: all get their turn */
    double started_at;
    double counts_from; /* of the counter of seconds */
};

/* Neighbours that are written with one request. */
struct push_span {
    unsigned first, count; /* items */
    unsigned address, size;
    uint16_t words[PUSH_REGISTERS_MAX];
};

/** Finds all sources. `counts_from` is when the gateway's counter of seconds was 0. False: out
 * of memory, or a source is not there. */
bool push_plan_init(struct push_plan *plan, const struct push_config *config, push_find *find,
                    const void *data, double counts_from, double now);
void push_plan_close(struct push_plan *plan);

/** The interval is over, or a connection is new: everything is due. */
void push_plan_all(struct push_plan *plan);

/** Values of a source are new or have become stale: what has changed is due. Where only the interval
 * counts, that is what became known or unknown, fresh or stale. NULL: all sources. */
void push_plan_changes(struct push_plan *plan, const struct source *source, double now);

/** Takes what is due, as much as goes into one request. What is to be skipped stays due until it
 * is known. `last`: nothing else is waiting, so that what may not be answered has its turn, too; it
 * has it anyhow once it has waited for long. */
bool push_plan_take(struct push_plan *plan, double now, bool last, struct push_span *span);

/** What became of the span that was taken. */
void push_plan_done(struct push_plan *plan, const struct push_span *span);
void push_plan_refused(struct push_plan *plan, const struct push_span *span, uint8_t exception,
                       double now);

/** There was no answer, and nobody knows whether it reached the target: it is due again. `others`:
 * since the last time that happened, other registers of this push were answered. If not, the target
 * may be away, or ignore the whole because of a part: its halves come next. */
void push_plan_unanswered(struct push_plan *plan, const struct push_span *span, bool others,
                          double now);

/** The target is back after it was away, or said nothing for another reason: what it did not take it
 * may take now. */
void push_plan_hope(struct push_plan *plan);

#endif
