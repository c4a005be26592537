// SPDX-License-Identifier: MIT
/* Health findings: constructed histories, each with one fault, and some without any. */
#include "past/checkup.h"
#include "past/health.h"
#include "outlets/history/store.h"

#include "past/recent.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#define CELLS 16
#define DAYS 200
#define NOW (START + 400 * (int64_t) DAY_S)
#define START 1767225600 /* 2026-01-01 00:00 UTC */
#define DAY_S 86400

static struct health_day days[DAYS];

static double noise(double most)
{
    return most * (2.0 * rand() / RAND_MAX - 1);
}

/* Days of a healthy pack whose values scatter. */
static void build_days(unsigned count)
{
    srand(7);
    for (unsigned n = 0; n < count; n++) {
        health_clear(&days[n]);
        days[n].from = START + (int64_t) n * DAY_S;
        days[n].day = 20260101 + n;
        days[n].cells = CELLS;
        days[n].temp_c = 20 + noise(3);
        days[n].silent_s = 20;
        days[n].efficiency = 0.95;
        for (unsigned i = 0; i < CELLS; i++) {
            days[n].load_mv[i] = noise(3);
            days[n].rest_mv[i] = noise(1);
            days[n].milliohm[i] = 0.8 + noise(0.1);
        }
    }
}

static const char *judge(unsigned count)
{
    static char out[2000];
    struct text text = text_in(out, sizeof out);
    struct health_finding findings[HEALTH_FINDINGS];
    const unsigned found = health_judge(days, count, findings);
    for (unsigned i = 0; i < found; i++) {
        text_add(&text, i > 0 ? "\n" : "");
        health_sentence(&text, &findings[i]);
    }
    return out;
}

TEST(healthy)
{
    assert_string_equal(judge(0), "");
    for (unsigned count = 1; count <= DAYS; count++) {
        build_days(count);
        assert_string_equal(judge(count), "");
    }
    for (unsigned n = 0; n < DAYS; n++) {
        const struct health_day day = days[n];
        health_clear(&days[n]);
        days[n].from = day.from;
    }
    assert_string_equal(judge(DAYS), "");
}

TEST(falling_cell)
{
    build_days(42);
    for (unsigned n = 0; n < 42; n++)
        days[n].load_mv[6] += -10 - 4.0 / 7 * n;
    assert_string_equal(
        judge(42), "cell 7 falls 4 mV per week behind the others under load; check its connection");
    /* Too few days, or too many without a value, yield no finding. */
    assert_string_equal(judge(13), "");
    for (unsigned n = 0; n < 42; n += 2)
        days[n].load_mv[6] = NAN;
    assert_null(strstr(judge(41), "falls"));
    /* Cells normally drift this slowly. */
    build_days(42);
    for (unsigned n = 0; n < 42; n++)
        days[n].load_mv[6] += -5 - 0.5 / 7 * n;
    assert_string_equal(judge(42), "");
    /* A cell that falls but is not the lowest approaches the others. */
    build_days(42);
    for (unsigned n = 0; n < 42; n++) {
        days[n].load_mv[6] += 40 - 4.0 / 7 * n;
        days[n].load_mv[2] -= 5;
    }
    assert_string_equal(judge(42), "");
}

TEST(other_cells)
{
    build_days(42);
    for (unsigned n = 0; n < 42; n++) {
        days[n].load_mv[0] += -8 - 3.0 / 7 * n;
        days[n].rest_mv[0] += -8 - 3.0 / 7 * n;
    }
    assert_string_equal(judge(42),
                        "cell 1 falls 3 mV per week behind the others without current; it "
                        "discharges itself, or balancing does not keep up");
    build_days(42);
    for (unsigned n = 0; n < 42; n++)
        days[n].load_mv[15] += 8 + 2.0 / 7 * n;
    assert_string_equal(judge(42), "cell 16 rises 2 mV per week above the others under load; the "
                                   "others may be wearing out");
    build_days(42);
    for (unsigned n = 0; n < 42; n++)
        days[n].load_mv[3] -= 20;
    assert_string_equal(judge(42), "cell 4 has been the lowest under load for two weeks, by 20 mV; "
                                   "check its connection");
    build_days(42);
    for (unsigned n = 0; n < 42; n++)
        days[n].milliohm[3] *= 2;
    assert_string_equal(judge(42), "cell 4 has 2.0 times the resistance of the others; check its "
                                   "connection, or it is worn");
}

