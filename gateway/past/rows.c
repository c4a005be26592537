// SPDX-License-Identifier: MIT
#include "rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LONGEST_POLL_S 3610 /* longest `poll`, an hour, and one row */

// clang-format off
const struct history_level_info history_levels[HISTORY_LEVELS] = {
    [LEVEL_RECENT] = {"recent", "t",   RECENT_S},
    [LEVEL_MINUTE] = {"minute", "t",   60},
    [LEVEL_HOUR]   = {"hour",   "t",   3600},
    [LEVEL_DAY]    = {"day",    "day", 86400},
};

#define ALARMS ((1 << PACK_ALARM_COUNT) - 1)
#define AT(member) offsetof(struct history_row, member)

static const struct history_field fields[ROW_FIELDS] = {
    [ROW_VOLTAGE]   = {"voltage_mv",    "voltage_v",     1000, MERGE_MEAN, VOLTAGE_V},
    [ROW_CURRENT]   = {"current_ma",    "current_a",     1000, MERGE_MEAN, CURRENT_A},
    [ROW_POWER]     = {"power_w",       "power_w",       1,    MERGE_MEAN, POWER_W},
    [ROW_SOC]       = {"soc_permille",  "soc_percent",   10,   MERGE_LAST, SOC_PERCENT},
    [ROW_REMAINING] = {"remaining_mah", "remaining_ah",  1000, MERGE_LAST, REMAINING_AH},
    [ROW_DELTA]     = {"delta_mv",      "cell_delta_mv", 1,    MERGE_MEAN, CELL_DELTA_MV},
    [ROW_TEMP]      = {"temp_dc",       "temp_avg_c",    10,   MERGE_MEAN, TEMP_AVG_C},
    [ROW_MOS_TEMP]  = {"mos_temp_dc",   "mos_temp_c",    10,   MERGE_MEAN, MOS_TEMP_C},
    [ROW_ALLOWED_VOLTAGE]      = {"allowed_charge_mv",    "allowed_charge_voltage_v",    1000, MERGE_MEAN, PACK_VALUES},
    [ROW_ALLOWED_CHARGE]       = {"allowed_charge_ma",    "allowed_charge_current_a",    1000, MERGE_MEAN, PACK_VALUES},
    [ROW_ALLOWED_DISCHARGE]    = {"allowed_discharge_ma", "allowed_discharge_current_a", 1000, MERGE_MEAN, PACK_VALUES},
    [ROW_CHARGE_LIMITED_BY]    = {"charge_limited_by",    "charge_limited_by",           1,    MERGE_LAST, PACK_VALUES},
    [ROW_DISCHARGE_LIMITED_BY] = {"discharge_limited_by", "discharge_limited_by",        1,    MERGE_LAST, PACK_VALUES},
    [ROW_CELL]      = {NULL,            "cell_mv",       1,    MERGE_MEAN, CELL_MV},
    [ROW_CHARGED]     = {"charged_wh",        "charged_wh",       1000, MERGE_SUM,   PACK_VALUES, LEVEL_HOUR,   LEVEL_DAY,  AT(charged_mwh),    0,  UINT64_MAX},
    [ROW_DISCHARGED]  = {"discharged_wh",     "discharged_wh",    1000, MERGE_SUM,   PACK_VALUES, LEVEL_HOUR,   LEVEL_DAY,  AT(discharged_mwh), 0,  UINT64_MAX},
    [ROW_SOC_PEAK]    = {"soc_peak_permille", "soc_peak_percent", 10,   MERGE_PEAK,  PACK_VALUES, LEVEL_DAY,    LEVEL_DAY,  AT(soc_peak),       0,  UINT64_MAX},
    [ROW_SOC_PEAK_AT] = {"soc_peak_at",       NULL,               1,    MERGE_PEAK,  PACK_VALUES, LEVEL_DAY,    LEVEL_DAY,  AT(soc_peak_at),    0,  UINT64_MAX},
    [ROW_WARNINGS]    = {"alarms_warning",    NULL,               1,    MERGE_BITS,  PACK_VALUES, LEVEL_DAY,    LEVEL_DAY,  AT(flags),          0,  ALARMS},
    [ROW_PROTECTIONS] = {"alarms_protection", NULL,               1,    MERGE_BITS,  PACK_VALUES, LEVEL_DAY,    LEVEL_DAY,  AT(flags),          24, ALARMS},
    [ROW_FRESH_S]       = {"fresh_s",           NULL,               1,    MERGE_SUM,   PACK_VALUES, LEVEL_DAY,    LEVEL_DAY,  AT(fresh_s),        0,  UINT64_MAX},
    [ROW_FLAGS]       = {"flags",             NULL,               1,    MERGE_FLAGS, PACK_VALUES, LEVEL_RECENT, LEVEL_HOUR, AT(flags),          0,  UINT64_MAX},
};
// clang-format on

