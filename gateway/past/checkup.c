// SPDX-License-Identifier: MIT
/* Health from the database. */
#include "checkup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400
#define RUN_DAYS 6         /* longest discharge, in days */
#define EFFICIENCY_DAYS 31 /* days that are looked back for the efficiency */
#define APART_DAYS 7       /* least days between two times at which the pack was full */
#define FULL_PERMILLE 990

/* The midnight after a local one, both in UTC seconds. */
static int64_t next_midnight(int64_t midnight)
{
    return history_start(LEVEL_DAY, midnight + DAY_S + DAY_S / 2);
}

int64_t checkup_due(struct query *query, const char *pack, int64_t now)
{
    char name[64];
    int64_t last = INT64_MIN; /* of any pack */
    for (unsigned n = 0; query_pack(query, n, name, sizeof name); n++) {
        const int64_t found = query_last_before(query, name, LEVEL_RECENT, now + 1);
        last = found > last ? found : last;
    }
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

static bool read_cells(struct query *query, const struct query_ask *day, struct health_day *result)
{
    struct query_ask ask = *day;
    struct health_work *work = health_work_new();
    if (!work)
        return false;
    ask.level = LEVEL_RECENT;
    query_want_all(&ask, MAX_CELLS, false);
    const bool good = query_rows(query, &ask, health_row, work) >= 0;
    health_result(work, result);
    free(work);
    return good;
}

struct runs {
    struct health_run run;
    int64_t from; /* of the day */
    double capacity;
};

static bool take_minute(void *data, const struct history_row *row)
{
    struct runs *runs = data;
    const double capacity = health_capacity(&runs->run, row);
    if (!isnan(capacity) && row->t >= runs->from)
        runs->capacity = capacity;
    return true;
}

static bool read_capacity(struct query *query, const struct query_ask *day,
                          struct health_day *result)
{
    struct query_ask ask = *day;
    struct runs runs = {.from = day->from, .capacity = NAN};
    ask.level = LEVEL_MINUTE;
    ask.from -= RUN_DAYS * (int64_t) DAY_S;
    ask.wanted[ROW_CURRENT] = ask.wanted[ROW_SOC] = ask.wanted[ROW_FLAGS] = true;
    const bool good = query_rows(query, &ask, take_minute, &runs) >= 0;
    result->capacity_ah = runs.capacity;
    return good;
}

struct energies {
    int64_t first_full, last_full, from; /* 0: none */
    double charged_wh, discharged_wh;
    bool any; /* the day itself has a row */
    struct health_day *day;
};

static bool take_day(void *data, const struct history_row *row)
{
    struct energies *energies = data;
    if (row->soc_peak != ROW_UNKNOWN && row->soc_peak >= FULL_PERMILLE) {
        energies->first_full = energies->first_full ? energies->first_full : row->soc_peak_at;
        energies->last_full = row->soc_peak_at;
    }
    if (row->from == energies->from) {
        energies->any = true;
        energies->day->charged_wh = (double) row->charged_mwh / 1000;
        energies->day->discharged_wh = (double) row->discharged_mwh / 1000;
        energies->day->silent_s = (double) row->fresh_s;
    }
    return true;
}

static bool take_hour(void *data, const struct history_row *row)
{
    struct energies *energies = data;
    energies->charged_wh += (double) row->charged_mwh / 1000;
    energies->discharged_wh += (double) row->discharged_mwh / 1000;
    return true;
}

/* Between two times at which the pack is full its charge is the same: the energy that is missing
 * was lost. */
static bool read_energy(struct query *query, const struct query_ask *day, struct health_day *result)
{
    struct query_ask ask = *day;
    struct energies energies = {.from = day->from, .day = result};
    ask.level = LEVEL_DAY;
    ask.wanted[ROW_CHARGED] = ask.wanted[ROW_DISCHARGED] = ask.wanted[ROW_FRESH_S] = true;
    ask.wanted[ROW_SOC_PEAK] = ask.wanted[ROW_SOC_PEAK_AT] = true;
    ask.from -= EFFICIENCY_DAYS * (int64_t) DAY_S;
    if (query_rows(query, &ask, take_day, &energies) < 0)
        return false;
    const double length = (double) (day->to - day->from);
    /* Silence counts only after the first row. */
    const bool whole = query_first(query, day->pack, LEVEL_HOUR) < day->from;
    result->silent_s = !whole ? NAN : energies.any ? fmax(length - result->silent_s, 0) : length;
    if (energies.last_full - energies.first_full < APART_DAYS * (int64_t) DAY_S ||
        energies.last_full < day->from)
        return true;
    ask.level = LEVEL_HOUR;
    ask.from = history_start(LEVEL_HOUR, energies.first_full) + 3600;
    ask.to = history_start(LEVEL_HOUR, energies.last_full) + 3600;
    if (query_rows(query, &ask, take_hour, &energies) < 0)
        return false;
    const double efficiency = energies.discharged_wh / energies.charged_wh;
    if (energies.charged_wh > 0 && efficiency > 0.3 && efficiency <= 1)
        result->efficiency = efficiency;
    return true;
}

bool checkup_day(struct query *query, const char *pack, int64_t midnight, struct health_day *day)
{
    const struct query_ask ask = {.pack = pack, .from = midnight, .to = next_midnight(midnight)};
    health_clear(day);
    day->from = midnight;
    day->day = history_day(midnight);
    return read_cells(query, &ask, day) && read_capacity(query, &ask, day) &&
           read_energy(query, &ask, day);
}

struct taking {
    struct health_day *days;
    unsigned count, most;
    int64_t to;
};

static bool take_kept(void *data, const struct health_day *day)
{
    struct taking *taking = data;
    if (day->from > taking->to)
        return false;
    if (taking->count == taking->most) {
        memmove(taking->days, taking->days + 1, (taking->most - 1) * sizeof *taking->days);
        taking->count--;
    }
    taking->days[taking->count++] = *day;
    return true;
}

unsigned checkup_days(struct query *query, const char *pack, int64_t from, int64_t to,
                      struct health_day *days, unsigned most)
{
    struct taking taking = {.days = days, .most = most, .to = to};
    query_health(query, pack, history_day(from), take_kept, &taking);
    return taking.count;
}

unsigned checkup_judge(struct query *query, const char *pack, int64_t now,
                       struct health_finding findings[HEALTH_FINDINGS])
{
    struct health_day *days = malloc(CHECKUP_DAYS * sizeof *days);
    const int64_t checked = query_checked(query, pack, now);
    unsigned count = 0;
    if (days && checked != INT64_MIN)
        count = checkup_days(query, pack, checked - CHECKUP_DAYS * (int64_t) DAY_S, checked, days,
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
