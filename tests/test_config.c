// SPDX-License-Identifier: MIT
/*
 * The configuration: valid values and their results, one by one; invalid ones with the exact
 * message and line; each number at both ends of its range; and files damaged at random.
 */
#define WITH_BLE /* what is said of Bluetooth lines, in a build that leaves them out, too */
#include "config/check.c" /* in place of the one in the library */

#include "config/load.h"
#include "config/keys.h"
#include "config/types.h"
#include "bms/count.h"
#include "config_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The shortest good file: six lines. Cases append to it, so their first line is line 7. */
#define LINE_A "[line a]\nport = tcp://h:1\nprotocol = daly\n"
#define PACK_P "[pack p]\nline = a\nunit = 1\n"
#define GOOD LINE_A PACK_P
#define SERIAL                                                                                     \
    "a whole number from 300 to 4000000; data bits 7 or 8, parity N, E or O, stop bits 1 or 2, "   \
    "such as 8N1 or 7E1; default, on, off or rs485"
#define PUSH GOOD "[push plc]\ntarget = tcp://h:502\n"

static void add_words(char *out, size_t size, const char *word, const char *separator)
{
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s", used ? separator : "", word);
}

/* "daly, x, modbus or auto": all drivers, however many there are, what a map describes, and the
 * search for one. */
static const char *protocols(void)
{
    static char text[512];
    text[0] = 0;
    for (unsigned i = 0; bms_drivers[i]; i++)
        add_words(text, sizeof text, bms_drivers[i]->name, ", ");
    add_words(text, sizeof text, "modbus", ", ");
    add_words(text, sizeof text, "auto", " or ");
    return text;
}

static const char *sections(void)
{
    static char text[512];
    text[0] = 0;
    for (unsigned i = 0; config_sections[i]; i++)
        add_words(text, sizeof text, config_sections[i]->heading,
                  config_sections[i + 1] ? ", " : " or ");
    return text;
}

/* The key behind `key` in the order of the manual, the first one for NULL; NULL: no more. */
static const struct config_key *next_key(const struct config_key *key)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        for (unsigned row = 0; row < section->key_count; row++) {
            const struct config_key *found = &section->keys[row];
            if (!key && !found->folded)
                return found;
            if (found == key)
                key = NULL;
        }
    }
    return NULL;
}

/* Each row has a field within its struct, a type, a range that makes sense and a meaning. */
TEST(rows)
{
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        assert_true(section->key_count > 0 && section->key_count <= SECTION_KEYS_MAX);
        for (unsigned row = 0; row < section->key_count; row++) {
            const struct config_key *key = &section->keys[row];
            if (!key->type || !key->help || (key->size == 0 && !key->folded) ||
                key->offset + key->size > section->size || key->min > key->max ||
                (key->preset && key->otherwise) || config_key_alias(section, key->name) ||
                config_key_find(section, key->name) != (int) row)
                fail_msg("[%s] %s", section->word, key->name);
        }
    }
}

/* Replaces the first {protocols} or {sections} of a message. */
static char *expand(const char *message)
{
    const struct {
        const char *mark, *words;
    } lists[] = {{"{protocols}", protocols()}, {"{sections}", sections()}};
    for (size_t i = 0; i < COUNT(lists); i++) {
        char *text;
        const char *at = strstr(message, lists[i].mark);
        if (!at)
            continue;
        if (asprintf(&text, "%.*s%s%s", (int) (at - message), message, lists[i].words,
                     at + strlen(lists[i].mark)) < 0)
            abort();
        return text;
    }
    return strdup(message);
}

static bool only_warnings(const char *messages)
{
    for (const char *line = messages; *line; line = strchr(line, '\n') + 1) {
        const char *mark = strstr(line, ": warning: ");
        if (!mark || mark > strchr(line, '\n'))
            return false;
    }
    return true;
}

static void expect(const char *name, const char *text, const char *message)
{
    char *messages, *expected = expand(message);
    struct config *config = parse_config(text, &messages);
    if (strcmp(messages, expected) != 0)
        fail_msg("%s:\nexpected\n%sgot\n%s", name, expected, messages);
    if (!config == only_warnings(expected))
        fail_msg("%s: a configuration %s", name, config ? "in spite of a mistake" : "is missing");
    config_free(config);
    free(messages);
    free(expected);
}

TEST(full)
{
    struct config *config = parse_good("[pack roof]\n"
                                       "line = two\n"
                                       "unit = 247\n"
                                       "protocol = daly bluetooth\n"
                                       "address = 16, 3\n"
                                       "current = inverted\n"
                                       "capacity = 280.5\n"
                                       "poll = 1.5s\n"
                                       "stale_after = 2m\n"
                                       "[gateway]\n"
                                       "listen = 127.0.0.1:1502, [::1]:0\n"
                                       "allow = 10.0.0.0/8\n"
                                       "allow = 192.168.1.7 , fe80::/10\n"
                                       "base = 1000, none Fahrenheit\n"
                                       "float_order = big\n"
                                       "poll = 500 ms\n"
                                       "stale_after = 30s\n"
                                       "on_stale = hold\n"
                                       "display = 65535, 0xDEADBEEF,4294967295\n"
                                       "state_file = none\n"
                                       "[line one]\n"
                                       "port = serial:/dev/ttyUSB0\n"
                                       "protocol = daly\n"
                                       "baud = 115200, rs485 , , 7e1,\n"
                                       "reply_timeout = 750ms\n"
                                       "gap = 0s\n"
                                       "[line two]\n"
                                       "port = tcp://[fd00::7]:4001\n"
                                       "[pack cellar.1]\n"
                                       "line = one\n"
                                       "unit = 2\n");
    const struct gateway_config *gateway = &config->gateway;
    assert_int_equal(gateway->listen.count, 2);
    assert_string_equal(gateway->listen.at[0], "127.0.0.1:1502");
    assert_string_equal(gateway->listen.at[1], "[::1]:0");
    assert_int_equal(gateway->allow.count, 3);
    assert_int_equal(gateway->allow.networks[0].bits, 96 + 8);
    assert_int_equal(gateway->allow.networks[1].address[15], 7);
    assert_int_equal(gateway->allow.networks[2].bits, 10);
    assert_int_equal(gateway->map.base, 1000);
    assert_int_equal(gateway->map.also_at, MAP_NONE);
    assert_true(gateway->map.big_floats);
    assert_true(gateway->map.fahrenheit);
    assert_int_equal(gateway->map.display[0], 65535);
    assert_int_equal(gateway->map.display[1], 0xDEADBEEF);
    assert_int_equal(gateway->map.display[2], 0xFFFFFFFF);
    assert_true(gateway->poll_s == 0.5);
    assert_true(gateway->stale_after_s == 30);
    assert_int_equal(gateway->on_stale, STALE_HOLD);
    assert_true(gateway->idle_timeout_s == 600);
    assert_string_equal(gateway->state_file, "");

    assert_int_equal(config->line_count, 2);
    const struct line_config *one = &config->lines[0], *two = &config->lines[1];
    assert_string_equal(one->name, "one");
    assert_string_equal(one->port, "serial:/dev/ttyUSB0");
    assert_ptr_equal(one->driver, bms_driver_find("daly"));
    assert_int_equal(one->baud, 115200);
    assert_string_equal(one->framing, "7E1");
    assert_int_equal(one->reply_ms, 750);
    assert_int_equal(one->gap_ms, 0);
    assert_true(one->gap_set);
    assert_int_equal(one->rts, RTS_RS485);
    assert_string_equal(two->name, "two");
    assert_string_equal(two->port, "tcp://[fd00::7]:4001");
    assert_null(two->driver);
    assert_int_equal(two->baud, 0);
    assert_string_equal(two->framing, "");
    assert_int_equal(two->reply_ms, 0);
    assert_false(two->gap_set);
    assert_int_equal(two->rts, RTS_DEFAULT);

    assert_int_equal(config->pack_count, 2);
    const struct pack_config *roof = &config->packs[0], *cellar = &config->packs[1];
    assert_string_equal(roof->name, "roof");
    assert_ptr_equal(roof->line, two);
    assert_ptr_equal(roof->driver, bms_driver_find("daly"));
    assert_int_equal(roof->unit, 247);
    assert_int_equal(roof->options.address, 16);
    assert_int_equal(roof->options.adr, 3);
    assert_int_equal(roof->options.variant, 2);
    assert_int_equal(roof->options.current, BMS_CURRENT_INVERTED);
    assert_true(roof->options.capacity_ah == 280.5);
    assert_true(roof->poll_s == 1.5);
    assert_true(roof->stale_after_s == 120);
    assert_string_equal(cellar->name, "cellar.1");
    assert_ptr_equal(cellar->line, one);
    assert_ptr_equal(cellar->driver, bms_driver_find("daly"));
    assert_int_equal(cellar->options.address, -1);
    assert_int_equal(cellar->options.adr, -1);
    assert_int_equal(cellar->options.variant, 0);
    assert_int_equal(cellar->options.current, BMS_CURRENT_AUTO);
    assert_true(cellar->options.capacity_ah == 0);
    assert_true(cellar->poll_s == 0.5);
    assert_true(cellar->stale_after_s == 30);
    config_free(config);
}

/* Two more packs, lines 7 to 14. */
#define MORE_PACKS                                                                                 \
    "[pack q]\nline = a\naddress = 2\nunit = 2\n[pack r]\nline = a\naddress = 3\nunit = 3\n"

TEST(bank)
{
    struct config *config =
        parse_good("[bank house.1]\n"
                   "packs = r, p\n"
                   "packs = q\n"
                   "unit = 247\n"
                   "min_packs = 2\n" GOOD MORE_PACKS "[bank p-and-r]\npacks = p,r\nunit = 5\n"
                   "[push plc]\ntarget = tcp://h:502\nwrite = house.1.soc_percent -> 40 u16\n");
    assert_int_equal(config->bank_count, 2);
    const struct bank_config *house = &config->banks[0], *other = &config->banks[1];
    assert_string_equal(house->name, "house.1");
    assert_int_equal(house->pack_count, 3);
    assert_string_equal(house->packs[0]->name, "r");
    assert_ptr_equal(house->packs[1], &config->packs[0]);
    assert_ptr_equal(house->packs[2], &config->packs[1]);
    assert_int_equal(house->unit, 247);
    assert_int_equal(house->min_packs, 2);
    assert_string_equal(other->name, "p-and-r");
    assert_int_equal(other->pack_count, 2);
    assert_int_equal(other->unit, 5);
    assert_int_equal(other->min_packs, 2); /* all of them */
    assert_string_equal(config->pushes[0].writes[0].terms[0].source, "house.1");
    config_free(config);

    config = parse_good(GOOD);
    assert_int_equal(config->bank_count, 0);
    config_free(config);
}

/* As many packs as a bank can have, and one more. */
TEST(largest_bank)
{
    for (int more = 0; more < 2; more++) {
        char text[8000] = "[line a]\nport = tcp://h:1\nprotocol = jk-pb\n", *messages;
        for (int i = 0; i < MAX_BANK_PACKS + more; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text),
                     "[pack p%d]\nline = a\nprotocol = %s\naddress = %d\nunit = %d\n", i,
                     i < 16 ? "daly" : "topbms", i % 16 + 1, i + 1);
        strcat(text, "[bank b]\nunit = 100\n");
        for (int i = 0; i < MAX_BANK_PACKS + more; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "packs = p%d\n", i);
        struct config *config = parse_config(text, &messages);
        if ((config == NULL) != (more > 0))
            fail_msg("%d packs: %s", MAX_BANK_PACKS + more, messages);
        if (config)
            assert_int_equal(config->banks[0].min_packs, MAX_BANK_PACKS);
        else
            assert_non_null(strstr(
                messages,
                "'packs' is 'p32'; expected names of packs such as house-1, at most 32 of them"));
        config_free(config);
        free(messages);
    }
}

