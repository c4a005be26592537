// SPDX-License-Identifier: MIT
#include "health.h"

#include "base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The rules of docs/health.md. */
#define LOAD_C 0.05      /* of the capacity, in A: a discharge */
#define REST_C 0.01      /* a smaller current counts as none */
#define LOAD_LEAST_A 2.0 /* if the capacity is unknown */
#define REST_MOST_A 0.5  /* the same */
#define SOC_LOW 200 /* permille: below and above, cells differ by the steep ends of their curve */
#define SOC_HIGH 900
#define ROWS_LEAST 30 /* five minutes of a day */
#define STEP_C 0.1    /* a step of current that yields a resistance */
#define STEP_LEAST_A 5.0
#define STEP_STEADY 0.1 /* of the step, before and after it */
#define STEPS_LEAST 5
#define STEPS_MOST 256
#define MILLIOHM_MOST 50.0
#define EMPTY_PERMILLE 100
#define GAP_S 300
#define CHARGED_MOST 0.02 /* of what was drawn */
#define DRAWN_LEAST_AH 1.0

#define WINDOW_DAYS 42
#define DRIFT_DAYS 21
#define DRIFT_MV_WEEK 1.0
#define DRIFT_SURE 3.0 /* times the standard error */
#define LIKE_MOST 0.9  /* correlation of successive days; 1 would be no information */
#define DRIFT_HALF 0.5 /* of the slope, in each half of the days */
#define LAST_DAYS 14
#define MOSTLY 0.8
#define LOW_MV 10.0
#define RATIO_DAYS 7
#define RATIO_MOST 1.5
#define RISE_APART 60
#define RISE_MOST 1.25
#define RISE_CELSIUS 5.0
#define FADE_LEAST 3 /* discharges at each end */
#define FADE_PERCENT 5.0
#define EFFICIENCY_LEAST 0.85
#define SILENT_S 3600.0
#define SILENT_DAYS 7

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* Median of the known numbers; sorts them. NaN: there are none. */
static double median(double *numbers, unsigned count)
{
    unsigned known = 0;
    for (unsigned i = 0; i < count; i++)
        if (!isnan(numbers[i]))
            numbers[known++] = numbers[i];
    qsort(numbers, known, sizeof *numbers, compare_numbers);
    if (known == 0)
        return NAN;
    return known % 2 ? numbers[known / 2] : (numbers[known / 2 - 1] + numbers[known / 2]) / 2;
}

static double median_of(const double *numbers, unsigned count)
{
    double copy[MAX_CELLS];
    memcpy(copy, numbers, count * sizeof *copy);
    return median(copy, count);
}

void health_clear(struct health_day *day)
{
    *day = (struct health_day){.charged_wh = NAN,
                               .discharged_wh = NAN,
                               .silent_s = NAN,
                               .efficiency = NAN,
                               .capacity_ah = NAN,
                               .temp_c = NAN};
    for (unsigned i = 0; i < MAX_CELLS; i++)
        day->load_mv[i] = day->rest_mv[i] = day->milliohm[i] = NAN;
}

struct mean {
    double sum;
    unsigned count;
};

static void add_to_mean(struct mean *mean, double number)
{
    mean->sum += number;
    mean->count++;
}

static double value(const struct mean *mean, unsigned least)
{
    return mean->count >= least && mean->count > 0 ? mean->sum / mean->count : NAN;
}

struct health_work {
    unsigned cells;
    struct mean load[MAX_CELLS], rest[MAX_CELLS], temp;
    struct history_row last[5]; /* the newest first */
    unsigned known;             /* how many of these follow each other without a gap */
    double steps[MAX_CELLS][STEPS_MOST];
    unsigned step_count;
};

struct health_work *health_work_new(void)
{
    return alloc_zeroed(1, sizeof(struct health_work));
}

static bool is_known(const struct history_row *row, enum history_value value)
{
    return row->mean[value] != ROW_UNKNOWN;
}

static double ampere(const struct history_row *row)
{
    return row->mean[ROW_CURRENT] / 1000.0;
}

/* Capacity from the remaining charge and the SOC; NaN: unknown. */
static double capacity_of(const struct history_row *row)
{
    if (!is_known(row, ROW_SOC) || !is_known(row, ROW_REMAINING) || row->mean[ROW_SOC] < 50)
        return NAN;
    return row->mean[ROW_REMAINING] / (double) row->mean[ROW_SOC];
}

