// SPDX-License-Identifier: MIT
/*
 * `protocol = auto`: a pack of which only the port is known. A search asks on its line; what it
 * finds is remembered in the state file and takes the place of this stand-in.
 */
#ifndef PACKGATE_PACKS_PACK_SEARCH_H
#define PACKGATE_PACKS_PACK_SEARCH_H

#include "kept.h"

#include "lines/search.h"
#include "config/config.h"

/** Whether the pack is still to be found. */
bool pack_search_is_open(const struct pack_config *pack);

/** Makes the pack what was found: it gets its driver, address and variant, its line the baud rate.
 * Nothing found, or forgotten again: it is open. Nothing may be polled by `config` when this
 * changes it, but what polling_renew is about to end. */
void pack_search_recall(struct config *config, struct pack_config *pack,
                        const struct kept_entry *kept);

/** What was found counts no more from the next recall on. */
void pack_search_forget(struct kept_entry *kept);

/* The search for one pack. */
struct pack_search {
    struct ev_loop *loop;
    const struct pack_config *pack;
    struct kept_entry *kept;
    struct search *search;
    ev_timer again;
    bool reported;             /* that nothing answers */
    void (*found)(void *data); /* the pack is in `kept` now; the search may be freed from within */
    void *data;
};

/** Searches until something answers. NULL: out of memory. */
struct pack_search *pack_search_new(struct ev_loop *loop, const struct pack_config *pack,
                                    struct kept_entry *kept, void (*found)(void *data), void *data);
void pack_search_free(struct pack_search *search);

#endif
