// SPDX-License-Identifier: MIT
/* Rows of history as CSV. */
#include "csv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct line {
    char *text;
    size_t size;
};

static void print_column(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print_column(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(line->text + line->size, CSV_LINE_MOST - line->size, format, arguments);
    va_end(arguments);
    line->size += (size_t) n < CSV_LINE_MOST - line->size ? (size_t) n : 0;
}

/* "2026-11-22T13:05:10+01:00" */
#define CSV_TIME_SIZE 40
static const char *format_time(int64_t at, char out[CSV_TIME_SIZE])
{
    const time_t wall = (time_t) at;
    struct tm local;
    localtime_r(&wall, &local);
    size_t used = strftime(out, CSV_TIME_SIZE, "%Y-%m-%dT%H:%M:%S%z", &local);
    /* +0100 becomes +01:00 */
    memmove(out + used - 1, out + used - 2, 3);
    out[used - 2] = ':';
    return out;
}

static bool has_extremes(const struct query_ask *ask, unsigned value)
{
    return ask->extremes && history_has_extremes(ask->level, (enum history_value) value);
}

size_t csv_heading(const struct query_ask *ask, char *text)
{
    struct line line = {.text = text};
    print_column(&line, "time");
    for (unsigned v = 0; v < ROW_VALUES; v++) {
        char name[HISTORY_NAME_SIZE];
        if (!ask->wanted[v])
            continue;
        history_value_name((enum history_value) v, name);
        print_column(&line, ",%s", name);
        if (has_extremes(ask, v))
            print_column(&line, ",%s_min,%s_max", name, name);
    }
    if (ask->level >= LEVEL_HOUR)
        print_column(&line, ",charged_wh,discharged_wh");
    print_column(&line, "\r\n");
    return line.size;
}

static void add_number_column(struct line *line, unsigned value, int32_t number)
{
    const double scale = history_column((enum history_value) value)->scale;
    print_column(line, ",");
    if (number != ROW_UNKNOWN)
        print_column(line, "%.*f", (int) lround(log10(scale)), number / scale);
}

size_t csv_row(const struct query_ask *ask, const struct history_row *row, char *text)
{
    struct line line = {.text = text};
    char time[CSV_TIME_SIZE];
    print_column(&line, "%s", format_time(row->from, time));
    for (unsigned v = 0; v < ROW_VALUES; v++) {
        if (!ask->wanted[v])
            continue;
        add_number_column(&line, v, row->mean[v]);
        if (!has_extremes(ask, v))
            continue;
        add_number_column(&line, v, row->min[v]);
        add_number_column(&line, v, row->max[v]);
    }
    if (ask->level >= LEVEL_HOUR)
        print_column(&line, ",%.1f,%.1f", (double) row->charged_mwh / 1000,
                     (double) row->discharged_mwh / 1000);
    print_column(&line, "\r\n");
    return line.size;
}
