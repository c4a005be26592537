// SPDX-License-Identifier: MIT
/*
 * Converts poll cycles to rows of history: ten seconds, minutes, hours, days, all computed in
 * memory. Pure: time is an argument, and the store writes the rows.
 *
 * Numbers are integers in a small unit, as in the database. A row contains the number of its polls:
 * two parts of one interval (a restart, a commit in the middle of an hour, a clock that was set
 * back) are merged with that weight. There is no row for an interval without values.
 */
#pragma once

#include "packs/alarms.h"
#include "registers/map.h"

#include <stdint.h>

enum history_level { LEVEL_RECENT, LEVEL_MINUTE, LEVEL_HOUR, LEVEL_DAY, HISTORY_LEVELS };

/* A level: its name, which is that of its table, the column there with the start of a row, and its steps in seconds. */
struct history_level_info {
    const char *name, *time_column; /* "t", of days "day" */
    int64_t step;
};
extern const struct history_level_info history_levels[HISTORY_LEVELS];

/** False: no level has this name. */
bool history_level_find(const char *name, enum history_level *level);
#define RECENT_S 10
#define DAY_S 86400 /* a local day may have an hour more or less */

enum history_value {
    ROW_VOLTAGE,
    ROW_CURRENT,
    ROW_POWER,
    ROW_SOC,
    ROW_REMAINING,
    ROW_DELTA,
    ROW_TEMP,
    ROW_MOS_TEMP,
    ROW_ALLOWED_VOLTAGE, /* these five: the limits, if there are any */
    ROW_ALLOWED_CHARGE,
    ROW_ALLOWED_DISCHARGE,
    ROW_CHARGE_LIMITED_BY,
    ROW_DISCHARGE_LIMITED_BY,
    ROW_PACK_VALUES,
    ROW_CELL = ROW_PACK_VALUES, /* cell 1; the others follow */
    ROW_VALUES =
        ROW_CELL +
        MAX_CELLS, /* so far values with a mean, which most levels extend by extremes; behind them: */
    ROW_CHARGED = ROW_VALUES,
    ROW_DISCHARGED,
    ROW_SOC_PEAK,
    ROW_SOC_PEAK_AT,
    ROW_WARNINGS, /* in a day these two are the flags */
    ROW_PROTECTIONS,
    ROW_FRESH_S,
    ROW_FLAGS,
    ROW_FIELDS
};

/* How two parts of one interval are merged: means weighted by the polls in each, the later of what counts last. */
enum history_merge { MERGE_MEAN, MERGE_LAST, MERGE_SUM, MERGE_PEAK, MERGE_BITS, MERGE_FLAGS };

/* A field of a row: its column in the database, and its name in the map. */
struct history_field {
    const char *column; /* "voltage_mv"; NULL: a cell, its column is c and its number */
    const char *name;   /* "voltage_v"; NULL: the map does not have it */
    double scale;       /* value times scale is the integer */
    enum history_merge merge;
    enum pack_value value; /* of struct pack; PACK_VALUES: it is not there */
    /* Only of the fields behind the values: */
    enum history_level first, last; /* the levels that have it */
    size_t offset;                  /* in struct history_row, of 64 bits, */
    unsigned shift;                 /* of which it has these */
    uint64_t mask;
};
const struct history_field *history_field(enum history_value value);

static inline bool history_is_limit(enum history_value value)
{
    return value >= ROW_ALLOWED_VOLTAGE && value <= ROW_DISCHARGE_LIMITED_BY;
}

/* In a row in mWh, a real number of Wh in the database. */
static inline bool history_is_energy(enum history_value value)
{
    return value == ROW_CHARGED || value == ROW_DISCHARGED;
}

/** How many decimals of a value are worth printing: those of its integer, of an energy one. */
int history_decimals(enum history_value value);

/** How many columns a level with so many cells has for a field: none, the mean or the only one, or also the lowest and the
 * highest. For cells only hours and days have these, for reasons no level, and ten seconds have none. */