static unsigned count_leading_cells(const struct history_row *row)
{
    unsigned cells = 0;
    while (cells < MAX_CELLS && row->mean[ROW_CELL + cells] != ROW_UNKNOWN)
        cells++;
    return cells;
}

static void add_deviations(struct health_work *work, struct mean *means,
                           const struct history_row *row, unsigned cells)
{
    double mv[MAX_CELLS] = {0};
    for (unsigned i = 0; i < cells; i++)
        mv[i] = row->mean[ROW_CELL + i];
    const double middle = median_of(mv, cells);
    for (unsigned i = 0; i < cells; i++)
        add_to_mean(&means[i], mv[i] - middle);
    work->cells = cells > work->cells ? cells : work->cells;
}

/* Rows are means: the row in which the current changes mixes both levels, so the two rows before
 * it and the two after it count, and must be steady. */
static void find_step(struct health_work *work)
{
    const struct history_row *later = &work->last[0], *after = &work->last[1],
                             *before = &work->last[3], *earlier = &work->last[4];
    const double step = ampere(after) - ampere(before), capacity = capacity_of(after);
    const double least = fmax(STEP_LEAST_A, isnan(capacity) ? 0 : STEP_C * capacity);
    const unsigned cells = count_leading_cells(after);
    if (fabs(step) < least || fabs(ampere(later) - ampere(after)) > STEP_STEADY * fabs(step) ||
        fabs(ampere(before) - ampere(earlier)) > STEP_STEADY * fabs(step) ||
        work->step_count == STEPS_MOST || cells == 0 || count_leading_cells(before) != cells)
        return;
    for (unsigned i = 0; i < MAX_CELLS; i++) {
        const double mv =
            i < cells ? (double) after->mean[ROW_CELL + i] - before->mean[ROW_CELL + i] : NAN;
        work->steps[i][work->step_count] = mv / step;
    }
    work->step_count++;
}

void health_row(struct health_work *work, const struct history_row *row)
{
    const unsigned cells = count_leading_cells(row);
    if (is_known(row, ROW_TEMP))
        add_to_mean(&work->temp, row->mean[ROW_TEMP] / 10.0);
    if (!is_known(row, ROW_CURRENT) || cells < 2) {
        work->known = 0;
        return;
    }
    const double capacity = capacity_of(row), current = ampere(row);
    const bool flat =
        is_known(row, ROW_SOC) && row->mean[ROW_SOC] >= SOC_LOW && row->mean[ROW_SOC] <= SOC_HIGH;
    if (flat && current <= -(isnan(capacity) ? LOAD_LEAST_A : fmax(LOAD_C * capacity, 0.1)))
        add_deviations(work, work->load, row, cells);
    else if (flat && fabs(current) < (isnan(capacity) ? REST_MOST_A : REST_C * capacity))
        add_deviations(work, work->rest, row, cells);
    const bool follows = work->known > 0 && row->t - work->last[0].t == RECENT_S;
    memmove(&work->last[1], &work->last[0], 4 * sizeof *work->last);
    work->last[0] = *row;
    work->known = follows ? (work->known < 5 ? work->known + 1 : 5) : 1;
    if (work->known == 5)
        find_step(work);
}

void health_result(const struct health_work *work, struct health_day *day)
{
    day->temp_c = value(&work->temp, ROWS_LEAST);
    for (unsigned i = 0; i < MAX_CELLS; i++) {
        double steps[STEPS_MOST];
        day->load_mv[i] = value(&work->load[i], ROWS_LEAST);
        day->rest_mv[i] = value(&work->rest[i], ROWS_LEAST);
        memcpy(steps, work->steps[i], work->step_count * sizeof *steps);
        const double middle =
            work->step_count >= STEPS_LEAST ? median(steps, work->step_count) : NAN;
        day->milliohm[i] = middle > 0 && middle < MILLIOHM_MOST ? middle : NAN;
        if (!isnan(day->load_mv[i]) || !isnan(day->rest_mv[i]) || !isnan(day->milliohm[i]))
            day->cells = i + 1;
    }
}

static bool is_empty(const struct history_row *row)
{
    const uint64_t low = FLAG_WARNING(CELL_UNDER_VOLTAGE) | FLAG_PROTECTION(CELL_UNDER_VOLTAGE) |
                         FLAG_WARNING(PACK_UNDER_VOLTAGE) | FLAG_PROTECTION(PACK_UNDER_VOLTAGE);
    return (row->flags & low) != 0;
}

