// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings, attacked: replies with correct checksums that belong to another pack,
 * another command, another request or another variant; values at their limits; damage that no
 * checksum detects.
 */
#include "topbms_text.h"

#include <stdlib.h>

/* INFO of a PACE block of 42H: 16 cells of `mv`, 6 sensors of 20 °C, 10.00 A, count 3, 100 Ah. */
static const char *pace_block(unsigned mv)
{
    static char text[2][400];
    static unsigned turn;
    char *block = text[turn++ % 2];
    size_t at = (size_t) sprintf(block, "10");
    for (unsigned i = 0; i < 16; i++)
        at += (size_t) sprintf(block + at, "%04X", mv);
    at += (size_t) sprintf(block + at, "06");
    for (unsigned i = 0; i < 6; i++)
        at += (size_t) sprintf(block + at, "%04X", 2730 + 200);
    sprintf(block + at, "03E8 %04X 1388 03 2710 0005 2710", 16 * mv);
    return block;
}

/* A master at 1 is asked for pack 2. Its reply to another master, which has asked for all packs, arrives late: the
 * number of packs, 2, is where the group byte 02 is expected. It begins with pack 1. */
TEST(all_packs_for_one)
{
    char two[800], info[800];
    struct bms bms = new_bms(AUTO, 2, 1);
    struct pack pack = cleared_pack();
    const char *request = "~25014642E00202FD2F";
    for (unsigned between = 0; between <= 1; between++) {
        sprintf(two, "00 02 %s %s %s", pace_block(3300), between ? "00" : "", pace_block(3200));
        assert_int_equal(decode_text(&bms, request, framed(0x25, 1, 0x46, 0, two), &pack),
                         BMS_FOREIGN);
        assert_untouched(&pack);
        assert_int_equal(decode_text(&bms, "", framed(0x25, 1, 0x46, 0, two), &pack), BMS_FOREIGN);
        assert_untouched(&pack);
    }
    /* Additional bytes that are not a further pack belong to a firmware (section 8.1). */
    sprintf(info, "00 02 %s 0102030405", pace_block(3200));
    assert_int_equal(decode_text(&bms, request, framed(0x25, 1, 0x46, 0, info), &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV, 3200});
    /* If a pack that is not a master was asked, a reply of several packs is rejected. */
    sprintf(two, "00 02 %s %s", pace_block(3300), pace_block(3200));
    pack_clear(&pack);
    assert_int_not_equal(
        decode_text(&bms, framed(0x25, 3, 0x46, 0x42, "FF"), framed(0x25, 3, 0x46, 0, two), &pack),
        BMS_DONE);
    assert_untouched(&pack);
}

/* Section 9, and recordings of PACE: with another ADR only 42H and 44H of PACE are accepted, for exactly the
 * requested COMMAND, and only if ADR did not name a master. */
TEST(another_address)
{
    static const struct {
        uint8_t version, asked_adr, command, adr, group, code;
        enum bms_result result;
    } cases[] = {
        {0x25, 2, 2, 1, 2, 0x00, BMS_DONE},
        {0x25, 2, 2, 1, 1, 0x00, BMS_FOREIGN}, /* pack 1 */
        {0x25, 2, 3, 1, 3, 0x00, BMS_FOREIGN}, /* pack 3 of another master */
        {0x25, 0, 0, 1, 1, 0x00, BMS_FOREIGN}, /* 01 in place of 00 is valid from 00 only */
        {0x25, 0, 0, 0, 1, 0x00, BMS_DONE},
        {0x25, 2, 2, 1, 2, 0x04, BMS_FOREIGN}, /* not for refusals */
        {0x20, 2, 2, 1, 2, 0x00, BMS_FOREIGN}, /* not for the siblings */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[40], info[400], command[3];
        sprintf(command, "%02X", cases[i].command);
        sprintf(info, "00 %02X %s", cases[i].group, pace_block(3300));
        sprintf(request, "%s", framed(cases[i].version, cases[i].asked_adr, 0x46, 0x42, command));
        struct bms bms = new_bms(AUTO, -1, -1);
        struct pack pack = cleared_pack();
        const char *reply =
            framed(cases[i].version, cases[i].adr, 0x46, cases[i].code, cases[i].code ? "" : info);
        enum bms_result result = decode_text(&bms, request, reply, &pack);
        if (result != cases[i].result)
            fail_msg("case %zu: expected %d, got %d", i, cases[i].result, result);
        if (result != BMS_DONE)
            assert_untouched(&pack);
    }
}

