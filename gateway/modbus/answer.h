// SPDX-License-Identifier: MIT
/*
 * One request in, one answer out: the checks in their order, then libmodbus.
 */
#ifndef PACKGATE_MODBUS_ANSWER_H
#define PACKGATE_MODBUS_ANSWER_H

#include "switches.h"
#include "units.h"

#include <modbus.h>
#include <sys/socket.h>

/** Somebody who carries out what a client wants switched. Returns 0 when it is under way, the end of which is told to
 * whoever `ticket` stands for, or the exception code to answer with at once. */
typedef uint8_t answer_switch(void *data, struct unit *unit, const struct switches *switches,
                              const struct sockaddr *client, uint64_t ticket);

struct answerer {
    modbus_t *modbus;                     /* given the client's socket before each answer */
    const struct units *units;            /* by reference, can be replaced between two answers */
    const struct allow_list *allow_write; /* by reference; NULL: nobody */
    answer_switch *carry_out;             /* NULL: nothing can be switched */
    void *data;
    uint32_t requests, exceptions;
};

enum answer_result { ANSWER_FAILED = -1, ANSWER_SENT, ANSWER_PENDING };

/** 0, or -1 with errno. */
int answerer_open(struct answerer *answerer, const struct units *units);
void answerer_close(struct answerer *answerer);

/* A request as it came. */
struct question {
    int fd; /* the socket of the client, */
    const struct sockaddr *client;
    const uint8_t *frame; /* that mbap_find found */
    size_t size;
    uint64_t ticket; /* for answer_switch; not 0 */
};

/** Answers on the client's socket. Values are fresh or stale as of `now`.
 * ANSWER_PENDING: it is an order to switch something; the answer follows by answer_order, and the frame is to be kept
 * until then. ANSWER_FAILED with errno: EAGAIN when the socket cannot take the whole answer now. The client has no use
 * any more then, a part of it may be sent. */
enum answer_result answer(struct answerer *answerer, const struct question *question, double now);

/** The answer to an order that was pending: done (0), or an exception code. */
enum answer_result answer_order(struct answerer *answerer, int fd, const uint8_t *frame,
                                uint8_t exception);

#endif