TEST(push)
{
    struct config *config = parse_good(
        LINE_A "[pack p]\nline = a\nunit = 1\n[pack p.1]\nline = a\naddress = 2\nunit = 2\n"
               "[pack p.cell_mv]\nline = a\naddress = 3\nunit = 3\n[pack gateway]\nline = "
               "a\naddress = 4\nunit = 4\n"
               "[push plc.1]\n"
               "write = p.1.soc_percent->0x28 U16\n"
               "write = p.cell_mv.3 -> 2 u16, p.cell_mv.cell_mv.3 -> 3 u16 deadband 5\n"
               "write = p.current_a -> 10 float32 scale -0.5 offset -1.25 word_order big "
               "on_stale -7.5\n"
               "write = p.1.alarm.soc_low -> 6 u16 on_stale unknown\n"
               "write = gateway.seconds -> 7 u16\n"
               "write = gateway.voltage_v -> 8 s32 on_stale skip\n"
               "write = p.fresh -> 1 u16\n"
               "write = p.power_w -> 12 u16 min 0 map 1:2 3:4 max 900\n"
               "target = tcp://[fd00::7]:502\nunit = 255\ninterval = 100ms on_change\n"
               "on_stale = 65535\n"
               "[push other]\ntarget = tcp://h:502\nwrite = p.voltage_v -> 40 u16\n"
               "write = p.allowed_charge_current_a -> 41 u16 scale 10\n"
               "write = p.allowed_charge_voltage_v -> 42 u16 scale 100\n");
    assert_int_equal(config->push_count, 2);
    const struct push_config *plc = &config->pushes[0], *other = &config->pushes[1];
    assert_string_equal(plc->name, "plc.1");
    assert_string_equal(plc->target, "tcp://[fd00::7]:502");
    assert_int_equal(plc->unit, 255);
    assert_true(plc->interval_s == 0.1 && plc->timeout_s == 10);
    assert_true(plc->on_change);
    static const struct {
        const char *source;
        enum row_what what;
        enum value_kind kind;
        int id;
        unsigned address;
        enum map_type type;
        double scale, offset, deadband;
        bool big;
        enum instead instead;
        double number;
    } expected[] = {
        {"p", ROW_FRESH, 0, 0, 1, REG_U16, 1, 0, 0, false, INSTEAD_NUMBER, 65535},
        {"p", ROW_VALUE, VALUE_NUMBER, CELL_MV + 2, 2, REG_U16, 1, 0, 0, false, INSTEAD_NUMBER,
         65535},
        {"p.cell_mv", ROW_VALUE, VALUE_NUMBER, CELL_MV + 2, 3, REG_U16, 1, 0, 5, false,
         INSTEAD_NUMBER, 65535},
        {"p.1", ROW_VALUE, VALUE_ALARM, SOC_LOW, 6, REG_U16, 1, 0, 0, false, INSTEAD_UNKNOWN, 0},
        {"", ROW_SECONDS, 0, 0, 7, REG_U16, 1, 0, 0, false, INSTEAD_NUMBER, 65535},
        {"gateway", ROW_VALUE, VALUE_NUMBER, VOLTAGE_V, 8, REG_S32, 1, 0, 0, false, INSTEAD_SKIP,
         0},
        {"p", ROW_VALUE, VALUE_NUMBER, CURRENT_A, 10, REG_FLOAT32, -0.5, -1.25, 0, true,
         INSTEAD_NUMBER, -7.5},
        {"p", ROW_VALUE, VALUE_NUMBER, POWER_W, 12, REG_U16, 1, 0, 0, false, INSTEAD_NUMBER, 65535},
        {"p.1", ROW_VALUE, VALUE_NUMBER, SOC_PERCENT, 40, REG_U16, 1, 0, 0, false, INSTEAD_NUMBER,
         65535},
    };
    assert_int_equal(plc->write_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        const struct register_row *write = &plc->writes[i];
        const struct row_term *term = &write->terms[0];
        if (write->term_count != 1 || strcmp(term->source, expected[i].source) != 0 ||
            term->what != expected[i].what || term->value.kind != expected[i].kind ||
            term->value.id != expected[i].id || write->address != expected[i].address ||
            write->type != expected[i].type || write->scale != expected[i].scale ||
            write->offset != expected[i].offset || write->deadband != expected[i].deadband ||
            write->big_words != expected[i].big || write->on_stale.kind != expected[i].instead ||
            write->on_stale.number != expected[i].number)
            fail_msg("write %zu, register %u: not as expected", i, write->address);
    }
    const struct register_row *bounded = &plc->writes[7];
    assert_true(bounded->min == 0 && bounded->max == 900 && bounded->pair_count == 2);
    assert_int_equal(other->unit, 1);
    assert_true(other->interval_s == 5 && other->timeout_s == 10);
    assert_false(other->on_change);
    assert_false(other->writes[0].big_words);
    assert_int_equal(other->writes[0].on_stale.kind, INSTEAD_SKIP);
    config_free(config);
}

TEST(defaults)
{
    struct config *config = parse_good(GOOD);
    const struct gateway_config *gateway = &config->gateway;
    assert_int_equal(gateway->listen.count, 1);
    assert_string_equal(gateway->listen.at[0], "0.0.0.0:502");
    assert_int_equal(gateway->allow.count, 7);
    assert_int_equal(gateway->map.base, 290);
    assert_int_equal(gateway->map.also_at, 100);
    assert_false(gateway->map.big_floats);
    assert_false(gateway->map.fahrenheit);
    assert_int_equal(gateway->map.display[0], 0);
    assert_true(gateway->poll_s == 1);
    assert_true(gateway->stale_after_s == 0);
    assert_int_equal(gateway->on_stale, STALE_EXCEPTION);
    assert_int_equal(gateway->max_clients, 256);
    assert_true(gateway->idle_timeout_s == 600);
    assert_string_equal(gateway->state_file, "/var/lib/packgate/state");
    assert_true(config->packs[0].poll_s == 1);
    assert_true(config->packs[0].stale_after_s == 10);
    config_free(config);
}

/* Five intervals, at least 10 s, with the interval that holds for the pack. */
TEST(stale_default)
{
    static const struct {
        const char *text;
        double stale_after_s;
    } cases[] = {
        {GOOD "poll = 2s\n", 10},
        {GOOD "poll = 3s\n", 15},
        {GOOD "[gateway]\npoll = 1m\n", 300},
        {GOOD "poll = 100ms\n[gateway]\npoll = 1m\n", 10},
        {GOOD "[gateway]\nstale_after = 5s\n", 5},
        {GOOD "stale_after = 7s\n[gateway]\nstale_after = 5s\n", 7},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *config = parse_good(cases[i].text);
        if (config->packs[0].stale_after_s != cases[i].stale_after_s)
            fail_msg("case %zu: expected %g, got %g", i, cases[i].stale_after_s,
                     config->packs[0].stale_after_s);
        config_free(config);
    }
}

#define LIMITS_OF_P                                                                                \
    "[limits p]\ncharge_current = 100\ndischarge_current = 150\ncells = 16\nsensors = 2\n"         \
    "cell_full = 3.45\n"
#define CURVES                                                                                     \
    "cell_high = 3.375:1, 3.50:0\ncell_low = 2.80:0, 3.19:1\ntemperature = "                       \
    "-5.5:0,10:1,40:1,55:0\n"
#define A_VIEW "[view v]\nsource = p\nunit = 9\nregister = soc_percent -> 1 u16\n"

