// SPDX-License-Identifier: MIT
/*
 * The outlet for time series databases: sends all packs in one request per `interval`, and
 * unconfirmed intervals later.
 *
 * Time is divided into intervals. A finished interval is first a gap, which the database lacks;
 * only a response that confirms it closes the gap. The latest interval is sent at once, even if
 * earlier ones are missing; older gaps are filled in order from the history and from memory, at a
 * limited rate. Both sources give a row the same time and compute it from the same polls, so rows
 * that are sent twice are stored once. A file beside the history has the gaps for the next process.
 *
 * Only the history has what was polled before this process started, or was merged on the way to it.
 * The history says up to when it is complete (query_complete); until then such a gap stays open,
 * whatever was sent of it.
 *
 * The time of day may jump, as on a host without a battery-backed clock. After a step back, rows
 * with later times wait until the history must have written them.
 */
#include "influx.h"

#include "outlets/memory.h"

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define GRACE_S 0.3 /* seconds; polls from the end of an interval may still be in the pipe */
#define LONGEST_PAUSE_S 60.0
#define BATCH_SIZE (2 << 20) /* bytes of text in one request */
#define OVERLAP_S 120.0      /* a commit may come late */
#define JUMP_S 5.0           /* of the time of day */
#define ALONE_S 3600.0       /* seconds in memory, if there is no history */
#define FIRST_SPAN_S 120
#define LONGEST_SPAN_S (30 * 86400)
#define SAVE_S 60.0     /* while all goes well */
#define SAVE_SOON_S 2.0 /* while gaps are filled */
/* seconds until a refused gap is retried: newer values may be accepted meanwhile */
#define REFUSED_S 20.0
/* A killed database loses what it has confirmed but not yet written: VictoriaMetrics 5 s, a host
 * the content of its disk cache. */
#define REGRET_S 60
#define LOOK_AGAIN_S 10.0   /* seconds until an unreadable history is opened again */
#define TELL_AGAIN_S 3600.0 /* seconds between log messages about rejected rows */
#define LOOK_DAYS_S 3600.0
#define MINUTE_S 60
#define MUCH (BATCH_SIZE / 4)
#define GIVE_WAY 10
#define EMPTY_TURNS 16 /* spans without rows in one turn of the loop */

struct influx {
    struct outlet *outlet;
    const struct influx_config *config;
    struct transfers *transfers;
    struct influx_pack *packs;
    unsigned count;
    char tags[POINTS_TAGS]; /* of the gateway */
    const char *who;
    char path[OUTLET_PATH_SIZE + 2 * NAME_SIZE]; /* of the gaps; empty: none */
    int64_t step;                                /* the interval */
    int64_t current;                             /* start of the present interval; 0: unknown yet */
    int64_t started;        /* memory has all rows since then, as far as it reaches */
    int64_t back_until;     /* the clock was set back: times up to this one occur twice */
    double offset;          /* of the time of day to clock_now; NaN: unknown yet */
    double unsettled_until; /* not all rows from before a step back are in the history yet */
    double memory_s;
    struct gaps gaps;
    struct batch live, late;
    struct daily daily;
    struct batch_proof proof;
    double look_at;             /* when days are checked next */
    int64_t live_at;            /* its interval */
    int64_t late_from, late_to; /* part of a gap that is in flight */
    int64_t span;               /* how much of a gap is sent next */
    struct backlog backlog;
    double retry_at, pause_s, late_at, taken_at, missing_since;
    struct trouble trouble;
    char words[POST_WORDS];
    bool lost_told, history_told, file_told;
    bool gives_way; /* it has lowered its own priority */
    double saved_at, refusal_told;
    bool changed; /* gaps changed since they were saved */
    uint32_t sent, lost, failed;
    ev_timer later;
};

static int64_t round_down(double wall, int64_t step)
{
    return (int64_t) floor(wall / (double) step) * step;
}

static bool has_history(const struct influx *influx)
{
    return influx->config->history[0] != '\0';
}

/* The beginning of the oldest unconfirmed interval before a time; that time: there is none. */
static int64_t oldest_owed(const struct influx *influx, int64_t before)
{
    return influx->gaps.count > 0 ? earlier(influx->gaps.at[0].from, before) : before;
}

