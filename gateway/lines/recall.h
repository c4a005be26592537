// SPDX-License-Identifier: MIT
/*
 * What was asked of one pack in the last seconds, and what came in answer: replies carry no number, and only by their
 * bytes can one that comes twice be told from a new one. Requests and replies are known by their hash. Pure.
 */
#ifndef PACKGATE_LINES_RECALL_H
#define PACKGATE_LINES_RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECALL_S 16.0   /* what is older is forgotten */
#define RECALL_MOST 128 /* requests; of a pack that is asked more often, the last ones */

/* One request, or a set of values of a device that talks unasked (`asked` 0 then). */
struct recall_entry {
    double at;
    uint32_t asked;
    uint32_t reply; /* 0: none came */
};

struct recall {
    struct recall_entry list[RECALL_MOST];
    unsigned next, count;
};

/** A request is sent. */
void recall_ask(struct recall *recall, uint32_t asked, double now);

/** The one that was sent at that time is answered. */
void recall_answer(struct recall *recall, uint32_t asked, double at, uint32_t reply);

/** Whether this reply, if the line says things twice or out of order, can be one to a request before the one of `at`:
 * the same bytes came before, or a request was not answered. */
bool recall_suspects(const struct recall *recall, uint32_t asked, double at, uint32_t reply);

/** Whether the same bytes came before that time. */
bool recall_knows(const struct recall *recall, uint32_t asked, double at, uint32_t reply);

/** Whether the same bytes came before that time, and others after them. */
bool recall_returns(const struct recall *recall, uint32_t asked, double at, uint32_t reply);

/** For a device that talks: the same, but the same bytes count only if other ones came after them. */
bool recall_suspects_talk(const struct recall *recall, double now, uint32_t reply);

/** A reply that nobody waited for came now, and can be one to a request before `until`: since when it was on its way
 * at least. NaN: it was never asked for, or everything has another answer. */
double recall_asked_for(const struct recall *recall, uint32_t asked, double until, double now,
                        uint32_t reply);

/** The earliest moment since then at which this was said, or something was missed; `now`: there is none. */
double recall_first(const struct recall *recall, uint32_t asked, double since, double now,
                    uint32_t reply);

/** FNV-1a; never 0. */
uint32_t recall_hash(const uint8_t *bytes, size_t size);

#endif
