// SPDX-License-Identifier: MIT
/* The allow list and the decision on requests. */
#include "modbus/switches.h"
#include "bms/count.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "unit.h"

static struct sockaddr_storage client_at(const char *text)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        memcpy(&address, &four, sizeof four);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
        memcpy(&address, &six, sizeof six);
    }
    return address;
}

static bool contains(const struct allow_list *list, const char *client)
{
    const struct sockaddr_storage address = client_at(client);
    return allow_contains(list, (const struct sockaddr *) &address);
}

// clang-format off
static const struct {
    const char *network, *client;
    bool inside;
} memberships[] = {
    {"10.0.0.0/8",           "10.0.0.0",               true},
    {"10.0.0.0/8",           "10.255.255.255",         true},
    {"10.0.0.0/8",           "9.255.255.255",          false},
    {"10.0.0.0/8",           "11.0.0.0",               false},
    {"172.16.0.0/12",        "172.16.0.1",             true},
    {"172.16.0.0/12",        "172.31.255.255",         true},
    {"172.16.0.0/12",        "172.32.0.0",             false},
    {"172.16.0.0/12",        "172.15.255.255",         false},
    {"192.168.1.0/25",       "192.168.1.127",          true},
    {"192.168.1.0/25",       "192.168.1.128",          false},
    {"192.168.1.7",          "192.168.1.7",            true},
    {"192.168.1.7",          "192.168.1.6",            false},
    {"192.168.1.7/32",       "192.168.1.7",            true},
    {"192.168.1.6/31",       "192.168.1.7",            true},
    {"192.168.1.6/31",       "192.168.1.8",            false},
    {"192.168.1.99/24",      "192.168.1.1",            true},   /* bits behind the prefix do not matter */
    {"0.0.0.0/0",            "203.0.113.9",            true},
    {"0.0.0.0/0",            "2001:db8::1",            false},
    {"127.0.0.0/8",          "::1",                    false},
    {"::1/128",              "::1",                    true},
    {"::1",                  "::1",                    true},
    {"::1",                  "::2",                    false},
    {"fe80::/10",            "fe80::1234",             true},
    {"fe80::/10",            "febf::1",                true},
    {"fe80::/10",            "fec0::1",                false},
    {"fc00::/7",             "fd12:3456::1",           true},
    {"fc00::/7",             "fe00::1",                false},
    {"2001:db8::/33",        "2001:db8:7fff::1",       true},
    {"2001:db8::/33",        "2001:db8:8000::1",       false},
    {"::/0",                 "2001:db8::1",            true},
    {"::/0",                 "203.0.113.9",            false},  /* IPv4 wants a network of its own */
    {"10.0.0.0/8",           "::ffff:10.1.2.3",        true},   /* mapped is the same client */
    {"10.0.0.0/8",           "::ffff:11.1.2.3",        false},
    {"::ffff:10.0.0.0/104",  "10.1.2.3",               true},
    {"::ffff:10.0.0.0/104",  "11.1.2.3",               false},
    {"::ffff:0:0/96",        "203.0.113.9",            true},
};
// clang-format on

TEST(membership)
{
    for (size_t i = 0; i < COUNT(memberships); i++) {
        struct allow_list list = {.count = 0};
        if (!allow_add(&list, memberships[i].network))
            fail_msg("%s was not taken", memberships[i].network);
        if (contains(&list, memberships[i].client) != memberships[i].inside)
            fail_msg("%s in %s: expected %d", memberships[i].client, memberships[i].network,
                     memberships[i].inside);
    }
}

/* For each prefix length: an address that differs in the last bit of the prefix is outside, one that differs in the
 * first bit after it is inside. */
TEST(each_prefix)
{
    for (unsigned bits = 97; bits < 128; bits++) {
        const uint32_t base = 0xC0A85AA5;
        char text[64];
        snprintf(text, sizeof text, "192.168.90.165/%u", bits - 96);
        struct allow_list list = {.count = 0};
        assert_true(allow_add(&list, text));
        struct sockaddr_in client = {.sin_family = AF_INET};
        client.sin_addr.s_addr = htonl(base ^ 1u << (128 - bits));
        assert_false(allow_contains(&list, (struct sockaddr *) &client));
        client.sin_addr.s_addr = htonl(base ^ 1u << (127 - bits));
        assert_true(allow_contains(&list, (struct sockaddr *) &client));
    }
}

static const char *const no_networks[] = {
    "",
    "/",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8 ",
    " 10.0.0.0",
    "10.0.0/8",
    "10.0.0.256",
    "10.0.0.0/8/",
    "10.0.0.0/+8",
    "10.0.0.0/0x8",
    "::1/129",
    "::1/1280",
    "fe80::/",
    "localhost",
    "10.0.0.0.0/8",
    ":::1",
    "fe80::%1/10",
    "10.0.0.0/8a",
    "1.2.3.4:502",
    "[::1]",
    "010.000.000.001/x",
    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
};

TEST(no_networks)
{
    for (size_t i = 0; i < COUNT(no_networks); i++) {
        struct allow_list list = {.count = 0};
        if (allow_add(&list, no_networks[i]) || list.count != 0)
            fail_msg("\"%s\" was taken for a network", no_networks[i]);
    }
}

