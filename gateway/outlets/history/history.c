// SPDX-License-Identifier: MIT
/*
 * The outlet `history`: stores rows of ten seconds, minutes, hours and days, and events, in a
 * database. Rows are computed in memory and written every `commit`, because each commit costs a
 * memory card some hundred pages.
 */
#include "outlets/outlet.h"
#include "past/checkup.h"
#include "commands.h"
#include "past/query.h"
#include "past/rows.h"
#include "store.h"

#include "config/outlet_config.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>

#define PRUNE_EVERY_S 0.2    /* seconds between two steps of deleting, after a commit */
#define CHECKUP_S 2.0        /* seconds between two packs and days, after a commit */
#define PRUNE_PAUSE_S 3600.0 /* deleting writes as well; whole pages of old rows cost little */

/* A pack or a bank. */
struct remembered {
    struct history_series series;
    bool fresh, known;
};

struct history {
    struct outlet *outlet;
    struct store *store;
    struct remembered *packs;
    unsigned count;
    ev_timer commit, prune, checkup;
    unsigned checking; /* the pack whose health is checked next */
    uint32_t written;  /* commits that were good */
    bool failing;      /* the last one was not */
    double began_at, pruned_at;
    double heard; /* time of day up to which all polls were received; 0: unknown yet */
    struct steady steady;
    const char *naming; /* name of the pack whose rows are being kept */
};

static const struct history_config *config_of(const struct history *history)
{
    return outlet_config(history->outlet)->settings;
}

static void keep_row(void *data, enum history_level level, const struct history_row *row)
{
    struct history *history = data;
    store_row(history->store, history->naming, level, row);
}

static void note_event(struct history *history, const char *pack, const char *kind,
                       const char *name, int level, const char *text)
{
    store_event(history->store, &(struct store_event){(int64_t) floor(clock_wall()), pack, kind,
                                                      name, level, text});
}

static void on_changed(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
    struct history *history = self;
    const struct source *source = &pack->source;
    struct remembered *remembered = &history->packs[pack->index];
    const bool fresh = outlet_fresh(history->outlet, pack, now);
    history->naming = source->name;
    if (!(changes & SOURCE_PUBLISHED) && pack->last.wall > 0)
        history->heard = pack->last.wall;
    if (fresh != remembered->fresh && remembered->known)
        note_event(history, source->name, fresh ? "back" : "stale", NULL, EVENT_NO_LEVEL, NULL);
    remembered->known |= fresh;
    remembered->fresh = fresh;
    if (!fresh)
        history_silent(&remembered->series);
    if (fresh && changes & SOURCE_PUBLISHED) {
        /* A change between warning and protection is an event as well. The end carries the last level. */
        const struct alarms told = remembered->series.alarms;
        const struct alarms after = alarms_after(told, source->values, source->status.bms);
        const uint32_t changed = alarms_changed(told, after);
        for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++) {
            const int level = alarms_level(after, alarm);
            if (changed >> alarm & 1)
                note_event(history, source->name, "alarm", pack_alarm_name((enum pack_alarm) alarm),
                           level ? level : alarms_level(told, alarm), level ? "on" : "off");
        }
        outlet_keep_alarms(history->outlet, source->name, after);
        history_add(&remembered->series, source->values, &source->status, pack->last.wall, keep_row,
                    history);
    } else {
        history_pass(&remembered->series, clock_wall(), keep_row, history);
    }
}

static void on_ordered(void *self, const struct outlet_pack *pack,
                       const struct order_report *report)
{
    struct history *history = self;
    char switches[SWITCHES_TEXT];
    note_event(history, pack->source.name, "switched", switches_format(&report->ordered, switches),
               report->result == ORDER_DONE, report->from);
}

/* Intervals that were over by `heard` have all their polls. The first commit does not claim that:
 * the process before may still be writing its last rows. */
static void commit(struct history *history, bool all)
{
    const double wall = clock_wall();
    if (history->heard > 0)
        store_complete(history->store,
                       history_start(LEVEL_RECENT, (int64_t) floor(history->heard)));
    for (unsigned i = 0; i < history->count; i++) {
        history->naming = outlet_pack(history->outlet, i)->source.name;
        history_pass(&history->packs[i].series, wall, keep_row, history);
        history_flush(&history->packs[i].series, all, keep_row, history);
    }
    const bool written = store_commit(history->store);
    history->written += written;
    history->failing = !written;
    outlet_report(history->outlet); /* a reader may wait for it */
}

