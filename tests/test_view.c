// SPDX-License-Identifier: MIT
/* Views: the meaning of the lines of a [view] and their mistakes, the content of the registers
 * while packs are fresh, stale and unknown, and which reads are rejected. */
#include "config_test.h"

#include "modbus/view.h"

#include "bms/bytes.h"
#include "bms/count.h"

#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>

/* 15 lines: packs p and q.1, and the bank b of both. */
#define PACKS                                                                                      \
    "[line a]\nport = tcp://h:1\nprotocol = topbms\n"                                              \
    "[pack p]\nline = a\nunit = 1\n"                                                               \
    "[pack q.1]\nline = a\naddress = 2\nunit = 2\n"                                                \
    "[bank b]\npacks = p, q.1\nunit = 100\n\n\n"
#define VIEW PACKS "[view v]\nsource = p\nunit = 7\n" /* its lines begin at 19 */

#define GOOD_S 10.0 /* s for which values are fresh, from 100 on */

struct house {
    struct config *config;
    struct pack packs[2];
    struct map_bank bank;
    struct source sources[3];
    struct view *view;
};

static const struct source *find(const void *data, const char *name)
{
    const struct house *house = data;
    for (size_t i = 0; i < COUNT(house->sources); i++)
        if (strcmp(house->sources[i].name, name) == 0)
            return &house->sources[i];
    fail_msg("no %s", name);
    return NULL;
}

static void fill_pack(struct pack *pack)
{
    static const struct {
        enum pack_value id;
        double value;
    } values[] = {{VOLTAGE_V, 53.58},  {CURRENT_A, -12.3},  {POWER_W, -659.0},
                  {SOC_PERCENT, 63.4}, {FULL_AH, 200},      {REMAINING_AH, 126.8},
                  {CYCLES, 70000},     {CELL_MV + 2, 3345}, {CHARGE_MOS, 1}};
    pack_clear(pack);
    for (size_t i = 0; i < COUNT(values); i++)
        pack_set(pack, values[i].id, values[i].value);
    pack_alarm(pack, SOC_LOW, ALARM_WARNING);
    pack_alarm(pack, CELL_OVER_VOLTAGE, ALARM_PROTECTION);
    pack_alarm(pack, PACK_OVER_VOLTAGE, 0);
    pack_set_text(pack, SERIAL, (const uint8_t *) "SN12345", 7);
}

/* A view of these lines; at 100 both packs are fresh, the bank never was. */
static struct house *open_house(const char *lines)
{
    char *messages, text[4000];
    struct house *house = calloc(1, sizeof *house);
    static const char *const names[] = {"p", "q.1", "b"};
    assert_non_null(house);
    snprintf(text, sizeof text, VIEW "%s", lines);
    house->config = parse_config(text, &messages);
    if (!house->config)
        fail_msg("%s\n%s", lines, messages);
    free(messages);
    fill_pack(&house->packs[0]);
    fill_pack(&house->packs[1]);
    pack_set(&house->packs[1], CELL_MV + 2, 3400);
    house->bank = (struct map_bank){.present = 1, .missing = 1, .needed = 2};
    for (size_t i = 0; i < COUNT(names); i++)
        house->sources[i] = (struct source){
            .name = names[i],
            .values = &house->packs[i % 2],
            .status = {.state = MAP_STATE_FRESH, .driver = "topbms", .peak = {.percent = -1}},
            .good_until = 100 + GOOD_S,
            .read_at = 100};
    house->sources[2].status.state = MAP_STATE_NEVER;
    house->sources[2].read_at = NAN;
    house->sources[2].status.bank = &house->bank;
    house->sources[2].good_until = NAN;
    house->view = view_new(&house->config->views[0], find, house, 50, 100);
    assert_non_null(house->view);
    return house;
}

static void close_house(struct house *house)
{
    view_free(house->view);
    config_free(house->config);
    free(house);
}

static uint8_t check(struct house *house, unsigned address, unsigned count, double now)
{
    const struct mbap_request request = {.function = MODBUS_FC_READ_HOLDING_REGISTERS,
                                         .read = {(uint16_t) address, (uint16_t) count}};
    view_judge(house->view, now);
    return view_check(house->view, &request);
}

