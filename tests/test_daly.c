// SPDX-License-Identifier: MIT
/* Classic Daly: what the recordings do not cover. Frames and sums are those of the sheet `daly`. */
#include "driver_test.h"

#include <stdio.h>

extern const struct bms_driver daly_driver;

enum { VARIANT_AUTO, VARIANT_RS485, VARIANT_BLUETOOTH };

/* In the order of the plan; the tests refer to steps by name. */
static bool build(struct bms *bms, const char *name, struct bms_request *request)
{
    for (unsigned i = 0; i < daly_driver.steps; i++)
        if (strcmp(daly_driver.plan[i].name, name) == 0)
            return daly_driver.build(bms, i, request);
    fail_msg("no step '%s'", name);
    return false;
}

/* Counts the hosts as which the next requests are sent, none of them answered. */
static void assert_hosts(const char *name, struct bms *bms, const char *expected)
{
    char hosts[64] = "";
    for (size_t i = 0; 3 * i < strlen(expected); i++) {
        struct bms_request request;
        assert_true(build(bms, "pack voltage, current and SOC", &request));
        snprintf(hosts + 3 * i, 4, "%02X ", request.bytes[1]);
    }
    if (strcmp(hosts, expected) != 0)
        fail_msg("%s: expected %s, got %s", name, expected, hosts);
}

/* Answers the last request. */
static void answer(struct bms *bms, uint8_t host)
{
    struct bms_request request = request_of("A5 40 90 08 00 00 00 00 00 00 00 00 7D");
    struct bytes reply = unhex("A5 01 90 08 02 14 00 00 75 45 03 78 89");
    struct pack pack = cleared_pack();
    request.bytes[1] = host;
    request.bytes[12] = (uint8_t) (request.bytes[12] - 0x40 + host);
    assert_int_equal(receive_frame(bms, &request, reply.bytes, reply.size, &pack), BMS_DONE);
}

/* Section 5: a few boards answer only the requests of the Bluetooth dongle. */
TEST(other_host)
{
    struct bms bms = new_bms(&daly_driver);
    struct bms_request request;
    assert_hosts("nothing answers", &bms, "40 40 80 40 40 80 40 40 ");
    assert_hosts("and on", &bms, "80 ");
    answer(&bms, 0x80);
    assert_true(build(&bms, "state", &request));
    assert_int_equal(request.bytes[1], 0x80);
    assert_true(daly_driver.control(&bms, BMS_CHARGE_MOS, true, &request));
    assert_int_equal(request.bytes[1], 0x80);
    assert_hosts("it stays with what answered", &bms, "80 80 80 80 80 80 ");
    bms_forget(&bms);
    assert_hosts("after a silence, what answered before comes first", &bms, "80 80 40 80 80 40 ");
    answer(&bms, 0x40);
    assert_hosts("another board by now", &bms, "40 40 40 40 40 40 ");
}

/* A pack on a shared line, at another address or with a configured variant is asked in one way only. */
TEST(one_host)
{
    static const struct {
        const char *name;
        int address, variant;
        bool shared;
        const char *hosts;
    } cases[] = {
        {"rs485", 1, VARIANT_RS485, false, "40 40 40 40 40 40 "},
        {"bluetooth", 1, VARIANT_BLUETOOTH, false, "80 80 80 80 80 80 "},
        {"other boards on the line", 1, VARIANT_AUTO, true, "40 40 40 40 40 40 "},
        {"board 2", 2, VARIANT_AUTO, false, "41 41 41 41 41 41 "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_driver);
        bms.options.address = cases[i].address;
        bms.options.variant = cases[i].variant;
        bms.options.shared = cases[i].shared;
        assert_hosts(cases[i].name, &bms, cases[i].hosts);
    }
}

/* A simulated board answers only the requests of its variant. */
TEST(emulated_hosts)
{
    static const struct {
        int variant;
        bool rs485, bluetooth;
    } cases[] = {
        {VARIANT_AUTO, true, true}, {VARIANT_RS485, true, false}, {VARIANT_BLUETOOTH, false, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_driver);
        struct bms_output out;
        struct bytes rs485 = unhex("A5 40 90 08 00 00 00 00 00 00 00 00 7D"),
                     bluetooth = unhex("A5 80 90 08 00 00 00 00 00 00 00 00 BD");
        struct pack pack = cleared_pack();
        bms.options.variant = cases[i].variant;
        bms_emulate(&bms, &pack, rs485.bytes, rs485.size, &out);
        assert_int_equal(out.size > 0, cases[i].rs485);
        bms_emulate(&bms, &pack, bluetooth.bytes, bluetooth.size, &out);
        assert_int_equal(out.size > 0, cases[i].bluetooth);
    }
}

