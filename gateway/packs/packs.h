// SPDX-License-Identifier: MIT
/*
 * All packs and banks of the configuration, from what is polled to whoever passes it on: values and
 * their age, counters, what is kept over a restart, orders to switch. Whoever wants to hear of
 * changes observes (source.h): first a pack changes, then the banks that it is in, and each time
 * the observers hear in the order in which they came.
 */
#ifndef PACKGATE_PACKS_PACKS_H
#define PACKGATE_PACKS_PACKS_H

#include "kept.h"
#include "source.h"

#include "lines/polling.h"

#include <time.h>

struct packs;

/** None yet. `kept` must outlive it. NULL: out of memory. */
struct packs *packs_new(struct kept *kept, double now);
void packs_free(struct packs *packs);

/** Takes up the packs and banks of polling->config, which must outlive them. Packs whose pollers go
 * on keep what they have counted and told. The observers hear of it. False: out of memory, and
 * what there is must not be used any more. */
bool packs_renew(struct packs *packs, const struct polling *polling, double now);

/** The configuration that they are of. */
const struct config *packs_config(const struct packs *packs);

/** When the gateway's counter of seconds was 0. */
double packs_started_at(const struct packs *packs);

/** Packs in the order of the configuration, then banks; NULL: no more. A source stays where it is
 * until packs_renew. */
const struct source *packs_at(const struct packs *packs, unsigned n);
/** NULL: there is none. */
const struct source *packs_find(const struct packs *packs, const char *name);

void packs_observe(struct packs *packs, struct observer *observer);
void packs_unobserve(struct packs *packs, struct observer *observer);

/** A poller has new values: they are published, with the banks that the pack is in. */
void packs_published(struct packs *packs, const struct poller *poller, double now);

/** Age and counters go on, and values may have become stale. To be called once a second, and
 * whenever values are found to be stale that were fresh at the last call. */
void packs_tick(struct packs *packs, double now);

/** When the first of the values that are fresh now becomes stale; infinite: none. */
double packs_next_stale(const struct packs *packs);

/** The part of a status that is the gateway's own: `started_at` is when its counter of seconds was 0,
 * `local` the local time now. */
struct map_status packs_host_status(double started_at, uint16_t memory_mib, const struct tm *local,
                                    double now);

/** Orders a pack to switch. The request is copied. An order whose line is busy for ORDER_VALID_S is dropped.
 * ORDER_PENDING: `done` follows with the ticket, never from within. All else is the answer. */
enum order_result packs_order(struct packs *packs, const struct source *source,
                              const struct order_request *request);

#endif
