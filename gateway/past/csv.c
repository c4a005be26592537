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

size_t csv_line(const struct query_ask *ask, const struct history_row *row, char *line)
{
    struct text text = text_in(line, CSV_LINE_MOST);
    char time[CSV_TIME_SIZE], name[HISTORY_NAME_SIZE];
    text_add(&text, row ? format_time(row->from, time) : "time");
    for (unsigned v = 0; v < ROW_VALUES; v++) {
        const enum history_value value = (enum history_value) v;
        const int columns = ask->wanted[v] ? query_columns(ask, value) : 0;
        const double scale = history_column(value)->scale;
        for (int i = 0; i < columns; i++) {
            text_add(&text, ",");
            if (!row) {
                text_format(&text, "%s%s", history_value_name(value, name), history_suffixes[i]);
                continue;
            }
            const int32_t number = i == 0 ? row->mean[v] : i == 1 ? row->min[v] : row->max[v];
            if (number != ROW_UNKNOWN)
                text_format(&text, "%.*f", (int) lround(log10(scale)), number / scale);
        }
    }
    if (ask->level >= LEVEL_HOUR && !row)
        text_add(&text, ",charged_wh,discharged_wh");
    else if (ask->level >= LEVEL_HOUR)
        text_format(&text, ",%.1f,%.1f", (double) row->charged_mwh / 1000,
                    (double) row->discharged_mwh / 1000);
    text_add(&text, "\r\n");
    return text.size;
}
