// SPDX-License-Identifier: MIT
/*
 * The open requests of a line: what was sent and may still be answered. This list is all that is known about the age
 * of a value, and about whose answer a frame is. tests/model/age.pml states the same rules in the same words and a
 * model checker tries every order of loss, delay, orders, loans and reopening.
 *
 * A pack answers what it is asked in order, or not at all. What it says arrives in the order in which it was said, any
 * time later, or is lost (serial lines, TCP). No answer carries a number. So:
 *
 * 1. Sending appends a request to the list.
 * 2. A whole frame has candidates: the open requests that it can answer, by the driver's own check. It counts for the
 *    oldest one, and is as old as that one. The request and all before it of the same pack leave the list. A frame
 *    without a candidate is ignored. Where it would say different things to two of them, it is thrown away, but the
 *    oldest one leaves the list.
 * 3. The owner of the oldest candidate gets the frame. A poll: as a part of its cycle, in flight or not. An order: as
 *    its acknowledgement, if there is no second candidate; an order stays in the list until it is answered itself. A
 *    loan, or nobody: it is thrown away.
 * 4. A line is lent when the list is empty. A borrower's requests are appended as loans, and any frame of the pack can
 *    answer a loan. A pack that is off is not waited for: its open polls are nobody's from then on. An order is not
 *    waited for either once a later request was answered; its acknowledgement may then go to the borrower.
 * 5. A request leaves the list without an answer once an answer cannot come any more: ANSWER_MOST_S after it was sent.
 *    Where a connection can hold bytes back, something sent after that must have been answered, or the connection must
 *    have been opened anew after that. Some serial servers pass on then what they stored: the asker throws it away.
 *
 * Example: A is asked at 1 s, times out, and is asked again at 2 s. One frame comes. It may be either answer, so it
 * counts for 1 s, and A of 2 s stays open. B is asked at 3 s; only B can have its answer, so the list is empty again.
 */
#pragma once

#include "poller.h"
#include "reply.h"

#define ANSWER_MOST_S 12.0 /* no pack is known to answer after more than some seconds */
#define LEDGER_MOST 64     /* entries of a line; beyond that, two are merged into one */

/* The owner of a request gets its answer. */
enum ledger_owner { POLL, ORDER, LOAN, NOBODY };

struct open_request {
    struct poller *pack; /* the pack that it is for */
    struct bms_request words;
    enum ledger_owner owner;
    unsigned step;   /* of a poll; BMS_PLAN_MAX: of none */
    bool passed;     /* of an order: a later request was answered; no loan waits for it any more */
    uint32_t number; /* in the order in which requests are sent */
    double sent_at;
    unsigned times; /* answers that can come; 0: not known */
};

struct ledger {
    struct open_request open[LEDGER_MOST]; /* oldest first */
    unsigned count;
    uint32_t sent; /* how many were sent */
};

/* A received answer. */
struct answer {
    struct open_request oldest; /* the request that it counts for */
    double newest_at;           /* when the newest request that it can answer was sent */
    enum bms_result result;     /* BMS_DONE, BMS_PARTIAL or BMS_REFUSED */
    bool single;                /* no other open request can have this answer */
    bool usable;                /* it means the same for all requests that it can answer */
};

/** Appends a request; returns its number. Without words: a loan with an unknown number of requests, the last one sent at
 * that time, which leaves the list by rule 5 only. */
uint32_t ledger_send(struct ledger *ledger, struct poller *pack, const struct bms_request *words,
                     enum ledger_owner owner, unsigned step, double now);

/** Before anything is sent: appends what an earlier line has open to the same device. Its answers are nobody's. */
void ledger_inherit(struct ledger *ledger, const struct ledger *old, struct poller *pack);

/** Removes the next frame that answers an open request from the buffer, with the bytes before it.
 * The values of a usable answer to a poll or an order are then in answer->oldest.pack->incoming.
 * `silent`: no more bytes will arrive. False: there is no such frame. */
bool ledger_receive(struct ledger *ledger, struct reply *buffer, bool silent,
                    struct answer *answer);

/** The same for the first of some bytes that are in no buffer. answer->result is BMS_FOREIGN or
 * BMS_INVALID if that is no whole frame that answers a request. */
struct bms_span ledger_look(struct ledger *ledger, const uint8_t *bytes, size_t size,
                            struct answer *answer);

/** The line is lent: open polls lose their owner. */
void ledger_lend(struct ledger *ledger);

/** The oldest open request of a pack that is no order; NULL: none is open. */
const struct open_request *ledger_oldest(const struct ledger *ledger, const struct poller *pack);

/** Whether a request of that kind to the pack, or (NULL) to any, may still be answered, or an order be carried out. */
bool ledger_has(const struct ledger *ledger, enum ledger_owner owner, const struct poller *pack);

/** When the last open request of a pack cannot be answered any more; -infinity: none is open. */
double ledger_rested_at(const struct ledger *ledger, const struct poller *pack);

/** What was sent until that time will not be answered any more. True: there was such a request. */
bool ledger_expire(struct ledger *ledger, double before);