/* Section 10. */
TEST(switches)
{
    struct bms bms = new_bms(&daly_driver);
    struct pack pack = cleared_pack();
    /* The recorded answers: the first byte repeats the state, the others are left over from an earlier frame. */
    static const char on[] = "A5 01 D9 08 01 0D 13 0D 21 0D 17 C0 BA";
    static const char off[] = "A5 01 D9 08 00 0D 13 0D 21 0D 17 C0 B9";
    static const char ask_on[] = "A5 40 D9 08 01 00 00 00 00 00 00 00 C7";
    assert_int_equal(receive(&bms, ask_on, on, &pack), BMS_DONE);
    assert_int_equal(receive(&bms, ask_on, off, &pack), BMS_REFUSED);
    /* Its own echo confirms nothing. */
    assert_int_equal(receive(&bms, ask_on, ask_on, &pack), BMS_FOREIGN);
}

TEST(cells_wait_for_their_number)
{
    struct bms bms = new_bms(&daly_driver);
    struct bms_request request;
    struct pack pack = cleared_pack();
    assert_false(build(&bms, "cell voltages", &request));
    assert_false(build(&bms, "temperatures", &request));
    /* Without the count, left-over bytes cannot be distinguished from cells. */
    static const char ask[] = "A5 40 95 08 00 00 00 00 00 00 00 00 82";
    receive(&bms, ask, "A5 01 95 08 01 0C FD 0C FE 0C FE 40 A1", &pack);
    assert_values(&pack, {CELL_MV, NAN});
    /* "Not ready" does not mean "no cells" (section 6). */
    static const char status[] = "A5 40 94 08 00 00 00 00 00 00 00 00 81";
    assert_int_equal(receive(&bms, status, "A5 01 94 08 00 00 00 00 00 00 00 00 42", &pack),
                     BMS_INVALID);
    assert_values(&pack, {CELL_COUNT, NAN});
    assert_int_equal(receive(&bms, status, "A5 01 94 08 04 01 00 00 00 00 03 00 4A", &pack),
                     BMS_DONE);
    assert_true(build(&bms, "cell voltages", &request));
    /* 4 cells take two frames; the second one's last slots repeat the first frame (section 7). */
    assert_int_equal(receive(&bms, ask, "A5 01 95 08 01 0C FD 0C FE 0C FF 40 A2", &pack),
                     BMS_PARTIAL);
    assert_int_equal(receive(&bms, ask, "A5 01 95 08 02 0D 00 0C FE 0C FF 40 A7", &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV + 3, 0x0D00}, {CELL_MV + 4, NAN});
}

/* A late frame of an earlier poll before the reply (section 7, mpp-solar issue 516). */
TEST(late_cell_frame)
{
    struct bms bms = new_bms(&daly_driver);
    struct pack pack = cleared_pack();
    static const char ask[] = "A5 40 95 08 00 00 00 00 00 00 00 00 82";
    receive(&bms, "A5 40 94 08 00 00 00 00 00 00 00 00 81",
            "A5 01 94 08 06 01 00 00 00 00 03 00 4C", &pack);
    assert_int_equal(receive(&bms, ask, "A5 01 95 08 02 0B B8 0B B8 0B B8 00 8E", &pack),
                     BMS_PARTIAL);
    assert_int_equal(receive(&bms, ask, "A5 01 95 08 01 0C E4 0C E4 0C E4 00 14", &pack),
                     BMS_PARTIAL);
    assert_values(&pack, {CELL_MV + 3, NAN});
    assert_int_equal(receive(&bms, ask, "A5 01 95 08 02 0C E5 0C E5 0C E5 00 18", &pack), BMS_DONE);
    assert_values(&pack, {CELL_MV + 3, 0x0CE5});
}

/* Of three frames the second is lost. Boards that do not answer 0x91 (section 13, 9) leave the extremes to
 * us: those of the cells that came are not those of the pack. */