/* Cells of a healthy pack whose differences vary with the weather over a week: six weeks of them are not a trend. */
TEST(weather)
{
    double load[CELLS], rest[CELLS];
    unsigned said = 0;
    const double like = 0.8;
    for (unsigned pack = 0; pack < 500; pack++) {
        build_days(42);
        srand(pack + 1);
        for (unsigned i = 0; i < CELLS; i++) {
            load[i] = noise(3.5);
            rest[i] = noise(1.7);
        }
        for (unsigned n = 0; n < 42; n++)
            for (unsigned i = 0; i < CELLS; i++) {
                load[i] = like * load[i] + sqrt(1 - like * like) * noise(3.5);
                rest[i] = like * rest[i] + sqrt(1 - like * like) * noise(1.7);
                days[n].load_mv[i] = load[i];
                days[n].rest_mv[i] = rest[i];
            }
        said += judge(42)[0] != '\0';
    }
    if (said > 10)
        fail_msg("%u of 500 healthy packs have something", said);
}

/* Just below and just above each limit. */
TEST(limits)
{
    static const struct {
        double drift_mv_week, low_mv, ratio, rise, fade, efficiency;
        double silent_s;
        const char *wanted; /* beginning of the only sentence; empty: none */
    } cases[] = {
        {.drift_mv_week = 0.9, .wanted = ""},
        {.drift_mv_week = 1.1, .wanted = "cell 7 falls 1 mV per week"},
        {.low_mv = 9.5, .wanted = ""},
        {.low_mv = 10.5, .wanted = "cell 7 has been the lowest under load for two weeks, by 1"},
        {.ratio = 1.45, .wanted = ""},
        {.ratio = 1.55, .wanted = "cell 7 has 1.6 times the resistance"},
        {.rise = 1.23, .wanted = ""},
        {.rise = 1.27, .wanted = "the resistance of cell 7 is 27 % higher"},
        {.fade = 4.5, .wanted = ""},
        {.fade = 5.5, .wanted = "the capacity between full and empty is 6 % less"},
        {.efficiency = 0.855, .wanted = ""},
        {.efficiency = 0.845, .wanted = "only 84 % of the energy"},
        {.silent_s = 3500, .wanted = ""},
        {.silent_s = 3700, .wanted = "no data for 62 minutes of the last 7 days"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const unsigned count = cases[c].rise > 0 || cases[c].fade > 0 ? 120 : 42;
        build_days(count);
        for (unsigned n = 0; n < count; n++) {
            struct health_day *day = &days[n];
            /* Only one value differs, by the same amount each day. */
            for (unsigned i = 0; i < CELLS; i++) {
                day->load_mv[i] = noise(0.3);
                day->milliohm[i] = 0.8;
            }
            day->silent_s = 0;
            day->temp_c = 20;
            if (cases[c].drift_mv_week > 0)
                day->load_mv[6] = -2 - cases[c].drift_mv_week / 7 * n;
            if (cases[c].low_mv > 0)
                day->load_mv[6] = -cases[c].low_mv;
            if (cases[c].ratio > 0)
                day->milliohm[6] *= cases[c].ratio;
            if (cases[c].rise > 0 && n >= 60)
                day->milliohm[6] *= cases[c].rise;
            if (cases[c].fade > 0)
                day->capacity_ah = n < 60 ? 280 : 280 * (1 - cases[c].fade / 100);
        }
        if (cases[c].efficiency > 0)
            days[count - 1].efficiency = cases[c].efficiency;
        days[count - 2].silent_s = cases[c].silent_s;
        const char *said = judge(count), *wanted = cases[c].wanted;
        if (strncmp(said, wanted, strlen(wanted)) != 0 || (!wanted[0] && said[0]) ||
            strchr(said, '\n'))
            fail_msg("case %zu: '%s' instead of '%s'", c, said, wanted);
    }
}

TEST(rising_resistance)
{
    build_days(120);
    for (unsigned n = 0; n < 120; n++)
        for (unsigned i = 0; i < CELLS; i++)
            days[n].milliohm[i] *= i == 4 ? 1 + 0.4 * n / 120 : 1;
    const char *said = judge(120);
    assert_non_null(strstr(said, "the resistance of cell 5 is 3"));
    assert_non_null(strstr(said, " % higher than 106 days ago"));
    /* In the cold the resistance is higher, which is not wear. */
    for (unsigned n = 60; n < 120; n++)
        days[n].temp_c -= 15;
    assert_string_equal(judge(120), "");
}

TEST(pack)
{
    build_days(DAYS);
    for (unsigned n = 5; n < DAYS; n += 10)
        days[n].capacity_ah = 280 - n * 0.2 + noise(2);
    assert_string_equal(judge(DAYS),
                        "the capacity between full and empty is 13 % less than 190 days ago");
    build_days(50);
    for (unsigned n = 5; n < 50; n += 5)
        days[n].capacity_ah = 280 - n;
    assert_string_equal(judge(50), ""); /* not long enough apart */
    build_days(50);
    days[49].efficiency = 0.78;
    assert_string_equal(judge(50),
                        "only 78 % of the energy that went in came out again; look for a current "
                        "that the BMS does not see, or worn cells");
    build_days(50);
    days[47].silent_s = 5 * 3600;
    days[20].silent_s = 80000;
    assert_string_equal(judge(50), "no data for 5 hours of the last 7 days");
    for (unsigned n = 0; n < 50; n++)
        days[n].silent_s = NAN;
    assert_string_equal(judge(50), "");
}

/* A pack of 100 Ah, half charged, whose cells have 1 mOhm each, except cell 7 with two. */
static struct history_row row_of(int64_t t, double ampere, double soc)
{
    struct history_row row = history_empty(t);
    row.n = 10;
    row.mean[ROW_CURRENT] = (int32_t) lround(ampere * 1000);
    row.mean[ROW_SOC] = (int32_t) lround(soc * 10);
    row.mean[ROW_REMAINING] = (int32_t) lround(soc * 1000);
    row.mean[ROW_TEMP] = 215;
    row.mean[ROW_VOLTAGE] = 52800;
    for (int i = 0; i < CELLS; i++)
        row.mean[ROW_CELL + i] = (int32_t) lround(3300 + ampere * (i == 6 ? 2 : 1));
    return row;
}

TEST(steps)
{
    struct health_work *work = health_work_new();
    struct health_day day;
    for (int i = 0; i < 1000; i++) {
        const struct history_row row = row_of(START + 10 * i, i / 10 % 2 ? -40 : 0, 50);
        health_row(work, &row);
    }
    health_clear(&day);
    health_result(work, &day);
    assert_int_equal(day.cells, CELLS);
    assert_true(fabs(day.milliohm[6] - 2) < 0.05 && fabs(day.milliohm[0] - 1) < 0.05);
    assert_true(fabs(day.load_mv[6] + 40) < 0.5 && fabs(day.load_mv[0]) < 0.5);
    assert_true(fabs(day.rest_mv[6]) < 0.5 && fabs(day.temp_c - 21.5) < 0.01);
    free(work);
}

/* Insufficient data: a current that never or always changes, gaps, the ends of the charge, few rows. */
TEST(no_steps)
{
    enum { STEADY, RAMP, GAPS, FULL, FEW, CASES };
    for (int c = 0; c < CASES; c++) {
        struct health_work *work = health_work_new();
        struct health_day day;
        for (int i = 0; i < (c == FEW ? 25 : 1000); i++) {
            const int64_t t = START + (c == GAPS ? 60 : 10) * i;
            const double ampere = c == STEADY  ? -40
                                  : c == RAMP  ? -abs(i % 100 - 50)
                                  : i / 10 % 2 ? -40
                                               : 0;
            const struct history_row row = row_of(t, ampere, c == FULL ? 95 : 50);
            health_row(work, &row);
        }
        health_clear(&day);
        health_result(work, &day);
        if (c == STEADY || c == RAMP || c == GAPS || c == FEW)
            assert_true(isnan(day.milliohm[6]));
        if (c == FULL || c == FEW)
            assert_true(isnan(day.load_mv[6]) && isnan(day.rest_mv[6]));
        free(work);
    }
}

struct course {
    double soc_to, ampere; /* discharged down to this with this current */
    uint64_t flags;        /* of the last minute */
    int pause_min;         /* minutes without rows, half way down */
    double charged_a;      /* charged for an hour, half way down */
    double capacity;       /* NaN: none */
};

TEST(capacity)
{
    const struct course courses[] = {
        {10, -20, 0, 0, 0, 90},
        {5, -20, 0, 0, 0, 90},
        {30, -20, 0, 0, 0, NAN},
        {30, -20, FLAG_PROTECTION(CELL_UNDER_VOLTAGE), 0, 0, 63}, /* empty too early */
        {10, -20, 0, 30, 0, NAN},
        {10, -20, 0, 4, 0, 90},
        {10, -20, 0, 0, 10, NAN},
        {10, -1, 0, 0, 0, 90},
    };
    for (size_t c = 0; c < sizeof courses / sizeof *courses; c++) {
        const struct course *course = &courses[c];
        struct health_run run = {.running = false};
        double soc = 100, seen = NAN;
        int64_t t = START;
        bool paused = false;
        for (int i = 0; i < 30; i++, t += 60) { /* full */
            const struct history_row row = row_of(t, 1, 100);
            assert_true(isnan(health_capacity(&run, &row)));
        }
        while (soc > course->soc_to && isnan(seen)) {
            /* 90 Ah, although the BMS believes 100. */
            soc += course->ampere / 60 / 0.9;
            if (!paused && soc < 65) {
                paused = true;
                t += 60 * course->pause_min;
                for (int i = 0; course->charged_a > 0 && i < 60; i++, t += 60) {
                    const struct history_row row = row_of(t, course->charged_a, soc);
                    health_capacity(&run, &row);
                }
            }
            struct history_row row = row_of(t, course->ampere, soc);
            row.flags = soc <= course->soc_to ? course->flags : 0;
            seen = health_capacity(&run, &row);
            t += 60;
        }
        if (isnan(course->capacity) ? !isnan(seen) : !(fabs(seen - course->capacity) < 1.5))
            fail_msg("course %zu: %f instead of %f", c, seen, course->capacity);
    }
}

static struct history_row energy(int64_t t, double charged_wh, double discharged_wh, int peak)
{
    struct history_row row = row_of(t, 0, 50);
    row.charged_mwh = llround(charged_wh * 1000);
    row.discharged_mwh = llround(discharged_wh * 1000);
    row.soc_peak = peak;
    row.soc_peak_at = t + 12 * 3600;
    row.fresh_s = DAY_S - 600;
    return row;
}

static void put(struct store *store, enum history_level level, struct history_row row)
{
    row.from = row.t;
    if (level == LEVEL_DAY)
        row.t = history_day(row.from);
    store_row(store, "shed", level, &row);
}

TEST(checkup)
{
    char path[] = "/tmp/packgate-health-XXXXXX", why[200];
    const int64_t limits[LEVEL_DAY] = {0};
    close(mkstemp(path));
    unlink(path);
    struct store *store = store_new(path, limits);
    /* Ten days, full at noon of each; all ten-second rows of the last but one, a few of the last one. */
    for (int n = 0; n < 10; n++) {
        put(store, LEVEL_DAY, energy(START + n * DAY_S, 24 * 100, 24 * 90, 1000));
        for (int h = 0; h < 24; h++)
            put(store, LEVEL_HOUR, energy(START + n * DAY_S + h * 3600, 100, 90, 500));
    }
    for (int i = 0; i < 8640; i++)
        put(store, LEVEL_RECENT, row_of(START + 8 * DAY_S + 10 * i, i / 10 % 2 ? -40 : 0, 50));
    put(store, LEVEL_RECENT, row_of(START + 9 * DAY_S, 0, 50));
    assert_true(store_commit(store));
    struct query *query = query_open(path, why, sizeof why);
    struct health_day day, kept[20];
    assert_int_equal(checkup_due(query, "boat", NOW), 0);
    for (int n = 0; n < 9; n++) {
        const int64_t due = checkup_due(query, "shed", NOW);
        assert_int_equal(due, START + n * DAY_S);
        assert_true(checkup_day(query, "shed", due, &day));
        assert_true(store_health(store, "shed", &day));
        /* The first day began at an unknown charge; from full to full it takes a week. */
        assert_true(n == 0 ? isnan(day.silent_s) : day.silent_s == 600);
        assert_true(n < 7 ? isnan(day.efficiency) : fabs(day.efficiency - 0.9) < 0.001);
    }
    assert_int_equal(checkup_due(query, "shed", NOW), 0); /* today is not over */
    const struct health_day last = day;
    /* A clock that was ten years ahead has left rows, and a day that was evaluated then. */
    const int64_t now = START + 9 * DAY_S + 3600, ahead = START + 3650 * DAY_S;
    put(store, LEVEL_RECENT, row_of(ahead + 2 * DAY_S, 0, 50));
    day.from = ahead;
    day.day = history_day(ahead);
    assert_true(store_health(store, "shed", &day) && store_commit(store));
    assert_int_equal(checkup_due(query, "shed", now), 0);
    struct health_finding findings[HEALTH_FINDINGS];
    assert_int_equal(checkup_judge(query, "shed", now, findings), 1); /* 70 minutes, as below */
    assert_int_equal(query_checked(query, "shed", now), START + 8 * DAY_S);
    put(store, LEVEL_RECENT, row_of(START + 10 * DAY_S + 60, 0, 50));
    assert_true(store_commit(store));
    assert_int_equal(checkup_due(query, "shed", now + DAY_S), START + 9 * DAY_S);
    assert_true(fabs(last.milliohm[6] - 2) < 0.05);
    assert_int_equal(query_health(query, "shed", START, now, kept, 20), 9);
    assert_int_equal(kept[8].day, last.day);
    assert_true(fabs(kept[8].milliohm[6] - last.milliohm[6]) < 0.001 && kept[8].cells == CELLS);
    assert_true(fabs(kept[8].charged_wh - 2400) < 0.1 && isnan(kept[8].capacity_ah));
    assert_int_equal(query_health(query, "shed", START, now, kept, 3), 3); /* the newest of them */
    assert_int_equal(kept[2].day, last.day);
    query_close(query);
    char out[500];
    struct text text = text_in(out, sizeof out);
    checkup_report(path, "shed", now, &text);
    assert_string_equal(out, "Health: no data for 70 minutes of the last 7 days.\n");
    text = text_in(out, sizeof out);
    checkup_report("/nowhere/history.db", "shed", NOW, &text);
    checkup_report("", "shed", NOW, &text);
    assert_string_equal(out, "");
    store_free(store);
    unlink(path);
}

BEFORE_ALL
{
    setenv("TZ", "UTC", 1);
    tzset();
}