/* Keys of older versions: the file is good and says the same as a newer one, but a remark says how to write it. */
TEST(folded)
{
    static const struct {
        const char *old, *fresh, *remark;
    } cases[] = {
        {GOOD "[gateway]\nspike_soc = 5\nspike_cell = 50\n", NULL,
         "'spike_soc' is a key of older versions: it has no effect any more, as a reading that "
         "jumps"},
        {GOOD "[gateway]\ndisplay_2 = 7\ndashboard_id = 2\n", GOOD "[gateway]\ndisplay = 2, 0, 7\n",
         "'display = "},
        {GOOD "[gateway]\nlatitude = 45.5\nlongitude = -9\n",
         GOOD "[gateway]\nlocation = 45.5, -9\n", "'location = LATITUDE, LONGITUDE'"},
        {GOOD "adr = 3\naddress = 4\n", GOOD "address = 4, 3\n", "'address = ADDRESS, ADR'"},
        /* Where both say something, the newer key holds, which is the one that a browser sets. */
        {GOOD "adr = 3\naddress = 4, 5\n", GOOD "address = 4, 5\n", "'address = ADDRESS, ADR'"},
        {GOOD "address = 4, 5\nadr = 3\n", GOOD "address = 4, 5\n", "'address = ADDRESS, ADR'"},
        {"[line a]\nport = serial:/dev/x\nprotocol = daly\nbaud = 19200 7E1\nframing = 8N1\nrts = "
         "on\n" PACK_P,
         "[line a]\nport = serial:/dev/x\nprotocol = daly\nbaud = 19200 7E1 on\n" PACK_P,
         "'baud = 9600 8N1 rs485'"},
        {GOOD "[history]\nkeep = 48h, 30d, 3650d\nrecent = 24h\n",
         GOOD "[history]\nkeep = 48h, 30d, 3650d\n", "where it is the first"},
        {GOOD "[gateway]\nbase = 290, 100 fahrenheit\ntemperature = c\n",
         GOOD "[gateway]\nbase = 290, 100 fahrenheit\n", "write f in 'base'"},
        {GOOD "[influx x]\nurl = http://h/write\ninterval = 20s, backfill no\nbackfill = all\n",
         GOOD "[influx x]\nurl = http://h/write\ninterval = 20s, backfill no\n",
         "'interval = 10s, backfill all'"},
        {GOOD "[notify x]\ntype = ntfy\nurl = http://h/t\nevents = alarm, soc_below 10\nsoc_below "
              "= 20\n",
         GOOD "[notify x]\ntype = ntfy\nurl = http://h/t\nevents = alarm, soc_below 10\n",
         "write it in 'events'"},
        {GOOD "protocol = daly rs485\nvariant = bluetooth\n", GOOD "protocol = daly rs485\n",
         "behind the protocol"},
        {"[line a]\nport = serial:/dev/x\nprotocol = daly\nframing = 8E1\nrts = rs485\n" PACK_P,
         "[line a]\nport = serial:/dev/x\nprotocol = daly\nbaud = rs485 8E1\n" PACK_P,
         "'baud = 9600 8N1 rs485'"},
        {GOOD "[tunnel t]\nline = a\nlisten = 127.0.0.1:1\nidle = 2m\n",
         GOOD "[tunnel a]\nlisten = 127.0.0.1:1\n", "into the heading, [tunnel NAME]"},
        {GOOD "[notify x]\ntype = command\ncommand = /c\nsoc_below = 30\ncell_delta = 50\nreport = "
              "full\n",
         GOOD "[notify x]\ntype = command\nurl = /c\n"
              "events = alarm, stale, back, soc_below 30, cell_delta 50, report full\n",
         "write it in 'events', as 'soc_below 20'"},
        {PUSH "on_change = yes\ninterval = 2s\nwrite = p.voltage_v -> 1 u16\n",
         PUSH "interval = 2s on_change\nwrite = p.voltage_v -> 1 u16\n",
         "'interval = 5s on_change'"},
        {GOOD "[mqtt x]\nbroker = mqtt://h\ndiscovery = single\nentities = all\n",
         GOOD "[mqtt x]\nbroker = mqtt://h\ndiscovery = all single\n", "write it in 'discovery'"},
        {GOOD "[web]\nhosts = a.b\nlink = http://c.d:1/e\n", NULL, "write it in 'hosts'"},
        {GOOD "[gateway]\nalso_at = none\nbase = 300\n", GOOD "[gateway]\nbase = 300, none\n",
         "'base = 290, 100'"},
        {GOOD "[gateway]\ntemperature = f\nbase = 300\n", GOOD "[gateway]\nbase = 300 fahrenheit\n",
         "'base = 290, 100 fahrenheit'"},
        {GOOD "[history]\n[influx x]\nurl = http://h/write\nbackfill = all\n",
         GOOD "[history]\n[influx x]\nurl = http://h/write\ninterval = 10s, backfill all\n",
         "'interval = 10s, backfill all'"},
        {GOOD LIMITS_OF_P "cell_float = 3.3\nsoc_again = 80\n" CURVES,
         GOOD LIMITS_OF_P "cell_float = 3.3V, 80\n" CURVES, "'cell_float = 3.375, 90%'"},
        {GOOD "[view v]\nsource = p\nunit = 9\nregister = voltage_v -> 1 u16\nfill = 2-9 7\n"
              "copy = 1 -> 40\n",
         GOOD "[view v]\nsource = p\nunit = 9\nregister = voltage_v -> 1 u16\nfill = 1 -> 40\n"
              "fill = 2-9 7\n",
         "'fill = 40000-40131 -> 0'"},
        {PUSH "word_order = big\nwrite = p.power_w -> 1 s32\n", NULL, "behind each value"},
        {GOOD "[notify x]\ntype = mail\nurl = smtps://h\nfrom = a@h\nto = b@h\n",
         GOOD "[notify x]\ntype = mail\nurl = smtps://h\nto = b@h, from a@h\n",
         "'to = me@example.net, from shed@example.net'"},
        {GOOD "[present x]\nof = p\nport = tcp-listen:127.0.0.1:5020\nprotocol = modbus-rtu\nview "
              "= v\n" A_VIEW,
         GOOD
         "[present x]\nof = p\nport = tcp-listen:127.0.0.1:5020\nprotocol = modbus-rtu v\n" A_VIEW,
         "'protocol = modbus-rtu NAME'"},
        {GOOD "[web]\npacks = p\n", NULL, "all packs and banks are taken"},
        {PUSH "function = 16\nwrite = p.voltage_v -> 1 u16\n",
         PUSH "write = p.voltage_v -> 1 u16\n",
         "a server that refuses function 6 or 16 gets the other one"},
        {"[line a]\nport = tcp://h:1\n" PACK_P
         "protocol = modbus\nmap = conf/modbus-map-example.txt\n",
         "[line a]\nport = tcp://h:1\n" PACK_P "protocol = modbus conf/modbus-map-example.txt\n",
         "'protocol = modbus /etc/packgate/my-bms.txt'"},
        {GOOD "variant = bluetooth\n", GOOD "protocol = daly bluetooth\n", "behind the protocol"},
        {GOOD "spike_cell = 7\n", GOOD, "a reading that jumps is always read again"},
        {GOOD "[history]\nhours = 36500d\n", GOOD "[history]\nkeep = 48h, 186d, 36500d\n",
         "where it is the third"},
        {GOOD "[web]\nmax_streams = 8\nmax_per_address = 9\ntls_cert = /c\ntls_key = /k\n",
         GOOD "[web]\nmax_clients = 64, 9, 8\ntls_cert = /c, /k\n",
         "'tls_cert = CERTIFICATE, KEY'"},
        {GOOD "[mqtt x]\nbroker = mqtts://h\nverify = no\nclient_key = /k\nclient_cert = /c\n",
         GOOD "[mqtt x]\nbroker = mqtts://h\nca_file = any\nclient_cert = /c, /k\n",
         "'ca_file = any'"},
        {GOOD "[history]\n[influx x]\nurl = https://h/write\ntoken_file = /t\ngzip = no\n",
         GOOD "[history]\n[influx x]\nurl = https://h/write\npassword_file = /t\n",
         "requests are always compressed"},
        {GOOD "[notify x]\ntype = webhook\nurl_file = /u\nlevel = protection\n",
         GOOD "[notify x]\ntype = webhook\nurl = /u\nevents = protection, stale, back\n",
         "'url = /path/of/it'"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages;
        struct config *old = parse_config(cases[i].old, &messages),
                      *fresh = cases[i].fresh ? parse_good(cases[i].fresh) : NULL;
        if (!old || !strstr(messages, cases[i].remark))
            fail_msg("%s%s", cases[i].old, messages);
        for (unsigned n = 0; fresh && config_sections[n]; n++) {
            const struct config_section *section = config_sections[n];
            const char *a = config_structs(old, section), *b = config_structs(fresh, section);
            for (unsigned row = 0; a && row < section->key_count; row++) {
                const struct config_key *key = &section->keys[row];
                const bool text = key->type == &type_path && key->words;
                for (const struct config_key *part = key->parts; part && part->type; part++)
                    if (memcmp(a + part->offset, b + part->offset, part->size) != 0)
                        fail_msg("%s: %s", key->name, cases[i].old);
                if (!text && !key->type->same && !key->parts &&
                    memcmp(a + key->offset, b + key->offset, key->size) != 0)
                    fail_msg("%s: %s", key->name, cases[i].old);
            }
        }
        config_free(old);
        config_free(fresh);
        free(messages);
    }
}

/* Behind the protocol of the line, for packs that name none. */
TEST(variant)
{
    struct config *config =
        parse_good("[line a]\nport = tcp://h:1\nprotocol = daly bluetooth\n" PACK_P
                   "[pack q]\nline = a\nunit = 2\naddress = 2\nprotocol = daly\n");
    assert_int_equal(config->packs[0].options.variant, 2);
    assert_int_equal(config->packs[1].options.variant, 0);
    config_free(config);
}

/* A network without its prefix length would be a single address. */
TEST(bare_networks)
{
    static const struct said cases[] = {
        {"[gateway]\nallow = 192.168.1.0\n",
         "warning: 'allow' has 192.168.1.0, which is one address; expected a prefix length behind "
         "it if a network is meant, such as 192.168.1.0/24"},
        {"[gateway]\nallow_write = ::1, fd00::\n", "warning: 'allow_write' has fd00::, which is"},
        {"[gateway]\nallow = 10.0.0.0/8, 192.168.1.10, fd00::/8, ::1\n", NULL},
    };
    expect_said(GOOD, cases, COUNT(cases));
}

/* What an editor can do to a file without changing what it says. */
TEST(same_file)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"byte order mark", "\xEF\xBB\xBF" GOOD},
        {"CRLF", "[line a]\r\nport = tcp://h:1\r\nprotocol = daly\r\n"
                 "[pack p]\r\nline = a\r\nunit = 1\r\n"},
        {"no last newline", LINE_A "[pack p]\nline = a\nunit = 1"},
        {"blank lines and comments", "\n# c\n ; c\n" GOOD "\n \t\n"},
        {"indented keys", "[line a]\n  port = tcp://h:1\n\tprotocol = daly\n" PACK_P},
        {"comments behind values and headings",
         "[line a] ; c\nport = tcp://h:1 ; c\nprotocol=daly\t;c\n[pack p] # c\nline = a\nunit = "
         "1\n"},
        {"colons", "[line a]\nport: tcp://h:1\nprotocol : daly\n" PACK_P},
        {"blanks in headings", "[ line  a ]\nport = tcp://h:1\nprotocol = daly\n" PACK_P},
        {"a long comment",
         "# 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
         "123456789 "
         "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
         "123456789 "
         "123456789 123456789 123456789 123456789 123456789 123456789 unit = 9\n" GOOD},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *config = parse_good(cases[i].text);
        if (config->line_count != 1 || config->pack_count != 1 ||
            strcmp(config->lines[0].port, "tcp://h:1") != 0 || config->packs[0].unit != 1 ||
            config->packs[0].driver != bms_driver_find("daly"))
            fail_msg("%s: not the same configuration", cases[i].name);
        config_free(config);
    }
}

