// SPDX-License-Identifier: MIT
/* The tables of the history, put together from the one list of columns. */
#include "schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SQL_SIZE 32768
#define FIRST_CELLS 16

const char *const schema_tables[HISTORY_LEVELS] = {[LEVEL_RECENT] = "recent",
                                                   [LEVEL_MINUTE] = "minute",
                                                   [LEVEL_HOUR] = "hour",
                                                   [LEVEL_DAY] = "day"};

struct sql {
    char text[SQL_SIZE];
    size_t size;
};

static void append_sql(struct sql *sql, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void append_sql(struct sql *sql, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(sql->text + sql->size, SQL_SIZE - sql->size, format, arguments);
    va_end(arguments);
    sql->size += (size_t) n < SQL_SIZE - sql->size ? (size_t) n : 0;
}

/* Calls `each` for every column of a level in the order of the table, behind pack, t and n. */
typedef void each_column(struct sql *sql, const char *name, const char *kind);

static void walk_columns(struct sql *sql, enum history_level level, unsigned cells,
                         each_column *each)
{
    for (unsigned v = 0; v < ROW_CELL + cells; v++) {
        char name[HISTORY_NAME_SIZE], full[HISTORY_NAME_SIZE + 8];
        const enum history_value value = (enum history_value) v;
        history_column_name(value, name);
        each(sql, name, history_column(value)->takes_last ? "last" : "mean");
        if (!history_has_extremes(level, value))
            continue;
        snprintf(full, sizeof full, "%s_min", name);
        each(sql, full, "min");
        snprintf(full, sizeof full, "%s_max", name);
        each(sql, full, "max");
    }
    if (level >= LEVEL_HOUR) {
        each(sql, "charged_wh", "sum");
        each(sql, "discharged_wh", "sum");
    }
    if (level == LEVEL_DAY) {
        each(sql, "soc_peak_permille", "peak");
        each(sql, "soc_peak_at", "peak");
        each(sql, "alarms_warning", "bits");
        each(sql, "alarms_protection", "bits");
        each(sql, "fresh_s", "sum");
    } else {
        each(sql, "flags", "flags");
    }
}

static void declare(struct sql *sql, const char *name, const char *kind)
{
    append_sql(sql, ", %s %s", name,
               strcmp(kind, "sum") == 0 && strcmp(name, "fresh_s") != 0 ? "REAL" : "INTEGER");
}

static void list_name(struct sql *sql, const char *name, const char *kind)
{
    append_sql(sql, ", %s", name);
}

static void list_mark(struct sql *sql, const char *name, const char *kind)
{
    append_sql(sql, ", ?");
}

/* Two parts of one interval: means weighted by the polls in each, the later of what counts last. */
static void merge(struct sql *sql, const char *name, const char *kind)
{
    append_sql(sql, ", %s = ", name);
    if (strcmp(kind, "mean") == 0)
        append_sql(
            sql,
            "coalesce(CAST(round((%1$s * n * 1.0 + excluded.%1$s * excluded.n) / (n + excluded.n)) "
            "AS "
            "INTEGER), %1$s, excluded.%1$s)",
            name);
    else if (strcmp(kind, "last") == 0)
        append_sql(sql, "coalesce(excluded.%1$s, %1$s)", name);
    else if (strcmp(kind, "sum") == 0)
        append_sql(sql, "coalesce(%1$s, 0) + coalesce(excluded.%1$s, 0)", name);
    else if (strcmp(kind, "bits") == 0)
        append_sql(sql, "coalesce(%1$s, 0) | coalesce(excluded.%1$s, 0)", name);
    else if (strcmp(kind, "flags") == 0)
        append_sql(sql, "(coalesce(%1$s, 0) & ~%2$llu) | coalesce(excluded.%1$s, 0)", name,
                   FLAG_CHARGE_MOS | FLAG_DISCHARGE_MOS);
    else if (strcmp(kind, "peak") == 0)
        append_sql(
            sql,
            "CASE WHEN coalesce(excluded.soc_peak_permille, -1) > coalesce(soc_peak_permille, -1) "
            "THEN "
            "excluded.%1$s ELSE %1$s END",
            name);
    else
        append_sql(sql, "coalesce(%1$s(%2$s, excluded.%2$s), %2$s, excluded.%2$s)", kind, name);
}

/* ---- the statements ---- */

static bool run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool make_table(sqlite3 *db, enum history_level level)
{
    struct sql sql = {.size = 0};
    const char *time = level == LEVEL_DAY ? "day" : "t";
    append_sql(
        &sql, "CREATE TABLE IF NOT EXISTS %s(pack INTEGER NOT NULL, %s INTEGER NOT NULL, n INTEGER",
        schema_tables[level], time);
    walk_columns(&sql, level, FIRST_CELLS, declare);
    append_sql(&sql, ", PRIMARY KEY(pack, %s)) WITHOUT ROWID", time);
    return run(db, sql.text);
}

static bool has_column(sqlite3 *db, enum history_level level, enum history_value value)
{
    char name[HISTORY_NAME_SIZE];
    return sqlite3_table_column_metadata(db, NULL, schema_tables[level],
                                         history_column_name(value, name), NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

bool schema_add_column(sqlite3 *db, enum history_level level, enum history_value value)
{
    static const char *const kinds[] = {"", "_min", "_max"};
    struct sql sql = {.size = 0};
    char name[HISTORY_NAME_SIZE];
    history_column_name(value, name);
    for (int kind = 0; kind < (history_has_extremes(level, value) ? 3 : 1); kind++)
        append_sql(&sql, "ALTER TABLE %s ADD COLUMN %s%s INTEGER;", schema_tables[level], name,
                   kinds[kind]);
    return run(db, sql.text);
}

/* Adds columns that a file of an older version lacks; older versions can still use it, since they
 * name their columns. */
static bool add_missing(sqlite3 *db, enum history_level level)
{
    for (int value = 0; value < ROW_CELL; value++)
        if (!has_column(db, level, (enum history_value) value) &&
            !schema_add_column(db, level, (enum history_value) value))
            return false;
    return true;
}

static unsigned count_cell_columns(sqlite3 *db, enum history_level level)
{
    unsigned cells = 0;
    while (cells < MAX_CELLS && has_column(db, level, (enum history_value)(ROW_CELL + cells)))
        cells++;
    return cells;
}

/* A view for people with sqlite3 or Grafana: the map's names and units. */
bool schema_view(sqlite3 *db, enum history_level level, unsigned cells)
{
    struct sql sql = {.size = 0};
    char column[HISTORY_NAME_SIZE], name[HISTORY_NAME_SIZE];
    static const char *const names[] = {"recents", "minutes", "hours", "days"};
    append_sql(&sql, "DROP VIEW IF EXISTS %s; CREATE VIEW %s AS SELECT p.name", names[level],
               names[level]);
    append_sql(&sql, level == LEVEL_DAY ? ", day" : ", datetime(t, 'unixepoch') AS utc, t");
    for (unsigned v = 0; v < ROW_CELL + cells; v++) {
        const enum history_value value = (enum history_value) v;
        static const char *const kinds[] = {"", "_min", "_max"};
        history_column_name(value, column);
        history_value_name(value, name);
        for (int kind = 0; kind < (history_has_extremes(level, value) ? 3 : 1); kind++)
            append_sql(&sql,
                       history_column(value)->scale > 1 ? ", %s%s / %.1f AS \"%s%s\""
                                                        : ", %s%s * %.0f AS \"%s%s\"",
                       column, kinds[kind], history_column(value)->scale, name, kinds[kind]);
    }
    if (level >= LEVEL_HOUR)
        append_sql(&sql, ", charged_wh, discharged_wh");
    if (level == LEVEL_DAY)
        append_sql(&sql,
                   ", soc_peak_permille / 10.0 AS soc_peak_percent, soc_peak_at, alarms_warning, "
                   "alarms_protection, fresh_s");
    else
        append_sql(&sql, ", flags");
    append_sql(&sql, " FROM %s JOIN pack p ON p.id = %s.pack", schema_tables[level],
               schema_tables[level]);
    return run(db, sql.text);
}

bool schema_prepare(sqlite3 *db, enum history_level level, unsigned cells, sqlite3_stmt **put)
{
    struct sql sql = {.size = 0};
    const char *time = level == LEVEL_DAY ? "day" : "t";
    append_sql(&sql, "INSERT INTO %s(pack, %s, n", schema_tables[level], time);
    walk_columns(&sql, level, cells, list_name);
    append_sql(&sql, ") VALUES(?, ?, ?");
    walk_columns(&sql, level, cells, list_mark);
    append_sql(&sql, ") ON CONFLICT(pack, %s) DO UPDATE SET n = n + excluded.n", time);
    walk_columns(&sql, level, cells, merge);
    sqlite3_finalize(*put);
    *put = NULL;
    return sqlite3_prepare_v3(db, sql.text, -1, SQLITE_PREPARE_PERSISTENT, put, NULL) == SQLITE_OK;
}

#define HEALTH_TABLES                                                                              \
    "CREATE TABLE IF NOT EXISTS health(pack INTEGER NOT NULL, day INTEGER NOT NULL, "              \
    "silent_s INTEGER, efficiency INTEGER, capacity_mah INTEGER, temp_dc INTEGER, "                \
    "PRIMARY KEY(pack, day)) WITHOUT ROWID;"                                                       \
    "CREATE TABLE IF NOT EXISTS health_cell(pack INTEGER NOT NULL, day INTEGER NOT NULL, "         \
    "cell INTEGER NOT NULL, load_uv INTEGER, rest_uv INTEGER, microohm INTEGER, "                  \
    "PRIMARY KEY(pack, day, cell)) WITHOUT ROWID;"

/* Tables for the findings of a day, of a pack and of its cells; the views have whole units. */
static bool make_health(sqlite3 *db)
{
    return run(db, HEALTH_TABLES
               "DROP VIEW IF EXISTS health_days; CREATE VIEW health_days AS SELECT p.name, h.day, "
               "d.charged_wh, d.discharged_wh, h.silent_s, h.efficiency / 100.0 AS "
               "efficiency_percent, h.capacity_mah / 1000.0 AS capacity_ah, h.temp_dc / 10.0 AS "
               "temp_c FROM health h JOIN pack p ON p.id = h.pack LEFT JOIN day d ON d.pack = "
               "h.pack AND d.day = h.day;"
               "DROP VIEW IF EXISTS health_cells; CREATE VIEW health_cells AS SELECT p.name, "
               "c.day, c.cell, c.load_uv / 1000.0 AS load_mv, c.rest_uv / 1000.0 AS rest_mv, "
               "c.microohm / 1000.0 AS milliohm FROM health_cell c JOIN pack p ON p.id = c.pack;");
}

bool schema_create(sqlite3 *db, unsigned cells[HISTORY_LEVELS])
{
    if (!run(db,
             "CREATE TABLE IF NOT EXISTS pack(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
             "CREATE TABLE IF NOT EXISTS event(t INTEGER NOT NULL, pack INTEGER, kind TEXT, "
             "name TEXT, level INTEGER, text TEXT);"
             "CREATE INDEX IF NOT EXISTS event_t ON event(t);"
             "CREATE INDEX IF NOT EXISTS event_alarm ON event(pack, name, t) WHERE kind = 'alarm';"
             "CREATE TABLE IF NOT EXISTS complete(id INTEGER PRIMARY KEY, upto INTEGER);") ||
        !make_health(db))
        return false;
    for (int level = 0; level < HISTORY_LEVELS; level++) {
        if (!make_table(db, (enum history_level) level) ||
            !add_missing(db, (enum history_level) level))
            return false;
        cells[level] = count_cell_columns(db, (enum history_level) level);
        if (cells[level] < FIRST_CELLS ||
            !schema_view(db, (enum history_level) level, cells[level]))
            return false;
    }
    return true;
}