static int64_t behind(const struct influx *influx)
{
    return influx->current - oldest_owed(influx, influx->current);
}

static void save_gaps(struct influx *influx, double now)
{
    influx->saved_at = now;
    influx->changed = false;
    if (!influx->path[0])
        return;
    const bool good = gaps_save(&influx->gaps, influx->path);
    if (!good && !influx->file_told)
        log_warn("%s: %s cannot be written: %s; after a restart unsent intervals are not known",
                 influx->who, influx->path, strerror(errno));
    influx->file_told = !good;
}

static void gap_begins(struct influx *influx, int64_t from, int64_t to)
{
    if (influx->config->backfill != BACKFILL_NO)
        gaps_add(&influx->gaps, from, to);
}

static void gap_ends(struct influx *influx, int64_t from, int64_t to)
{
    gaps_remove(&influx->gaps, from, to);
    influx->changed = true;
}

static void note_success(struct influx *influx, double now)
{
    double lasted;
    char lasting[DURATION_SIZE], late[DURATION_SIZE];
    influx->pause_s = 0;
    influx->retry_at = influx->taken_at = now;
    influx->words[0] = '\0';
    if (!trouble_ends(&influx->trouble, now, &lasted))
        return;
    const char *away = duration_words(floor(lasted), lasting);
    if (behind(influx) > 2 * influx->step)
        log_info("%s: the database accepts values again after %s; sending those of %s now",
                 influx->who, away, duration_words((double) behind(influx), late));
    else
        log_info("%s: the database accepts values again after %s", influx->who, away);
}

/* The database may have crashed and lost what it confirmed last: that is sent once more. */
static void owe_recent_again(struct influx *influx)
{
    gap_begins(influx, influx->current - REGRET_S, influx->current);
    influx->changed = true;
}

/* Counts what became of a batch; false: nothing of it arrived. Rejected rows are logged seldom: half a
 * year that is too old for a database makes thousands of batches. */
static bool settle(struct influx *influx, const struct batch *batch, double now)
{
    const struct post_outcome *outcome = &batch->post.outcome;
    if (batch->state != BATCH_FAILED) {
        const bool known = now - influx->refusal_told < TELL_AGAIN_S;
        influx->sent += batch->taken;
        influx->lost += batch->lost;
        if (batch->lost > 0)
            log_message(known ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN,
                        "%s: the database rejects %u of %u rows: %s%s", influx->who, batch->lost,
                        batch->rows, batch->lost_words,
                        known ? "" : "; for an hour further ones are only counted");
        if (batch->lost > 0 && !known)
            influx->refusal_told = now;
        return true;
    }
    influx->failed++;
    backoff_grow(&influx->pause_s, 1, LONGEST_PAUSE_S);
    influx->retry_at = now + fmax(influx->pause_s, outcome->again_s);
    snprintf(influx->words, sizeof influx->words, "%s", outcome->words);
    if (outcome->died && !influx->trouble.told)
        owe_recent_again(influx);
    if (trouble_begins(&influx->trouble, now))
        log_warn("%s: %s; %s", influx->who, influx->words,
                 influx->config->backfill == BACKFILL_NO ? "unsent values are lost"
                 : has_history(influx) ? "unsent values are sent later from the history"
                                       : "values of the last hour are kept in memory");
    else
        log_debug("%s: %s", influx->who, influx->words);
    return false;
}

static void write_live(struct influx *influx, struct influx_pack *pack, double now)
{
    const struct outlet_pack *known = pack->pack;
    const bool fresh = outlet_fresh(influx->outlet, known, now);
    struct history_row row;
    struct pack values;
    const bool any = backlog_join(pack, influx->live_at, influx->live_at + influx->step, &row);
    const struct alarms told = pack->told;
    struct alarms *live = &pack->live;
    *live = told;
    if (any) {
        points_of_row(&row, &known->values, fresh, &values);
        *live = alarms_after(told, &values, known->source.status.bms);
        /* What a BMS before this one has reported is over, even if this one cannot report it. */
        values.alarms_can_warn |= told.warning & ~live->warning;
        values.alarms_can_protect |= told.protection & ~live->protection;
        values.alarms_known |=
            (told.warning & ~live->warning) | (told.protection & ~live->protection);
    }
    const struct points points = {
        .tags = pack->tags,
        .layout = influx->config->layout,
        .t = influx->live_at,
        .values = any ? &values : NULL,
        .facts = &known->source,
        .allowed = map_allowed(&known->source.status, fresh),
        .fresh = fresh,
        .age_s = outlet_age(known, now),
        .all_alarms = influx->live_at % MINUTE_S == 0 || live->warning != told.warning ||
                      live->protection != told.protection,
    };
    points_write(batch_row(&influx->live), &points);
    batch_end_row(&influx->live);
}