TEST(ports)
{
    static const struct {
        const char *port;
        bool good;
    } cases[] = {
        {"serial:/dev/ttyUSB0", true},
        {"serial:/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0", true},
        {"tcp://192.0.2.49:6126", true},
        {"tcp://moxa-1.shed_2.example.com:4001", true},
        {"tcp://[2001:db8::1]:65535", true},
        {"tcp://[fe80::1%eth0]:502", true},
        {"tcp://3com.example:1", true},
        {"sim:", true},
        {"", false},
        {"/dev/ttyUSB0", false},
        {"serial:", false},
        {"serial:/", false},
        {"serial:ttyUSB0", false},
        {"serial://dev/ttyUSB0", true},
        {"tcp://192.0.2.49", false},
        {"tcp://192.0.2.49:", false},
        {"tcp://192.0.2.49:0", false},
        {"tcp://192.0.2.49:65536", false},
        {"tcp://192.0.2.49:502x", false},
        {"tcp://192.0.2.49:-1", false},
        {"tcp://192.0.2.49:502/", false},
        {"tcp://192.0.2.300:502", false},
        {"tcp://192.0.2:502", false},
        {"tcp://:502", false},
        {"tcp://h h:502", false},
        {"tcp://-h:502", false},
        {"tcp://2001:db8::1:502", false},
        {"tcp://[2001:db8::1]", false},
        {"tcp://[2001:db8::g]:502", false},
        {"tcp://[fe80::1%]:502", false},
        {"tcp://[]:502", false},
        {"tcp://[192.0.2.1]:502", false},
        {"tcp:192.0.2.49:502", false},
        {"udp://192.0.2.49:502", false},
        {"sim", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[400], *messages;
        snprintf(text, sizeof text, "[line a]\nport = %s\nprotocol = daly\n" PACK_P, cases[i].port);
        struct config *config = parse_config(text, &messages);
        if (!config != !cases[i].good)
            fail_msg("'%s': %s\n%s", cases[i].port, config ? "accepted" : "refused", messages);
        if (config)
            assert_string_equal(config->lines[0].port, cases[i].port);
        config_free(config);
        free(messages);
    }
}

/* Every number at both ends of its range, and just beyond. */
TEST(limits)
{
    static const struct {
        const char *before, *key, *below, *lowest, *highest, *above, *after;
    } cases[] = {
        {GOOD "[gateway]\n", "base", "none", "0, none", "60000, none", "65536", ""},
        {GOOD "[gateway]\n", "also_at", "-1", "0", "65478", "65536", ""},
        {GOOD "[gateway]\n", "poll", "99ms", "100ms", "1h", "1.001h", ""},
        {GOOD "[gateway]\npoll = 500ms\n", "stale_after", "999ms", "1s", "24h", "24.001h", ""},
        {GOOD "[notify x]\ntype = pushover\nkey_file = /k\n", "priority", "-3", "-2", "2", "3", ""},
        {GOOD "[gateway]\n", "display", "65536", "0", "1, 2, 0xFFFFFFFF", "1, 2, 3, 4", ""},
        {GOOD "[gateway]\n", "location", "91, 9", "-90, -180", "90,180", "45", ""},
        {GOOD, "address", "-1", "1, 0", "16, 255", "1, 2, 3", ""},
        {GOOD "[history]\n", "keep", "32d", "1h, 1d, 1d", "31d, 3650d, 36500d", "48h,", ""},
        {GOOD "[web]\n", "max_clients", "3", "4, 2, 1", "4000, 4000, 4000", "8, 4, 9", ""},
        {GOOD "[bank b]\npacks = p\n", "unit", "0", "2", "247", "248", ""},
        {GOOD MORE_PACKS "[bank b]\npacks = p, q, r\nunit = 4\n", "min_packs", "0", "1", "3", "4",
         ""},
        {GOOD "[gateway]\n", "max_clients", "0", "1", "1000", "1001", ""},
        {GOOD "[gateway]\n", "idle_timeout", "999ms", "1s", "24h", "86401s", ""},
        {GOOD "[gateway]\n", "dashboard_id", "-1", "0", "65535", "65536", ""},
        {GOOD "[gateway]\n", "display_1", "-1", "0", "4294967295", "4294967296", ""},
        {GOOD "[gateway]\n", "display_2", "-0", "0x0", "0xFFFFFFFF", "0x100000000", ""},
        {"[line a]\nport=serial:/x\nprotocol=daly\n", "baud", "299", "300", "4000000", "4000001",
         PACK_P},
        {LINE_A, "reply_timeout", "9ms", "10ms", "60s", "60001ms", PACK_P},
        {LINE_A, "gap", "-1ms", "0ms", "10s", "10001ms", PACK_P},
        {LINE_A, "settle", "-1ms", "0ms", "30s", "30001ms", PACK_P},
        {LINE_A, "tries", "0", "1", "10", "11", PACK_P},
        {GOOD, "address", "0", "1", "16", "17", ""},
        {GOOD, "adr", "-1", "0", "255", "256", ""},
        {GOOD, "capacity", "0.09", "0.1", "100000", "100000.1", ""},
        {LINE_A "[pack p]\nline = a\n", "unit", "0", "1", "247", "248", ""},
        {GOOD, "poll", "0s", "0.1s", "60m", "61m", ""},
        {GOOD "poll = 500ms\n", "stale_after", "0.9s", "1s", "1440m", "1441m", ""},
        {PUSH "write = p.voltage_v -> 1 u16\n", "unit", "-1", "0", "255", "256", ""},
        {PUSH "write = p.voltage_v -> 1 u16\n", "interval", "99ms", "100ms", "24h", "25h", ""},
        {PUSH "write = p.voltage_v -> 1 u16\n", "reply_timeout", "99ms", "100ms", "60s", "61s", ""},
        {PUSH "write = p.voltage_v -> 1 u32\n", "on_stale", "-1", "0", "4294967295", "4294967296",
         ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *values[] = {cases[i].below, cases[i].lowest, cases[i].highest, cases[i].above};
        for (size_t v = 0; v < COUNT(values); v++) {
            char text[400], *messages;
            snprintf(text, sizeof text, "%s%s = %s\n%s", cases[i].before, cases[i].key, values[v],
                     cases[i].after);
            struct config *config = parse_config(text, &messages);
            bool good = v == 1 || v == 2;
            if (!config == good)
                fail_msg("%s = %s: %s\n%s", cases[i].key, values[v],
                         config ? "accepted" : "refused", messages);
            config_free(config);
            free(messages);
        }
    }
}

/* Texts that strtod or strtol would take for numbers. */
TEST(numbers)
{
    static const struct {
        const char *key;
        const char *values[12];
    } cases[] = {
        {"capacity",
         {"", "1e3", "inf", "nan", "0x10", "+5", "1.", ".5", "1,5", "5 Ah", "-5", NULL}},
        {"poll",
         {"", "1", "s", "1e1s", "-1s", "1 sec", "1s 2s", "1m30s", "infs", "1.s", "1S", NULL}},
        {"unit", {"", "+1", "1.0", "1 1", "0x", "0xG", "one", "99999999999999999999999", NULL}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (const char *const *value = cases[i].values; *value; value++) {
            char text[400], *messages;
            snprintf(text, sizeof text, LINE_A "[pack p]\nline=a\n%s%s = %s\n",
                     strcmp(cases[i].key, "unit") == 0 ? "" : "unit=1\n", cases[i].key, *value);
            struct config *config = parse_config(text, &messages);
            if (config || !messages[0])
                fail_msg("%s = '%s' was accepted", cases[i].key, *value);
            free(messages);
        }
    }
}

#define NAME_34 "a234567890123456789012345678901234"
#define PACKS "names of packs such as house-1, at most 32 of them with commas between"
#define CHARACTERS_90                                                                              \
    "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
#define WRITE "NAME.VALUE -> REGISTER TYPE, such as house-1.soc_percent -> 40 u16"
#define UNIT_EXPECTED "expected a whole number from 1 to 247\n"
#define DURATION ", with the unit ms, s, m, h or d"

// clang-format off
static const struct {
    const char *name, *text, *messages;
} wrong[] = {
    /* The form of the file. */
    {"empty file", "",
     "f: there is no [section]\n"},
    {"comments only", "# packgate\n\n; poll = 1s\n",
     "f:3: there is no [section]\n"},
    {"no pack", "[gateway]\nbase = 300\n",
     "f:2: warning: there is no [pack NAME]: nothing is polled, and Modbus requests get exception 10\n"},
    {"neither key nor heading", GOOD "poll 1s\n",
     "f:7: neither 'key = value' nor a [section] nor a comment\n"},
    {"neither, as the last line without newline", GOOD "poll",
     "f:7: neither 'key = value' nor a [section] nor a comment\n"},
    {"continuation line", GOOD "[gateway]\nallow = 10.0.0.0/8,\n   192.168.0.0/16\n",
     "f:8: 'allow' has no value; expected networks such as 192.168.0.0/16 or fe80::/10, at most 64 of them with commas between\n"
     "f:9: neither 'key = value' nor a [section] nor a comment\n"},
    {"long line", GOOD "state_file = /" CHARACTERS_90 CHARACTERS_90 "123456789\nunit = 2\n",
     "f:7: a line of 203 characters; expected at most 198: a list can continue in a further line with the same key\n"
     "f:7: unknown key 'state_file' in [pack p]; it belongs in [gateway]\n"
     "f:8: 'unit' is given twice, first in line 6\n"},
    {"control character", GOOD "poll = 1s\x1B[0m\n",
     "f:7: control character 0x1B; expected plain text\n"},
    {"lone carriage return", GOOD "poll = 1s\rx = 1\n",
     "f:7: control character 0x0D; expected plain text\n"},
    {"open heading", GOOD "[gateway\nbase = 300\n",
     "f:7: a heading without its ']'\n"
     "f:8: unknown key 'base' in [pack p]; it belongs in [gateway]\n"},
    {"text behind a heading", GOOD "[gateway] base = 3\n",
     "f:7: text behind a heading; expected a line of its own\n"},
    {"key before any section", "base = 300\n" GOOD,
     "f:1: 'base' stands before the first [section]\n"},

    /* Sections. */
    {"unknown section", GOOD "[battery x]\nunit = 2\n",
     "f:7: unknown section [battery x]; expected {sections}\n"},
    {"mistyped section", GOOD "[pakc x]\nunit = 2\n",
     "f:7: unknown section [pakc x]; did you mean 'pack'?\n"},
    {"section in capitals", GOOD "[Gateway]\n",
     "f:7: unknown section [Gateway]; did you mean 'gateway'?\n"},
    {"no section word", GOOD "[]\n",
     "f:7: unknown section []; expected {sections}\n"},
    {"second gateway", GOOD "[gateway]\n[gateway]\nbase = x\n",
     "f:8: a second [gateway]; the first is in line 7\n"
     "f:9: 'base' is 'x'; expected a whole number from 0 to 65535; a whole number from 0 to 65535, or none; celsius or fahrenheit\n"},
    {"gateway with a name", GOOD "[gateway x]\n",
     "f:7: [gateway x] has a name; expected [gateway]\n"},
    {"pack without a name", GOOD "[pack]\nline = a\nunit = 2\naddress = 2\n",
     "f:7: [pack] has no name; expected [pack NAME] with 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'\n"},
    {"name with blanks", GOOD "[line my shed]\nport = tcp://h:2\n",
     "f:7: 'my shed' is no name for a line; expected [line NAME] with 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'\n"},
    {"long name", GOOD "[line " NAME_34 "]\nport = tcp://h:2\n",
     "f:7: '" NAME_34 "' is no name for a line; expected [line NAME] with 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'\n"},
    {"second line", GOOD "[line a]\nport = tcp://h:2\n",
     "f:7: a second [line a]; the first is in line 1\n"},
    {"second pack", GOOD "[pack p]\nline = a\naddress = 2\nunit = 2\n",
     "f:7: a second [pack p]; the first is in line 4\n"},

    /* Keys. */
    {"mistyped key", LINE_A "bauds = 9600\n" PACK_P,
     "f:4: unknown key 'bauds' in [line a]; did you mean 'baud'?\n"},
    {"swapped letters", LINE_A "gpa = 2ms\n" PACK_P,
     "f:4: unknown key 'gpa' in [line a]; did you mean 'gap'?\n"},
    {"another program's key", LINE_A "parity = even\n" PACK_P,
     "f:4: unknown key 'parity' in [line a]; did you mean 'baud'?\n"},
    {"key of another section", GOOD "baud = 9600\n",
     "f:7: unknown key 'baud' in [pack p]; it belongs in [line NAME] or [present NAME]\n"},
    {"unknown key", GOOD "[gateway]\ncolour = red\n",
     "f:8: unknown key 'colour' in [gateway]\n"},
    {"twice", GOOD "unit = 2\n",
     "f:7: 'unit' is given twice, first in line 6\n"},
    {"twice, the first one bad", GOOD "poll = x\npoll = 1s\n",
     "f:7: 'poll' is 'x'; expected a duration from 100ms to 1h" DURATION "\n"
     "f:8: 'poll' is given twice, first in line 7\n"},
    {"no value", GOOD "poll =\n",
     "f:7: 'poll' has no value; expected a duration from 100ms to 1h" DURATION "\n"},
    {"only a comment for a value", GOOD "poll = ; soon\n",
     "f:7: 'poll' has no value; expected a duration from 100ms to 1h" DURATION "\n"},
    {"wrong comment", GOOD "address = 2 # upper shelf\n",
     "f:7: 'address' is '2 # upper shelf'; expected a whole number from 0 to 255, up to 2 of them with commas between; a comment behind a value starts with ' ;'\n"},
    {"comment without its blank", GOOD "address = 2;upper shelf\n",
     "f:7: 'address' is '2;upper shelf'; expected a whole number from 0 to 255, up to 2 of them with commas between\n"},
    {"missing unit", LINE_A "[pack p]\nline = a\n",
     "f:4: [pack p] has no 'unit'; " UNIT_EXPECTED},
    {"missing line", GOOD "[pack q]\nunit = 2\nprotocol = daly\n",
     "f:7: [pack q] has no 'line'; expected a name: 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'\n"},
    {"missing port", "[line a]\nprotocol = daly\n" PACK_P,
     "f:1: [line a] has no 'port'; expected serial:/dev/..., tcp://HOST:PORT, ble:ADDRESS or sim:\n"},

    /* Values. */
    {"listen: no port", GOOD "[gateway]\nlisten = 0.0.0.0\n",
     "f:8: 'listen' is '0.0.0.0'; expected ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most 8 of them with commas between; did you mean '0.0.0.0:502'?\n"},
    {"listen: what takes the same", GOOD "[gateway]\nlisten = 0.0.0.0:502, [::]:502, 192.0.2.7:503\nlisten = 192.0.2.7:502, [::1]:502\n",
     "f:9: 'listen' has 192.0.2.7:502, which 0.0.0.0:502 takes already; leave one of them out\n"
     "f:9: 'listen' has [::1]:502, which [::]:502 takes already; leave one of them out\n"},
    {"listen: link-local, mapped", GOOD "[gateway]\nlisten = [fe80::1]:502, [::ffff:192.0.2.7]:502, [fe80::1%eth0]:502\n",
     "f:8: 'listen' is '[fe80::1]:502'; expected ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most 8 of them with commas between; a link-local address needs its interface, such as [fe80::1%eth0]:502\n"
     "f:8: 'listen' is '[::ffff:192.0.2.7]:502'; expected ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most 8 of them with commas between; did you mean '192.0.2.7:502'?\n"},
    {"port: link-local", "[line a]\nport = tcp://[fe80::1]:4001\nprotocol = daly\n" PACK_P,
     "f:2: 'port' is 'tcp://[fe80::1]:4001'; expected serial:/dev/..., tcp://HOST:PORT, ble:ADDRESS or sim:; a link-local address needs its interface, such as [fe80::1%eth0]:4001\n"},
    {"listen: a name", GOOD "[gateway]\nlisten = 0.0.0.0:502, localhost:502\n",
     "f:8: 'listen' is 'localhost:502'; expected ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most 8 of them with commas between\n"},
    {"listen: nine", GOOD "[gateway]\nlisten = 1.1.1.1:1,1.1.1.1:2,1.1.1.1:3,1.1.1.1:4,1.1.1.1:5,1.1.1.1:6\nlisten = 1.1.1.1:7,1.1.1.1:8,1.1.1.1:9\n",
     "f:9: 'listen' is '1.1.1.1:9'; expected ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most 8 of them with commas between\n"},
    {"allow", GOOD "[gateway]\nallow = 10.0.0.0/8, 10.0.0.0/33, lan\n",
     "f:8: 'allow' is '10.0.0.0/33'; expected networks such as 192.168.0.0/16 or fe80::/10, at most 64 of them with commas between\n"
     "f:8: 'allow' is 'lan'; expected networks such as 192.168.0.0/16 or fe80::/10, at most 64 of them with commas between\n"},
    {"a copy of the block", GOOD "[gateway]\nbase = 290, off\n",
     "f:8: 'base' is '290, off'; expected a whole number from 0 to 65535; a whole number from 0 to 65535, or none; celsius or fahrenheit\n"},
    {"float_order", GOOD "[gateway]\nfloat_order = ltitle\n",
     "f:8: 'float_order' is 'ltitle'; expected little or big; did you mean 'little'?\n"},
    {"rts", LINE_A "baud = rs-485\n" PACK_P,
     "f:4: 'baud' is 'rs-485'; expected " SERIAL "; did you mean 'rs485'?\n"
     "f:4: warning: 'baud' has no effect here: [line a] is no serial port of this host\n"},
    {"two speeds", "[line a]\nport = serial:/dev/x\nprotocol = daly\nbaud = 9600 19200\n" PACK_P,
     "f:4: 'baud' is '9600 19200'; expected " SERIAL "\n"},
    {"state_file", GOOD "[gateway]\nstate_file = state\n",
     "f:8: 'state_file' is 'state'; expected the path of a file, starting with '/', or none\n"},
    {"framing", "[line a]\nport = serial:/dev/x\nprotocol = daly\nbaud = 9600 9N1\n" PACK_P,
     "f:4: 'baud' is '9600 9N1'; expected " SERIAL "\n"},
    {"protocol", GOOD "protocol = dayl\n",
     "f:7: 'protocol' is 'dayl'; expected a protocol: {protocols}; did you mean 'daly'?\n"},
    {"protocol of the line", "[line a]\nport = tcp://h:1\nprotocol = nothing-like-it\n" PACK_P,
     "f:3: 'protocol' is 'nothing-like-it'; expected a protocol: {protocols}\n"},
    {"bad line name", LINE_A "[pack p]\nline = a b\nunit = 1\n",
     "f:1: warning: [line a] has no pack and stays unused\n"
     "f:5: 'line' is 'a b'; expected a name: 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'\n"},

    /* Several keys and sections together. */
    {"unknown line", "[line shed]\nport = tcp://h:1\nprotocol = daly\n[pack p]\nline = shde\nunit = 1\n",
     "f:1: warning: [line shed] has no pack and stays unused\n"
     "f:5: there is no [line shde]; did you mean 'shed'?\n"},
    {"no line at all", "[pack p]\nline = shed\nunit = 1\n",
     "f:2: there is no [line shed]\n"},
    {"no protocol", "[line a]\nport = tcp://h:1\n" PACK_P,
     "f:3: neither [pack p] nor [line a] has a 'protocol'; expected a protocol: {protocols}\n"},
    {"same unit", GOOD "[pack q]\nline = a\naddress = 2\nunit = 1\n",
     "f:10: unit 1 is already that of [pack p] in line 6\n"},
    {"same address", GOOD "address = 2\n[pack q]\nline = a\naddress = 2\nunit = 2\n",
     "f:10: address 2 of protocol 'daly' on [line a] is already that of [pack p] in line 7\n"},
    {"same address by default", GOOD "[pack q]\nline = a\nunit = 2\n",
     "f:7: address 1 of protocol 'daly' on [line a] is already that of [pack p] in line 4\n"},
    {"address out of the protocol's range", GOOD "address = 17\n",
     "f:7: 'address' is 17; expected 1 to 16 for protocol 'daly'\n"},
    {"unknown variant", GOOD "protocol = daly blutooth\n",
     "f:7: protocol 'daly' has no variant 'blutooth'; expected one of auto, rs485, bluetooth; did you mean 'bluetooth'?\n"},
    {"same serial port", "[line a]\nport = serial:/dev/x\nprotocol = daly\n" PACK_P
     "[line b]\nport = serial:/dev/x\n[pack q]\nline = b\nprotocol = daly\nunit = 2\n",
     "f:8: 'serial:/dev/x' is already the port of [line a] in line 2\n"},
    {"same TCP port", GOOD "[line b]\nport = tcp://h:1\n[pack q]\nline = b\nprotocol = daly\nunit = 2\n",
     "f:8: 'tcp://h:1' is already the port of [line a] in line 2\n"},
    {"stale before it can be read again", GOOD "[gateway]\npoll = 30s\nstale_after = 10s\n",
     "f:9: 'stale_after' is 10s; expected more than the poll interval of 30s\n"},
    {"stale, by the pack's interval", GOOD "poll = 10s\n[gateway]\nstale_after = 10s\n",
     "f:7: 'stale_after' is 10s; expected more than the poll interval of 10s\n"},
    {"stale, by the pack's limit", GOOD "stale_after = 5s\n[gateway]\npoll = 5s\n",
     "f:7: 'stale_after' is 5s; expected more than the poll interval of 5s\n"},

    /* What the protocols demand of a line. */
    {"two packs of a protocol without addresses",
     "[line a]\nport = sim:\nprotocol = jbd\n" PACK_P "[pack q]\nline = a\nunit = 2\n",
     "f:8: [line a] has [pack p] already, and protocol 'jbd' has no addresses: one pack to a line\n"},
    {"a protocol without addresses beside another",
     LINE_A PACK_P "[pack q]\nline = a\nprotocol = jbd\nunit = 2\n[pack r]\nline = a\nunit = 3\naddress = 3\n",
     "f:8: [line a] has [pack p] already, and protocol 'jbd' has no addresses: one pack to a line\n"
     "f:12: [line a] has [pack q] already, and protocol 'jbd' has no addresses: one pack to a line\n"},
    {"a neighbour of one that talks unasked",
     LINE_A PACK_P "[pack q]\nline = a\nprotocol = vedirect\nunit = 2\n",
     "f:8: [line a] has [pack p] already, and protocol 'vedirect' talks unasked: one pack to a line\n"},
    {"address where there is none", GOOD "protocol = jbd\naddress = 1\n",
     "f:8: protocol 'jbd' has no addresses; leave 'address' out\n"},
    {"variant where there is none", GOOD "protocol = jbd up\n",
     "f:7: protocol 'jbd' has no variants; leave 'up' out\n"},
    {"two speeds on a serial port",
     "[line a]\nport = serial:/dev/x\nprotocol = daly\n" PACK_P "[pack q]\nline = a\nprotocol = jk-pb\nunit = 2\n",
     "f:8: [line a] has no 'baud' of its own, and 'daly' (9600) and 'jk-pb' (115200) differ\n"},

    /* Banks. */
    {"tunnel without anything", GOOD "[tunnel t]\n",
     "f:7: [tunnel t] has no 'listen'; expected ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most 8 of them with commas between\n"
     "f:7: there is no [line t]\n"},
    {"tunnel to a line that there is not", GOOD "[tunnel k]\nlisten = 127.0.0.1:1\n",
     "f:7: there is no [line k]\n"},
    {"tunnel to a device that talks",
     "[line l]\nport = tcp://h:1\nprotocol = vedirect\n[pack p]\nline = l\nunit = 1\n[tunnel l]\nlisten = 127.0.0.1:1\n",
     "f:7: [pack p] on [line l] talks unasked, which leaves no room for others; expected 'share = no'\n"},
    {"tunnel to a line that is listened to",
     "[line l]\nport = tcp://h:1\nprotocol = jk-pb\nlisten = yes\n[pack p]\nline = l\nunit = 1\n[tunnel l]\nlisten = 127.0.0.1:1\n",
     "f:8: [line l] is only listened to: a tunnel could send nothing\n"},
    {"socket with a long name",
     "[gateway]\ncontrol = /run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" GOOD,
     "f:2: 'control' is '/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'; expected the path of a socket, starting with '/', at most 107 bytes, or none\n"},
    {"bank without anything", GOOD "[bank b]\n",
     "f:7: [bank b] has no 'packs'; expected " PACKS "\n"
     "f:7: [bank b] has no 'unit'; " UNIT_EXPECTED},
    {"bank without packs", GOOD "[bank b]\npacks =\nunit = 2\n",
     "f:8: 'packs' has no value; expected " PACKS "\n"},
    {"bank: a comma too many", GOOD "[bank b]\npacks = p,\nunit = 2\n",
     "f:8: 'packs' has no value; expected " PACKS "\n"},
    {"bank: no name", GOOD "[bank b]\npacks = p, two words\nunit = 2\n",
     "f:8: 'packs' is 'two words'; expected " PACKS "\n"},
    {"bank: unknown packs", LINE_A "[pack house-1]\nline = a\nunit = 1\n[bank b]\npacks = huose-1, house-1, shed\nunit = 2\n",
     "f:8: there is no [pack huose-1]; did you mean 'house-1'?\n"
     "f:8: there is no [pack shed]\n"},
    {"bank: a bank in it", GOOD "[bank b]\npacks = p\nunit = 2\n[bank c]\npacks = b\nunit = 3\n",
     "f:11: there is no [pack b]\n"},
    {"bank: the same pack twice", GOOD MORE_PACKS "[bank b]\npacks = p, q\npacks = p\nunit = 4\n",
     "f:16: [pack p] is in [bank b] twice\n"},
    {"bank: an unknown shunt", GOOD "[bank b]\npacks = p\nunit = 2\nshunt = q\n",
     "f:10: there is no [pack q]\n"},
    {"bank: a shunt that is in it", GOOD "[bank b]\npacks = p\nunit = 2\nshunt = p\n",
     "f:10: 'shunt' is [pack p], which is in 'packs'; expected one that measures all of them together\n"},
    {"bank: unit of a pack", "[bank b]\npacks = p\nunit = 1\n" GOOD,
     "f:3: unit 1 is already that of [pack p] in line 9\n"},
    {"bank: unit of a bank", GOOD "[bank b]\npacks = p\nunit = 2\n[bank c]\npacks = p\nunit = 2\n",
     "f:12: unit 2 is already that of [bank b] in line 9\n"},
    {"bank: min_packs", GOOD MORE_PACKS "[bank b]\npacks = p, q\nunit = 4\nmin_packs = 3\n",
     "f:18: 'min_packs' is 3; expected at most 2, which is all packs of [bank b]\n"},
    {"bank: min_packs of none", GOOD "[bank b]\npacks = p\nunit = 4\nmin_packs = 0\n",
     "f:10: 'min_packs' is '0'; expected a whole number from 1 to 32\n"},
    {"bank: name of a pack", "[bank p]\npacks = p\nunit = 4\n" GOOD,
     "f:1: [bank p] has the name of [pack p] in line 7; expected another one\n"},
    {"second bank", GOOD "[bank b]\npacks = p\nunit = 2\n[bank b]\npacks = p\nunit = 3\n",
     "f:10: a second [bank b]; the first is in line 7\n"},
    {"bank without a name", GOOD "[bank]\npacks = p\nunit = 2\n",
     "f:7: [bank] has no name; expected [bank NAME] with 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'\n"},
    {"bank: another program's key", GOOD "[bank b]\nmembers = p\npacks = p\nunit = 2\n",
     "f:8: unknown key 'members' in [bank b]; did you mean 'packs'?\n"},

    /* What is pushed. */
    {"push without a write", PUSH,
     "f:7: [push plc] has no 'write'; expected " WRITE "\n"},
    {"push: target", GOOD "[push plc]\ntarget = serial:/dev/x\nwrite = p.voltage_v -> 1 u16\n",
     "f:8: 'target' is 'serial:/dev/x'; expected tcp://HOST:PORT, such as tcp://192.0.2.10:502\n"},
    {"push: on_stale", PUSH "on_stale = skp\nwrite = p.voltage_v -> 1 u16\n",
     "f:9: 'on_stale' is 'skp'; expected skip, unknown or a number; did you mean 'skip'?\n"},
    {"second push", PUSH "write = p.voltage_v -> 1 u16\n[push plc]\ntarget = tcp://h:503\nwrite = p.voltage_v -> 1 u16\n",
     "f:10: a second [push plc]; the first is in line 7\n"},
    {"write: forms", PUSH "write = p.voltage_v 40 u16\nwrite = -> 40 u16\nwrite = p .voltage_v -> 40 u16\nwrite = p.voltage_v ->\n",
     "f:9: 'write' is 'p.voltage_v 40 u16'; expected NAME.VALUE -> REGISTER TYPE, such as house-1.soc_percent -> 40 u16\n"
     "f:10: 'write' is '-> 40 u16'; expected NAME.VALUE -> REGISTER TYPE, such as house-1.soc_percent -> 40 u16\n"
     "f:11: 'write' is 'p .voltage_v -> 40 u16'; expected NAME.VALUE -> REGISTER TYPE, such as house-1.soc_percent -> 40 u16\n"
     "f:12: 'register' of 'p.voltage_v' is ''; expected a whole number from 0 to 65535\n"},
    {"write: no such pack", LINE_A "[pack house-1]\nline = a\nunit = 1\n[push plc]\ntarget = tcp://h:1\n"
     "write = huose-1.voltage_v -> 1 u16\nwrite = voltage_v -> 2 u16\nwrite = gatewy.seconds -> 3 u16\n"
     "write = huose-1.current_a -> 4 u16\nwrite = huose-1.cycles -> 5 u16\nwrite = gatewy.seconds -> 6 u16\n",
     "f:9: 'huose-1.voltage_v' starts with the name of no pack or bank; did you mean 'house-1'? (and in 2 more lines)\n"
     "f:10: 'voltage_v' starts with the name of no pack or bank\n"
     "f:11: 'gatewy.seconds' starts with the name of no pack or bank; did you mean 'gateway'? (and in 1 more line)\n"},
    {"write: no such number", PUSH "write = p.soc -> 1 u16\nwrite = p.voltage -> 1 u16\nwrite = p.serial -> 1 u16\n"
     "write = p.cell_mv.49 -> 1 u16\nwrite = p. -> 1 u16\nwrite = gateway.voltage_v -> 1 u16\nwrite = p.alarm.soc_lo -> 1 u16\n",
     "f:9: 'p' has no number 'soc'; did you mean 'soc_percent'?\n"
     "f:10: 'p' has no number 'voltage'; did you mean 'voltage_v'?\n"
     "f:11: 'p' has no number 'serial'\n"
     "f:12: 'p' has no number 'cell_mv.49'; did you mean 'cell_mv.4'?\n"
     "f:13: 'p' has no number ''\n"
     "f:14: 'gateway' has no number 'voltage_v'; did you mean 'seconds'?\n"
     "f:15: 'p' has no number 'alarm.soc_lo'; did you mean 'alarm.soc_low'?\n"},
    {"write: register and type", PUSH "write = p.voltage_v -> 65536 u16\nwrite = p.voltage_v -> 1 u17\nwrite = p.voltage_v -> 65535 float32\nwrite = p.voltage_v -> -1 u16\nwrite = p.voltage_v -> 1\n",
     "f:9: 'register' of 'p.voltage_v' is '65536'; expected a whole number from 0 to 65535\n"
     "f:10: 'type' of 'p.voltage_v' is 'u17'; expected u16, s16, u32, s32 or float32; did you mean 'u16'?\n"
     "f:11: a float32 of 2 registers does not fit at 65535, 65535 is the last one\n"
     "f:12: 'register' of 'p.voltage_v' is '-1'; expected a whole number from 0 to 65535\n"
     "f:13: 'type' of 'p.voltage_v' is ''; expected u16, s16, u32, s32 or float32\n"},
    {"write: options", PUSH "write = p.voltage_v -> 1 u16 scal 10\nwrite = p.voltage_v -> 1 u16 scale 0\nwrite = p.voltage_v -> 1 u16 scale\n"
     "write = p.voltage_v -> 1 u16 scale 1 scale 2\nwrite = p.voltage_v -> 1 float32 word_order middle\nwrite = p.voltage_v -> 1 u16 deadband -1\nwrite = p.voltage_v -> 1 u16 bit 1\n",
     "f:9: 'scal' is no option of a write; expected deadband, on_stale, map, scale, offset, min, max or word_order; did you mean 'scale'?\n"
     "f:10: 'scale' of 'p.voltage_v' is 0; expected another number\n"
     "f:11: 'scale' of 'p.voltage_v' is ''; expected a number from -1e+06 to 1000000\n"
     "f:12: 'scale' of 'p.voltage_v' is given twice\n"
     "f:13: 'word_order' of 'p.voltage_v' is 'middle'; expected little or big\n"
     "f:14: 'deadband' of 'p.voltage_v' is '-1'; expected a number from 0 to 1000000\n"
     "f:15: 'bit' is no option of a write; expected deadband, on_stale, map, scale, offset, min, max or word_order\n"},
    {"write: does not fit", PUSH "write = p.current_a -> 1 u16\nwrite = p.voltage_v -> 1 u32 scale -1\nwrite = p.alarms_active -> 1 u16\nwrite = gateway.seconds -> 1 s16\n"
     "write = p.voltage_v -> 1 u16 on_stale -1\nwrite = p.voltage_v -> 1 s16 on_stale 0.5\n",
     "f:9: 'p.current_a' can be negative, and a u16 cannot; expected s16, s32 or float32, an offset, or 'min 0' where that is meant\n"
     "f:10: 'p.voltage_v' can be negative, and a u32 cannot; expected s16, s32 or float32, an offset, or 'min 0' where that is meant\n"
     "f:11: 'p.alarms_active' is up to 4194303, which does not fit into a u16\n"
     "f:12: 'gateway.seconds' is up to 65535, which does not fit into a s16\n"
     "f:13: 'on_stale' of 'p.voltage_v' is -1, which does not fit into a u16\n"
     "f:14: 'on_stale' of 'p.voltage_v' is 0.5, which does not fit into a s16\n"},
    {"write: on_stale of the push does not fit", PUSH "write = p.voltage_v -> 1 u16\nwrite = p.current_a -> 2 s16\non_stale = 65535\n",
     "f:10: 'on_stale' of 'p.current_a' is 65535, which does not fit into a s16\n"},
    {"write: overlap", PUSH "write = p.voltage_v -> 40 float32\nwrite = p.soc_percent -> 41 u16\nwrite = p.power_w -> 39 s32\nwrite = p.soc_percent -> 42 u16\n",
     "f:10: register 41 is already that of line 9\n"
     "f:11: register 40 is already that of line 9\n"},
    {"write: overlap of two pushes", PUSH "write = p.voltage_v -> 40 u16\n[push again]\ntarget = tcp://h:502\nwrite = p.voltage_v -> 40 u16\n"
     "[push unit-2]\ntarget = tcp://h:502\nunit = 2\nwrite = p.voltage_v -> 40 u16\n",
     "f:12: register 40 is already written in [push plc]\n"},
    {"deadband without on_change", PUSH "write = p.voltage_v -> 1 u16 deadband 0.5\n",
     "f:9: warning: 'deadband' has no effect here: [push plc] has no 'on_change' behind its 'interval'\n"},

    /* What can be lived with. */
    {"line without packs", GOOD "[line b]\nport = tcp://h:2\n",
     "f:7: warning: [line b] has no pack and stays unused\n"},
    {"advertised: no key, a name", "[line a]\nport = ble:SmartShunt\nprotocol = victron-ble\n" PACK_P,
     "f:2: warning: 'ble:SmartShunt' is a name: once connected to, a device may have another one; take its address (packgate probe ble: shows it)\n"
     "f:2: [line a] has no 'key_file': what [pack p] advertises is encrypted\n"
     "f:2: 'port' is 'ble:SmartShunt'; expected the address of [pack p]\n"},
    {"a key for nothing, not repeated", LINE_A "key_file = /etc/key\n" PACK_P "[line b]\nport = ble:A4:C1:38:00:00:01\n"
     "protocol = victron-ble\nkey_file = aff4d0995b7d1e176c0c33ecb9e70dcd\n[pack q]\nline = b\nunit = 2\n",
     "f:4: warning: 'key_file' has no effect here: [pack p] has nothing encrypted\n"
     "f:11: 'key_file' cannot be used; expected the path of a file, starting with '/', or none\n"},
    {"the same Bluetooth device twice", "[line b]\nport = ble:hci1/A4:C1:38:00:00:01\nprotocol = daly\n"
     "[line c]\nport = ble:hci1/a4:c1:38:00:00:01\nprotocol = daly\n" GOOD
     "[pack q]\nline = b\nunit = 2\n[pack r]\nline = c\nunit = 3\n",
     "f:5: 'ble:hci1/A4:C1:38:00:00:01' is already the port of [line b] in line 2\n"},
    {"the same one over two adapters", "[line b]\nport = ble:A4:C1:38:00:00:01\nprotocol = daly\n"
     "[line c]\nport = ble:hci1/A4:C1:38:00:00:01\nprotocol = daly\n" GOOD
     "[pack q]\nline = b\nunit = 2\n[pack r]\nline = c\nunit = 3\n",
     "f:5: 'ble:hci1/A4:C1:38:00:00:01' is already the port of [line b] in line 2\n"},
    {"serial settings of a serial server", LINE_A "baud = 9600 8N1\n" PACK_P,
     "f:4: warning: 'baud' has no effect here: [line a] is no serial port of this host\n"},

    {"no warning about the limits of what is not named", GOOD "[present x]\nof = all\nport = can:can0\nprotocol = victron\n",
     "f:8: 'of' is 'all'; expected the name of one pack or bank\n"},

    /* All of them are told, in the order of the file. */
    {"many", "[pack p]\nline = b\nunit = 300\nunti = 3\n[line a]\nport = com1\nprotocol = daly\n[gateway]\nbase = -1\npoll = 5\n",
     "f:2: there is no [line b]\n"
     "f:3: 'unit' is '300'; " UNIT_EXPECTED
     "f:4: unknown key 'unti' in [pack p]; did you mean 'unit'?\n"
     "f:5: warning: [line a] has no pack and stays unused\n"
     "f:6: 'port' is 'com1'; expected serial:/dev/..., tcp://HOST:PORT, ble:ADDRESS or sim:; `packgate probe` lists the serial ports that there are\n"
     "f:9: 'base' is '-1'; expected a whole number from 0 to 65535; a whole number from 0 to 65535, or none; celsius or fahrenheit\n"
     "f:10: 'poll' is '5'; expected a duration from 100ms to 1h" DURATION "; did you mean '5s'?\n"},
};
// clang-format on

TEST(wrong)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        expect(wrong[i].name, wrong[i].text, wrong[i].messages);
    }
}

/* Neighbours that are no mistake. */
TEST(shared_line)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"two addresses", GOOD "[pack q]\nline = a\naddress = 2\nunit = 2\n"},
        {"one address in two protocols", GOOD "[pack q]\nline = a\nprotocol = jk-pb\nunit = 2\n"},
        {"one address behind two masters", "[line a]\nport = tcp://h:1\nprotocol = topbms\n"
                                           "[pack p]\nline = a\nunit = 1\naddress = 2, 1\n"
                                           "[pack q]\nline = a\nunit = 2\naddress = 2, 3\n"},
        {"two usual speeds, one in the configuration",
         "[line a]\nport = serial:/dev/x\nbaud = 19200\nprotocol = daly\n" PACK_P
         "[pack q]\nline = a\nprotocol = jk-pb\nunit = 2\n"},
        {"two simulated lines",
         "[line a]\nport = sim:\nprotocol = daly\n" PACK_P
         "[line b]\nport = sim:\nprotocol = daly\n[pack q]\nline = b\nunit = 2\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *config = parse_good(cases[i].text);
        assert_int_equal(config->pack_count, 2);
        bool shared = config->line_count == 1;
        assert_int_equal(config->packs[0].options.shared, shared);
        assert_int_equal(config->packs[1].options.shared, shared);
        config_free(config);
    }
}

