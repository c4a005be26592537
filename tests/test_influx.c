// SPDX-License-Identifier: MIT
/* The pure parts of the line protocol: gaps, points, the meaning of responses, and rows read from
 * the history. */
#include "outlets/influx/influx.h"
#include "outlets/influx/gaps.h"
#include "outlets/influx/points.h"

#include "outlets/history/store.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pack_test.h"

static const char *text_of(const struct gaps *gaps)
{
    static char text[400];
    size_t size = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < gaps->count; i++)
        size += (size_t) snprintf(text + size, sizeof text - size, "%s%d-%d", i ? " " : "",
                                  (int) gaps->at[i].from, (int) gaps->at[i].to);
    return text;
}

TEST(gaps)
{
    struct gaps gaps = {.count = 0};
    gaps_add(&gaps, 50, 60);
    gaps_add(&gaps, 10, 20);
    gaps_add(&gaps, 30, 30);
    assert_string_equal(text_of(&gaps), "10-20 50-60");
    gaps_add(&gaps, 20, 30); /* adjacent gaps are joined */
    gaps_add(&gaps, 55, 80);
    assert_string_equal(text_of(&gaps), "10-30 50-80");
    gaps_remove(&gaps, 15, 20);
    gaps_remove(&gaps, 70, 100);
    assert_string_equal(text_of(&gaps), "10-15 20-30 50-70");
    gaps_remove(&gaps, 0, 22);
    assert_string_equal(text_of(&gaps), "22-30 50-70");
    assert_int_equal(gaps_total(&gaps), 28);
    gaps_add(&gaps, 0, 1000);
    assert_string_equal(text_of(&gaps), "0-1000");
    gaps_remove(&gaps, 0, 1000);
    assert_int_equal(gaps.count, 0);
    /* With one too many, the two closest are joined: here around the hole. */
    for (int i = 0; i < GAPS_MAX; i++)
        gaps_add(&gaps, 100 * i, 100 * i + 50);
    gaps_remove(&gaps, 120, 130);
    assert_int_equal(gaps.count, GAPS_MAX);
    assert_int_equal(gaps_total(&gaps), 50 * GAPS_MAX);
}

/* Compares with a bitmap: whatever is added and removed, no gap is ever lost. */
TEST(gaps_never_forget)
{
    enum { SPAN = 300 };
    srand(1);
    for (int round = 0; round < 200; round++) {
        struct gaps gaps = {.count = 0};
        bool owed[SPAN] = {false};
        for (int turn = 0; turn < 100; turn++) {
            const int from = rand() % SPAN,
                      to = from + rand() % 20 < SPAN ? from + rand() % 20 : SPAN;
            const bool add = rand() % 2;
            for (int i = from; i < to && i < SPAN; i++)
                owed[i] = add;
            (add ? gaps_add : gaps_remove)(&gaps, from, to < SPAN ? to : SPAN);
            assert_true(gaps.count <= GAPS_MAX);
            for (unsigned n = 1; n < gaps.count; n++)
                assert_true(gaps.at[n - 1].to < gaps.at[n].from);
            for (int i = 0; i < SPAN; i++) {
                bool known = false;
                for (unsigned n = 0; n < gaps.count; n++)
                    known |= i >= gaps.at[n].from && i < gaps.at[n].to;
                assert_true(known || !owed[i]);
            }
        }
    }
}

TEST(gaps_file)
{
    char path[] = "/tmp/packgate-gaps-XXXXXX";
    struct gaps gaps = {.until = 1795377210, .health = 1795305600}, read;
    gaps_add(&gaps, 1795377000, 1795377100);
    gaps_add(&gaps, 1795377150, 1795377210);
    close(mkstemp(path));
    assert_false(gaps_load(&read, path)); /* empty */
    assert_true(gaps_save(&gaps, path));
    assert_true(gaps_load(&read, path));
    assert_string_equal(text_of(&read), "1795377000-1795377100 1795377150-1795377210");
    assert_int_equal(read.until, 1795377210);
    assert_int_equal(read.health, 1795305600);
    /* A truncated file is rejected, wherever it was cut. */
    for (long size = 1; size < 70; size++) {
        assert_true(gaps_save(&gaps, path));
        assert_int_equal(truncate(path, size), 0);
        assert_false(gaps_load(&read, path));
        assert_int_equal(read.count, 0);
    }
    unlink(path);
    assert_false(gaps_load(&read, path));
    assert_false(gaps_save(&gaps, "/nowhere/at/all"));
    /* Pipes in place of the file or of the new file do not block. */
    char fresh[sizeof path + 4];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    assert_int_equal(mkfifo(path, 0600) + mkfifo(fresh, 0600), 0);
    assert_false(gaps_load(&read, path));
    assert_true(gaps_save(&gaps, path));
    assert_true(gaps_load(&read, path));
    unlink(path);
}

