// SPDX-License-Identifier: MIT
#include "recent.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row without cells that the pack does not have. */
struct recent_row {
    int64_t t;
    unsigned values; /* how many of each kind */
    uint8_t *bytes;  /* the row up to its means; these and, unless only these are kept, extremes */
};

#define HEAD offsetof(struct history_row, mean)

void recent_init(struct recent *recent, double span_s, bool means_only)
{
    *recent = (struct recent){.room = (unsigned) ceil(span_s / RECENT_S), .means_only = means_only};
    history_series_init(&recent->series);
    recent->rows = alloc_zeroed(recent->room, sizeof *recent->rows);
}

/* The oldest row makes room. */
static void keep_recent(void *data, enum history_level level, const struct history_row *row)
{
    struct recent *recent = data;
    if (level != LEVEL_RECENT)
        return;
    if (recent->count == recent->room) {
        recent->first = (recent->first + 1) % recent->room;
        recent->count--;
    }
    struct recent_row *kept = &recent->rows[(recent->first + recent->count) % recent->room];
    unsigned values = ROW_VALUES;
    while (values > ROW_CELL && row->mean[values - 1] == ROW_UNKNOWN)
        values--;
    const size_t size = values * sizeof *row->mean, kinds = recent->means_only ? 1 : 3;
    const int32_t *const of_kind[] = {row->mean, row->min, row->max};
    if (!kept->bytes || kept->values != values)
        kept->bytes = alloc_checked(realloc(kept->bytes, HEAD + kinds * size));
    kept->values = values;
    kept->t = row->t;
    memcpy(kept->bytes, row, HEAD);
    for (size_t i = 0; i < kinds; i++)
        memcpy(kept->bytes + HEAD + i * size, of_kind[i], size);
    recent->count++;
}

void recent_add(struct recent *recent, const struct pack *pack, const struct map_status *status,
                double wall)
{
    if (pack) {
        history_add(&recent->series, pack, status, wall, keep_recent, recent);
        return;
    }
    history_silent(&recent->series);
    history_pass(&recent->series, wall, keep_recent, recent);
}

void recent_forget(struct recent *recent, int64_t before)
{
    for (; recent->count > 0 && recent->rows[recent->first].t < before; recent->count--) {
        free(recent->rows[recent->first].bytes);
        recent->rows[recent->first].bytes = NULL;
        recent->first = (recent->first + 1) % recent->room;
    }
}

/* The n-th row, the oldest first; the last one is the current ten seconds so far. False: no more. */
static bool read_row(const struct recent *recent, unsigned n, struct history_row *row)
{
    if (n >= recent->count)
        return n == recent->count && history_so_far(&recent->series, row);
    const struct recent_row *kept = &recent->rows[(recent->first + n) % recent->room];
    const size_t size = kept->values * sizeof *row->mean;
    int32_t *const of_kind[] = {row->mean, row->min, row->max};
    *row = history_empty(kept->t);
    memcpy(row, kept->bytes, HEAD);
    for (size_t i = 0; i < (recent->means_only ? 1 : 3); i++)
        memcpy(of_kind[i], kept->bytes + HEAD + i * size, size);
    return true;
}

static int64_t start_of(const struct recent_reader *reader, int64_t t)
{
    return reader->step ? t - t % reader->step : history_start(reader->ask->level, t);
}

static bool next_part(struct recent_reader *reader, struct history_row *part)
{
    const struct query_ask *ask = reader->ask;
    const struct history_row *row = reader->query ? query_next(&reader->file) : NULL;
    if (row) {
        *part = *row;
        if (reader->step)
            part->t = part->from = start_of(reader, row->t);
        return true;
    }
    reader->failed |= reader->query && query_why(reader->query)[0];
    reader->query = NULL;
    while (!reader->failed && read_row(reader->recent, reader->n++, part)) {
        const bool only = part->t >= reader->from;
        part->t = part->from = start_of(reader, part->from);
        if (only && part->from >= start_of(reader, ask->from) && part->from < ask->to)
            return true;
    }
    return false;
}

void recent_begin(struct recent_reader *reader, const struct recent *recent, struct query *query,
                  const struct query_ask *ask, int64_t from, int64_t step)
{
    *reader = (struct recent_reader){
        .ask = ask, .query = query, .recent = recent, .from = from, .step = step};
    if (query)
        query_begin(&reader->file, query, ask);
    reader->more = next_part(reader, &reader->next);
}

const struct history_row *recent_next(struct recent_reader *reader)
{
    struct history_row *row = &reader->row, *part = &reader->next;
    if (!reader->more)
        return NULL;
    *row = *part;
    /* Joins the parts of a longer interval. */
    while ((reader->more = next_part(reader, part)) && part->from == row->from) {
        const double n = row->n, m = part->n;
        for (int i = 0; i < ROW_VALUES; i++)
            if (part->mean[i] != ROW_UNKNOWN)
                row->mean[i] =
                    row->mean[i] == ROW_UNKNOWN
                        ? part->mean[i]
                        : (int32_t) lround((row->mean[i] * n + part->mean[i] * m) / (n + m));
        history_add_part(row, part);
    }
    return row;
}
