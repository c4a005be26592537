// SPDX-License-Identifier: MIT
#include "influx.h"

#include <math.h>
#include <stdio.h>

static int64_t round_down(int64_t t, int64_t step)
{
    return t - t % step;
}

/* Rows of memory (`query` NULL), or of a level of the history; several are joined if values are sent less often. False: they
 * cannot be read. */
static bool write_rows(const struct backlog *backlog, struct query *query, enum history_level level,
                       int64_t from, int64_t to)
{
    const int64_t step = query ? history_levels[level].step : 1;
    const int64_t width = later((int64_t) backlog->config->interval_s, step);
    struct recent_reader rows;
    struct query_ask ask = {.pack = backlog->pack->pack->source.name,
                            .level = level,
                            .from = round_down(from, step),
                            .to = to};
    if (from >= to)
        return true;
    query_want_all(&ask, MAX_CELLS, true);
    ask.wanted[ROW_FLAGS] = true;
    recent_begin(&rows, &backlog->pack->recent, query, &ask, query ? INT64_MAX : from, width);
    for (const struct history_row *row; (row = recent_next(&rows));) {
        struct pack values;
        points_of_row(row, &backlog->pack->pack->values, false, &values);
        const struct points points = {
            .tags = backlog->pack->tags,
            .layout = backlog->config->layout,
            .t = row->t,
            .values = &values,
            .allowed = points_allowed(row),
            .fresh = true,
            .age_s = NAN,
            .all_alarms = row->t % 60 == 0,
        };
        points_write(batch_row(backlog->batch), &points);
        batch_end_row(backlog->batch);
    }
    return !rows.failed;
}

/* Reads each level as far back as it reaches, the coarse and oldest ones first. */
static bool read_history(const struct backlog *backlog, struct query *query, int64_t from,
                         int64_t to)
{
    const char *pack = backlog->pack->pack->source.name;
    const struct influx_config *config = backlog->config;
    const bool minutes = config->interval_s >= 60;
    const int64_t now = backlog->now;
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
    return write_rows(backlog, query, LEVEL_HOUR, from, hours_to) &&
           write_rows(backlog, query, LEVEL_MINUTE, minutes_from, minutes_to) &&
           (minutes || write_rows(backlog, query, LEVEL_RECENT, recent_from, to));
}

int64_t backlog_read(struct backlog *backlog, struct query *query, int64_t from, int64_t to,
                     size_t most, struct batch *batch, char *why, size_t size)
{
    const int64_t step = (int64_t) backlog->config->interval_s;
    backlog->batch = batch;
    for (;;) {
        const int64_t memory = later(from, earlier(to, backlog->memory_from));
        batch_clear(batch);
        for (unsigned i = 0; i < backlog->count; i++) {
            backlog->pack = &backlog->packs[i];
            if (query && !read_history(backlog, query, from, memory)) {
                snprintf(why, size, "%s", query_why(query));
                return -1;
            }
            write_rows(backlog, NULL, LEVEL_RECENT, memory, to);
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
    struct recent_reader rows;
    const struct query_ask ask = {.level = LEVEL_RECENT, .from = from, .to = to};
    recent_begin(&rows, &pack->recent, NULL, &ask, from, to - from);
    const struct history_row *joined = recent_next(&rows);
    if (joined)
        *row = *joined;
    return joined;
}