TEST(tags)
{
    static const struct {
        const char *gateway, *line, *tags;
    } cases[] = {
        {"hut", "a", "packgate,gateway=hut,line=a,pack=shed"},
        {"hut 1, east=west", "a", "packgate,gateway=hut\\ 1\\,\\ east\\=west,line=a,pack=shed"},
        {"a\\b\\", NULL, "packgate,gateway=a\\b_,pack=shed"},
        {"two\nlines", NULL, "packgate,gateway=two_lines,pack=shed"},
        {"", "a", "packgate,line=a,pack=shed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char tags[POINTS_TAGS];
        const struct source source = {.name = "shed", .line = cases[i].line};
        assert_true(points_tags(cases[i].gateway, &source, tags));
        assert_string_equal(tags, cases[i].tags);
    }
}

static const char *written(enum influx_layout layout, const struct pack *values, bool all)
{
    static char room[POINTS_ROOM];
    struct text text = text_in(room, sizeof room);
    const struct points points = {.tags = "packgate,pack=a",
                                  .layout = layout,
                                  .t = 1763800000,
                                  .values = values,
                                  .fresh = values != NULL,
                                  .age_s = NAN,
                                  .all_alarms = all};
    points_write(&text, &points);
    assert_false(text.cut);
    return room;
}

/* Live values and history rows are written with the same names. */
TEST(limits)
{
    static char room[POINTS_ROOM];
    struct history_row row = history_empty(1763800000);
    assert_false(points_allowed(&row).configured);
    row.mean[ROW_ALLOWED_VOLTAGE] = 55200;
    row.mean[ROW_ALLOWED_CHARGE] = 42500;
    row.mean[ROW_ALLOWED_DISCHARGE] = 0;
    row.mean[ROW_CHARGE_LIMITED_BY] = LIMITED_BY_CELL_HIGH;
    row.mean[ROW_DISCHARGE_LIMITED_BY] = 99; /* of a later version */
    struct text text = text_in(room, sizeof room);
    points_write(&text, &(struct points){.tags = "packgate,pack=a",
                                         .t = 1763800000,
                                         .fresh = true,
                                         .age_s = NAN,
                                         .allowed = points_allowed(&row)});
    assert_string_equal(room, "packgate,pack=a fresh=1,allowed_charge_voltage_v=55.2,"
                              "allowed_charge_current_a=42.5,allowed_discharge_current_a=0,"
                              "charge_limited_by=2,discharge_limited_by=11 1763800000000000000\n");
    struct pack values, now;
    pack_clear(&now);
    points_of_row(&row, &now, false, &values);
    for (int i = 0; i < PACK_VALUES; i++)
        assert_true(isnan(values.value[i]));
}

TEST(points)
{
    struct pack pack = cleared_pack();
    pack_set(&pack, VOLTAGE_V, 53.12);
    pack_set(&pack, CYCLES, 97);
    pack_set_cell(&pack, 1, 3331);
    pack_set_cell(&pack, 12, 3335.25);
    pack_set_temp(&pack, 2, -3.5);
    pack_alarm(&pack, SOC_LOW, ALARM_WARNING);
    pack_alarm_at(&pack, SHORT_CIRCUIT, ALARM_PROTECTION, false);
    assert_string_equal(
        written(INFLUX_SERIES, &pack, false),
        "packgate,pack=a voltage_v=53.12,cycles_total=97,temp_max_c=-3.5,temp_min_c=-3.5,"
        "alarm_level=1,fresh=1 1763800000000000000\n"
        "packgate,pack=a,cell=1 cell_mv=3331 1763800000000000000\n"
        "packgate,pack=a,cell=12 cell_mv=3335.25 1763800000000000000\n"
        "packgate,pack=a,sensor=2 temp_c=-3.5 1763800000000000000\n"
        "packgate,pack=a,alarm=soc_low,level=warning alarm=1 1763800000000000000\n");
    assert_non_null(strstr(written(INFLUX_SERIES, &pack, true),
                           "alarm=short_circuit,level=protection alarm=0 "));
    assert_null(strstr(written(INFLUX_SERIES, &pack, true), "alarm=short_circuit,level=warning"));
    assert_string_equal(written(INFLUX_FIELDS, &pack, false),
                        "packgate,pack=a voltage_v=53.12,cycles_total=97,temp_max_c=-3.5,"
                        "temp_min_c=-3.5,alarm_level=1,cell_mv_01=3331,cell_mv_12=3335.25,"
                        "temp_c_02=-3.5,alarm_short_circuit=0,alarm_soc_low=1,fresh=1 "
                        "1763800000000000000\n");
    assert_string_equal(written(INFLUX_SERIES, NULL, true),
                        "packgate,pack=a fresh=0 1763800000000000000\n");
}

TEST(gateway_points)
{
    char room[512], tags[POINTS_TAGS];
    struct text text = text_in(room, sizeof room);
    assert_true(points_tags("hut 1", NULL, tags));
    points_gateway(&text, tags, 1763800000, 7500, false);
    assert_string_equal(room, "packgate,gateway=hut\\ 1 behind_s=7500 1763800000000000000\n");
    text = text_in(room, sizeof room);
    points_gateway(&text, "packgate,gateway=hut", 1763800020, 0, true);
    assert_string_equal(room, "packgate,gateway=hut behind_s=0 1763800020000000000\n"
                              "packgate,gateway=hut,version=" PACKGATE_VERSION
                              " build_info=1 1763800020000000000\n");
}

TEST(health_points)
{
    char room[4000];
    struct health_day day;
    health_clear(&day);
    day.from = 1763769600;
    day.efficiency = 0.935;
    day.capacity_ah = 271.5;
    day.cells = 2;
    day.load_mv[1] = -4.25;
    day.milliohm[0] = 0.8;
    struct text text = text_in(room, sizeof room);
    points_health(&text, "packgate,pack=a", INFLUX_SERIES, &day);
    assert_string_equal(room, "packgate,pack=a efficiency_percent=93.5,capacity_seen_ah=271.5 "
                              "1763769600000000000\n"
                              "packgate,pack=a,cell=2 cell_load_mv=-4.25 1763769600000000000\n"
                              "packgate,pack=a,cell=1 cell_milliohm=0.8 1763769600000000000\n");
    text = text_in(room, sizeof room);
    points_health(&text, "packgate,pack=a", INFLUX_FIELDS, &day);
    assert_string_equal(room, "packgate,pack=a efficiency_percent=93.5,capacity_seen_ah=271.5,"
                              "cell_load_mv_02=-4.25,cell_milliohm_01=0.8 1763769600000000000\n");
    health_clear(&day);
    text = text_in(room, sizeof room);
    points_health(&text, "packgate,pack=a", INFLUX_SERIES, &day);
    assert_string_equal(room, "");
    static const struct health_finding findings[] = {
        {.kind = HEALTH_CELL_FALLS, .cell = 7, .number = 4.25},
        {.kind = HEALTH_FADES, .number = 13}};
    text = text_in(room, sizeof room);
    points_findings(&text, "packgate,pack=a", INFLUX_SERIES, 1763769600, findings, 2);
    assert_string_equal(
        room, "packgate,pack=a,finding=cell_falls,cell=7 finding=4.25 1763769600000000000\n"
              "packgate,pack=a,finding=fades finding=13 1763769600000000000\n");
    text = text_in(room, sizeof room);
    points_findings(&text, "packgate,pack=a", INFLUX_FIELDS, 1763769600, findings, 2);
    assert_string_equal(room, "packgate,pack=a finding_cell_falls_07=4.25,finding_fades=13 "
                              "1763769600000000000\n");
    text = text_in(room, sizeof room);
    points_findings(&text, "packgate,pack=a", INFLUX_SERIES, 1763769600, findings, 0);
    assert_string_equal(room, "");
}

TEST(numbers)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "0"},
                 {-0.00001, "0"},
                 {53.1, "53.1"},
                 {-12.5, "-12.5"},
                 {1000, "1000"},
                 {0.0001, "0.0001"},
                 {-0.05, "-0.05"},
                 {1.00005, "1.0001"},
                 {3331, "3331"},
                 {281474976710655, "281474976710655"},
                 {99.99999, "100"},
                 {4294967295, "4294967295"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[100];
        struct pack pack = cleared_pack();
        pack.value[CURRENT_A] = cases[i].number;
        snprintf(wanted, sizeof wanted,
                 "packgate,pack=a current_a=%s,fresh=1 1763800000000000000\n", cases[i].text);
        assert_string_equal(written(INFLUX_SERIES, &pack, false), wanted);
    }
}

