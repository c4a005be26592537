// SPDX-License-Identifier: MIT
/*
 * Polls the packs of a line: one exchange at a time, orders between polls. The ledger decides
 * which request a received frame answers: the one in flight, an earlier one, or none.
 *
 * When a pack rests: rules 4 and 5 of the ledger, in time. After a lost answer, each later answer
 * looks as old as the request before its own. The answer to another step ends that. If it does not,
 * the pack rests: it gets no requests until none of its open requests can be answered any more.
 * Then a connection that may hold back answers is reopened.
 */
#pragma once

#include "ledger.h"
#include "order.h"
#include "reply.h"
#include "turns.h"
#include "wire.h"

/* The request in flight. */
struct flight {
    struct member *member; /* also after the exchange; NULL: there was none yet */
    struct order *order;   /* NULL: a poll, or its order was cancelled */
    enum ledger_owner owner;
    struct bms_request request;
    uint32_t number; /* in the ledger */
    double asked_at;
    double deadline;       /* for the reply to begin, or to continue */
    double deadline_limit; /* whatever is received */
    double give_up_at;     /* the deadline, or that of the frame that has begun */
    bool disturbed;        /* bytes were received that are no whole frame */
};

struct asker {
    struct wire *wire;
    struct turns *turns;
    struct ledger ledger;
    struct reply buffer;
    bool asking; /* `flight` is in flight */
    struct flight flight;
    struct order_queue orders;
    /* Since the last answer, a pack that answers left a request unanswered, or the port was away. */
    bool missed;
    double quiet_since;     /* the last byte, or the end of the last exchange */
    unsigned gap_before_ms; /* of the protocol of that exchange */
    double over_at;         /* the end of the last exchange */
    double deaf_until;      /* bytes until then are discarded, and nothing is sent */
    double listens_s;       /* so long the next connection is deaf: the last one ended before */
    double wanted_at;       /* since then a request waits for silence; NaN: none waits */
    double loan_since;      /* set by lender.c: a loan waits for its turn; INFINITY: none does */
};

void asker_init(struct asker *asker, struct wire *wire, struct turns *turns);

/** The port is open, or was lost. */
void asker_opened(struct asker *asker, bool away, double now);
void asker_closed(struct asker *asker, double now);

void asker_received(struct asker *asker, const uint8_t *bytes, size_t size, double now);

/** The time of the request in flight may be over. */
void asker_due(struct asker *asker, double now);

/** When the next request is due; `now` at the earliest. */
double asker_next_due(const struct asker *asker, double now);

/** Whether the line was quiet for long enough to send; otherwise waits for that. */
bool asker_is_ready(struct asker *asker, double now);

/** Sends the next request, or ends the cycle that has none left. */
void asker_ask(struct asker *asker, double now);

/** Cancels all orders: their clients have given up. */
void asker_end_orders(struct asker *asker, double now);

/** The pack whose driver masks secrets in unsolicited bytes. */
const struct bms *asker_masked_bms(const struct asker *asker);

/** The pack rests. */
void asker_rest(struct asker *asker, struct poller *poller);

/** Ends a rest. False: `rested_at` has passed, but the connection may hold an answer back: it is reopened first. */
bool asker_end_rest(struct asker *asker, struct poller *poller, double rested_at, double now);