bool history_level_find(const char *name, enum history_level *level)
{
    for (int i = 0; i < HISTORY_LEVELS; i++)
        if (strcmp(history_levels[i].name, name) == 0) {
            *level = (enum history_level) i;
            return true;
        }
    return false;
}

static bool is_cell(enum history_value value)
{
    return value >= ROW_CELL && value < ROW_VALUES;
}

const struct history_field *history_field(enum history_value value)
{
    return &fields[is_cell(value) ? ROW_CELL : value];
}

static const char *print_name(enum history_value value, const char *name, const char *of_cell,
                              int n, char out[HISTORY_NAME_SIZE])
{
    static const char *const suffixes[] = {"", "_min", "_max"};
    if (is_cell(value))
        snprintf(out, HISTORY_NAME_SIZE, "%s%u%s", of_cell, (unsigned) (value - ROW_CELL) + 1,
                 suffixes[n]);
    else
        snprintf(out, HISTORY_NAME_SIZE, "%s%s", name, suffixes[n]);
    return out;
}

const char *history_column_name(enum history_value value, int n, char out[HISTORY_NAME_SIZE])
{
    return print_name(value, fields[value].column, "c", n, out);
}

const char *history_value_name(enum history_value value, int n, char out[HISTORY_NAME_SIZE])
{
    return print_name(value, fields[value].name, "cell_mv.", n, out);
}

int history_decimals(enum history_value value)
{
    return history_is_energy(value) ? 1 : (int) lround(log10(history_field(value)->scale));
}

int history_columns(enum history_level level, enum history_value value, unsigned cells)
{
    const struct history_field *field = history_field(value);
    if (is_cell(value) && value >= ROW_CELL + cells)
        return 0;
    if (value >= ROW_VALUES)
        return level >= field->first && level <= field->last;
    if (value == ROW_CHARGE_LIMITED_BY || value == ROW_DISCHARGE_LIMITED_BY)
        return 1;
    return level >= LEVEL_HOUR || (level == LEVEL_MINUTE && value < ROW_CELL) ? 3 : 1;
}

int64_t history_number(const struct history_row *row, enum history_value value, int n)
{
    const struct history_field *field = history_field(value);
    const int32_t *const kinds[] = {row->mean, row->min, row->max};
    if (value < ROW_VALUES)
        return kinds[n][value];
    const void *at = (const char *) row + field->offset;
    return (int64_t) (*(const uint64_t *) at >> field->shift & field->mask);
}

void history_set(struct history_row *row, enum history_value value, int n, int64_t number)
{
    const struct history_field *field = history_field(value);
    int32_t *const kinds[] = {row->mean, row->min, row->max};
    if (value < ROW_VALUES) {
        kinds[n][value] = (int32_t) number;
        return;
    }
    uint64_t *at = (void *) ((char *) row + field->offset);
    *at = (*at & ~(field->mask << field->shift)) | (uint64_t) number << field->shift;
}

enum pack_value history_pack_value(enum history_value value)
{
    return value < ROW_CELL ? fields[value].value
                            : (enum pack_value)(CELL_MV + (int) (value - ROW_CELL));
}

static struct tm local_of(int64_t wall)
{
    const time_t at = (time_t) wall;
    struct tm local;
    localtime_r(&at, &local);
    return local;
}

int64_t history_day(int64_t wall)
{
    const struct tm local = local_of(wall);
    return (local.tm_year + 1900) * 10000 + (local.tm_mon + 1) * 100 + local.tm_mday;
}

