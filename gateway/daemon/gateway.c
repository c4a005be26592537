// SPDX-License-Identifier: MIT
#include "gateway.h"

#include "systemd.h"

#include "control/control.h"
#include "modbus/push.h"
#include "modbus/served.h"
#include "outlets/outlets.h"
#include "packs/pack_search.h"
#include "packs/packs.h"
#include "packs/polling.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"
#include "base/timer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STALE_LATER_S 0.001 /* s, because a timer that fires early would find the values fresh */
/* s of silence until a pack that `protocol = auto` found earlier is searched again */
#define DOUBT_S 60.0

struct gateway {
    struct config *config;
    struct ev_loop *loop;
    struct polling *polling;
    struct packs *packs;
    struct served *served;
    struct pushes *pushes;
    struct outlets *outlets;  /* NULL: not started yet */
    struct overview overview; /* of all parts, for `control` */
    struct control *control;  /* NULL: not started yet */
    char words[STATUS_WORDS]; /* the last status sent to the service manager */
    double searched_at;       /* when the packs of this configuration were created (clock_now) */
    struct pack_search **searches; /* one per line; NULL: the line is not searched (any more) */
    struct kept *kept;
    char state_file[PORT_SIZE]; /* as configured at the start */
    struct saver saver;
    ev_timer second, found;
    ev_timer stale; /* fires when the first fresh values become stale */
    struct late_turn_watcher watcher;
};

static void on_published(void *data, struct poller *poller, double now)
{
    struct gateway *gateway = data;
    packs_published(gateway->packs, poller, now);
}

static const struct line_events line_events = {.published = on_published};

/* Values that become stale are reported at that moment, not at the next tick. */
static void watch_staleness(struct gateway *gateway, double now)
{
    const double next = packs_next_stale(gateway->packs);
    if (isinf(next))
        ev_timer_stop(gateway->loop, &gateway->stale);
    else
        timer_restart(gateway->loop, &gateway->stale, fmax(next - now, 0) + STALE_LATER_S);
}

static void on_stale(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct gateway *gateway = timer->data;
    const double now = clock_now();
    if (packs_next_stale(gateway->packs) < now)
        packs_tick(gateway->packs, now);
    watch_staleness(gateway, now);
}

/* Packs that were found earlier keep their protocol and address. */
static void recall_packs(struct gateway *gateway, struct config *config)
{
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct kept_entry *kept = kept_get(gateway->kept, config->packs[i].name);
        if (config->packs[i].automatic)
            pack_search_recall(config, &config->packs[i], kept);
    }
}

/* Marks the lines to search instead of polling them. A reload does not repeat a search: the line's
 * other packs would have to wait. */
static void mark_searches(const struct config *old, struct config *config)
{
    for (unsigned i = 0; i < config->line_count; i++) {
        struct line_config *line = &config->lines[i];
        for (unsigned o = 0; old && o < old->line_count; o++)
            if (strcmp(old->lines[o].name, line->name) == 0 &&
                strcmp(old->lines[o].port, line->port) == 0)
                line->searched |= old->lines[o].searched;
        line->searching = pack_search_is_due(config, line);
    }
}

static void end_searches(struct gateway *gateway)
{
    for (unsigned i = 0; gateway->searches && i < gateway->config->line_count; i++)
        pack_search_free(gateway->searches[i]);
    free(gateway->searches);
    gateway->searches = NULL;
}

/* Reloads the same configuration, now with the packs that were found. Runs from the loop, after
 * the search's own callback has returned. */
static void on_found(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct gateway *gateway = timer->data;
    struct config *config = gateway->config;
    for (unsigned i = 0; gateway->searches && i < config->line_count; i++)
        if (gateway->searches[i] && gateway->searches[i]->finished)
            config->lines[i].searched = gateway->searches[i]->given > 0;
    gateway_reload(gateway, config);
}

static void note_found(void *data)
{
    struct gateway *gateway = data;
    ev_timer_start(gateway->loop, &gateway->found);
}

static void search_packs(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    gateway->searches = alloc_zeroed(config->line_count, sizeof *gateway->searches);
    for (unsigned i = 0; i < config->line_count; i++)
        if (config->lines[i].searching)
            gateway->searches[i] = pack_search_new(gateway->loop, config, &config->lines[i],
                                                   gateway->kept, note_found, gateway);
}

static bool has_answered(const struct gateway *gateway, const struct line_config *line)
{
    for (unsigned i = 0; i < gateway->config->pack_count; i++) {
        const struct poller *poller = gateway->polling->pollers[i];
        if (gateway->config->packs[i].line == line && poller &&
            !isnan(poller->presence.last_answer))
            return true;
    }
    return false;
}

/* Packs that were found before this start and do not answer now are searched again: the BMS may be
 * another one. */
static void doubt_found_packs(struct gateway *gateway, double now)
{
    for (unsigned i = 0; i < gateway->config->pack_count; i++) {
        const struct pack_config *pack = &gateway->config->packs[i];
        /* If one pack of a line answers, the line's packs are still the same; so are packs with a
         * configured protocol. */
        if (!pack->automatic || pack_search_count_given(gateway->config, pack->line) > 0 ||
            pack_search_is_open(pack) || has_answered(gateway, pack->line) ||
            now - gateway->searched_at < DOUBT_S)
            continue;
        log_warn("pack %s: %s was found earlier but does not answer now; searching again",
                 pack->name, pack->driver->name);
        pack_search_forget(kept_get(gateway->kept, pack->name));
        ev_timer_start(gateway->loop, &gateway->found);
    }
}

