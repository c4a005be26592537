// SPDX-License-Identifier: MIT
/* Reads the history. */
#include "query.h"

#include "file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 2000
#define SQL_SIZE 16384
#define OF_PACK "pack = (SELECT id FROM pack WHERE name = ?1)"

/* The last statement of a level: a reader of all packs asks the same of each, and preparing it
 * takes longer than reading a few rows. */
struct question {
    bool wanted[ROW_VALUES], extremes, only_wanted;
    enum history_value value[ROW_VALUES]; /* those of its columns */
    unsigned count;
    sqlite3_stmt *statement;
    bool busy; /* its rows are being read */
};

struct query {
    sqlite3 *db;
    struct question *asked[HISTORY_LEVELS];
    sqlite3_stmt *last_before[HISTORY_LEVELS]; /* these two: prepared when first used */
    sqlite3_stmt *began;
    char why[200]; /* the last query_rows failed; empty: none did */
};

struct query *query_open(const char *path, char *why, size_t size)
{
    struct query *query = calloc(1, sizeof *query);
    if (!query) {
        snprintf(why, size, "out of memory");
        return NULL;
    }
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

static void free_question(struct question *question)
{
    if (question)
        sqlite3_finalize(question->statement);
    free(question);
}

void query_close(struct query *query)
{
    for (int level = 0; query && level < HISTORY_LEVELS; level++) {
        free_question(query->asked[level]);
        sqlite3_finalize(query->last_before[level]);
    }
    if (query) {
        sqlite3_finalize(query->began);
        sqlite3_close_v2(query->db);
    }
    free(query);
}

void query_want_all(struct query_ask *ask, unsigned cells, bool limits)
{
    for (unsigned v = 0; v < ROW_VALUES; v++)
        ask->wanted[v] =
            v < ROW_CELL + cells && (limits || !history_is_limit((enum history_value) v));
}

int query_columns(const struct query_ask *ask, enum history_value value)
{
    return ask->extremes ? history_columns(ask->level, value) : 1;
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

static void list_columns(struct query *query, const struct query_ask *ask,
                         struct question *question, struct text *sql)
{
    for (unsigned v = 0; v < ROW_VALUES; v++) {
        char name[HISTORY_NAME_SIZE];
        const enum history_value value = (enum history_value) v;
        if (!ask->wanted[v] || !file_has_column(query->db, history_levels[ask->level].name,
                                                history_column_name(value, name)))
            continue;
        question->value[question->count++] = value;
        for (int kind = 0; kind < query_columns(ask, value); kind++)
            text_format(sql, ", %s%s", name, history_suffixes[kind]);
    }
    if (ask->only_wanted)
        return;
    if (ask->level >= LEVEL_HOUR)
        text_add(sql, ", charged_wh, discharged_wh");
    text_add(sql, ask->level == LEVEL_DAY ? ", soc_peak_permille, soc_peak_at, alarms_warning, "
                                            "alarms_protection, fresh_s"
                                          : ", flags");
}

static int32_t number_at(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL
               ? ROW_UNKNOWN
               : sqlite3_column_int(statement, column);
}

static void take_row(sqlite3_stmt *statement, const struct query_ask *ask,
                     const struct question *question, struct history_row *row)
{
    int at = 0;
    row->t = sqlite3_column_int64(statement, at++);
    row->from = ask->level == LEVEL_DAY ? start_of(row->t) : row->t;
    row->n = (uint32_t) sqlite3_column_int64(statement, at++);
    for (unsigned i = 0; i < question->count; i++) {
        const enum history_value value = question->value[i];
        row->mean[value] = number_at(statement, at++);
        if (query_columns(ask, value) == 1)
            continue;
        row->min[value] = number_at(statement, at++);
        row->max[value] = number_at(statement, at++);
    }
    if (ask->only_wanted)
        return;
    if (ask->level >= LEVEL_HOUR) {
        row->charged_mwh = (int64_t) (sqlite3_column_double(statement, at++) * 1000);
        row->discharged_mwh = (int64_t) (sqlite3_column_double(statement, at++) * 1000);
    }
    if (ask->level != LEVEL_DAY) {
        row->flags = (uint64_t) sqlite3_column_int64(statement, at);
        return;
    }
    row->soc_peak = number_at(statement, at++);
    row->soc_peak_at = sqlite3_column_int64(statement, at++);
    row->flags = (uint64_t) sqlite3_column_int64(statement, at++);
    row->flags |= (uint64_t) sqlite3_column_int64(statement, at++) << 24;
    row->fresh_s = (uint32_t) sqlite3_column_int64(statement, at);
}

/* The statement for the rows of a pack: ?1 its name, ?2 and ?3 the span. NULL: query->why has the
 * error. */
static struct question *prepare_question(struct query *query, const struct query_ask *ask)
{
    struct question *question = query->asked[ask->level];
    if (question && !question->busy && question->extremes == ask->extremes &&
        question->only_wanted == ask->only_wanted &&
        memcmp(question->wanted, ask->wanted, sizeof question->wanted) == 0)
        return question;
    question = calloc(1, sizeof *question);
    if (!question) {
        snprintf(query->why, sizeof query->why, "out of memory");
        return NULL;
    }
    memcpy(question->wanted, ask->wanted, sizeof question->wanted);
    question->extremes = ask->extremes;
    question->only_wanted = ask->only_wanted;
    char room[SQL_SIZE];
    struct text sql = text_in(room, sizeof room);
    const char *time = history_levels[ask->level].time_column;
    text_format(&sql, "SELECT %s, n", time);
    list_columns(query, ask, question, &sql);
    text_format(&sql, " FROM %1$s WHERE " OF_PACK " AND %2$s >= ?2 AND %2$s < ?3 ORDER BY %2$s",
                history_levels[ask->level].name, time);
    question->statement = file_prepare(query->db, room);
    if (question->statement)
        return question;
    snprintf(query->why, sizeof query->why, "%s", sqlite3_errmsg(query->db));
    free_question(question);
    return NULL;
}

/* Keeps it for the next pack, unless an outer walk is still using the kept one. */
static void put_back(struct query *query, enum history_level level, struct question *question)
{
    sqlite3_reset(question->statement);
    sqlite3_clear_bindings(question->statement);
    question->busy = false;
    struct question *kept = query->asked[level];
    if (kept == question)
        return;
    if (kept && kept->busy) {
        free_question(question);
        return;
    }
    free_question(kept);
    query->asked[level] = question;
}

long query_rows(struct query *query, const struct query_ask *ask, query_each *each, void *data)
{
    query->why[0] = '\0';
    struct question *question = prepare_question(query, ask);
    if (!question)
        return -1;
    sqlite3_stmt *statement = question->statement;
    question->busy = true;
    sqlite3_bind_text(statement, 1, ask->pack, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, ask->level == LEVEL_DAY ? history_day(ask->from) : ask->from);
    /* Days: the day of `to` is included unless `to` is its midnight. */
    sqlite3_bind_int64(statement, 3,
                       ask->level == LEVEL_DAY ? history_day(ask->to - 1) + 1 : ask->to);
    struct history_row row = history_empty(0);
    long count = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        take_row(statement, ask, question, &row);
        count++;
        if (!each(data, &row)) {
            code = SQLITE_DONE;
            break;
        }
    }
    if (code != SQLITE_DONE) {
        snprintf(query->why, sizeof query->why, "%s", sqlite3_errmsg(query->db));
        count = -1;
    }
    put_back(query, ask->level, question);
    return count;
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
    sqlite3_stmt **kept = &query->last_before[level];
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT max(t) FROM %s WHERE " OF_PACK " AND t < ?2",
             history_levels[level].name);
    if (!*kept)
        *kept = file_prepare(query->db, sql);
    if (!*kept)
        return INT64_MIN;
    sqlite3_bind_int64(*kept, 2, before);
    return file_number(*kept, pack, INT64_MIN);
}

