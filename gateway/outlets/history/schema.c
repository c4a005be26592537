// SPDX-License-Identifier: MIT
#include "schema.h"

#include "past/file.h"

#include "base/text.h"

#define SQL_SIZE 32768
#define FIRST_CELLS 16

/* %h is the column. */
static const char *const merges[] = {
    [MERGE_MEAN] = ", %h = coalesce(CAST(round((%h * n * 1.0 + excluded.%h * excluded.n) / (n + "
                   "excluded.n)) AS INTEGER), %h, excluded.%h)",
    [MERGE_LAST] = ", %h = coalesce(excluded.%h, %h)",
    [MERGE_SUM] = ", %h = coalesce(%h, 0) + coalesce(excluded.%h, 0)",
    [MERGE_PEAK] = ", %h = CASE WHEN coalesce(excluded.soc_peak_permille, -1) > "
                   "coalesce(soc_peak_permille, -1) THEN excluded.%h ELSE %h END",
    [MERGE_BITS] = ", %h = coalesce(%h, 0) | coalesce(excluded.%h, 0)",
    /* FLAG_CHARGE_MOS, FLAG_DISCHARGE_MOS: as they were last */
    [MERGE_FLAGS] = ", %h = (coalesce(%h, 0) & ~(3 << 48)) | coalesce(excluded.%h, 0)",
};
static const char *const merges_of_extremes[] = {
    [1] = ", %h = coalesce(min(%h, excluded.%h), %h, excluded.%h)",
    [2] = ", %h = coalesce(max(%h, excluded.%h), %h, excluded.%h)"};

static const char *type_of(enum history_value value)
{
    return history_is_energy(value) ? "REAL" : "INTEGER";
}

enum pattern { NAME, MARK, DECLARE, MERGE, VIEW };

/* The columns of a level in the order of the table, behind pack, t and n. */
static void list_columns(struct text *sql, enum history_level level, unsigned cells,
                         enum pattern pattern)
{
    for (enum history_value v = 0; v < ROW_FIELDS; v++)
        for (int i = 0; i < history_columns(level, v, cells); i++) {
            char name[HISTORY_NAME_SIZE], title[HISTORY_NAME_SIZE];
            const struct history_field *field = history_field(v);
            history_column_name(v, i, name);
            if (pattern == MARK)
                text_add(sql, ", ?");
            else if (pattern == MERGE)
                text_expand(sql, i > 0 ? merges_of_extremes[i] : merges[field->merge], name);
            else
                text_format(sql, pattern == DECLARE ? ", %s %s" : ", %s", name, type_of(v));
            if (pattern == VIEW && v < ROW_VALUES)
                text_format(sql, field->scale > 1 ? " / %.1f AS \"%s\"" : " * %.0f AS \"%s\"",
                            field->scale, history_value_name(v, i, title));
            else if (pattern == VIEW && v == ROW_SOC_PEAK)
                text_format(sql, " / %.1f AS %s", field->scale, field->name);
        }
}

bool schema_fit(sqlite3 *db, enum history_level level, unsigned cells, sqlite3_stmt **put)
{
    static const char *const views[] = {"recents", "minutes", "hours", "days"};
    char room[SQL_SIZE], name[HISTORY_NAME_SIZE];
    struct text sql = text_in(room, sizeof room);
    const char *time = history_levels[level].time_column, *table = history_levels[level].name;
    for (enum history_value v = 0; v < ROW_FIELDS; v++)
        for (int i = 0; i < history_columns(level, v, cells); i++)
            if (!file_has_column(db, table, history_column_name(v, i, name)))
                text_format(&sql, "ALTER TABLE %s ADD COLUMN %s %s;", table, name, type_of(v));
    if (!file_run(db, room))
        return false;
    /* A view for people with sqlite3 or Grafana: the map's names and units. */
    sql = text_in(room, sizeof room);
    text_format(&sql, "DROP VIEW IF EXISTS %1$s; CREATE VIEW %1$s AS SELECT p.name", views[level]);
    text_add(&sql, level == LEVEL_DAY ? ", day" : ", datetime(t, 'unixepoch') AS utc, t");
    list_columns(&sql, level, cells, VIEW);
    text_format(&sql, " FROM %1$s JOIN pack p ON p.id = %1$s.pack", table);
    if (!file_run(db, room))
        return false;
    sql = text_in(room, sizeof room);
    text_format(&sql, "INSERT INTO %s(pack, %s, n", table, time);
    list_columns(&sql, level, cells, NAME);
    text_format(&sql, ") VALUES(?, ?, ?");
    list_columns(&sql, level, cells, MARK);
    text_format(&sql, ") ON CONFLICT(pack, %s) DO UPDATE SET n = n + excluded.n", time);
    list_columns(&sql, level, cells, MERGE);
    sqlite3_finalize(*put);
    *put = NULL;
    return sqlite3_prepare_v3(db, room, -1, SQLITE_PREPARE_PERSISTENT, put, NULL) == SQLITE_OK;
}

