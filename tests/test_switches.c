// SPDX-License-Identifier: MIT
/*
 * Which writes are orders to switch, and to what. Requests have already passed the checks of
 * mbap.c; addresses are those of the register map: coils 0 and 1, and the registers 17 (discharge)
 * and 18 (charge) from `base` and from `also_at`.
 */
#include "modbus/switches.h"
#include "bms/count.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define BAD_ADDRESS 2
#define BAD_VALUE 3

static const struct map_settings usual = {.base = 290, .also_at = 100};

/* A frame in memory of exactly its size, so that the address sanitizer detects reads beyond its end. */
static uint8_t read_pdu(const struct map_settings *map, const uint8_t *pdu, size_t size,
                        struct switches *switches)
{
    struct mbap_request request;
    uint8_t *frame = malloc(MBAP_HEADER + size);
    assert_non_null(frame);
    memcpy(frame, (const uint8_t[]){0, 1, 0, 0, 0, (uint8_t) (1 + size), 1}, MBAP_HEADER);
    memcpy(frame + MBAP_HEADER, pdu, size);
    assert_int_equal(mbap_check(frame, MBAP_HEADER + size, &request), 0);
    const uint8_t result = switches_read(map, &request, frame, switches);
    free(frame);
    return result;
}

/* One coil or register. */
static uint8_t read_single(const struct map_settings *map, uint8_t function, unsigned address,
                           unsigned value, struct switches *switches)
{
    const uint8_t pdu[] = {function, (uint8_t) (address >> 8), (uint8_t) address,
                           (uint8_t) (value >> 8), (uint8_t) value};
    return read_pdu(map, pdu, sizeof pdu, switches);
}

static bool orders(const struct switches *switches, enum bms_switch which, bool on)
{
    const enum bms_switch other = which == BMS_CHARGE_MOS ? BMS_DISCHARGE_MOS : BMS_CHARGE_MOS;
    return switches->wanted[which] && switches->on[which] == on && !switches->wanted[other];
}

/* Of all 65536 coils two are switches. */
TEST(each_coil)
{
    for (unsigned address = 0; address <= 0xFFFF; address++)
        for (int on = 0; on <= 1; on++) {
            struct switches switches;
            const uint8_t result = read_single(&usual, 5, address, on ? 0xFF00 : 0, &switches);
            if (address > 1)
                assert_int_equal(result, BAD_ADDRESS);
            else
                assert_true(
                    result == 0 &&
                    orders(&switches, address == 0 ? BMS_CHARGE_MOS : BMS_DISCHARGE_MOS, on));
        }
}

/* A float in its two registers, low word first or high word first, at any base; one register alone, or one with its
 * neighbour, is rejected. */
TEST(settings)
{
    static const struct {
        struct map_settings map;
        unsigned address, count;
        uint8_t words[8];
        uint8_t result;
        enum pack_value id;
        double value;
    } cases[] = {
        {{.base = 290, .also_at = 100}, 506, 2, {0, 0, 0x42, 0xA1}, 0, SOC_PERCENT, 80.5},
        {{.base = 290, .also_at = 100, .big_floats = true},
         506,
         2,
         {0x42, 0xA1, 0, 0},
         0,
         SOC_PERCENT,
         80.5},
        {{.base = 0, .also_at = MAP_NONE}, 216, 2, {0, 0, 0x42, 0xA1}, 0, SOC_PERCENT, 80.5},
        {{.base = 290, .also_at = 100}, 514, 2, {0, 0, 0x43, 0x8C}, 0, RATED_AH, 280},
        {{.base = 290, .also_at = 100}, 942, 2, {0, 0, 0x3F, 0x80}, 0, SET_BALANCER, 1},
        {{.base = 290, .also_at = 100}, 506, 2, {0, 0, 0x7F, 0xC0}, BAD_VALUE, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 100}, 506, 2, {0, 0, 0x7F, 0x80}, BAD_VALUE, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 100}, 506, 1, {0x42, 0xA1}, BAD_ADDRESS, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 100}, 507, 2, {0, 0, 0x42, 0xA1}, BAD_ADDRESS, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 100}, 505, 2, {0, 0, 0x42, 0xA1}, BAD_ADDRESS, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 100}, 506, 4, {0, 0, 0x42, 0xA1}, BAD_ADDRESS, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 100}, 900, 2, {0, 0, 0x42, 0xA1}, BAD_ADDRESS, SOC_PERCENT, 0},
        {{.base = 290, .also_at = 930}, 942, 2, {0, 0, 0x3F, 0x80}, BAD_ADDRESS, SET_BALANCER, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct switches switches;
        uint8_t pdu[14] = {16, (uint8_t) (cases[i].address >> 8), (uint8_t) cases[i].address,
                           0,  (uint8_t) cases[i].count,          (uint8_t) (2 * cases[i].count)};
        memcpy(pdu + 6, cases[i].words, sizeof cases[i].words);
        const uint8_t result = read_pdu(&cases[i].map, pdu, 6 + 2 * cases[i].count, &switches);
        bool good = result == cases[i].result &&
                    (result != 0 || (switches.sets && switches.setting == cases[i].id &&
                                     switches.value == cases[i].value && !switches.wanted[0] &&
                                     !switches.wanted[1]));
        if (!good)
            fail_msg("case %zu: %u", i, result);
    }
}

