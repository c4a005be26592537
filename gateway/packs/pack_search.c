// SPDX-License-Identifier: MIT
#include "pack_search.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_S 10.0 /* s between two searches; each takes some 20 s */

bool pack_search_is_open(const struct pack_config *pack)
{
    return pack->driver == &automatic_driver;
}

/* The state file numbers variants as version 0.1.0 did, so that each version can read the other's
 * file. Daly did not have `auto` as its first variant then. */
static int kept_number(const struct bms_driver *driver, int variant)
{
    return strcmp(driver->name, "daly") == 0 && variant > 0 ? variant - 1 : variant;
}

static int variant_of(const struct bms_driver *driver, int number)
{
    const int variant = strcmp(driver->name, "daly") == 0 && number > 0 ? number + 1 : number;
    for (int i = 0; driver->variants && driver->variants[i]; i++)
        if (i == variant)
            return variant;
    return 0;
}

void pack_search_recall(struct config *config, struct pack_config *pack,
                        const struct kept_entry *kept)
{
    const struct bms_driver *driver = bms_driver_find(kept->protocol);
    struct line_config *line = &config->lines[pack->line - config->lines];
    /* The configuration may have another address by now. */
    if (driver && bms_has_address(driver) && pack->given_address >= 0 &&
        pack->given_address != kept->address)
        driver = NULL;
    if (pack_search_is_open(pack) && driver) {
        pack->driver = driver;
        pack->options.address = kept->address;
        pack->options.variant = variant_of(driver, kept->variant);
        if (!line->baud)
            line->baud = (unsigned) kept->baud;
    } else if (!pack_search_is_open(pack) && !driver) {
        pack->driver = &automatic_driver;
        pack->options.address = pack->given_address;
        pack->options.variant = 0;
        if (line->baud == (unsigned) kept->baud)
            line->baud = line->given_baud;
    }
}

void pack_search_forget(struct kept_entry *kept)
{
    kept->protocol[0] = '\0';
}

static bool is_open_on(const struct pack_config *pack, const struct line_config *line)
{
    return pack->line == line && pack_search_is_open(pack);
}

static bool is_configured_on(const struct pack_config *pack, const struct line_config *line)
{
    return pack->line == line && !pack->automatic;
}

unsigned pack_search_count_given(const struct config *config, const struct line_config *line)
{
    unsigned count = 0;
    for (unsigned i = 0; i < config->pack_count; i++)
        count += is_configured_on(&config->packs[i], line);
    return count;
}

bool pack_search_is_due(const struct config *config, const struct line_config *line)
{
    bool any = false;
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct pack_config *pack = &config->packs[i];
        if (pack->line == line && pack->automatic && !pack_search_is_open(pack))
            return false;
        any |= is_open_on(pack, line);
    }
    return any && !(line->searched && pack_search_count_given(config, line) > 0);
}

/* The next pack to be found behind `pack`, the first one behind NULL; NULL: there are no more. */
static const struct pack_config *next_open(const struct pack_search *search,
                                           const struct pack_config *pack)
{
    const struct config *config = search->config;
    for (pack = pack ? pack + 1 : config->packs; pack < config->packs + config->pack_count; pack++)
        if (is_open_on(pack, search->line))
            return pack;
    return NULL;
}

/* Counts the packs to be found, and those of them without an address. */
static unsigned count_open(const struct pack_search *search, unsigned *without)
{
    unsigned count = 0;
    *without = 0;
    for (const struct pack_config *pack = NULL; (pack = next_open(search, pack)); count++)
        *without += pack->given_address < 0;
    return count;
}

/* A BMS that was found and is not assigned yet, at an address (-1: at the lowest); NULL: none. */
static struct pack_found *find_unassigned(struct pack_search *search, int address)
{
    struct pack_found *first = NULL;
    for (struct pack_found *at = search->list; at < search->list + search->count; at++)
        if (!at->taken && (address < 0 ? !first || at->address < first->address
                                       : !first && at->address == address))
            first = at;
    return first;
}

static void store_found(struct pack_search *search, const struct pack_config *pack,
                        const struct pack_found *found, int address)
{
    struct kept_entry *kept = kept_get(search->kept, pack->name);
    snprintf(kept->protocol, sizeof kept->protocol, "%s", found->driver->name);
    kept->address = address;
    kept->variant = kept_number(found->driver, found->variant);
    kept->baud = (int) found->baud;
}

/* The protocol that all packs of the line use, found or configured. Its driver is NULL if they
 * differ, there is none, or it reads by a map file. */
static struct pack_found common_of_the_line(const struct pack_search *search)
{
    struct pack_found common = search->list[0]; /* all zeros if nothing was found */
    bool all = true;
    for (unsigned i = 1; i < search->count; i++)
        all &= search->list[i].driver == common.driver;
    for (unsigned i = 0; i < search->config->pack_count; i++) {
        const struct pack_config *pack = &search->config->packs[i];
        if (!is_configured_on(pack, search->line))
            continue;
        if (!common.driver)
            common = (struct pack_found){.driver = pack->driver,
                                         .variant = pack->options.variant,
                                         .baud = search->line->baud ? search->line->baud
                                                                    : pack->driver->line.baud};
        all &= pack->driver == common.driver && bms_driver_find(pack->driver->name) == pack->driver;
    }
    return all ? common : (struct pack_found){.driver = NULL};
}

