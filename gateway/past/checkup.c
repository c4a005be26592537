// SPDX-License-Identifier: MIT
#include "checkup.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>

#define RUN_DAYS 6         /* longest discharge, in days */
#define EFFICIENCY_DAYS 31 /* days that are looked back for the efficiency */
#define APART_DAYS 7       /* least days between two times at which the pack was full */

/* The midnight after a local one, both in UTC seconds. */
static int64_t next_midnight(int64_t midnight)
{
    return history_start(LEVEL_DAY, midnight + DAY_S + DAY_S / 2);
}

int64_t checkup_due(struct query *query, const char *pack, int64_t now)
{
    const int64_t last = query_last_before(query, NULL, LEVEL_RECENT, now + 1);
    const int64_t first = query_first(query, pack, LEVEL_HOUR);
    const int64_t checked = query_checked(query, pack, now);
    if (last == INT64_MIN || first == INT64_MAX)
        return 0;
    const int64_t back = last - CHECKUP_BACK_DAYS * (int64_t) DAY_S;
    /* Do not report each day of a long gap (gateway off, or clock wrong). */
    const int64_t next = checked != INT64_MIN && checked > back
                             ? next_midnight(checked)
                             : history_start(LEVEL_DAY, first > back ? first : back);
    return next_midnight(next) <= last ? next : 0;
}

static void read_cells(struct query *query, const struct query_ask *day, struct health_day *result)
{
    struct query_ask ask = *day;
    struct query_rows rows;
    struct health_work *work = health_work_new();
    ask.level = LEVEL_RECENT;
    query_want_all(&ask, MAX_CELLS, false);
    query_begin(&rows, query, &ask);
    for (const struct history_row *row; (row = query_next(&rows));)
        health_row(work, row);
    health_result(work, result);
    free(work);
}

static void read_capacity(struct query *query, const struct query_ask *day,
                          struct health_day *result)
{
    struct query_ask ask = *day;
    struct query_rows rows;
    struct health_run run = {.running = false};
    ask.level = LEVEL_MINUTE;
    ask.from -= RUN_DAYS * (int64_t) DAY_S;
    ask.wanted[ROW_CURRENT] = ask.wanted[ROW_SOC] = ask.wanted[ROW_FLAGS] = true;
    query_begin(&rows, query, &ask);
    for (const struct history_row *row; (row = query_next(&rows));) {
        const double capacity = health_capacity(&run, row);
        if (!isnan(capacity) && row->t >= day->from)
            result->capacity_ah = capacity;
    }
}

/* The energy and the silence of the day. Between two times at which the pack is full its charge is the same: the energy that
 * is missing was lost. */
static void read_energy(struct query *query, const struct query_ask *day, struct health_day *result)
{
    struct query_ask ask = *day;
    struct query_rows rows;
    int64_t first_full = 0, last_full = 0, in_mwh = 0, out_mwh = 0;
    double fresh_s = 0;
    ask.level = LEVEL_DAY;
    ask.wanted[ROW_CHARGED] = ask.wanted[ROW_DISCHARGED] = ask.wanted[ROW_FRESH_S] = true;
    ask.wanted[ROW_SOC_PEAK] = ask.wanted[ROW_SOC_PEAK_AT] = true;
    ask.from -= EFFICIENCY_DAYS * (int64_t) DAY_S;
    query_begin(&rows, query, &ask);
    for (const struct history_row *row; (row = query_next(&rows));) {
        if (row->soc_peak >= FULL_PERMILLE) {
            first_full = first_full ? first_full : row->soc_peak_at;
            last_full = row->soc_peak_at;
        }
        if (row->from != day->from)
            continue;
        result->charged_wh = (double) row->charged_mwh / 1000;
        result->discharged_wh = (double) row->discharged_mwh / 1000;
        fresh_s = (double) row->fresh_s;
    }
    /* Silence counts only after the first row. */
    if (query_first(query, day->pack, LEVEL_HOUR) < day->from)
        result->silent_s = fmax((double) (day->to - day->from) - fresh_s, 0);
    if (last_full - first_full < APART_DAYS * (int64_t) DAY_S || last_full < day->from)
        return;
    ask.level = LEVEL_HOUR;
    ask.from = history_start(LEVEL_HOUR, first_full) + 3600;
    ask.to = history_start(LEVEL_HOUR, last_full) + 3600;
    query_begin(&rows, query, &ask);
    for (const struct history_row *row; (row = query_next(&rows));) {
        in_mwh += row->charged_mwh;
        out_mwh += row->discharged_mwh;
    }
    const double efficiency = (double) out_mwh / (double) in_mwh;
    if (in_mwh > 0 && efficiency > 0.3 && efficiency <= 1)
        result->efficiency = efficiency;
}

bool checkup_day(struct query *query, const char *pack, int64_t midnight, struct health_day *day)
{
    const struct query_ask ask = {.pack = pack, .from = midnight, .to = next_midnight(midnight)};
    health_clear(day);
    day->from = midnight;
    day->day = history_day(midnight);
    read_cells(query, &ask, day);
    read_capacity(query, &ask, day);
    read_energy(query, &ask, day);
    return !query_why(query)[0];
}

unsigned checkup_judge(struct query *query, const char *pack, int64_t now,
                       struct health_finding findings[HEALTH_FINDINGS])
{
    struct health_day *days = alloc_zeroed(CHECKUP_DAYS, sizeof *days);
    const int64_t checked = query_checked(query, pack, now);
    unsigned count = 0;
    if (checked != INT64_MIN)
        count = query_health(query, pack, checked - CHECKUP_DAYS * (int64_t) DAY_S, checked, days,
                             CHECKUP_DAYS);
    const unsigned found = health_judge(days, count, findings);
    free(days);
    return found;
}

void checkup_report(const char *file, const char *pack, int64_t now, struct text *text)
{
    char why[200];
    struct health_finding findings[HEALTH_FINDINGS];
    struct query *query = file[0] ? query_open(file, why, sizeof why) : NULL;
    if (!query)
        return;
    const unsigned found = checkup_judge(query, pack, now, findings);
    for (unsigned i = 0; i < found; i++) {
        text_add(text, "Health: ");
        health_sentence(text, &findings[i]);
        text_add(text, ".\n");
    }
    query_close(query);
}