/* Possible places of the map, and the registers that are switches there. */
// clang-format off
static const struct {
    struct map_settings map;
    unsigned discharge[2], charge[2]; /* the second: unused if it equals the first */
} maps[] = {
    /* base           also_at               discharge   charge    */
    {{.base = 290,   .also_at = 100},      {307, 117}, {308, 118}},
    {{.base = 290,   .also_at = MAP_NONE}, {307, 307}, {308, 308}},
    {{.base = 290,   .also_at = 290},      {307, 307}, {308, 308}},
    {{.base = 0,     .also_at = 1000},     {17, 1017}, {18, 1018}},
    {{.base = 60000, .also_at = 0},        {60017, 17}, {60018, 18}},
};
// clang-format on

TEST(each_register)
{
    for (size_t i = 0; i < COUNT(maps); i++)
        for (unsigned address = 0; address <= 0xFFFF; address++) {
            const bool discharge =
                address == maps[i].discharge[0] || address == maps[i].discharge[1];
            const bool charge = address == maps[i].charge[0] || address == maps[i].charge[1];
            struct switches switches;
            const unsigned value = address & 1;
            const uint8_t result = read_single(&maps[i].map, 6, address, value, &switches);
            if (!discharge && !charge)
                assert_int_equal(result, BAD_ADDRESS);
            else
                assert_true(
                    result == 0 &&
                    orders(&switches, charge ? BMS_CHARGE_MOS : BMS_DISCHARGE_MOS, value == 1));
        }
}

/* 1 is on, 0 is off, and nothing else is valid: neither 0xFF00 nor 0xFFFF. */
TEST(each_value)
{
    for (unsigned value = 0; value <= 0xFFFF; value++) {
        struct switches switches;
        const uint8_t result = read_single(&usual, 6, 308, value, &switches);
        assert_int_equal(result, value <= 1 ? 0 : BAD_VALUE);
        if (result == 0)
            assert_true(orders(&switches, BMS_CHARGE_MOS, value == 1));
    }
}

/* Function 15: every start and quantity near the switches with every pattern of bits. Bits after the last coil are
 * padding and have no meaning. */
TEST(coils)
{
    for (unsigned address = 0; address < 4; address++)
        for (unsigned quantity = 1; quantity <= 8; quantity++)
            for (unsigned bits = 0; bits < 256; bits++) {
                const uint8_t pdu[] = {
                    15, 0, (uint8_t) address, 0, (uint8_t) quantity, 1, (uint8_t) bits};
                struct switches switches;
                const uint8_t result = read_pdu(&usual, pdu, sizeof pdu, &switches);
                if (address + quantity > 2) {
                    assert_int_equal(result, BAD_ADDRESS);
                    continue;
                }
                assert_int_equal(result, 0);
                for (unsigned coil = 0; coil < 2; coil++) {
                    const bool wanted = coil >= address && coil < address + quantity;
                    assert_int_equal(switches.wanted[coil], wanted);
                    if (wanted)
                        assert_int_equal(switches.on[coil], bits >> (coil - address) & 1);
                }
            }
}

/* Function 16: values and exception. */
// clang-format off
static const struct {
    const char *name;
    unsigned address, quantity, values[4];
    uint8_t exception;
    struct switches switches; /* charge, discharge */
} registers[] = {
    /* name                              address quantity values          exception    wanted          on           */
    {"discharge on",                     307,    1,       {1},            0,           {.wanted = {false, true}, .on = {false, true}}},
    {"charge off",                       308,    1,       {0},            0,           {.wanted = {true, false}, .on = {false, false}}},
    {"both, discharge on, charge off",   307,    2,       {1, 0},         0,           {.wanted = {true, true}, .on = {false, true}}},
    {"both, discharge off, charge on",   117,    2,       {0, 1},         0,           {.wanted = {true, true}, .on = {true, false}}},
    {"from the register before",         306,    2,       {0, 1},         BAD_ADDRESS, {.wanted = {false}, .on = {false}}},
    {"up to the register behind",        307,    3,       {1, 1, 0},      BAD_ADDRESS, {.wanted = {false}, .on = {false}}},
    {"beside the switches",              309,    2,       {1, 1},         BAD_ADDRESS, {.wanted = {false}, .on = {false}}},
    {"the second value is wrong",        307,    2,       {1, 2},         BAD_VALUE,   {.wanted = {false}, .on = {false}}},
    {"wrong value, then wrong address",  308,    2,       {2, 1},         BAD_ADDRESS, {.wanted = {false}, .on = {false}}},
    {"the first value is wrong",         307,    2,       {0x0100, 1},    BAD_VALUE,   {.wanted = {false}, .on = {false}}},
};
// clang-format on

TEST(registers)
{
    for (size_t i = 0; i < COUNT(registers); i++) {
        const unsigned quantity = registers[i].quantity;
        uint8_t pdu[14] = {16,
                           (uint8_t) (registers[i].address >> 8),
                           (uint8_t) registers[i].address,
                           0,
                           (uint8_t) quantity,
                           (uint8_t) (2 * quantity)};
        for (unsigned n = 0; n < quantity; n++) {
            pdu[6 + 2 * n] = (uint8_t) (registers[i].values[n] >> 8);
            pdu[7 + 2 * n] = (uint8_t) registers[i].values[n];
        }
        struct switches switches;
        const uint8_t result = read_pdu(&usual, pdu, 6 + 2 * quantity, &switches);
        if (result != registers[i].exception)
            fail_msg("%s: exception %u", registers[i].name, result);
        if (result == 0 && memcmp(&switches, &registers[i].switches, sizeof switches) != 0)
            fail_msg("%s: something else is ordered", registers[i].name);
    }
}
