// SPDX-License-Identifier: MIT
/*
 * Lending the bus: somebody else's bytes go out on a line that we poll, between two of our own
 * requests, and what comes back goes to him. Pure; the line sends, receives and waits.
 *
 * A loan ends when nothing comes any more: as long after the last byte as a reply may take, or soon
 * where it can be seen that the one request was answered by whole frames. One that was not answered
 * leaves the line in doubt, as its answer may still come and must not be taken for ours. So does a request of ours that was
 * not answered before a loan: the line waits until that can hardly come any more.
 *
 * Packs that are due keep half of the time: after a loan their own exchanges come first until they have
 * taken as long as it did. Where that is too little, several packs on a slow line, one whose values are about to get
 * older than they should goes first, for which a loan waits a while. An answer has to begin within the shortest poll
 * interval of the packs, or a second, and may flow for five.
 */
#ifndef PACKGATE_LINES_LEND_H
#define PACKGATE_LINES_LEND_H

#include "turns.h"

#define LOAN_BYTES 512      /* that can be sent with one loan */
#define LOAN_VALID_S 5.0    /* for so long it waits for its turn, and its reply may flow */
#define LOAN_SPACING_S 0.05 /* from the begin of one to the next */
#define LOAN_PATIENCE_S 3.0 /* for so long one waits for packs whose values get old */
#define LOAN_OLD 1.75 /* intervals: older than that is old for a pack that is polled beside loans */

enum loan_result {
    LOAN_ANSWERED,
    LOAN_UNANSWERED, /* nothing came, or nothing but the echo of what was sent */
    LOAN_LOST,       /* the line was lost while it was lent */
    LOAN_TOO_LATE,   /* the line was not free in time */
    LOAN_NO_LINE     /* the line is down */
};

/* One loan. Whoever wants it keeps it until `done` is called, or line_take_back was. */
struct loan {
    uint8_t bytes[LOAN_BYTES]; /* what to send */
    size_t size;
    bool open_end; /* for as long as whoever wants it likes, with nothing polled meanwhile: begins
                    * without bytes, which follow by line_pass, and ends by line_take_back */
    void (*begun)(void *data); /* it has its turn; NULL: of no interest */
    void (*received)(void *data, const uint8_t *bytes, size_t size); /* may take it back */
    void (*done)(void *data, enum loan_result result);
    void *data;
    double queued_at;  /* since then its bytes wait */
    struct loan *next; /* in the line's queue */
};

/* The loans of a line. */
struct lend {
    struct loan *queue;   /* in the order in which they came */
    struct loan *current; /* NULL: the line is not lent */
    struct loan orphan;   /* its place, when nobody wants it any more */
    bool single;          /* it is one request, as far as its protocol is known, */
    bool settled;         /* and what came is whole frames: nothing else follows */
    double begun_at, limit_at, deadline;
    double last_begun_at;
    double passed_at; /* the last bytes of a loan with an open end; -infinity: none */
    double owed_s;    /* for so long packs that wait come first, */
    double owed_from; /* counted from here, whenever an exchange of theirs ends */
    size_t received;  /* bytes; those that fit are here: */
    uint8_t bytes[BMS_FRAME_MAX];
};

void lend_init(struct lend *lend);

void lend_add(struct lend *lend, struct loan *loan);
/** Takes one out of the queue. False: it is not in there. */
bool lend_remove(struct lend *lend, const struct loan *loan);

/** An exchange of ours is over. */
void lend_pay(struct lend *lend, double now);

/** When the next loan may begin, `now` at the earliest; infinite: none is wanted, or packs come first.
 * `busy`: packs wait for the line. `clear_at`: until then an answer to a request of ours may come, which is none of
 * whoever borrows the line. */
double lend_next_at(const struct lend *lend, const struct turns *turns, bool busy, double clear_at,
                    double now);

/** The first of the queue that has waited for too long, taken out of it; NULL: none. */
struct loan *lend_expired(struct lend *lend, double now);

/** The first of the queue begins: `reply_s` is how long the slowest pack of the line takes. */
struct loan *lend_begin(struct lend *lend, const struct turns *turns, double reply_s, double wire_s,
                        double now);

/** Something came. */
void lend_received(struct lend *lend, const struct turns *turns, const uint8_t *bytes, size_t size,
                   double reply_s, double now);

/** Whether it is over, and if not, when to ask again. */
bool lend_is_over(const struct lend *lend, double now, double *ask_at);

/** Whether more came than the echo of what was sent. */
bool lend_answered(const struct lend *lend);

/** Whether that was all: else the rest may still come, when nobody waits for it any more. */
bool lend_settled(const struct lend *lend);

/** How many answers of that pack may still come, as far as its protocol is known; 0: others were asked. */
unsigned lend_unanswered(const struct lend *lend, const struct poller *poller);

/** Whoever wanted it does not any more: what is under way goes on without him until the line is quiet. */
void lend_orphan(struct lend *lend, double reply_s, double now);

/** It ends. Returns it. */
struct loan *lend_end(struct lend *lend, double now);

#endif
