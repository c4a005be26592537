// SPDX-License-Identifier: MIT
#include "store.h"

#include "past/file.h"
#include "schema.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/queue.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRUNE_STEP 1000
#define BUSY_MS 2000
#define WAITING_MOST (64u * 360u) /* rows in memory: an hour of 64 packs */
#define EVENTS_MOST 10000u        /* events in memory */
#define BAD_MOST 100              /* damaged files that are kept */

/* A row to be written. Unknown cells at its end are not stored. */
struct waiting_row {
    TAILQ_ENTRY(waiting_row) entry;
    enum history_level level;
    const char *pack;
    unsigned cells;
    struct history_row row;
};

struct waiting_event {
    TAILQ_ENTRY(waiting_event) entry;
    char *sql; /* the statements that write it; of SQLite */
};

struct store {
    char *path;
    int64_t keep_s[LEVEL_DAY];
    sqlite3 *db; /* NULL: not open */
    struct stat opened;
    sqlite3_stmt *put[HISTORY_LEVELS]; /* NULL: not prepared */
    sqlite3_stmt *find_pack;           /* likewise */
    unsigned cells[HISTORY_LEVELS];    /* columns that the tables have */
    TAILQ_HEAD(, waiting_row) rows;
    TAILQ_HEAD(, waiting_event) events;
    size_t row_count, event_count, dropped;
    int64_t complete; /* 0: not known */
    unsigned failures;
    bool failing;
};

/* Of the database of another program, whose path was configured by mistake. */
#define FOREIGN_TABLES                                                                             \
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT IN ('pack', 'event', "   \
    "'recent', 'minute', 'hour', 'day', 'health', 'health_cell', 'complete') AND name NOT LIKE "   \
    "'sqlite_%'"

