// SPDX-License-Identifier: MIT
/* Rows of a history. */
#include "past.h"

#include "outlets/program.h"
#include "base/child.h"
#include "registers/value.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MOST 256

struct past {
    FILE *file;
    const char *path;
    pid_t reader; /* of the database; 0: the file is CSV */
    struct value_ref columns[COLUMNS_MOST];
    bool known[COLUMNS_MOST]; /* columns that are values of a pack; the first one is the time */
    unsigned count, line;
    double last_at;
    bool good;
    char *text;
    size_t size;
};

/* Reads the next line without its end; false: there is none. */
static bool read_csv_line(struct past *past)
{
    const ssize_t length = getline(&past->text, &past->size, past->file);
    if (length < 0)
        return false;
    past->text[strcspn(past->text, "\r\n")] = 0;
    past->line++;
    return true;
}

static bool reject(struct past *past, const char *why)
{
    fprintf(stderr, "packgate limits: %s:%u: %s\n", past->path, past->line, why);
    past->good = false;
    return false;
}

static bool read_heading(struct past *past)
{
    if (!read_csv_line(past)) {
        if (past->reader) /* which said why */
            return past->good = false;
        return reject(past, "empty; expected a history as CSV");
    }
    char *rest = past->text;
    for (char *name; (name = strsep(&rest, ",")); past->count++) {
        if (past->count == COLUMNS_MOST)
            return reject(past, "too many columns");
        past->known[past->count] = value_find(name, &past->columns[past->count]) &&
                                   past->columns[past->count].kind == VALUE_NUMBER;
        if (past->count == 0 && strcmp(name, "time") != 0)
            return reject(past, "expected 'time' as the first column");
    }
    return true;
}

/* ---- a database ---- */

bool past_is_database(const char *path)
{
    static const char magic[] = "SQLite format 3";
    char head[sizeof magic];
    FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "r");
    const bool found = file && fread(head, 1, sizeof head, file) == sizeof head &&
                       memcmp(head, magic, sizeof head) == 0;
    if (file)
        fclose(file);
    return found;
}

/* Opens the output of the history's program; NULL with errno. */
static FILE *start_reader(const char *path, const struct past_ask *ask, pid_t *reader)
{
    int ends[2];
    if (pipe(ends) < 0)
        return NULL;
    *reader = fork();
    if (*reader == 0) {
        dup2(ends[1], STDOUT_FILENO);
        child_settle(-1);
        const char *list[11] = {NULL, "export", "--file", path, "--pack", ask->pack};
        int count = 6;
        if (ask->from) {
            list[count++] = "--from";
            list[count++] = ask->from;
        }
        if (ask->to) {
            list[count++] = "--to";
            list[count++] = ask->to;
        }
        child_reset_signals();
        program_execute("history", list, "packgate limits");
        _exit(1);
    }
    close(ends[1]);
    return *reader < 0 ? NULL : fdopen(ends[0], "r");
}

struct past *past_open(const char *path, const struct past_ask *ask)
{
    struct past *past = calloc(1, sizeof *past);
    if (!past)
        return NULL;
    *past = (struct past){.path = path, .good = true, .last_at = -INFINITY};
    past->file = past_is_database(path)   ? start_reader(path, ask, &past->reader)
                 : strcmp(path, "-") == 0 ? stdin
                                          : fopen(path, "r");
    if (!past->file)
        fprintf(stderr, "packgate limits: %s: %s\n", path, strerror(errno));
    if (past->file && read_heading(past))
        return past;
    past_close(past);
    return NULL;
}

bool past_close(struct past *past)
{
    int status = 0;
    if (past->file && past->file != stdin)
        fclose(past->file);
    if (past->reader > 0 && waitpid(past->reader, &status, 0) == past->reader && status != 0)
        past->good = false;
    const bool good = past->good;
    free(past->text);
    free(past);
    return good;
}

/* ---- rows ---- */

/* "2026-11-01T12:00:00+01:00", or seconds. */
static bool parse_time(const char *text, double *at)
{
    struct tm tm = {0};
    int used = 0, hours = 0, minutes = 0;
    char sign = '+', *end;
    *at = strtod(text, &end);
    if (end > text && *end == 0)
        return isfinite(*at);
    if (sscanf(text, "%d-%d-%dT%d:%d:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &used) != 6)
        return false;
    if (strcmp(text + used, "Z") != 0 &&
        sscanf(text + used, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *at = (double) timegm(&tm) - (sign == '-' ? -60 : 60) * (60 * hours + minutes);
    return sign == '-' || sign == '+';
}

/* A history has only the average of the sensors, and no number of cells. */
static void complete(struct pack *pack, unsigned sensors)
{
    unsigned cells = 0, temps = 0;
    for (int i = 0; i < MAX_CELLS; i++)
        cells += pack_known(pack, (enum pack_value)(CELL_MV + i));
    for (int i = 0; i < MAX_TEMPS; i++)
        temps += pack_known(pack, (enum pack_value)(TEMP_C + i));
    if (!pack_known(pack, CELL_COUNT) && cells > 0)
        pack_set(pack, CELL_COUNT, cells);
    for (unsigned n = 1; temps == 0 && n <= sensors && pack_known(pack, TEMP_AVG_C); n++)
        pack_set_temp(pack, n, pack->value[TEMP_AVG_C]);
    pack_derive(pack);
}

bool past_next(struct past *past, unsigned sensors, struct past_row *row)
{
    if (!read_csv_line(past))
        return false;
    char *rest = past->text, *item = strsep(&rest, ",");
    pack_clear(&row->pack);
    snprintf(row->time, sizeof row->time, "%s", item);
    if (!parse_time(item, &row->at))
        return reject(past, "not a time; expected one such as 2026-11-01T12:00:00Z, or seconds");
    if (row->at <= past->last_at)
        return reject(past, "the time is not later than that of the row before");
    for (unsigned n = 1; n < past->count && (item = strsep(&rest, ",")); n++) {
        char *end;
        const double number = strtod(item, &end);
        if (*item && *end)
            return reject(past, "not a number");
        if (*item && past->known[n])
            pack_set(&row->pack, (enum pack_value) past->columns[n].id, number);
    }
    complete(&row->pack, sensors);
    past->last_at = row->at;
    return true;
}