/* The registers at 10 as hexadecimal words, or the exception. */
static const char *show(struct house *house, unsigned count, double now)
{
    static char text[100];
    const uint8_t exception = check(house, 10, count, now);
    snprintf(text, sizeof text, "exception %u", exception);
    for (unsigned i = 0; !exception && i < count; i++)
        snprintf(text + 5 * i, sizeof text - 5 * i, "%04X ", house->view->registers[10 + i]);
    if (!exception)
        text[5 * count - 1] = 0;
    return text;
}

TEST(registers)
{
    static const struct {
        const char *line;
        unsigned count;
        const char *fresh, *stale;
    } cases[] = {
        // clang-format off
        {"voltage_v -> 10 u16 scale 100",                      1, "14EE", "exception 11"},
        {"p.voltage_v -> 0x0A U16 scale 100",                  1, "14EE", "exception 11"},
        {"current_a -> 10 s16 scale 10",                       1, "FF85", "exception 11"},
        {"current_a -> 10 s16 scale -10",                      1, "007B", "exception 11"},
        {"power_w -> 10 s32",                                  2, "FFFF FD6D", "exception 11"},
        {"power_w -> 10 s32 word_order little",                2, "FD6D FFFF", "exception 11"},
        {"power_w -> 10 float32 scale -1",                     2, "4424 C000", "exception 11"},
        {"power_w -> 10 s64",                                  4, "FFFF FFFF FFFF FD6D", "exception 11"},
        {"power_w -> 10 float64",                              4, "C084 9800 0000 0000", "exception 11"},
        {"cycles -> 10 u16",                                   1, "FFFE", "exception 11"}, /* never as unknown */
        {"cycles -> 10 u16 on_unknown 0",                      1, "FFFF", "exception 11"},
        {"cycles -> 10 u32",                                   2, "0001 1170", "exception 11"},
        {"cycles -> 10 u64 word_order little",                 4, "1170 0001 0000 0000", "exception 11"},
        {"full_ah - remaining_ah -> 10 u16 scale 10",          1, "02DC", "exception 11"},
        {"full_ah + 1 - 101 -> 10 u16",                        1, "0064", "exception 11"},
        {"soc_percent -> 10 u16 scale -10 offset 1000",        1, "016E", "exception 11"},
        {"power_w -> 10 u32 min 0",                            2, "0000 0000", "exception 11"},
        {"power_w -> 10 u32 scale -1 min 0",                   2, "0000 0293", "exception 11"},
        {"power_w -> 10 u32 scale -1 min 0 max 500",           2, "0000 01F4", "exception 11"},
        {"direction -> 10 u16",                                1, "0002", "exception 11"},
        {"direction -> 10 u16 map 0:6 1:4 2:3",                1, "0003", "exception 11"},
        {"direction -> 10 u16 map 0:6 1:4",                    1, "FFFF", "exception 11"},
        {"direction -> 10 s16 map 2:-3 scale 2",               1, "FFFA", "exception 11"},
        /* alarms */
        {"level.soc_low -> 10 u16",                            1, "0001", "exception 11"},
        {"level.cell_over_voltage -> 10 u16",                  1, "0002", "exception 11"},
        {"alarm.cell_over_voltage -> 10 u16",                  1, "0001", "exception 11"},
        {"warning.soc_low -> 10 u16",                          1, "0001", "exception 11"},
        {"warning.cell_over_voltage -> 10 u16",                1, "0000", "exception 11"},
        {"protection.cell_over_voltage -> 10 u16",             1, "0001", "exception 11"},
        {"protection.soc_high -> 10 u16",                      1, "FFFF", "exception 11"}, /* not reported */
        {"protection.soc_high -> 10 u16 on_unknown 0",         1, "0000", "exception 11"},
        {"protection.soc_high -> 10 u16 on_unknown exception", 1, "exception 11", "exception 11"},
        /* the highest and the lowest of the known ones */
        {"level.soc_low | level.cell_over_voltage | level.soc_high -> 10 u16", 1, "0002", "exception 11"},
        {"level.soc_low & level.cell_over_voltage & level.soc_high -> 10 u16", 1, "0001", "exception 11"},
        {"level.soc_high | level.hardware_fault -> 10 u16 on_unknown 9",       1, "0009", "exception 11"},
        {"p.cell_mv.3 | q.1.cell_mv.3 -> 10 u16",              1, "0D48", "exception 11"},
        {"q.1.cell_mv.3 & p.cell_mv.3 -> 10 u16",              1, "0D11", "exception 11"},
        {"soh_percent + soc_percent -> 10 u16",                1, "FFFF", "exception 11"},
        /* what is there while a pack is silent */
        {"802 -> 10 u16",                                      1, "0322", "0322"},
        {"0xFFFF -> 10 u16",                                   1, "FFFF", "FFFF"},
        {"-1 -> 10 s16",                                       1, "FFFF", "FFFF"},
        {"0x53756e53 -> 10 u32",                               2, "5375 6E53", "5375 6E53"},
        {"\"SunS\" -> 10 string 2",                            2, "5375 6E53", "5375 6E53"},
        {"\"a, -> b\" -> 10 string 5",                         5, "612C 202D 3E20 6200 0000", "612C 202D 3E20 6200 0000"},
        {"pack_name -> 10 string 2",                           2, "7000 0000", "7000 0000"},
        {"q.1.pack_name -> 10 string 2",                       2, "712E 3100", "712E 3100"},
        {"driver -> 10 string 2",                              2, "746F 7062", "746F 7062"},
        {"serial -> 10 string 5",                              5, "534E 3132 3334 3500 0000", "exception 11"},
        {"serial -> 10 string 2 on_stale unknown",             2, "534E 3132", "0000 0000"},
        {"serial -> 10 string 2 on_stale hold",                2, "534E 3132", "534E 3132"},
        {"model -> 10 string 2",                               2, "0000 0000", "exception 11"},
        {"model -> 10 string 2 on_unknown exception",          2, "exception 11", "exception 11"},
        {"fresh -> 10 u16",                                    1, "0001", "0000"},
        {"fresh -> 10 u16 map 0:99 1:3",                       1, "0003", "0063"},
        {"connection_state -> 10 u16",                         1, "0001", "0002"},
        {"age_s -> 10 u16",                                    1, "0000", "000B"},
        {"gateway.seconds -> 10 u16",                          1, "0032", "003C"},
        /* stale otherwise */
        {"voltage_v -> 10 u16 on_stale unknown",               1, "0036", "FFFF"},
        {"voltage_v -> 10 s16 on_stale unknown",               1, "0036", "8000"},
        {"voltage_v -> 10 u32 on_stale unknown",               2, "0000 0036", "FFFF FFFF"},
        {"power_w -> 10 float32 on_stale unknown",             2, "C424 C000", "7FC0 0000"},
        {"power_w -> 10 float64 on_stale unknown",             4, "C084 9800 0000 0000", "7FF8 0000 0000 0000"},
        {"cycles -> 10 u64 on_stale unknown",                  4, "0000 0000 0001 1170", "FFFF FFFF FFFF FFFF"},
        {"voltage_v -> 10 u16 on_stale hold",                  1, "0036", "0036"},
        {"voltage_v -> 10 u16 scale 10 on_stale 7",            1, "0218", "0007"},
        {"soh_percent -> 10 u16 on_unknown 5 on_stale 6",      1, "0005", "0006"},
        {"soh_percent -> 10 u16 on_unknown 5 on_stale hold",   1, "0005", "0005"},
        /* bits */
        {"alarms_active -> 10 bits32",                         2, "0000 4001", "exception 11"},
        {"level.soc_low -> 10 bits16 bit 15",                  1, "8000", "exception 11"},
        {"level.soc_low -> 10 bits32 bit 16",                  2, "0001 0000", "exception 11"},
        {"level.soc_low -> 10 bits32 bit 16 word_order little", 2, "0000 0001", "exception 11"},
        {"fresh -> 10 bits16 bit 0 scale -1 offset 1",         1, "0000", "0001"},
        {"level.soc_high -> 10 bits16 bit 3",                  1, "0000", "exception 11"},
        {"level.soc_high -> 10 bits16 bit 3 on_unknown 1",     1, "0008", "exception 11"},
        {"level.soc_low -> 10 bits16 bit 3 on_stale unknown",  1, "0008", "0000"},
        {"level.soc_low -> 10 bits16 bit 3 on_stale hold",     1, "0008", "0008"},
        /* never known at all */
        {"b.voltage_v -> 10 u16",                              1, "exception 11", "exception 11"},
        {"b.voltage_v -> 10 u16 on_stale hold",                1, "exception 11", "exception 11"},
        {"b.voltage_v -> 10 u16 on_stale 3",                   1, "0003", "0003"},
        {"b.packs_missing -> 10 u16",                          1, "0001", "0001"},
        {"b.fresh -> 10 u16",                                  1, "0000", "0000"},
        {"p.soc_percent + b.soc_percent -> 10 u16",            1, "exception 11", "exception 11"},
        // clang-format on
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char lines[200];
        snprintf(lines, sizeof lines, "register = %s\n", cases[i].line);
        struct house *house = open_house(lines);
        const char *fresh = show(house, cases[i].count, 100);
        if (strcmp(fresh, cases[i].fresh) != 0)
            fail_msg("%s: expected %s, got %s", cases[i].line, cases[i].fresh, fresh);
        const char *stale = show(house, cases[i].count, 100 + GOOD_S + 0.5);
        if (strcmp(stale, cases[i].stale) != 0)
            fail_msg("%s, stale: expected %s, got %s", cases[i].line, cases[i].stale, stale);
        close_house(house);
    }
}

