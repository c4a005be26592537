// SPDX-License-Identifier: MIT
/*
 * pylon-console beyond its captures: requests, possible forms of a reply on the wire, the pack that
 * sent it, tables with other columns, names of events one by one, and wrong characters.
 */
#include "driver_test.h"

#include <stdio.h>

extern const struct bms_driver pylon_console_driver;
static const struct bms_driver *const driver = &pylon_console_driver;

enum { STEP_PWR, STEP_BAT, STEP_STAT, STEP_STAT_ALONE, STEP_INFO };

static struct bms at_address(int address)
{
    struct bms bms = new_bms(driver);
    bms.options.address = address;
    return bms;
}

static struct bms_request text_request(const char *text)
{
    struct bms_request request = {.size = strlen(text)};
    memcpy(request.bytes, text, request.size);
    return request;
}

/* The result of the driver for text that answers `command`, with the line ends of a US pack. */
static int take(struct bms *bms, const char *command, const char *text, struct pack *pack)
{
    struct bms_request request = text_request(command);
    pack_clear(pack);
    return receive_all(bms, &request, (const uint8_t *) text, strlen(text), pack);
}

#define END "\r\n\rCommand completed successfully\r\n\r$$\r\n\rpylon>"
#define PWR_HEAD "pwr 1\n\r@\r\r\n ---\r\r\n Power  1\r\r\n\r\r\n"
#define PWR_VALUES " Voltage : 49280  mV\r\r\n Current : -2185 mA\r\r\n Coulomb : 58 %\r\r\n"
#define PWR_EVENTS(bat, power, fault)                                                              \
    " Bat Events : " bat "\r\r\n Power Events : " power "\r\r\n System Fault : " fault

/* Section 2: the first pack may accept `stat` if it rejects `stat 1`. */
TEST(stat_alone)
{
    for (int address = 1; address <= 2; address++) {
        struct bms bms = at_address(address);
        struct bms_request request;
        struct pack pack;
        const char *asked = address == 1 ? "stat 1\r\n" : "stat 2\r\n";
        assert_int_equal(take(&bms, asked,
                              "@\r\n\rInvalid command or fail to excute.\r\n\rUsage:\r\n\r$$",
                              &pack),
                         BMS_REFUSED);
        assert_int_equal(driver->build(&bms, STEP_STAT_ALONE, &request), address == 1);
        if (address != 1)
            continue;
        assert_int_equal(request.size, 6);
        assert_memory_equal(request.bytes, "stat\r\n", 6);
        assert_int_equal(take(&bms, "stat\r\n",
                              "stat\n\r@\r\n\rData Items : 5\r\n\rCYCLE Times : 62" END, &pack),
                         BMS_DONE);
        assert_values(&pack, {CYCLES, 62});
    }
}