static void send_live(struct influx *influx, int64_t t, double now)
{
    if (influx->live.state == BATCH_UNDER_WAY || now < influx->retry_at)
        return;
    influx->live_at = t;
    batch_clear(&influx->live);
    /* For the operator of many gateways: whether older values are still missing. */
    points_gateway(batch_row(&influx->live), influx->tags, t, t - oldest_owed(influx, t),
                   t % MINUTE_S == 0);
    batch_end_row(&influx->live);
    for (unsigned i = 0; i < influx->count; i++)
        write_live(influx, &influx->packs[i], now);
    batch_send(&influx->live);
}

static void on_live(void *data)
{
    struct influx *influx = data;
    const double now = clock_now();
    if (!settle(influx, &influx->live, now))
        return;
    /* Memory may have only a part of the first interval. */
    if (influx->live_at >= influx->started)
        gaps_remove(&influx->gaps, influx->live_at, influx->live_at + influx->step);
    if (influx->live.post.outcome.connected && influx->taken_at > -INFINITY &&
        influx->step < REGRET_S)
        owe_recent_again(influx);
    note_success(influx, now);
    /* Most of the time nothing is owed: frees confirmed rows, and the memory of the request. */
    const int64_t owed = oldest_owed(influx, influx->current);
    for (unsigned i = 0; i < influx->count; i++) {
        struct influx_pack *pack = &influx->packs[i];
        recent_forget(&pack->recent, owed - REGRET_S - influx->step);
        pack->told = pack->live;
        outlet_keep_alarms(influx->outlet, pack->pack->source.name, pack->told);
    }
    batch_clear(&influx->live);
    memory_trim();
}

static void fill_later(struct influx *influx, double pause_s)
{
    timer_restart(outlet_loop(influx->outlet), &influx->later, fmax(pause_s, 0));
}

static struct query *open_history(struct influx *influx)
{
    char why[300];
    if (!has_history(influx))
        return NULL;
    struct query *query = query_open(influx->config->history, why, sizeof why);
    if (!query && !influx->history_told)
        log_debug("%s: %s", influx->who, why);
    influx->history_told = !query;
    return query;
}

/* How far the gap from `from` on can be read now; `from`: not at all. */
static int64_t readable(struct influx *influx, struct query *query, int64_t from, int64_t to,
                        double now)
{
    const int64_t memory_from = influx->backlog.memory_from;
    if (query)
        influx->missing_since = NAN;
    if (from >= memory_from)
        return to;
    if (!query) {
        /* If the history is not there (yet), nothing is given up before it had time to be created. */
        if (isnan(influx->missing_since))
            influx->missing_since = now;
        if (has_history(influx) &&
            now - influx->missing_since < influx->config->commit_s + OVERLAP_S)
            return from;
        const int64_t end = earlier(memory_from, to);
        char span[DURATION_SIZE];
        if (!influx->lost_told)
            log_warn("%s: %s of values are lost: %s", influx->who,
                     duration_words((double) (end - from), span),
                     has_history(influx) ? "the history cannot be read" : "there is no [history]");
        influx->lost_told = true;
        gap_ends(influx, from, end);
        return from;
    }
    if (from >= influx->current)
        return now < influx->unsettled_until ? from : to;
    const int64_t complete = query_complete(query);
    /* A time ahead was written before the clock was set back. */
    if (complete > influx->current + influx->step || complete < from)
        return from;
    return complete >= memory_from || complete > to ? to : complete;
}

