// SPDX-License-Identifier: MIT
/* The history: rows computed from poll cycles, and their database. */
#include "past/query.h"
#include "past/rows.h"
#include "outlets/history/store.h"

#include "bms/count.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pack_test.h"

#define START 1763769600 /* 2025-11-22 00:00:00 UTC */
#define KEPT_MOST 2000

struct kept_rows {
    unsigned count[HISTORY_LEVELS];
    struct history_row row[HISTORY_LEVELS][KEPT_MOST];
};

static struct kept_rows kept;
static struct history_series series;

static void keep(void *data, enum history_level level, const struct history_row *row)
{
    struct kept_rows *rows = data;
    assert_in_range(rows->count[level], 0, KEPT_MOST - 1);
    rows->row[level][rows->count[level]++] = *row;
}

static void begin(void)
{
    memset(&kept, 0, sizeof kept);
    history_series_init(&series);
}

static struct pack pack_of(double voltage_v, double current_a, double soc_percent)
{
    struct pack pack = cleared_pack();
    set_values(&pack, {VOLTAGE_V, voltage_v}, {CURRENT_A, current_a}, {SOC_PERCENT, soc_percent});
    pack_set_cell(&pack, 1, voltage_v * 1000 / 16);
    pack_set_cell(&pack, 16, voltage_v * 1000 / 16 + 5);
    return pack;
}

static void poll(double at, double voltage_v, double current_a, double soc_percent)
{
    const struct pack pack = pack_of(voltage_v, current_a, soc_percent);
    const struct map_status status = {.charged_wh = (at - START) * 0.5, .discharged_wh = 7};
    history_add(&series, &pack, &status, at, keep, &kept);
}

TEST(ten_seconds)
{
    begin();
    poll(START + 0.5, 52, -10, 50);
    poll(START + 5, 54, -20, 51);
    poll(START + 9.9, 53, -30, 52);
    assert_int_equal(kept.count[LEVEL_RECENT], 0);
    poll(START + 10, 60, 0, 53);
    assert_int_equal(kept.count[LEVEL_RECENT], 1);
    const struct history_row *row = &kept.row[LEVEL_RECENT][0];
    assert_int_equal(row->t, START);
    assert_int_equal(row->n, 3);
    assert_int_equal(row->mean[ROW_VOLTAGE], 53000);
    assert_int_equal(row->min[ROW_VOLTAGE], 52000);
    assert_int_equal(row->max[ROW_VOLTAGE], 54000);
    assert_int_equal(row->mean[ROW_CURRENT], -20000);
    assert_int_equal(row->mean[ROW_SOC], 520); /* the last one */
    assert_int_equal(row->mean[ROW_POWER], ROW_UNKNOWN);
    assert_int_equal(row->mean[ROW_CELL], 3313); /* (3250 + 3375 + 3313) / 3 */
    assert_int_equal(row->mean[ROW_CELL + 1], ROW_UNKNOWN);
    assert_int_equal(row->soc_peak, 520);
    assert_int_equal(row->charged_mwh, (int64_t) llround(9.4 * 500));
}

/* Allowed values are averaged, their reason is the last one; without limits both are unknown. */
TEST(allowed)
{
    const struct pack pack = pack_of(52, 1, 50);
    struct map_status status = {.allowed = {.configured = true,
                                            .charge_voltage_v = 55.2,
                                            .charge_current_a = 100,
                                            .discharge_current_a = 80}};
    begin();
    history_add(&series, &pack, &status, START, keep, &kept);
    status.allowed.charge_voltage_v = NAN;
    status.allowed.charge_current_a = 25;
    status.allowed.charge_limited_by = LIMITED_BY_CELL_HIGH;
    history_add(&series, &pack, &status, START + 1, keep, &kept);
    status.allowed.configured = false;
    history_add(&series, &pack, &status, START + 10, keep, &kept);
    history_flush(&series, true, keep, &kept);
    const struct history_row *row = kept.row[LEVEL_RECENT];
    assert_int_equal(row[0].mean[ROW_ALLOWED_VOLTAGE], 55200);
    assert_int_equal(row[0].mean[ROW_ALLOWED_CHARGE], 62500);
    assert_int_equal(row[0].min[ROW_ALLOWED_CHARGE], 25000);
    assert_int_equal(row[0].mean[ROW_ALLOWED_DISCHARGE], 80000);
    assert_int_equal(row[0].mean[ROW_CHARGE_LIMITED_BY], LIMITED_BY_CELL_HIGH);
    assert_int_equal(row[0].mean[ROW_DISCHARGE_LIMITED_BY], LIMITED_BY_CONFIGURATION);
    for (int value = ROW_ALLOWED_VOLTAGE; value <= ROW_DISCHARGE_LIMITED_BY; value++)
        assert_int_equal(row[1].mean[value], ROW_UNKNOWN);
}

