// SPDX-License-Identifier: MIT
/* Rows that may not be in the database yet. */
#include "recent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row without cells that the pack does not have. */
struct recent_row {
    int64_t t;
    uint32_t n, fresh_s;
    unsigned values; /* how many of each kind */
    int64_t charged_mwh, discharged_mwh;
    uint64_t flags;
    int64_t soc_peak_at;
    int32_t soc_peak;
    int32_t *numbers; /* means and, unless only these are kept, lowest and highest */
};

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
        free(recent->rows[i].numbers);
    free(recent->rows);
    recent->rows = NULL;
}

static unsigned count_values(const struct history_row *row)
{
    unsigned count = ROW_VALUES;
    while (count > ROW_CELL && row->mean[count - 1] == ROW_UNKNOWN)
        count--;
    return count;
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
    const unsigned values = count_values(row);
    if (!kept->numbers || kept->values != values) {
        free(kept->numbers);
        kept->numbers = malloc((recent->means_only ? 1 : 3) * values * sizeof *kept->numbers);
        if (!kept->numbers)
            return;
    }
    kept->values = values;
    kept->t = row->t;
    kept->n = row->n;
    kept->fresh_s = row->fresh_s;
    kept->charged_mwh = row->charged_mwh;
    kept->discharged_mwh = row->discharged_mwh;
    kept->flags = row->flags;
    kept->soc_peak = row->soc_peak;
    kept->soc_peak_at = row->soc_peak_at;
    memcpy(kept->numbers, row->mean, values * sizeof *row->mean);
    recent->count++;
    if (recent->means_only)
        return;
    memcpy(kept->numbers + values, row->min, values * sizeof *row->min);
    memcpy(kept->numbers + 2 * values, row->max, values * sizeof *row->max);
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
        free(recent->rows[recent->first].numbers);
        recent->rows[recent->first].numbers = NULL;
        recent->first = (recent->first + 1) % recent->room;
    }
}

struct history_row recent_empty(int64_t from)
{
    struct history_row row = {.t = from, .from = from, .soc_peak = ROW_UNKNOWN};
    for (int i = 0; i < ROW_VALUES; i++)
        row.mean[i] = row.min[i] = row.max[i] = ROW_UNKNOWN;
    return row;
}

void recent_walk(const struct recent *recent, int64_t from,
                 void (*each)(void *data, const struct history_row *row), void *data)
{
    for (unsigned i = 0; i < recent->count; i++) {
        const struct recent_row *kept = &recent->rows[(recent->first + i) % recent->room];
        if (kept->t < from)
            continue;
        struct history_row row = recent_empty(kept->t);
        row.n = kept->n;
        row.fresh_s = kept->fresh_s;
        row.charged_mwh = kept->charged_mwh;
        row.discharged_mwh = kept->discharged_mwh;
        row.flags = kept->flags;
        row.soc_peak = kept->soc_peak;
        row.soc_peak_at = kept->soc_peak_at;
        memcpy(row.mean, kept->numbers, kept->values * sizeof *row.mean);
        if (!recent->means_only) {
            memcpy(row.min, kept->numbers + kept->values, kept->values * sizeof *row.min);
            memcpy(row.max, kept->numbers + 2 * kept->values, kept->values * sizeof *row.max);
        }
        each(data, &row);
    }
    struct history_row row;
    if (history_so_far(&recent->series, &row) && row.t >= from)
        each(data, &row);
}

static int32_t weighted(int32_t a, uint32_t n, int32_t b, uint32_t m)
{
    if (a == ROW_UNKNOWN || b == ROW_UNKNOWN)
        return a == ROW_UNKNOWN ? b : a;
    return (int32_t) lround(((double) a * n + (double) b * m) / ((double) n + m));
}

void recent_join(struct history_row *row, const struct history_row *part)
{
    for (int i = 0; i < ROW_VALUES; i++) {
        if (part->mean[i] == ROW_UNKNOWN)
            continue;
        row->mean[i] = history_column((enum history_value) i)->takes_last
                           ? part->mean[i]
                           : weighted(row->mean[i], row->n, part->mean[i], part->n);
        const int32_t low = part->min[i] == ROW_UNKNOWN ? part->mean[i] : part->min[i];
        const int32_t high = part->max[i] == ROW_UNKNOWN ? part->mean[i] : part->max[i];
        if (row->min[i] == ROW_UNKNOWN || low < row->min[i])
            row->min[i] = low;
        if (high > row->max[i])
            row->max[i] = high;
    }
    history_add_sums(row, part);
}