/* Reads the next part of the oldest gap into the batch. True: it had no rows, call again. */
static bool read_gap(struct influx *influx, struct query *query, double now)
{
    char why[200];
    const struct gap gap = influx->gaps.at[0];
    const int64_t from = gap.from - gap.from % influx->step;
    int64_t to = gap.to > influx->current && gap.from < influx->current ? influx->current : gap.to;
    if (influx->live.state == BATCH_UNDER_WAY && influx->live_at < to && influx->live_at >= from)
        to = influx->live_at;
    to = from < to ? readable(influx, query, from, to, now) : from;
    if (to <= from)
        return false;
    const int64_t tried = earlier(from + influx->span, to);
    const int64_t end = backlog_read(&influx->backlog, query, from, tried, BATCH_SIZE,
                                     &influx->late, why, sizeof why);
    if (end < 0) {
        log_debug("%s: the history cannot be read: %s", influx->who, why);
        influx->late_at = now + LOOK_AGAIN_S;
        return false;
    }
    if (end < tried)
        influx->span = end - from;
    else if (influx->late.size < BATCH_SIZE / 4 && influx->span < LONGEST_SPAN_S)
        influx->span *= 2;
    influx->late_from = gap.from;
    influx->late_to = end;
    if (influx->late.rows > 0)
        return false;
    gap_ends(influx, gap.from, end);
    return true;
}

static void fill_gaps(struct influx *influx)
{
    const double now = clock_now();
    if (influx->late.state == BATCH_UNDER_WAY)
        return;
    if (influx->gaps.count == 0)
        batch_clear(&influx->late);
    if (influx->gaps.count == 0 || now < fmax(influx->retry_at, influx->late_at) ||
        influx->current == 0)
        return;
    /* As far as memory reaches back; not while times occur a second time that the history already has. */
    const int64_t oldest =
        influx->current - (int64_t) influx->memory_s / influx->step * influx->step;
    const bool twice = has_history(influx) && influx->current < influx->back_until;
    influx->backlog.memory_from = twice ? INT64_MAX : later(influx->started, oldest);
    struct query *query = open_history(influx);
    bool again = true;
    batch_clear(&influx->late);
    for (int turn = 0; again && turn < EMPTY_TURNS && influx->gaps.count > 0; turn++)
        again = read_gap(influx, query, now);
    query_close(query);
    /* Filling gaps of hours takes a fifth of a core: this process lowers its priority, so that others
     * do not wait some milliseconds for it. That cannot be undone, and need not be. */
    if (influx->late.size > MUCH && !influx->gives_way && nice(GIVE_WAY) == -1)
        log_debug("%s: cannot lower its priority", influx->who);
    influx->gives_way |= influx->late.size > MUCH;
    influx->late_at =
        fmax(influx->late_at, now + influx->late.rows / (double) influx->config->catch_up);
    if (influx->late.rows > 0)
        batch_send(&influx->late);
    else if (again)
        fill_later(influx, 0);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int revents)
{
    fill_gaps(timer->data);
}

static void on_late(void *data)
{
    struct influx *influx = data;
    const double now = clock_now();
    const double retry_at = influx->retry_at;
    if (!settle(influx, &influx->late, now)) {
        if (influx->late.post.outcome.result == POST_REFUSED) {
            influx->retry_at = retry_at;
            influx->late_at = now + REFUSED_S;
        }
        return;
    }
    gap_ends(influx, influx->late_from, influx->late_to);
    note_success(influx, now);
    fill_later(influx, influx->late_at - now);
}

/* The packs' results for a day are not ready at the same moment: the days since the last confirmed
 * one are sent every hour until the next one has begun. */
static void send_health(struct influx *influx, double now)
{
    if (!influx->path[0] || now < influx->look_at || now < influx->retry_at ||
        influx->daily.batch.state == BATCH_UNDER_WAY || influx->current == 0)
        return;
    influx->look_at = now + LOOK_DAYS_S;
    struct query *query = open_history(influx);
    daily_write(&influx->daily, query, &influx->backlog, influx->gaps.health);
    query_close(query);
    if (influx->daily.batch.rows > 0)
        batch_send(&influx->daily.batch);
}

static void on_daily(void *data)
{
    struct influx *influx = data;
    const double now = clock_now();
    const bool good = settle(influx, &influx->daily.batch, now);
    if (!good || influx->daily.waits)
        influx->look_at = now;
    if (!good)
        return;
    note_success(influx, now);
    if (influx->daily.done > influx->gaps.health || influx->gaps.health > influx->current) {
        influx->gaps.health = influx->daily.done;
        influx->changed = true;
    }
}