static struct config *load_path(const char *path, char **messages)
{
    size_t ignored;
    FILE *errors = open_memstream(messages, &ignored);
    assert_non_null(errors);
    struct config *config = config_load(path, errors);
    fclose(errors);
    return config;
}

static struct config *load_bytes(const char *bytes, size_t size, char **messages)
{
    char path[] = "/tmp/test_config.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
    struct config *config = load_path(path, messages);
    unlink(path);
    return config;
}

TEST(files)
{
    char *messages;
    struct config *config = load_bytes(GOOD, strlen(GOOD), &messages);
    assert_non_null(config);
    assert_string_equal(messages, "");
    config_free(config);
    free(messages);

    static const char nul[] = GOOD "po\0ll = 1s\n";
    assert_null(load_bytes(nul, sizeof nul - 1, &messages));
    assert_non_null(strstr(messages, ":7: a NUL byte; expected plain text (UTF-8)\n"));
    free(messages);

    static char large[1024 * 1024 + 1];
    memset(large, '\n', sizeof large);
    assert_null(load_bytes(large, sizeof large, &messages));
    assert_non_null(strstr(messages, ": larger than 1048576 bytes; expected a configuration\n"));
    free(messages);
}

TEST(no_file)
{
    static const struct {
        const char *path, *message;
    } cases[] = {
        {"/no/such/file", "/no/such/file: cannot be opened: No such file or directory\n"},
        {"/", "/: cannot be read: Is a directory\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages;
        assert_null(load_path(cases[i].path, &messages));
        assert_string_equal(messages, cases[i].message);
        free(messages);
    }
}

/* Whoever reads a pipe waits for who writes it: at a reload that would be the whole gateway. */
TEST(pipes_at_a_reload)
{
    static const char text[] = "[line l]\nport = tcp://h:1\nprotocol = ant\n[pack p]\nline = l\n"
                               "unit = 1\nwritable = yes\npassword_file = %s\n";
    char folder[] = "/tmp/packgate-test-XXXXXX", path[64], pipe[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.ini", folder);
    snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, text, pipe);
    fclose(out);
    struct config_file file = {0};
    config_free(config_file_load(&file, path, 1000));
    assert_non_null(strstr(file.mistakes.list[0].text, "it is not a regular file"));
    config_free(config_file_load(&file, pipe, 1001));
    assert_string_equal(file.mistakes.list[0].text, "cannot be opened: it is not a regular file");
    assert_false(file.in_force);
    config_file_free(&file);
    unlink(path);
    unlink(pipe);
    rmdir(folder);
}

/* What is shown is the text that was checked: the file may have changed since then, and a pipe is read only once. */
TEST(text_that_was_read)
{
    static const char text[] = "[line l]\nport = sim:\nprotocol = daly\n";
    struct config_file file = {0};
    char path[32];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    config_free(config_file_load(&file, path, 1000));
    assert_true(file.in_force);
    assert_string_equal(file.text, text);
    config_file_free(&file);
    close(ends[0]);
}

/* A file that is none, such as a program: the list of mistakes ends somewhere. */
TEST(many_mistakes)
{
    char text[3001], *messages;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = i % 3 == 2 ? '\n' : 'x';
    text[sizeof text - 1] = 0;
    assert_null(parse_config(text, &messages));
    assert_non_null(strstr(messages, "\nf:100: neither"));
    assert_null(strstr(messages, "\nf:101: "));
    /* 1000 lines, and that there is no section. */
    assert_non_null(strstr(messages, "\nf: and 901 more\n"));
    free(messages);
}

static char *read_text(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing; run the test from the top of the source", path);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_true(size > 0 && size < sizeof text - 1);
    text[size] = 0;
    return text;
}

/* What other programs and habits write, and what is proposed instead. */
TEST(hints)
{
    // clang-format off
    static const struct {
        const char *text, *hint;
    } cases[] = {
        {PACK_P "poll = 5\n",                     "did you mean '5s'?"},
        {PACK_P "poll = 500\n",                   "did you mean '500ms'?"},
        {PACK_P "poll = 5000\n",                  "did you mean '5000ms'?"},
        {PACK_P "[history]\nminutes = 90\n",      "did you mean '90d'?"},
        {PACK_P "[history]\nminutes = 90 days\n", "did you mean '90d'?"},
        {PACK_P "poll = 5 sec\n",                 "did you mean '5s'?"},
        {PACK_P "poll = 2 Minutes\n",             "did you mean '2m'?"},
        {LINE_A "gap = 50\n",                     "did you mean '50ms'?"},
        {LINE_A "reply_timeout = 2\n",            "did you mean '2s'?"},
        {LINE_A "reply_timeout = 300\n",          "did you mean '300ms'?"},
        {PACK_P "writable = true\n",              "did you mean 'yes'?"},
        {PACK_P "writable = 0\n",                 "did you mean 'no'?"},
        {PACK_P "poll = \"5s\"\n",                "leave the quotes out"},
        {"[line a]\nport = 'tcp://h:1'\n",       "leave the quotes out"},
        {"[line a]\nport = /dev/ttyUSB0\n",      "did you mean 'serial:/dev/ttyUSB0'?"},
        {"[line a]\nport = ttyUSB0\n",           "did you mean 'serial:/dev/ttyUSB0'?"},
        {"[line a]\nport = serial:ttyUSB0\n",    "did you mean 'serial:/dev/ttyUSB0'?"},
        {"[line a]\nport = COM3\n",              "; `packgate probe` lists the serial ports"},
        {"[line a]\nport = tcp:192.0.2.7:4196\n", "did you mean 'tcp://192.0.2.7:4196'?"},
        {"[line a]\nport = socket://192.0.2.7:4196\n", "did you mean 'tcp://192.0.2.7:4196'?"},
        {"[line a]\nport = tcp://192.0.2.7\n",   "; the TCP port of the serial server is missing behind 192.0.2.7"},
        {"[line a]\nport = a4:c1:38:00:00:01\n", "did you mean 'ble:a4:c1:38:00:00:01'?"},
        {"[line a]\nport = 192.0.2.7:4196\n",    "did you mean 'tcp://192.0.2.7:4196'?"},
        {"[mqtt x]\nbroker = 192.0.2.7\n",       "did you mean 'mqtt://192.0.2.7'?"},
        {"[mqtt x]\nbroker = tcp://192.0.2.7:1883\n", "did you mean 'mqtt://192.0.2.7:1883'?"},
        {"[push x]\ntarget = 192.0.2.7\n",       "did you mean 'tcp://192.0.2.7:502'?"},
        {"[push x]\ntarget = tcp://plc\n",       "did you mean 'tcp://plc:502'?"},
        {"[gateway]\nlisten = 1502\n",           "did you mean '0.0.0.0:1502'?"},
        {"[gateway]\nlisten = 192.0.2.7\n",      "did you mean '192.0.2.7:502'?"},
        {"[gateway]\nlisten = *:502\n",          "did you mean '0.0.0.0:502'?"},
        {LINE_A PACK_P "protocol = pylontech\n",  "'topbms pylontech'"},
        {LINE_A PACK_P "protocol = Pace\n",       "'topbms pace'"},
        {LINE_A PACK_P "protocol = seplos\n",     "'topbms seplos'"},
        {LINE_A PACK_P "protocol = eg4\n",        "'topbms eg4'"},
        {LINE_A PACK_P "protocol = JK\n",         "did you mean 'jk-pb', 'jk-4e57', 'jk02' or 'jk-balancer'?"},
        {LINE_A PACK_P "protocol = jk-bms\n",     "did you mean 'jk-pb', 'jk-4e57', 'jk02' or 'jk-balancer'?"},
        {LINE_A PACK_P "protocol = Victron\n",    "did you mean 'vedirect', 'vedirect-hex' or 'victron-ble'?"},
        {LINE_A PACK_P "protocol = overkill\n",   "did you mean 'jbd'?"},
        {PUSH "write = p.soc -> 1 u16\n",         "did you mean 'soc_percent'?"},
        {PUSH "write = p.current -> 1 s16\n",     "did you mean 'current_a'?"},
        {PUSH "write = p.cell_mv -> 1 u16\n",     "did you mean 'cell_mv.1'?"},
        {LINE_A "poll = 1s\n",                    "it belongs in [gateway] or [pack NAME]"},
        {"[gateway]\nunit = 1\n",                "it belongs in [pack NAME], [bank NAME], [push NAME] or [view NAME]"},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages;
        assert_null(parse_config(cases[i].text, &messages));
        if (!strstr(messages, cases[i].hint))
            fail_msg("expected '%s' for\n%sgot\n%s", cases[i].hint, cases[i].text, messages);
        free(messages);
    }
}

/* The commented example: good as it is, and good with every key in it; and it has every key. */
TEST(example)
{
    char *text = read_text("conf/packgate.ini"), name[80];
    config_free(parse_good(text));
    for (const struct config_key *key = next_key(NULL); key; key = next_key(key)) {
        snprintf(name, sizeof name, "\n%s = ", key->name);
        bool active = strstr(text, name) != NULL;
        snprintf(name, sizeof name, "\n;%s = ", key->name);
        if (!active && !strstr(text, name))
            fail_msg("conf/packgate.ini lacks '%s'", key->name);
    }
    for (char *line = text; (line = strstr(line, "\n;")) != NULL;)
        line[1] = ' ';
    config_free(parse_good(text));
}

/* The other example is right as it is. */
TEST(push_example)
{
    struct config *config = parse_good(read_text("conf/push-smartbms.ini"));
    assert_int_equal(config->push_count, 1);
    assert_int_equal(config->pushes[0].write_count, 16 + 9);
    config_free(config);
}

/* Where a key has a preset, the example shows just that. */
TEST(example_defaults)
{
    const char *text = read_text("conf/packgate.ini");
    for (const struct config_key *key = next_key(NULL); key; key = next_key(key)) {
        char expected[300];
        if (!key->preset)
            continue;
        snprintf(expected, sizeof expected, "\n;%s = %s\n", key->name, key->preset);
        if (!strstr(text, expected))
            fail_msg("conf/packgate.ini does not show the default%s", expected);
    }
}

TEST(print_keys)
{
    char *text, name[80];
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    keys_manual_print(false, out);
    fclose(out);
    for (const struct config_key *key = next_key(NULL); key; key = next_key(key)) {
        snprintf(name, sizeof name, "\n  %s\n", key->name);
        assert_non_null(strstr(text, name));
        assert_non_null(strstr(text, key->help));
    }
    assert_non_null(strstr(text, "Value: a duration from 100ms to 1h"));
    assert_non_null(strstr(text, "Value: a duration from 0 to 10s"));
    free(text);
}

TEST(titles)
{
    static const char *const good[] = {"K\xC3\xBC"
                                       "che links",
                                       "7", "\xE5\x8C\x97 \xF0\x9F\x94\x8B", "a = b # c; d",
                                       "1234567890123456789012345678901234567890"};
    static const char *const bad[] = {"\xC3",
                                      "a\xC3(",
                                      "\xC0\xAF",
                                      "\xED\xA0\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xFF",
                                      "a\tb",
                                      "\xC2\x85",
                                      "\xE2\x80\xAEx",
                                      "\xE2\x80\xA8",
                                      "12345678901234567890123456789012345678901"};
    char text[500], *messages;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text,
                 GOOD "name = %s\n[bank b]\npacks = p\nunit = 9\nname = %s\n[gateway]\nname = %s\n",
                 good[i], good[i], good[i]);
        struct config *config = parse_good(text);
        assert_string_equal(config->packs[0].title, good[i]);
        assert_string_equal(config->packs[0].name, "p");
        assert_string_equal(config->banks[0].title, good[i]);
        assert_string_equal(config->gateway.title, good[i]);
        config_free(config);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, GOOD "name = %s\n", bad[i]);
        struct config *config = parse_config(text, &messages);
        if (config || !strstr(messages, "expected a name of 1 to 40 characters (UTF-8)"))
            fail_msg("%zu: %s", i, messages);
        free(messages);
    }
}