/* ---- health ---- */

int64_t query_checked(struct query *query, const char *pack, int64_t now)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT max(day) FROM health WHERE " OF_PACK " AND day <= %lld",
             (long long) history_day(now));
    const int64_t day = file_ask(query->db, sql, pack, INT64_MIN);
    return day == INT64_MIN ? day : start_of(day);
}

static double real_at(sqlite3_stmt *statement, int column, double scale)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL
               ? NAN
               : sqlite3_column_double(statement, column) / scale;
}

/* A row for each cell of a day, or one for a day without cells. */
void query_health(struct query *query, const char *pack, int64_t from,
                  bool (*each)(void *data, const struct health_day *day), void *data)
{
    struct health_day day = {.day = 0};
    bool goes_on = true;
    sqlite3_stmt *statement = file_prepare(
        query->db,
        "SELECT h.day, d.charged_wh, d.discharged_wh, h.silent_s, h.efficiency, "
        "h.capacity_mah, h.temp_dc, c.cell, c.load_uv, c.rest_uv, c.microohm FROM health h "
        "LEFT JOIN day d ON d.pack = h.pack AND d.day = h.day LEFT JOIN health_cell c ON "
        "c.pack = h.pack AND c.day = h.day WHERE h." OF_PACK
        " AND h.day >= ?2 ORDER BY h.day, c.cell");
    sqlite3_bind_text(statement, 1, pack, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, from);
    while (goes_on && sqlite3_step(statement) == SQLITE_ROW) {
        if (sqlite3_column_int64(statement, 0) != day.day) {
            goes_on = day.day == 0 || each(data, &day);
            health_clear(&day);
            day.day = sqlite3_column_int64(statement, 0);
            day.from = start_of(day.day);
            day.charged_wh = real_at(statement, 1, 1);
            day.discharged_wh = real_at(statement, 2, 1);
            day.silent_s = real_at(statement, 3, 1);
            day.efficiency = real_at(statement, 4, 1e4);
            day.capacity_ah = real_at(statement, 5, 1e3);
            day.temp_c = real_at(statement, 6, 10);
        }
        const int64_t cell = sqlite3_column_int64(statement, 7) - 1;
        if (cell < 0 || cell >= MAX_CELLS)
            continue;
        day.load_mv[cell] = real_at(statement, 8, 1e3);
        day.rest_mv[cell] = real_at(statement, 9, 1e3);
        day.milliohm[cell] = real_at(statement, 10, 1e3);
        day.cells = (unsigned) cell + 1;
    }
    if (goes_on && day.day != 0)
        each(data, &day);
    sqlite3_finalize(statement);
}

