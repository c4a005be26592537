// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: constructed replies with the quirks of the sheet `topbms`, sections 2, 4 to 6,
 * 8 and 11.
 */
#include "topbms_text.h"

/* The host port of an Enjie board rejects COMMAND: a silent pack of Seplos is asked without it in turn, and only in
 * this way after it has answered. */
TEST(without_command)
{
    static const char with[] = "~20004642E00200FD37", without[] = "~200046420000FDAE";
    static const char *const turns[] = {with, with, without, with};
    struct bms bms = new_bms(SEPLOS, 0, -1);
    struct bms_request request;
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        assert_true(topbms_driver.build(&bms, ANALOG, &request));
        assert_request(&request, turns[i]);
    }
    struct pack pack = cleared_pack();
    assert_int_equal(
        decode_text(&bms, without,
                    "~2000460010960000100CB80CB60CB80CB80CB70CB70CB70CB80CB30CB70CB80CB80"
                    "CB50CB70CB60CB6060B9E0B950B920BA00BC80BA9FB96145824520A7AA801287AA8"
                    "000503E8145A00280000030802C0DC99",
                    &pack),
        BMS_DONE);
    for (int i = 0; i < 3; i++) {
        assert_true(topbms_driver.build(&bms, ANALOG, &request));
        assert_request(&request, without);
    }
    assert_true(topbms_driver.build(&bms, STATUS, &request));
    assert_request(&request, "~200046440000FDAC");
    bms_forget(&bms);
    assert_true(topbms_driver.build(&bms, ANALOG, &request));
    assert_request(&request, without);
    bms = new_bms(SEPLOS, 3, 1); /* behind a master it would reach the master */
    for (int i = 0; i < 4; i++) {
        assert_true(topbms_driver.build(&bms, ANALOG, &request));
        assert_request(&request, framed(0x20, 1, 0x46, 0x42, "03"));
    }
}

/* Creabest VB: no group byte, signed temperatures, tenths of volts; 44H is not requested. In `auto` such replies are
 * accepted only after a request in this form. */