static bool is_web(const char *word, const char *name)
{
    const struct config_key *key = config_key_of(word, name);
    return key && key->web;
}

/* What a browser may never set: what runs, reads or writes files, lets somebody in, or switches. */
TEST(keys_of_a_browser)
{
    static const char *const never[] = {"allow",      "allow_write", "writable", "control",
                                        "state_file", "command",     "file",     "map",
                                        "hosts",      "frame",       "proxy",    "tls_cert",
                                        "switching",  "write",       "target",   "password_file"};
    for (unsigned s = 0; config_sections[s]; s++)
        for (unsigned k = 0; k < config_sections[s]->key_count; k++) {
            const struct config_key *key = &config_sections[s]->keys[k];
            const size_t length = strlen(key->name);
            bool forbidden =
                key->folded || (length > 5 && strcmp(key->name + length - 5, "_file") == 0);
            for (size_t i = 0; i < sizeof never / sizeof *never; i++)
                forbidden |= strcmp(key->name, never[i]) == 0;
            if (forbidden && is_web(config_sections[s]->word, key->name))
                fail_msg("[%s] %s may be set from a browser", config_sections[s]->word, key->name);
        }
    assert_false(is_web("web", "listen"));
    assert_false(is_web("gateway", "listen"));
    assert_false(is_web("tunnel", "listen"));
    assert_false(is_web("nonsense", "port") || is_web("pack", "nonsense"));
    assert_true(is_web("line", "port") && is_web("pack", "unit") && is_web("mqtt", "broker"));
}