double health_capacity(struct health_run *run, const struct history_row *row)
{
    double capacity = NAN;
    if (!is_known(row, ROW_CURRENT) || !is_known(row, ROW_SOC) ||
        (run->running && row->t - run->last_t > GAP_S)) {
        run->running = false;
        return NAN;
    }
    const double soc = row->mean[ROW_SOC];
    if (soc >= FULL_PERMILLE && ampere(row) >= 0) {
        /* Still full: each such row restarts the run. */
        *run = (struct health_run){.running = true, .last_t = row->t, .soc_from = soc};
        return NAN;
    }
    if (!run->running)
        return NAN;
    const double ah = ampere(row) * (double) (row->t - run->last_t) / 3600;
    run->last_t = row->t;
    run->ah -= ah;
    run->charged_ah += ah > 0 ? ah : 0;
    if (run->charged_ah > fmax(CHARGED_MOST * run->ah, 0.1 * DRAWN_LEAST_AH)) {
        run->running = false;
    } else if ((is_empty(row) || soc <= EMPTY_PERMILLE) && run->ah >= DRAWN_LEAST_AH) {
        capacity = is_empty(row) ? run->ah : run->ah * 1000 / (run->soc_from - soc);
        run->running = false;
    }
    return capacity;
}

struct judging {
    const struct health_day *days;
    unsigned count;
    double *x, *y; /* room for as many */
    struct health_finding *findings;
    unsigned found;
};

static void add_finding(struct judging *judging, enum health_kind kind, unsigned cell,
                        double number, double days)
{
    if (judging->found < HEALTH_FINDINGS)
        judging->findings[judging->found++] = (struct health_finding){kind, cell, number, days};
}

static double day_number(const struct health_day *day)
{
    return (double) day->from / 86400;
}

static double age_of(const struct judging *judging, unsigned n)
{
    return day_number(&judging->days[judging->count - 1]) - day_number(&judging->days[n]);
}

/* Fits a straight line: its slope per week, and the standard error. */
static bool slope(const double *x, const double *y, unsigned count, double *a_week, double *error)
{
    double mx = 0, my = 0, xx = 0, xy = 0, rest = 0, together = 0;
    for (unsigned i = 0; i < count; i++) {
        mx += x[i] / count;
        my += y[i] / count;
    }
    for (unsigned i = 0; i < count; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        xy += (x[i] - mx) * (y[i] - my);
    }
    if (count < 3 || xx <= 0)
        return false;
    double before = 0;
    for (unsigned i = 0; i < count; i++) {
        const double off = y[i] - my - xy / xx * (x[i] - mx);
        rest += off * off;
        together += off * before;
        before = off;
    }
    /* Days that resemble the day before, as in one spell of weather, carry less information than
     * as many independent ones. The autocorrelation of so few days is estimated too low. */
    double like = rest > 0 ? together / rest : 0;
    like = fmin(fmax(like + (1 + 3 * like) / count, 0), LIKE_MOST);
    *a_week = 7 * xy / xx;
    *error = 7 * sqrt(rest / (count - 2) / xx * (1 + like) / (1 - like));
    return true;
}

/* The slope of a cell's deviation under load, or at rest, if it is significant; 0: it is not. */
static double weekly_drift(const struct judging *judging, bool load, unsigned cell, double *days)
{
    double a_week, error;
    unsigned count = 0;
    for (unsigned n = 0; n < judging->count; n++) {
        const struct health_day *day = &judging->days[n];
        const double number = load ? day->load_mv[cell] : day->rest_mv[cell];
        if (isnan(number) || age_of(judging, n) >= WINDOW_DAYS)
            continue;
        judging->x[count] = day_number(day);
        judging->y[count++] = number;
    }
    if (count < DRIFT_DAYS || !slope(judging->x, judging->y, count, &a_week, &error) ||
        fabs(a_week) < DRIFT_MV_WEEK || fabs(a_week) < DRIFT_SURE * error)
        return 0;
    /* Both halves must show it: a single step is no drift. */
    for (unsigned half = 0; half < 2; half++) {
        double part, unsure;
        const unsigned from = half * (count / 2);
        if (!slope(judging->x + from, judging->y + from, count / 2, &part, &unsure) ||
            part / a_week < DRIFT_HALF)
            return 0;
    }
    *days = judging->x[count - 1] - judging->x[0] + 1;
    return a_week;
}

