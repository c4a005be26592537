// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings, emulated: switches, and how `auto` identifies a pack. That what is
 * encoded is decoded again is in test_property.
 */
#include "topbms_text.h"

/* Sends a request to an emulated pack; its answer is in `answer`. False: none. */
static bool emulate(struct bms *emulated, struct pack *pack, const struct bms_request *request,
                    struct bms_output *out)
{
    size_t used = bms_emulate(emulated, pack, request->bytes, request->size, out);
    assert_int_equal(used, request->size);
    return out->size > 0;
}

static struct pack new_pack(unsigned cells, unsigned sensors)
{
    struct pack pack = cleared_pack();
    double sum = 0;
    pack_set(&pack, CELL_COUNT, cells);
    for (unsigned i = 1; i <= cells; i++) {
        pack_set_cell(&pack, i, 3200 + 7 * i);
        sum += 3.2 + 0.007 * i;
    }
    pack_set(&pack, TEMP_COUNT, sensors);
    for (unsigned i = 1; i <= sensors; i++)
        pack_set_temp(&pack, i, i % 2 ? 10.0 + i : -10.0 - i);
    set_values(&pack, {VOLTAGE_V, round(sum * 100) / 100}, {CURRENT_A, -12.3}, {REMAINING_AH, 50.5},
               {FULL_AH, 101}, {RATED_AH, 100}, {SOC_PERCENT, 50}, {SOH_PERCENT, 99}, {CYCLES, 321},
               {BALANCE_MASK, cells > 1 ? 2 : 1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 0});
    memcpy(pack.text[SERIAL], "SN-0042", 8);
    memcpy(pack.text[MODEL], "MODEL-1", 8);
    memcpy(pack.text[FIRMWARE], "2.7", 4);
    return pack;
}

/* Polls an emulated pack once with all steps; the values are in `read`. */
static void poll(struct bms *bms, struct bms *emulated, struct pack *pack, struct pack *read)
{
    pack_clear(read);
    for (unsigned step = 0; step < topbms_driver.steps; step++) {
        struct bms_request request;
        struct bms_output out;
        if (!topbms_driver.build(bms, step, &request))
            continue;
        assert_true(emulate(emulated, pack, &request, &out));
        enum bms_result result = decode_bytes(bms, &request, out.bytes, out.size, read);
        if (result != BMS_DONE)
            fail_msg("step %u: %d for %.*s", step, result, (int) out.size, (char *) out.bytes);
    }
}

/* In auto any pack is identified by its answers alone. */
TEST(auto_finds_each)
{
    for (int variant = TOPBMS; variant < VARIANTS; variant++)
        for (int lost = 0; lost <= 1; lost++) {
            struct bms bms = new_bms(AUTO, 1, -1),
                       emulated = new_bms((enum variant) variant, 1, -1);
            struct pack pack = new_pack(16, 6), read;
            struct bms_request request;
            struct bms_output out;
            unsigned asked = 0;
            enum bms_result result = BMS_FOREIGN;
            while (result != BMS_DONE && asked < 16) {
                pack_clear(&read);
                assert_true(topbms_driver.build(&bms, ANALOG, &request));
                /* A sleeping pack may not receive the first request. */
                if (asked++ < (unsigned) lost || !emulate(&emulated, &pack, &request, &out))
                    continue;
                result = decode_bytes(&bms, &request, out.bytes, out.size, &read);
                assert_true(result == BMS_DONE || result == BMS_REFUSED);
                assert_int_equal(topbms_driver.build(&bms, STATUS, &request), result == BMS_DONE);
            }
            assert_int_equal(result, BMS_DONE);
            for (int i = 0; i < 3; i++) /* it stays identified, even if it is silent for a while */
                assert_true(topbms_driver.build(&bms, ANALOG, &request));
            poll(&bms, &emulated, &pack, &read);
            assert_values(&read, {CHARGE_MOS, 1}, {VOLTAGE_V, pack.value[VOLTAGE_V]});
            bool switched = topbms_driver.control(&bms, BMS_CHARGE_MOS, false, &request);
            assert_int_equal(switched, variant == PACE);
        }
}

/* A Sylcin pack: a TopBMS that must be asked with VER 52 (section 5). False: no answer. */
static bool emulate_sylcin(struct bms *emulated, struct pack *pack,
                           const struct bms_request *request, bool refuses, struct bms_output *out)
{
    struct ydt_frame asked;
    uint8_t info[YDT_INFO_MAX];
    size_t size = 0;
    struct bms_request plain;
    assert_true(ydt_parse(request->bytes, request->size, &asked));
    if (asked.head.version != 0x52 && !refuses)
        return false;
    assert_true(ydt_read_info(&asked, info, &size));
    asked.head.version = asked.head.version == 0x52 ? 0x21 : 0x99;
    plain.size = ydt_write(plain.bytes, &asked.head, info, size);
    return emulate(emulated, pack, &plain, out);
}

