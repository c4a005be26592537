// SPDX-License-Identifier: MIT
/* `protocol = auto`. */
#include "pack_search.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define AGAIN_S 10.0 /* between two searches; each takes some 20 s */

bool pack_search_is_open(const struct pack_config *pack)
{
    return pack->driver == &automatic_driver;
}

static void take(struct line_config *line, struct pack_config *pack,
                 const struct bms_driver *driver, const struct kept_entry *kept)
{
    pack->driver = driver;
    pack->options.address = kept->address;
    pack->options.variant = kept->variant;
    if (!line->baud)
        line->baud = (unsigned) kept->baud;
}

static void make_open(struct line_config *line, struct pack_config *pack,
                      const struct kept_entry *kept)
{
    pack->driver = &automatic_driver;
    pack->options.address = -1;
    pack->options.variant = 0;
    if (line->baud == (unsigned) kept->baud)
        line->baud = 0;
}

void pack_search_recall(struct config *config, struct pack_config *pack,
                        const struct kept_entry *kept)
{
    const struct bms_driver *driver = bms_driver_find(kept->protocol);
    struct line_config *line = &config->lines[pack->line - config->lines];
    if (pack_search_is_open(pack) && driver)
        take(line, pack, driver, kept);
    else if (!pack_search_is_open(pack) && !driver)
        make_open(line, pack, kept);
}

void pack_search_forget(struct kept_entry *kept)
{
    kept->protocol[0] = '\0';
}

static void begin(struct pack_search *search);

static void on_done(void *data, const struct search_found *found, const char *why)
{
    struct pack_search *search = data;
    if (!found) {
        if (!search->reported)
            log_warn("pack %s: %s: %s; searching on", search->pack->name, search->pack->line->port,
                     why);
        search->reported = true;
        ev_timer_set(&search->again, AGAIN_S, 0);
        ev_timer_start(search->loop, &search->again);
        return;
    }
    struct kept_entry *kept = search->kept;
    snprintf(kept->protocol, sizeof kept->protocol, "%s", found->driver->name);
    kept->address = found->options.address;
    kept->variant = found->options.variant;
    kept->baud = (int) found->baud;
    log_info("pack %s: found protocol %s at %u baud", search->pack->name, found->driver->name,
             found->baud);
    search->found(search->data);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    begin(timer->data);
}

static void begin(struct pack_search *search)
{
    static const struct search_events events = {.done = on_done};
    search_free(search->search);
    search->search = search_new(search->loop, search->pack->line, SEARCH_FIRST, &events, search);
    if (!search->search) {
        ev_timer_set(&search->again, AGAIN_S, 0);
        ev_timer_start(search->loop, &search->again);
    }
}

struct pack_search *pack_search_new(struct ev_loop *loop, const struct pack_config *pack,
                                    struct kept_entry *kept, void (*found)(void *data), void *data)
{
    struct pack_search *search = calloc(1, sizeof *search);
    if (!search)
        return NULL;
    search->loop = loop;
    search->pack = pack;
    search->kept = kept;
    search->found = found;
    search->data = data;
    ev_init(&search->again, on_again);
    search->again.data = search;
    begin(search);
    return search;
}

void pack_search_free(struct pack_search *search)
{
    if (!search)
        return;
    ev_timer_stop(search->loop, &search->again);
    search_free(search->search);
    free(search);
}