struct counting {
    unsigned cells;
    bool limits;
};

static bool count_in(void *data, const struct history_row *row)
{
    struct counting *counting = data;
    for (unsigned i = MAX_CELLS; i > counting->cells; i--)
        if (row->mean[ROW_CELL + i - 1] != ROW_UNKNOWN)
            counting->cells = i;
    counting->limits |= row->mean[ROW_ALLOWED_CHARGE] != ROW_UNKNOWN;
    return counting->cells < MAX_CELLS || !counting->limits;
}

unsigned query_cells(struct query *query, const struct query_ask *ask, bool *limits)
{
    struct query_ask cells = *ask;
    struct counting counting = {0};
    query_want_all(&cells, MAX_CELLS, true);
    cells.extremes = false;
    query_rows(query, &cells, count_in, &counting);
    *limits = counting.limits;
    return counting.cells;
}

bool query_pack(struct query *query, unsigned n, char *name, size_t size)
{
    sqlite3_stmt *statement =
        file_prepare(query->db, "SELECT name FROM pack ORDER BY name LIMIT 1 OFFSET ?1");
    sqlite3_bind_int64(statement, 1, n);
    const bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found)
        snprintf(name, size, "%s", (const char *) sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return found;
}

static const char *text_at(sqlite3_stmt *statement, int column)
{
    return (const char *) sqlite3_column_text(statement, column);
}