/* The keys of the view apply to registers without their own. */
TEST(presets)
{
    struct house *house = open_house("word_order = little\non_unknown = 9\non_stale = 8\n"
                                     "register = cycles -> 10 u32\n"
                                     "register = soh_percent -> 12 u16\n"
                                     "register = soh_percent -> 13 u16 on_unknown unknown\n"
                                     "register = cycles -> 14 u32 word_order big on_stale hold\n"
                                     "register = level.soc_high -> 16 bits16 bit 0\n");
    assert_string_equal(show(house, 7, 100), "1170 0001 0009 FFFF 0001 1170 0000");
    assert_string_equal(show(house, 7, 111), "0008 0000 0008 0008 0001 1170 0000");
    close_house(house);
}

/* Lines with the same register: each sets its bit, and if one is rejected, the whole register is. */
TEST(bits)
{
    struct house *house =
        open_house("on_stale = unknown\n"
                   "register = fresh -> 10 bits32 bit 0 scale -1 offset 1\n"
                   "register = 1 -> 10 bits32 bit 4\n"
                   "register = level.soc_low -> 10 bits32 bit 31\n"
                   "register = protection.soc_low -> 10 bits32 bit 1\n"
                   "register = alarm.cell_over_voltage -> 10 bits32 bit 1\n"
                   "register = q.1.fresh -> 12 bits16 bit 2\n"
                   "register = q.1.charge_mos -> 12 bits16 bit 3 on_stale exception\n");
    assert_string_equal(show(house, 3, 100), "8000 0012 000C");
    assert_string_equal(show(house, 2, 111), "0000 0011");
    assert_int_equal(check(house, 12, 1, 111), MODBUS_EXCEPTION_GATEWAY_TARGET);
    close_house(house);
}