static size_t mutate(char *bytes, size_t size, size_t room, unsigned *seed)
{
    size_t at = next_random(seed) % size, length = next_random(seed) % 20;
    static const char chosen[] = "[]=:;#,./\n\r\t \0\xEF\xFF"
                                 "09-%x";
    if (at + length > size)
        length = size - at;
    switch (next_random(seed) % 4) {
    case 0:
        bytes[at] = chosen[next_random(seed) % (sizeof chosen - 1)];
        return size;
    case 1:
        bytes[at] = (char) (bytes[at] ^ 1 << next_random(seed) % 8);
        return size;
    case 2: /* a piece is lost */
        memmove(bytes + at, bytes + at + length, size - at - length);
        return size > length ? size - length : size;
    default: /* a piece is there twice */
        if (size + length > room)
            return size;
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    }
}

/* Whatever comes out must be whole. */
static void check_whole(const struct config *config)
{
    for (unsigned i = 0; i < config->pack_count; i++) {
        const struct pack_config *pack = &config->packs[i];
        assert_true(pack->line >= config->lines && pack->line < config->lines + config->line_count);
        assert_non_null(pack->driver);
        assert_true(pack->unit >= 1 && pack->unit <= 247);
        assert_true(pack->poll_s > 0 && pack->stale_after_s > pack->poll_s);
        assert_true(pack->name[0] && pack->line->name[0] && pack->line->port[0]);
    }
}

