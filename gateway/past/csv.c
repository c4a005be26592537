// SPDX-License-Identifier: MIT
/* Rows of history as CSV. */
#include "csv.h"

#include <math.h>
#include <string.h>
#include <time.h>

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

size_t csv_heading(const struct query_ask *ask, char *line)
{
    struct text text = text_in(line, CSV_LINE_MOST);
    text_add(&text, "time");
    for (unsigned v = 0; v < ROW_VALUES; v++) {
        char name[HISTORY_NAME_SIZE];
        const int columns = query_columns(ask, (enum history_value) v);
        history_value_name((enum history_value) v, name);
        for (int i = 0; ask->wanted[v] && i < columns; i++)
            text_format(&text, ",%s%s", name, history_suffixes[i]);
    }
    text_add(&text, ask->level >= LEVEL_HOUR ? ",charged_wh,discharged_wh\r\n" : "\r\n");
    return text.size;
}

size_t csv_row(const struct query_ask *ask, const struct history_row *row, char *line)
{
    struct text text = text_in(line, CSV_LINE_MOST);
    char time[CSV_TIME_SIZE];
    text_add(&text, format_time(row->from, time));
    for (unsigned v = 0; v < ROW_VALUES; v++) {
        const int32_t numbers[] = {row->mean[v], row->min[v], row->max[v]};
        const double scale = history_column((enum history_value) v)->scale;
        const int columns = query_columns(ask, (enum history_value) v);
        for (int i = 0; ask->wanted[v] && i < columns; i++) {
            text_add(&text, ",");
            if (numbers[i] != ROW_UNKNOWN)
                text_format(&text, "%.*f", (int) lround(log10(scale)), numbers[i] / scale);
        }
    }
    if (ask->level >= LEVEL_HOUR)
        text_format(&text, ",%.1f,%.1f", (double) row->charged_mwh / 1000,
                    (double) row->discharged_mwh / 1000);
    text_add(&text, "\r\n");
    return text.size;
}