static void report_history(void *self, struct pipe_report *report)
{
    const struct history *history = self;
    report->connected = !history->failing;
    report->sent = history->written;
    report->queued = history->failing ? (uint32_t) store_waiting(history->store) : 0;
    report->failed = store_failures(history->store);
    snprintf(report->words, sizeof report->words, "%s",
             history->failing ? "cannot be written" : "");
}

/* A reader asked for a commit. */
static void commit_asked(void *self)
{
    commit(self, false);
}

/* The first commit comes soon after the start, each further one after twice the time, up to
 * `commit`: a process that is killed again and again has written at least half of its time. */
static void on_commit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct history *history = timer->data;
    commit(history, false);
    timer->repeat = fmin(clock_now() - history->began_at, config_of(history)->commit_s);
    ev_timer_again(loop, timer);
    ev_timer_again(loop, &history->checkup);
    if (clock_now() - history->pruned_at < PRUNE_PAUSE_S)
        return;
    history->pruned_at = clock_now();
    ev_timer_again(loop, &history->prune);
}

/* Checks one day of one pack at a time, which takes some ten milliseconds. */
static void on_checkup(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct history *history = timer->data;
    char why[200];
    struct query *query = query_open(config_of(history)->file, why, sizeof why);
    bool done = false;
    while (query && !done && history->checking < history->count) {
        const char *pack = outlet_pack(history->outlet, history->checking)->source.name;
        const int64_t due = checkup_due(query, pack, (int64_t) floor(clock_wall()));
        struct health_day day;
        done =
            due && checkup_day(query, pack, due, &day) && store_health(history->store, pack, &day);
        history->checking += !done;
    }
    query_close(query);
    if (done)
        return;
    history->checking = 0;
    ev_timer_stop(loop, timer);
}

static void on_prune(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct history *history = timer->data;
    const double wall = clock_wall();
    if (!steady_clock(&history->steady, wall, clock_now()) ||
        !store_prune(history->store, (int64_t) floor(wall)))
        ev_timer_stop(loop, timer);
}

static void end_history(void *self)
{
    store_free(((struct history *) self)->store);
}

static void *start_history(struct outlet *outlet)
{
    struct history *history = alloc_zeroed(1, sizeof *history);
    history->outlet = outlet;
    history->count = outlet_config(outlet)->pack_count;
    const struct history_config *config = config_of(history);
    const int64_t keep_s[LEVEL_DAY] = {[LEVEL_RECENT] = (int64_t) config->recent_s,
                                       [LEVEL_MINUTE] = (int64_t) config->minutes_s,
                                       [LEVEL_HOUR] = (int64_t) config->hours_s};
    history->packs = alloc_zeroed(history->count, sizeof *history->packs);
    history->store = store_new(config->file, keep_s);
    for (unsigned i = 0; i < history->count; i++) {
        history_series_init(&history->packs[i].series);
        history->packs[i].series.alarms =
            outlet_alarms(outlet, outlet_pack(outlet, i)->source.name);
    }
    ev_timer_init(&history->commit, on_commit, RECENT_S, RECENT_S);
    ev_init(&history->prune, on_prune);
    ev_init(&history->checkup, on_checkup);
    history->checkup.repeat = CHECKUP_S;
    history->prune.repeat = PRUNE_EVERY_S;
    history->commit.data = history->prune.data = history->checkup.data = history;
    history->began_at = clock_now();
    history->pruned_at = -PRUNE_PAUSE_S;
    ev_timer_start(outlet_loop(outlet), &history->commit);
    note_event(history, NULL, "started", NULL, EVENT_NO_LEVEL, PACKGATE_VERSION);
    /* Creates the file for readers, and reports a configuration mistake at once. */
    commit(history, false);
    steady_begin(&history->steady, clock_wall(), clock_now(),
                 (double) store_newest(history->store));
    return history;
}

static void stop_history(void *self, bool gone)
{
    struct history *history = self;
    commit(history, true);
    outlet_over(history->outlet);
}

static const struct outlet_command commands[] = {
    {"export", history_export}, {"simulate", history_simulate}, {NULL, NULL}};

const struct outlet_kind outlet_history = {
    .name = "history",
    .settings_size = sizeof(struct history_config),
    .start = start_history,
    .changed = on_changed,
    .ordered = on_ordered,
    .report = report_history,
    .stop = stop_history,
    .commit = commit_asked,
    .end = end_history,
    .commands = commands,
};
