// SPDX-License-Identifier: MIT
/* A line that packgate does not poll: its device sends by itself, one set of values each second,
 * or another master polls (listener.h). lag.h estimates the age of the bytes. */
#pragma once

#include "lag.h"
#include "listener.h"

#include "lines/reply.h"

struct hearer {
    struct turns *turns;
    struct listener *listener; /* the owner frees it; NULL: the device sends by itself */
    struct reply buffer;       /* its bytes */
    struct lag lag;
    double deaf_until; /* bytes until then are discarded */
    double afresh_at;  /* the port was reopened because of late bytes; NaN: never */
};

void hearer_init(struct hearer *hearer, struct turns *turns);

void hearer_opened(struct hearer *hearer, double now);
void hearer_received(struct hearer *hearer, const uint8_t *bytes, size_t size, double now);

/** wire_wait is over, or a loan: reports packs that were silent for too long. */
void hearer_due(struct hearer *hearer, double now);