/* Share of the last days with values on which this cell was the lowest (-1) or the highest (1). */
static double share_at_end(const struct judging *judging, unsigned cell, int direction,
                           double *mean_mv)
{
    unsigned days = 0, ends = 0;
    double sum = 0;
    for (unsigned n = judging->count; n-- > 0 && days < LAST_DAYS;) {
        const struct health_day *day = &judging->days[n];
        bool end = true;
        if (isnan(day->load_mv[cell]) || age_of(judging, n) >= WINDOW_DAYS)
            continue;
        for (unsigned i = 0; i < day->cells; i++)
            end &= isnan(day->load_mv[i]) ||
                   direction * day->load_mv[i] <= direction * day->load_mv[cell];
        days++;
        ends += end;
        sum += day->load_mv[cell];
    }
    *mean_mv = days > 0 ? sum / days : NAN;
    return days == LAST_DAYS ? (double) ends / days : 0;
}

static void judge_cell(struct judging *judging, unsigned cell)
{
    double days, mean_mv;
    const double load = weekly_drift(judging, true, cell, &days),
                 rest = weekly_drift(judging, false, cell, &days);
    const bool lowest = share_at_end(judging, cell, -1, &mean_mv) >= MOSTLY;
    if (rest < 0 && lowest)
        add_finding(judging, HEALTH_CELL_LOSES, cell + 1, -rest, days);
    else if (load < 0 && lowest)
        add_finding(judging, HEALTH_CELL_FALLS, cell + 1, -load, days);
    else if (lowest && mean_mv <= -LOW_MV)
        add_finding(judging, HEALTH_CELL_LOW, cell + 1, -mean_mv, LAST_DAYS);
    else if (load > 0 && share_at_end(judging, cell, 1, &mean_mv) >= MOSTLY)
        add_finding(judging, HEALTH_CELL_RISES, cell + 1, load, days);
}

/* Compares with the other cells of the same days, which cancels temperature and charge. */
static void judge_resistance(struct judging *judging, unsigned cell)
{
    unsigned count = 0;
    for (unsigned n = 0; n < judging->count; n++) {
        const struct health_day *day = &judging->days[n];
        if (isnan(day->milliohm[cell]) || age_of(judging, n) >= WINDOW_DAYS || day->cells < 3)
            continue;
        judging->y[count++] = day->milliohm[cell] / median_of(day->milliohm, day->cells);
    }
    const double ratio = median(judging->y, count);
    if (count >= RATIO_DAYS && ratio >= RATIO_MOST)
        add_finding(judging, HEALTH_RESISTANCE, cell + 1, ratio, count);
}

/* The oldest or the newest days of a cell: medians of resistance, temperature and day. */
struct end {
    double milliohm, temp_c, day;
};

static bool take_end(const struct judging *judging, unsigned cell, bool newest, struct end *end)
{
    double ohm[LAST_DAYS], temp[LAST_DAYS], day[LAST_DAYS];
    unsigned count = 0;
    for (unsigned i = 0; i < judging->count && count < LAST_DAYS; i++) {
        const struct health_day *at = &judging->days[newest ? judging->count - 1 - i : i];
        if (isnan(at->milliohm[cell]) || isnan(at->temp_c))
            continue;
        ohm[count] = at->milliohm[cell];
        temp[count] = at->temp_c;
        day[count++] = day_number(at);
    }
    *end = (struct end){median(ohm, count), median(temp, count), median(day, count)};
    return count == LAST_DAYS;
}

static void judge_rise(struct judging *judging, unsigned cell)
{
    struct end before, now;
    if (take_end(judging, cell, false, &before) && take_end(judging, cell, true, &now) &&
        now.day - before.day >= RISE_APART && fabs(now.temp_c - before.temp_c) <= RISE_CELSIUS &&
        now.milliohm >= RISE_MOST * before.milliohm)
        add_finding(judging, HEALTH_RESISTANCE_RISES, cell + 1, now.milliohm / before.milliohm,
                    now.day - before.day);
}

