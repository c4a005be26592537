// SPDX-License-Identifier: MIT
/* The tables of the history, put together from the one list of columns. */
#include "schema.h"

#include "past/file.h"

#include "base/text.h"
#include "bms/count.h"

#include <stdio.h>

#define SQL_SIZE 32768
#define FIRST_CELLS 16

/* A kind of column: how it is declared, and how two parts of one interval are merged: means weighted by the polls in each, the
 * later of what counts last. %h is the column. */
struct kind {
    const char *declare, *merge;
};

static const struct kind
    mean = {", %h INTEGER",
            ", %h = coalesce(CAST(round((%h * n * 1.0 + excluded.%h * excluded.n) / (n + "
            "excluded.n)) AS INTEGER), %h, excluded.%h)"},
    min = {", %h INTEGER", ", %h = coalesce(min(%h, excluded.%h), %h, excluded.%h)"},
    max = {", %h INTEGER", ", %h = coalesce(max(%h, excluded.%h), %h, excluded.%h)"},
    last = {", %h INTEGER", ", %h = coalesce(excluded.%h, %h)"},
    sum = {", %h REAL", ", %h = coalesce(%h, 0) + coalesce(excluded.%h, 0)"},
    seconds = {", %h INTEGER", ", %h = coalesce(%h, 0) + coalesce(excluded.%h, 0)"},
    bits = {", %h INTEGER", ", %h = coalesce(%h, 0) | coalesce(excluded.%h, 0)"},
    /* FLAG_CHARGE_MOS, FLAG_DISCHARGE_MOS: as they were last */
    flags = {", %h INTEGER", ", %h = (coalesce(%h, 0) & ~(3 << 48)) | coalesce(excluded.%h, 0)"},
    peak = {", %h INTEGER", ", %h = CASE WHEN coalesce(excluded.soc_peak_permille, -1) > "
                            "coalesce(soc_peak_permille, -1) THEN excluded.%h ELSE %h END"};

/* Those of a level behind its values. */
static const struct {
    const char *name;
    const struct kind *kind;
    enum history_level first, last;
} others[] = {
    {"charged_wh", &sum, LEVEL_HOUR, LEVEL_DAY},
    {"discharged_wh", &sum, LEVEL_HOUR, LEVEL_DAY},
    {"soc_peak_permille", &peak, LEVEL_DAY, LEVEL_DAY},
    {"soc_peak_at", &peak, LEVEL_DAY, LEVEL_DAY},
    {"alarms_warning", &bits, LEVEL_DAY, LEVEL_DAY},
    {"alarms_protection", &bits, LEVEL_DAY, LEVEL_DAY},
    {"fresh_s", &seconds, LEVEL_DAY, LEVEL_DAY},
    {"flags", &flags, LEVEL_RECENT, LEVEL_HOUR},
};

enum pattern { NAME, MARK, DECLARE, MERGE };

static void add_pattern(struct text *sql, enum pattern pattern, const struct kind *kind,
                        const char *name)
{
    const char *const patterns[] = {", %h", ", ?", kind->declare, kind->merge};
    text_expand(sql, patterns[pattern], name);
}

/* The columns of a level in the order of the table, behind pack, t and n. */
static void list_columns(struct text *sql, enum history_level level, unsigned cells,
                         enum pattern pattern)
{
    const struct kind *const kinds[] = {&mean, &min, &max};
    for (unsigned v = 0; v < ROW_CELL + cells; v++) {
        char name[HISTORY_NAME_SIZE], full[HISTORY_NAME_SIZE + 8];
        const enum history_value value = (enum history_value) v;
        history_column_name(value, name);
        for (int i = 0; i < history_columns(level, value); i++) {
            snprintf(full, sizeof full, "%s%s", name, history_suffixes[i]);
            add_pattern(sql, pattern,
                        i == 0 && history_column(value)->takes_last ? &last : kinds[i], full);
        }
    }
    for (size_t i = 0; i < COUNT(others); i++)
        if (level >= others[i].first && level <= others[i].last)
            add_pattern(sql, pattern, others[i].kind, others[i].name);
}

static bool has_column(sqlite3 *db, enum history_level level, enum history_value value)
{
    char name[HISTORY_NAME_SIZE];
    return file_has_column(db, history_levels[level].name, history_column_name(value, name));
}

