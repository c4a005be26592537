// SPDX-License-Identifier: MIT
/* `protocol = auto`. */
#include "pack_search.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define AGAIN_S 10.0 /* between two searches; each takes some 20 s */

bool automatic_is_open(const struct pack_config *pack)
{
    return pack->driver == &automatic_driver;
}

static void take(struct line_config *line, struct pack_config *pack,
                 const struct bms_driver *driver, const struct state_entry *kept)
{
    pack->driver = driver;
    pack->options.address = kept->address;
    pack->options.variant = kept->variant;
    if (!line->baud)
        line->baud = (unsigned) kept->baud;
}

static void make_open(struct line_config *line, struct pack_config *pack,
                      const struct state_entry *kept)
{
    pack->driver = &automatic_driver;
    pack->options.address = -1;
    pack->options.variant = 0;
    if (line->baud == (unsigned) kept->baud)
        line->baud = 0;
}

void automatic_recall(struct config *config, struct pack_config *pack,
                      const struct state_entry *kept)
{
    const struct bms_driver *driver = bms_driver_find(kept->protocol);
    struct line_config *line = &config->lines[pack->line - config->lines];
    if (automatic_is_open(pack) && driver)
        take(line, pack, driver, kept);
    else if (!automatic_is_open(pack) && !driver)
        make_open(line, pack, kept);
}

void automatic_forget(struct state_entry *kept)
{
    kept->protocol[0] = '\0';
}

static void search(struct automatic *automatic);

static void on_done(void *data, const struct prober_found *found, const char *why)
{
    struct automatic *automatic = data;
    if (!found) {
        if (!automatic->reported)
            log_warn("pack %s: %s: %s; searching on", automatic->pack->name,
                     automatic->pack->line->port, why);
        automatic->reported = true;
        ev_timer_set(&automatic->again, AGAIN_S, 0);
        ev_timer_start(automatic->loop, &automatic->again);
        return;
    }
    struct state_entry *kept = automatic->kept;
    snprintf(kept->protocol, sizeof kept->protocol, "%s", found->driver->name);
    kept->address = found->options.address;
    kept->variant = found->options.variant;
    kept->baud = (int) found->baud;
    log_info("pack %s: found protocol %s at %u baud", automatic->pack->name, found->driver->name,
             found->baud);
    automatic->found(automatic->data);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    search(timer->data);
}

static void search(struct automatic *automatic)
{
    static const struct prober_events events = {.done = on_done};
    prober_free(automatic->prober);
    automatic->prober = prober_new(automatic->loop, automatic->pack->line, &events, automatic);
    if (!automatic->prober) {
        ev_timer_set(&automatic->again, AGAIN_S, 0);
        ev_timer_start(automatic->loop, &automatic->again);
    }
}

struct automatic *automatic_new(struct ev_loop *loop, const struct pack_config *pack,
                                struct state_entry *kept, void (*found)(void *data), void *data)
{
    struct automatic *automatic = calloc(1, sizeof *automatic);
    if (!automatic)
        return NULL;
    automatic->loop = loop;
    automatic->pack = pack;
    automatic->kept = kept;
    automatic->found = found;
    automatic->data = data;
    ev_init(&automatic->again, on_again);
    automatic->again.data = automatic;
    search(automatic);
    return automatic;
}

void automatic_free(struct automatic *automatic)
{
    if (!automatic)
        return;
    ev_timer_stop(automatic->loop, &automatic->again);
    prober_free(automatic->prober);
    free(automatic);
}
