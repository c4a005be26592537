// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: replies that other projects have recorded or print as examples, each named.
 * Expected values come from those projects, or are derived from the bytes by the sheet `topbms`,
 * section 8.
 */
#include "topbms_text.h"

struct expected {
    int id; /* enum pack_value; -1: the end */
    double value;
};
#define MAX_EXPECTED 16

static const struct recorded {
    const char *what, *request, *reply;
    struct expected values[MAX_EXPECTED];
} recorded[] = {
    {"TopBMS, example of the document V1.1 (Mike666wq/bms, Simulator.cs): sum of cells 51.853 V",
     "~21014642E00201FD34",
     "~52014600408401100CB90CBD0CBA0B210CB60C8C0CAC0CBF0CD70C9F0CE10CE00CE10CDF0CE10CB706003C003C"
     "003C003C003C003C0000144112C006271000003064000000000000E12C",
     {{CELL_COUNT, 16},
      {CELL_MV, 3257},
      {CELL_MV + 3, 2849},
      {TEMP_C, 20},
      {CURRENT_A, 0},
      {VOLTAGE_V, 51.85},
      {REMAINING_AH, 48},
      {FULL_AH, 100},
      {CYCLES, 0},
      {SOC_PERCENT, 48},
      {SOH_PERCENT, 100},
      {MOS_TEMP_C, NAN},
      {-1, 0}}},
    {"PACE with 8 cells, 4 sensors, COMMAND 00 answered as group 01 (a charger's firmware, "
     "BMS_INFOR_ACK)",
     "~25004642E00200FD32",
     "~2500460090520001080C140C140C0C0C110C0E0C140C240C25040B970B990B980BA5000060B00B5A030FA00000"
     "0FA0EC32",
     {{CELL_COUNT, 8},
      {CELL_MV + 7, 0x0C25},
      {VOLTAGE_V, 24.752},
      {REMAINING_AH, 29.06},
      {FULL_AH, 40},
      {RATED_AH, 40},
      {SOC_PERCENT, 100 * 2906 / 4000.0},
      {SOH_PERCENT, NAN},
      {TEMP_COUNT, 4},
      {TEMP_C + 3, (0x0BA5 - 2730) / 10.0},
      {MOS_TEMP_C, NAN},
      {-1, 0}}},
    {"PACE, two packs in the reply to FFH, 14 more bytes each (SPDG/pace-bms-mqtt-bridge): the "
     "first is taken",
     "~25014642E002FFFD05",
     "~2501460051280002100C9B0C9C0C9E0C9C0C9D0C9D0C9F0C9D0C9D0C9E0C9F0C9F0C9F0C9F0C9D0C9C060BC20B"
     "AE0B990B8C0BDC0BD6FBC4C9DC2CA6097C14002A714824714871487148714864CA120000100C950C970C980C9B0"
     "C9B0C970C980C9A0C980C990C8F0C980C950C990C9A0C95060B8C0B850B7C0B7C0B910B82FB9BC9782C8B037AA8"
     "000676C02476C076C076C076C064C9F70000BB68",
     {{CELL_COUNT, 16},
      {CELL_MV + 15, 0x0C9C},
      {VOLTAGE_V, 51.676},
      {CURRENT_A, -10.84},
      {REMAINING_AH, 114.30},
      {FULL_AH, 317.64},
      {CYCLES, 42},
      {RATED_AH, 290.00},
      {SOC_PERCENT, 36},
      {SOH_PERCENT, 100},
      {MOS_TEMP_C, 30.6},
      {-1, 0}}},
    {"PACE, three packs of 15 cells in the reply to ADR 00 and FFH, SOC as a 14th byte (Gobel "
     "add-on, issue 52): the first is taken",
     "~25004642E002FFFD06",
     "~25014600916000030F0D0A0D0B0D0B0D0B0D0B0D0B0D0B0D0B0D0B0D0B0D0B0D0A0D0B0D0B0D0B060B780B7A0B7"
     "70B750B8E0B9200D3C3F839FB024A7600F04E204E0F0D090D0A0D090D090D090D090D090D090D090D090D0A0D090"
     "D090D090D09060B760B760B780B750B910B9300AEC389394F024A6B00F34E204D0F0D0A0D0B0D0A0D0B0D0A0D0A0"
     "D0A0D0C0D0B0D0A0D0A0D0A0D0A0D130CFA060B750B750B720B710B850B8D0075C39939A1024DB8001A4E204AB02"
     "7",
     {{CELL_COUNT, 15},
      {CELL_MV, 3338},
      {CELL_MV + 14, 3339},
      {VOLTAGE_V, 50.168},
      {CURRENT_A, 2.11},
      {REMAINING_AH, 148.43},
      {FULL_AH, 190.62},
      {CYCLES, 240},
      {RATED_AH, 200},
      {SOC_PERCENT, 78},
      {SOH_PERCENT, NAN},
      {MOS_TEMP_C, 22.8},
      {-1, 0}}},
    {"PACE with 15 cells, asked as 00, answers as 01 (Interster/PylonTechBattery)",
     "~25004642E00201FD31",
     "~25014600208600010F0D980D980D1F0D9C0DA40DA10D960D120DBA0D980D9B0DA30DB20DA50DAA060B5A0B550B5"
     "10B550B630B610000CB692710032710000427100000544D0000AFA1E099",
     {{CELL_COUNT, 15},
      {CELL_MV + 7, 3346},
      {VOLTAGE_V, 52.073},
      {CURRENT_A, 0},
      {REMAINING_AH, 100},
      {FULL_AH, 100},
      {CYCLES, 4},
      {RATED_AH, 100},
      {SOC_PERCENT, 100},
      {MOS_TEMP_C, 18.5},
      {-1, 0}}},
    {"Seplos with 14 cells (two pieces of field software print it), current 0",
     "~20004642E00200FD37",
     "~20004600A08E00010E0EB80ECA0EC70EE10EB70ECD0ED00EC90EA00E9B0EC70EBC0EB20EBB060BF20BE90BF20B"
     "F20C100BFB000014A523EF0A9C4000E59C40000103E814AA0000000000000000DE29",
     {{CELL_COUNT, 14},
      {VOLTAGE_V, 52.85},
      {REMAINING_AH, 91.99},
      {FULL_AH, 400},
      {SOC_PERCENT, 22.9},
      {RATED_AH, 400},
      {CYCLES, 1},
      {SOH_PERCENT, 100},
      {MOS_TEMP_C, (0x0BFB - 2731) / 10.0},
      {-1, 0}}},
    {"Seplos, 16 places with 7 cells, sum 17.967 V: those not connected read 0",
     "~20004642E00200FD37",
     "~2000460010960001100D450D0C0CBB0C570B1107A30018000000000000000000000000000000000000060BA90B"
     "A908B708B70BB30BAE000007041D4B0A3A9801F33A98000103E800000000000000000000DEE5",
     {{CELL_COUNT, 16},
      {CELL_MV, 3397},
      {CELL_MV + 6, 24},
      {CELL_MV + 7, NAN},
      {CELL_MV + 15, NAN},
      {VOLTAGE_V, 17.96},
      {SOC_PERCENT, 49.9},
      {-1, 0}}},
    {"Seplos with used reserved words (syssi/esphome-seplos-bms, issue 47)",
     "~20014642E00201FD35",
     "~2001460010960001100CF10CED0CE30CED0CF00CE90CE80CEE0CEF0CEB0CED0CE70CEE0CE80CED0CF0060B8B0B"
     "8B0B8E0B8C0B830B5BFCCA14AD54E70A6D6003086D60001603E814AB002800000B830B1CDBA4",
     {{CURRENT_A, -8.22},
      {VOLTAGE_V, 52.93},
      {REMAINING_AH, 217.35},
      {FULL_AH, 280},
      {SOC_PERCENT, 77.6},
      {CYCLES, 22},
      {-1, 0}}},
    {"Pylontech US3000 (robske-110): large capacities",
     "~20024642E00202FD33",
     "~20024600F07A11020F0CE00CDF0CE50CDF0CE40CE60CE60CE00CD90CDE0CE40CE00CE40CE40CE3050B9B0B870B"
     "870B870B870004C139FFFF04FFFF00000070BC012110E209",
     {{CELL_COUNT, 15},
      {VOLTAGE_V, 49.465},
      {CURRENT_A, 0.4},
      {REMAINING_AH, 28.860},
      {FULL_AH, 74},
      {CYCLES, 0},
      {SOC_PERCENT, 39},
      {TEMP_C, 24},
      {MOS_TEMP_C, NAN},
      {-1, 0}}},
    {"Pylontech, 16-bit capacities, group 01 (the same)",
     "~20014642E00201FD35",
     "~20014600C06E11010F0D450D440D450D440D450D440D3E0D450D4A0D4A0D4B0D4A0D4A0D4A0D4A050BC30BC30B"
     "C30BCD0BCD0000C725BF6802C3500002E553",
     {{VOLTAGE_V, 50.981},
      {REMAINING_AH, 49},
      {FULL_AH, 50},
      {CYCLES, 2},
      {SOC_PERCENT, 98},
      {-1, 0}}},
    {"Pylontech US2000, three packs in the reply to FFH (python-pylontech, test_basic.py): the "
     "first",
     "~20024642E002FFFD09",
     "~20024600914211030F0CE70CE80CE60CE70CE80CE80CE80CE60CE50CE60CE80CE70CEA0CE50CE6050B910B870B"
     "870B870B87FFE6C18982DC02C350001F0F0CE20CE60CE60CE10CE50CE70CE60CE30CE20CE50CE30CE90CE70CE90"
     "CE9050B910B870B870B870B87FFE7C17082DC02C350001F0F0CE20CE50CE50CE20CE30CE30CE40CE50CE60CE60C"
     "E30CE40CE40CE60CE6050B910B7D0B7D0B7D0B7DFFE5C16082DC02C350001FB476",
     {{CELL_COUNT, 15},
      {CELL_MV, 3303},
      {VOLTAGE_V, 49.545},
      {CURRENT_A, -2.6},
      {REMAINING_AH, 33.5},
      {FULL_AH, 50},
      {CYCLES, 31},
      {TEMP_C, 23},
      {TEMP_C + 4, 22},
      {SOC_PERCENT, 67},
      {-1, 0}}},
    {"PACE board as Pylontech, INFOFLAG 00, 10 mAh (nkinnan/esphome-pace-bms, issue 58)",
     "~20024642E00202FD33",
     "~2002460070720002100E030E050E050DF00E070E060E050E070E060E070E060E070E070E050E050E05050C0C0C"
     "090C0B0C0A0C070000E02F270A02270D0197E563",
     {{CELL_COUNT, 16},
      {CELL_MV + 3, 0x0DF0},
      {VOLTAGE_V, 57.391},
      {REMAINING_AH, 99.94},
      {FULL_AH, 99.97},
      {CYCLES, 407},
      {SOC_PERCENT, 100 * 9994 / 9997.0},
      {-1, 0}}},
    {"Pylontech UP2500, limits (python-pylontech, test_basic.py)",
     "~20024692E00202FD2E",
     "~20024600B014026EF05AA0022BFDD5C0F915",
     {{CHARGE_VOLTAGE_LIMIT_V, 28.4},
      {DISCHARGE_VOLTAGE_LIMIT_V, 23.2},
      {CHARGE_CURRENT_LIMIT_A, 55.5},
      {DISCHARGE_CURRENT_LIMIT_A, 55.5},
      {-1, 0}}},
    {"PACE, 12 status bytes, group 00 from a pack at address 2 (Gobel add-on, issue 8)",
     "~25004644E00200FD30",
     "~25024600004C0000100000000000000000000000000000000006000000000000000000000006010000000000EF"
     "48",
     {{CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 0}, {-1, 0}}},
    {"PACE, 13 status bytes, pack 2 answered by the master at 1 (Gobel add-on, issue 11)",
     "~25024644E00202FD2C",
     "~25014600E04E000210000000000000000000000000000000000600000000000000000000000600000000000000"
     "EED1",
     {{CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {-1, 0}}},
    {"Enjie, asked as recorded: LENID of the request counts bytes (galiy/energyBms)",
     "~20004642F00100FD37",
     "~2000460010960000100CB80CB60CB80CB80CB70CB70CB70CB80CB30CB70CB80CB80CB50CB70CB60CB6060B9E0B"
     "950B920BA00BC80BA9FB96145824520A7AA801287AA8000503E8145A00280000030802C0DC99",
     {{CELL_COUNT, 16}, {VOLTAGE_V, 52.08}, {CURRENT_A, -11.30}, {FULL_AH, 314}, {-1, 0}}},
    {"Seplos, 15 cells, all well",
     "~20004644E00200FD35",
     "~20004600A06000010F000000000000000000000000000000060000000000000000140000000000000300000200"
     "000000000000000002EB74",
     {{CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 0}, {-1, 0}}},
};

TEST(recorded_elsewhere)
{
    for (size_t i = 0; i < sizeof recorded / sizeof *recorded; i++) {
        struct bms bms = new_bms(AUTO, -1, -1);
        struct pack pack = cleared_pack();
        print_message("%s\n", recorded[i].what);
        enum bms_result result = decode_text(&bms, recorded[i].request, recorded[i].reply, &pack);
        assert_int_equal(result, BMS_DONE);
        for (const struct expected *value = recorded[i].values; value->id >= 0; value++)
            assert_values(&pack, {value->id, value->value});
    }
}

/* Seplos with an empty pack: cells 01, sensors 3 and 4 01, pack voltage 01, status bytes 12 48 80 00 00 10 00 … 10
 * (standby) … 10. */
TEST(recorded_seplos_alarms)
{
    struct bms bms = new_bms(AUTO, -1, -1);
    struct pack pack = cleared_pack();
    assert_int_equal(
        decode_text(&bms, "~20004644E00200FD35",
                    "~200046008062000110000000000101010101010101010101010600000101000000011412488"
                    "00000100000001000000000000000000010EB0E",
                    &pack),
        BMS_DONE);
    uint32_t expected = 1u << TEMP_SENSOR_FAULT | 1u << CELL_IMBALANCE | 1u << CELL_UNDER_VOLTAGE |
                        1u << PACK_UNDER_VOLTAGE | 1u << DISCHARGE_UNDER_TEMPERATURE;
    assert_int_equal(pack.alarms_warning | pack.alarms_protection, expected);
    assert_values(&pack, {CHARGE_MOS, 0}, {DISCHARGE_MOS, 0});
    assert_int_equal(pack.raw_alarms[0], 0x0001); /* current byte, pack voltage byte */
    assert_int_equal(pack.raw_alarms[1], 0x1412); /* count, status 1 */
}

/* 44H of a Sylcin 16S (section 5), VER 52 in both directions: both MOS on, no alarm. */
TEST(recorded_sylcin_status)
{
    for (int variant = AUTO; variant <= TOPBMS; variant++) {
        struct bms bms = new_bms((enum variant) variant, 1, -1);
        struct pack pack = cleared_pack();
        enum bms_result result = decode_text(
            &bms, "~52014644E00201FD2E",
            "~52014600F05C01100000000000000000000000000000000006000000000000000000000F0000000000A3"
            "00000000000000000000EC0E",
            &pack);
        assert_int_equal(result, BMS_DONE);
        assert_values(&pack, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1});
        assert_int_equal(pack.alarms_warning | pack.alarms_protection, 0);
        assert_true(alarm_known(&pack, CHARGE_OVER_CURRENT));
    }
}