/* Packs, events, and the findings of a day, of a pack and of its cells, whose views have whole units. */
static const char tables[] =
    "CREATE TABLE IF NOT EXISTS pack(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS event(t INTEGER NOT NULL, pack INTEGER, kind TEXT, "
    "name TEXT, level INTEGER, text TEXT);"
    "CREATE INDEX IF NOT EXISTS event_t ON event(t);"
    "CREATE INDEX IF NOT EXISTS event_alarm ON event(pack, name, t) WHERE kind = 'alarm';"
    "CREATE TABLE IF NOT EXISTS complete(id INTEGER PRIMARY KEY, upto INTEGER);"
    "CREATE TABLE IF NOT EXISTS health(pack INTEGER NOT NULL, day INTEGER NOT NULL, "
    "silent_s INTEGER, efficiency INTEGER, capacity_mah INTEGER, temp_dc INTEGER, "
    "PRIMARY KEY(pack, day)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS health_cell(pack INTEGER NOT NULL, day INTEGER NOT NULL, "
    "cell INTEGER NOT NULL, load_uv INTEGER, rest_uv INTEGER, microohm INTEGER, "
    "PRIMARY KEY(pack, day, cell)) WITHOUT ROWID;"
    "DROP VIEW IF EXISTS health_days; CREATE VIEW health_days AS SELECT p.name, h.day, "
    "d.charged_wh, d.discharged_wh, h.silent_s, h.efficiency / 100.0 AS "
    "efficiency_percent, h.capacity_mah / 1000.0 AS capacity_ah, h.temp_dc / 10.0 AS "
    "temp_c FROM health h JOIN pack p ON p.id = h.pack LEFT JOIN day d ON d.pack = "
    "h.pack AND d.day = h.day;"
    "DROP VIEW IF EXISTS health_cells; CREATE VIEW health_cells AS SELECT p.name, "
    "c.day, c.cell, c.load_uv / 1000.0 AS load_mv, c.rest_uv / 1000.0 AS rest_mv, "
    "c.microohm / 1000.0 AS milliohm FROM health_cell c JOIN pack p ON p.id = c.pack;";

bool schema_create(sqlite3 *db, unsigned cells[HISTORY_LEVELS], sqlite3_stmt *put[HISTORY_LEVELS])
{
    if (!file_run(db, tables))
        return false;
    for (enum history_level level = 0; level < HISTORY_LEVELS; level++) {
        char room[SQL_SIZE], name[HISTORY_NAME_SIZE];
        struct text sql = text_in(room, sizeof room);
        const char *table = history_levels[level].name, *time = history_levels[level].time_column;
        text_format(&sql,
                    "CREATE TABLE IF NOT EXISTS %s(pack INTEGER NOT NULL, %s INTEGER NOT NULL, "
                    "n INTEGER",
                    table, time);
        list_columns(&sql, level, FIRST_CELLS, DECLARE);
        text_format(&sql, ", PRIMARY KEY(pack, %s)) WITHOUT ROWID", time);
        if (!file_run(db, room))
            return false;
        for (cells[level] = 0; cells[level] < MAX_CELLS; cells[level]++)
            if (!file_has_column(db, table, history_column_name(ROW_CELL + cells[level], 0, name)))
                break;
        if (cells[level] < FIRST_CELLS || !schema_fit(db, level, cells[level], &put[level]))
            return false;
    }
    return true;
}
