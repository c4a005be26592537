// SPDX-License-Identifier: MIT
/*
 * `protocol = auto`: packs with a known port, and maybe a known address. A search polls their line;
 * the result is stored in the state file and replaces the stand-in driver. One search finds several
 * packs of a line: a pack with an address gets the BMS that answers there, the others get the rest
 * in the order of addresses. Packs of the line with a configured protocol are not polled before the
 * search is over; a BMS that answers at their addresses is theirs.
 */
#pragma once

#include "kept.h"

#include "lines/search/search.h"
#include "config/config.h"

/** Whether the pack is still to be found. */
bool pack_search_is_open(const struct pack_config *pack);

/** Gives the pack its found driver, address and variant, and its line the baud rate. If nothing is
 * stored, the pack is still to be found. Nothing may be polled by `config` when this changes it,
 * except what polling_new is about to end. */
void pack_search_recall(struct config *config, struct pack_config *pack,
                        const struct kept_entry *kept);

/** Ignores the stored result from the next recall on. */
void pack_search_forget(struct kept_entry *kept);

/** Whether to search the line: it has `auto` packs, none found yet, and no earlier search failed
 * while configured packs share it. After such a failure the configured packs keep the line. */
bool pack_search_is_due(const struct config *config, const struct line_config *line);

/** The number of packs of the line with a configured protocol. */
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
    unsigned given;            /* packs of the line with a configured protocol */
    bool finished;             /* the result was reported by `found` */
    bool reported;             /* the log has said that nothing answers */
    void (*found)(void *data); /* the result is in `kept`; may free the search */
    void *data;
};

/** Searches until a BMS answers. */
struct pack_search *pack_search_new(struct ev_loop *loop, const struct config *config,
                                    const struct line_config *line, struct kept *kept,
                                    void (*found)(void *data), void *data);
void pack_search_free(struct pack_search *search);
