// SPDX-License-Identifier: MIT
/*
 * What was asked on a line and may still be answered. Who borrows the line has asked something else, and must not get an answer
 * to a request of ours, however late it comes; nothing in most answers tells whom they are for. Pure.
 *
 * A pack answers what it is asked one after the other, or not at all. So each frame that comes settles what the same pack was asked
 * before: of the requests that it can be the answer to, the first one at least is through, and all before that one. A frame
 * that can only be the answer to the last request (its own kind of answer: another register, another command) settles all of them. The line is
 * lent when nothing is open any more.
 *
 * Where nothing settles it, time has to. A pack that answers, but always with the same kind of frame, is left in peace for as long as its answer
 * took at most; if that is longer than a line may be silent for (`short_s`), it is asked once more behind that, and what it answers at once
 * is the answer to that. One that does not answer at all is taken for dead when it was silent for SIEVE_DEAD_S, and answers whoever
 * borrows the line as little; from then on what it is asked is waited for as long as the line says (`short_s`).
 *
 * What comes all the same, when the line is lent, is known by the protocol: a whole frame that answers our request and not his
 * is kept back. What answers both goes to him.
 */
#ifndef PACKGATE_LINES_SIEVE_H
#define PACKGATE_LINES_SIEVE_H

#include "lend.h"

#define SIEVE_MOST 32     /* requests; of more, the last ones */
#define SIEVE_DEAD_S 12.0 /* no pack is known to answer after more than some seconds, */
#define SIEVE_OLD_S 15.0  /* and what was asked so long ago is not answered any more */

struct sieve_open {
    struct poller *poller; /* whom it was for */
    struct bms_request request;
    double at;
    double since; /* nothing of the pack was heard since then, but for this: */
    double
        late_s; /* its last frame, which was on its way for so long at most; NaN: none came since the first of these requests */
    bool foreign; /* asked by whoever had borrowed the line: what comes first is its answer */
    bool tried;   /* the pack was asked for the sake of a loan, since something is open */
};

struct sieve {
    struct sieve_open open
        [SIEVE_MOST]; /* in the order in which they were asked; of a pack that does not answer any more,
                                         * the last ones stay */
    unsigned count;
    bool in_flight; /* the last one is, */
    bool alone;     /* and was asked when nothing was open */
    bool rested;    /* or its pack was silent long enough, and this is its answer */
    bool own;       /* a frame came that only it has asked for */
    /* What came, for as long as something is open; when the line is lent, what may be the beginning of an answer of ours: */
    uint8_t bytes[2 * BMS_FRAME_MAX];
    size_t size;
    bool holds;
};

/** A request of ours is sent, or (`foreign`) one of somebody else's may be answered after he had the line. */
void sieve_ask(struct sieve *sieve, struct poller *poller, const uint8_t *bytes, size_t size,
               bool foreign, double now);

/** Something came while the line is not lent. */
void sieve_hear(struct sieve *sieve, const uint8_t *bytes, size_t size, double now);

/** The line was quiet for a while: what came is looked at. */
void sieve_look(struct sieve *sieve, double now);

/** The exchange under way is over, answered or not. */
void sieve_over(struct sieve *sieve, bool answered, double now);

/** When no answer to a request of ours can come any more, which may be over; -infinity: none is open. `short_s`: as long as one is
 * waited for that hardly comes. */
double sieve_clear_at(const struct sieve *sieve, double short_s);

/** When the last request of ours that is open was sent; -infinity: none is. */
double sieve_open_at(const struct sieve *sieve);

/** Whether an answer of this pack to a request of ours is open. */
bool sieve_awaits(const struct sieve *sieve, const struct poller *poller);

/** A pack of which an answer is open, and that was not asked yet for the sake of a loan: its next answers may settle it. NULL: none. */
struct poller *sieve_to_ask(struct sieve *sieve);

/** Until when a pack is to be left in peace for the sake of a loan, as its answers alone do not settle what is open: what it answers
 * at once behind that does. -infinity: it need not be. */
double sieve_rest_until(const struct sieve *sieve, const struct poller *poller);

/** The line is lent. */
void sieve_begin(struct sieve *sieve, const struct lend *lend);

/** Something came for the loan, at most BMS_FRAME_MAX bytes. Returns how much is his now, found at *his until the next call. */
size_t sieve_take(struct sieve *sieve, const struct loan *loan, const uint8_t *bytes, size_t size,
                  double now, const uint8_t **his);

/** Nothing more comes: what was held back is his after all. What had to be clear before the line was lent is settled. */
size_t sieve_end(struct sieve *sieve, const uint8_t **his);

#endif
