// SPDX-License-Identifier: MIT
/*
 * The outlet `notify`: checks each pack once a second and with each change, and sends messages
 * about events, one after the other. The state file notes what was reported, so that a restarted
 * process neither repeats it nor omits its end.
 */
#include "events.h"
#include "report.h"
#include "request.h"
#include "sender.h"

#include "past/checkup.h"
#include "past/rows.h"
#include "outlets/outlet.h"
#include "outlets/rights.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TALLY_TICKS 600   /* seconds between two notes of the day's tally */
#define LATE_S (2 * 3600) /* a later report is useless */
#define LAST_S 3.0        /* time for the last messages at the end */

struct notify_pack {
    struct outlet_pack *pack;
    struct events events;
    struct tally tally; /* of a section with reports */
};

struct notify {
    struct outlet *outlet;
    const struct notify_config *config;
    struct notify_pack *packs;
    unsigned pack_count;
    struct delivery delivery;
    struct parcel *sending;
    struct sender *sender;
    const char *name;
    char gateway[TITLE_SIZE], words[128];
    bool failing; /* it was told */
    bool ending;
    double started; /* clock */
    double looked;  /* the same */
    double since;   /* Unix seconds: reports due before are not sent */
    unsigned ticks;
    ev_timer farewell;
};

static int local_day(double time)
{
    return (int) history_day((int64_t) time);
}

#define NOTE_DAY (WATCHES + 1) /* WATCHES itself: the day on which it was full */

static void note_key(const struct notify_pack *pack, unsigned note, char key[PIPE_KEY_SIZE])
{
    snprintf(key, PIPE_KEY_SIZE, "%s.%s", pack->pack->source.name,
             note == NOTE_DAY ? "day" : events_watch_name(note));
}

static void note_watch(struct notify *notify, const struct notify_pack *pack, unsigned watch)
{
    char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE];
    note_key(pack, watch, key);
    if (watch == WATCHES) {
        snprintf(text, sizeof text, "%d", pack->events.full_day);
        outlet_keep(notify->outlet, key, text);
        return;
    }
    const bool keep = events_note(&pack->events.watches[watch], clock_now(), clock_wall(),
                                  notify->config->repeat_s, text, sizeof text);
    outlet_keep(notify->outlet, key, keep ? text : NULL);
}

static void send_next(struct notify *notify)
{
    if (notify->sending)
        return;
    notify->sending = delivery_next(&notify->delivery, clock_now());
    if (notify->sending)
        sender_send(notify->sender, &notify->sending->message);
}

static void report_notify(void *self, struct pipe_report *report)
{
    const struct notify *notify = self;
    report->connected = !notify->failing;
    report->sent = notify->delivery.sent;
    report->dropped = notify->delivery.dropped;
    report->failed = notify->delivery.failed;
    report->queued = notify->delivery.count;
    snprintf(report->words, sizeof report->words, "%s", notify->words);
}

static void on_sent(void *data, enum outcome outcome, const char *why)
{
    struct notify *notify = data;
    struct parcel *parcel = notify->sending;
    char title[MESSAGE_TITLE_SIZE];
    double pause_s = 0;
    const unsigned pack = parcel->pack, watch = parcel->watch;
    snprintf(title, sizeof title, "%s", parcel->message.title);
    notify->sending = NULL;
    const bool again = delivery_settle(&notify->delivery, parcel, outcome, clock_now(), &pause_s);
    if (outcome == OUTCOME_SENT) {
        /* Before the log, which may hold the process up: if it ends there, nothing is sent twice. */
        if (pack < notify->pack_count)
            note_watch(notify, &notify->packs[pack], watch);
        log_info("%s: sent \"%s\"", notify->name, title);
        if (why[0])
            log_warn("%s: not all recipients were reached: %s", notify->name, why);
        notify->failing = false;
        notify->words[0] = '\0';
    } else {
        snprintf(notify->words, sizeof notify->words, "%.127s", why);
        if (!again)
            log_error("%s: \"%s\" cannot be sent: %s", notify->name, title, why);
        else
            log_message(notify->failing ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
                        "%s: %s; trying again in %.0f s", notify->name, why, pause_s);
        notify->failing = true;
    }
    if (notify->ending && notify->delivery.count == 0)
        outlet_over(notify->outlet);
    else
        send_next(notify);
}