/* A silent pack has no rows for that time, and the minute contains only the polls that there were. */
TEST(gap)
{
    begin();
    poll(START + 1, 52, 1, 50);
    history_pass(&series, START + 11, keep, &kept);
    assert_int_equal(kept.count[LEVEL_RECENT], 1);
    poll(START + 185, 53, 1, 50);
    history_pass(&series, START + 200, keep, &kept);
    assert_int_equal(kept.count[LEVEL_RECENT], 2);
    assert_int_equal(kept.row[LEVEL_RECENT][1].t, START + 180);
    assert_int_equal(kept.count[LEVEL_MINUTE], 1);
    assert_int_equal(kept.row[LEVEL_MINUTE][0].t, START);
    assert_int_equal(kept.row[LEVEL_MINUTE][0].fresh_s, RECENT_S);
    history_pass(&series, START + 240, keep, &kept);
    assert_int_equal(kept.count[LEVEL_MINUTE], 2);
    assert_int_equal(kept.row[LEVEL_MINUTE][1].t, START + 180);
}

/* A pack that is polled every 30 s is fresh until it falls silent. */
TEST(rare_polls)
{
    begin();
    for (int s = 0; s < 600; s += 30)
        poll(START + s, 52, 1, 50);
    history_pass(&series, START + 600, keep, &kept);
    history_silent(&series);
    poll(START + 1200, 52, 1, 50);
    history_flush(&series, true, keep, &kept);
    assert_int_equal(kept.row[LEVEL_DAY][0].fresh_s, 570 + 2 * RECENT_S);
    /* The clock is set forward by a day, and back. */
    begin();
    poll(START, 52, 1, 50);
    poll(START + 86400, 52, 1, 50);
    poll(START + 10, 52, 1, 50);
    history_flush(&series, true, keep, &kept);
    for (unsigned i = 0; i < kept.count[LEVEL_DAY]; i++)
        assert_in_range(kept.row[LEVEL_DAY][i].fresh_s, RECENT_S, 2 * RECENT_S);
}

TEST(levels)
{
    begin();
    for (int s = 0; s < 2 * 3600; s += 5)
        poll(START + s, 50 + (s / 3600), s % 3600 == 0 ? 100 : 10, 50);
    history_flush(&series, true, keep, &kept);
    assert_int_equal(kept.count[LEVEL_RECENT], 720);
    assert_int_equal(kept.count[LEVEL_MINUTE], 120);
    assert_int_equal(kept.count[LEVEL_HOUR], 2);
    assert_int_equal(kept.count[LEVEL_DAY], 1);
    const struct history_row *hour = &kept.row[LEVEL_HOUR][1];
    assert_int_equal(hour->t, START + 3600);
    assert_int_equal(hour->mean[ROW_VOLTAGE], 51000);
    assert_int_equal(hour->max[ROW_CURRENT], 100000);
    assert_int_equal(hour->min[ROW_CURRENT], 10000);
    assert_int_equal(hour->n, 720);
    assert_in_range(hour->charged_mwh, 1799 * 1000, 1801 * 1000);
    assert_int_equal(kept.row[LEVEL_DAY][0].fresh_s, 7200);
}

/* The clock is set back by an hour: no interval is lost, and none gets another's values. */
TEST(clock_jumps)
{
    begin();
    poll(START + 7200, 52, 1, 50);
    poll(START + 3600, 53, 1, 50);
    poll(START + 3605, 53, 1, 50);
    poll(START + 86400, 54, 1, 50);
    history_flush(&series, true, keep, &kept);
    assert_int_equal(kept.count[LEVEL_RECENT], 3);
    assert_int_equal(kept.row[LEVEL_RECENT][0].t, START + 7200);
    assert_int_equal(kept.row[LEVEL_RECENT][1].t, START + 3600);
    assert_int_equal(kept.row[LEVEL_RECENT][1].n, 2);
    assert_int_equal(kept.count[LEVEL_HOUR], 3);
    assert_int_equal(kept.row[LEVEL_HOUR][0].mean[ROW_VOLTAGE], 52000);
    assert_int_equal(kept.row[LEVEL_HOUR][1].mean[ROW_VOLTAGE], 53000);
}

