// SPDX-License-Identifier: MIT
/*
 * Answers one request: all checks in order, then libmodbus.
 */
#pragma once

#include "switches.h"
#include "units.h"

#include <modbus.h>
#include <sys/socket.h>

/** Carries out a client's order to switch. Returns 0 if it is in progress; its end is then reported
 * with `ticket`. Otherwise returns the exception code for the answer. */
typedef uint8_t answer_switch(void *data, struct unit *unit, const struct switches *switches,
                              const struct sockaddr *client, uint64_t ticket);

struct answerer {
    modbus_t *modbus;                     /* set to the client's socket before each answer */
    const struct units *units;            /* by reference, may be replaced between two answers */
    const struct allow_list *allow_write; /* by reference; NULL: no client */
    answer_switch *carry_out;             /* NULL: nothing can be switched */
    void *data;
    uint32_t requests, exceptions;
};

enum answer_result { ANSWER_FAILED = -1, ANSWER_SENT, ANSWER_PENDING };

void answerer_open(struct answerer *answerer, const struct units *units);
void answerer_close(struct answerer *answerer);

/* A request as received. */
struct question {
    int fd;                        /* the client's socket */
    const struct sockaddr *client; /* NULL: the master of a serial line */
    const uint8_t *frame;          /* the frame that mbap_find found */
    size_t size;
    uint64_t ticket; /* for answer_switch; not 0 */
};

/** Answers on the client's socket. Values are fresh or stale as of `now`. ANSWER_PENDING: the
 * request is an order to switch; answer_order sends the answer later, keep the frame until then.
 * ANSWER_FAILED with errno: the client must be disconnected, because part of the answer may have
 * been sent; EAGAIN if the socket cannot accept the whole answer now. */
enum answer_result answer(struct answerer *answerer, const struct question *question, double now);

/** Answers a pending order: done (0), or an exception code. */
enum answer_result answer_order(struct answerer *answerer, int fd, const uint8_t *frame,
                                uint8_t exception);
