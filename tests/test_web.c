// SPDX-License-Identifier: MIT
/* The parts of the web outlet that need no server: the checks of a request, rows in memory. */
#include "outlets/web/guard.h"
#include "outlets/web/past.h"

#include "base/address.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "pack_test.h"

static struct web_config config;
static const struct guard guard = {
    .config = &config, .hostname = "shed.home.example", .ports = {8080, 8081}, .port_count = 2};

static bool knows(const char *text)
{
    struct endpoint host;
    return guard_host_parse(text, &host) && guard_knows(&guard, &host);
}

TEST(names)
{
    static const struct {
        const char *host;
        bool known;
    } cases[] = {
        {"127.0.0.1:8080", true},
        {"192.0.2.7:8081", true},
        {"[::1]:8080", true},
        {"[2001:db8::7]:8080", true},
        {"localhost:8080", true},
        {"LOCALHOST:8080", true},
        {"localhost.:8080", true},
        {"shed:8080", true},
        {"Shed.Local:8080", true},
        {"shed.local.:8080", true},
        {"shed.home.example:8080", true},
        {"battery.example.net:8080", true},
        {"127.0.0.1", false}, /* port 80 is not ours */
        {"127.0.0.1:80", false},
        {"localhost:9090", false},
        {"evil.example:8080", false},
        {"shed.evil.example:8080", false},
        {"shedd:8080", false},
        {"she:8080", false},
        {"localhost.evil.example:8080", false},
        {"127.0.0.1.evil.example:8080", false},
        {"xbattery.example.net:8080", false},
        {"", false},
        {":8080", false},
        {"localhost:", false},
        {"localhost:0", false},
        {"localhost:99999", false},
        {"localhost:8080:8080", false},
        {"local host:8080", false},
        {"user@localhost:8080", false},
        {"localhost/:8080", false},
        {"[::1:8080", false},
        {"[::1]8080", false},
        {"[localhost]:8080", false},
        {"0x7f.1:8080", false},
        {"2130706433:8080", false},
    };
    config = (struct web_config){.hosts = {.at = {"battery.example.net"}, .count = 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (knows(cases[i].host) != cases[i].known)
            fail_msg("'%s' should be %s", cases[i].host, cases[i].known ? "known" : "refused");
}

/* A proxy passes on its own port. */
TEST(names_behind_a_proxy)
{
    config = (struct web_config){.hosts = {.at = {"battery.example.net"}, .count = 1}};
    allow_add(&config.proxy, "127.0.0.1");
    assert_true(knows("battery.example.net"));
    assert_true(knows("battery.example.net:8443"));
    assert_false(knows("evil.example"));
}

TEST(any_name)
{
    config = (struct web_config){.hosts = {.any = true}};
    assert_true(knows("evil.example"));
    assert_true(knows("homeassistant.local:8123"));
}

TEST(names_with_a_certificate)
{
    struct guard own = guard;
    struct endpoint host;
    config = (struct web_config){.tls_cert = "/a", .tls_key = "/b"};
    own.ports[0] = 443;
    own.port_count = 1;
    assert_true(guard_host_parse("localhost", &host));
    assert_true(guard_knows(&own, &host));
    assert_true(guard_host_parse("localhost:80", &host));
    assert_false(guard_knows(&own, &host));
}

TEST(origins)
{
    static const struct {
        const char *host, *origin;
        bool same;
    } cases[] = {
        {"shed:8080", "http://shed:8080", true},
        {"shed:8080", "http://SHED:8080", true},
        {"shed:8080", "https://shed:8080", true},
        {"shed", "http://shed", true},
        {"shed", "https://shed", true},
        {"shed:443", "https://shed", true},
        {"[::1]:8080", "http://[::1]:8080", true},
        {"shed:8080", "http://shed", false},
        {"shed:8080", "http://shed:8081", false},
        {"shed:8080", "http://evil.example:8080", false},
        {"shed:8080", "null", false},
        {"shed:8080", "", false},
        {"shed:8080", "shed:8080", false},
        {"shed:8080", "ftp://shed:8080", false},
        {"shed:8080", "http://shed:8080/x", false},
        {"shed:8080", "http://shed:8080@evil.example", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint host;
        assert_true(guard_host_parse(cases[i].host, &host));
        if (guard_same_page(cases[i].origin, &host) != cases[i].same)
            fail_msg("'%s' of '%s' should be %s", cases[i].origin, cases[i].host,
                     cases[i].same ? "the same" : "another");
    }
}

TEST(forwarded)
{
    static const struct {
        const char *list, *client; /* NULL: none */
    } cases[] = {
        {"192.0.2.7", "192.0.2.7"},
        {"10.0.0.1, 192.0.2.7", "192.0.2.7"}, /* what stands in front is what the client says */
        {"evil, 192.0.2.7 ", "192.0.2.7"},
        {"2001:db8::7", "2001:db8::7"},
        {"\"[2001:db8::7]\"", "2001:db8::7"},
        {"192.0.2.7, ", NULL},
        {"", NULL},
        {"unknown", NULL},
        {"192.0.2.7, _hidden", NULL},
        {"192.0.2.7:4711", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_storage client;
        char text[ADDRESS_TEXT];
        const bool found = guard_forwarded(cases[i].list, &client);
        if (found != (cases[i].client != NULL))
            fail_msg("'%s' should have %s", cases[i].list, cases[i].client ? "a client" : "none");
        if (found)
            assert_string_equal(address_format_host((struct sockaddr *) &client, text),
                                cases[i].client);
    }
}

TEST(prefixes)
{
    assert_true(guard_prefix("/"));
    assert_true(guard_prefix("/api/hassio_ingress/a-b_c"));
    assert_false(guard_prefix(""));
    assert_false(guard_prefix("battery"));
    assert_false(guard_prefix("/a;Domain=evil.example"));
    assert_false(guard_prefix("/a b"));
}

TEST(paths)
{
    assert_true(guard_path(""));
    assert_true(guard_path("api/v1/packs/shed%20%E2%82%AC"));
    assert_false(guard_path("healthz%00"));
    assert_false(guard_path("healthz%00.html"));
    assert_false(guard_path("a\tb"));
    assert_false(guard_path("a\x7f"));
}

TEST(sessions)
{
    struct sessions sessions = {0};
    char first[SESSION_TOKEN], token[SESSION_TOKEN];
    assert_true(session_begin(&sessions, 100, first));
    assert_int_equal(strlen(first), 64);
    assert_true(session_left(&sessions, first, 100, false) > 0);
    assert_false(session_left(&sessions, "", 100, false) > 0);
    assert_false(session_left(&sessions, "0", 100, false) > 0);
    /* It expires half an hour after its last use, however often it is checked. */
    assert_true(session_left(&sessions, first, 1899, false) > 0);
    assert_false(session_left(&sessions, first, 1901, false) > 0);
    assert_true(session_left(&sessions, first, 1000, true) > 0);
    assert_true(session_left(&sessions, first, 2799, false) > 0);
    session_end(&sessions, first);
    assert_false(session_left(&sessions, first, 1000, false) > 0);
    /* If all places are taken, the longest idle session is replaced. */
    for (int i = 0; i < SESSIONS_MAX; i++)
        assert_true(session_begin(&sessions, 3000 + i, i == 0 ? first : token));
    assert_true(session_left(&sessions, first, 3020, true) > 0);
    assert_true(session_begin(&sessions, 3030, token));
    assert_true(session_left(&sessions, first, 3030, false) > 0);
    assert_true(session_left(&sessions, token, 3030, false) > 0);
    struct sessions none = {0};
    assert_false(session_left(&none, "", 0, false) > 0);
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage found;
    assert_true(guard_forwarded(text, &found));
    return found;
}

static double waits(const struct tries *tries, const char *from, double now)
{
    const struct sockaddr_storage client = address(from);
    return tries_wait(tries, (const struct sockaddr *) &client, now);
}

static void try(struct tries *tries, const char *from, double now)
{
    const struct sockaddr_storage client = address(from);
    tries_begin(tries, (const struct sockaddr *) &client, now);
}

TEST(tries)
{
    struct tries tries = {0};
    for (int i = 0; i < TRIES_OF_ONE; i++) {
        assert_float_equal(waits(&tries, "192.0.2.7", 100 + i), 0, 0);
        try(&tries, "192.0.2.7", 100 + i);
    }
    assert_float_equal(waits(&tries, "192.0.2.7", 105), 55, 1e-9);
    assert_float_equal(waits(&tries, "::ffff:192.0.2.7", 105), 55, 1e-9);
    assert_float_equal(waits(&tries, "192.0.2.8", 105), 0, 0);
    assert_float_equal(waits(&tries, "192.0.2.7", 160), 0, 0);
    /* A right password does not count. */
    const struct sockaddr_storage client = address("192.0.2.7");
    tries_forgive(&tries, (const struct sockaddr *) &client);
    assert_float_equal(waits(&tries, "192.0.2.7", 105), 0, 0);
    /* An IPv6 network counts as one client. */
    char text[40];
    for (int i = 0; i < TRIES_OF_ONE; i++) {
        snprintf(text, sizeof text, "2001:db8::%d", i + 1);
        try(&tries, text, 106);
    }
    assert_true(waits(&tries, "2001:db8::ffff", 107) > 0);
    assert_float_equal(waits(&tries, "2001:db8:0:1::1", 107), 0, 0);
    /* All clients together. */
    for (int i = 0; i < TRIES_OF_ALL; i++) {
        snprintf(text, sizeof text, "198.51.100.%d", i);
        try(&tries, text, 200);
    }
    assert_float_equal(waits(&tries, "203.0.113.1", 201), 59, 1e-9);
    assert_float_equal(waits(&tries, "203.0.113.1", 260), 0, 0);
}

/* Yesterday had 23 hours: its rows in memory are not of today, and what was not recorded of today is known. */
TEST(day_after_summer_time)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    const int64_t midnight = 1774821600; /* 2026-03-30, the day before had 23 hours */
    const struct map_status status = {.charged_wh = NAN, .discharged_wh = NAN};
    static struct past *past;
    past = past_new(EV_DEFAULT, 1, "none", 600);
    assert_int_equal(history_start(LEVEL_DAY, midnight), midnight);
    assert_int_equal(history_start(LEVEL_DAY, midnight - 1), midnight - 23 * 3600);
    struct pack values = cleared_pack();
    pack_set(&values, SOC_PERCENT, 90);
    past_add(past, 0, &values, &status, (double) midnight - 20);
    past_add(past, 0, NULL, &status, (double) midnight);
    pack_set(&values, SOC_PERCENT, 50);
    for (int s = 600; s < 660; s += 10)
        past_add(past, 0, &values, &status, (double) midnight + s);
    struct recent_reader rows;
    const struct query_ask ask = {
        .pack = "shed", .level = LEVEL_DAY, .from = midnight, .to = midnight + 660};
    past_begin(&rows, past, 0, NULL, &ask);
    const struct history_row *day = recent_next(&rows);
    assert_non_null(day);
    assert_int_equal(day->from, midnight);
    assert_int_equal(day->max[ROW_SOC], 500);
    assert_in_range(day->fresh_s, 50, 60);
    assert_null(recent_next(&rows));
    assert_false(rows.failed);
}
