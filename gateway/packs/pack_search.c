// SPDX-License-Identifier: MIT
/* `protocol = auto`. */
#include "pack_search.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_S 10.0 /* between two searches; each takes some 20 s */

bool pack_search_is_open(const struct pack_config *pack)
{
    return pack->driver == &automatic_driver;
}

/* The state file counts variants as version 0.1.0 did, so that one version reads what the other has written. Daly had no
 * `auto` in front of the others then. */
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

static void take(struct line_config *line, struct pack_config *pack,
                 const struct bms_driver *driver, const struct kept_entry *kept)
{
    pack->driver = driver;
    pack->options.address = kept->address;
    pack->options.variant = variant_of(driver, kept->variant);
    if (!line->baud)
        line->baud = (unsigned) kept->baud;
}

static void make_open(struct line_config *line, struct pack_config *pack,
                      const struct kept_entry *kept)
{
    pack->driver = &automatic_driver;
    pack->options.address = pack->given_address;
    pack->options.variant = 0;
    if (line->baud == (unsigned) kept->baud)
        line->baud = line->given_baud;
}

void pack_search_recall(struct config *config, struct pack_config *pack,
                        const struct kept_entry *kept)
{
    const struct bms_driver *driver = bms_driver_find(kept->protocol);
    struct line_config *line = &config->lines[pack->line - config->lines];
    /* The file may name another address by now. */
    if (driver && bms_has_address(driver) && pack->given_address >= 0 &&
        pack->given_address != kept->address)
        driver = NULL;
    if (pack_search_is_open(pack) && driver)
        take(line, pack, driver, kept);
    else if (!pack_search_is_open(pack) && !driver)
        make_open(line, pack, kept);
}

void pack_search_forget(struct kept_entry *kept)
{
    kept->protocol[0] = '\0';
}

static bool is_open_on(const struct pack_config *pack, const struct line_config *line)
{
    return pack->line == line && pack_search_is_open(pack);
}

static bool is_given_on(const struct pack_config *pack, const struct line_config *line)
{
    return pack->line == line && !pack->automatic;
}

unsigned pack_search_count_given(const struct config *config, const struct line_config *line)
{
    unsigned count = 0;
    for (unsigned i = 0; i < config->pack_count; i++)
        count += is_given_on(&config->packs[i], line);
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

/* How many packs are to be found, and how many of them have no address. */
static unsigned count_open(const struct pack_search *search, unsigned *without)
{
    unsigned count = 0;
    *without = 0;
    for (unsigned i = 0; i < search->config->pack_count; i++) {
        const struct pack_config *pack = &search->config->packs[i];
        if (!is_open_on(pack, search->line))
            continue;
        count++;
        *without += pack->given_address < 0;
    }
    return count;
}

/* What was found at an address and belongs to nobody yet; NULL: nothing. */
static struct pack_found *found_at(struct pack_search *search, int address)
{
    for (unsigned i = 0; i < search->count; i++)
        if (!search->list[i].taken && search->list[i].address == address)
            return &search->list[i];
    return NULL;
}

/* The one with the lowest address that belongs to nobody yet; NULL: none. */
static struct pack_found *lowest(struct pack_search *search)
{
    struct pack_found *first = NULL;
    for (unsigned i = 0; i < search->count; i++)
        if (!search->list[i].taken && (!first || search->list[i].address < first->address))
            first = &search->list[i];
    return first;
}

static bool has_all(struct pack_search *search)
{
    unsigned without, missing = 0, spare = search->count;
    count_open(search, &without);
    for (unsigned i = 0; i < search->config->pack_count; i++) {
        const struct pack_config *pack = &search->config->packs[i];
        if (!is_open_on(pack, search->line) || pack->given_address < 0)
            continue;
        const bool there = found_at(search, pack->given_address) != NULL;
        missing += !there;
        spare -= there;
    }
    return missing == 0 && spare >= without;
}

/* ---- what was found becomes the packs ---- */

static void keep(struct pack_search *search, const struct pack_config *pack,
                 const struct pack_found *found, int address)
{
    struct kept_entry *kept = kept_get(search->kept, pack->name);
    if (!kept)
        return;
    snprintf(kept->protocol, sizeof kept->protocol, "%s", found->driver->name);
    kept->address = address;
    kept->variant = kept_number(found->driver, found->variant);
    kept->baud = (int) found->baud;
}

static void assign(struct pack_search *search, const struct pack_config *pack,
                   struct pack_found *found)
{
    found->taken = true;
    keep(search, pack, found, found->address);
    char rate[32] = "", address[32] = "";
    if (strncmp(pack->line->port, "serial:", 7) == 0) /* a serial server has its own */
        snprintf(rate, sizeof rate, " at %u baud", found->baud);
    if (bms_has_address(found->driver))
        snprintf(address, sizeof address, ", address %d", found->address);
    log_info("pack %s: found protocol %s%s%s", pack->name, found->driver->name, rate, address);
}

/* What all of the line speak, found or given. Its driver is NULL: they differ, there is none, or it reads by a file of
 * its own. */
static struct pack_found common_of_the_line(const struct pack_search *search)
{
    struct pack_found common = {.driver = NULL};
    for (unsigned i = 0; i < search->count; i++) {
        if (common.driver && common.driver != search->list[i].driver)
            return (struct pack_found){.driver = NULL};
        if (!common.driver)
            common = search->list[i];
    }
    for (unsigned i = 0; i < search->config->pack_count; i++) {
        const struct pack_config *pack = &search->config->packs[i];
        if (!is_given_on(pack, search->line))
            continue;
        if (bms_driver_find(pack->driver->name) != pack->driver ||
            (common.driver && common.driver != pack->driver))
            return (struct pack_found){.driver = NULL};
        if (!common.driver)
            common = (struct pack_found){.driver = pack->driver,
                                         .variant = pack->options.variant,
                                         .baud = search->line->baud ? search->line->baud
                                                                    : pack->driver->line.baud};
    }
    return common;
}

/* Packs of one bus mostly speak the same: it is asked as the others are, and answers when it wakes
 * up. Where they do not, it is left to the next search. */
static void assume(struct pack_search *search, const struct pack_config *pack)
{
    const struct pack_found common = common_of_the_line(search), *like = &common;
    const bool fits = like->driver && pack->given_address >= like->driver->address_min &&
                      pack->given_address <= like->driver->address_max;
    if (pack->given_address < 0 || !like->driver || !bms_has_address(like->driver) || !fits) {
        log_warn("pack %s: nothing was found for it on line %s; a restart searches again",
                 pack->name, search->line->name);
        return;
    }
    keep(search, pack, like, pack->given_address);
    log_warn("pack %s: nothing answers at address %d of line %s; it is asked with protocol %s, as "
             "the others there are",
             pack->name, pack->given_address, search->line->name, like->driver->name);
}

static void assign_all(struct pack_search *search)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < search->config->pack_count; i++) {
            const struct pack_config *pack = &search->config->packs[i];
            if (!is_open_on(pack, search->line) || (pack->given_address < 0) != (pass == 1))
                continue;
            struct pack_found *found =
                pack->given_address >= 0 ? found_at(search, pack->given_address) : lowest(search);
            if (found)
                assign(search, pack, found);
            else
                assume(search, pack);
        }
}