static void tick(struct gateway *gateway, double now)
{
    packs_tick(gateway->packs, now);
    outlets_tick(gateway->outlets);
    watch_staleness(gateway, now);
    doubt_found_packs(gateway, now);
    char words[STATUS_WORDS];
    status_words(&gateway->overview, now, words);
    if (strcmp(words, gateway->words) == 0)
        return;
    memcpy(gateway->words, words, sizeof words);
    char state[STATUS_WORDS + 8];
    snprintf(state, sizeof state, "STATUS=%s", words);
    systemd_notify(state);
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    tick(timer->data, clock_now());
}

/* Values that were fresh before may be stale now: the timer did not run while the host slept. */
static void on_late_turn(void *data, double since, double now)
{
    log_warn("held up for %.0f s: the host slept, or this process was stopped or got no CPU time. "
             "Clients are disconnected, and orders from that time are discarded",
             now - since);
    tick(data, now);
}

static void take_up_kept(struct gateway *gateway, struct config *config)
{
    const time_t wall = time(NULL);
    struct tm local;
    kept_take_up(gateway->kept, config, localtime_r(&wall, &local));
    recall_packs(gateway, config);
}

struct gateway *gateway_new(struct ev_loop *loop, struct config *config,
                            const struct config_file *file, const struct overview_host *host)
{
    struct gateway *gateway = alloc_zeroed(1, sizeof *gateway);
    gateway->loop = loop;
    gateway->overview.file = file;
    gateway->overview.host = host;
    snprintf(gateway->state_file, sizeof gateway->state_file, "%s", config->gateway.state_file);
    ev_timer_init(&gateway->found, on_found, 0, 0);
    gateway->found.data = gateway;
    gateway->kept = kept_load(gateway->state_file);
    gateway->config = config;
    gateway->searched_at = clock_now();
    take_up_kept(gateway, config);
    /* A start searches again for packs that were not found last time: all packs of such a line are searched. */
    for (unsigned i = 0; i < config->pack_count; i++)
        for (unsigned n = 0; pack_search_is_open(&config->packs[i]) && n < config->pack_count; n++)
            if (config->packs[n].line == config->packs[i].line)
                pack_search_forget(kept_get(gateway->kept, config->packs[n].name));
    recall_packs(gateway, config);
    mark_searches(NULL, config);
    gateway->polling = polling_new(NULL, loop, config, NULL, &line_events, gateway);
    gateway->packs = packs_new(gateway->kept, gateway->searched_at);
    packs_renew(gateway->packs, gateway->polling, gateway->searched_at);
    gateway->served = served_new(loop, gateway->packs, clock_now());
    gateway->pushes = pushes_new(loop, gateway->packs);
    if (!served_listen(gateway->served, config)) {
        gateway_free(gateway);
        return NULL;
    }
    gateway->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = gateway};
    late_turn_watch(loop, &gateway->watcher);
    served_apply(gateway->served, config);
    return gateway;
}

void gateway_start(struct gateway *gateway)
{
    ev_timer_init(&gateway->second, on_second, 1, 1);
    gateway->second.data = gateway;
    ev_timer_start(gateway->loop, &gateway->second);
    ev_init(&gateway->stale, on_stale);
    gateway->stale.data = gateway;
    saver_start(&gateway->saver, gateway->loop, gateway->kept, gateway->state_file);
    polling_start(gateway->polling);
    search_packs(gateway);
    gateway->outlets = outlets_new(gateway->loop, gateway->packs, gateway->kept);
    gateway->overview.server = served_server(gateway->served);
    gateway->overview.packs = gateway->packs;
    gateway->overview.outlets = gateway->outlets;
    gateway->overview.polling = gateway->polling;
    gateway->overview.pushes = gateway->pushes;
    gateway->control = control_new(gateway->loop, &gateway->overview);
    outlets_serve(gateway->outlets, control_asked, gateway->control);
}

bool gateway_reload(struct gateway *gateway, struct config *config)
{
    if (!served_listen(gateway->served, config))
        return false;
    end_searches(gateway);
    take_up_kept(gateway, config);
    mark_searches(gateway->config, config);
    gateway->polling =
        polling_new(gateway->polling, gateway->loop, config, NULL, &line_events, gateway);
    pushes_free(gateway->pushes);
    gateway->config = config;
    gateway->searched_at = clock_now();
    packs_renew(gateway->packs, gateway->polling, gateway->searched_at);
    gateway->pushes = pushes_new(gateway->loop, gateway->packs);
    served_apply(gateway->served, config);
    polling_start(gateway->polling);
    search_packs(gateway);
    gateway->overview.polling = gateway->polling;
    gateway->overview.pushes = gateway->pushes;
    control_renew(gateway->control);
    return true;
}

unsigned gateway_port(const struct gateway *gateway, unsigned index)
{
    return server_port(served_server(gateway->served), index);
}

void gateway_free(struct gateway *gateway)
{
    ev_timer_stop(gateway->loop, &gateway->second);
    ev_timer_stop(gateway->loop, &gateway->stale);
    late_turn_unwatch(gateway->loop, &gateway->watcher);
    ev_timer_stop(gateway->loop, &gateway->found);
    end_searches(gateway);
    if (gateway->outlets)
        outlets_serve(gateway->outlets, NULL, NULL);
    control_free(gateway->control);
    /* Lines first: an order under way ends there, and the server reports that to its client. */
    polling_free(gateway->polling);
    pushes_free(gateway->pushes);
    served_free(gateway->served);
    outlets_free(gateway->outlets);
    packs_free(gateway->packs);
    saver_stop(&gateway->saver);
    kept_free(gateway->kept);
    free(gateway);
}