/* The pack with the most values fits. */
TEST(the_longest)
{
    struct pack pack = cleared_pack();
    for (int i = 0; i < PACK_VALUES; i++)
        pack.value[i] = -123456.7891;
    pack.alarms_known = pack.alarms_warning = pack.alarms_protection = (1u << PACK_ALARM_COUNT) - 1;
    static char room[POINTS_ROOM], tags[POINTS_TAGS];
    memset(tags, 'x', 300);
    for (int layout = INFLUX_SERIES; layout <= INFLUX_FIELDS; layout++) {
        struct text text = text_in(room, sizeof room);
        points_write(&text, &(struct points){.tags = tags,
                                             .layout = (enum influx_layout) layout,
                                             .t = 1763800000,
                                             .values = &pack,
                                             .all_alarms = true});
        assert_false(text.cut);
    }
}

TEST(answers)
{
    static const struct {
        long status;
        const char *answer;
        enum post_result result;
        unsigned dropped;
        const char *words;
    } cases[] = {
        {204, "", POST_TAKEN, 0, ""},
        {200, "{}", POST_TAKEN, 0, ""},
        {400, "{\"error\":\"partial write: field type conflict: x dropped=3\"}\n", POST_TAKEN, 3,
         "status 400: partial write: field type conflict: x dropped=3"},
        {400, "{\"error\":\"partial write: unable to parse 'x' dropped=0\"}", POST_TAKEN, 1,
         "status 400: partial write: unable to parse 'x' dropped=0"},
        {422,
         "{\"code\":\"unprocessable entity\",\"message\":\"failure writing points to database: "
         "partial "
         "write: points beyond retention policy dropped=7\"}",
         POST_TAKEN, 7, NULL},
        {422,
         "{\"code\":\"unprocessable entity\",\"message\":\"failure writing points to database: "
         "partial "
         "write: dropped 550 points outside retention policy of duration 8760h0m0s\"}",
         POST_TAKEN, 550, NULL},
        {500,
         "{\"code\":\"internal error\",\"message\":\"unexpected error writing points to database: "
         "partial write: points beyond retention policy dropped=1\"}",
         POST_TAKEN, 1, NULL},
        {500, "{\"message\":\"partial write\"}", POST_FAILED, 0, NULL},
        {422, "partial write: dropped", POST_TAKEN, 1, NULL},
        {400, "{\"error\":\"unable to parse\"}", POST_REFUSED, 0, "status 400: unable to parse"},
        {413, "<html>", POST_REFUSED, 0, "status 413 (too large)"},
        {422, "{\"code\":\"x\",\"message\":\"y\"}", POST_REFUSED, 0, "status 422: y"},
        {401, "", POST_FAILED, 0, "status 401 (wrong token or password)"},
        {404, "{\"error\":\"database not found: \\\"a\\\"\"}", POST_FAILED, 0, NULL},
        {429, "", POST_FAILED, 0, "status 429 (too many requests)"},
        {503, "busy\nmore", POST_FAILED, 0, "status 503: busy"},
        {301, "", POST_FAILED, 0, "status 301"},
        {400, "Client sent an HTTP request to an HTTPS server.\n", POST_FAILED, 0,
         "status 400: its port is one for https://"},
        {400, "<html><center>The plain HTTP request was sent to HTTPS port</center>", POST_FAILED,
         0, "status 400: its port is one for https://"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct post_outcome outcome = {.dropped = 99};
        post_judge(cases[i].status, cases[i].answer, &outcome);
        assert_int_equal(outcome.result, cases[i].result);
        assert_int_equal(outcome.dropped, cases[i].dropped);
        if (cases[i].words)
            assert_string_equal(outcome.words, cases[i].words);
    }
}

#define NOW 1795377600 /* a full hour */

static struct history_row row_at(int64_t t, int32_t mv)
{
    struct history_row row = history_empty(t);
    row.n = 10;
    row.mean[ROW_VOLTAGE] = row.min[ROW_VOLTAGE] = row.max[ROW_VOLTAGE] = mv;
    row.mean[ROW_CELL] = mv / 16;
    return row;
}

/* The voltages in a text, as "t:mv t:mv". */
static const char *voltages(const struct batch *batch)
{
    static char out[4000];
    size_t size = 0;
    out[0] = '\0';
    char *text = strndup(batch->text ? batch->text : "", batch->size);
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        const char *voltage = strstr(line, "voltage_v="), *at = strrchr(line, ' ');
        if (voltage)
            size += (size_t) snprintf(out + size, sizeof out - size, "%s%lld:%.0f", size ? " " : "",
                                      strtoll(at + 1, NULL, 10) / 1000000000 - NOW,
                                      strtod(voltage + 10, NULL) * 1000);
    }
    free(text);
    return out;
}