TEST(creabest)
{
    static const char asked[] = "~11014642E00201FD35";
    static const char info[] = "04 0D00 0CFE 0CFE 0CFE 02 FFC2 0000 FFF6 0085 0060 07 0003 0086 "
                               "0000 0000 0000 0000 0000";
    struct bms bms = new_bms(CREABEST, 1, -1), automatic = new_bms(AUTO, 1, -1);
    struct bms_request request;
    assert_true(topbms_driver.build(&bms, ANALOG, &request));
    assert_request(&request, asked);
    struct pack pack = cleared_pack();
    assert_int_equal(decode_text(&bms, asked, framed(0x22, 1, 0x46, 0, info), &pack), BMS_DONE);
    assert_false(topbms_driver.build(&bms, STATUS, &request));
    assert_false(topbms_driver.build(&bms, IDENTITY, &request));
    assert_values(&pack, {TEMP_C, -6.2}, {TEMP_C + 1, 0}, {CURRENT_A, -1}, {VOLTAGE_V, 13.3},
                  {SOC_PERCENT, 96}, {CYCLES, 3});
    assert_true(isnan(pack.value[CHARGE_MOS]) && pack.alarms_known == 0);
    /* A voltage that does not match the cells, a count byte of another variant, one byte too few. */
    static const char *const wrong[] = {
        "04 0D00 0CFE 0CFE 0CFE 02 003E 0049 0000 0090 0060 07 0003 0086 0000 0000 0000 0000 0000",
        "04 0D00 0CFE 0CFE 0CFE 02 003E 0049 0000 0085 0060 08 0003 0086 0000 0000 0000 0000 0000",
        "04 0D00 0CFE 0CFE 0CFE 02 003E 0049 0000 0085 0060 07 0003 0086 0000 0000 0000 0000 00",
        "04 0D00 0CFE 0CFE 0CFE 02 0B9E 0049 0000 0085 0060 07 0003 0086 0000 0000 0000 0000 0000",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pack_clear(&pack);
        assert_int_not_equal(decode_text(&bms, asked, framed(0x22, 1, 0x46, 0, wrong[i]), &pack),
                             BMS_DONE);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
    assert_int_not_equal(
        decode_text(&automatic, "~21014642E00201FD34", framed(0x22, 1, 0x46, 0, info), &pack),
        BMS_DONE);
}

/* A pack behind a master: ADR is that of the master, COMMAND that of the pack. Requests without COMMAND would reach
 * the master instead and are not sent. */
TEST(behind_a_master)
{
    struct bms_request request;
    struct bms bms = new_bms(PACE, 3, 1);
    assert_true(topbms_driver.build(&bms, ANALOG, &request));
    assert_request(&request, framed(0x25, 1, 0x46, 0x42, "03"));
    assert_true(topbms_driver.build(&bms, STATUS, &request));
    assert_false(topbms_driver.build(&bms, IDENTITY, &request));
    assert_false(topbms_driver.build(&bms, SERIAL_NUMBER, &request));
    assert_false(topbms_driver.control(&bms, BMS_CHARGE_MOS, false, &request));
    bms = new_bms(EG4, 3, 1);
    assert_false(topbms_driver.build(&bms, ANALOG, &request));
    /* In auto, EG4's dialects are then omitted: no request without COMMAND is sent. */
    bms = new_bms(AUTO, 3, 1);
    for (int i = 0; i < 20; i++) {
        assert_true(topbms_driver.build(&bms, ANALOG, &request));
        assert_memory_equal(request.bytes + 7, "42E00203", 8);
    }
}

/* The recorded answers of section 8.4: bits 1 and 2 of the instruction byte must match the request. */
TEST(mos_replies)
{
    static const struct {
        const char *request, *reply;
        enum bms_result result;
        double charge, discharge;
    } cases[] = {
        {"~2500469AE00200FD1E", "~25004600E00226FD30", BMS_DONE, 1, 1},
        {"~2500469AE00201FD1D", "~25004600E00224FD32", BMS_DONE, 0, 1},
        {"~2500469BE00200FD1D", "~25004600E00204FD34", BMS_DONE, 0, 1},
        {"~2500469BE00201FD1C", "~25004609E00204FD2B", BMS_REFUSED, NAN, NAN},
        /* Not the requested command, whatever RTN says. */
        {"~2500469AE00200FD1E", "~25004600E00224FD32", BMS_INVALID, NAN, NAN},
        {"~2500469BE00201FD1C", "~25004600E00226FD30", BMS_INVALID, NAN, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms = new_bms(AUTO, -1, -1);
        struct pack pack = cleared_pack();
        enum bms_result result = decode_text(&bms, cases[i].request, cases[i].reply, &pack);
        assert_int_equal(result, cases[i].result);
        assert_values(&pack, {CHARGE_MOS, cases[i].charge}, {DISCHARGE_MOS, cases[i].discharge});
    }
}

/* INFO of 42H as TopBMS sends it: group, cells of 3300 mV and more, sensors, then the other fields for that pack
 * voltage. */
static const char *topbms_info(unsigned group, unsigned cells, unsigned sensors, const char *flag,
                               const char *rest)
{
    static char info[BMS_FRAME_MAX];
    size_t at = (size_t) sprintf(info, "%s%02X%02X", flag, group, cells);
    unsigned sum = 0;
    for (unsigned i = 0; i < cells; i++) {
        at += (size_t) sprintf(info + at, "%04X", 3300 + i);
        sum += 3300 + i;
    }
    at += (size_t) sprintf(info + at, "%02X", sensors);
    for (unsigned i = 0; i < sensors; i++)
        at += (size_t) sprintf(info + at, "%04X", 60 + i);
    sprintf(info + at, "FF9C%04X2710%s", (sum + 5) / 10, rest); /* -1.00 A, 100.00 Ah */
    return info;
}

static enum bms_result decode_topbms(unsigned pack_number, const char *info, struct pack *pack)
{
    struct bms bms = new_bms(AUTO, -1, -1);
    char request[40], number[3];
    snprintf(number, sizeof number, "%02X", pack_number);
    snprintf(request, sizeof request, "%s",
             framed(0x21, (uint8_t) pack_number, 0x46, 0x42, number));
    pack_clear(pack);
    return decode_text(&bms, request, framed(0x52, (uint8_t) pack_number, 0x46, 0, info), pack);
}

#define REST_6 "06 3A98 0002 58 64 0003 0028 8000" /* count 6: 150 Ah, 2 cycles, 88 %, 100 % */
#define REST_5 "05 3A98 0002 58 64 0003 28"

/* Every number of cells and sensors, with and without INFOFLAG, with both counts. */
TEST(all_sizes)
{
    for (unsigned cells = 1; cells <= MAX_CELLS; cells++)
        for (unsigned sensors = 0; sensors <= MAX_TEMPS; sensors++)
            for (unsigned form = 0; form < 4; form++) {
                struct pack pack;
                const char *info = topbms_info(cells % 16 + 1, cells, sensors, form & 1 ? "00" : "",
                                               form & 2 ? REST_5 : REST_6);
                enum bms_result result = decode_topbms(cells % 16 + 1, info, &pack);
                if (result != BMS_DONE)
                    fail_msg("%u cells, %u sensors, form %u: %d", cells, sensors, form, result);
                assert_values(&pack, {CELL_COUNT, cells}, {TEMP_COUNT, sensors},
                              {CELL_MV + cells - 1, 3299 + cells}, {CURRENT_A, -1}, {FULL_AH, 150},
                              {SOC_PERCENT, 88}, {SOH_PERCENT, 100});
                double mask = cells == 1 ? 1 : 3;
                if (!(form & 2) && cells >= 32)
                    mask += 0x80000000u;
                assert_values(&pack, {BALANCE_MASK, mask});
            }
}

/* Section 6: INFO starts with 10 10, and read with INFOFLAG that would be 13 cells. */
TEST(pack_16_with_16_cells)
{
    struct pack pack;
    assert_int_equal(decode_topbms(16, topbms_info(16, 16, 6, "", REST_6), &pack), BMS_DONE);
    assert_values(&pack, {CELL_COUNT, 16});
    assert_int_equal(decode_topbms(16, topbms_info(16, 16, 6, "10", REST_6), &pack), BMS_DONE);
    assert_values(&pack, {CELL_COUNT, 16}, {CELL_MV, 3300});
}

/* Section 4: additional bytes are ignored; missing ones leave values unknown. */
TEST(more_and_fewer_bytes)
{
    struct pack pack;
    const char *longer = topbms_info(1, 16, 6, "", REST_6 "1234567890");
    assert_int_equal(decode_topbms(1, longer, &pack), BMS_DONE);
    assert_values(&pack, {BALANCE_MASK, 3});
    const char *shorter = topbms_info(1, 16, 6, "", "06 3A98 0002 58");
    assert_int_equal(decode_topbms(1, shorter, &pack), BMS_DONE);
    assert_values(&pack, {SOC_PERCENT, 88}, {SOH_PERCENT, NAN}, {BALANCE_MASK, NAN});
    const char *split = topbms_info(1, 16, 6, "", "06 3A98 00"); /* half of the cycles */
    assert_int_equal(decode_topbms(1, split, &pack), BMS_DONE);
    assert_values(&pack, {FULL_AH, 150}, {CYCLES, NAN});
}

/* Counts and values that contradict the length or the sum are rejected. */
TEST(malformed)
{
    static const char *const infos[] = {
        "",
        "01",
        "0110",
        "01FF",
        "0100",
        "0131 0D12",
        "0102 0D12 0D12",
        "0102 0D12 0D12 FF",
        "0102 0D12 0D12 11 003C",                                             /* 17 sensors */
        "0102 0D12 0D12 00 0000 029C",                                        /* no count */
        "0102 0D12 0D12 00 0000 0300 1000 06 1000 0000 58 64 0000 0000 0000", /* sum 6.69 V,
                                                                                 says 7.68 */
        "0102 0D12 0D12 00 0000 0000 1000 06 1000 0000 58 64 0000 0000 0000", /* says 0 V */
        "0104 0000 0000 0000 0000 00 0000 029D 1000 06 1000 0000 58 64 0000 0000 0000", /* no cell
                                                                                         */
        "0102 1771 1771 00 0000 04B0 1000 06 1000 0000 58 64 0000 0000 0000",      /* 6001 mV */
        "0102 0D12 0D12 01 0100 0000 029D 1000 06 1000 0000 58 64 0000 0000 0000", /* sensor 256 */
        "0102 0D12 0D12 01 003C 0000 029D 1000 07 1000 0000 58 64 0000 0000 0000", /* count 7 */
        "GG02 0D12 0D12 00 0000 029D 1000 06 1000 0000 58 64 0000 0000 0000", /* not hexadecimal */
        "102 0D12 0D12 00 0000 029D 1000 06 1000 0000 58 64 0000 0000 0000",  /* odd */
    };
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
        struct pack pack;
        enum bms_result result = decode_topbms(1, infos[i], &pack);
        if (result != BMS_INVALID)
            fail_msg("%s: %d", infos[i], result);
        assert_untouched(&pack);
    }
    struct pack pack;
    assert_int_equal(
        decode_topbms(1, "0102 0D12 0D12 00 0000 029D 1000 06 1000 0000 58 64 0000 0000 0000",
                      &pack),
        BMS_DONE);
}

/* Section 2: CHKSUM does not detect swapped characters, the sum of the cells does. In the recorded reply the first
 * digits of cell 1 and cell 2 can be swapped unnoticed; any other swap changes the sum, and is detected if the change
 * is large enough to matter. */
TEST(swapped_characters)
{
    struct bms bms = new_bms(AUTO, -1, -1);
    struct pack pack = cleared_pack();
    /* 0D12 with its digits 2 and 3 swapped: 01D2 is 466 mV. */
    assert_int_equal(
        decode_text(&bms, "~21014642E00201FD34",
                    "~520146004084011001D20D150D0F0D0D0D130D160D150D210D130D130D130D130D10"
                    "0D160D170D2306003D003E003E003E003B003B018014EE33B3063A9800025864000000"
                    "000000E20A",
                    &pack),
        BMS_INVALID);
    /* The pack voltage 14EE as 41EE. */
    assert_int_equal(
        decode_text(&bms, "~21014642E00201FD34",
                    "~52014600408401100D120D150D0F0D0D0D130D160D150D210D130D130D130D130D10"
                    "0D160D170D2306003D003E003E003E003B003B018041EE33B3063A9800025864000000"
                    "000000E20A",
                    &pack),
        BMS_INVALID);
    assert_untouched(&pack);
}

/* Section 11, 12 and 13: sensors and cells that are not connected are unknown, not 0 mV or -40 °C. */
TEST(missing_cells_and_sensors)
{
    struct pack pack;
    const char *info = "0104 0CE4 0000 0CE6 0000 03 003C 0000 001C 0000 0294 1000 06 1000 0000 58 "
                       "64 0000 0000 0000";
    assert_int_equal(decode_topbms(1, info, &pack), BMS_DONE);
    pack_derive(&pack);
    assert_values(&pack, {CELL_COUNT, 4}, {CELL_MV + 1, NAN}, {CELL_MIN_MV, 3300},
                  {CELL_AVG_MV, 3301}, {TEMP_COUNT, 3}, {TEMP_C, 20}, {TEMP_C + 1, NAN},
                  {TEMP_C + 2, -12});
    /* A broken wire: the cell is missing in the list, but not in the pack voltage. */
    info = "0104 0CE4 0000 0CE6 0CE8 00 0000 0528 1000 06 1000 0000 58 64 0000 0000 0000";
    assert_int_equal(decode_topbms(1, info, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 13.2});
}

#define ANALOG_1                                                                                   \
    "~52014600408401100D120D150D0F0D0D0D130D160D150D210D130D130D130D130D100D160D170D2306003D003E"  \
    "003E003E003B003B018014EE33B3063A9800025864000000000000E20A"
#define STATUS_1                                                                                   \
    "~52014600F05C01100000000000000200000000000000000006000000000000000000000F410100000011000000"  \
    "00000000000000EC18"

TEST(not_the_answer)
{
    static const struct {
        const char *request, *reply;
        enum bms_result result;
    } cases[] = {
        {"~21014642E00201FD34", ANALOG_1, BMS_DONE},
        {"~21014644E00201FD32", STATUS_1, BMS_DONE},
        /* Late ones: all checksums are right, but they do not answer this command. */
        {"~21014644E00201FD32", ANALOG_1, BMS_FOREIGN},
        {"~21014642E00201FD34", STATUS_1, BMS_FOREIGN},
        {"~210146F1E00201FD23", ANALOG_1, BMS_FOREIGN},
        {"~210146F1E00201FD23", STATUS_1, BMS_FOREIGN},
        {"~250146C10000FD9A", STATUS_1, BMS_FOREIGN},
        /* Another pack's, by ADR or by group. */
        {"~21024642E00202FD32", ANALOG_1, BMS_FOREIGN},
        {"~21014642E00202FD33", ANALOG_1, BMS_FOREIGN},
        /* Echoes, and requests of another master. */
        {"~21014642E00201FD34", "~21014642E00201FD34", BMS_FOREIGN},
        {"~21014642E00201FD34", "~21014644E00201FD32", BMS_FOREIGN},
        {"~21014642E00201FD34", "~21024642E00202FD32", BMS_FOREIGN},
        /* 90H, the number of packs, as a request looks like RTN 90H in a reply: "not there". */
        {"~25024642E00202FD2E", "~25024690 no INFO", BMS_INVALID},
        /* Requests of other programs: settings, clock, another family. */
        {"~210146470000FDA7", ANALOG_1, BMS_FOREIGN},
        {"~2101464D0000FD9A", ANALOG_1, BMS_FOREIGN},
        {"~22014A42E00201FD28", "~22014A00 00", BMS_FOREIGN},
        /* A device of another class at the same address. */
        {"~21014642E00201FD34", "~52014000 00", BMS_FOREIGN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms = new_bms(AUTO, -1, -1);
        struct pack pack = cleared_pack();
        char line[400];
        const char *blank = strchr(cases[i].reply, ' ');
        snprintf(line, sizeof line, "%s", cases[i].reply);
        if (blank) { /* head and INFO only: the frame is put together here */
            struct ydt_head head;
            char padded[20];
            snprintf(padded, sizeof padded, "%.9s0000", cases[i].reply);
            assert_true(ydt_read_head((const uint8_t *) padded, 13, &head));
            const char *info = strlen(blank + 1) == 2 ? blank + 1 : "";
            snprintf(line, sizeof line, "%s",
                     framed(head.version, head.address, head.device, head.code, info));
        }
        enum bms_result result = decode_text(&bms, cases[i].request, line, &pack);
        if (result != cases[i].result)
            fail_msg("%s to %s: expected %d, got %d", line, cases[i].request, cases[i].result,
                     result);
        if (result != BMS_DONE)
            assert_untouched(&pack);
    }
}

/* Without a request, replies that can be identified by their structure are accepted. */
TEST(without_request)
{
    struct bms bms = new_bms(AUTO, -1, -1);
    struct pack pack = cleared_pack();
    assert_int_equal(decode_text(&bms, "", ANALOG_1, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.58});
    assert_int_equal(decode_text(&bms, "", STATUS_1, &pack), BMS_DONE);
    assert_true(pack_alarm_active(&pack, CELL_OVER_VOLTAGE));
    pack_clear(&pack);
    assert_int_equal(decode_text(&bms, "", "~21014642E00201FD34", &pack), BMS_FOREIGN);
    assert_int_equal(decode_text(&bms, "", "~520146040000FDAA", &pack), BMS_FOREIGN);
    bms = new_bms(AUTO, 2, -1); /* a configured pack is not the one at 1 */
    assert_int_equal(decode_text(&bms, "", ANALOG_1, &pack), BMS_FOREIGN);
    assert_untouched(&pack);
}

TEST(refusals)
{
    static const struct {
        uint8_t code;
        enum bms_result result;
    } cases[] = {
        {0x01, BMS_REFUSED}, {0x02, BMS_INVALID}, {0x03, BMS_INVALID}, {0x04, BMS_REFUSED},
        {0x05, BMS_REFUSED}, {0x06, BMS_REFUSED}, {0x07, BMS_REFUSED}, {0x09, BMS_REFUSED},
        {0x90, BMS_INVALID}, {0x91, BMS_INVALID}, {0xA0, BMS_REFUSED}, {0xE1, BMS_REFUSED},
        {0xE4, BMS_REFUSED}, {0x42, BMS_FOREIGN}, {0x44, BMS_FOREIGN}, {0xF1, BMS_FOREIGN},
        {0x0A, BMS_FOREIGN}, {0xFF, BMS_FOREIGN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms = new_bms(TOPBMS, 1, -1);
        struct pack pack = cleared_pack();
        const char *reply = framed(0x52, 1, 0x46, cases[i].code, "");
        enum bms_result result = decode_text(&bms, "~21014642E00201FD34", reply, &pack);
        if (result != cases[i].result)
            fail_msg("RTN %02X: expected %d, got %d", cases[i].code, cases[i].result, result);
        assert_untouched(&pack);
    }
    /* RTN does not contain the command either: a late refusal of F1H does not disable 44H. */
    struct bms bms = new_bms(TOPBMS, 1, -1);
    struct pack pack = cleared_pack();
    assert_int_equal(decode_text(&bms, "~21014644E00201FD32", STATUS_1, &pack), BMS_DONE);
    assert_int_equal(decode_text(&bms, "~21014644E00201FD32", "~520146040000FDAA", &pack),
                     BMS_INVALID);
}

/* E9H is requested after F1H was refused. */
TEST(serial_number_after_refusal)
{
    struct bms bms = new_bms(TOPBMS, 1, -1);
    struct bms_request request;
    struct pack pack = cleared_pack();
    assert_false(topbms_driver.build(&bms, SERIAL_NUMBER, &request));
    assert_int_equal(decode_text(&bms, "~210146F1E00201FD23", "~520146040000FDAA", &pack),
                     BMS_REFUSED);
    assert_true(topbms_driver.build(&bms, SERIAL_NUMBER, &request));
    assert_request(&request, framed(0x21, 1, 0x46, 0xE9, "01"));
}

/* C1H and C2H may both be 20 characters: a repeated reply to the former is not a serial number. */
TEST(board_is_no_serial_number)
{
    static const char board[] = "~25014600602850313653313030412D313831322D312E30302000F58E";
    struct bms bms = new_bms(PACE, 1, -1);
    struct bms_request request;
    struct pack pack = cleared_pack();
    assert_int_equal(decode_text(&bms, "~250146C10000FD9A", board, &pack), BMS_DONE);
    assert_true(topbms_driver.build(&bms, SERIAL_NUMBER, &request));
    assert_request(&request, "~250146C20000FD99");
    assert_int_not_equal(decode_text(&bms, "~250146C20000FD99", board, &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "P16S100A-1812-1.00");
    assert_string_equal(pack.text[SERIAL], "");
}

/* Older TopBMS firmware: nine status bytes, no short-circuit bytes; alarms without a byte stay unknown. */
TEST(short_status)
{
    struct bms bms = new_bms(AUTO, -1, -1);
    struct pack pack = cleared_pack();
    const char *info = "0104 00000000 02 0000 00 00 0A 01 00 00 00 00 03 00 00 00 0000";
    assert_int_equal(
        decode_text(&bms, "~21014644E00201FD32", framed(0x52, 1, 0x46, 0, info), &pack), BMS_DONE);
    assert_true(pack_alarm_active(&pack, CELL_OVER_VOLTAGE));
    assert_values(&pack, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1});
    /* An invalid item byte means that this is not a reply to 44H (section 5). */
    info = "0104 00000300 02 0000 00 00 0A 01 00 00 00 00 03 00 00 00 0000";
    pack_clear(&pack);
    assert_int_equal(
        decode_text(&bms, "~21014644E00201FD32", framed(0x52, 1, 0x46, 0, info), &pack),
        BMS_INVALID);
    assert_untouched(&pack);
}

TEST(items)
{
    static const struct {
        const char *items; /* cells, sensors, current, pack voltage */
        uint32_t warning, protection;
    } cases[] = {
        {"0104 01000000 02 0000 00 00", 1u << CELL_UNDER_VOLTAGE, 0},
        {"0104 00000002 02 0000 00 00", 1u << CELL_OVER_VOLTAGE, 0},
        {"0104 00F00000 02 0000 00 00", 0, 1u << VOLTAGE_SENSOR_FAULT},
        {"0104 00000000 02 00F0 00 00", 0, 1u << TEMP_SENSOR_FAULT},
        {"0104 00000000 02 0102 00 00", 0, 0}, /* hot or cold, but charging or discharging? */
        {"0104 00000000 02 0000 02 00", 0, 0},
        {"0104 00000000 02 0000 00 01", 1u << PACK_UNDER_VOLTAGE, 0},
        {"0104 00000000 02 0000 00 02", 1u << PACK_OVER_VOLTAGE, 0},
        {"0104 80000000 02 00EF 00 00", 0, 0}, /* the maker's own */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms = new_bms(TOPBMS, 1, -1);
        struct pack pack = cleared_pack();
        char info[120];
        sprintf(info, "%s 0000 0F 000000000000000000000000000000 00", cases[i].items);
        assert_int_equal(
            decode_text(&bms, "~21014644E00201FD32", framed(0x52, 1, 0x46, 0, info), &pack),
            BMS_DONE);
        assert_int_equal(pack.alarms_warning, cases[i].warning);
        assert_int_equal(pack.alarms_protection, cases[i].protection);
    }
}