const char *history_day_name(int64_t day, char out[HISTORY_NAME_SIZE])
{
    const int number = (int) day;
    snprintf(out, HISTORY_NAME_SIZE, "%04d-%02d-%02d", number / 10000, number / 100 % 100,
             number % 100);
    return out;
}

int64_t history_start(enum history_level level, int64_t wall)
{
    const int64_t step = history_levels[level].step, rest = wall % step;
    if (level < LEVEL_DAY)
        return wall - (rest < 0 ? rest + step : rest);
    /* A day may have 23 or 25 hours; mktime knows where it begins. */
    struct tm local = local_of(wall);
    local.tm_hour = local.tm_min = local.tm_sec = 0;
    local.tm_isdst = -1;
    return mktime(&local);
}

struct history_row history_empty(int64_t from)
{
    struct history_row row = {.t = from, .from = from, .soc_peak = ROW_UNKNOWN};
    for (int i = 0; i < ROW_VALUES; i++)
        row.mean[i] = row.min[i] = row.max[i] = ROW_UNKNOWN;
    return row;
}

static void open_interval(struct history_interval *interval, enum history_level level, int64_t from)
{
    *interval = (struct history_interval){.open = true, .row = history_empty(from)};
    if (level == LEVEL_DAY)
        interval->row.t = history_day(from);
}

void history_series_init(struct history_series *series)
{
    *series = (struct history_series){.charged_wh = NAN, .discharged_wh = NAN};
}

/* Converts the sums so far into means of the interval. */
static void compute_means(struct history_interval *interval)
{
    for (int i = 0; i < ROW_VALUES; i++)
        if (interval->weight[i] > 0 && history_field((enum history_value) i)->merge != MERGE_LAST)
            interval->row.mean[i] = (int32_t) lround(interval->sum[i] / interval->weight[i]);
}

void history_add_part(struct history_row *row, const struct history_row *part)
{
    const uint64_t last = FLAG_CHARGE_MOS | FLAG_DISCHARGE_MOS;
    for (int i = 0; i < ROW_VALUES; i++) {
        if (part->mean[i] == ROW_UNKNOWN)
            continue;
        if (history_field((enum history_value) i)->merge == MERGE_LAST)
            row->mean[i] = part->mean[i];
        /* A part may have only its mean. Unknown is the lowest number of all. */
        const int32_t low = part->min[i] == ROW_UNKNOWN ? part->mean[i] : part->min[i];
        const int32_t high = part->max[i] == ROW_UNKNOWN ? part->mean[i] : part->max[i];
        if (row->min[i] == ROW_UNKNOWN || low < row->min[i])
            row->min[i] = low;
        if (high > row->max[i])
            row->max[i] = high;
    }
    row->flags = (row->flags & ~last) | part->flags;
    row->n += part->n;
    row->fresh_s += part->fresh_s;
    row->charged_mwh += part->charged_mwh;
    row->discharged_mwh += part->discharged_mwh;
    if (part->soc_peak > row->soc_peak) {
        row->soc_peak = part->soc_peak;
        row->soc_peak_at = part->soc_peak_at;
    }
}

/* Adds a poll to ten seconds, or ten seconds to a minute, an hour or a day. */
static void add_row(struct history_interval *interval, const struct history_row *part)
{
    for (int i = 0; i < ROW_VALUES; i++) {
        if (part->mean[i] == ROW_UNKNOWN)
            continue;
        interval->sum[i] += part->mean[i];
        interval->weight[i] += 1;
    }
    history_add_part(&interval->row, part);
}

static void close_interval(struct history_interval *interval, enum history_level level,
                           history_keep *keep, void *data)
{
    if (interval->open) {
        compute_means(interval);
        keep(data, level, &interval->row);
    }
    interval->open = false;
}

void history_silent(struct history_series *series)
{
    series->fresh_from = 0;
}

/* The ten seconds are over: adds them to the coarser levels, of which history_pass has closed what was over before. */
static void close_recent(struct history_series *series, history_keep *keep, void *data)
{
    struct history_interval *recent = &series->levels[LEVEL_RECENT];
    if (!recent->open)
        return;
    close_interval(recent, LEVEL_RECENT, keep, data);
    for (int level = LEVEL_MINUTE; level < HISTORY_LEVELS; level++) {
        struct history_interval *interval = &series->levels[level];
        if (!interval->open)
            open_interval(interval, (enum history_level) level,
                          history_start((enum history_level) level, recent->row.t));
        add_row(interval, &recent->row);
    }
}