TEST(levels)
{
    char path[] = "/tmp/packgate-backlog-XXXXXX", why[200];
    const int64_t limits[LEVEL_DAY] = {0};
    close(mkstemp(path));
    unlink(path);
    struct store *store = store_new(path, limits);
    /* Rows of three hours, of the minutes of the last one, and of the ten-second intervals of the last minute. */
    for (int i = 0; i < 3; i++) {
        const struct history_row row = row_at(NOW - 3600 * (3 - i), 50000 + i);
        store_row(store, "shed", LEVEL_HOUR, &row);
    }
    for (int i = 0; i < 4; i++) {
        const struct history_row row = row_at(NOW - 60 * (4 - i), 51000 + i);
        store_row(store, "shed", LEVEL_MINUTE, &row);
    }
    for (int i = 0; i < 6; i++) {
        const struct history_row row = row_at(NOW - 10 * (6 - i), 52000 + i);
        store_row(store, "shed", LEVEL_RECENT, &row);
    }
    assert_true(store_commit(store));
    struct outlet_pack known = {.source = {.name = "shed"}};
    pack_clear(&known.values);
    static struct influx_pack pack;
    pack = (struct influx_pack){.pack = &known, .tags = "packgate,pack=shed"};
    recent_init(&pack.recent, 100, false);
    struct influx_config config = {.interval_s = 10, .recent_s = 60, .minutes_s = 240};
    struct backlog backlog = {&config, &pack, 1, NOW, NOW + 10000, NULL, NULL};
    struct batch batch = {.rows = 0};
    struct query *query = query_open(path, why, sizeof why);
    assert_non_null(query);
    static const struct {
        double interval;
        int from, to;
        const char *wanted;
    } cases[] = {
        {10, -30, 0, "-30:52003 -20:52004 -10:52005"},
        {10, -90, -40, "-120:51002 -60:52000 -50:52001"}, /* the minute that the gap begins in */
        {10, -7300, -3000, "-10800:50000 -7200:50001 -3600:50002"},
        {30, -60, 0, "-60:52001 -30:52004"},
        {60, -240, 0, "-240:51000 -180:51001 -120:51002 -60:51003"},
        {120, -240, 0, "-240:51001 -120:51003"},
        {10, 100, 200, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.interval_s = cases[i].interval;
        assert_int_equal(backlog_read(&backlog, query, NOW + cases[i].from, NOW + cases[i].to,
                                      1 << 20, &batch, why, sizeof why),
                         NOW + cases[i].to);
        assert_string_equal(voltages(&batch), cases[i].wanted);
    }
    /* A gap from before the first ten-second row: only the minute row exists there. */
    config.interval_s = 10;
    config.recent_s = 3600;
    backlog_read(&backlog, query, NOW - 70, NOW - 40, 1 << 20, &batch, why, sizeof why);
    assert_string_equal(voltages(&batch), "-60:52000 -50:52001");
    config.recent_s = 60;
    /* Reads as much as fits, and returns where it ended. */
    config.interval_s = 10;
    const int64_t end = backlog_read(&backlog, query, NOW - 60, NOW, 500, &batch, why, sizeof why);
    assert_true(end > NOW - 60 && end < NOW && batch.rows > 0 && batch.rows < 6);
    assert_int_equal(backlog_first(&backlog, query), NOW - 3 * 3600);
    assert_int_equal(query_complete(query), INT64_MIN);
    store_complete(store, NOW);
    assert_int_equal(query_complete(query), INT64_MIN);
    assert_true(store_commit(store));
    assert_int_equal(query_complete(query), NOW);
    query_close(query);
    free(batch.text);
    free(batch.ends);
    store_free(store);
    unlink(path);
}

static unsigned
    until_short; /* memory is short at this call of realloc, and not after it; 0: never */

void *realloc(void *old, size_t size)
{
    static void *(*libc)(void *, size_t);
    if (!libc)
        *(void **) &libc = dlsym(RTLD_NEXT, "realloc");
    if (until_short == 0 || --until_short > 0)
        return libc(old, size);
    errno = ENOMEM;
    return NULL;
}

/* A row that finds no memory ends the process, so that its span is still owed after the restart. */
TEST(short_memory)
{
    char why[200];
    int status = 0;
    struct outlet_pack known = {.source = {.name = "shed"}};
    struct pack values = cleared_pack();
    pack_clear(&known.values);
    static struct influx_pack pack;
    pack = (struct influx_pack){.pack = &known, .tags = "packgate,pack=shed"};
    recent_init(&pack.recent, 100, false);
    pack_set(&values, VOLTAGE_V, 52);
    for (int s = 0; s < 60; s++)
        recent_add(&pack.recent, &values, &(struct map_status){.charged_wh = NAN}, NOW + s);
    const struct influx_config config = {.interval_s = 10};
    struct backlog backlog = {&config, &pack, 1, NOW + 60, NOW, NULL, NULL};
    struct batch batch = {.rows = 0};
    const pid_t child = fork();
    if (child == 0) {
        until_short = 1;
        backlog_read(&backlog, NULL, NOW, NOW + 50, 1 << 20, &batch, why, sizeof why);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Rows in the database and rows in memory only: each is read once. */
TEST(memory)
{
    char path[] = "/tmp/packgate-memory-XXXXXX", why[200];
    const int64_t limits[LEVEL_DAY] = {0};
    close(mkstemp(path));
    unlink(path);
    struct store *store = store_new(path, limits);
    struct outlet_pack known = {.source = {.name = "shed"}};
    struct pack values = cleared_pack();
    pack_clear(&known.values);
    static struct influx_pack pack;
    pack = (struct influx_pack){.pack = &known, .tags = "packgate,pack=shed"};
    recent_init(&pack.recent, 100, false);
    for (int i = 0; i < 3; i++) {
        const struct history_row row = row_at(NOW + 10 * i, 52000 + i);
        store_row(store, "shed", LEVEL_RECENT, &row);
    }
    assert_true(store_commit(store));
    for (int s = 0; s < 60; s++) {
        pack_set(&values, VOLTAGE_V, 52 + s / 10 / 1000.0);
        recent_add(&pack.recent, &values, &(struct map_status){.charged_wh = NAN}, NOW + s);
    }
    const struct influx_config config = {.interval_s = 10, .recent_s = 3600, .minutes_s = 86400};
    struct backlog backlog = {&config, &pack, 1, NOW + 60, NOW, NULL, NULL};
    struct batch batch = {.rows = 0};
    struct query *query = query_open(path, why, sizeof why);
    assert_int_equal(backlog_read(&backlog, query, NOW, NOW + 50, 1 << 20, &batch, why, sizeof why),
                     NOW + 50);
    assert_string_equal(voltages(&batch), "0:52000 10:52001 20:52002 30:52003 40:52004");
    assert_int_equal(backlog_read(&backlog, NULL, NOW, NOW + 50, 1 << 20, &batch, why, sizeof why),
                     NOW + 50);
    assert_string_equal(voltages(&batch), "0:52000 10:52001 20:52002 30:52003 40:52004");
    struct history_row row;
    assert_true(backlog_join(&pack, NOW + 20, NOW + 40, &row));
    assert_true(abs(row.mean[ROW_VOLTAGE] - 52003) <= 1);
    assert_false(backlog_join(&pack, NOW + 100, NOW + 110, &row));
    query_close(query);
    free(batch.text);
    free(batch.ends);
    store_free(store);
    unlink(path);
}
