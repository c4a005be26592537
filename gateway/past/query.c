// SPDX-License-Identifier: MIT
#include "query.h"

#include "file.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 2000
#define SQL_SIZE 16384
#define CSV_LINE_MOST 4096
#define OF_PACK "pack = (SELECT id FROM pack WHERE name = ?1)"

struct query {
    sqlite3 *db;
    char why[200]; /* rows could not be read; empty: all could */
};

struct query *query_open(const char *path, char *why, size_t size)
{
    struct query *query = alloc_zeroed(1, sizeof *query);
    /* SQLite reads the file only with the first statement. */
    if (file_open(path, &query->db, SQLITE_OPEN_READONLY, BUSY_MS) == SQLITE_OK &&
        file_run(query->db, "SELECT count(*) FROM pack"))
        return query;
    snprintf(why, size, "%s: %s", path, file_why(path, query->db));
    query_close(query);
    return NULL;
}

void query_hold(struct query *query)
{
    file_run(query->db, "BEGIN");
}

void query_close(struct query *query)
{
    sqlite3_stmt *statement;
    while (query && query->db && (statement = sqlite3_next_stmt(query->db, NULL)))
        sqlite3_finalize(statement);
    if (query)
        sqlite3_close_v2(query->db);
    free(query);
}

/* A statement with its ?1 to ?3. A reader of all packs asks the same of each: it is kept, as preparing it takes longer
 * than reading a few rows. NULL: SQLite has the error. */
static sqlite3_stmt *prepare(struct query *query, const char *sql, const char *name, int64_t from,
                             int64_t to)
{
    sqlite3_stmt *statement = NULL;
    while ((statement = sqlite3_next_stmt(query->db, statement)))
        if (!sqlite3_stmt_busy(statement) && strcmp(sqlite3_sql(statement), sql) == 0)
            break;
    if (!statement)
        statement = file_prepare(query->db, sql);
    sqlite3_reset(statement);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, from);
    sqlite3_bind_int64(statement, 3, to);
    return statement;
}

void query_want_all(struct query_ask *ask, unsigned cells, bool limits)
{
    for (enum history_value v = 0; v < ROW_FIELDS; v++)
        ask->wanted[v] =
            (v < ROW_CELL + cells && (limits || !history_is_limit(v))) || history_is_energy(v);
}

static int count_columns(const struct query_ask *ask, enum history_value value)
{
    const int columns = ask->wanted[value] ? history_columns(ask->level, value, MAX_CELLS) : 0;
    return columns > 1 && !ask->extremes ? 1 : columns;
}

/* Local midnight of yyyymmdd. */
static int64_t start_of(int64_t day)
{
    struct tm local = {.tm_year = (int) (day / 10000) - 1900,
                       .tm_mon = (int) (day / 100 % 100) - 1,
                       .tm_mday = (int) (day % 100),
                       .tm_isdst = -1};
    return mktime(&local);
}

void query_begin(struct query_rows *rows, struct query *query, const struct query_ask *ask)
{
    const bool days = ask->level == LEVEL_DAY;
    const struct history_level_info *level = &history_levels[ask->level];
    char room[SQL_SIZE];
    struct text sql = text_in(room, sizeof room);
    *rows = (struct query_rows){.query = query, .ask = ask, .row = history_empty(0)};
    text_format(&sql, "SELECT %s, n", level->time_column);
    for (enum history_value v = 0; v < ROW_FIELDS; v++) {
        char name[HISTORY_NAME_SIZE];
        const int count = count_columns(ask, v);
        if (count == 0 || !file_has_column(query->db, level->name, history_column_name(v, 0, name)))
            continue;
        for (int n = 0; n < count; n++, rows->count++) {
            rows->columns[rows->count].value = v;
            rows->columns[rows->count].n = n;
            text_format(&sql, ", %s", history_column_name(v, n, name));
        }
    }
    text_format(&sql, " FROM %1$s WHERE " OF_PACK " AND %2$s >= ?2 AND %2$s < ?3 ORDER BY %2$s",
                level->name, level->time_column);
    /* Days: the day of `to` is included unless `to` is its midnight. */
    rows->statement = prepare(query, room, ask->pack, days ? history_day(ask->from) : ask->from,
                              days ? history_day(ask->to - 1) + 1 : ask->to);
}

static int64_t number_at(sqlite3_stmt *statement, int column, enum history_value value)
{
    if (history_is_energy(value))
        return (int64_t) (sqlite3_column_double(statement, column) * 1000);
    const bool counts = value >= ROW_VALUES && value != ROW_SOC_PEAK;
    return !counts && sqlite3_column_type(statement, column) == SQLITE_NULL
               ? ROW_UNKNOWN
               : sqlite3_column_int64(statement, column);
}