static void report_influx(void *self, struct pipe_report *report)
{
    const struct influx *influx = self;
    char span[DURATION_SIZE];
    const int64_t late = behind(influx);
    const int64_t queued = gaps_total(&influx->gaps) / influx->step * influx->count;
    report->connected = influx->taken_at > -INFINITY && !influx->trouble.told;
    report->sent = influx->sent;
    report->dropped = influx->lost;
    report->failed = influx->failed;
    report->queued = queued > UINT32_MAX ? UINT32_MAX : (uint32_t) queued;
    report->behind_s = late > UINT32_MAX ? UINT32_MAX : (uint32_t) late;
    struct text text = text_in(report->words, sizeof report->words);
    if (late > 2 * influx->step)
        text_format(&text, "%s behind%s", duration_words((double) late, span),
                    influx->words[0] ? ": " : "");
    text_add(&text, influx->words);
}

/* The first interval after the start is incomplete: a gap, of which the history may know more. */
static void begin_interval(struct influx *influx, int64_t current, double now)
{
    const bool first = influx->current == 0;
    const int64_t before = current - influx->step;
    const int64_t until = influx->gaps.until;
    if (until > current + influx->step) {
        /* The history may have rows up to the time that it would be, had the clock not been set back. */
        const double ahead = first ? (double) until + SAVE_S : now + influx->offset;
        const int64_t end = round_down(fmax((double) until, ahead), influx->step) + influx->step;
        const int64_t back = end + (int64_t) (influx->config->commit_s + OVERLAP_S);
        influx->back_until = later(back, influx->back_until);
        influx->started = earlier(influx->started, current);
        gap_begins(influx, until, end);
    }
    int64_t from = until > 0 ? earlier(until, before) : before;
    const double expected = now + influx->offset;
    if (!first && (double) before > expected) {
        /* The clock was set ahead, not before the gaps were saved last. There are no rows of the time that it skipped. */
        gap_begins(influx, from, round_down(expected, influx->step) + influx->step);
        from = round_down((double) before - (now - influx->saved_at), influx->step);
    }
    /* Without a history nobody has rows from before the start; they do not count as lost. */
    gap_begins(influx, has_history(influx) ? from : later(from, influx->started), current);
    influx->gaps.until = influx->backlog.now = influx->current = current;
    if (!first)
        send_live(influx, before, now);
}

static void on_second(void *self, double now)
{
    struct influx *influx = self;
    const double wall = clock_wall();
    const int64_t current = round_down(wall - GRACE_S, influx->step);
    const bool first = influx->current == 0;
    if (fabs(wall - now - influx->offset) > JUMP_S) /* not at first */
        influx->unsettled_until = now + influx->config->commit_s + OVERLAP_S;
    if (current != influx->current)
        begin_interval(influx, current, now);
    influx->offset = wall - now;
    fill_gaps(influx);
    send_health(influx, now);
    if (first || now - influx->saved_at > (influx->changed ? SAVE_SOON_S : SAVE_S))
        save_gaps(influx, now);
}

/* Owes the finished intervals between two times of day once more. */
static void gap_again(struct influx *influx, double from, double to)
{
    if (influx->current == 0)
        return;
    gap_begins(influx, round_down(from, influx->step),
               earlier(round_down(to, influx->step) + influx->step, influx->current));
    influx->changed = true;
}

static void on_changed(void *self, struct outlet_pack *known, unsigned changes, double now)
{
    struct influx *influx = self;
    const struct source *source = &known->source;
    struct influx_pack *pack = &influx->packs[known->index];
    const uint32_t sequence = known->last.sequence;
    if (sequence > pack->sequence + 1 && pack->sequence > 0) {
        /* The pipe was full, and several polls were merged into one message: memory is incomplete, the
         * history may have them. */
        const double wall = known->last.wall;
        gap_again(influx, pack->polled > 0 ? pack->polled : wall, wall);
        if (has_history(influx))
            influx->started = later(influx->started, round_down(wall, influx->step) + influx->step);
    }
    pack->sequence = sequence;
    if (!outlet_fresh(influx->outlet, known, now)) {
        recent_add(&pack->recent, NULL, NULL, clock_wall());
    } else if (changes & SOURCE_PUBLISHED) {
        pack->polled = known->last.wall;
        /* The message was delayed: its interval was sent without it. */
        if (pack->polled < (double) influx->current)
            gap_again(influx, pack->polled, pack->polled);
        recent_add(&pack->recent, source->values, &source->status, pack->polled);
    }
}