/* Section 11, 6: 65536 is subtracted, not 65535. */
TEST(current_at_its_limits)
{
    static const struct {
        unsigned raw;
        double current_a;
    } cases[] = {
        {0x0000, 0}, {0x0001, 0.01}, {0x7FFF, 327.67}, {0x8000, -327.68}, {0xFFFF, -0.01},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char info[100];
        sprintf(info, "01 02 0CE4 0CE4 00 %04X 0294 1000 06 1000 0000 58 64 0000 0000 0000",
                cases[i].raw);
        struct bms bms = new_bms(AUTO, 1, -1);
        struct pack pack = cleared_pack();
        assert_int_equal(
            decode_text(&bms, "~21014642E00201FD34", framed(0x52, 1, 0x46, 0, info), &pack),
            BMS_DONE);
        assert_values(&pack, {CURRENT_A, cases[i].current_a});
    }
}

/* Section 2: within 2 % and no more; and the sum decides the scale. Sixteen cells of 3125 mV are exactly 50 V. */
TEST(pack_voltage_and_cells)
{
    static const struct {
        unsigned raw;
        double voltage_v; /* NaN: rejected */
    } cases[] = {
        {50000, 50}, {49000, 49}, {51000, 51}, {48990, NAN}, {51010, NAN}, {5000, 50},
        {4900, 49},  {5100, 51},  {4899, NAN}, {5101, NAN},  {0, NAN},     {65535, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char info[400];
        size_t at = (size_t) sprintf(info, "00 01 10");
        for (unsigned cell = 0; cell < 16; cell++)
            at += (size_t) sprintf(info + at, "%04X", 3125);
        sprintf(info + at, "00 0000 %04X 1388 03 2710 0005 2710", cases[i].raw);
        struct bms bms = new_bms(AUTO, 1, -1);
        struct pack pack = cleared_pack();
        enum bms_result result =
            decode_text(&bms, "~25014642E00201FD30", framed(0x25, 1, 0x46, 0, info), &pack);
        assert_int_equal(result, isnan(cases[i].voltage_v) ? BMS_INVALID : BMS_DONE);
        assert_values(&pack, {VOLTAGE_V, cases[i].voltage_v});
    }
}

/* Values of one reply are not kept in the next: a computed SOC, a lost sensor. */
TEST(nothing_lives_on)
{
    struct bms bms = new_bms(AUTO, 1, -1);
    struct pack pack = cleared_pack();
    const char *head = "00 01 02 0CE4 0CE4 05 0B72 0B72 0B72 0B72 0BA4 0000 19C8";
    char info[200];
    sprintf(info, "%s 1388 03 2710 0005 2710", head); /* 50 of 100 Ah */
    assert_int_equal(
        decode_text(&bms, "~25014642E00201FD30", framed(0x25, 1, 0x46, 0, info), &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, 50}, {MOS_TEMP_C, 25});
    sprintf(info, "%s 2710 03 2710 0005 2710", head);
    assert_int_equal(
        decode_text(&bms, "~25014642E00201FD30", framed(0x25, 1, 0x46, 0, info), &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, 100});
    /* The capacity is no longer reported, and the MOS sensor and cell 2 are lost. */
    const char *less = "00 01 02 0CE4 0000 05 0B72 0B72 0B72 0B72 0000 0000 0CE4"
                       " 0000 03 0000 0005 2710";
    assert_int_equal(
        decode_text(&bms, "~25014642E00201FD30", framed(0x25, 1, 0x46, 0, less), &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, NAN}, {FULL_AH, NAN}, {MOS_TEMP_C, NAN}, {TEMP_C + 4, NAN},
                  {CELL_MV + 1, NAN});
}

/* PACE's additional fields are accepted only if they match the capacities before them. */
TEST(tail_of_something_else)
{
    static const struct {
        const char *tail;
        double soc, soh;
    } cases[] = {
        {"33 2710 2710 2710 2710 62", 51, 98}, /* within 2 % of 50 */
        {"33 2710 2710 2710 2710 62 19C8 0000", 51, 98},
        {"5A 2710 2710 2710 2710 62", 50, NAN},
        {"FF FFFF FFFF FFFF FFFF FF", 50, NAN},
        {"33 2710 2710", 51, NAN},
        {"33", 51, NAN},
        {"", 50, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char info[200];
        sprintf(info, "00 01 02 0CE4 0CE4 00 0000 19C8 1388 03 2710 0005 2710 %s", cases[i].tail);
        struct bms bms = new_bms(AUTO, 1, -1);
        struct pack pack = cleared_pack();
        assert_int_equal(
            decode_text(&bms, "~25014642E00201FD30", framed(0x25, 1, 0x46, 0, info), &pack),
            BMS_DONE);
        assert_values(&pack, {SOC_PERCENT, cases[i].soc}, {SOH_PERCENT, cases[i].soh});
    }
}

/* A pack that is configured as one sibling and answers as another: no value in a wrong scale, but an error. */
TEST(wrong_variant_configured)
{
    static const char pylontech[] = "~20014600C06E11010F0D450D440D450D440D450D440D3E0D450D4A0D4A0D4"
                                    "B0D4A0D4A0D4A0D4A050BC30BC30BC3"
                                    "0BCD0BCD0000C725BF6802C3500002E553";
    struct pack pack;
    for (int variant = TOPBMS; variant < VARIANTS; variant++) {
        struct bms bms = new_bms((enum variant) variant, 1, -1);
        pack_clear(&pack);
        enum bms_result result = decode_text(&bms, "~20014642E00201FD35", pylontech, &pack);
        assert_int_equal(result, variant == PYLONTECH ? BMS_DONE : BMS_INVALID);
        if (variant != PYLONTECH)
            assert_untouched(&pack);
    }
}

/* In auto a late answer to the previous dialect identifies the pack: it is then asked in that one, never in a
 * mixture. */
TEST(late_answer_while_searching)
{
    static const char late[] =
        "~52014600408401100D120D150D0F0D0D0D130D160D150D210D130D130D130D130D10"
        "0D160D170D2306003D003E003E003E003B003B018014EE33B3063A980002586400000000"
        "0000E20A";
    struct bms bms = new_bms(AUTO, 1, -1);
    struct bms_request first, second;
    struct pack pack = cleared_pack();
    assert_true(topbms_driver.build(&bms, ANALOG, &first));
    assert_request(&first, "~21014642E00201FD34");
    /* Sent twice: the first one may only have woken the pack. */
    assert_true(topbms_driver.build(&bms, ANALOG, &first));
    assert_request(&first, "~21014642E00201FD34");
    assert_true(topbms_driver.build(&bms, ANALOG, &second));
    assert_request(&second, "~25014642E00201FD30");
    char line[400];
    sprintf(line, "%s\r", late);
    assert_int_equal(decode_bytes(&bms, &second, (const uint8_t *) line, strlen(line), &pack),
                     BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.58});
    assert_true(topbms_driver.build(&bms, ANALOG, &first));
    assert_request(&first, "~21014642E00201FD34");
    assert_true(topbms_driver.build(&bms, STATUS, &first));
    assert_request(&first, "~21014644E00201FD32");
    /* A late refusal does not change that, unless it is about VER. */
    assert_int_equal(decode_text(&bms, "~21014642E00201FD34", "~520146040000FDAA", &pack),
                     BMS_INVALID);
    assert_true(topbms_driver.build(&bms, ANALOG, &first));
    assert_request(&first, "~21014642E00201FD34");
    assert_int_equal(decode_text(&bms, "~21014642E00201FD34", "~520146010000FDAD", &pack),
                     BMS_REFUSED);
    assert_true(topbms_driver.build(&bms, ANALOG, &first));
    assert_request(&first, "~25014642E00201FD30");
}

/* Section 11, 2: a late reply to 44H with little but zeros is not accepted as a 42H of a pack with broken cell wires,
 * whether requested or not. */
TEST(late_status)
{
    static const struct {
        enum variant variant;
        uint8_t address;
        const char *reply;
    } cases[] = {
        {AUTO, 0xB3,
         "~52B34600004CB30A0000000000000000000004F0000000000200000F000C4007040300000000000000000800"
         "EEBE"},
        {TOPBMS, 0xB3,
         "~52B34600004CB30A0000000000000000000004F0000000000200000F000C4007040300000000000000000800"
         "EEBE"},
        {TOPBAND, 0xA7,
         "~21A746006046A70A000100000000000000000B00000000000000000000000002080016000000320C0CEFF3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms = new_bms(cases[i].variant, cases[i].address, -1);
        char number[3];
        sprintf(number, "%02X", cases[i].address);
        struct pack pack = cleared_pack();
        assert_int_equal(decode_text(&bms, framed(0x21, cases[i].address, 0x46, 0x42, number),
                                     cases[i].reply, &pack),
                         BMS_FOREIGN);
        assert_untouched(&pack);
        /* After 44H it is the answer, and without a request it is nothing else. */
        assert_int_equal(decode_text(&bms, framed(0x21, cases[i].address, 0x46, 0x44, number),
                                     cases[i].reply, &pack),
                         BMS_DONE);
        assert_true(pack.alarms_known);
        assert_values(&pack, {VOLTAGE_V, NAN});
        pack_clear(&pack);
        assert_int_equal(decode_text(&bms, "", cases[i].reply, &pack), BMS_DONE);
        assert_true(pack.alarms_known);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
}

/* 01 | 04 | 00 00 00 00 | 0E | 00 … | the 11 bytes of Topband: 64 characters, printable as text. */
TEST(late_status_for_a_text)
{
    const char *reply =
        framed(0x21, 1, 0x46, 0,
               "01 04 00000000 0E 0000000000000000000000000000 000008 09020000000000"
               " 00");
    struct bms bms = new_bms(TOPBAND, 1, -1);
    struct pack pack = cleared_pack();
    assert_int_equal(strlen(reply), 1 + 12 + 64 + 4);
    assert_int_equal(decode_text(&bms, "~210146510000FDAC", reply, &pack), BMS_FOREIGN);
    assert_untouched(&pack);
}

/* A pack that never answers identity requests is not asked for them again and again, and is asked like any other once
 * it does. */
TEST(patience_with_identity)
{
    struct bms bms = new_bms(PYLONTECH, 2, -1);
    struct bms_request request;
    struct pack pack = cleared_pack();
    for (unsigned step = IDENTITY; step <= LIMITS; step++) {
        unsigned asked = 0;
        for (unsigned i = 0; i < 1000; i++)
            asked += topbms_driver.build(&bms, step, &request);
        assert_int_equal(asked, 3);
    }
    unsigned waited = 0;
    while (!topbms_driver.build(&bms, LIMITS, &request) && waited < 100000)
        waited++;
    assert_true(waited < 100000);
    assert_int_equal(
        decode_text(&bms, "~20024692E00202FD2E", "~20024600B014026EF05AA0022BFDD5C0F915", &pack),
        BMS_DONE);
    for (unsigned i = 0; i < 3; i++)
        assert_true(topbms_driver.build(&bms, LIMITS, &request));
    /* Values and alarms are requested each time. */
    for (unsigned i = 0; i < 100; i++)
        assert_true(topbms_driver.build(&bms, STATUS, &request));
}

#define TWO_PACKS                                                                                  \
    "00 02 02 0CE4 0CE4 00 0000 19C8 1388 03 2710 0005 2710"                                       \
    " 02 0CE4 0CE4 00 0000 19C8 1388 03 2710 0005 2710"

/* Deterministic damage with corrected checksums: no read beyond the frame (it is at the end of its memory), no value
 * out of range, no value without "done". */
TEST(damage_behind_checksums)
{
    static const char *const infos[] = {
        "01 02 0CE4 0CE4 02 003C 003D 0000 0294 1000 06 1000 0000 58 64 0000 0000 0000",
        "01 04 00000000 02 0000 00 00 0000 0F 000000000000000000000000000000 00",
        TWO_PACKS,
    };
    static const char *const asked[] = {"42 01", "44 01", "42 FF", "51",
                                        "92 01", "F1 01", "C2",    "9A 00"};
    uint32_t seed = 1;
    for (unsigned round = 0; round < 60000; round++) {
        char info[400];
        size_t length = 0;
        for (const char *c = infos[round % 3]; *c; c++)
            if (*c != ' ')
                info[length++] = *c;
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            seed = seed * 1664525 + 1013904223;
            info[seed >> 8 & 0x7F % length] = "0123456789ABCDEFGZ"[(seed >> 20) % 18];
        }
        seed = seed * 1664525 + 1013904223;
        info[round % 5 ? length : (seed >> 8) % length] = '\0';
        static const uint8_t versions[] = {0x20, 0x21, 0x25, 0x52};
        uint8_t version = versions[round / 3 % 4];
        const char *text = framed(version, 1, 0x46, 0, info);
        size_t size = strlen(text) + 1;
        uint8_t *frame = malloc(size);
        assert_non_null(frame);
        memcpy(frame, text, size - 1);
        frame[size - 1] = '\r';
        const char *command = asked[round / 12 % 8];
        struct bms_request request =
            request_of(framed(version == 0x52 ? 0x21 : version, 1, 0x46,
                              (uint8_t) strtoul(command, NULL, 16), command + 2));
        struct bms bms = new_bms((enum variant)(round / 96 % VARIANTS), -1, -1);
        struct pack pack = cleared_pack();
        if (decode_bytes(&bms, &request, frame, size, &pack) != BMS_DONE)
            assert_untouched(&pack);
        if (pack_known(&pack, CELL_COUNT))
            assert_true(pack.value[CELL_COUNT] >= 1 && pack.value[CELL_COUNT] <= MAX_CELLS);
        free(frame);
    }
}

/* 44H whose remaining bytes have an unknown length, whose counts are too large, or whose items are invalid. */
TEST(malformed_status)
{
    struct bms bms = new_bms(AUTO, 1, -1);
    struct pack pack;
    for (unsigned rest = 0; rest <= 40; rest++) {
        char info[200];
        size_t at = (size_t) sprintf(info, "01 04 00000000 02 0000");
        for (unsigned i = 0; i < rest; i++)
            at += (size_t) sprintf(info + at, "00");
        pack_clear(&pack);
        enum bms_result result =
            decode_text(&bms, "~21014644E00201FD32", framed(0x52, 1, 0x46, 0, info), &pack);
        bool known = rest == 11 || rest == 14 || (rest >= 20 && rest <= 22);
        if ((result == BMS_DONE) != known)
            fail_msg("%u bytes behind the sensors: %d", rest, result);
        if (!known)
            assert_untouched(&pack);
    }
    static const char *const infos[] = {
        "",
        "01",
        "01 04",
        "01 00 00 00 00",
        "01 31 00 00",
        "01 04 00000000",
        "01 04 00000000 FF 00 00",
        "01 04 03000000 02 0000 00 00 00 00 00 00 00 00 00 00 00",
        "01 04 00000000 02 0003 00 00 00 00 00 00 00 00 00 00 00",
        "01 04 00000000 02 0000 7F 00 00 00 00 00 00 00 00 00 00",
        "01 04 00000000 02 0000 00 F1 00 00 00 00 00 00 00 00 00",
    };
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
        pack_clear(&pack);
        assert_int_equal(
            decode_text(&bms, "~21014644E00201FD32", framed(0x52, 1, 0x46, 0, infos[i]), &pack),
            BMS_INVALID);
        assert_untouched(&pack);
    }
}