const struct history_row *query_next(struct query_rows *rows)
{
    struct history_row *row = &rows->row;
    const int code = sqlite3_step(rows->statement);
    if (code == SQLITE_ROW) {
        row->t = sqlite3_column_int64(rows->statement, 0);
        row->from = rows->ask->level == LEVEL_DAY ? start_of(row->t) : row->t;
        row->n = (uint32_t) sqlite3_column_int64(rows->statement, 1);
        for (int i = 0; i < rows->count; i++)
            history_set(row, rows->columns[i].value, rows->columns[i].n,
                        number_at(rows->statement, i + 2, rows->columns[i].value));
        return row;
    }
    if (code != SQLITE_DONE)
        snprintf(rows->query->why, sizeof rows->query->why, "%s", sqlite3_errmsg(rows->query->db));
    return NULL;
}

const char *query_why(const struct query *query)
{
    return query->why;
}

int64_t query_complete(struct query *query)
{
    return file_ask(query->db, "SELECT upto FROM complete", NULL, INT64_MIN);
}

int64_t query_first(struct query *query, const char *pack, enum history_level level)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT min(%s) FROM %s WHERE " OF_PACK,
             history_levels[level].time_column, history_levels[level].name);
    const int64_t found = file_ask(query->db, sql, pack, INT64_MAX);
    return found == INT64_MAX || level != LEVEL_DAY ? found : start_of(found);
}

int64_t query_last_before(struct query *query, const char *pack, enum history_level level,
                          int64_t before)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT max((SELECT max(t) FROM %s WHERE pack = id AND t < ?2)) FROM pack "
             "WHERE ?1 IS NULL OR name = ?1",
             history_levels[level].name);
    return file_number(prepare(query, sql, pack, before, 0), NULL, INT64_MIN);
}

void csv_print(FILE *out, const struct query_ask *ask, const struct history_row *row)
{
    char line[CSV_LINE_MOST];
    struct text text = text_in(line, sizeof line);
    char time[40] = "time", name[HISTORY_NAME_SIZE];
    if (row) {
        struct tm local;
        localtime_r(&(time_t){row->from}, &local);
        const size_t size = strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S%z", &local);
        /* +0100 becomes +01:00 */
        memmove(time + size - 1, time + size - 2, 3);
        time[size - 2] = ':';
    }
    text_add(&text, time);
    for (enum history_value v = 0; v < ROW_FIELDS; v++)
        for (int i = 0; i < count_columns(ask, v); i++) {
            const double scale = history_field(v)->scale;
            const int64_t number = row ? history_number(row, v, i) : 0;
            text_add(&text, ",");
            if (!row)
                text_add(&text, history_value_name(v, i, name));
            else if (number != ROW_UNKNOWN)
                text_fixed(&text, (double) number / scale, history_decimals(v));
        }
    text_add(&text, "\r\n");
    fwrite(line, 1, text.size, out);
}

int64_t query_checked(struct query *query, const char *pack, int64_t now)
{
    static const char sql[] = "SELECT max(day) FROM health WHERE " OF_PACK " AND day <= ?2";
    const int64_t day =
        file_number(prepare(query, sql, pack, history_day(now), 0), NULL, INT64_MIN);
    return day == INT64_MIN ? day : start_of(day);
}

static double real_at(sqlite3_stmt *statement, int column, double scale)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL
               ? NAN
               : sqlite3_column_double(statement, column) / scale;
}

/* A row for each cell of a day, or one for a day without cells. */
unsigned query_health(struct query *query, const char *pack, int64_t from, int64_t to,
                      struct health_day *days, unsigned most)
{
    unsigned count = 0;
    sqlite3_stmt *statement =
        prepare(query,
                "SELECT h.day, d.charged_wh, d.discharged_wh, h.silent_s, h.efficiency, "
                "h.capacity_mah, h.temp_dc, c.cell, c.load_uv, c.rest_uv, c.microohm FROM health h "
                "LEFT JOIN day d ON d.pack = h.pack AND d.day = h.day LEFT JOIN health_cell c ON "
                "c.pack = h.pack AND c.day = h.day WHERE h." OF_PACK
                " AND h.day BETWEEN ?2 AND ?3 ORDER BY h.day, c.cell",
                pack, history_day(from), history_day(to));
    while (sqlite3_step(statement) == SQLITE_ROW) {
        if (count == 0 || sqlite3_column_int64(statement, 0) != days[count - 1].day) {
            if (count == most)
                memmove(days, days + 1, --count * sizeof *days);
            struct health_day *next = &days[count++];
            health_clear(next);
            next->day = sqlite3_column_int64(statement, 0);
            next->from = start_of(next->day);
            next->charged_wh = real_at(statement, 1, 1);
            next->discharged_wh = real_at(statement, 2, 1);
            next->silent_s = real_at(statement, 3, 1);
            next->efficiency = real_at(statement, 4, 1e4);
            next->capacity_ah = real_at(statement, 5, 1e3);
            next->temp_c = real_at(statement, 6, 10);
        }
        struct health_day *day = &days[count - 1];
        const int64_t cell = sqlite3_column_int64(statement, 7) - 1;
        if (cell < 0 || cell >= MAX_CELLS)
            continue;
        day->load_mv[cell] = real_at(statement, 8, 1e3);
        day->rest_mv[cell] = real_at(statement, 9, 1e3);
        day->milliohm[cell] = real_at(statement, 10, 1e3);
        day->cells = (unsigned) cell + 1;
    }
    return count;
}