static void judge_capacity(struct judging *judging)
{
    unsigned count = 0;
    for (unsigned n = 0; n < judging->count; n++)
        if (!isnan(judging->days[n].capacity_ah)) {
            judging->x[count] = day_number(&judging->days[n]);
            judging->y[count++] = judging->days[n].capacity_ah;
        }
    if (count < 2 * FADE_LEAST)
        return;
    const double apart = judging->x[count - 1] - judging->x[0];
    double first[FADE_LEAST], last[FADE_LEAST];
    memcpy(first, judging->y, sizeof first);
    memcpy(last, judging->y + count - FADE_LEAST, sizeof last);
    const double faded = 100 * (1 - median(last, FADE_LEAST) / median(first, FADE_LEAST));
    if (apart >= RISE_APART && faded >= FADE_PERCENT)
        add_finding(judging, HEALTH_FADES, 0, faded, apart);
}

static void judge_pack(struct judging *judging)
{
    const struct health_day *last = &judging->days[judging->count - 1];
    double silent = 0;
    if (last->efficiency < EFFICIENCY_LEAST)
        add_finding(judging, HEALTH_INEFFICIENT, 0, 100 * last->efficiency, 30);
    for (unsigned n = 0; n < judging->count; n++)
        if (age_of(judging, n) < SILENT_DAYS && !isnan(judging->days[n].silent_s))
            silent += judging->days[n].silent_s;
    if (silent >= SILENT_S)
        add_finding(judging, HEALTH_SILENT, 0, silent, SILENT_DAYS);
}

unsigned health_judge(const struct health_day *days, unsigned count,
                      struct health_finding findings[HEALTH_FINDINGS])
{
    struct judging judging = {.days = days, .count = count, .findings = findings};
    if (count == 0)
        return 0;
    double *room = alloc_zeroed(2 * count, sizeof *room);
    judging.x = room;
    judging.y = room + count;
    unsigned cells = 0;
    for (unsigned n = 0; n < count; n++)
        cells = days[n].cells > cells ? days[n].cells : cells;
    for (unsigned cell = 0; cell < cells; cell++)
        judge_cell(&judging, cell);
    for (unsigned cell = 0; cell < cells; cell++)
        judge_resistance(&judging, cell);
    judge_capacity(&judging);
    for (unsigned cell = 0; cell < cells; cell++)
        judge_rise(&judging, cell);
    judge_pack(&judging);
    free(room);
    return judging.found;
}

/* A sentence gets the cell, if it is about one, the number, and the days. */
static const struct {
    const char *name, *sentence;
} words[HEALTH_KINDS] = {
    [HEALTH_CELL_FALLS] = {"cell_falls",
                           "cell %u falls %.0f mV per week behind the others under load; "
                           "check its connection"},
    [HEALTH_CELL_RISES] = {"cell_rises",
                           "cell %u rises %.0f mV per week above the others under load; "
                           "the others may be wearing out"},
    [HEALTH_CELL_LOSES] = {"cell_loses",
                           "cell %u falls %.0f mV per week behind the others without current; it "
                           "discharges itself, or balancing does not keep up"},
    [HEALTH_CELL_LOW] = {"cell_low",
                         "cell %u has been the lowest under load for two weeks, by %.0f mV; "
                         "check its connection"},
    [HEALTH_RESISTANCE] = {"resistance",
                           "cell %u has %.1f times the resistance of the others; check "
                           "its connection, or it is worn"},
    [HEALTH_RESISTANCE_RISES] = {"resistance_rises",
                                 "the resistance of cell %u is %.0f %% higher than %.0f days ago"},
    [HEALTH_FADES] = {"fades",
                      "the capacity between full and empty is %.0f %% less than %.0f days ago"},
    [HEALTH_INEFFICIENT] = {"inefficient",
                            "only %.0f %% of the energy that went in came out again; look for a "
                            "current that the BMS does not see, or worn cells"},
    [HEALTH_SILENT] = {"silent", NULL},
};

const char *health_kind_name(enum health_kind kind)
{
    return words[kind].name;
}

void health_sentence(struct text *text, const struct health_finding *finding)
{
    const char *sentence = words[finding->kind].sentence;
    const double number =
        finding->kind == HEALTH_RESISTANCE_RISES ? 100 * (finding->number - 1) : finding->number;
    if (finding->kind == HEALTH_SILENT) {
        const bool hours = number >= 120 * 60;
        text_format(text, "no data for %.0f %s of the last %d days", number / (hours ? 3600 : 60),
                    hours ? "hours" : "minutes", SILENT_DAYS);
    } else if (finding->cell) {
        text_format(text, sentence, finding->cell, number, finding->days);
    } else {
        text_format(text, sentence, number, finding->days);
    }
}