/* `pack`: the one whose `watch` it reports; NULL: none. */
static void queue_message(struct notify *notify, struct message *message,
                          const struct notify_pack *pack, unsigned watch)
{
    const unsigned index = pack ? pack->pack->index : ~0u;
    if (!delivery_add(&notify->delivery, message, index, watch, clock_now()) &&
        notify->delivery.held == 1)
        log_warn(
            "%s: more than %u messages an hour: further ones are counted and reported together",
            notify->name, notify->config->limit);
    send_next(notify);
}

static void post_report(struct notify *notify, struct message *message,
                        const struct notify_pack *only)
{
    if (!message->text[0])
        return;
    snprintf(message->title, sizeof message->title, "%s: report",
             only ? message->pack : notify->gateway);
    queue_message(notify, message, only, WATCHES);
}

/* The report of one pack, or of all, in as many messages as the service's limit requires. */
static void send_report(struct notify *notify, struct notify_pack *only)
{
    const double now = clock_now(), time = clock_wall();
    struct message message = {.event = NOTIFY_REPORT, .alarm = -1, .time = time};
    const size_t most = request_text_most(notify->config->type);
    char part[MESSAGE_TEXT_SIZE], sun[64];
    struct text sun_text = text_in(sun, sizeof sun);
    struct text all = text_in(message.text, sizeof message.text);
    report_sun(&sun_text, notify->config, time);
    if (only)
        snprintf(message.pack, sizeof message.pack, "%s", only->pack->source.name);
    for (unsigned i = 0; i < notify->pack_count; i++) {
        struct notify_pack *pack = &notify->packs[i];
        if (only && pack != only)
            continue;
        struct text text = text_in(part, sizeof part);
        report_pack(&text, &pack->pack->source, &pack->tally,
                    outlet_fresh(notify->outlet, pack->pack, now), time);
        checkup_report(notify->config->history, pack->pack->source.name, (int64_t) time, &text);
        if (all.size + text.size + sizeof sun > most) {
            post_report(notify, &message, only);
            all = text_in(message.text, sizeof message.text);
        }
        text_format(&all, "%s%s", all.size > 0 ? "\n" : "", part);
    }
    text_add(&all, sun);
    post_report(notify, &message, only);
}

/* Sends each report once a day, also over a restart; one that was missed while the gateway was off
 * is sent late, up to LATE_S. */
static void send_due_reports(struct notify *notify)
{
    const double time = clock_wall();
    for (unsigned i = 0; i < notify->config->reports.count; i++) {
        char key[PIPE_KEY_SIZE] = "report.", today[16];
        const double due = report_due(notify->config, i, time);
        if (isnan(due) || time < due || time > due + LATE_S)
            continue;
        report_name(&notify->config->reports, i, key + strlen(key), sizeof key - strlen(key));
        snprintf(today, sizeof today, "%d", local_day(time));
        const char *before = outlet_note(notify->outlet, key);
        if (before && strcmp(before, today) == 0)
            continue;
        outlet_keep(notify->outlet, key, today);
        /* A new section has missed nothing. */
        if (before || due >= notify->since)
            send_report(notify, NULL);
    }
}

static void note_tallies(struct notify *notify)
{
    for (unsigned i = 0; notify->config->reports.count > 0 && i < notify->pack_count; i++) {
        char key[PIPE_KEY_SIZE], text[PIPE_NOTE_SIZE];
        note_key(&notify->packs[i], NOTE_DAY, key);
        tally_note(&notify->packs[i].tally, text, sizeof text);
        outlet_keep(notify->outlet, key, text);
    }
}