void query_events(struct query *query, int64_t before, unsigned count,
                  void (*each)(void *data, const struct query_event *event), void *data)
{
    sqlite3_stmt *statement = file_prepare(
        query->db, "SELECT t, (SELECT name FROM pack WHERE id = event.pack), kind, name, level, "
                   "text FROM event WHERE t < ?1 ORDER BY t DESC, rowid DESC LIMIT ?2");
    sqlite3_bind_int64(statement, 1, before);
    sqlite3_bind_int64(statement, 2, count);
    while (sqlite3_step(statement) == SQLITE_ROW)
        each(data, &(struct query_event){sqlite3_column_int64(statement, 0), text_at(statement, 1),
                                         text_at(statement, 2), text_at(statement, 3),
                                         text_at(statement, 4), text_at(statement, 5)});
    sqlite3_finalize(statement);
}

/* ---- alarms ---- */

/* Backwards from the first end at `to` or later: an alarm may have begun long before `from` and
 * ended long after `to`. */
#define ALARM_EVENTS "FROM event WHERE kind = 'alarm' AND " OF_PACK " AND name = ?2 "
static const char alarm_events[] =
    "SELECT t, level, text = 'on' " ALARM_EVENTS "AND t <= ifnull((SELECT t " ALARM_EVENTS
    "AND t >= ?3 AND text = 'off' ORDER BY t LIMIT 1), ?4) ORDER BY t DESC, rowid DESC";

/* A level that changes is an `on` as well; the first one is the beginning. */
static void walk_alarm(sqlite3_stmt *statement, enum pack_alarm alarm, int64_t from, int64_t to,
                       unsigned most, void (*each)(void *data, const struct query_alarm *spell),
                       void *data)
{
    struct query_alarm spell = {.alarm = alarm};
    bool goes_on = true;
    while (goes_on && most > 0) {
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
            most--;
        }
        spell = (struct query_alarm){.alarm = alarm, .until = t};
        goes_on = goes_on && t > from;
    }
}

void query_alarms(struct query *query, const char *pack, int64_t from, int64_t to, unsigned most,
                  void (*each)(void *data, const struct query_alarm *spell), void *data)
{
    sqlite3_stmt *statement = file_prepare(query->db, alarm_events);
    for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++) {
        sqlite3_bind_text(statement, 1, pack, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, pack_alarm_name((enum pack_alarm) alarm), -1,
                          SQLITE_STATIC);
        sqlite3_bind_int64(statement, 3, to);
        sqlite3_bind_int64(statement, 4, INT64_MAX);
        walk_alarm(statement, (enum pack_alarm) alarm, from, to, most, each, data);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
}

void query_began(struct query *query, enum pack_alarm alarm, int64_t from, int64_t to,
                 void (*each)(void *data, const char *pack), void *data)
{
    sqlite3_stmt **kept = &query->began;
    if (!*kept)
        *kept = file_prepare(query->db, "SELECT p.name FROM event e JOIN pack p ON p.id = e.pack "
                                        "WHERE e.t BETWEEN ?1 AND ?2 AND e.kind = 'alarm' AND "
                                        "e.name = ?3 AND e.text = 'on' ORDER BY e.t DESC");
    sqlite3_bind_int64(*kept, 1, from);
    sqlite3_bind_int64(*kept, 2, to);
    sqlite3_bind_text(*kept, 3, pack_alarm_name(alarm), -1, SQLITE_STATIC);
    while (sqlite3_step(*kept) == SQLITE_ROW)
        each(data, text_at(*kept, 0));
    sqlite3_reset(*kept);
}