TEST(texts)
{
    static const struct {
        const char *request, *reply, *model, *firmware, *serial;
    } cases[] = {
        /* US2000 (a Go library's test): filled with NUL, version 02 01. */
        {"~200146510000FDAD",
         "~20014600C0405553324B42504C000000020150796C6F6E2D2D2D2D2D2D2D2D2D2D2D2D2D2D2DEF9B",
         "US2KBPL", "2.1", ""},
        /* 93H: COMMAND and 16 characters. */
        {"~20024693E00202FD2D", "02 4B323231303134303132333435363738", "", "", "K221014012345678"},
        /* Topband: plain text (section 8.3). */
        {"~210146510000FDAC", "plain", "TB4850-HW1", "V1.2", "EET-48-0123456"},
        /* TopBMS V1.1, filled with FF. */
        {"~210146E9E00201FD1C", "01 5442323330303137 FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
         "", "", "TB230017"},
        /* PACE with a blank first half: the pack's own serial number. */
        {"~250146C20000FD99",
         "2020202020202020202020202020202020202020 5031323334350000000000000000000000000000", "",
         "", "P12345"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms = new_bms(AUTO, -1, -1);
        struct bms_request request = request_of(cases[i].request);
        struct pack pack = cleared_pack();
        char line[BMS_FRAME_MAX];
        struct ydt_head head;
        assert_true(ydt_read_head(request.bytes, request.size, &head));
        head.code = 0;
        if (cases[i].reply[0] == '~') {
            snprintf(line, sizeof line, "%s", cases[i].reply);
        } else if (strcmp(cases[i].reply, "plain") == 0) {
            char text[65];
            snprintf(text, sizeof text, "%-20s%-4s%-40s", cases[i].model, cases[i].firmware,
                     cases[i].serial);
            ydt_write_text((uint8_t *) line, &head, (const uint8_t *) text, 64);
            *strchr(line, '\r') = '\0';
        } else {
            snprintf(line, sizeof line, "%s",
                     framed(head.version, head.address, 0x46, 0, cases[i].reply));
        }
        /* Its text can be distinguished from hexadecimal only if the pack is known as Topband: by VER. */
        assert_int_equal(decode_text(&bms, cases[i].request, line, &pack), BMS_DONE);
        assert_string_equal(pack.text[MODEL], cases[i].model);
        assert_string_equal(pack.text[FIRMWARE], cases[i].firmware);
        assert_string_equal(pack.text[SERIAL], cases[i].serial);
    }
}
