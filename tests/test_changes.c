// SPDX-License-Identifier: MIT
/* Comparison of two configurations: which changes reopen a line, and what is logged. */
#include "config_test.h"

#include "config/keys.h"

#define GATEWAY "[gateway]\n"
#define LINE "[line a]\nport = tcp://h:1\nprotocol = topbms\n"
#define PACK "[pack p]\nline = a\nunit = 1\n"
#define PACK_Q "[pack q]\nline = a\nunit = 2\naddress = 2\n"
#define BANK "[bank all]\npacks = p, q\nunit = 9\n"
#define PUSH "[push plc]\ntarget = tcp://h:502\nwrite = p.soc_percent -> 40 u16\n"
#define MAP(name) "protocol = modbus conf/maps/" name ".txt\n"

static void note(void *data, enum config_change change, const char *text)
{
    static const char *const marks[] = {"", "line: ", "section: ", "restart: "};
    char *out = data;
    size_t used = strlen(out);
    snprintf(out + used, 2000 - used, "%s%s\n", marks[change], text);
}

// clang-format off
static const struct {
    const char *old, *fresh, *told;
} changes[] = {
    {LINE PACK, LINE PACK, ""},
    /* The same configuration, written differently. */
    {LINE PACK "poll = 1s\n", LINE "# comment\n" PACK "poll = 1000ms\n", ""},
    {LINE PACK "poll = 1s\n", LINE PACK "poll = 5s\n", "line: [pack p] poll: 5s, was 1s\n"},
    {LINE PACK, LINE PACK "poll = 5s\n", "line: [pack p] poll: 5s, was not given (the gateway's)\n"},
    {LINE PACK "poll = 5s\n", LINE PACK, "line: [pack p] poll: not given any more (the gateway's), was 5s\n"},
    /* A change that packs inherit from [gateway] is reported once, for [gateway]. */
    {LINE PACK, GATEWAY "poll = 2s\n" LINE PACK, "line: [gateway] poll: 2s, was 1s\n"},
    {LINE PACK, GATEWAY "state_file = none\n" LINE PACK, "restart: [gateway] state_file: none, was /var/lib/packgate/state\n"},
    {LINE PACK, GATEWAY "on_stale = hold\n" LINE PACK, "[gateway] on_stale: hold, was exception\n"},
    {GATEWAY "listen = 127.0.0.1:1, 127.0.0.1:2\n" LINE PACK, GATEWAY "listen = 127.0.0.1:2, [::1]:3\n" LINE PACK,
     "restart: [gateway] listen: '127.0.0.1:1' is gone\nrestart: [gateway] listen: '[::1]:3' is new\n"},
    {GATEWAY "listen = 127.0.0.1:1, 127.0.0.1:2\n" LINE PACK, GATEWAY "listen = 127.0.0.1:2, 127.0.0.1:1\n" LINE PACK,
     "restart: [gateway] listen: in another order, or written otherwise\n"},
    {LINE PACK "adr = 3\n", LINE PACK "address = 1, 5\nadr = 3\n",
     "line: [pack p] address: 1, 5, was not given (the protocol's)\n"},
    {LINE PACK, LINE "gap = 0ms\n" PACK, "line: [line a] gap: 0ms, was not given (the protocol's)\n"},
    {LINE PACK, LINE PACK "protocol = topbms seplos\n", "line: [pack p] protocol: topbms seplos, was not given (its line's)\n"},
    {LINE PACK, LINE PACK "writable = yes\n", "[pack p] writable: yes, was no\n"},
    {LINE PACK, LINE PACK PACK_Q, "[pack q] is new\n"},
    {LINE PACK PACK_Q, LINE PACK, "[pack q] is gone\n"},
    {LINE PACK PACK_Q BANK, LINE PACK PACK_Q "[bank all]\npacks = q\nunit = 9\n",
     "[bank all] packs: 'p' is gone\n"},
    {LINE PACK PUSH, LINE PACK PUSH "write = p.voltage_v -> 41 u16\n",
     "section: [push plc] write: 'p.voltage_v -> 41 u16' is new\n"},
    {LINE PACK PUSH, LINE PACK PUSH "on_stale = 0\n", "section: [push plc] on_stale: 0, was skip\n"},
    /* A map stands behind the protocol; one with the same content is the same map. */
    {LINE PACK MAP("vatrer"), LINE PACK MAP("lipower"), "line: [pack p] map: conf/maps/lipower.txt, was conf/maps/vatrer.txt\n"},
    {LINE PACK MAP("vatrer"), LINE PACK "protocol = modbus\nmap = conf/maps/vatrer.txt\n", ""},
    {LINE PACK MAP("vatrer"), LINE PACK "protocol = daly\n", "line: [pack p] protocol: daly, was modbus conf/maps/vatrer.txt\n"},
    /* A line of the same name on another port. */
    {LINE PACK, "[line a]\nport = tcp://h:2\nprotocol = topbms\n" PACK, "line: [line a] port: tcp://h:2, was tcp://h:1\n"},
};
// clang-format on

TEST(told)
{
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct config *old = parse_accepted(changes[i].old),
                      *fresh = parse_accepted(changes[i].fresh);
        char told[2000] = "";
        config_tell_changes(old, fresh, note, told);
        if (strcmp(told, changes[i].told) != 0)
            fail_msg("%zu: expected\n%sgot\n%s", i, changes[i].told, told);
        config_free(old);
        config_free(fresh);
    }
}

/* A row for each kind of change after which the poller must treat a pack or its line as a new one. */
TEST(same)
{
    static const struct {
        const char *text;
        bool line, pack;
    } cases[] = {
        {LINE PACK, true, true},
        {LINE "tries = 3\n" PACK, false, true},
        {LINE "gap = 0ms\n" PACK, false, true},
        {"[line a]\nport = tcp://h:2\nprotocol = topbms\n" PACK, false, true},
        {"[line b]\nport = tcp://h:1\nprotocol = topbms\n[pack p]\nline = b\nunit = 1\n", false,
         false},
        {LINE "[pack p]\nline = a\nunit = 7\n", true, true},
        {LINE "[pack r]\nline = a\nunit = 1\n", true, false},
        {LINE PACK "writable = no\n", true, true},
        {LINE PACK "address = 3\n", true, false},
        {LINE PACK "address = 1, 3\n", true, false},
        {LINE PACK "protocol = topbms seplos\n", true, false},
        {LINE PACK "current = inverted\n", true, false},
        {LINE PACK "capacity = 100\n", true, false},
        {LINE PACK "protocol = daly\n", true, false},
        {LINE PACK "poll = 3s\n", true, false},
        {LINE PACK "stale_after = 70s\n", true, false},
        {GATEWAY "poll = 3s\n" LINE PACK, true, false},
        {GATEWAY "spikes = 3\n" LINE PACK, true, true},
        {GATEWAY "on_stale = hold\nbase = 1000\nallow = 10.0.0.0/8\n" LINE PACK, true, true},
    };
    struct config *old = parse_accepted(LINE PACK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *fresh = parse_accepted(cases[i].text);
        bool line = config_same(&line_section, old->lines, fresh->lines, CHANGE_LINE);
        bool pack = config_same(&pack_section, old->packs, fresh->packs, CHANGE_LINE);
        if (line != cases[i].line || pack != cases[i].pack)
            fail_msg("line %d, pack %d:\n%s", line, pack, cases[i].text);
        config_free(fresh);
    }
    config_free(old);
}
