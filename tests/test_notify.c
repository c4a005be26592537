// SPDX-License-Identifier: MIT
/* The pure parts of the outlet notify: which events are reported when, their texts, and how often
 * sending is tried. */
#include "outlets/notify/delivery.h"
#include "outlets/notify/events.h"
#include "outlets/notify/report.h"
#include "outlets/notify/request.h"
#include "outlets/notify/sun.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit.h"

#define START 1763800000.0 /* Unix seconds when the clock of a test is 0 */
#define HOUR 3600.0

static struct notify_config config;
static struct events events;
static struct pack values;
static bool fresh, silent;
static int32_t bms;
static double at; /* clock */
static char told[2000];
static double began, lasted; /* of the last event */

static void note(const struct happening *happening)
{
    static const char *const phases[] = {"began", "lasts", "ended"};
    char line[120];
    snprintf(line, sizeof line, "%s%.0f %s %s%s", told[0] ? ", " : "", at,
             happening->watch < WATCHES ? events_watch_name(happening->watch) : "full",
             phases[happening->phase], happening->level == 2 ? "!" : "");
    began = happening->began;
    lasted = happening->lasted_s;
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
    values.alarms_known = values.alarms_can_warn = values.alarms_can_protect = ~0u;
    values.value[SOC_PERCENT] = 50;
    values.value[CELL_DELTA_MV] = 10;
    fresh = true;
    silent = false;
    bms = 0;
    at = 0;
    told[0] = '\0';
}

/* The time passes, with an update each second. */
static double clock_by; /* s by which the time of day is wrong */