static bool is_damage(int code)
{
    return (code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB ||
           (code & 0xFF) == SQLITE_SCHEMA || (code & 0xFF) == SQLITE_MISMATCH;
}

static void log_store_failure(struct store *store, const char *why)
{
    store->failures++;
    if (!store->failing)
        log_warn("history: %s: %s; rows are kept in memory, retrying", store->path, why);
    store->failing = true;
}

static void close_file(struct store *store)
{
    for (int level = 0; level < HISTORY_LEVELS; level++) {
        sqlite3_finalize(store->put[level]);
        store->put[level] = NULL;
    }
    sqlite3_finalize(store->find_pack);
    store->find_pack = NULL;
    sqlite3_close_v2(store->db);
    store->db = NULL;
}

/* Never overwrites a file that was set aside before. False: the file stays in place. */
static bool set_aside(struct store *store)
{
    char aside[4096];
    unsigned n = 0;
    close_file(store);
    do
        snprintf(aside, sizeof aside, n ? "%s.bad.%u" : "%s.bad", store->path, n);
    while (access(aside, F_OK) == 0 && ++n < BAD_MOST);
    if (n == BAD_MOST || rename(store->path, aside) < 0) {
        log_store_failure(store, "damaged, and it cannot be renamed");
        return false;
    }
    log_error("history: %s is damaged: renamed to %s, and a new one is created", store->path,
              aside);
    static const char *const others[] = {"-wal", "-shm"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(aside, sizeof aside, "%s%s", store->path, others[i]);
        unlink(aside);
    }
    return true;
}

/* False: `why` has the error, and the file is closed. */
static bool open_once(struct store *store, char *why, size_t size, bool *damaged)
{
    *damaged = false;
    why[0] = '\0';
    int code =
        file_open(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, BUSY_MS);
    bool good = code == SQLITE_OK;
    if (good) {
        const int64_t version = file_ask(store->db, "PRAGMA user_version", NULL, -1);
        if (version > HISTORY_VERSION)
            snprintf(why, size, "written by a newer packgate (version %d)", (int) version);
        else if (version == 0 && file_ask(store->db, FOREIGN_TABLES, NULL, 0) > 0)
            snprintf(why, size, "the database of another program; give 'file' a path of its own");
        /* Page size and auto_vacuum count for a file that is still empty. Each commit writes some
         * whole pages for every pack and level, so small ones spare a card; what is deleted is not
         * overwritten, either, which Debian's SQLite would do. What a commit of 64 packs changes has to fit into the cache,
         * or pages are written again and again within one. */
        good = !why[0] && version >= 0 &&
               file_run(
                   store->db,
                   "PRAGMA page_size = 1024; PRAGMA secure_delete = OFF; PRAGMA cache_size = -6000;"
                   "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;") &&
               file_run(store->db, "BEGIN IMMEDIATE") &&
               schema_create(store->db, store->cells, store->put) &&
               file_run(store->db, "PRAGMA user_version = 1; COMMIT") &&
               stat(store->path, &store->opened) == 0;
    }
    if (good)
        return true;
    if (!why[0]) {
        code = store->db ? sqlite3_errcode(store->db) : code;
        snprintf(why, size, "%s", file_why(store->path, store->db));
        /* An intact file may still be unusable: it is not ours, or its tables were changed. Only a damaged
         * file is moved away. */
        *damaged = is_damage(code) ||
                   (code == SQLITE_ERROR && store->db &&
                    file_ask(store->db, "SELECT quick_check = 'ok' FROM pragma_quick_check", NULL,
                             0) == 0);
    }
    close_file(store);
    return false;
}

static bool open_file(struct store *store)
{
    char why[200];
    bool damaged;
    if (open_once(store, why, sizeof why, &damaged))
        return true;
    if (damaged)
        return set_aside(store) && open_file(store);
    log_store_failure(store, why);
    return false;
}

struct store *store_new(const char *path, const int64_t keep_s[LEVEL_DAY])
{
    struct store *store = alloc_zeroed(1, sizeof *store);
    store->path = alloc_checked(strdup(path));
    memcpy(store->keep_s, keep_s, sizeof store->keep_s);
    TAILQ_INIT(&store->rows);
    TAILQ_INIT(&store->events);
    return store;
}

static void drop_row(struct store *store, struct waiting_row *row)
{
    TAILQ_REMOVE(&store->rows, row, entry);
    free(row);
    store->row_count--;
}

/* The oldest one. */
static void drop_event(struct store *store)
{
    struct waiting_event *event = TAILQ_FIRST(&store->events);
    TAILQ_REMOVE(&store->events, event, entry);
    sqlite3_free(event->sql);
    free(event);
    store->event_count--;
}

static void drop_all(struct store *store)
{
    while (!TAILQ_EMPTY(&store->rows))
        drop_row(store, TAILQ_FIRST(&store->rows));
    while (!TAILQ_EMPTY(&store->events))
        drop_event(store);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    close_file(store);
    drop_all(store);
    free(store->path);
    free(store);
}

void store_row(struct store *store, const char *pack, enum history_level level,
               const struct history_row *row)
{
    /* With many packs memory is full before the next commit: commit early, or drop the oldest row, of
     * ten seconds if there is one: an hour is worth more. */
    if (store->row_count >= WAITING_MOST && (store->failing || !store_commit(store))) {
        struct waiting_row *oldest;
        TAILQ_FOREACH(oldest, &store->rows, entry)
        if (oldest->level == LEVEL_RECENT)
            break;
        drop_row(store, oldest ? oldest : TAILQ_FIRST(&store->rows));
        store->dropped++;
    }
    struct waiting_row *waiting = malloc(sizeof *waiting);
    if (!waiting) {
        store->dropped++;
        return;
    }
    *waiting = (struct waiting_row){.level = level, .pack = pack, .cells = MAX_CELLS, .row = *row};
    while (waiting->cells > 0 && row->mean[ROW_CELL + waiting->cells - 1] == ROW_UNKNOWN)
        waiting->cells--;
    TAILQ_INSERT_TAIL(&store->rows, waiting, entry);
    store->row_count++;
}

void store_event(struct store *store, const struct store_event *event)
{
    struct waiting_event *waiting = alloc_zeroed(1, sizeof *waiting);
    char level[12] = "NULL";
    if (event->level != EVENT_NO_LEVEL)
        snprintf(level, sizeof level, "%d", event->level);
    /* %Q writes NULL as it is; a pack without a name cannot be added, and is ignored. */
    waiting->sql = alloc_checked(sqlite3_mprintf(
        "INSERT OR IGNORE INTO pack(name) VALUES(%Q); INSERT INTO event VALUES(%lld, "
        "(SELECT id FROM pack WHERE name = %Q), %Q, %Q, %s, %Q)",
        event->pack, (long long) event->t, event->pack, event->kind, event->name, level,
        event->text));
    if (store->event_count >= EVENTS_MOST)
        drop_event(store);
    store->event_count++;
    TAILQ_INSERT_TAIL(&store->events, waiting, entry);
}

void store_complete(struct store *store, int64_t upto)
{
    store->complete = upto;
}

size_t store_waiting(const struct store *store)
{
    return store->row_count;
}

unsigned store_failures(const struct store *store)
{
    return store->failures;
}

/* Called for each row, so its statement is prepared once; writes nothing for a known pack. */
static int64_t pack_id(struct store *store, const char *name)
{
    if (!store->find_pack)
        store->find_pack = file_prepare(store->db, "SELECT id FROM pack WHERE name = ?1");
    const int64_t id = store->find_pack ? file_number(store->find_pack, name, -1) : -1;
    return id >= 0
               ? id
               : file_ask(store->db, "INSERT INTO pack(name) VALUES(?1) RETURNING id", name, -1);
}

static bool put_row(struct store *store, const struct waiting_row *waiting)
{
    const enum history_level level = waiting->level;
    /* A pack with more cells than any before needs columns. */
    if (waiting->cells > store->cells[level]) {
        if (!schema_fit(store->db, level, waiting->cells, &store->put[level]))
            return false;
        store->cells[level] = waiting->cells;
    }
    const int64_t id = pack_id(store, waiting->pack);
    if (id < 0)
        return false;
    sqlite3_stmt *statement = store->put[level];
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, waiting->row.t);
    sqlite3_bind_int64(statement, 3, waiting->row.n);
    int at = 4;
    for (enum history_value v = 0; v < ROW_FIELDS; v++)
        for (int i = 0; i < history_columns(level, v, store->cells[level]); i++, at++) {
            const int64_t number = history_number(&waiting->row, v, i);
            if (number == ROW_UNKNOWN)
                sqlite3_bind_null(statement, at);
            else if (history_is_energy(v))
                sqlite3_bind_double(statement, at, (double) number / 1000);
            else
                sqlite3_bind_int64(statement, at, number);
        }
    const bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return done;
}

