// SPDX-License-Identifier: MIT
/*
 * All packs and banks of the configuration, between the pollers and what passes their values on:
 * values and their age, counters, stored state, and orders. Observers (source.h) are called on
 * changes in the order in which they registered: for the pack, then for the banks that it is in.
 */
#pragma once

#include "kept.h"
#include "polling.h"
#include "source.h"

#include <time.h>

struct packs;

/** Without packs at first. `kept` must outlive it. */
struct packs *packs_new(struct kept *kept, double now);
void packs_free(struct packs *packs);

/** Switches to the packs and banks of polling->config, which must outlive them. Packs whose pollers
 * continue keep their counters and logged state. Observers are informed. */
void packs_renew(struct packs *packs, const struct polling *polling, double now);

/** The current configuration. */
const struct config *packs_config(const struct packs *packs);

/** clock_now at which the gateway's counter of seconds was 0. */
double packs_started_at(const struct packs *packs);

/** Packs in the order of the configuration, then banks; NULL: no more. Valid until packs_renew. */
const struct source *packs_at(const struct packs *packs, unsigned n);
/** NULL: there is none. It is a source_find, of `packs`. */
const struct source *packs_find(const void *packs, const char *name);

void packs_observe(struct packs *packs, struct observer *observer);
void packs_unobserve(struct packs *packs, struct observer *observer);

/** Publishes a poller's new values, and the banks that the pack is in. */
void packs_published(struct packs *packs, const struct poller *poller, double now);

/** Updates age and counters; values may have become stale. To be called once a second, and whenever
 * the first fresh values become stale. */
void packs_tick(struct packs *packs, double now);

/** When the first of the fresh values becomes stale; infinite: none is fresh. */
double packs_next_stale(const struct packs *packs);

/** The gateway's part of a status: seconds since `started_at`, the time zone of `local`. */
struct map_status packs_host_status(double started_at, uint16_t memory_mib, const struct tm *local,
                                    double now);

/** Orders a pack to switch; copies the request. ORDER_PENDING: `done` follows, never from within,
 * with ORDER_TOO_LATE after ORDER_VALID_S on a busy line. Any other result is final. */
enum order_result packs_order(struct packs *packs, const struct source *source,
                              const struct order_request *request);