/* Assigns the line's common protocol to a pack that did not answer: it will be polled, and answers
 * once it wakes up. If the line has no common protocol, the pack is left to the next search. */
static void assume_common_protocol(struct pack_search *search, const struct pack_config *pack)
{
    const struct pack_found like = common_of_the_line(search);
    const int address = pack->given_address;
    if (address < 0 || !like.driver || !bms_has_address(like.driver) ||
        address < like.driver->address.min || address > like.driver->address.max) {
        log_warn("pack %s: not found on line %s; a restart searches again", pack->name,
                 search->line->name);
        return;
    }
    store_found(search, pack, &like, address);
    log_warn("pack %s: nothing answers at address %d of line %s; polling it with protocol %s, like "
             "the others there",
             pack->name, address, search->line->name, like.driver->name);
}

static void assign_all(struct pack_search *search)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (const struct pack_config *pack = NULL; (pack = next_open(search, pack));) {
            if ((pack->given_address < 0) != (pass == 1))
                continue;
            struct pack_found *found = find_unassigned(search, pack->given_address);
            if (!found) {
                assume_common_protocol(search, pack);
                continue;
            }
            found->taken = true;
            store_found(search, pack, found, found->address);
            char rate[32] = "", address[32] = "";
            /* A serial server has its own baud rate. */
            if (strncmp(pack->line->port, "serial:", 7) == 0)
                snprintf(rate, sizeof rate, " at %u baud", found->baud);
            if (bms_has_address(found->driver))
                snprintf(address, sizeof address, ", address %d", found->address);
            log_info("pack %s: found protocol %s%s%s", pack->name, found->driver->name, rate,
                     address);
        }
}

static void on_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct pack_search *search = timer->data;
    search_free(search->search);
    search->search = NULL;
    assign_all(search);
    search->finished = true;
    search->found(search->data);
}

/* Adds a BMS that was found. A protocol without addresses cannot be one of several packs. */
static void add_found(struct pack_search *search, const struct search_found *found)
{
    unsigned without;
    const bool several = count_open(search, &without) + search->given > 1;
    if (search->count == PACK_SEARCH_MOST || (several && !bms_has_address(found->driver)))
        return;
    const int address = bms_address_of(found->driver, found->options.address);
    /* What answers at the address of a pack with a configured protocol is that pack. */
    for (unsigned i = 0; i < search->config->pack_count; i++) {
        const struct pack_config *pack = &search->config->packs[i];
        if (is_configured_on(pack, search->line) &&
            bms_address_of(pack->driver, pack->options.address) == address)
            return;
    }
    search->list[search->count++] = (struct pack_found){
        .driver = found->driver,
        .address = address,
        .variant = found->options.variant,
        .baud = found->baud,
    };
}

static void on_found(void *data, const struct search_found *found)
{
    struct pack_search *search = data;
    add_found(search, found);
    unsigned wanted = 0;
    for (const struct pack_config *pack = NULL; (pack = next_open(search, pack)); wanted++)
        if (pack->given_address >= 0 && !find_unassigned(search, pack->given_address))
            return;
    if (search->count >= wanted)
        ev_timer_start(search->loop, &search->over);
}

static void on_done(void *data, const struct search_found *found, const char *why)
{
    struct pack_search *search = data;
    if (found)
        add_found(search, found);
    /* The packs with a configured protocol need their line back. */
    if (search->count > 0 || (search->given > 0 && search->search &&
                              search_heard(search->search) != SEARCH_HEARD_CLOSED)) {
        ev_timer_start(search->loop, &search->over);
        return;
    }
    if (!why)
        why = "the device that answered has no address; several packs on a line need addresses";
    for (const struct pack_config *pack = NULL;
         !search->reported && (pack = next_open(search, pack));)
        log_warn("pack %s: %s: %s; still searching", pack->name, search->line->port, why);
    search->reported = true;
    timer_restart(search->loop, &search->again, AGAIN_S);
}

static void begin_search(struct pack_search *search)
{
    static const struct search_events events = {.found = on_found, .done = on_done};
    struct search_only only = {.count = 0};
    unsigned without;
    const unsigned count = count_open(search, &without);
    for (const struct pack_config *pack = NULL;
         without == 0 && only.count < SEARCH_ADDRESSES && (pack = next_open(search, pack));)
        only.addresses[only.count++] = pack->given_address;
    search->given = pack_search_count_given(search->config, search->line);
    search_free(search->search);
    search->search =
        search_new(search->loop, search->line,
                   count == 1 && without == 1 && search->given == 0 ? SEARCH_FIRST : SEARCH_ALL,
                   &only, &events, search);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    begin_search(timer->data);
}

struct pack_search *pack_search_new(struct ev_loop *loop, const struct config *config,
                                    const struct line_config *line, struct kept *kept,
                                    void (*found)(void *data), void *data)
{
    struct pack_search *search = alloc_zeroed(1, sizeof *search);
    search->loop = loop;
    search->config = config;
    search->line = line;
    search->kept = kept;
    search->found = found;
    search->data = data;
    ev_init(&search->again, on_again);
    ev_timer_init(&search->over, on_over, 0, 0);
    search->again.data = search->over.data = search;
    begin_search(search);
    return search;
}

void pack_search_free(struct pack_search *search)
{
    if (!search)
        return;
    ev_timer_stop(search->loop, &search->again);
    ev_timer_stop(search->loop, &search->over);
    search_free(search->search);
    free(search);
}