void history_pass(struct history_series *series, double wall, history_keep *keep, void *data)
{
    const int64_t now = (int64_t) floor(wall);
    struct history_interval *recent = &series->levels[LEVEL_RECENT];
    if (recent->open && recent->row.from != history_start(LEVEL_RECENT, now))
        close_recent(series, keep, data);
    for (int level = LEVEL_MINUTE; level < HISTORY_LEVELS; level++) {
        struct history_interval *interval = &series->levels[level];
        if (interval->open && interval->row.from != history_start((enum history_level) level, now))
            close_interval(interval, (enum history_level) level, keep, data);
    }
}

void history_flush(struct history_series *series, bool all, history_keep *keep, void *data)
{
    if (all)
        close_recent(series, keep, data);
    for (int level = all ? LEVEL_MINUTE : LEVEL_HOUR; level < HISTORY_LEVELS; level++)
        close_interval(&series->levels[level], (enum history_level) level, keep, data);
}

bool history_so_far(const struct history_series *series, struct history_row *row)
{
    struct history_interval recent = series->levels[LEVEL_RECENT];
    if (!recent.open)
        return false;
    compute_means(&recent);
    *row = recent.row;
    return true;
}

static int32_t to_integer(enum history_value value, const struct pack *pack,
                          const struct map_allowed *allowed)
{
    const double limits[] = {allowed->charge_voltage_v, allowed->charge_current_a,
                             allowed->discharge_current_a, allowed->charge_limited_by,
                             allowed->discharge_limited_by};
    double number;
    if (!history_is_limit(value))
        number = pack->value[history_pack_value(value)];
    else
        number = allowed->configured ? limits[value - ROW_ALLOWED_VOLTAGE] : NAN;
    number *= history_field(value)->scale;
    return isnan(number) || fabs(number) > INT32_MAX ? ROW_UNKNOWN : (int32_t) lround(number);
}

/* Growth of a counter in mWh. A counter that went back was reset. */
static int64_t growth(double *before, double counter)
{
    const double grown = isnan(*before) || isnan(counter) ? 0 : counter - *before;
    *before = counter;
    return grown > 0 ? llround(grown * 1000) : 0;
}

void history_add(struct history_series *series, const struct pack *pack,
                 const struct map_status *status, double wall, history_keep *keep, void *data)
{
    const int64_t now = (int64_t) floor(wall);
    struct history_interval *recent = &series->levels[LEVEL_RECENT];
    history_pass(series, wall, keep, data);
    if (!recent->open) {
        open_interval(recent, LEVEL_RECENT, history_start(LEVEL_RECENT, now));
        /* A longer span comes from a clock that was set, and counts as one row. */
        const int64_t span = recent->row.t - series->fresh_from;
        const bool counts = series->fresh_from && span > RECENT_S && span <= LONGEST_POLL_S;
        recent->row.fresh_s = counts ? span : RECENT_S;
    }
    series->fresh_from = recent->row.t;
    series->alarms = alarms_after(series->alarms, pack, status->bms);
    struct history_row poll = history_empty(now);
    for (int i = 0; i < ROW_VALUES; i++)
        poll.mean[i] = poll.min[i] = poll.max[i] =
            to_integer((enum history_value) i, pack, &status->allowed);
    poll.n = 1;
    /* Bit n of alarms is alarm n. */
    poll.flags = series->alarms.warning * FLAG_WARNING(0) |
                 series->alarms.protection * FLAG_PROTECTION(0) |
                 (pack->value[CHARGE_MOS] > 0 ? FLAG_CHARGE_MOS : 0) |
                 (pack->value[DISCHARGE_MOS] > 0 ? FLAG_DISCHARGE_MOS : 0) |
                 (pack->value[BALANCING] > 0 ? FLAG_BALANCING : 0);
    poll.soc_peak = poll.mean[ROW_SOC];
    poll.soc_peak_at = now;
    poll.charged_mwh = growth(&series->charged_wh, status->charged_wh);
    poll.discharged_mwh = growth(&series->discharged_wh, status->discharged_wh);
    add_row(recent, &poll);
}
