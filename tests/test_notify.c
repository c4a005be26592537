// SPDX-License-Identifier: MIT
/* The pure parts of the outlet notify: what is told when, in which words, and how often it is tried. */
#include "outlets/notify/delivery.h"
#include "outlets/notify/events.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define START 1763800000.0 /* Unix seconds when the clock of a test is 0 */
#define HOUR 3600.0

static struct notify_config config;
static struct events events;
static struct pack values;
static bool fresh, silent;
static double at; /* clock */
static char told[2000];

static void note(void *data, unsigned watch, const struct happening *happening)
{
    (void) data;
    static const char *const phases[] = {"began", "lasts", "ended"};
    char line[120];
    snprintf(line, sizeof line, "%s%.0f %s %s%s", told[0] ? ", " : "", at,
             watch < WATCHES ? events_watch_name(watch) : "full", phases[happening->phase],
             happening->level == 2 ? "!" : "");
    assert_true(strlen(told) + strlen(line) < sizeof told);
    strcat(told, line);
}

static void begin(void)
{
    config = (struct notify_config){.events = ~0u,
                                    .soc_below = 20,
                                    .cell_delta_mv = 100,
                                    .hold_s = 30,
                                    .repeat_s = 6 * HOUR,
                                    .limit = 20};
    events_init(&events);
    pack_clear(&values);
    values.alarms_known = ~0u;
    values.value[SOC_PERCENT] = 50;
    values.value[CELL_DELTA_MV] = 10;
    fresh = true;
    silent = false;
    at = 0;
    told[0] = '\0';
}

/* Time goes on, with a look each second. */
static void pass(double seconds)
{
    for (double end = at + seconds; at < end; at++) {
        const struct seen seen = {.fresh = fresh, .silent = silent, .values = &values};
        events_look(&events, &config, &seen, at, START + at, 20251122 + (int) (at / 86400), note,
                    NULL);
    }
}

static void expect(const char *wanted)
{
    if (strcmp(told, wanted) != 0)
        fail_msg("told '%s', expected '%s'", told, wanted);
}

static void alarm_at(int level)
{
    values.alarms_warning = level == 1 ? 1u << CELL_OVER_VOLTAGE : 0;
    values.alarms_protection = level == 2 ? 1u << CELL_OVER_VOLTAGE : 0;
}

static void test_holds(void **state)
{
    (void) state;
    begin();
    pass(10);
    alarm_at(1);
    pass(29);
    alarm_at(0);
    pass(100);
    expect("");
    alarm_at(1);
    pass(100);
    expect("169 cell_over_voltage began");
    /* Over for a moment only. */
    alarm_at(0);
    pass(29);
    alarm_at(1);
    pass(100);
    expect("169 cell_over_voltage began");
    alarm_at(0);
    pass(100);
    expect("169 cell_over_voltage began, 398 cell_over_voltage ended");
}

static void test_levels(void **state)
{
    (void) state;
    begin();
    alarm_at(1);
    pass(40);
    alarm_at(2);
    pass(60);
    alarm_at(1);
    pass(60);
    alarm_at(0);
    pass(60);
    expect("30 cell_over_voltage began, 70 cell_over_voltage began!, 190 cell_over_voltage ended!");
    begin();
    config.protection = true;
    alarm_at(1);
    pass(100);
    expect("");
    alarm_at(2);
    pass(100);
    alarm_at(1);
    pass(100);
    expect("130 cell_over_voltage began!, 230 cell_over_voltage ended!");
    /* A level that goes to and fro is there all the same. */
    begin();
    for (int i = 0; i < 20; i++) {
        alarm_at(1 + i % 2);
        pass(10);
    }
    expect("30 cell_over_voltage began");
}

static void test_repeats(void **state)
{
    (void) state;
    begin();
    config.repeat_s = 1000;
    alarm_at(1);
    pass(2500);
    expect(
        "30 cell_over_voltage began, 1030 cell_over_voltage lasts, 2030 cell_over_voltage lasts");
    begin();
    config.repeat_s = 1000;
    for (int i = 0; i < 5; i++) {
        alarm_at(1);
        pass(100);
        alarm_at(0);
        pass(100);
    }
    /* Not again within the time, and what was not told has no end. */
    expect("30 cell_over_voltage began, 130 cell_over_voltage ended");
    alarm_at(1);
    pass(100);
    expect("30 cell_over_voltage began, 130 cell_over_voltage ended, 1030 cell_over_voltage began");
    /* What is worse is told within it, too. */
    begin();
    alarm_at(1);
    pass(100);
    alarm_at(0);
    pass(100);
    alarm_at(2);
    pass(100);
    expect("30 cell_over_voltage began, 130 cell_over_voltage ended, 230 cell_over_voltage began!");
}