TEST(extremes_of_all_cells)
{
    struct bms bms = new_bms(&daly_driver);
    struct pack pack = cleared_pack();
    static const char ask[] = "A5 40 95 08 00 00 00 00 00 00 00 00 82";
    receive(&bms, "A5 40 94 08 00 00 00 00 00 00 00 00 81",
            "A5 01 94 08 08 01 00 00 00 00 03 00 4E", &pack);
    static const char first[] = "A5 01 95 08 01 0C FD 0C FE 0C FF 40 A2";
    static const char second[] = "A5 01 95 08 02 0D 00 0A 00 0C FE 40 A6";
    static const char third[] = "A5 01 95 08 03 0C FE 0C FD 0C FE 40 A3";
    assert_int_equal(receive(&bms, ask, first, &pack), BMS_PARTIAL);
    assert_int_equal(receive(&bms, ask, third, &pack), BMS_PARTIAL);
    struct pack published = pack;
    pack_derive(&published);
    assert_values(&published, {CELL_MV, 0x0CFD}, {CELL_MV + 3, NAN}, {CELL_MAX_MV, NAN},
                  {CELL_MIN_MV, NAN}, {CELL_AVG_MV, NAN});
    /* What the board says itself counts, and so does their difference. */
    receive(&bms, "A5 40 91 08 00 00 00 00 00 00 00 00 7E",
            "A5 01 91 08 0D 00 04 0A 00 05 00 00 5F", &published);
    pack_derive(&published);
    assert_values(&published, {CELL_MAX_MV, 0x0D00}, {CELL_MIN_MV, 0x0A00}, {CELL_DELTA_MV, 0x300},
                  {CELL_AVG_MV, NAN});
    receive(&bms, ask, first, &pack);
    receive(&bms, ask, second, &pack);
    assert_int_equal(receive(&bms, ask, third, &pack), BMS_DONE);
    pack_derive(&pack);
    assert_values(&pack, {CELL_MAX_MV, 0x0D00}, {CELL_MIN_MV, 0x0A00}, {CELL_MIN_INDEX, 5});
    assert_true(pack_known(&pack, CELL_AVG_MV));
}

/* Section 13, 8: after wake-up, valid frames contain nonsense. */
TEST(implausible)
{
    struct bms bms = new_bms(&daly_driver);
    struct pack pack = cleared_pack();
    /* 0 V, SOC 100.1 % */
    static const char ask[] = "A5 40 90 08 00 00 00 00 00 00 00 00 7D";
    assert_int_equal(receive(&bms, ask, "A5 01 90 08 00 00 00 00 75 30 03 E9 CF", &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, NAN}, {SOC_PERCENT, NAN});
    assert_int_equal(pack.implausible, 2);
}

/* Nothing but zeros is no 3000 A, and no cell of 0 mV that is both the highest and the lowest. */
TEST(empty_frames)
{
    static const char ask[] = "A5 40 90 08 00 00 00 00 00 00 00 00 7D";
    static const char ask_extremes[] = "A5 40 91 08 00 00 00 00 00 00 00 00 7E";
    struct bms bms = new_bms(&daly_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive(&bms, ask, "A5 01 90 08 00 00 00 00 00 00 00 00 3E", &pack), BMS_DONE);
    assert_int_equal(receive(&bms, ask_extremes, "A5 01 91 08 00 00 00 00 00 00 00 00 3F", &pack),
                     BMS_DONE);
    daly_driver.finish(&bms, &pack);
    assert_values(&pack, {CURRENT_A, NAN}, {CELL_MAX_MV, NAN}, {CELL_MIN_MV, NAN});
    /* A dead cell beside living ones is one. */
    assert_int_equal(receive(&bms, ask_extremes, "A5 01 91 08 0D 1E 03 00 00 07 00 00 74", &pack),
                     BMS_DONE);
    assert_values(&pack, {CELL_MAX_MV, 3358}, {CELL_MIN_MV, 0});
}

