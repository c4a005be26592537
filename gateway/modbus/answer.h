// SPDX-License-Identifier: MIT
/* Answers one request: all checks in order, then the values. Pure but for the log. */
#pragma once

#include "switches.h"
#include "units.h"

#include <sys/socket.h>

/** Carries out a client's order to switch. Returns 0 if it is in progress; its end is then reported
 * with `ticket`. Otherwise returns the exception code for the answer. */
typedef uint8_t answer_switch(void *data, struct unit *unit, const struct switches *switches,
                              const struct sockaddr *client, uint64_t ticket);

struct answerer {
    const struct units *units;            /* by reference, may be replaced between two answers */
    const struct allow_list *allow_write; /* by reference; NULL: no client */
    answer_switch *carry_out;             /* NULL: nothing can be switched */
    void *data;
    uint32_t requests, exceptions;
};

/* A request as received. */
struct question {
    const struct sockaddr *client; /* NULL: the master of a serial line */
    const uint8_t *frame;          /* the frame that mbap_find found */
    size_t size;
    uint64_t ticket; /* for answer_switch; not 0 */
};

/* One answer behind the other, as they are sent. */
struct answers {
    uint8_t bytes[16 * MBAP_ADU_MAX];
    size_t size;
};

/** Appends the answer; there must be room for MBAP_ADU_MAX bytes. Values are fresh or stale as of `now`. False: the request is an
 * order to switch, which is in progress; answer_order answers it later, keep the frame until then. */
bool answer(struct answerer *answerer, const struct question *question, double now,
            struct answers *answers);

/** The same for an order that has ended: done (0), or an exception code. */
void answer_order(struct answerer *answerer, const uint8_t *frame, uint8_t exception,
                  struct answers *answers);