static bool write_all(struct store *store)
{
    const struct waiting_row *row;
    const struct waiting_event *event;
    char complete[100];
    if (!file_run(store->db, "BEGIN IMMEDIATE"))
        return false;
    TAILQ_FOREACH(row, &store->rows, entry)
    if (!put_row(store, row))
        return false;
    TAILQ_FOREACH(event, &store->events, entry)
    if (!file_run(store->db, event->sql))
        return false;
    snprintf(complete, sizeof complete, "INSERT OR REPLACE INTO complete VALUES(1, %lld)",
             (long long) store->complete);
    return (store->complete == 0 || file_run(store->db, complete)) && file_run(store->db, "COMMIT");
}

bool store_commit(struct store *store)
{
    struct stat now;
    /* Deleted, moved away or replaced: further writes would be lost. */
    if (store->db && (stat(store->path, &now) < 0 || now.st_ino != store->opened.st_ino ||
                      now.st_dev != store->opened.st_dev)) {
        log_warn("history: %s no longer exists: created again", store->path);
        close_file(store);
    }
    if (!store->db && !open_file(store))
        return false;
    if (!write_all(store)) {
        const int code = sqlite3_errcode(store->db);
        char why[200];
        snprintf(why, sizeof why, "%s", sqlite3_errmsg(store->db));
        file_run(store->db, "ROLLBACK");
        if (is_damage(code))
            return set_aside(store) && open_file(store) && store_commit(store);
        log_store_failure(store, why);
        close_file(store);
        return false;
    }
    if (store->failing)
        log_info("history: %s can be written again", store->path);
    if (store->dropped > 0)
        log_warn("history: %zu rows are lost: no room in memory", store->dropped);
    store->failing = false;
    store->dropped = 0;
    drop_all(store);
    return true;
}

