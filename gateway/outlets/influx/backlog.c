// SPDX-License-Identifier: MIT
/* Reads the rows that are sent later. */
#include "influx.h"

#include <math.h>
#include <stdio.h>

/* State while rows of one pack become points; several rows are joined if values are sent less
 * often. */
struct reading {
    struct backlog *backlog;
    struct influx_pack *pack;
    struct batch *batch;
    int64_t from, to, width;
    struct history_row held;
    bool holds, failed;
};

static void write_held(struct reading *reading)
{
    struct pack values;
    if (!reading->holds)
        return;
    reading->holds = false;
    points_of_row(&reading->held, &reading->pack->pack->values, false, &values);
    const struct points points = {
        .tags = reading->pack->tags,
        .layout = reading->backlog->config->layout,
        .t = reading->held.t,
        .values = &values,
        .allowed = points_allowed(&reading->held),
        .fresh = true,
        .age_s = NAN,
        .all_alarms = reading->held.t % 60 == 0,
    };
    struct text *text = batch_row(reading->batch);
    reading->failed |= !text;
    if (!text)
        return;
    points_write(text, &points);
    batch_end_row(reading->batch);
}

static int64_t round_down(int64_t t, int64_t step)
{
    return t - t % step;
}

static void take_row(struct reading *reading, const struct history_row *row)
{
    const int64_t t = round_down(row->t, reading->width);
    if (!reading->holds || reading->held.t != t) {
        write_held(reading);
        reading->held = history_empty(t);
        reading->holds = true;
    }
    recent_join(&reading->held, row);
}

static void take_memory(struct reading *reading, const struct recent *recent, int64_t from,
                        int64_t to)
{
    struct history_row row;
    for (unsigned n = 0; recent_row(recent, n, &row); n++)
        if (row.t >= from && row.t < to)
            take_row(reading, &row);
}

static bool read_level(struct reading *reading, struct query *query, enum history_level level,
                       int64_t from, int64_t to)
{
    const int64_t step = history_levels[level].step;
    struct query_rows rows;
    struct query_ask ask = {.pack = reading->pack->pack->source.name,
                            .level = level,
                            .from = round_down(from, step),
                            .to = to};
    if (from >= to)
        return true;
    reading->width = later((int64_t) reading->backlog->config->interval_s, step);
    query_want_all(&ask, MAX_CELLS, true);
    ask.wanted[ROW_FLAGS] = true;
    query_begin(&rows, query, &ask);
    for (const struct history_row *row; !reading->failed && (row = query_next(&rows));)
        take_row(reading, row);
    return !query_why(query)[0];
}

/* Reads each level as far back as it reaches, the coarse and oldest ones first. */
static bool read_history(struct reading *reading, struct query *query)
{
    const char *pack = reading->pack->pack->source.name;
    const struct influx_config *config = reading->backlog->config;
    const bool minutes = config->interval_s >= 60;
    const int64_t from = reading->from, to = reading->to, now = reading->backlog->now;
    /* Rows too young to have been deleted that are missing never existed; a coarser row that
     * begins before them would count their time twice. */
    const int64_t recent =
        earlier(query_first(query, pack, LEVEL_RECENT), now - (int64_t) config->recent_s);
    const int64_t minute =
        earlier(query_first(query, pack, LEVEL_MINUTE), now - (int64_t) config->minutes_s);
    const int64_t hours_to = earlier(minute, to);
    const int64_t minutes_to = minutes ? to : earlier(recent, to);
    const int64_t minutes_from = later(from, hours_to);
    const int64_t recent_from = later(from, minutes_to);
    return read_level(reading, query, LEVEL_HOUR, from, hours_to) &&
           read_level(reading, query, LEVEL_MINUTE, minutes_from, minutes_to) &&
           (minutes || read_level(reading, query, LEVEL_RECENT, recent_from, to));
}

static bool read_pack(struct backlog *backlog, struct query *query, struct influx_pack *pack,
                      int64_t from, int64_t to, struct batch *batch, char *why, size_t size)
{
    const int64_t memory = later(from, earlier(to, backlog->memory_from));
    struct reading reading = {
        .backlog = backlog, .pack = pack, .batch = batch, .from = from, .to = memory};
    if (query && !read_history(&reading, query)) {
        snprintf(why, size, "%s", query_why(query));
        return false;
    }
    reading.width = (int64_t) backlog->config->interval_s;
    take_memory(&reading, &pack->recent, memory, to);
    write_held(&reading);
    if (reading.failed)
        snprintf(why, size, "out of memory");
    return !reading.failed;
}

int64_t backlog_read(struct backlog *backlog, struct query *query, int64_t from, int64_t to,
                     size_t most, struct batch *batch, char *why, size_t size)
{
    const int64_t step = (int64_t) backlog->config->interval_s;
    for (;;) {
        batch_clear(batch);
        for (unsigned i = 0; i < backlog->count; i++) {
            if (!read_pack(backlog, query, &backlog->packs[i], from, to, batch, why, size))
                return -1;
            /* Detects early that the span is too long. */
            if (batch->size > 2 * most && to - from > step)
                break;
        }
        if (batch->size <= most || to - from <= step)
            return to;
        to = from + round_down((to - from) / 2 + step - 1, step);
    }
}

int64_t backlog_first(const struct backlog *backlog, struct query *query)
{
    int64_t first = backlog->memory_from;
    for (unsigned i = 0; query && i < backlog->count; i++)
        for (int level = LEVEL_RECENT; level <= LEVEL_HOUR; level++)
            first = earlier(first, query_first(query, backlog->packs[i].pack->source.name,
                                               (enum history_level) level));
    return first;
}

bool backlog_join(const struct influx_pack *pack, int64_t from, int64_t to, struct history_row *row)
{
    struct reading reading = {.width = to - from};
    take_memory(&reading, &pack->recent, from, to);
    *row = reading.held;
    return reading.holds;
}
