// SPDX-License-Identifier: MIT
/*
 * `protocol = auto`: packs of which only the port is known, and maybe the address. A search asks on
 * their line; what it finds is remembered in the state file and takes the place of the stand-in.
 * Several of them on a line are found by one search: each gets what answers at its address, those
 * without one what is left, in the order of the addresses. Packs of the line whose protocol is
 * given are not polled before the search is over, and what answers at their addresses is theirs.
 */
#ifndef PACKGATE_PACKS_PACK_SEARCH_H
#define PACKGATE_PACKS_PACK_SEARCH_H

#include "kept.h"

#include "lines/search/search.h"
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

/** Whether a line has packs to be found and none that was, and has not been searched in vain beside
 * packs that are given: it is searched. A pack that nothing was found for beside others is left
 * alone, as these have the line. */
bool pack_search_is_due(const struct config *config, const struct line_config *line);

/** How many packs of the line have a protocol of their own. */
unsigned pack_search_count_given(const struct config *config, const struct line_config *line);

#define PACK_SEARCH_MOST SEARCH_ADDRESSES

/* The search for the packs of one line. */
struct pack_search {
    struct ev_loop *loop;
    const struct config *config;
    const struct line_config *line;
    struct kept *kept;
    struct search *search;
    ev_timer again, over;
    struct pack_found {
        const struct bms_driver *driver;
        int address, variant;
        unsigned baud;
        bool taken;
    } list[PACK_SEARCH_MOST];
    unsigned count;
    unsigned given;            /* packs of the line with a protocol of their own */
    bool finished;             /* what was found is told */
    bool reported;             /* that nothing answers */
    void (*found)(void *data); /* packs are in `kept` now; the search may be freed from within */
    void *data;
};

/** Searches until something answers. NULL: out of memory. */
struct pack_search *pack_search_new(struct ev_loop *loop, const struct config *config,
                                    const struct line_config *line, struct kept *kept,
                                    void (*found)(void *data), void *data);
void pack_search_free(struct pack_search *search);

#endif