TEST(local_days)
{
    static const struct {
        const char *name;
        int64_t at;
        int64_t day, start;
    } days[] = {
        {"winter", 1763769600, 20251122, 1763766000},
        {"the day that has 23 hours, before", 1774738799, 20260328, 1774652400},
        {"the same, after", 1774742400 + 3600, 20260329, 1774738800},
        {"its end", 1774738800 + 23 * 3600 - 1, 20260329, 1774738800},
        {"the day that has 25 hours, its end", 1792879200 + 25 * 3600 - 1, 20261025, 1792879200},
        {"the next", 1792879200 + 25 * 3600, 20261026, 1792969200},
    };
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    for (size_t i = 0; i < COUNT(days); i++) {
        const int64_t day = history_day(days[i].at), start = history_start(LEVEL_DAY, days[i].at);
        if (day != days[i].day || start != days[i].start)
            fail_msg("%s: expected %lld from %lld, got %lld from %lld", days[i].name,
                     (long long) days[i].day, (long long) days[i].start, (long long) day,
                     (long long) start);
    }
    setenv("TZ", "UTC", 1);
    tzset();
}

/* An alarm whose reply is lost lasts until a reply shows its end, in rows and events. */
TEST(alarm_that_was_not_read)
{
    static const struct {
        int seconds, level;
        bool read;
        uint64_t flags;
    } steps[] = {{0, ALARM_PROTECTION, true, FLAG_PROTECTION(SOC_LOW)},
                 {10, 0, false, FLAG_PROTECTION(SOC_LOW)},
                 {20, 0, true, 0}};
    const struct map_status status = {0};
    begin();
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct pack pack = pack_of(53, 0, 50);
        struct history_row row;
        if (steps[i].read)
            pack_alarm(&pack, SOC_LOW, steps[i].level);
        history_add(&series, &pack, &status, START + steps[i].seconds, keep, &kept);
        assert_true(history_so_far(&series, &row));
        assert_true(row.flags == steps[i].flags);
    }
}

TEST(counter_begun_anew)
{
    begin();
    const struct pack pack = pack_of(52, 1, 50);
    const double counters[] = {NAN, 100, 101, 3, 5};
    for (size_t i = 0; i < COUNT(counters); i++) {
        const struct map_status status = {.charged_wh = counters[i], .discharged_wh = NAN};
        history_add(&series, &pack, &status, START + (double) i, keep, &kept);
    }
    history_flush(&series, true, keep, &kept);
    assert_int_equal(kept.row[LEVEL_RECENT][0].charged_mwh, 3000);
    assert_int_equal(kept.row[LEVEL_RECENT][0].discharged_mwh, 0);
}

static char folder[64], path[128];
static const int64_t limits[LEVEL_DAY] = {
    [LEVEL_RECENT] = 48 * 3600, [LEVEL_MINUTE] = 186 * 86400, [LEVEL_HOUR] = 3650ll * 86400};

static struct store *store;

static void close_store(void)
{
    store_free(store);
    store = NULL;
}

static void open_store(void)
{
    close_store();
    store = store_new(path, limits);
}

static int open_place(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/packgate-history-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/history.db", folder);
    open_store();
    return 0;
}