/* NaN is bound as NULL, and the column makes an integer of a whole number. */
static void bind_scaled(sqlite3_stmt *statement, int at, double number, double scale)
{
    sqlite3_bind_double(statement, at, round(number * scale));
}

static bool put_health(struct store *store, int64_t pack, const struct health_day *day)
{
    sqlite3_stmt *statement =
        file_prepare(store->db, "INSERT OR REPLACE INTO health(pack, day, silent_s, efficiency, "
                                "capacity_mah, temp_dc) VALUES(?, ?, ?, ?, ?, ?)");
    sqlite3_bind_int64(statement, 1, pack);
    sqlite3_bind_int64(statement, 2, day->day);
    bind_scaled(statement, 3, day->silent_s, 1);
    bind_scaled(statement, 4, day->efficiency, 1e4);
    bind_scaled(statement, 5, day->capacity_ah, 1e3);
    bind_scaled(statement, 6, day->temp_c, 10);
    bool good = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    statement =
        file_prepare(store->db, "INSERT OR REPLACE INTO health_cell VALUES(?, ?, ?, ?, ?, ?)");
    sqlite3_bind_int64(statement, 1, pack);
    sqlite3_bind_int64(statement, 2, day->day);
    for (unsigned i = 0; good && i < day->cells; i++) {
        sqlite3_bind_int64(statement, 3, i + 1);
        bind_scaled(statement, 4, day->load_mv[i], 1e3);
        bind_scaled(statement, 5, day->rest_mv[i], 1e3);
        bind_scaled(statement, 6, day->milliohm[i], 1e3);
        good = sqlite3_step(statement) == SQLITE_DONE;
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return good;
}

bool store_health(struct store *store, const char *pack, const struct health_day *day)
{
    if (!store->db || !file_run(store->db, "BEGIN IMMEDIATE"))
        return false;
    const int64_t id = pack_id(store, pack);
    if (id >= 0 && put_health(store, id, day) && file_run(store->db, "COMMIT"))
        return true;
    file_run(store->db, "ROLLBACK");
    return false;
}

int64_t store_newest(struct store *store)
{
    return store->db ? file_ask(store->db, "SELECT max(t) FROM minute", NULL, 0) : 0;
}

bool store_prune(struct store *store, int64_t now)
{
    char sql[512];
    if (!store->db)
        return false;
    for (enum history_level level = 0; level < LEVEL_DAY; level++) {
        const char *table = history_levels[level].name;
        if (store->keep_s[level] == 0)
            continue;
        snprintf(sql, sizeof sql,
                 "DELETE FROM %s WHERE (pack, t) IN (SELECT r.pack, r.t FROM pack "
                 "CROSS JOIN %s r ON r.pack = pack.id AND r.t < %lld LIMIT %d)",
                 table, table, (long long) (now - store->keep_s[level]), PRUNE_STEP);
        if (!file_run(store->db, sql))
            break;
        if (sqlite3_changes(store->db) == PRUNE_STEP)
            return true;
    }
    /* Events are numbered as they are written. */
    snprintf(sql, sizeof sql,
             "DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE rowid <= "
             "(SELECT max(rowid) FROM event) - %d LIMIT %d)",
             EVENTS_KEPT, PRUNE_STEP);
    if (file_run(store->db, sql) && sqlite3_changes(store->db) == PRUNE_STEP)
        return true;
    /* Free pages are reused by the next rows. Shrinking the file means moving pages, which is done
     * only if the file is far too large. */
    if (file_ask(store->db, "PRAGMA freelist_count", NULL, 0) * 4 >
        file_ask(store->db, "PRAGMA page_count", NULL, 0))
        file_run(store->db, "PRAGMA incremental_vacuum(1000)");
    return false;
}

void steady_begin(struct steady *steady, double wall, double now, double newest)
{
    steady->offset = wall - now;
    steady->until =
        newest > 0 && wall - newest > STEADY_AWAY_S ? now + STEADY_AFTER_S : (double) -INFINITY;
}

bool steady_clock(struct steady *steady, double wall, double now)
{
    if (fabs(wall - now - steady->offset) > STEADY_JUMP_S)
        steady->until = now + STEADY_AFTER_S;
    steady->offset = wall - now;
    return now >= steady->until;
}