unsigned query_cells(struct query *query, const struct query_ask *ask, bool *limits)
{
    struct query_ask all = *ask;
    struct query_rows rows;
    unsigned cells = 0;
    query_want_all(&all, MAX_CELLS, true);
    all.extremes = false;
    *limits = false;
    query_begin(&rows, query, &all);
    for (const struct history_row *row; (row = query_next(&rows));) {
        for (unsigned i = MAX_CELLS; i > cells; i--)
            if (row->mean[ROW_CELL + i - 1] != ROW_UNKNOWN)
                cells = i;
        *limits |= row->mean[ROW_ALLOWED_CHARGE] != ROW_UNKNOWN;
    }
    return cells;
}

bool query_pack(struct query *query, unsigned n, char *name, size_t size)
{
    sqlite3_stmt *statement =
        prepare(query, "SELECT name FROM pack ORDER BY name LIMIT 1 OFFSET ?2", NULL, n, 0);
    const bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        snprintf(name, size, "%s", (const char *) sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return found;
}

static const char *text_at(sqlite3_stmt *statement, int column)
{
    return (const char *) sqlite3_column_text(statement, column);
}

void query_events(struct query *query, int64_t before, unsigned count,
                  void (*each)(void *data, const struct query_event *event), void *data)
{
    sqlite3_stmt *statement =
        prepare(query,
                "SELECT t, (SELECT name FROM pack WHERE id = event.pack), kind, name, level, "
                "text FROM event WHERE t < ?2 OR (t = ?2 AND rowid < (SELECT min(rowid) FROM event "
                "WHERE t >= ?2 AND kind = 'started')) ORDER BY t DESC, rowid DESC LIMIT ?3",
                NULL, before, count);
    while (sqlite3_step(statement) == SQLITE_ROW)
        each(data, &(struct query_event){sqlite3_column_int64(statement, 0), text_at(statement, 1),
                                         text_at(statement, 2), text_at(statement, 3),
                                         text_at(statement, 4), text_at(statement, 5)});
}

/* Backwards from the first end at `to` or later: an alarm may have begun long before `from` and
 * ended long after `to`. */
#define ALARM_EVENTS "FROM event WHERE kind = 'alarm' AND " OF_PACK " AND name = ?4 "
static const char alarm_events[] =
    "SELECT t, level, text = 'on' " ALARM_EVENTS "AND t <= ifnull((SELECT t " ALARM_EVENTS
    "AND t >= ?2 AND text = 'off' ORDER BY t LIMIT 1), ?3) ORDER BY t DESC, rowid DESC";

void query_alarms(struct query *query, const char *pack, int64_t from, int64_t to, unsigned most,
                  void (*each)(void *data, const struct query_alarm *spell), void *data)
{
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        const enum pack_alarm alarm = (enum pack_alarm) i;
        sqlite3_stmt *statement = prepare(query, alarm_events, pack, to, INT64_MAX);
        sqlite3_bind_text(statement, 4, pack_alarm_name(alarm), -1, SQLITE_STATIC);
        /* A level that changes is an `on` as well; the first one is the beginning. */
        struct query_alarm spell = {.alarm = alarm};
        bool goes_on = true;
        for (unsigned left = most; goes_on && left > 0;) {
            goes_on = sqlite3_step(statement) == SQLITE_ROW;
            const int64_t t = goes_on ? sqlite3_column_int64(statement, 0) : 0;
            if (goes_on && sqlite3_column_int(statement, 2)) {
                spell.since = t;
                const int level = sqlite3_column_int(statement, 1);
                spell.level = level > spell.level ? level : spell.level;
                continue;
            }
            if (spell.since > 0 && spell.since < to) {
                each(data, &spell);
                left--;
            }
            spell = (struct query_alarm){.alarm = alarm, .until = t};
            goes_on = goes_on && t > from;
        }
        sqlite3_reset(statement);
    }
}

void query_began(struct query *query, enum pack_alarm alarm, int64_t from, int64_t to,
                 void (*each)(void *data, const char *pack), void *data)
{
    sqlite3_stmt *statement =
        prepare(query,
                "SELECT p.name FROM event e JOIN pack p ON p.id = e.pack WHERE e.t BETWEEN ?2 AND "
                "?3 AND e.kind = 'alarm' AND e.name = ?1 AND e.text = 'on' ORDER BY e.t DESC",
                pack_alarm_name(alarm), from, to);
    while (sqlite3_step(statement) == SQLITE_ROW)
        each(data, text_at(statement, 0));
}