static void finish(struct pack_search *search)
{
    search_free(search->search);
    search->search = NULL;
    assign_all(search);
    search->finished = true;
    search->found(search->data);
}

static void on_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    finish(timer->data);
}

/* Whether it is the address of a pack whose protocol is given: whatever answers there is that one. */
static bool is_given_address(const struct pack_search *search, int address)
{
    for (unsigned i = 0; i < search->config->pack_count; i++) {
        const struct pack_config *pack = &search->config->packs[i];
        const int own = pack->options.address;
        if (is_given_on(pack, search->line) &&
            (own >= 0 ? own : pack->driver->address_default) == address)
            return true;
    }
    return false;
}

/* One without addresses cannot be one of several. */
static void add(struct pack_search *search, const struct search_found *found)
{
    unsigned without;
    const bool several = count_open(search, &without) + search->given > 1;
    if (search->count == PACK_SEARCH_MOST || (several && !bms_has_address(found->driver)))
        return;
    const int own = found->options.address;
    const int address = own >= 0 ? own : found->driver->address_default;
    if (is_given_address(search, address))
        return;
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
    add(search, found);
    if (has_all(search))
        ev_timer_start(search->loop, &search->over);
}

static void report_nothing(struct pack_search *search, const char *why)
{
    if (search->reported)
        return;
    search->reported = true;
    for (unsigned i = 0; i < search->config->pack_count; i++)
        if (is_open_on(&search->config->packs[i], search->line))
            log_warn("pack %s: %s: %s; searching on", search->config->packs[i].name,
                     search->line->port, why);
}

static void on_done(void *data, const struct search_found *found, const char *why)
{
    struct pack_search *search = data;
    if (found)
        add(search, found);
    /* The packs that are given want their line back. */
    if (search->count > 0 ||
        (search->given > 0 && search->search && search_has_asked(search->search))) {
        ev_timer_start(search->loop, &search->over);
        return;
    }
    report_nothing(search,
                   why ? why : "what answered has no address, as one of several packs must");
    ev_timer_set(&search->again, AGAIN_S, 0);
    ev_timer_start(search->loop, &search->again);
}

static void begin(struct pack_search *search)
{
    static const struct search_events events = {.found = on_found, .done = on_done};
    struct search_only only = {.count = 0};
    unsigned without;
    const unsigned count = count_open(search, &without);
    for (unsigned i = 0; without == 0 && i < search->config->pack_count; i++)
        if (is_open_on(&search->config->packs[i], search->line) && only.count < SEARCH_ADDRESSES)
            only.addresses[only.count++] = search->config->packs[i].given_address;
    search->given = pack_search_count_given(search->config, search->line);
    search_free(search->search);
    search->search =
        search_new(search->loop, search->line,
                   count == 1 && without == 1 && search->given == 0 ? SEARCH_FIRST : SEARCH_ALL,
                   &only, &events, search);
    if (!search->search) {
        ev_timer_set(&search->again, AGAIN_S, 0);
        ev_timer_start(search->loop, &search->again);
    }
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    begin(timer->data);
}

struct pack_search *pack_search_new(struct ev_loop *loop, const struct config *config,
                                    const struct line_config *line, struct kept *kept,
                                    void (*found)(void *data), void *data)
{
    struct pack_search *search = calloc(1, sizeof *search);
    if (!search)
        return NULL;
    search->loop = loop;
    search->config = config;
    search->line = line;
    search->kept = kept;
    search->found = found;
    search->data = data;
    ev_init(&search->again, on_again);
    ev_timer_init(&search->over, on_over, 0, 0);
    search->again.data = search->over.data = search;
    begin(search);
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