TEST(framing)
{
    static const struct {
        const char *name, *text;
        int expected;
    } cases[] = {
        {"as it is", PWR_HEAD PWR_VALUES END, BMS_DONE},
        {"echo twice", "pwr 1\r\n" PWR_HEAD PWR_VALUES END, BMS_DONE},
        {"half an echo", "r 1\n\r@\r\n Power 1\r\n" PWR_VALUES END, BMS_DONE},
        {"no echo", "@\r\n Power 1\r\n" PWR_VALUES END, BMS_DONE},
        {"behind a prompt", "pylon_debug>" PWR_HEAD PWR_VALUES END, BMS_DONE},
        {"behind noise", "\x80\xFF~Z\x01\r" PWR_HEAD PWR_VALUES END, BMS_DONE},
        {"behind half an answer", "@\r\n Power 1\r\n Volt\x7F" PWR_HEAD PWR_VALUES END, BMS_DONE},
        {"behind another's", "bat 1\n\r@\r\nBattery Volt\r\n0 3300" END PWR_HEAD PWR_VALUES END,
         BMS_DONE},
        {"of another pack", "pwr 2\n\r@\r\r\n Power  2\r\r\n" PWR_VALUES END, BMS_FOREIGN},
        {"of another pack, without echo", "@\r\r\n Power  2\r\r\n" PWR_VALUES END, BMS_FOREIGN},
        {"of another command", "bat 1\n\r@\r\nBattery Volt\r\n0 3300" END, BMS_FOREIGN},
        {"no end", PWR_HEAD PWR_VALUES, NOTHING},
        {"not text", PWR_HEAD "\x01" PWR_VALUES END, NOTHING},
        {"no voltage", PWR_HEAD " Coulomb : 58 %" END, BMS_INVALID},
        {"no charge", PWR_HEAD " Voltage : 49280 mV" END, BMS_INVALID},
        {"a digit that is none", PWR_HEAD " Voltage : 49Z80 mV\r\n Coulomb : 58 %" END,
         BMS_INVALID},
        {"another unit", PWR_HEAD " Voltage : 49280 V\r\n Coulomb : 58 %" END, BMS_INVALID},
        {"a switch that is neither", PWR_HEAD PWR_VALUES " CFetState:0N" END, BMS_INVALID},
        {"events that are no number", PWR_HEAD PWR_VALUES PWR_EVENTS("x0", "0x0", "0x0") END,
         BMS_INVALID},
        {"absent", PWR_HEAD " Basic Status : Absent" END, BMS_REFUSED},
        {"refused", "pwr 1\n\r@\r\nUnknown command 'pwr' - try 'help'\r\n\r$$", BMS_REFUSED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = at_address(1);
        struct pack pack;
        int result = take(&bms, "pwr 1\r\n", cases[i].text, &pack);
        if (result != cases[i].expected)
            fail_msg("%s: %d", cases[i].name, result);
        assert_int_equal(pack_known(&pack, VOLTAGE_V), cases[i].expected == BMS_DONE);
        if (cases[i].expected == BMS_DONE) {
            assert_values(&pack, {VOLTAGE_V, 49.28}, {CURRENT_A, -2.185}, {SOC_PERCENT, 58});
        }
    }
}

/* Section 7, repeated independently. */
TEST(events)
{
    enum { W = ALARM_WARNING, P = ALARM_PROTECTION };
    static const struct {
        const char *name;
        uint8_t alarm, level;
    } cases[] = {
        {"BOV", CELL_OVER_VOLTAGE, P},
        {"BHV", CELL_OVER_VOLTAGE, W},
        {"BUV", CELL_UNDER_VOLTAGE, P},
        {"BLV", CELL_UNDER_VOLTAGE, W},
        {"POV", PACK_OVER_VOLTAGE, P},
        {"PHV", PACK_OVER_VOLTAGE, W},
        {"PUV", PACK_UNDER_VOLTAGE, P},
        {"PLV", PACK_UNDER_VOLTAGE, W},
        {"CBOT", CHARGE_OVER_TEMPERATURE, P},
        {"CBHT", CHARGE_OVER_TEMPERATURE, W},
        {"CBUT", CHARGE_UNDER_TEMPERATURE, P},
        {"CBLT", CHARGE_UNDER_TEMPERATURE, W},
        {"DBOT", DISCHARGE_OVER_TEMPERATURE, P},
        {"DBHT", DISCHARGE_OVER_TEMPERATURE, W},
        {"DBUT", DISCHARGE_UNDER_TEMPERATURE, P},
        {"DBLT", DISCHARGE_UNDER_TEMPERATURE, W},
        {"POT", MOS_OVER_TEMPERATURE, P},
        {"PHT", MOS_OVER_TEMPERATURE, W},
        {"COC", CHARGE_OVER_CURRENT, P},
        {"COC2", CHARGE_OVER_CURRENT, P},
        {"COCA", CHARGE_OVER_CURRENT, W},
        {"DOC", DISCHARGE_OVER_CURRENT, P},
        {"DOC2", DISCHARGE_OVER_CURRENT, P},
        {"DOCA", DISCHARGE_OVER_CURRENT, W},
        {"SC", SHORT_CIRCUIT, P},
        {"LCOUL", SOC_LOW, W},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[500];
        struct bms bms = at_address(1);
        struct pack pack;
        snprintf(text, sizeof text, "%s Power Events : 0x12002 COULFULL %s PLT%s",
                 PWR_HEAD PWR_VALUES, cases[i].name, END);
        assert_int_equal(take(&bms, "pwr 1\r\n", text, &pack), BMS_DONE);
        assert_int_equal(pack.alarms_warning, cases[i].level == W ? 1u << cases[i].alarm : 0);
        assert_int_equal(pack.alarms_protection, cases[i].level == P ? 1u << cases[i].alarm : 0);
        assert_int_equal(pack.raw_alarm_count, 8);
        assert_int_equal(pack.raw_alarms[2], 0x2002);
        assert_int_equal(pack.raw_alarms[3], 1);
    }
    struct bms bms = at_address(1);
    struct pack pack;
    assert_int_equal(
        take(&bms, "pwr 1\r\n", PWR_HEAD PWR_VALUES PWR_EVENTS("0x0", "0x0", "0x40") END, &pack),
        BMS_DONE);
    assert_int_equal(pack.alarms_protection, 1u << HARDWARE_FAULT);
}

/* An alarm is inactive only if the console said so. The US3000D has no words of events but other lines; some firmware
 * of Pytes prints the words in decimal, and then the bits have no names. */
TEST(events_not_told)
{
    static const struct {
        const char *text;
        int result;
        bool known, faults_known, high;
    } cases[] = {
        {PWR_EVENTS("0x0", "0x0", "0x0"), BMS_DONE, true, true, false},
        {PWR_EVENTS("0", "0", "0"), BMS_DONE, true, true, false},
        {PWR_EVENTS("0x2 BHV", "0x0", "0x0"), BMS_DONE, true, true, true},
        {PWR_EVENTS("2", "0", "0"), BMS_DONE, false, true, false},
        {PWR_EVENTS("0x2", "0x0", "0x0"), BMS_DONE, false, true, false},
        {PWR_EVENTS("none", "0x0", "0x0"), BMS_INVALID, false, false, false},
        {PWR_EVENTS("-1", "0x0", "0x0"), BMS_INVALID, false, false, false},
        {" Bat Events : 0x0", BMS_DONE, false, false, false},
        {" Bat Volt Status : 0x4        BVNOR\r\r\n Pwr Volt Status : 0x4        PVNOR\r\r\n"
         " System Fault : 0x0",
         BMS_DONE, false, true, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[500];
        struct bms bms = at_address(1);
        struct pack pack;
        snprintf(text, sizeof text, "%s%s%s", PWR_HEAD PWR_VALUES, cases[i].text, END);
        assert_int_equal(take(&bms, "pwr 1\r\n", text, &pack), cases[i].result);
        assert_int_equal(pack.alarms_known >> CELL_UNDER_VOLTAGE & 1, cases[i].known);
        assert_int_equal(pack.alarms_known >> HARDWARE_FAULT & 1, cases[i].faults_known);
        assert_int_equal(pack.alarms_warning, cases[i].high ? 1u << CELL_OVER_VOLTAGE : 0);
    }
}

#define ROW0 "0 3316 -2964 26400 Dischg Normal Normal Normal 96% 44628 mAH N\r\r\n"
#define ROW1 "1 3317 -2964 26500 Dischg Normal Normal Normal 96% 44606 mAH Y"
#define TITLES                                                                                     \
    "bat 1\n\r@\r\r\nBattery Volt Curr Tempr Base State Volt. State Curr. State Temp. State SOC "  \
    "Coulomb BAL\r\r\n"

TEST(table)
{
    static const struct {
        const char *name, *text;
        int expected;
    } cases[] = {
        {"as it is", TITLES ROW0 ROW1 END, BMS_DONE},
        {"behind half of one", TITLES ROW0 "1 33" TITLES ROW0 ROW1 END, BMS_DONE},
        {"no echo", "@\r\nBattery Volt\r\n0 3316\r\n1 3317" END, BMS_FOREIGN},
        {"a gap", TITLES ROW0 "2 3317 0 26500 Idle Normal Normal Normal 96% 44606 mAH N" END,
         BMS_INVALID},
        {"not from 0", TITLES ROW1 END, BMS_INVALID},
        {"a row too short", TITLES ROW0 "1 3317 -2964" END, BMS_INVALID},
        {"a row too long", TITLES ROW0 ROW1 " N" END, BMS_INVALID},
        {"a letter", TITLES ROW0 "1 33I7 -2964 26500 Idle Normal Normal Normal 96% 1 mAH N" END,
         BMS_INVALID},
        {"a voltage elsewhere",
         TITLES ROW0 "1 Idle 0 26500 3317 Normal Normal Normal 96% 1 mAH N" END, BMS_INVALID},
        {"a swapped row cut short", TITLES ROW0 "1 3317 0 Idle 265" END, BMS_INVALID},
        {"a swapped row too long",
         TITLES ROW0 "1 3317 0 Idle 26500 Normal Normal Normal 96% 1 mAH N N" END, BMS_INVALID},
        {"a row that lost its number", TITLES ROW0 "q 3317 0 26500" END, BMS_INVALID},
        {"a row without its charge",
         TITLES ROW0 "1 3317 0 26500 Idle Normal Normal Normal 96% N" END, BMS_INVALID},
        {"no rows", "bat 1\n\r@\r\nBattery Volt" END, BMS_INVALID},
        {"no titles", "bat 1\n\r@\r\nBattery\r\n" ROW0 END, BMS_INVALID},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = at_address(1);
        struct pack pack;
        int result = take(&bms, "bat 1\r\n", cases[i].text, &pack);
        if (result != cases[i].expected)
            fail_msg("%s: %d", cases[i].name, result);
        assert_int_equal(pack_known(&pack, CELL_COUNT), result == BMS_DONE);
        if (result != BMS_DONE)
            continue;
        assert_values(&pack, {CELL_COUNT, 2}, {CELL_MV + 1, 3317}, {TEMP_C, 26.4},
                      {REMAINING_AH, 44.606}, {BALANCE_MASK, 2});
    }
}

/* A row whose columns are swapped after its voltage: the value that does not fit its column is unknown, and so are
 * all after it and all that need every cell. The other rows are kept. */
TEST(odd_row)
{
    static const struct {
        const char *name, *row;
        bool temp, charge, balance, over; /* still known */
    } cases[] = {
        {"charge before percentage", "1 3317 0 26500 Idle Normal Normal Normal 44606 mAH 96% Y",
         true, false, false, true},
        {"balance first", "1 3317 0 26500 Idle Normal Normal Normal N 96% 44606 mAH", true, false,
         false, true},
        {"state and temperature", "1 3317 0 Idle 26500 Normal Normal Normal 96% 44606 mAH Y", false,
         false, false, false},
        {"state and voltage state", "1 3317 0 26500 Idle 96% Normal Normal Normal 44606 mAH Y",
         true, false, false, false},
        {"percentage before a state", "1 3317 0 26500 Idle Normal Normal 96% Normal 44606 mAH Y",
         true, false, false, true},
        {"another unit", "1 3317 0 26500 Idle Normal Normal Normal 96% 44606 mAS Y", true, false,
         false, true},
        {"neither Y nor N", "1 3317 0 26500 Idle Normal Normal Normal 96% 44606 mAH X", true, true,
         false, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = at_address(1);
        struct pack pack;
        char text[1000];
        snprintf(text, sizeof text, "%s%s\r\r\n%s%s", TITLES ROW0, cases[i].row,
                 "2 3318 0 26600 Idle Normal Normal Normal 96% 44700 mAH N", END);
        if (take(&bms, "bat 1\r\n", text, &pack) != BMS_DONE)
            fail_msg("%s", cases[i].name);
        assert_values(&pack, {CELL_COUNT, 3}, {CELL_MV + 1, 3317}, {CELL_MV + 2, 3318},
                      {TEMP_COUNT, 3}, {TEMP_C + 2, 26.6});
        if (pack_known(&pack, (enum pack_value)(TEMP_C + 1)) != cases[i].temp ||
            pack_known(&pack, REMAINING_AH) != cases[i].charge ||
            pack_known(&pack, BALANCE_MASK) != cases[i].balance ||
            (pack.alarms_known >> CELL_OVER_VOLTAGE & 1) != cases[i].over)
            fail_msg("%s: what is known", cases[i].name);
    }
}

/* Columns are identified by their titles; missing ones stay unknown. */
TEST(columns)
{
    struct bms bms = at_address(1);
    struct pack pack;
    assert_int_equal(take(&bms, "bat 1\r\n",
                          "bat 1\n\r@\r\nBattery Volt Tempr Base State Volt. State CTemp. State "
                          "DTemp. State Coulomb\r\n0 3304 19000 Idle High Normal Normal 34% 34682 "
                          "mAH\r\n1 2500 19000 Idle Low Normal Normal 33% 33593 mAH" END,
                          &pack),
                     BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 33.593}, {TEMP_COUNT, 2}, {BALANCE_MASK, NAN});
    assert_int_equal(pack.alarms_warning, 1u << CELL_OVER_VOLTAGE | 1u << CELL_UNDER_VOLTAGE);
    assert_int_equal(take(&bms, "bat 1\r\n", "bat 1\n\r@\r\nBattery Volt\r\n0 3304" END, &pack),
                     BMS_DONE);
    assert_values(&pack, {REMAINING_AH, NAN}, {TEMP_COUNT, NAN});
}

/* US packs before 2020 have only the percentage here; a US3000D with two temperature states and a blank before the
 * unit does not report it for linked packs. */
TEST(charge)
{
    static const struct {
        const char *text;
        double ah; /* 0: unknown */
    } cases[] = {
        {"bat 1\n\r@\r\r\nBattery  Volt     Curr     Tempr    Base State   Volt. State  Curr. "
         "State  "
         "Temp. State  Coulomb\r\r\n"
         "0        3275     0        10600    Idle         Normal       Normal       Normal       "
         "18%\r\r\n"
         "1        4095     0        10500    Idle         High         Normal       Normal       "
         "19%" END,
         0},
        {"bat 1\n\r@\r\r\n\r\r\nBattery  Volt     Curr     Tempr    Base State   Volt. State  "
         "Curr. State  "
         "DTemp. State CTemp. State SOC          Coulomb          BAL\r\r\n"
         "0        3275     -856     10600    Dischg       Normal       Normal       Normal       "
         "Normal       "
         "92%          68700        mAH N\r\r\n"
         "1        4095     -835     10500    Dischg       High         Normal       Normal       "
         "Normal       "
         "92%          68690        mAH N" END,
         68.69},
        {TITLES "0 3275 0 10600 Idle Normal Normal Normal 92% N\r\r\n"
                "1 4095 0 10500 Idle High Normal Normal 92% N" END,
         0},
        {TITLES "0 3275 0 10600 Idle Normal Normal Normal 92% - N\r\r\n"
                "1 4095 0 10500 Idle High Normal Normal 92% - N" END,
         0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = at_address(1);
        struct pack pack;
        assert_int_equal(take(&bms, "bat 1\r\n", cases[i].text, &pack), BMS_DONE);
        assert_values(&pack, {CELL_COUNT, 2}, {CELL_MV, 3275}, {TEMP_C + 1, 10.5});
        assert_int_equal(pack.alarms_warning, 1u << CELL_OVER_VOLTAGE);
        if (cases[i].ah > 0)
            assert_values(&pack, {REMAINING_AH, cases[i].ah});
        else
            assert_values(&pack, {REMAINING_AH, NAN});
    }
}

/* `stat` and `info` have the same beginning. */
TEST(lists)
{
    static const char stat[] = "stat 1\n\r@\r\r\nDevice address           1\r\r\nData Items : 109"
                               "\r\r\nCYCLE Times : 666\r\r\nSOH : 93" END,
                      info[] = "info 1\n\r@\r\n\rDevice address      : 1\r\n\rManufacturer : Pylon"
                               "\r\n\rDevice name : US2000C\r\n\rBarcode :\r\n\rMain Soft version "
                               "  : B67.5.0" END;
    struct bms bms = at_address(1);
    struct pack pack;
    assert_int_equal(take(&bms, "stat 1\r\n", stat, &pack), BMS_DONE);
    assert_values(&pack, {CYCLES, 666}, {SOH_PERCENT, 93});
    assert_int_equal(take(&bms, "stat 2\r\n", stat, &pack), BMS_FOREIGN);
    assert_int_equal(take(&bms, "info 1\r\n", stat, &pack), BMS_FOREIGN);
    assert_int_equal(take(&bms, "info 1\r\n", info, &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "US2000C");
    assert_string_equal(pack.text[FIRMWARE], "B67.5.0");
    assert_string_equal(pack.text[SERIAL], "");
    assert_int_equal(take(&bms, "stat 1\r\n", info, &pack), BMS_FOREIGN);
    assert_int_equal(take(&bms, "stat 1\r\n",
                          "@\r\nDevice address 2\r\nData Items : 1\r\nCYCLE Times : 5" END, &pack),
                     BMS_FOREIGN);
    assert_int_equal(
        take(&bms, "stat 1\r\n", "@\r\nDevice address 1\r\nData Items : 1\r\nSOH : 0" END, &pack),
        BMS_DONE);
    assert_values(&pack, {SOH_PERCENT, NAN});
}

/* Another program asks, and we listen: the echo contains its command. */
TEST(listening)
{
    struct bms bms = at_address(1), other = at_address(2);
    struct pack pack;
    assert_int_equal(take(&bms, "", PWR_HEAD PWR_VALUES END, &pack), BMS_PARTIAL);
    assert_values(&pack, {VOLTAGE_V, 49.28});
    assert_int_equal(take(&bms, "", TITLES ROW0 ROW1 END, &pack), BMS_DONE);
    assert_int_equal(take(&other, "", PWR_HEAD PWR_VALUES END, &pack), BMS_FOREIGN);
    assert_int_equal(take(&bms, "", "@\r\n Power  1\r\n" PWR_VALUES END, &pack), BMS_FOREIGN);
}

TEST(board)
{
    static const struct {
        int address;
        const char *line, *starts;
    } cases[] = {
        {1, "pwr 1\r\n", "pwr 1\n\r@\r\r\n CFetState:"},
        {2, "pwr 2\r", "pwr 2\n\r@\r\r\n CFetState:"},
        {2, "pwr 1\r\n", ""},
        {1, "help\r\n", "help\n\r@\r\r\nUnknown command 'help'"},
        {2, "help\r\n", ""},
        {1, "\r\n", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms board = at_address(cases[i].address);
        struct bms_output out;
        size_t size = strlen(cases[i].line);
        struct pack told = cleared_pack();
        assert_int_equal(bms_emulate(&board, &told, (const uint8_t *) cases[i].line, size, &out),
                         size);
        assert_int_equal(out.size > 0, *cases[i].starts != '\0');
        assert_memory_equal(out.bytes, cases[i].starts, strlen(cases[i].starts));
    }
}