static int close_place(void **state)
{
    char command[200];
    close_store();
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

#define HISTORY_TEST(name) TEST_WITH(name, open_place, close_place)

/* The first column of the first row; -1: there is no row. */
static long long ask(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    long long number = -1;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    if (sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static struct history_row a_row(int64_t t, uint32_t n, int32_t voltage_mv, unsigned cells)
{
    struct history_row row = history_empty(t);
    row.n = n;
    row.mean[ROW_VOLTAGE] = row.min[ROW_VOLTAGE] = row.max[ROW_VOLTAGE] = voltage_mv;
    for (unsigned i = 0; i < cells; i++)
        row.mean[ROW_CELL + i] = row.min[ROW_CELL + i] = row.max[ROW_CELL + i] = 3300 + (int) i;
    return row;
}

static void put(enum history_level level, const struct history_row *row)
{
    store_row(store, "shed", level, row);
}

static void write_row(enum history_level level, const struct history_row *row)
{
    put(level, row);
    assert_true(store_commit(store));
}

HISTORY_TEST(store_and_names)
{
    const struct history_row row = a_row(START, 10, 53120, 16);
    for (int level = 0; level < HISTORY_LEVELS; level++)
        put((enum history_level) level, &row);
    store_event(store, &(struct store_event){START, "shed", "alarm", "cell_over_voltage", 2, "on"});
    assert_true(store_commit(store));
    assert_int_equal(store_waiting(store), 0);
    assert_int_equal(ask("SELECT count(*) FROM recent"), 1);
    assert_int_equal(ask("SELECT voltage_v * 1000 FROM minutes WHERE name = 'shed'"), 53120);
    assert_int_equal(ask("SELECT \"cell_mv.16\" FROM minutes"), 3315);
    assert_int_equal(ask("SELECT \"cell_mv.16_max\" FROM hours"), 3315);
    assert_int_equal(ask("SELECT count(*) FROM days WHERE fresh_s = 0"), 1);
    assert_int_equal(ask("SELECT count(*) FROM event JOIN pack ON pack.id = event.pack WHERE "
                         "pack.name = 'shed' AND kind = 'alarm' AND level = 2"),
                     1);
    assert_int_equal(ask("PRAGMA user_version"), HISTORY_VERSION);
}

static void change(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* A file of a version without limits gets their columns; that version could still write to it. */
HISTORY_TEST(older_version)
{
    static const char *const levels[] = {"recent", "minute", "hour", "day"};
    static const char *const columns[] = {"allowed_charge_mv", "allowed_charge_ma",
                                          "allowed_discharge_ma", "charge_limited_by",
                                          "discharge_limited_by"};
    struct history_row row = a_row(START, 10, 53120, 16);
    for (int level = 0; level < HISTORY_LEVELS; level++)
        put((enum history_level) level, &row);
    assert_true(store_commit(store));
    close_store();
    for (int level = 0; level < HISTORY_LEVELS; level++)
        for (size_t i = 0; i < COUNT(columns); i++)
            for (int kind = 0; kind < (i >= 3 || level == 0 ? 1 : 3); kind++) {
                static const char *const kinds[] = {"", "_min", "_max"};
                char sql[200];
                snprintf(sql, sizeof sql,
                         "DROP VIEW IF EXISTS %ss; ALTER TABLE %s DROP COLUMN %s%s", levels[level],
                         levels[level], columns[i], kinds[kind]);
                change(sql);
            }
    open_store();
    row.t = row.from = START + 3600;
    row.mean[ROW_ALLOWED_CHARGE] = row.min[ROW_ALLOWED_CHARGE] = 42500;
    row.mean[ROW_CHARGE_LIMITED_BY] = LIMITED_BY_CELL_HIGH;
    for (int level = 0; level < HISTORY_LEVELS; level++)
        put((enum history_level) level, &row);
    assert_true(store_commit(store));
    close_store();
    assert_int_equal(ask("PRAGMA user_version"), 1);
    assert_int_equal(ask("SELECT count(*) FROM minutes WHERE voltage_v = 53.12"), 2);
    assert_int_equal(ask("SELECT allowed_charge_current_a * 10 FROM recents ORDER BY t DESC"), 425);
    assert_int_equal(ask("SELECT allowed_charge_current_a_min * 10 FROM hours ORDER BY t DESC"),
                     425);
    assert_int_equal(ask("SELECT charge_limited_by FROM minutes ORDER BY t DESC"),
                     LIMITED_BY_CELL_HIGH);
    assert_int_equal(ask("SELECT count(*) FROM minutes WHERE allowed_charge_current_a IS NULL"), 1);
    char why[100];
    bool found;
    struct query *query = query_open(path, why, sizeof why);
    struct query_ask rows = {
        .pack = "shed", .level = LEVEL_MINUTE, .from = START, .to = START + 7200};
    assert_int_equal(query_cells(query, &rows, &found), 16);
    assert_true(found);
    rows.to = START + 3600;
    query_cells(query, &rows, &found);
    assert_false(found);
    query_close(query);
}

/* Two parts of an interval are joined, weighted by their polls. */
HISTORY_TEST(parts_are_merged)
{
    struct history_row a = a_row(START, 30, 52000, 16), b = a_row(START, 10, 54000, 16);
    a.charged_mwh = 1500;
    b.charged_mwh = 500;
    a.mean[ROW_SOC] = 500;
    b.mean[ROW_SOC] = 510;
    b.mean[ROW_MOS_TEMP] = 250;
    a.soc_peak = 700;
    a.soc_peak_at = START + 5;
    b.soc_peak = 510;
    a.flags = FLAG_WARNING(3) | FLAG_CHARGE_MOS | FLAG_BALANCING;
    b.flags = FLAG_PROTECTION(4) | FLAG_DISCHARGE_MOS;
    put(LEVEL_DAY, &a);
    write_row(LEVEL_HOUR, &a);
    put(LEVEL_DAY, &b);
    write_row(LEVEL_HOUR, &b);
    assert_int_equal(ask("SELECT n FROM hour"), 40);
    assert_int_equal(ask("SELECT voltage_mv FROM hour"), 52500);
    assert_int_equal(ask("SELECT voltage_mv_min FROM hour"), 52000);
    assert_int_equal(ask("SELECT voltage_mv_max FROM hour"), 54000);
    assert_int_equal(ask("SELECT charged_wh * 1000 FROM hour"), 2000);
    assert_int_equal(ask("SELECT soc_permille FROM hour"), 510);
    assert_int_equal(ask("SELECT mos_temp_dc FROM hour"), 250);
    /* MOS states are the last ones; other flags are set if they were set at any time. */
    assert_int_equal(ask("SELECT flags FROM hour"),
                     FLAG_WARNING(3) | FLAG_PROTECTION(4) | FLAG_BALANCING | FLAG_DISCHARGE_MOS);
    assert_int_equal(ask("SELECT soc_peak_permille FROM day"), 700);
    assert_int_equal(ask("SELECT soc_peak_at FROM day"), START + 5);
    assert_int_equal(ask("SELECT alarms_warning FROM day"), 1 << 3);
    assert_int_equal(ask("SELECT alarms_protection FROM day"), 1 << 4);
}

HISTORY_TEST(more_cells)
{
    struct history_row row = a_row(START, 1, 52000, 16);
    write_row(LEVEL_MINUTE, &row);
    row = a_row(START + 60, 1, 52000, 48);
    put(LEVEL_MINUTE, &row);
    write_row(LEVEL_HOUR, &row);
    assert_int_equal(ask("SELECT c48 FROM minute WHERE t > 1763769600"), 3347);
    assert_int_equal(ask("SELECT count(*) FROM minute WHERE c17 IS NULL"), 1);
    assert_int_equal(ask("SELECT \"cell_mv.48_min\" FROM hours"), 3347);
}

static void spoil(size_t from, size_t size)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, (long) from, SEEK_SET);
    for (size_t i = 0; i < size; i++)
        fputc(0x5A, file);
    fclose(file);
}

static bool is_there(const char *suffix)
{
    char name[200];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

/* A damaged file is set aside, twice, and the new file gets the rows in memory. */
HISTORY_TEST(damaged)
{
    struct history_row row = a_row(START, 1, 52000, 16);
    for (int round = 0; round < 3; round++) {
        open_store();
        row.t = START + 10 * round;
        write_row(LEVEL_RECENT, &row);
        assert_int_equal(ask("SELECT count(*) FROM recent"), 1);
        close_store();
        spoil(0, 4096);
    }
    assert_true(is_there(".bad"));
    assert_true(is_there(".bad.1"));
}

HISTORY_TEST(deleted_under_way)
{
    const struct history_row row = a_row(START, 1, 52000, 16);
    write_row(LEVEL_RECENT, &row);
    unlink(path);
    write_row(LEVEL_RECENT, &row);
    assert_int_equal(ask("SELECT count(*) FROM recent"), 1);
}

/* The disk is full: rows are kept, and written when there is space. */
HISTORY_TEST(full_disk)
{
    struct rlimit before, small;
    struct history_row row = a_row(START, 1, 52000, 16);
    write_row(LEVEL_RECENT, &row);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000;
    for (int i = 0; i < 100; i++) {
        row.t += 10;
        put(LEVEL_RECENT, &row);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const bool written = store_commit(store);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    assert_int_equal(store_waiting(store), 100);
    assert_int_equal(store_failures(store), 1);
    assert_true(store_commit(store));
    assert_int_equal(ask("SELECT count(*) FROM recent"), 101);
    assert_false(is_there(".bad"));
}

/* More packs than memory can hold until the next commit: nothing is lost. */
HISTORY_TEST(more_than_memory_holds)
{
    enum { ROWS = 30000 };
    struct history_row row = a_row(START, 1, 52000, 0);
    for (int i = 0; i < ROWS; i++) {
        row.t += 10;
        put(LEVEL_RECENT, &row);
    }
    write_row(LEVEL_HOUR, &row);
    assert_int_equal(ask("SELECT count(*) FROM recent"), ROWS);
    assert_int_equal(ask("SELECT count(*) FROM hour"), 1);
}

/* If writing fails for long, the oldest ten-second rows are dropped, but no hours. */
HISTORY_TEST(memory_is_full)
{
    char moved[200];
    snprintf(moved, sizeof moved, "%s.moved", path);
    assert_int_equal(mkdir(path, 0700), 0);
    struct history_row row = a_row(START, 1, 52000, 0);
    put(LEVEL_HOUR, &row);
    for (int i = 0; i < 40000; i++) {
        row.t += 10;
        put(LEVEL_RECENT, &row);
        store_event(store, &(struct store_event){row.t, "shed", "alarm", "fault", 1, "on"});
    }
    assert_false(store_commit(store));
    assert_int_equal(rename(path, moved), 0);
    assert_true(store_commit(store));
    assert_int_equal(ask("SELECT count(*) FROM hour"), 1);
    assert_int_equal(ask("SELECT max(t) FROM recent"), row.t);
    assert_in_range(ask("SELECT count(*) FROM recent"), 20000, 39999);
    assert_int_equal(ask("SELECT max(t) FROM event"), row.t);
    assert_int_equal(ask("SELECT count(*) FROM event"), 10000);
}

/* Tables and views are made together or not at all: a failure, or a crash, leaves no half of them. */
HISTORY_TEST(tables_at_once)
{
    const struct history_row row = a_row(START, 1, 52000, 16);
    change("CREATE VIEW hour AS SELECT 1");
    put(LEVEL_HOUR, &row);
    assert_false(store_commit(store));
    assert_int_equal(ask("SELECT count(*) FROM sqlite_master"), 1);
    change("DROP VIEW hour");
    assert_true(store_commit(store));
    assert_int_equal(ask("SELECT count(*) FROM hour"), 1);
}

/* A database of another program, or one that was changed by hand, is not touched. */
HISTORY_TEST(foreign)
{
    static const char *const cases[] = {
        "CREATE TABLE states(id INTEGER); INSERT INTO states VALUES(7)",
        "CREATE TABLE recent(other INTEGER); PRAGMA user_version = 1",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unlink(path);
        change(cases[i]);
        open_store();
        const struct history_row row = a_row(START, 10, 53120, 16);
        put(LEVEL_RECENT, &row);
        assert_false(store_commit(store));
        assert_int_equal(store_waiting(store), 1);
        assert_false(is_there(".bad"));
        if (i == 0) {
            assert_int_equal(ask("SELECT id FROM states"), 7);
            assert_int_equal(ask("SELECT count(*) FROM sqlite_master"), 1);
        }
        close_store();
    }
}

/* A clock that is wrong by years would make all rows old at once. */
TEST(steady)
{
    const double day = 86400, wall = 1763800000;
    struct steady steady;
    steady_begin(&steady, wall, 100, 0);
    assert_true(steady_clock(&steady, wall, 100));
    steady_begin(&steady, wall, 100, wall - 3 * day);
    assert_true(steady_clock(&steady, wall + 60, 160));
    /* The clock jumps to 2038 and back. */
    assert_false(steady_clock(&steady, wall + 4000 * day, 200));
    assert_false(steady_clock(&steady, wall + 4000 * day + 1000, 1200));
    assert_false(steady_clock(&steady, wall + 1100, 1200));
    assert_false(steady_clock(&steady, wall + 1100 + day - 100, 1200 + day - 100));
    assert_true(steady_clock(&steady, wall + 1100 + day, 1200 + day));
    /* Started with a wrong clock, or switched off for two months. */
    steady_begin(&steady, wall, 100, wall - 60 * day);
    assert_false(steady_clock(&steady, wall + 60, 160));
    assert_true(steady_clock(&steady, wall + day, 100 + day));
}

/* A damaged file that cannot be renamed is retried at the next commit, not endlessly within one. */
HISTORY_TEST(damaged_and_stuck)
{
    struct history_row row = a_row(START, 1, 52000, 16);
    write_row(LEVEL_RECENT, &row);
    const long long page = ask("SELECT rootpage FROM sqlite_master WHERE name = 'recent'");
    const long long size = ask("PRAGMA page_size");
    close_store();
    spoil((size_t) ((page - 1) * size), (size_t) size);
    char name[200];
    for (unsigned n = 0; n < 100; n++) {
        snprintf(name, sizeof name, n ? "%s.bad.%u" : "%s.bad", path, n);
        assert_int_equal(mkdir(name, 0700), 0);
    }
    open_store();
    put(LEVEL_RECENT, &row);
    assert_false(store_commit(store));
    assert_int_equal(store_waiting(store), 1);
    assert_int_equal(store_failures(store), 1);
    snprintf(name, sizeof name, "%s.bad.7", path);
    assert_int_equal(rmdir(name), 0);
    assert_true(store_commit(store));
    assert_int_equal(store_waiting(store), 0);
}

HISTORY_TEST(newer_version)
{
    change("PRAGMA user_version = 99");
    const struct history_row row = a_row(START, 1, 52000, 16);
    put(LEVEL_RECENT, &row);
    assert_false(store_commit(store));
    assert_int_equal(ask("PRAGMA user_version"), 99);
    assert_false(is_there(".bad"));
}

HISTORY_TEST(old_rows_go)
{
    struct history_row row = a_row(START, 1, 52000, 16);
    for (int i = 0; i < 2500; i++) {
        row.t = START + 10 * i;
        put(LEVEL_RECENT, &row);
    }
    write_row(LEVEL_DAY, &row);
    const int64_t now = START + 48 * 3600 + 20000;
    unsigned steps = 1;
    while (store_prune(store, now))
        steps++;
    assert_int_equal(ask("SELECT count(*) FROM recent"), 500);
    assert_int_equal(ask("SELECT min(t) FROM recent"), START + 20000);
    assert_int_equal(ask("SELECT count(*) FROM day"), 1);
    assert_in_range(steps, 2, 4);
}

/* An alarm that comes and goes each second must not fill the disk. */
HISTORY_TEST(old_events_go)
{
    sqlite3 *db;
    char sql[100];
    const int newest = EVENTS_KEPT + 1500;
    write_row(LEVEL_DAY, &(struct history_row){.t = 20251122, .n = 1});
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (int number = 1; number <= newest; number += number < 2000 ? 1 : newest - 2000) {
        snprintf(sql, sizeof sql, "INSERT INTO event(rowid, t) VALUES(%d, 1)", number);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_close(db);
    unsigned steps = 1;
    while (store_prune(store, START))
        steps++;
    assert_int_equal(ask("SELECT min(rowid) FROM event"), 1501);
    assert_int_equal(ask("SELECT max(rowid) FROM event"), newest);
    assert_int_equal(steps, 2);
}

struct found {
    unsigned count;
    struct history_row row[64];
};

static struct found find(struct query *query, const struct query_ask *ask)
{
    struct found found = {0};
    struct query_rows rows;
    query_begin(&rows, query, ask);
    for (const struct history_row *row; (row = query_next(&rows));)
        found.row[found.count++] = *row;
    assert_string_equal(query_why(query), "");
    return found;
}

/* Pipes in place of the file or of its log do not block. */
HISTORY_TEST(pipes)
{
    char why[200], log[200];
    struct history_row row = a_row(START, 1, 52000, 4);
    assert_int_equal(mkfifo(path, 0600), 0);
    put(LEVEL_RECENT, &row);
    assert_false(store_commit(store));
    assert_null(query_open(path, why, sizeof why));
    assert_non_null(strstr(why, "it is not a file"));
    unlink(path);
    assert_true(store_commit(store));
    close_store();
    snprintf(log, sizeof log, "%s-wal", path);
    assert_int_equal(mkfifo(log, 0600), 0);
    assert_null(query_open(path, why, sizeof why));
    unlink(log);
}

HISTORY_TEST(query)
{
    char why[200] = "";
    assert_null(query_open(path, why, sizeof why));
    assert_true(strlen(why) > 0);
    for (int i = 0; i < 5; i++) {
        struct history_row row = a_row(START + 60 * i, 1, 52000 + i, i == 3 ? 20 : 16);
        if (i != 2)
            put(LEVEL_MINUTE, &row);
    }
    assert_true(store_commit(store));
    struct query *query = query_open(path, why, sizeof why);
    assert_non_null(query);
    struct query_ask ask = {
        .pack = "shed", .level = LEVEL_MINUTE, .from = START + 60, .to = START + 240};
    bool has_limits;
    assert_int_equal(query_cells(query, &ask, &has_limits), 20);
    assert_false(has_limits);
    query_want_all(&ask, 20, false);
    ask.extremes = true;
    const struct found found = find(query, &ask);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.row[0].t, START + 60);
    assert_int_equal(found.row[0].max[ROW_VOLTAGE], 52001);
    assert_int_equal(found.row[0].mean[ROW_CELL + 19], ROW_UNKNOWN);
    assert_int_equal(found.row[1].t, START + 180);
    assert_int_equal(found.row[1].mean[ROW_CELL + 19], 3319);
    assert_int_equal(query_first(query, "shed", LEVEL_MINUTE), START);
    assert_true(query_first(query, "shed", LEVEL_HOUR) == INT64_MAX);
    ask.pack = "nobody";
    assert_int_equal(find(query, &ask).count, 0);
    char name[40];
    assert_true(query_pack(query, 0, name, sizeof name));
    assert_string_equal(name, "shed");
    assert_false(query_pack(query, 1, name, sizeof name));
    query_close(query);
}

struct spells {
    unsigned count;
    struct query_alarm spell[8];
};

static void take_spell(void *data, const struct query_alarm *spell)
{
    struct spells *spells = data;
    assert_in_range(spells->count, 0, 7);
    spells->spell[spells->count++] = *spell;
}

static void note(const char *pack, int64_t t, const char *name, int level, const char *text)
{
    store_event(store, &(struct store_event){START + t, pack, "alarm", name, level, text});
}

/* Each alarm with its beginning and end, even if both are outside of the requested time; one without an end is still
 * active. */
HISTORY_TEST(alarms)
{
    static const struct {
        int64_t from, to;
        unsigned most, count;
        struct query_alarm spell[4];
    } cases[] = {
        {0,
         1000,
         99,
         3,
         {{CELL_OVER_VOLTAGE, 2, START + 100, START + 300},
          {SOC_LOW, 1, START + 700, 0},
          {SOC_LOW, 1, START + 50, START + 60}}},
        {150, 200, 99, 1, {{CELL_OVER_VOLTAGE, 2, START + 100, START + 300}}}, /* around it */
        {60, 100, 99, 0, {{0}}}, /* ended at its beginning, began at its end */
        {5000, 6000, 99, 1, {{SOC_LOW, 1, START + 700, 0}}},
        {0,
         1000,
         1,
         2,
         {{CELL_OVER_VOLTAGE, 2, START + 100, START + 300}, {SOC_LOW, 1, START + 700, 0}}},
    };
    char why[200];
    note("shed", 50, "soc_low", 1, "on");
    note("shed", 60, "soc_low", 1, "off");
    note("shed", 100, "cell_over_voltage", 1, "on");
    note("shed", 110, "cell_over_voltage", 2, "on");
    note("shed", 120, "cell_over_voltage", 1, "on");
    note("boat", 130, "cell_over_voltage", 1, "off");
    note("shed", 300, "cell_over_voltage", 1, "off");
    note("shed", 700, "soc_low", 1, "on");
    assert_true(store_commit(store));
    struct query *query = query_open(path, why, sizeof why);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spells got = {0};
        query_alarms(query, "shed", START + cases[i].from, START + cases[i].to, cases[i].most,
                     take_spell, &got);
        if (got.count != cases[i].count)
            fail_msg("case %zu: %u instead of %u", i, got.count, cases[i].count);
        for (unsigned n = 0; n < got.count; n++)
            if (memcmp(&got.spell[n], &cases[i].spell[n], sizeof *got.spell) != 0)
                fail_msg("case %zu: alarm %d, level %d, from %lld to %lld", i, got.spell[n].alarm,
                         got.spell[n].level, (long long) got.spell[n].since - START,
                         (long long) got.spell[n].until - START);
    }
    query_close(query);
}

/* A row that is written while somebody reads is there for the next question, unless it asks for all of one moment. */
HISTORY_TEST(query_beside_writer)
{
    char why[200];
    assert_true(store_commit(store));
    struct query *query = query_open(path, why, sizeof why);
    struct query_ask ask = {.pack = "shed", .level = LEVEL_RECENT, .from = 0, .to = START * 2ll};
    query_want_all(&ask, 0, false);
    struct query *held = query_open(path, why, sizeof why);
    query_hold(held);
    assert_int_equal(find(query, &ask).count, 0);
    assert_int_equal(find(held, &ask).count, 0);
    const struct history_row row = a_row(START, 1, 52000, 16);
    write_row(LEVEL_RECENT, &row);
    assert_int_equal(find(query, &ask).count, 1);
    assert_int_equal(find(held, &ask).count, 0);
    query_close(query);
    query_close(held);
}

static const char *csv_of(const struct query_ask *ask, const struct history_row *row)
{
    static char line[8192];
    FILE *out = fmemopen(line, sizeof line, "w");
    csv_print(out, ask, row);
    fclose(out);
    return line;
}

TEST(csv)
{
    struct query_ask ask = {.pack = "shed", .level = LEVEL_MINUTE};
    query_want_all(&ask, 2, false);
    struct history_row row = a_row(START, 1, 53120, 1);
    row.mean[ROW_CURRENT] = -12500;
    row.mean[ROW_SOC] = 880;
    assert_string_equal(csv_of(&ask, NULL),
                        "time,voltage_v,current_a,power_w,soc_percent,remaining_ah,"
                        "cell_delta_mv,temp_avg_c,mos_temp_c,cell_mv.1,cell_mv.2\r\n");
    assert_string_equal(csv_of(&ask, &row),
                        "2025-11-22T00:00:00+00:00,53.120,-12.500,,88.0,,,,,3300,\r\n");
    ask.level = LEVEL_HOUR;
    ask.extremes = true;
    query_want_all(&ask, MAX_CELLS, true);
    const char *heading = csv_of(&ask, NULL);
    assert_string_equal(heading + strlen(heading) - 26, "charged_wh,discharged_wh\r\n");
    const char *line = csv_of(&ask, &row);
    assert_string_equal(line + strlen(line) - 10, ",0.0,0.0\r\n");
}

BEFORE_ALL
{
    setenv("TZ", "UTC", 1);
    tzset();
}
