// SPDX-License-Identifier: MIT
/* One loan of a line: somebody else's bytes go out between two of our own requests, and what comes goes to him. */
#ifndef PACKGATE_LINES_LOAN_H
#define PACKGATE_LINES_LOAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAN_BYTES 512   /* that can be sent with one loan */
#define LOAN_VALID_S 5.0 /* for so long it waits for its turn, and its answer may flow */

enum loan_result {
    LOAN_ANSWERED,
    LOAN_UNANSWERED, /* nothing came, or nothing but the echo of what was sent */
    LOAN_LOST,       /* the line was lost while it was lent */
    LOAN_TOO_LATE,   /* the line was not free in time */
    LOAN_NO_LINE     /* the line is down */
};

/* Whoever wants it keeps it until `done` is called, or line_take_back was. */
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

#endif