bool schema_add_column(sqlite3 *db, enum history_level level, enum history_value value)
{
    char room[SQL_SIZE];
    struct text sql = text_in(room, sizeof room);
    char name[HISTORY_NAME_SIZE];
    history_column_name(value, name);
    for (int kind = 0; kind < history_columns(level, value); kind++)
        text_format(&sql, "ALTER TABLE %s ADD COLUMN %s%s INTEGER;", history_levels[level].name,
                    name, history_suffixes[kind]);
    return file_run(db, room);
}

/* A view for people with sqlite3 or Grafana: the map's names and units. */
bool schema_view(sqlite3 *db, enum history_level level, unsigned cells)
{
    char room[SQL_SIZE];
    struct text sql = text_in(room, sizeof room);
    char column[HISTORY_NAME_SIZE], name[HISTORY_NAME_SIZE];
    static const char *const names[] = {"recents", "minutes", "hours", "days"};
    text_format(&sql, "DROP VIEW IF EXISTS %s; CREATE VIEW %s AS SELECT p.name", names[level],
                names[level]);
    text_format(&sql, level == LEVEL_DAY ? ", day" : ", datetime(t, 'unixepoch') AS utc, t");
    for (unsigned v = 0; v < ROW_CELL + cells; v++) {
        const enum history_value value = (enum history_value) v;
        history_column_name(value, column);
        history_value_name(value, name);
        for (int kind = 0; kind < history_columns(level, value); kind++)
            text_format(&sql,
                        history_column(value)->scale > 1 ? ", %s%s / %.1f AS \"%s%s\""
                                                         : ", %s%s * %.0f AS \"%s%s\"",
                        column, history_suffixes[kind], history_column(value)->scale, name,
                        history_suffixes[kind]);
    }
    if (level >= LEVEL_HOUR)
        text_format(&sql, ", charged_wh, discharged_wh");
    if (level == LEVEL_DAY)
        text_format(&sql,
                    ", soc_peak_permille / 10.0 AS soc_peak_percent, soc_peak_at, alarms_warning, "
                    "alarms_protection, fresh_s");
    else
        text_format(&sql, ", flags");
    text_format(&sql, " FROM %s JOIN pack p ON p.id = %s.pack", history_levels[level].name,
                history_levels[level].name);
    return file_run(db, room);
}

bool schema_prepare(sqlite3 *db, enum history_level level, unsigned cells, sqlite3_stmt **put)
{
    char room[SQL_SIZE];
    struct text sql = text_in(room, sizeof room);
    const char *time = history_levels[level].time_column;
    text_format(&sql, "INSERT INTO %s(pack, %s, n", history_levels[level].name, time);
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

bool schema_create(sqlite3 *db, unsigned cells[HISTORY_LEVELS])
{
    if (!file_run(db, tables))
        return false;
    for (int level = 0; level < HISTORY_LEVELS; level++) {
        const enum history_level at = (enum history_level) level;
        char room[SQL_SIZE];
        struct text sql = text_in(room, sizeof room);
        const char *name = history_levels[at].name, *time = history_levels[at].time_column;
        text_format(&sql,
                    "CREATE TABLE IF NOT EXISTS %s(pack INTEGER NOT NULL, %s INTEGER NOT NULL, "
                    "n INTEGER",
                    name, time);
        list_columns(&sql, at, FIRST_CELLS, DECLARE);
        text_format(&sql, ", PRIMARY KEY(pack, %s)) WITHOUT ROWID", time);
        if (!file_run(db, room))
            return false;
        /* Adds columns that a file of an older version lacks; older versions can still use it, since
         * they name their columns. */
        for (int value = 0; value < ROW_CELL; value++)
            if (!has_column(db, at, (enum history_value) value) &&
                !schema_add_column(db, at, (enum history_value) value))
                return false;
        for (cells[at] = 0; cells[at] < MAX_CELLS; cells[at]++)
            if (!has_column(db, at, (enum history_value)(ROW_CELL + cells[at])))
                break;
        if (cells[at] < FIRST_CELLS || !schema_view(db, at, cells[at]))
            return false;
    }
    return true;
}
