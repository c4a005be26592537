// SPDX-License-Identifier: MIT
/*
 * Decides which registers of a push are due, and what its next request contains; builds requests,
 * and recognizes their responses. Pure: push.c sends them, and time is an argument.
 *
 * Nothing is queued. Due registers are only marked; a request gets the values of the moment when
 * it is built, those of one source all from one poll cycle. A slow target gets fewer writes, never
 * old values.
 *
 * Registers that the target rejects are retried after a growing pause, with the values of that
 * moment. If one of several registers is rejected, or makes the target not answer, bisection finds
 * it: the others are then written without it. Registers without an answer come last, because
 * waiting for them holds up all others.
 */
#pragma once

#include "mbap.h"

#include "config/config.h"
#include "packs/source.h"

#define PUSH_REGISTERS_MAX 123 /* per request */
#define PUSH_NO_EXCEPTION 0    /* instead of an exception code: the response is malformed */

/* State of a register at the target. */
enum push_state {
    PUSH_TAKEN,    /* accepted, or not tried yet */
    PUSH_PUT_OFF,  /* deferred: the target is busy, or cannot reach the device behind it */
    PUSH_BARRED,   /* rejected when written alone */
    PUSH_DOUBTFUL, /* a request with it was not answered although others were */
    PUSH_IGNORED   /* not answered when written alone, at least twice */
};

/* One write, and the value that the target has. */
struct push_item {
    const struct register_row *write;
    const struct source *source; /* NULL: the gateway itself */
    bool due;
    bool ever_known;
    bool sent;    /* the target has `sent_value`, encoded as `sent_words` */
    bool clipped; /* the value last sent was out of range */
    double sent_value;
    uint16_t sent_words[2];
    enum push_state state;
    uint8_t exception;   /* the exception of PUSH_PUT_OFF or PUSH_BARRED */
    bool apart;          /* a request with it and the previous item was rejected */
    bool apart_by_guess; /* or the target rejected everything */
    bool unheard;        /* the last request with it was not answered */
    bool searching;      /* bisecting: one of this and other items is rejected */
    double since;        /* when `state` last was PUSH_TAKEN */
    double pause_s;      /* the last pause */
    double not_before;   /* end of that pause */
    bool told, was_told; /* logged: this trouble, an earlier one; see push.c */
    bool told_clipped;
    bool picked; /* for the message that is being written */
};

struct push_plan {
    const struct push_config *config;
    struct push_item *items; /* by address */
    unsigned count;
    unsigned cursor; /* where the search for due items continues: all get their turn */
    double started_at;
    double counts_from; /* when the gateway's counter of seconds was 0 (clock_now) */
};

/* Adjacent items that are written with one request. */
struct push_span {
    unsigned first, count; /* items */
    unsigned address, size;
    uint16_t words[PUSH_REGISTERS_MAX];
};

/** Finds all sources, which exist. `counts_from` is when the gateway's counter of seconds was 0. */
void push_plan_init(struct push_plan *plan, const struct push_config *config, source_find *find,
                    const void *data, double counts_from, double now);
void push_plan_close(struct push_plan *plan);

/** Marks everything as due: the interval has passed, or a connection is new. */
void push_plan_all(struct push_plan *plan);

/** Marks what has changed as due: values of a source are new or have become stale. If only the
 * interval counts, marks only what became known or unknown, fresh or stale. NULL: all sources. */
void push_plan_changes(struct push_plan *plan, const struct source *source, double now);

/** Builds the next request from what is due; items to be skipped stay due until they are known.
 * Those that may not be answered have their turn with `last` (nothing else waits) or after long. */
bool push_plan_take(struct push_plan *plan, double now, bool last, struct push_span *span);

/** The span that was sent is due again at once. */
void push_plan_again(struct push_plan *plan, const struct push_span *span);

/** Reports the result of the span that was sent. */
void push_plan_done(struct push_plan *plan, const struct push_span *span);
void push_plan_refused(struct push_plan *plan, const struct push_span *span, uint8_t exception,
                       double now);

/** The request timed out: the target may have it, yet it is due again. `others`: since the last
 * time-out other registers of this push were answered. If not, the target may be away, or ignore the
 * request because of a part: the halves are tried next. */
void push_plan_unanswered(struct push_plan *plan, const struct push_span *span, bool others,
                          double now);

/** Ends all pauses: the target is back, and may now accept what it rejected before. */
void push_plan_end_pauses(struct push_plan *plan);

/* The result of encoding a value. */
enum push_encoded {
    PUSH_EXACT,
    PUSH_CLIPPED, /* out of range: replaced by the nearest number that fits */
    PUSH_NOTHING  /* unknown, and to be skipped */
};

/** Encodes a value, rounded; NaN: stale or unknown. PUSH_NOTHING: `words` is left alone. */
enum push_encoded push_encode(const struct register_row *write, double value, uint16_t words[2]);

struct push_request {
    uint8_t bytes[MBAP_ADU_MAX];
    size_t size;
};

/** Builds the write of `count` registers (up to PUSH_REGISTERS_MAX; function 6: one). */
void push_request_build(struct push_request *request, uint16_t transaction, uint8_t unit,
                        bool single, unsigned address, const uint16_t *words, unsigned count);

enum push_reply {
    PUSH_DONE,
    PUSH_REFUSED,   /* an exception */
    PUSH_MALFORMED, /* of this transaction, but not a valid response to the request */
    PUSH_FOREIGN    /* of another transaction: a late response */
};

/** What a frame that mbap_find found is to a request. Sets `exception` for PUSH_REFUSED. */
enum push_reply push_reply_check(const struct push_request *request, const uint8_t *frame,
                                 size_t size, uint8_t *exception);
