// SPDX-License-Identifier: MIT
/* The parts of the web outlet that need no server: what a request has to look like. */
#include "outlets/web/guard.h"

#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct web_config config;
static const struct guard guard = {
    .config = &config, .hostname = "shed.home.example", .ports = {8080, 8081}, .port_count = 2};

static bool knows(const char *text)
{
    struct guard_host host;
    return guard_host_parse(text, &host) && guard_knows(&guard, &host);
}

static void test_names(void **state)
{
    (void) state;
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

/* A proxy passes on the port of its own. */
static void test_names_behind_a_proxy(void **state)
{
    (void) state;
    config = (struct web_config){.hosts = {.at = {"battery.example.net"}, .count = 1}};
    allow_add(&config.proxy, "127.0.0.1");
    assert_true(knows("battery.example.net"));
    assert_true(knows("battery.example.net:8443"));
    assert_false(knows("evil.example"));
}

static void test_names_with_a_certificate(void **state)
{
    (void) state;
    struct guard own = guard;
    struct guard_host host;
    config = (struct web_config){.tls_cert = "/a", .tls_key = "/b"};
    own.ports[0] = 443;
    own.port_count = 1;
    assert_true(guard_host_parse("localhost", &host));
    assert_true(guard_knows(&own, &host));
    assert_true(guard_host_parse("localhost:80", &host));
    assert_false(guard_knows(&own, &host));
}

static void test_origins(void **state)
{
    (void) state;
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
        struct guard_host host;
        assert_true(guard_host_parse(cases[i].host, &host));
        if (guard_same_page(cases[i].origin, &host) != cases[i].same)
            fail_msg("'%s' of '%s' should be %s", cases[i].origin, cases[i].host,
                     cases[i].same ? "the same" : "another");
    }
}

static void test_forwarded(void **state)
{
    (void) state;
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

static void test_prefixes(void **state)
{
    (void) state;
    assert_true(guard_prefix("/"));
    assert_true(guard_prefix("/api/hassio_ingress/a-b_c"));
    assert_false(guard_prefix(""));
    assert_false(guard_prefix("battery"));
    assert_false(guard_prefix("/a;Domain=evil.example"));
    assert_false(guard_prefix("/a b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_behind_a_proxy),
        cmocka_unit_test(test_names_with_a_certificate),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