static void test_thresholds(void **state)
{
    (void) state;
    begin();
    values.value[SOC_PERCENT] = 19.9;
    pass(100);
    values.value[SOC_PERCENT] = 24.9;
    pass(100);
    values.value[SOC_PERCENT] = NAN;
    pass(100);
    expect("30 soc_below began");
    values.value[SOC_PERCENT] = 25;
    pass(100);
    expect("30 soc_below began, 330 soc_below ended");
    begin();
    values.value[CELL_DELTA_MV] = 101;
    pass(100);
    values.value[CELL_DELTA_MV] = 81;
    pass(100);
    expect("30 cell_delta began");
    values.value[CELL_DELTA_MV] = 79;
    pass(100);
    expect("30 cell_delta began, 230 cell_delta ended");
    begin();
    config.events = 1u << NOTIFY_ALARM;
    values.value[SOC_PERCENT] = 3;
    pass(100);
    expect("");
}

static void test_silence(void **state)
{
    (void) state;
    begin();
    pass(10);
    alarm_at(1);
    pass(20);
    /* Nobody knows whether the alarm is still true: it has to hold anew. */
    fresh = false;
    silent = true;
    pass(100);
    fresh = true;
    silent = false;
    pass(29);
    expect("60 stale began");
    pass(10);
    expect("60 stale began, 160 cell_over_voltage began, 160 stale ended");
    /* Right after a start silence is not worth a word. */
    begin();
    fresh = false;
    pass(500);
    expect("");
}

static void test_full(void **state)
{
    (void) state;
    begin();
    values.value[SOC_PERCENT] = 100;
    pass(100);
    expect(""); /* it was full before */
    for (int i = 0; i < 2; i++) {
        values.value[SOC_PERCENT] = 99;
        pass(100);
        values.value[SOC_PERCENT] = 100;
        pass(100);
    }
    expect("230 full began");
    values.value[SOC_PERCENT] = 90;
    pass(86400 - at);
    values.value[SOC_PERCENT] = 100;
    pass(100);
    expect("230 full began, 86430 full began");
}

static void test_another_life(void **state)
{
    (void) state;
    char text[120];
    begin();
    alarm_at(1);
    pass(100);
    assert_true(events_note(&events.watches[CELL_OVER_VOLTAGE], at, START + at, config.repeat_s,
                            text, sizeof text));
    expect("30 cell_over_voltage began");
    /* The clock of the next life begins anew, as after a restart of the host. */
    begin();
    assert_true(events_take_note(&events.watches[CELL_OVER_VOLTAGE], text, 0, START + 1000));
    values.alarms_known = 0;
    pass(100);
    alarm_at(1);
    values.alarms_known = ~0u;
    pass(100);
    expect("");
    alarm_at(0);
    pass(100);
    expect("230 cell_over_voltage ended");
    assert_true(fabs(events.watches[CELL_OVER_VOLTAGE].began - START) < 2);
    /* A clock that went back does not silence it for longer than `repeat`. */
    begin();
    config.repeat_s = 1000;
    assert_true(events_take_note(&events.watches[CELL_OVER_VOLTAGE], text, 0, START - 1e6));
    alarm_at(1);
    pass(1100);
    expect("1000 cell_over_voltage lasts");
    assert_false(events_take_note(&events.watches[0], "3 9 x", 0, 0));
    assert_false(events_take_note(&events.watches[0], "", 0, 0));
}

/* ---- words ---- */