TEST(list_full)
{
    struct allow_list list = {.count = 0};
    char text[32];
    for (unsigned i = 0; i < MAX_ALLOW; i++) {
        snprintf(text, sizeof text, "10.0.%u.0/24", i);
        assert_true(allow_add(&list, text));
    }
    assert_false(allow_add(&list, "10.1.0.0/16"));
    assert_true(contains(&list, "10.0.0.1"));
    assert_true(contains(&list, "10.0.63.1"));
    assert_false(contains(&list, "10.1.0.1"));
}

TEST(nobody)
{
    const struct allow_list empty = {.count = 0};
    struct allow_list all = {.count = 0};
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    assert_false(contains(&empty, "127.0.0.1"));
    assert_true(allow_add(&all, "0.0.0.0/0"));
    assert_true(allow_add(&all, "::/0"));
    assert_false(allow_contains(&all, (const struct sockaddr *) &local));
}

/* Requests and the exceptions that they get. By the specification functions 5, 6, 15, 16, 22 and 23 write. */
enum { READS = 1, SETS = 2, MIXES = 4 }; /* kinds of functions */

static int kind_of(unsigned function)
{
    if (function == 5 || function == 6 || function == 15 || function == 16)
        return SETS;
    return function == 22 || function == 23 ? MIXES : READS;
}

// clang-format off
static const struct decision {
    const char *name;
    const char *client;
    int functions;
    bool writable;
    const char *allow_write; /* NULL: no list; "": an empty list */
    uint8_t exception;
} decisions[] = {
    /* name                                    client              functions writable allow_write    exception */
    {"reading, with nothing else allowed",     "192.168.1.7",      READS,    false,   NULL,            0},
    {"reading from a writable pack",           "192.168.1.7",      READS,    true,    "10.0.0.0/8",    0},
    {"reading by one who may write",           "10.1.2.3",         READS,    true,    "10.0.0.0/8",    0},
    {"writing, without a list",                "10.1.2.3",         SETS,     true,    NULL,            1},
    {"writing, with an empty list",            "10.1.2.3",         SETS,     true,    "",              1},
    {"writing to a pack that is not writable", "10.1.2.3",         SETS,     false,   "10.0.0.0/8",    1},
    {"writing to a writable pack",             "10.1.2.3",         SETS,     true,    "10.0.0.0/8",    0},
    {"writing from the first address",         "10.0.0.0",         SETS,     true,    "10.0.0.0/8",    0},
    {"writing from the last address",          "10.255.255.255",   SETS,     true,    "10.0.0.0/8",    0},
    {"writing from the address before",        "9.255.255.255",    SETS,     true,    "10.0.0.0/8",    1},
    {"writing from the address behind",        "11.0.0.0",         SETS,     true,    "10.0.0.0/8",    1},
    {"writing from one address alone",         "192.168.1.7",      SETS,     true,    "192.168.1.7",   0},
    {"writing from its neighbour",             "192.168.1.6",      SETS,     true,    "192.168.1.7",   1},
    {"writing over IPv6",                      "fd12::7",          SETS,     true,    "fd12::/64",     0},
    {"writing over IPv6 from elsewhere",       "fd13::7",          SETS,     true,    "fd12::/64",     1},
    {"writing over IPv6, IPv4 allowed",        "fd12::7",          SETS,     true,    "0.0.0.0/0",     1},
    {"writing over IPv4, IPv6 allowed",        "10.1.2.3",         SETS,     true,    "::/0",          1},
    {"writing from a mapped address",          "::ffff:10.1.2.3",  SETS,     true,    "10.0.0.0/8",    0},
    {"22 and 23 by one who may write",         "10.1.2.3",         MIXES,    true,    "10.0.0.0/8",    1},
    {"22 and 23 to a pack not writable",       "10.1.2.3",         MIXES,    false,   "10.0.0.0/8",    1},
    {"22 and 23 without a list",               "10.1.2.3",         MIXES,    true,    NULL,            1},
};
// clang-format on

TEST(decide)
{
    for (size_t i = 0; i < COUNT(decisions); i++) {
        const struct decision *row = &decisions[i];
        const struct sockaddr_storage client = client_at(row->client);
        struct allow_list list = {.count = 0};
        if (row->allow_write && row->allow_write[0])
            assert_true(allow_add(&list, row->allow_write));
        for (unsigned function = 0; function < 256; function++) {
            if (!(kind_of(function) & row->functions))
                continue;
            const uint8_t exception =
                access_decide((const struct sockaddr *) &client, (uint8_t) function, row->writable,
                              row->allow_write ? &list : NULL);
            if (exception != row->exception)
                fail_msg("%s, function %u: %u", row->name, function, exception);
        }
    }
}

/* The second of several networks counts, too. */
TEST(decide_by_any_network)
{
    static const struct {
        const char *client;
        uint8_t exception;
    } rows[] = {{"10.0.0.1", 0}, {"fd12::1", 0}, {"192.168.1.1", 0}, {"192.168.2.1", 1}};
    struct allow_list list = {.count = 0};
    assert_true(allow_add(&list, "10.0.0.0/8"));
    assert_true(allow_add(&list, "fd12::/16"));
    assert_true(allow_add(&list, "192.168.1.0/24"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct sockaddr_storage client = client_at(rows[i].client);
        assert_int_equal(access_decide((const struct sockaddr *) &client, 16, true, &list),
                         rows[i].exception);
    }
}