#define LIMITED LIMITS_OF("p")
#define LIMITS_OF(name)                                                                            \
    "[limits " name "]\ncharge_current = 100\ndischarge_current = 150.5A\ncells = 16\nsensors = "  \
    "2\n"                                                                                          \
    "cell_full = 3.45\ncell_float = 3.375V, 90%\n"

TEST(allowed_currents)
{
    struct config *config =
        parse_good(GOOD LIMITED "cell_high = 3.50:0, 3.375:1\ncell_high = 3.40:0.25\n"
                                "cell_low = 2.80:0, 3.19:1\n"
                                "temperature = -5.5:0,10:1,40:1,55:0\n");
    assert_int_equal(config->limits_count, 1);
    const struct limits_config *limits = config->limits;
    assert_string_equal(limits->of, "p");
    assert_int_equal(limits->on_stale, STALE_STOP);
    assert_true(limits->charge_current_a == 100 && limits->discharge_current_a == 150.5);
    assert_true(limits->cells == 16 && limits->sensors == 2 && limits->soc_again_percent == 90);
    assert_int_equal(limits->cell_high.count, 3);
    const struct curve_point *points = limits->cell_high.points;
    assert_true(points[0].at == 3.375 && points[0].share == 1);
    assert_true(points[1].at == 3.40 && points[1].share == 0.25);
    assert_true(points[2].at == 3.50 && points[2].share == 0);
    assert_true(limits->temperature.points[0].at == -5.5);
    assert_int_equal(limits->soc_high.count + limits->soc_low.count + limits->mos_temperature.count,
                     0);
    config_free(config);
}

/* Each with what it has to be told about: a part of the message. */
TEST(wrong_allowed_currents)
{
    static const struct said cases[] = {
        {"[limits l]\n", "f:7: [limits l] has no 'cells'; expected a whole number from 1 to 48: "
                         "The number of cells in "
                         "series. Nothing is allowed while"},
        {"[limits l]\n", "has no 'temperature'; expected VALUE:SHARE"},
        {"[limits l]\n", "has no 'cell_high'"},
        {LIMITS_OF_P CURVES "cell_float = 3.3\n",
         "expected a state of charge behind it, as in 'cell_float = 3.3, 90%'"},
        {"[limits l]\n", "has no 'sensors'"},
        {LIMITED CURVES "soc_ceiling = 90A\n", "'soc_ceiling' is '90A'"},
        {LIMITED CURVES "soc_high = 90\n", "'soc_high' is '90'; expected VALUE:SHARE"},
        {LIMITED CURVES "soc_high = 90:1.1\n", "'soc_high' is '90:1.1'"},
        {LIMITED CURVES "soc_high = 90:-0.1\n", "'soc_high' is '90:-0.1'"},
        {LIMITED CURVES "soc_high = 101:1\n", "'soc_high' is '101:1'"},
        {LIMITED CURVES "soc_high = :1\n", "'soc_high' is ':1'"},
        {LIMITED CURVES "soc_high = 1.2.3:1\n", "'soc_high' is '1.2.3:1'"},
        {LIMITED CURVES "soc_high = 90:nan\n", "'soc_high' is '90:nan'"},
        {LIMITED CURVES "soc_high = 90:0x1\n", "'soc_high' is '90:0x1'"},
        {LIMITED CURVES "soc_high = 90:1e-1\n", "'soc_high' is '90:1e-1'"},
        {LIMITED CURVES "soc_high = 90:1, 90:0\n", "'soc_high' has 90 twice"},
        {LIMITED CURVES "soc_high = 90:0, 95:1\n",
         "'soc_high' rises from 90 to 95; expected shares that fall"},
        {LIMITED CURVES "soc_low = 1:1, 5:0\n",
         "'soc_low' falls from 1 to 5; expected shares that rise"},
        {LIMITED CURVES "mos_temperature = 70:1, 90:0.1\n", "'mos_temperature' does not end at 0"},
        {LIMITED CURVES "soc_high = 1:1,2:1,3:1,4:1,5:1,6:1,7:1,8:1,9:1\n", "'soc_high' is '9:1'"},
        {LIMITED "cell_high = 3.4:1, 3.5:0.1\ncell_low = 2.8:0\ntemperature = 1:0\n",
         "'cell_high' does not end at 0; expected the share 0 at its highest point"},
        {LIMITED "cell_high = 3.5:0\ncell_low = 2.8:0.1\ntemperature = 1:0\n",
         "'cell_low' does not end at 0; expected the share 0 at its lowest point"},
        {LIMITED "cell_high = 3.5:0\ncell_low = 2.8:0\ntemperature = 1:0.1, 2:0\n",
         "'temperature' does not end at 0; expected the share 0 at its lowest point"},
        {LIMITED "cell_high = 3.5:0\ncell_low = 2.8:0\ntemperature = 1:0, 2:0.1\n",
         "'temperature' does not end at 0; expected the share 0 at its highest point"},
        {LIMITED "cell_high = 3.5:0\ncell_low = 2.8:0\ntemperature = 32:0, 50:1, 104:1, 131:0\n",
         "'temperature' is '104:1'"}, /* in °F */
        {LIMITED CURVES "on_stale = hold\n", "'on_stale' is 'hold'; expected stop or discharge"},
        {LIMITED "cell_high = 3.4:0\ncell_low = 2.8:0\ntemperature = 1:0\n",
         "'cell_full' is 3.45, where 'cell_high' allows no current any more; expected at most 3.4"},
        {LIMITED CURVES "soc_ceiling = 0\n",
         "'soc_ceiling' is '0'; expected a number from 1 to 100; a duration from 24h to 365d"},
        {LIMITED CURVES "soc_ceiling = 90, 12h\n", "'soc_ceiling' is '90, 12h'"},
        {LIMITED CURVES "soc_ceiling = 90 9, 14d\n", "'soc_ceiling' is '90 9, 14d'"},
        {"[gateway]\nstate_file = none\n" LIMITED CURVES "soc_ceiling = 90 , 14d\n",
         "'soc_ceiling' with a time needs a state file"},
        {LIMITED CURVES "[limits q]\n", "there is no [pack q] or [bank q]"},
        {LIMITED CURVES "[limits m]\nof = p\n", "'p' has its limits in [limits p] already"},
    };
    expect_said(GOOD, cases, COUNT(cases));
}

/* What is accepted, with a remark. */
TEST(limits_remarks)
{
    static const struct said cases[] = {
        {LIMITED CURVES "soc_ceiling = 90, 14d\n", NULL},
        {LIMITED CURVES "soc_ceiling = 90\nfull_every = 14d\n",
         "warning: 'full_every' is a key of older versions: write it in 'soc_ceiling', as in "
         "'soc_ceiling = 90, 14d'"},
        {MORE_PACKS "[bank b]\npacks = p, q\nunit = 9\n" LIMITS_OF("b") CURVES, NULL},
        {MORE_PACKS "[bank b]\npacks = p, q\nunit = 9\nmin_packs = 1\n" LIMITED CURVES, NULL},
        {MORE_PACKS "[bank b]\npacks = p, q\nunit = 9\nmin_packs = 1\n" LIMITS_OF("b") CURVES,
         "warning: with this 'min_packs' the [limits] of [bank b] continue without a missing pack"},
    };
    expect_said(GOOD, cases, COUNT(cases));
}

TEST(damaged)
{
    static const char good[] =
        "[gateway]\nlisten = 127.0.0.1:502, [::]:502\nallow = 10.0.0.0/8, ::1\n"
        "base = 290, 100 ; c\npoll = 500ms\nstate_file = /x\n"
        "[line a]\nport = serial:/dev/x\nprotocol = daly\nbaud = 8N1\n"
        "[line b]\nport = tcp://[::1]:4001\nbaud = on\n"
        "[pack p]\nline = a\nunit = 1\naddress = 3\nprotocol = daly rs485\n"
        "[pack q]\nline = b\nprotocol = daly\nunit = 2\ncapacity = 28.5\n"
        "[push r]\ntarget = tcp://h:502\non_stale = 7\nwrite = p.soc_percent -> 4 u16 scale 10\n"
        "write = q.voltage_v->5 float32 word_order big, gateway.seconds -> 3 u16\n";
    unsigned seed = 1, accepted = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char bytes[1024];
        size_t size = sizeof good - 1;
        memcpy(bytes, good, size);
        for (unsigned n = next_random(&seed) % 6; n > 0; n--)
            size = mutate(bytes, size, sizeof bytes - 1, &seed);
        bytes[size] = 0;
        struct config *config = config_parse(bytes, "f", NULL);
        if (config)
            check_whole(config);
        accepted += config != NULL;
        config_free(config);
    }
    assert_true(accepted > 1000 && accepted < 19000);
}
