// SPDX-License-Identifier: MIT
/* A loan of a line: a borrower's bytes are sent between two polls, and it gets what is received. */
#pragma once

#include "order.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAN_BYTES 512 /* most that one loan can send at once */

enum loan_result {
    LOAN_ANSWERED,
    LOAN_UNANSWERED, /* nothing was received, or only an echo */
    LOAN_LOST,       /* the line was lost while it was lent */
    LOAN_TOO_LATE,   /* the line was not free in time */
    LOAN_NO_LINE     /* the line is down */
};

/* The borrower keeps it until `done` is called or it calls line_take_back. */
struct loan {
    uint8_t bytes[LOAN_BYTES]; /* what to send */
    size_t size;
    bool open_end; /* lasts until line_take_back, with nothing polled meanwhile; its bytes are sent
                    * by line_pass */
    void (*begun)(void *data);                                       /* has its turn; may be NULL */
    void (*received)(void *data, const uint8_t *bytes, size_t size); /* may take it back */
    void (*done)(void *data, enum loan_result result);
    void *data;
    double queued_at;        /* has waited since then; it waits, and lasts, ORDER_VALID_S at most */
    TAILQ_ENTRY(loan) entry; /* in the line's queue */
};