static void make_batch(struct influx *influx, struct batch *batch, void (*done)(void *data))
{
    *batch = (struct batch){.done = done, .data = influx, .proof = &influx->proof};
    batch_init(batch, influx->transfers, influx->config, influx->who);
}

/* False: the name of the gateway does not fit into the lines. */
static bool prepare_influx(struct influx *influx)
{
    char host[HOST_NAME_SIZE], gateway[INFLUX_GATEWAY_SIZE + 64];
    struct text name = text_in(gateway, sizeof gateway);
    text_expand(&name, influx->config->gateway, host_own_name(host)); /* %h */
    influx->packs = alloc_zeroed(influx->count, sizeof *influx->packs);
    influx->transfers = transfers_new(outlet_loop(influx->outlet));
    make_batch(influx, &influx->live, on_live);
    make_batch(influx, &influx->late, on_late);
    make_batch(influx, &influx->daily.batch, on_daily);
    for (unsigned i = 0; i < influx->count; i++) {
        struct influx_pack *pack = &influx->packs[i];
        pack->pack = outlet_pack(influx->outlet, i);
        pack->told = outlet_alarms(influx->outlet, pack->pack->source.name);
        recent_init(&pack->recent, influx->memory_s, true);
        if (!points_tags(gateway, &pack->pack->source, pack->tags))
            return false;
    }
    return points_tags(gateway, NULL, influx->tags);
}

static void *start_influx(struct outlet *outlet)
{
    struct influx *influx = alloc_zeroed(1, sizeof *influx);
    influx->outlet = outlet;
    influx->config = outlet_config(outlet)->settings;
    influx->step = (int64_t) influx->config->interval_s;
    influx->span = later(FIRST_SPAN_S, influx->step);
    influx->taken_at = influx->refusal_told = -INFINITY;
    influx->missing_since = influx->offset = NAN;
    influx->memory_s = has_history(influx)
                           ? influx->config->commit_s + OVERLAP_S + influx->config->interval_s
                           : ALONE_S;
    influx->who = outlet_title(outlet);
    if (has_history(influx) && influx->config->backfill != BACKFILL_NO)
        snprintf(influx->path, sizeof influx->path, "%s.sent-%s", influx->config->history,
                 influx->config->outlet.name);
    influx->count = outlet_config(outlet)->pack_count;
    if (!prepare_influx(influx)) {
        log_error("%s: 'gateway' is too long", influx->who);
        return NULL;
    }
    ev_init(&influx->later, on_later);
    influx->later.data = influx;
    const int64_t now = round_down(clock_wall(), influx->step);
    influx->started = has_history(influx) ? now + influx->step : now;
    influx->backlog = (struct backlog){influx->config,  influx->packs, influx->count, now,
                                       influx->started, NULL,          NULL};
    if (influx->path[0] && gaps_load(&influx->gaps, influx->path))
        return influx;
    influx->gaps.until = now;
    if (influx->config->backfill == BACKFILL_ALL) {
        struct query *query = open_history(influx);
        gap_begins(influx, query ? backlog_first(&influx->backlog, query) : INT64_MAX, now);
        query_close(query);
    }
    return influx;
}

static void stop_influx(void *self, bool gone)
{
    struct influx *influx = self;
    if (gone && influx->path[0])
        unlink(influx->path);
    else
        save_gaps(influx, clock_now());
    outlet_over(influx->outlet);
}

const struct outlet_kind outlet_influx = {
    .name = "influx",
    .test = influx_test,
    .settings_size = sizeof(struct influx_config),
    .network = true,
    .connects = true,
    .start = start_influx,
    .changed = on_changed,
    .second = on_second,
    .report = report_influx,
    .stop = stop_influx,
};