static void check_events(struct notify *notify, struct notify_pack *pack, double now)
{
    const struct notify_config *config = notify->config;
    const struct source *source = &pack->pack->source;
    const double time = clock_wall();
    const bool fresh = outlet_fresh(notify->outlet, pack->pack, now);
    const struct seen seen = {
        .fresh = fresh,
        .silent = !fresh && now - notify->started > source->settle_s,
        .values = source->values,
        .bms = source->status.bms,
    };
    struct happening events[WATCHES + 1];
    if (notify->ending)
        return;
    const unsigned count =
        events_look(&pack->events, config, &seen, now, time, local_day(time), events);
    for (unsigned i = 0; i < count; i++) {
        struct message message;
        const bool full = events[i].event == NOTIFY_FULL;
        for (unsigned n = 0; full && n < config->reports.count; n++)
            if (config->reports.at[n].when == NOTIFY_AT_FULL)
                send_report(notify, pack);
        if (full && !(config->events & 1u << NOTIFY_FULL))
            continue;
        message_of(&message, &events[i], source, config, notify->gateway, fresh, time);
        queue_message(notify, &message, pack, events[i].watch);
    }
}

static void on_changed(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
    struct notify *notify = self;
    check_events(notify, &notify->packs[pack->index], now);
}

static void on_ordered(void *self, const struct outlet_pack *pack, const struct order_report *order)
{
    struct notify *notify = self;
    struct message message;
    if (notify->ending || !(notify->config->events & 1u << NOTIFY_SWITCHED))
        return;
    message_switched(&message, &pack->source, order, notify->gateway,
                     outlet_fresh(notify->outlet, pack, clock_now()), clock_wall());
    queue_message(notify, &message, NULL, WATCHES);
}

/* Reports the start of the gateway, not of this process, which may have been restarted. */
static void tell_start(struct notify *notify)
{
    const struct pipe_config *config = outlet_config(notify->outlet);
    char text[32];
    snprintf(text, sizeof text, "%.3f", config->started_at);
    const char *before = outlet_note(notify->outlet, "started");
    const bool same = before && strcmp(before, text) == 0;
    outlet_keep(notify->outlet, "started", text);
    if (same || !(notify->config->events & 1u << NOTIFY_STARTED))
        return;
    struct message message = {.event = NOTIFY_STARTED, .alarm = -1, .time = clock_wall()};
    snprintf(message.title, sizeof message.title, "%s: packgate has started", notify->gateway);
    snprintf(message.text, sizeof message.text,
             "packgate %s has started on %s with %u packs and banks.", config->version,
             notify->gateway, notify->pack_count);
    queue_message(notify, &message, NULL, WATCHES);
}

static void on_second(void *self, double now)
{
    struct notify *notify = self;
    const double time = clock_wall();
    if (notify->ending)
        return;
    for (unsigned i = 0; i < notify->pack_count; i++) {
        struct notify_pack *pack = &notify->packs[i];
        const struct source *source = &pack->pack->source;
        tally_look(&pack->tally, source, outlet_fresh(notify->outlet, pack->pack, now),
                   local_day(time), now - notify->looked, time);
        check_events(notify, pack, now);
    }
    notify->looked = now;
    /* The clock was set back: reports due from now on are sent. */
    notify->since = fmin(notify->since, time);
    send_due_reports(notify);
    delivery_tell_held(&notify->delivery, notify->gateway, now, clock_wall());
    send_next(notify);
    if (++notify->ticks % TALLY_TICKS == 0)
        note_tallies(notify);
    if (notify->ticks % 60 == 0) /* notes that are not needed any more are removed */
        for (unsigned i = 0; i < notify->pack_count; i++)
            for (unsigned k = 0; k < WATCHES; k++)
                if (notify->packs[i].events.watches[k].told == 0 &&
                    now - notify->packs[i].events.watches[k].told_at >= notify->config->repeat_s)
                    note_watch(notify, &notify->packs[i], k);
}

static void on_farewell(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct notify *notify = timer->data;
    if (notify->delivery.count > 0)
        log_warn("%s: %u messages are discarded unsent", notify->name, notify->delivery.count);
    outlet_over(notify->outlet);
}

static void stop_notify(void *self, bool gone)
{
    struct notify *notify = self;
    notify->ending = true;
    note_tallies(notify);
    if (notify->delivery.count == 0) {
        outlet_over(notify->outlet);
        return;
    }
    send_next(notify);
    timer_restart(outlet_loop(notify->outlet), &notify->farewell, LAST_S);
}

static void end_notify(void *self)
{
    sender_end(((struct notify *) self)->sender);
}