int history_columns(enum history_level level, enum history_value value, unsigned cells);

/** The value of struct pack that it is; PACK_VALUES: a limit. */
enum pack_value history_pack_value(enum history_value value);

/* The n-th column of a field in `out`, and its name in the map: "c7_min" and "cell_mv.7_min". */
#define HISTORY_NAME_SIZE 36
const char *history_column_name(enum history_value value, int n, char out[HISTORY_NAME_SIZE]);
const char *history_value_name(enum history_value value, int n, char out[HISTORY_NAME_SIZE]);

#define ROW_UNKNOWN INT32_MIN

/* Bits of `flags`: active at any time of the interval; the MOS as they were last. */
#define FLAG_WARNING(alarm) (1ull << (alarm))
#define FLAG_PROTECTION(alarm) (1ull << ((alarm) + 24))
#define FLAG_CHARGE_MOS (1ull << 48)
#define FLAG_DISCHARGE_MOS (1ull << 49)
#define FLAG_BALANCING (1ull << 50)

struct history_row {
    int64_t t;    /* start, UTC in seconds; of a day yyyymmdd, local */
    int64_t from; /* start in UTC, of a day as well */
    uint32_t n;   /* polls in it */
    int64_t fresh_s;
    int64_t charged_mwh, discharged_mwh; /* in this interval */
    uint64_t flags;
    int64_t soc_peak; /* permille; ROW_UNKNOWN: none */
    int64_t soc_peak_at;
    int32_t mean[ROW_VALUES], min[ROW_VALUES], max[ROW_VALUES]; /* the last members */
};

/** The number in the n-th column of a field; ROW_UNKNOWN: none. */
int64_t history_number(const struct history_row *row, enum history_value value, int n);
/** Sets it. */
void history_set(struct history_row *row, enum history_value value, int n, int64_t number);

/** A row without values. */
struct history_row history_empty(int64_t from);

/* An interval that is being filled. */
struct history_interval {
    bool open;
    double sum[ROW_VALUES];
    double weight[ROW_VALUES];
    struct history_row row;
};

/* The open intervals of one pack or bank. */
struct history_series {
    struct history_interval levels[HISTORY_LEVELS];
    struct alarms alarms;             /* at the last poll */
    double charged_wh, discharged_wh; /* counters at the last poll; NaN: none yet */
    int64_t fresh_from; /* the last ten seconds that had a poll; 0: it was silent since */
};

/* Callback that keeps finished rows. */
typedef void history_keep(void *data, enum history_level level, const struct history_row *row);

/** Adds a part to a longer interval, except for means. */
void history_add_part(struct history_row *row, const struct history_row *part);

void history_series_init(struct history_series *series);

/** A poll cycle was published at `wall` (UTC, seconds). Rows that end with it are passed to `keep`
 * first. */
void history_add(struct history_series *series, const struct pack *pack,
                 const struct map_status *status, double wall, history_keep *keep, void *data);

/** The pack is silent: the time from the last poll to the next does not count as fresh. Without
 * this call it does, since a pack may be polled less often than every ten seconds. */
void history_silent(struct history_series *series);

/** Time passes: rows whose interval is over at `wall` are passed to `keep`. */
void history_pass(struct history_series *series, double wall, history_keep *keep, void *data);

/** Passes the hours and days so far, or with `all` every open interval, to `keep` and restarts
 * them: the store merges the parts. */
void history_flush(struct history_series *series, bool all, history_keep *keep, void *data);

/** The current ten seconds so far. False: they are empty. */
bool history_so_far(const struct history_series *series, struct history_row *row);

/** Start of the interval of a level that contains `wall`; for days local midnight, in UTC seconds.
 */
int64_t history_start(enum history_level level, int64_t wall);
/** yyyymmdd of the local day that contains `wall`. */
int64_t history_day(int64_t wall);
/** Such a day as "2026-11-22". */
const char *history_day_name(int64_t day, char out[HISTORY_NAME_SIZE]);