/* It is found in auto and with a configured variant, whether it refuses another VER or does not answer, and then
 * asked with VER 52 for everything else. */
TEST(finds_sylcin)
{
    for (int variant = AUTO; variant <= TOPBMS; variant++)
        for (int refuses = 0; refuses < 2; refuses++) {
            struct bms bms = new_bms((enum variant) variant, 1, -1),
                       emulated = new_bms(TOPBMS, 1, -1);
            struct pack pack = new_pack(16, 6), read;
            struct bms_request request;
            struct bms_output out;
            enum bms_result result = BMS_FOREIGN;
            for (unsigned asked = 0; result != BMS_DONE && asked < 16; asked++) {
                pack_clear(&read);
                assert_true(topbms_driver.build(&bms, ANALOG, &request));
                if (emulate_sylcin(&emulated, &pack, &request, refuses, &out))
                    result = decode_bytes(&bms, &request, out.bytes, out.size, &read);
            }
            assert_int_equal(result, BMS_DONE);
            assert_values(&read, {VOLTAGE_V, pack.value[VOLTAGE_V]});
            for (int i = 0; i < 3; i++) {
                assert_true(topbms_driver.build(&bms, ANALOG, &request));
                assert_request(&request, "~52014642E00201FD30");
            }
            assert_true(topbms_driver.build(&bms, STATUS, &request));
            assert_request(&request, "~52014644E00201FD2E"); /* as recorded */
            assert_true(emulate_sylcin(&emulated, &pack, &request, refuses, &out));
            result = decode_bytes(&bms, &request, out.bytes, out.size, &read);
            assert_int_equal(result, BMS_DONE);
            assert_values(&read, {CHARGE_MOS, 1});
        }
}

/* Section 8.4, all four switches in turn: the last MOS that conducts does not open. */
TEST(emulated_switches)
{
    struct bms bms = new_bms(PACE, 1, -1), emulated = bms;
    struct pack pack = new_pack(16, 6), read;
    pack_set(&pack, DISCHARGE_MOS, 1);
    static const struct {
        enum bms_switch which;
        bool on;
        enum bms_result result;
        double charge, discharge;
    } turns[] = {
        {BMS_CHARGE_MOS, false, BMS_DONE, 0, 1},    {BMS_DISCHARGE_MOS, false, BMS_REFUSED, 0, 1},
        {BMS_CHARGE_MOS, true, BMS_DONE, 1, 1},     {BMS_DISCHARGE_MOS, false, BMS_DONE, 1, 0},
        {BMS_CHARGE_MOS, false, BMS_REFUSED, 1, 0}, {BMS_DISCHARGE_MOS, true, BMS_DONE, 1, 1},
    };
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        struct bms_request request;
        struct bms_output out;
        pack_clear(&read);
        assert_true(topbms_driver.control(&bms, turns[i].which, turns[i].on, &request));
        assert_true(emulate(&emulated, &pack, &request, &out));
        assert_int_equal(decode_bytes(&bms, &request, out.bytes, out.size, &read), turns[i].result);
        assert_values(&pack, {CHARGE_MOS, turns[i].charge}, {DISCHARGE_MOS, turns[i].discharge});
        poll(&bms, &emulated, &pack, &read);
        assert_values(&read, {CHARGE_MOS, turns[i].charge}, {DISCHARGE_MOS, turns[i].discharge});
    }
}

/* Requests in pieces, after noise and merged are answered one by one. */
TEST(emulated_stream)
{
    static const char stream[] =
        "\r~2101~21014642E00201FD34\r~21014644E00201FD32\rx~21024642E00202FD32\r";
    struct bms emulated = new_bms(TOPBMS, 1, -1);
    struct pack pack = new_pack(4, 2);
    unsigned answers = 0;
    size_t at = 0, end = 0;
    while (at < strlen(stream)) {
        struct bms_output out;
        size_t used = bms_emulate(&emulated, &pack, (const uint8_t *) stream + at, end - at, &out);
        at += used;
        answers += out.size > 0;
        assert_true(at <= end);
        if (used == 0)
            end++;
        assert_true(end <= strlen(stream));
    }
    assert_int_equal(answers, 2);
}