static void name_gateway(const struct pipe_config *config, char out[TITLE_SIZE])
{
    if (config->gateway[0])
        snprintf(out, TITLE_SIZE, "%s", config->gateway);
    else if (gethostname(out, TITLE_SIZE - 1) != 0 || !out[0])
        snprintf(out, TITLE_SIZE, "packgate");
}

static void *start_notify(struct outlet *outlet)
{
    struct notify *notify = alloc_zeroed(1, sizeof *notify);
    notify->outlet = outlet;
    notify->config = outlet_config(outlet)->settings;
    notify->started = notify->looked = clock_now();
    notify->since = clock_wall();
    notify->name = outlet_title(outlet);
    name_gateway(outlet_config(outlet), notify->gateway);
    if (notify->config->type != NOTIFY_COMMAND)
        rights_give_up_programs();
    ev_init(&notify->farewell, on_farewell);
    notify->farewell.data = notify;
    delivery_init(&notify->delivery, notify->config->limit);
    const struct sender_settings settings = {.config = notify->config,
                                             .who = notify->name,
                                             .gateway = notify->gateway,
                                             .page = outlet_config(outlet)->page,
                                             .done = on_sent,
                                             .data = notify};
    notify->sender = sender_new(outlet_loop(outlet), &settings);
    notify->pack_count = outlet_config(outlet)->pack_count;
    notify->packs = alloc_zeroed(notify->pack_count, sizeof *notify->packs);
    for (unsigned i = 0; i < notify->pack_count; i++) {
        struct notify_pack *pack = &notify->packs[i];
        pack->pack = outlet_pack(outlet, i);
        events_init(&pack->events);
        for (unsigned note = 0; note <= NOTE_DAY; note++) {
            char key[PIPE_KEY_SIZE];
            note_key(pack, note, key);
            const char *text = outlet_note(outlet, key);
            if (text && note < WATCHES)
                events_take_note(&pack->events, note, text, clock_now(), clock_wall());
            else if (text && note == WATCHES)
                pack->events.full_day = atoi(text);
            else if (text)
                tally_take_note(&pack->tally, text);
        }
    }
    tell_start(notify);
    return notify;
}

struct trial {
    struct ev_loop *loop;
    const char *name;
    int status;
};

static void on_tried(void *data, enum outcome outcome, const char *why)
{
    struct trial *trial = data;
    trial->status = outcome == OUTCOME_SENT && !why[0] ? 0 : 1;
    if (trial->status == 0)
        printf("notify %s: the message was sent\n", trial->name);
    else
        fprintf(stderr, "packgate: notify %s: %s%s\n", trial->name,
                outcome == OUTCOME_SENT ? "the message was sent, but not to all recipients: " : "",
                why);
    ev_break(trial->loop, EVBREAK_ALL);
}

/* Sends a message by the section and prints what became of it. */
static int test_notify(const struct pipe_config *config)
{
    const char *name = config->section;
    char gateway[TITLE_SIZE], who[80];
    struct trial trial = {.loop = ev_default_loop(0), .name = name, .status = 1};
    name_gateway(config, gateway);
    snprintf(who, sizeof who, "notify %s", name);
    const struct sender_settings settings = {.config = config->settings,
                                             .who = who,
                                             .gateway = gateway,
                                             .page = "",
                                             .done = on_tried,
                                             .data = &trial};
    struct sender *sender = sender_new(trial.loop, &settings);
    struct message message = {.event = NOTIFY_STARTED, .alarm = -1, .time = (double) time(NULL)};
    snprintf(message.title, sizeof message.title, "packgate on %s: a test", gateway);
    snprintf(message.text, sizeof message.text,
             "This is a test of [notify %s] on %s. Messages arrive.", name, gateway);
    sender_send(sender, &message);
    ev_run(trial.loop, 0);
    return trial.status;
}

const struct outlet_kind outlet_notify = {
    .name = "notify",
    .network = true,
    .connects = true,
    .programs = true,
    .settings_size = sizeof(struct notify_config),
    .start = start_notify,
    .changed = on_changed,
    .ordered = on_ordered,
    .second = on_second,
    .report = report_notify,
    .stop = stop_notify,
    .end = end_notify,
    .test = test_notify,
};