/* Section 8: the table of two units, and the rule. Raw 30021 is 2.1 A. */
TEST(direction)
{
    static const struct {
        int state;
        enum bms_current option;
        double current;
    } cases[] = {
        {2, BMS_CURRENT_AUTO, -2.1},    {1, BMS_CURRENT_AUTO, 2.1},
        {0, BMS_CURRENT_NORMAL, -2.1},  {1, BMS_CURRENT_NORMAL, -2.1},
        {1, BMS_CURRENT_INVERTED, 2.1}, {2, BMS_CURRENT_INVERTED, 2.1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_driver);
        struct pack pack = cleared_pack();
        bms.options.current = cases[i].option;
        receive(&bms, "A5 40 90 08 00 00 00 00 00 00 00 00 7D",
                "A5 01 90 08 02 14 00 00 75 45 03 78 89", &pack);
        pack_set(&pack, FLOW, cases[i].state);
        daly_driver.finish(&bms, &pack);
        assert_values(&pack, {CURRENT_A, cases[i].current});
    }
    /* The sign is learned from a unit that charges above 30000, and applied when the state byte is missing. */
    struct bms bms = new_bms(&daly_driver);
    for (int round = 0; round < 2; round++) {
        struct pack pack = cleared_pack();
        receive(&bms, "A5 40 90 08 00 00 00 00 00 00 00 00 7D",
                "A5 01 90 08 02 14 00 00 75 45 03 78 89", &pack);
        if (round == 0)
            receive(&bms, "A5 40 93 08 00 00 00 00 00 00 00 00 80",
                    "A5 01 93 08 01 01 01 26 00 02 7A 3C 22", &pack);
        daly_driver.finish(&bms, &pack);
        assert_values(&pack, {CURRENT_A, 2.1});
    }
}

/* A cycle that is published twice, as on a slow line, counts its state once: three are needed against
 * three, however often they are published. */
TEST(direction_of_a_cycle_published_twice)
{
    struct bms bms = new_bms(&daly_driver);
    for (int cycle = 0; cycle < 6; cycle++) {
        struct pack pack = cleared_pack(), again;
        receive(&bms, "A5 40 90 08 00 00 00 00 00 00 00 00 7D",
                "A5 01 90 08 02 14 00 00 75 45 03 78 89", &pack);
        receive(&bms, "A5 40 93 08 00 00 00 00 00 00 00 00 80",
                cycle < 3 ? "A5 01 93 08 02 01 01 78 00 03 CB 40 CB"
                          : "A5 01 93 08 01 01 01 78 00 03 CB 40 CA",
                &pack);
        again = pack;
        daly_driver.finish(&bms, &pack);
        daly_driver.finish(&bms, &again);
        assert_values(&again, {CURRENT_A, cycle < 5 ? -2.1 : 2.1});
    }
}

/* Section 5: a master may answer first when board 2 was asked. */
TEST(other_boards)
{
    struct bms bms = new_bms(&daly_driver);
    struct pack pack = cleared_pack();
    static const char ask_2[] = "A5 41 93 08 00 00 00 00 00 00 00 00 81";
    assert_int_equal(receive(&bms, ask_2, "A5 01 93 08 02 01 01 78 00 03 CB 40 CB", &pack),
                     BMS_FOREIGN);
    assert_int_equal(receive(&bms, ask_2, "A5 02 93 08 01 01 01 26 00 02 7A 3C 23", &pack),
                     BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 162.364});
}

/* A5 may occur in the data, and noise may end with the start of a frame. */
TEST(framing)
{
    static const struct {
        const char *name, *bytes;
        enum bms_span_kind kind;
        size_t size;
    } cases[] = {
        {"noise in front", "00 FF A5 01", BMS_SKIP, 2},
        {"only noise", "00 FF", BMS_SKIP, 2},
        {"the start", "A5", BMS_MORE, 0},
        {"no length 8", "A5 01 93 07", BMS_SKIP, 1},
        {"cut", "A5 01 93 08 02 01 01 78 00 03 CB 40", BMS_MORE, 0},
        {"whole", "A5 01 93 08 02 01 01 78 00 03 CB 40 CB", BMS_FRAME, 13},
        {"wrong sum", "A5 01 93 08 02 01 01 78 00 03 CB 40 CC", BMS_DAMAGED, 1},
        {"start in the data", "A5 A5 01 93 08", BMS_SKIP, 1},
    };
    struct bms bms = new_bms(&daly_driver);
    struct bms_request request = {.size = 0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[32];
        size_t size = parse_hex(cases[i].bytes, bytes);
        struct bms_span span = daly_driver.frame(&bms, &request, bytes, size);
        if (span.kind != cases[i].kind || (span.kind != BMS_MORE && span.size != cases[i].size))
            fail_msg("%s: kind %d, size %zu", cases[i].name, span.kind, span.size);
    }
}