TEST(ranges)
{
    struct house *house =
        open_house("fill = 20-29 0xFFFF, 40 7\n"
                   "register = voltage_v -> 22 u32\nregister = 1 -> 30 u16\n"
                   "register = cycles -> 65534 u32\n"
                   "fill = 20-30 -> 0\nfill = 2-3 -> 50\nfill = 60-62 5\nfill = 30-31 -> 60\n");
    static const struct {
        unsigned address, count;
        uint8_t fresh, stale;
    } cases[] = {
        {20, 11, 0, 11},   {20, 2, 0, 0},    {24, 6, 0, 0},    {22, 1, 0, 11}, {23, 1, 0, 11},
        {23, 2, 0, 11},    {30, 1, 0, 0},    {30, 2, 2, 2},    {31, 1, 2, 2},  {19, 2, 2, 2},
        {40, 1, 0, 0},     {39, 1, 2, 2},    {0, 11, 0, 11},   {0, 2, 0, 0},   {2, 1, 0, 11},
        {10, 1, 0, 0},     {11, 1, 2, 2},    {50, 2, 0, 11},   {52, 1, 2, 2},  {65534, 2, 0, 11},
        {65535, 1, 0, 11}, {65535, 2, 2, 2}, {65533, 1, 2, 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        view_update(house->view);
        const uint8_t fresh = check(house, cases[i].address, cases[i].count, 100);
        const uint8_t stale = check(house, cases[i].address, cases[i].count, 111);
        if (fresh != cases[i].fresh || stale != cases[i].stale)
            fail_msg("%u+%u: got %u and %u", cases[i].address, cases[i].count, fresh, stale);
    }
    const uint16_t *registers = house->view->registers;
    assert_int_equal(registers[20], 0xFFFF);
    assert_int_equal(registers[40], 7);
    assert_true(registers[60] == 1 && registers[61] == 5 && registers[62] == 5);
    assert_int_equal(registers[10], 1);
    view_update(house->view);
    view_judge(house->view, 100);
    assert_true(registers[3] == 54 && registers[51] == 54 && registers[2] == 0);
    close_house(house);
}

TEST(functions)
{
    struct house *house = open_house("register = 1 -> 10 u16\nfill = 0-20 0\n");
    static const struct {
        uint8_t function, exception;
    } cases[] = {{MODBUS_FC_READ_HOLDING_REGISTERS, 0},
                 {MODBUS_FC_READ_INPUT_REGISTERS, 0},
                 {MODBUS_FC_READ_COILS, 1},
                 {MODBUS_FC_READ_DISCRETE_INPUTS, 1},
                 {MODBUS_FC_WRITE_SINGLE_REGISTER, 2},
                 {MODBUS_FC_WRITE_MULTIPLE_REGISTERS, 2},
                 {MODBUS_FC_WRITE_SINGLE_COIL, 2},
                 {MODBUS_FC_WRITE_MULTIPLE_COILS, 2},
                 {MODBUS_FC_MASK_WRITE_REGISTER, 2},
                 {MODBUS_FC_WRITE_AND_READ_REGISTERS, 2}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const bool reads = cases[i].exception < 2;
        const struct mbap_request request = {
            .function = cases[i].function, .read = {10, reads}, .write = {10, !reads}};
        assert_int_equal(view_check(house->view, &request), cases[i].exception);
    }
    const struct mbap_request identify = {.function = MBAP_FC_IDENTIFY};
    assert_int_equal(view_check(house->view, &identify), 0);
    close_house(house);
}

/* New values, values of another pack, a pack that falls silent and comes back: each is visible in the next request,
 * and nothing else changes. */
TEST(time)
{
    struct house *house = open_house("register = soc_percent -> 10 u16\n"
                                     "register = q.1.soc_percent -> 11 u16 on_stale hold\n"
                                     "register = age_s -> 12 u16\nregister = fresh -> 13 u16\n"
                                     "register = gateway.seconds -> 14 u16\n");
    assert_string_equal(show(house, 5, 100), "003F 003F 0000 0001 0032");
    assert_string_equal(show(house, 5, 100.5), "003F 003F 0001 0001 0032");
    assert_string_equal(show(house, 5, 101.2), "003F 003F 0002 0001 0033");
    assert_string_equal(show(house, 5, 102), "003F 003F 0002 0001 0034");
    pack_set(&house->packs[0], SOC_PERCENT, 70);
    house->sources[0].good_until = 112;
    house->sources[0].read_at = 102;
    view_update(house->view);
    assert_string_equal(show(house, 5, 102), "0046 003F 0000 0001 0034");
    pack_set(&house->packs[1], SOC_PERCENT, 71);
    view_update(house->view);
    assert_string_equal(show(house, 5, 102), "0046 0047 0000 0001 0034");
    /* q.1 is stale at 110, p at 112. */
    assert_string_equal(show(house, 5, 111), "0046 0047 0009 0001 003D");
    assert_string_equal(show(house, 5, 112.5), "exception 11");
    assert_int_equal(check(house, 11, 4, 112.5), 0);
    assert_int_equal(house->view->registers[13], 0);
    house->sources[0].status.state = MAP_STATE_STALE; /* as reported once a second */
    view_update(house->view);
    assert_string_equal(show(house, 1, 113), "exception 11");
    house->sources[0].status = (struct map_status){.state = MAP_STATE_FRESH};
    house->sources[0].good_until = 124;
    house->sources[0].read_at = 114;
    view_update(house->view);
    assert_string_equal(show(house, 5, 114), "0046 0047 0000 0001 0040");
    /* Without a line: stale at once, whatever the time. */
    house->sources[0].status.state = MAP_STATE_NO_LINE;
    view_update(house->view);
    assert_string_equal(show(house, 1, 115), "exception 11");
    close_house(house);
}

TEST(mistakes)
{
    static const struct said cases[] = {
        // clang-format off
        {"", "f:16: [view v] has no 'register'; expected VALUE -> REGISTER TYPE"},
        {"register = voltage_v\n", "f:19: 'register' is 'voltage_v'; expected VALUE -> REGISTER TYPE, such as voltage_v -> 259 u16 scale 100"},
        {"register = -> 1 u16\n", "f:19: 'register' is '-> 1 u16'; expected VALUE"},
        {"register = voltage -> 1 u16\n", "f:19: 'p' has no number 'voltage'; did you mean 'voltage_v'?"},
        {"register = other.soc_percent -> 1 u16\n", "f:19: 'other.soc_percent' starts with the name of no pack or bank"},
        {"register = q.1.level.soc_lo -> 1 u16\n", "f:19: 'q.1' has no number 'level.soc_lo'; did you mean 'level.soc_low'?"},
        {"register = gateway.second -> 1 u16\n", "f:19: 'gateway' has no number 'second'"},
        {"register = voltage_v -> 65536 u16\n", "f:19: 'register' of 'voltage_v' is '65536'; expected a whole number from 0 to 65535"},
        {"register = cycles -> 65535 u32\n", "f:19: a u32 of 2 registers does not fit at 65535"},
        {"register = voltage_v -> 1 int\n", "f:19: 'type' of 'voltage_v' is 'int'; expected u16, s16, u32, s32, float32, u64, s64, float64, bits16, bits32 or string"},
        {"register = voltage_v -> 1 u16 scal 10\n", "f:19: 'scal' is no option of a register; expected map, scale, offset, min, max, word_order, bit, on_unknown or on_stale; did you mean 'scale'?"},
        {"register = voltage_v -> 1 u16 scale 10 scale 1\n", "f:19: 'scale' of 'voltage_v' is given twice"},
        {"register = voltage_v -> 1 u16 scale 0\n", "f:19: 'scale' of 'voltage_v' is 0"},
        {"register = voltage_v -> 1 u16 min 3 max 2\n", "f:19: 'min' of 'voltage_v' is above 'max'"},
        {"register = voltage_v -> 1 u16 on_unknown hold\n", "f:19: 'on_unknown' of 'voltage_v' is 'hold'; expected unknown, exception or a number"},
        {"register = voltage_v -> 1 u16 on_stale skip\n", "f:19: 'on_stale' of 'voltage_v' is 'skip'; expected exception, unknown, hold or a number"},
        {"register = voltage_v -> 1 u16 on_stale -1\n", "f:19: 'on_stale' of 'voltage_v' is -1, which does not fit into a u16"},
        {"register = direction -> 1 u16 map 0\n", "f:19: 'map' of 'direction' is '0'; expected IN:OUT"},
        {"register = direction -> 1 u16 map 0:1 2:x\n", "f:19: 'map' of 'direction' is '2:x'"},
        {"register = current_a -> 1 u16\n", "f:19: 'current_a' can be negative, and a u16 cannot"},
        {"register = soc_percent -> 1 u16 scale -1\n", "f:19: 'soc_percent' can be negative, and a u16 cannot"},
        {"register = alarms_active -> 1 u16\n", "f:19: 'alarms_active' is up to 4194303, which does not fit into a u16"},
        {"register = 65536 -> 1 u16\n", "f:19: 65536 does not fit into a u16"},
        {"register = 0x8000 -> 1 s16\n", "f:19: 32768 does not fit into a s16"},
        {"register = 0.5 -> 1 u16\n", "f:19: 0.5 does not fit into a u16"},
        {"register = soc_low -> 1 bits16 bit 1\n", "f:19: 'p' has no number 'soc_low'"},
        {"register = alarm.soc_low -> 1 u16 bit 1\n", "f:19: 'alarm.soc_low': 'bit' is for bits16 and bits32"},
        {"register = alarm.soc_low -> 1 bits16 bit 16\n", "f:19: 'alarm.soc_low': a bits16 has the bits 0 to 15"},
        {"register = full_ah-remaining_ah -> 1 u16\n", "f:19: 'p' has no number 'full_ah-remaining_ah'"},
        {"register = full_ah remaining_ah -> 1 u16\n", "f:19: 'full_ah remaining_ah': 'remaining_ah' is not expected there"},
        {"register = full_ah - -> 1 u16\n", "f:19: 'full_ah -': '-' is not expected there"},
        {"register = full_ah - remaining_ah | cycles -> 1 u16\n", "f:19: 'full_ah - remaining_ah | cycles': '|' is not expected there"},
        {"register = cycles | cycles | cycles | cycles | cycles | cycles | cycles | cycles | cycles -> 1 u16\n", "has more than 8 values"},
        /* texts */
        {"register = \"x\" -> 1 u16\n", "f:19: '\"x\"' is a text, and a u16 is none; expected string"},
        {"register = serial -> 1 u16\n", "f:19: 'serial' is a text, and a u16 is none"},
        {"register = q.1.serial -> 1 u32\n", "f:19: 'q.1.serial' is a text, and a u32 is none"},
        {"register = voltage_v -> 1 string 4\n", "f:19: 'voltage_v' is no text"},
        {"register = \"x -> 1 string 4\n", "f:19: 'register' is '\"x -> 1 string 4'; expected VALUE -> REGISTER TYPE"},
        {"register = \"x\" -> 1 string\n", "f:19: 'string' of '\"x\"' is ''; expected a whole number from 1 to 64"},
        {"register = \"x\" -> 1 string 65\n", "f:19: 'string' of '\"x\"' is '65'"},
        {"register = \"x\" -> 1 string 4 scale 2\n", "f:19: 'scale' of '\"x\"' has no meaning for a string"},
        /* addresses */
        {"register = 1 -> 5 u32\nregister = 2 -> 6 u16\n", "f:20: register 6 is already that of line 19"},
        {"register = 1 -> 5 bits16 bit 1\nregister = 2 -> 5 bits32 bit 2\n", "f:20: register 5 is already that of line 19"},
        {"register = 1 -> 5 bits16 bit 1\nregister = 2 -> 5 bits16\n", "f:20: register 5 is already that of line 19"},
        {"register = 1 -> 5 u16\nfill = 1-9 0\nfill = 9-12 1\n", "f:21: register 9 is already filled in line 20"},
        {"register = 1 -> 5 u16\nfill = 9-1 0\n", "f:20: 'fill' is '9-1 0'; expected FROM-TO VALUE"},
        {"register = 1 -> 5 u16\nfill = 1-9 65536\n", "f:20: 'fill' is '1-9 65536'; expected FROM-TO VALUE"},
        {"register = 1 -> 5 u16\nfill = 1-9\n", "f:20: 'fill' is '1-9'; expected FROM-TO VALUE"},
        {"register = 1 -> 5 u16\nfill = 5\n", "f:20: 'fill' is '5'; expected FROM-TO VALUE, such as 256-331 0, or FROM-TO -> REGISTER"},
        {"register = 1 -> 5 u16\nfill = 7-8 -> 1\n", "f:20: nothing is defined from 7 to 8, so there is nothing to copy"},
        {"register = 1 -> 5 u32\nfill = 5-6 -> 6\n", "f:20: the copy (6 to 7) overlaps what it is made of"},
        {"register = 1 -> 5 u16\nregister = 1 -> 9 u16\nfill = 5-6 -> 8\n", "f:21: register 9 is already that of line 20"},
        {"register = 1 -> 5 u16\nfill = 5 -> 8\nfill = 5 -> 8\n", "f:21: register 8 is already copied to in line 20"},
        {"register = 1 -> 5 u16\nfill = 5-6 -> 65535\n", "f:20: the copy would reach to 65536"},
        {"register = 1 -> 5 u16\nunit = 256\n", "f:20: 'unit' is '256'; expected unit ids from 0 to 255"},
        {"register = 1 -> 5 u16\nunit = 7\n", "f:20: unit 7 is given twice"},
        /* side by side */
        {"register = 1 -> 5 u16\nunit = 1\n", "f:20: unit 1 is already that of [pack p] in line 6; expected another one, or a 'listen' of its own"},
        {"register = 1 -> 5 u16\nunit = 100\n", "f:20: unit 100 is already that of [bank b] in line 13"},
        {"register = 1 -> 5 u16\n[view w]\nunit = 7\nregister = 1 -> 5 u16\n", "f:21: unit 7 is already that of [view v] in line 18"},
        {"register = 1 -> 5 u16\n[view w]\nunit = 9\nregister = voltage_v -> 5 u16\n", "f:22: 'voltage_v' starts with the name of no pack or bank"},
        {"register = 1 -> 5 u16\n[view w]\nsource = x\nunit = 9\nregister = 1 -> 5 u16\n", "f:21: there is no [pack x] or [bank x]"},
        {"register = 1 -> 5 u16\nlisten = 0.0.0.0:502\n", "f:20: 'listen' has 0.0.0.0:502, which 0.0.0.0:502 of [gateway] takes already; leave 'listen' out"},
        {"register = 1 -> 5 u16\nlisten = 0.0.0.0:9, 127.0.0.1:9\n", "f:20: 'listen' has 127.0.0.1:9, which 0.0.0.0:9 of [view v] takes already"},
        {"register = 1 -> 5 u16\nlisten = 0.0.0.0:9\n[view w]\nunit = 7\nlisten = 127.0.0.1:9\nregister = 1 -> 5 u16\n", "f:23: 'listen' has 127.0.0.1:9, which 0.0.0.0:9 of [view v] takes already"},
        {"register = 1 -> 5 u16\nlisten = 0.0.0.0:9\n[view w]\nunit = 7\nlisten = 0.0.0.0:9\nregister = 1 -> 5 u16\n", "f:22: unit 7 is already that of [view v] in line 18"},
        {"register = 1 -> 5 u16\nport = 502\n", "unknown key 'port' in [view v]; did you mean 'listen'?"},
        // clang-format on
    };
    expect_said(VIEW, cases, COUNT(cases));
}

/* Similar to mistakes, but valid. */
TEST(good)
{
    static const char *const cases[] = {
        "register = 1 -> 5 u16\nunit = 0, 255\n",
        "register = 1 -> 5 u16\nunit = 1, 100\nlisten = 127.0.0.1:0\n",
        "register = 1 -> 5 u16\nlisten = 0.0.0.0:9\n[view w]\nunit = 8\nlisten = "
        "0.0.0.0:9\nregister = 1 -> 5 u16\n",
        "register = 1 -> 5 u16\n[view w]\nunit = 7\nlisten = 0.0.0.0:9, [::]:9\nregister = 1 -> 5 "
        "u16\n",
        "register = b.voltage_v - p.voltage_v -> 5 s16\n",
        "register = power_w -> 5 u16 min 0\nregister = power_w -> 6 u16 offset 1000\n",
        "register = 65535 -> 5 u16\nfill = 1-9 0\nfill = 1-5 -> 6\n",
        "on_unknown = -1\nregister = \"x\" -> 5 string 1\nregister = level.soc_low -> 6 bits16 bit "
        "1\n",
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_said(VIEW, &(struct said){cases[i], NULL}, 1);
}
