// SPDX-License-Identifier: MIT
/* Rows that may not be in the database yet. */
#include "recent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row without cells that the pack does not have. */
struct recent_row {
    int64_t t;
    unsigned values; /* how many of each kind */
    uint8_t *
        bytes; /* the row up to its means; these and, unless only these are kept, lowest and highest */
};

#define HEAD offsetof(struct history_row, mean)

bool recent_init(struct recent *recent, double span_s)
{
    memset(recent, 0, sizeof *recent);
    history_series_init(&recent->series);
    recent->room = (unsigned) ceil(span_s / RECENT_S);
    recent->rows = calloc(recent->room, sizeof *recent->rows);
    return recent->rows != NULL;
}

void recent_free(struct recent *recent)
{
    for (unsigned i = 0; recent->rows && i < recent->room; i++)
        free(recent->rows[i].bytes);
    free(recent->rows);
    recent->rows = NULL;
}

/* The oldest row makes room. If memory is short, the row is lost. */
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
    const size_t size = values * sizeof *row->mean;
    if (!kept->bytes || kept->values != values) {
        free(kept->bytes);
        kept->bytes = malloc(HEAD + (recent->means_only ? 1 : 3) * size);
        if (!kept->bytes)
            return;
    }
    kept->values = values;
    kept->t = row->t;
    memcpy(kept->bytes, row, HEAD);
    memcpy(kept->bytes + HEAD, row->mean, size);
    recent->count++;
    if (recent->means_only)
        return;
    memcpy(kept->bytes + HEAD + size, row->min, size);
    memcpy(kept->bytes + HEAD + 2 * size, row->max, size);
}

void recent_add(struct recent *recent, const struct pack *pack, const struct map_status *status,
                double wall)
{
    history_add(&recent->series, pack, status, wall, keep_recent, recent);
}

void recent_silent(struct recent *recent, double wall)
{
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

bool recent_row(const struct recent *recent, unsigned n, struct history_row *row)
{
    if (n >= recent->count)
        return n == recent->count && history_so_far(&recent->series, row);
    const struct recent_row *kept = &recent->rows[(recent->first + n) % recent->room];
    const size_t size = kept->values * sizeof *row->mean;
    *row = history_empty(kept->t);
    memcpy(row, kept->bytes, HEAD);
    memcpy(row->mean, kept->bytes + HEAD, size);
    if (!recent->means_only) {
        memcpy(row->min, kept->bytes + HEAD + size, size);
        memcpy(row->max, kept->bytes + HEAD + 2 * size, size);
    }
    return true;
}

void recent_join(struct history_row *row, const struct history_row *part)
{
    const double n = row->n, m = part->n;
    for (int i = 0; i < ROW_VALUES; i++)
        if (part->mean[i] != ROW_UNKNOWN)
            row->mean[i] = row->mean[i] == ROW_UNKNOWN
                               ? part->mean[i]
                               : (int32_t) lround((row->mean[i] * n + part->mean[i] * m) / (n + m));
    history_add_part(row, part);
}
