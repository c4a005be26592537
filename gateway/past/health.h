// SPDX-License-Identifier: MIT
/*
 * Trends that only the history shows: figures of one pack and day, and findings over many days.
 * Pure; the rules and their reasons are in docs/health.md, their constants here. Figures for which
 * the data do not suffice are unknown (NaN) and yield no finding.
 */
#pragma once

#include "rows.h"

#include "base/text.h"

#include <stdbool.h>

#define FULL_PERMILLE 990 /* of the charge: the pack counts as full */

/* One day of one pack. */
struct health_day {
    int64_t day;  /* yyyymmdd, local */
    int64_t from; /* its midnight, UTC in seconds */
    double charged_wh, discharged_wh;
    double silent_s;   /* without data */
    double efficiency; /* energy out over energy in, between two times at which the pack was full */
    double capacity_ah; /* between full and empty, by a discharge that ended on this day */
    double temp_c;      /* mean */
    unsigned cells;
    double load_mv[MAX_CELLS]; /* cell minus the median of all, while discharging */
    double rest_mv[MAX_CELLS]; /* the same without current */
    double milliohm[MAX_CELLS];
};

/** Sets everything to unknown. */
void health_clear(struct health_day *day);

struct health_work;
/** The caller frees it. */
struct health_work *health_work_new(void);

/** Adds a row of ten seconds. */
void health_row(struct health_work *work, const struct history_row *row);
/** Writes the figures of cells and temperature. */
void health_result(const struct health_work *work, struct health_day *day);

struct health_run {
    bool running;
    int64_t last_t;
    double ah, charged_ah, soc_from;
};

/** The capacity shown by a discharge that ends with this row; NaN: none ends here. A zeroed run is
 * a new one. */
double health_capacity(struct health_run *run, const struct history_row *row);

enum health_kind {
    HEALTH_CELL_FALLS,       /* under load, `number` mV a week */
    HEALTH_CELL_RISES,       /* the same, upwards */
    HEALTH_CELL_LOSES,       /* without current, as if the cell discharged itself: mV a week */
    HEALTH_CELL_LOW,         /* always the lowest under load, by mV */
    HEALTH_RESISTANCE,       /* of a cell, times that of the others */
    HEALTH_RESISTANCE_RISES, /* of a cell, as a multiple of the earlier one */
    HEALTH_FADES,            /* capacity: percent less than it was */
    HEALTH_INEFFICIENT,      /* percent */
    HEALTH_SILENT,           /* seconds in the last seven days */
    HEALTH_KINDS
};

struct health_finding {
    enum health_kind kind;
    unsigned cell; /* from 1; 0: none */
    double number;
    double days; /* over so many */
};

#define HEALTH_FINDINGS 8

/** Judges days in their order; some may be missing, the last is the newest. Returns the number of
 * findings, the gravest first. */
unsigned health_judge(const struct health_day *days, unsigned count,
                      struct health_finding findings[HEALTH_FINDINGS]);

/** "cell_falls" */
const char *health_kind_name(enum health_kind kind);

/** A sentence for people, without a full stop: "cell 7 falls 4 mV per week behind the others under
 * load; check its connection". */
void health_sentence(struct text *text, const struct health_finding *finding);