static void test_words(void **state)
{
    (void) state;
    setenv("TZ", "UTC", 1);
    tzset();
    begin();
    values.value[CELL_MAX_MV] = 3652;
    values.value[CELL_MAX_INDEX] = 7;
    values.value[CELL_MIN_MV] = 3312;
    values.value[CELL_MIN_INDEX] = 3;
    values.value[CELL_DELTA_MV] = 340;
    values.value[VOLTAGE_V] = 54.2;
    values.value[CURRENT_A] = 12.34;
    values.value[TEMP_C] = 21;
    values.value[TEMP_C + 1] = 51.5;
    const struct source source = {.name = "shed", .values = &values};
    static const struct {
        struct happening happening;
        bool fresh;
        const char *title, *text;
    } cases[] = {
        {{NOTIFY_ALARM, CELL_OVER_VOLTAGE, 2, PHASE_BEGAN, START, NAN},
         true,
         "shed: cell over voltage, protection",
         "Pack shed of gateway hut: cell over voltage, protection, since 08:26, highest cell 7 "
         "3.652 V, SOC 50.0 %, "
         "54.20 V, 12.3 A."},
        {{NOTIFY_ALARM, CELL_OVER_VOLTAGE, 1, PHASE_ENDED, START, 840},
         true,
         "shed: cell over voltage is over",
         "Pack shed of gateway hut: cell over voltage is over, it began at 08:26 and lasted 14 "
         "min, highest cell 7 3.652 V, "
         "SOC 50.0 %, 54.20 V, 12.3 A."},
        {{NOTIFY_ALARM, CHARGE_OVER_TEMPERATURE, 1, PHASE_LASTS, START - 2 * HOUR, NAN},
         true,
         "shed: still: charge over temperature, warning",
         "Pack shed of gateway hut: charge over temperature, warning, since 06:26, that is 2 h 1 "
         "min, sensor 2 51.5 °C, sensor 1 "
         "21.0 °C, SOC 50.0 %, 54.20 V, 12.3 A."},
        {{NOTIFY_CELL_DELTA, -1, 1, PHASE_BEGAN, START, NAN},
         true,
         "shed: cells differ by more than 100 mV",
         "Pack shed of gateway hut: cells differ by more than 100 mV, since 08:26, highest cell 7 "
         "3.652 V, lowest cell 3 3.312 V, "
         "difference 340 mV, SOC 50.0 %, 54.20 V, 12.3 A."},
        {{NOTIFY_STALE, -1, 1, PHASE_BEGAN, START - 86400, NAN},
         false,
         "shed: does not answer",
         "Pack shed of gateway hut: does not answer, since 2025-11-21 08:26, last known SOC 50.0 "
         "%."},
        {{NOTIFY_SOC_BELOW, -1, 1, PHASE_ENDED, NAN, NAN},
         true,
         "shed: state of charge is back above 20 %",
         "Pack shed of gateway hut: state of charge is back above 20 %, SOC 50.0 %, 54.20 V, 12.3 "
         "A."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message message;
        message_of(&message, &cases[i].happening, &source, &config, "hut", cases[i].fresh,
                   START + 60);
        assert_string_equal(message.title, cases[i].title);
        assert_string_equal(message.text, cases[i].text);
        assert_true(cases[i].fresh == (message.values != NULL));
        free(message.values);
    }
}

/* ---- delivery ---- */

static void add(struct delivery *delivery, const char *title, double now)
{
    struct message message = {.event = NOTIFY_ALARM, .alarm = -1, .time = START + now};
    snprintf(message.title, sizeof message.title, "%s", title);
    message.values = strdup("{}");
    delivery_add(delivery, &message, 0, 0, now);
}

static void test_tries(void **state)
{
    (void) state;
    struct delivery *delivery = malloc(sizeof *delivery);
    double now = 0, pause = 0;
    unsigned tries = 0;
    delivery_init(delivery, 20);
    add(delivery, "one", now);
    for (;;) {
        struct parcel *parcel = delivery_next(delivery, now);
        assert_non_null(parcel);
        tries++;
        if (!delivery_settle(delivery, parcel, OUTCOME_AGAIN, now, &pause))
            break;
        assert_null(delivery_next(delivery, now + pause - 1));
        now += pause;
    }
    assert_int_equal(tries, 5);
    assert_true(now == HOUR);
    assert_int_equal(delivery->count, 0);
    assert_int_equal(delivery->dropped, 1);
    /* What never will go well is not tried again. */
    add(delivery, "two", now);
    assert_false(
        delivery_settle(delivery, delivery_next(delivery, now), OUTCOME_REFUSED, now, &pause));
    /* A later one does not wait for one that is to be tried again. */
    add(delivery, "three", now);
    add(delivery, "four", now);
    assert_true(
        delivery_settle(delivery, delivery_next(delivery, now), OUTCOME_AGAIN, now, &pause));
    assert_string_equal(delivery_next(delivery, now)->message.title, "four");
    delivery_free(delivery);
    free(delivery);
}

static void test_flood(void **state)
{
    (void) state;
    struct delivery *delivery = malloc(sizeof *delivery);
    double pause;
    char title[20];
    unsigned sent = 0;
    delivery_init(delivery, 20);
    for (int i = 0; i < 100; i++) {
        snprintf(title, sizeof title, "n %d", i);
        add(delivery, title, i);
        while (delivery_next(delivery, i)) {
            delivery_settle(delivery, delivery_next(delivery, i), OUTCOME_SENT, i, &pause);
            sent++;
        }
        delivery_tell_held(delivery, "hut", i, START + i);
    }
    assert_int_equal(sent, 20);
    assert_int_equal(delivery->held, 80);
    delivery_tell_held(delivery, "hut", 3599, START + 3599);
    assert_null(delivery_next(delivery, 3599));
    delivery_tell_held(delivery, "hut", 3600, START + 3600);
    const struct parcel *parcel = delivery_next(delivery, 3600);
    assert_non_null(parcel);
    assert_string_equal(parcel->message.title, "80 more");
    assert_non_null(strstr(parcel->message.text, "n 99"));
    assert_null(strstr(parcel->message.text, "n 93"));
    assert_int_equal(delivery->held, 0);
    delivery_free(delivery);
    free(delivery);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_repeats),      cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_silence),      cmocka_unit_test(test_full),
        cmocka_unit_test(test_another_life), cmocka_unit_test(test_words),
        cmocka_unit_test(test_tries),        cmocka_unit_test(test_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