static void pass(double seconds)
{
    for (double end = at + seconds; at < end; at++) {
        const struct seen seen = {.fresh = fresh, .silent = silent, .values = &values, .bms = bms};
        struct happening happened[WATCHES + 1];
        const unsigned count = events_look(&events, &config, &seen, at, START + clock_by + at,
                                           20251122 + (int) (at / 86400), happened);
        for (unsigned i = 0; i < count; i++)
            note(&happened[i]);
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

/* Seconds pass, or something changes: "a2" is the level of the alarm, "s" the state of charge, "d" the difference of
 * cells, "f0" stale, "q1" silent for long enough, "r" `repeat`, "h" `hold`, "p" alarms of level 2 only, "e" alarms only. */
static void play(const char *script)
{
    char copy[400], *rest = copy, *word;
    snprintf(copy, sizeof copy, "%s", script);
    begin();
    while ((word = strsep(&rest, " "))) {
        const double number = strtod(word + (*word >= 'a'), NULL);
        switch (*word) {
        case 'a':
            alarm_at((int) number);
            break;
        case 's':
            values.value[SOC_PERCENT] = number;
            break;
        case 'd':
            values.value[CELL_DELTA_MV] = number;
            break;
        case 'f':
            fresh = number > 0;
            break;
        case 'q':
            silent = number > 0;
            break;
        case 'r':
            config.repeat_s = number;
            break;
        case 'h':
            config.hold_s = number;
            break;
        case 'p':
            config.protection = true;
            break;
        case 'e':
            config.events = 1u << NOTIFY_ALARM;
            break;
        default:
            pass(number);
        }
    }
}

#define TWICE(script) script " " script
#define ALARM "cell_over_voltage "

TEST(events)
{
    static const struct {
        const char *what, *script, *told;
    } cases[] = {
        {"too short, then long, with a short pause", "10 a1 29 a0 100 a1 100 a0 29 a1 100 a0 100",
         "169 " ALARM "began, 398 " ALARM "ended"},
        {"a rising level", "a1 40 a2 60 a1 60 a0 60",
         "30 " ALARM "began, 70 " ALARM "began!, 190 " ALARM "ended!"},
        {"one level only", "p a1 100 a2 100 a1 100", "130 " ALARM "began!, 230 " ALARM "ended!"},
        {"a changing level is one event", TWICE(TWICE(TWICE("a1 10 a2 10"))),
         "30 " ALARM "began, 50 " ALARM "began!"},
        {"an alarm that comes and goes", "10 " TWICE(TWICE(TWICE("a2 20 a0 20"))) " 100",
         "50 " ALARM "began!, 340 " ALARM "ended!"},
        {"it comes too rarely", TWICE(TWICE("a1 20 a0 30")), ""},
        {"a pack that answers now and then", "1 " TWICE(TWICE("f0 q1 20 f1 q0 20")) " 100",
         "41 stale began, 171 stale ended"},
        {"it lasts", "r1000 a1 2500",
         "30 " ALARM "began, 1030 " ALARM "lasts, 2030 " ALARM "lasts"},
        {"not repeated within the time; what was not reported has no end",
         "r1000 " TWICE(TWICE("a1 100 a0 100")) " a1 100 a0 100 a1 100",
         "30 " ALARM "began, 130 " ALARM "ended, 1030 " ALARM "began"},
        {"an escalation is", "a1 100 a0 100 a2 100",
         "30 " ALARM "began, 130 " ALARM "ended, 230 " ALARM "began!"},
        {"state of charge", "s19.9 100 s24.9 100 snan 100 s25 100",
         "30 soc_below began, 330 soc_below ended"},
        {"cells", "d101 100 d81 100 d79 100", "30 cell_delta began, 230 cell_delta ended"},
        {"not wanted", "e s3 100", ""},
        {"it must last no longer than an update takes", "h1 a1 10 a0 10",
         "1 " ALARM "began, 11 " ALARM "ended"},
        {"unknown while silent: the alarm must last again", "10 a1 20 f0 q1 100 f1 q0 39",
         "60 stale began, 160 " ALARM "began, 160 stale ended"},
        {"silent right after a start", "f0 500", ""},
        {"full: not if it was before, once a day",
         "s100 100 " TWICE("s99 100 s100 100") " s90 85900 s100 100",
         "230 full began, 86430 full began"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        play(cases[i].script);
        if (strcmp(told, cases[i].told) != 0)
            fail_msg("%s: told '%s', expected '%s'", cases[i].what, told, cases[i].told);
    }
}

/* A clock that was wrong by years at the beginning and is then set. */
TEST(follows_the_clock)
{
    static const double wrong[] = {-1e9, 3e8, 3600};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin();
        clock_by = wrong[i];
        pass(10);
        alarm_at(1);
        pass(40);
        expect("40 cell_over_voltage began");
        clock_by = 0;
        pass(50);
        alarm_at(0);
        pass(50);
        expect("40 cell_over_voltage began, 130 cell_over_voltage ended");
        assert_true(began == START + 10 && lasted == 90);
    }
}

/* Held back by `repeat` only: it began when it was first seen. */
TEST(begins_once)
{
    play("h0 r100 a1 10 a0 10 a1 100");
    expect("0 cell_over_voltage began, 10 cell_over_voltage ended, 100 cell_over_voltage began");
    assert_true(began == START + 20);
}

TEST(another_life)
{
    char text[120];
    begin();
    alarm_at(1);
    pass(100);
    assert_true(events_note(&events.watches[CELL_OVER_VOLTAGE], at, START + at, config.repeat_s,
                            text, sizeof text));
    expect("30 cell_over_voltage began");
    /* The clock of the next process starts at 0, as after a reboot. */
    begin();
    assert_true(events_take_note(&events, CELL_OVER_VOLTAGE, text, 0, START + 1000));
    values.alarms_known = values.alarms_can_warn = values.alarms_can_protect = 0;
    pass(100);
    alarm_at(1);
    values.alarms_known = values.alarms_can_warn = values.alarms_can_protect = ~0u;
    pass(100);
    expect("");
    alarm_at(0);
    pass(100);
    expect("230 cell_over_voltage ended");
    assert_true(fabs(events.watches[CELL_OVER_VOLTAGE].began - START) < 2);
    /* A clock that was set back does not suppress it for longer than `repeat`. */
    begin();
    config.repeat_s = 1000;
    assert_true(events_take_note(&events, CELL_OVER_VOLTAGE, text, 0, START - 1e6));
    alarm_at(1);
    pass(1100);
    expect("1000 cell_over_voltage lasts");
    assert_false(events_take_note(&events, 0, "3 9 x", 0, 0));
    assert_false(events_take_note(&events, 0, "", 0, 0));
}

/* What another BMS does not report ends, after the usual time, as soon as it was read completely. */
TEST(another_bms)
{
    begin();
    bms = 7;
    alarm_at(ALARM_PROTECTION);
    values.value[CELL_DELTA_MV] = 200;
    pass(40);
    bms = -8;
    pack_clear(&values);
    pass(60);
    bms = 8;
    pass(60);
    expect("30 cell_over_voltage began!, 30 cell_delta began, "
           "130 cell_over_voltage ended!, 130 cell_delta ended");
}

/* The same if the process restarts meanwhile: an alarm of this BMS that cannot be read then does not end. */
TEST(another_bms_in_another_life)
{
    char old[120], new[120];
    begin();
    bms = 7;
    alarm_at(ALARM_PROTECTION);
    pass(40);
    bms = -8;
    pack_clear(&values);
    pack_alarm_at(&values, SOC_LOW, ALARM_WARNING, true);
    pass(40);
    bms = 8;
    pass(10);
    expect("30 cell_over_voltage began!, 70 soc_low began");
    events_note(&events.watches[CELL_OVER_VOLTAGE], at, START + at, HOUR, old, sizeof old);
    events_note(&events.watches[SOC_LOW], at, START + at, HOUR, new, sizeof new);
    for (int order = 0; order <= 1; order++) {
        begin();
        events_take_note(&events, order ? SOC_LOW : CELL_OVER_VOLTAGE, order ? new : old, 0,
                         START + 90);
        events_take_note(&events, order ? CELL_OVER_VOLTAGE : SOC_LOW, order ? old : new, 0,
                         START + 90);
        pack_clear(&values);
        bms = -8;
        pass(40);
        bms = 8;
        pass(60);
        expect("70 cell_over_voltage ended!");
    }
}

TEST(words)
{
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
    const struct source source = {.name = "shed", .title = "Küche", .values = &values};
    static const struct {
        struct happening happening;
        bool fresh;
        const char *title, *text;
    } cases[] = {
        {{NOTIFY_ALARM, CELL_OVER_VOLTAGE, 2, PHASE_BEGAN, START, NAN, 0},
         true,
         "Küche: cell over voltage, protection",
         "Pack Küche of gateway hut: cell over voltage, protection, since 08:26, highest cell 7 "
         "3.652 V, SOC 50.0 %, "
         "54.20 V, 12.3 A."},
        {{NOTIFY_ALARM, CELL_OVER_VOLTAGE, 1, PHASE_ENDED, START, 840, 0},
         true,
         "Küche: cell over voltage is over",
         "Pack Küche of gateway hut: cell over voltage is over, it began at 08:26 and lasted 14 "
         "min, highest cell 7 3.652 V, "
         "SOC 50.0 %, 54.20 V, 12.3 A."},
        {{NOTIFY_ALARM, CHARGE_OVER_TEMPERATURE, 1, PHASE_LASTS, START - 2 * HOUR, NAN, 0},
         true,
         "Küche: still: charge over temperature, warning",
         "Pack Küche of gateway hut: charge over temperature, warning, since 06:26, that is 2 h 1 "
         "min, sensor 2 51.5 °C, sensor 1 "
         "21.0 °C, SOC 50.0 %, 54.20 V, 12.3 A."},
        {{NOTIFY_CELL_DELTA, -1, 1, PHASE_BEGAN, START, NAN, 0},
         true,
         "Küche: cells differ by more than 100 mV",
         "Pack Küche of gateway hut: cells differ by more than 100 mV, since 08:26, highest cell 7 "
         "3.652 V, lowest cell 3 3.312 V, "
         "difference 340 mV, SOC 50.0 %, 54.20 V, 12.3 A."},
        {{NOTIFY_STALE, -1, 1, PHASE_BEGAN, START - 86400, NAN, 0},
         false,
         "Küche: does not answer",
         "Pack Küche of gateway hut: does not answer, since 2025-11-21 08:26, last known SOC 50.0 "
         "%."},
        {{NOTIFY_SOC_BELOW, -1, 1, PHASE_ENDED, NAN, NAN, 0},
         true,
         "Küche: state of charge is back above 20 %",
         "Pack Küche of gateway hut: state of charge is back above 20 %, SOC 50.0 %, 54.20 V, 12.3 "
         "A."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message message;
        message_of(&message, &cases[i].happening, &source, &config, "hut", cases[i].fresh,
                   START + 60);
        assert_string_equal(message.pack, "shed"); /* the id, for programs */
        assert_string_equal(message.title, cases[i].title);
        assert_string_equal(message.text, cases[i].text);
        assert_true(cases[i].fresh == (message.values != NULL));
        free(message.values);
    }
}

/* A pack that does not answer can be ordered to switch: its old values are not those of that moment. What was confirmed
 * is in the values before the next poll has read it. */
TEST(switched)
{
    static const struct {
        const char *title;
        struct order_report report;
        bool fresh;
        double charge_mos;
    } cases[] = {
        {"shed: charge off by mqtt: done", {{.wanted = {true}}, "mqtt", ORDER_DONE}, true, 0},
        {"shed: charge off by mqtt: refused", {{.wanted = {true}}, "mqtt", ORDER_REFUSED}, true, 1},
        {"shed: charge off by mqtt: not done",
         {{.wanted = {true}}, "mqtt", ORDER_UNANSWERED},
         false,
         NAN},
        {"shed: discharge off by web: done",
         {{.wanted = {false, true}}, "web", ORDER_DONE},
         true,
         1},
        {"shed: soc_percent 80 by web: done",
         {{.sets = true, .setting = SOC_PERCENT, .value = 80, .before = NAN}, "web", ORDER_DONE},
         true,
         1},
    };
    begin();
    const struct source source = {.name = "shed", .title = "shed", .values = &values};
    pack_set(&values, CHARGE_MOS, 1);
    pack_set(&values, DISCHARGE_MOS, 1);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message message;
        message_switched(&message, &source, &cases[i].report, "hut", cases[i].fresh, START);
        assert_string_equal(message.title, cases[i].title);
        json_t *said = message.values ? json_loads(message.values, 0, NULL) : NULL;
        assert_true(cases[i].fresh == (said != NULL));
        if (said) {
            const struct switches *ordered = &cases[i].report.ordered;
            assert_true(json_number_value(json_object_get(said, "charge_mos")) ==
                        cases[i].charge_mos);
            assert_true(json_number_value(json_object_get(said, "discharge_mos")) ==
                        !ordered->wanted[BMS_DISCHARGE_MOS]);
            assert_true(!ordered->sets ||
                        json_number_value(json_object_get(said, "soc_percent")) == 80);
        }
        json_decref(said);
        free(message.values);
    }
    assert_true(values.value[CHARGE_MOS] == 1); /* the pack's own values stay as they were read */
}

static void add_about(struct delivery *delivery, const char *title, unsigned watch, double now)
{
    struct message message = {.event = NOTIFY_ALARM, .alarm = -1, .time = START + now};
    snprintf(message.title, sizeof message.title, "%s", title);
    message.values = strdup("{}");
    delivery_add(delivery, &message, 0, watch, now);
}

static void add(struct delivery *delivery, const char *title, double now)
{
    add_about(delivery, title, 0, now);
}

TEST(tries)
{
    static struct delivery room;
    struct delivery *delivery = &room;
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
    /* Permanent failures are not retried. */
    add(delivery, "two", now);
    assert_false(
        delivery_settle(delivery, delivery_next(delivery, now), OUTCOME_REFUSED, now, &pause));
    /* A later message does not wait for one that will be retried. */
    add(delivery, "three", now);
    add(delivery, "four", now);
    assert_true(
        delivery_settle(delivery, delivery_next(delivery, now), OUTCOME_AGAIN, now, &pause));
    assert_string_equal(delivery_next(delivery, now)->message.title, "four");
}

/* An alarm whose beginning arrives after its end would look as if it were active. */
TEST(overtaken)
{
    static struct delivery room;
    struct delivery *delivery = &room;
    double pause;
    delivery_init(delivery, 20);
    add_about(delivery, "begins", CELL_OVER_VOLTAGE, 0);
    add_about(delivery, "of another alarm", SOC_LOW, 0);
    add_about(delivery, "report of the pack", WATCHES, 0);
    for (int i = 0; i < 3; i++)
        delivery_settle(delivery, delivery_next(delivery, 0), OUTCOME_AGAIN, 0, &pause);
    add_about(delivery, "ends", CELL_OVER_VOLTAGE, 1);
    add_about(delivery, "is full", WATCHES, 1);
    for (int i = 0; i < 2; i++)
        delivery_settle(delivery, delivery_next(delivery, 1), OUTCOME_SENT, 1, &pause);
    assert_int_equal(delivery->sent, 2);
    assert_int_equal(delivery->dropped, 1);
    assert_int_equal(delivery->count, 2);
    assert_string_equal(delivery_next(delivery, HOUR)->message.title, "of another alarm");
}

/* A name that only looks like an address of this host would get mail unencrypted. */
TEST(knows_this_host)
{
    static const struct {
        const char *url;
        bool own;
    } cases[] = {{"smtp://127.0.0.1", true},
                 {"smtp://127.1.2.3:2525", true},
                 {"smtp://[::1]:25", true},
                 {"smtp://localhost", true},
                 {"smtp://LOCALHOST:25/x", true},
                 {"smtp://127.example.net", false},
                 {"smtp://localhost.test", false},
                 {"smtp://127.0.0.1@example.net", false},
                 {"smtp://[::12]", false},
                 {"smtp://192.0.2.1", false},
                 {"smtp://[::ffff:127.0.0.1]", true},
                 {"smtp://[::ffff:192.0.2.1]", false},
                 {"smtp://localhost.:25", true},
                 {"smtp://127.0.0.1.example.net", false},
                 {"smtp://mail.example.net", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (request_stays_here(cases[i].url) != cases[i].own)
            fail_msg("%s is %staken for this host", cases[i].url, cases[i].own ? "not " : "");
}

/* Whatever characters title and text contain, each part of a mail is accepted by all servers: seven bits, short
 * lines, whole characters in each encoded word, nothing that is lost at the end of a line. */
TEST(mail_is_seven_bits)
{
    const struct notify_config mail = {
        .type = NOTIFY_MAIL, .from = "hut@example.net", .to = "a@example.net, b@example.net"};
    const struct secrets secrets = {.url = "smtp://127.0.0.1"};
    struct message message = {.event = NOTIFY_ALARM, .alarm = -1, .time = START};
    struct request request, again;
    struct transfer transfer = {.easy = curl_easy_init()};
    for (int i = 0; i < 30; i++)
        strcat(message.title, i % 2 ? "\303\234" : "\342\202\254");
    for (int i = 0; i < 60; i++)
        strcat(message.text, "3 = 4 \302\260C ");
    strcat(message.text, "\nend ");
    assert_true(request_set(&request, &transfer, &mail, &secrets, &message, "hut", ""));
    static char sent[20000];
    assert_int_equal(fread(sent, 1, sizeof sent, request.mail), strlen(request.body));
    assert_memory_equal(sent, request.body, strlen(request.body));
    size_t column = 0;
    for (const char *c = request.body; *c; c++) {
        assert_true((*c >= 0x20 && *c < 0x7F) || *c == '\r' || *c == '\n');
        assert_false(*c == ' ' && c[1] == '\r');
        column = *c == '\n' ? 0 : column + 1;
        assert_true(column <= 78);
    }
    assert_non_null(strstr(request.body, "\r\nSubject: =?UTF-8?B?4oKsw5zigqzDnOKCrMOc"));
    assert_non_null(strstr(request.body, "?=\r\n =?UTF-8?B?"));
    assert_non_null(strstr(request.body, "\r\n\r\n3 =3D 4 =C2=B0C 3 =3D 4 "));
    assert_non_null(strstr(request.body, "=\r\n"));
    assert_non_null(strstr(request.body, "\r\nend=20\r\n\r\n--=20\r\npackgate on hut\r\n"));
    /* Retries have the same Message-ID. */
    assert_true(request_set(&again, &transfer, &mail, &secrets, &message, "hut", ""));
    assert_string_equal(again.body, request.body);
    request_clear(&request);
    request_clear(&again);
    curl_easy_cleanup(transfer.easy);
}

TEST(flood)
{
    static struct delivery room;
    struct delivery *delivery = &room;
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
}

static double utc(int day, int hour, int minute)
{
    struct tm moment = {.tm_year = day / 10000 - 1900,
                        .tm_mon = day / 100 % 100 - 1,
                        .tm_mday = day % 100,
                        .tm_hour = hour,
                        .tm_min = minute};
    return (double) timegm(&moment);
}

/* Almanac values to the minute, in local time `ahead_h` of UTC: Wayne is the worked example of the Almanac for Computers
 * (1990), the others are as almanacs publish them for these cities. */
TEST(sun)
{
    static const struct {
        const char *place;
        double latitude, longitude, ahead_h;
        int day, rises, sets; /* hhmm; -1: not checked */
    } cases[] = {
        {"Wayne", 40.9, -74.3, -4, 19900625, 526, -1},
        {"London", 51.5074, -0.1278, 1, 20240620, 443, 2121},
        {"London", 51.5074, -0.1278, 0, 20241221, 804, 1553},
        {"New York", 40.7128, -74.0060, -4, 20240620, 525, 2031},
        {"New York", 40.7128, -74.0060, -5, 20241221, 717, 1632},
        {"Sydney", -33.8688, 151.2093, 10, 20240621, 700, 1654},
        {"Sydney", -33.8688, 151.2093, 11, 20241221, 541, 2005},
        {"Singapore", 1.3521, 103.8198, 8, 20240320, 709, 1915},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double noon = utc(cases[i].day, 12, 0) - cases[i].ahead_h * HOUR;
        const double midnight = noon - 12 * HOUR;
        const double rises =
            (sun_crosses(SUN_RISES, noon, cases[i].latitude, cases[i].longitude) - midnight) / 60;
        const double sets =
            (sun_crosses(SUN_SETS, noon, cases[i].latitude, cases[i].longitude) - midnight) / 60;
        if (fabs(rises - (cases[i].rises / 100 * 60 + cases[i].rises % 100)) > 1.5)
            fail_msg("%s %d rises at %02.0f:%04.1f", cases[i].place, cases[i].day,
                     floor(rises / 60), fmod(rises, 60));
        if (cases[i].sets >= 0 &&
            fabs(sets - (cases[i].sets / 100 * 60 + cases[i].sets % 100)) > 1.5)
            fail_msg("%s %d sets at %02.0f:%04.1f", cases[i].place, cases[i].day, floor(sets / 60),
                     fmod(sets, 60));
    }
    /* Tromso: the midnight sun and the polar night. */
    assert_true(isnan(sun_crosses(SUN_RISES, utc(20240621, 11, 0), 69.65, 18.96)) != 0);
    assert_true(isnan(sun_crosses(SUN_SETS, utc(20241221, 11, 0), 69.65, 18.96)) != 0);
    assert_true(sun_crosses(SUN_SETS, utc(20240320, 11, 0), 69.65, 18.96) > 0);
    assert_true(isnan(sun_crosses(SUN_SETS, utc(20240620, 11, 0), 90, 0)) != 0);
    assert_true(isnan(sun_crosses(SUN_SETS, utc(20240620, 11, 0), NAN, NAN)) != 0);
}

TEST(due)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    begin();
    config.latitude = 45.6758;
    config.longitude = 9.1650;
    config.reports.count = 4;
    config.reports.at[0].when = NOTIFY_AT_TIME;
    config.reports.at[0].minute = 450;
    config.reports.at[1].when = NOTIFY_AT_SUNSET;
    config.reports.at[2].when = NOTIFY_AT_FULL;
    config.reports.at[3].when = NOTIFY_AT_SUNRISE;
    const double winter = utc(20251122, 3, 0), summer = utc(20250701, 22, 30);
    char name[16];
    assert_true(report_due(&config, 0, winter) == utc(20251122, 6, 30));
    assert_true(report_due(&config, 0, summer) ==
                utc(20250702, 5, 30)); /* there it is the next day */
    assert_true(fabs(report_due(&config, 1, winter) - utc(20251122, 15, 46)) < 300);
    assert_true(isnan(report_due(&config, 2, winter)) != 0);
    report_name(&config.reports, 0, name, sizeof name);
    assert_string_equal(name, "07:30");
    /* Where the sun does not set, the report is sent at noon. */
    config.latitude = 75;
    assert_true(report_due(&config, 1, summer) == utc(20250702, 10, 0));
    setenv("TZ", "UTC", 1);
    tzset();
}

TEST(report)
{
    setenv("TZ", "UTC", 1);
    tzset();
    begin();
    values.value[SOC_PERCENT] = 88;
    values.value[VOLTAGE_V] = 53.12;
    values.value[CURRENT_A] = -12.5;
    values.value[POWER_W] = -664;
    values.value[REMAINING_AH] = 246.4;
    values.value[CELL_MIN_MV] = 3312;
    values.value[CELL_MIN_INDEX] = 3;
    values.value[CELL_MAX_MV] = 3322;
    values.value[CELL_MAX_INDEX] = 7;
    values.value[CELL_AVG_MV] = 3317;
    values.value[TEMP_C] = 21.25;
    values.value[MOS_TEMP_C] = 30;
    struct source source = {.name = "shed", .title = "Küche", .values = &values};
    source.status =
        (struct map_status){.peak = {97, 14, 10}, .charged_wh = NAN, .discharged_wh = NAN};
    struct tally tally = {0}, copy = {0};
    char line[120], out[2000];
    const double midnight = utc(20251122, 0, 0);
    tally_look(&tally, &source, false, 20251122, 1, midnight + 10);
    source.status.charged_wh = 100000;
    source.status.discharged_wh = 90000;
    for (int i = 0; i < 600; i++)
        tally_look(&tally, &source, false, 20251122, 1, midnight + 11 + i);
    values.alarms_warning = (uint32_t) 1 << SOC_LOW;
    tally_look(&tally, &source, true, 20251122, 1, midnight + 700);
    values.alarms_warning = 0;
    source.status.charged_wh = 104250;
    source.status.discharged_wh = 93120;
    tally_look(&tally, &source, true, 20251122, 1, midnight + 40000);
    tally_note(&tally, line, sizeof line);
    assert_true(tally_take_note(&copy, line));
    struct text text = text_in(out, sizeof out);
    report_pack(&text, &source, &copy, true, midnight + 40000);
    assert_string_equal(out,
                        "Küche: SOC 88.0 %, highest today 97 % at 14:10. Discharging, 53.12 V, "
                        "-12.5 A, -664 W, 246.4 Ah left.\n"
                        "Energy in 4.25 kWh, out 3.12 kWh today.\n"
                        "Cells: lowest 3312 mV (cell 3), highest 3322 mV (cell 7), average "
                        "3317 mV, difference 10 mV.\n"
                        "Temperatures: 21.2, MOS 30.0 °C.\nAlarms now: none.\nAlarms today: "
                        "soc low.\nWithout data: 10 min.\n");
    text = text_in(out, sizeof out);
    report_pack(&text, &source, &tally, false, midnight + 40000);
    assert_string_equal(
        out,
        "Küche: does not answer.\nEnergy in 4.25 kWh, out 3.12 kWh today.\nAlarms today: soc low.\n"
        "Without data: 10 min.\n");
    /* A new day begins without values; if it was begun late, the report says since when. */
    tally_look(&tally, &source, true, 20251123, 1, midnight + 86400 + 8 * HOUR);
    source.status.charged_wh += 500;
    text = text_in(out, sizeof out);
    report_pack(&text, &source, &tally, true, midnight + 86400 + 9 * HOUR);
    assert_non_null(strstr(out, "Energy in 0.50 kWh, out 0.00 kWh since 08:00.\n"));
    assert_non_null(strstr(out, "Alarms today: none.\nWithout data: 0 s.\n"));
    assert_false(tally_take_note(&copy, "nonsense"));
}
