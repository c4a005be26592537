// SPDX-License-Identifier: MIT
/*
 * jk-pb beyond its captures: the sender of a record on a shared line,
 * parts of the register blocks, the wake-up rule, and simulated packs read back in both ways.
 */
#include "driver_test.h"

#include "lines/reply.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <stdio.h>

#define RECORD 300

extern const struct bms_driver jk_pb_driver;
static const struct bms_driver *const driver = &jk_pb_driver;

enum {
    STEP_ABOUT,
    STEP_SETTINGS,
    STEP_READ_ABOUT,
    STEP_READ_SETTINGS,
    STEP_READ_LIMITS,
    STEP_WAKE,
    STEP_STATUS,
    STEP_READ_CELLS,
    STEP_READ_VALUES,
    STEP_READ_TEMPS
};
enum { VARIANT_TRIGGER, VARIANT_REGISTERS };

/* The bytes that a line has received. */
struct wire {
    uint8_t bytes[8000];
    size_t size;
};

static struct bms bms_at(int address, int variant)
{
    struct bms bms = new_bms(driver);
    bms.options.address = address;
    bms.options.variant = variant;
    return bms;
}

/* Packs that differ in every value. */
static void fill(struct pack *pack, unsigned address, unsigned cells)
{
    double sum = 0;
    pack_clear(pack);
    pack_set(pack, CELL_COUNT, cells);
    for (unsigned i = 1; i <= cells; i++) {
        pack_set_cell(pack, i, 3300 + address + 3 * i);
        sum += 3300 + address + 3 * i;
    }
    set_values(pack, {VOLTAGE_V, sum / 1000}, {CURRENT_A, address - 7.5},
               {SOC_PERCENT, 50 + address}, {SOH_PERCENT, 80 + address}, {FULL_AH, 200 + address},
               {REMAINING_AH, (200 + address) * (50 + address) / 100.0}, {RATED_AH, 280 + address},
               {CYCLES, 100 + address});
    for (unsigned i = 1; i <= 4; i++)
        pack_set_temp(pack, i, 10.1 * i + address);
    set_values(pack, {TEMP_COUNT, 4}, {MOS_TEMP_C, 30 + address}, {CHARGE_MOS, address % 2},
               {DISCHARGE_MOS, 1}, {BALANCING, address % 2});
    snprintf(pack->text[SERIAL], TEXT_SIZE, "5031449029%u", address);
    snprintf(pack->text[MODEL], TEXT_SIZE, "JK_PB2A16S20P");
    snprintf(pack->text[FIRMWARE], TEXT_SIZE, "15.41");
}

static void put(struct wire *wire, const void *bytes, size_t size)
{
    assert_true(wire->size + size <= sizeof wire->bytes);
    memcpy(wire->bytes + wire->size, bytes, size);
    wire->size += size;
}

static void put_crc(uint8_t *bytes, size_t size)
{
    put_le16(bytes + size, crc16_modbus(bytes, size));
}

/* Writes the answer of the pack at `address` to a request into `out`. */
static void answer(unsigned address, unsigned cells, const struct bms_request *request,
                   struct bms_output *out)
{
    struct bms simulator;
    struct pack simulated;
    simulator = bms_at((int) address, VARIANT_TRIGGER);
    fill(&simulated, address, cells);
    assert_int_equal(bms_emulate(&simulator, &simulated, request->bytes, request->size, out),
                     request->size);
}

static struct bms_request build(int address, unsigned step)
{
    struct bms_request request;
    bool reading = step >= STEP_READ_ABOUT && step != STEP_WAKE && step != STEP_STATUS;
    struct bms bms = bms_at(address, reading ? VARIANT_REGISTERS : VARIANT_TRIGGER);
    assert_true(driver->build(&bms, step, &request));
    return request;
}

/* As a line does: piece by piece, and once more after a silence. */
static enum reply_state receive_wire(struct bms *bms, const struct bms_request *request,
                                     const struct wire *wire, size_t piece, struct pack *pack)
{
    static struct reply feed;
    enum reply_state state = REPLY_WAITING;
    reply_clear(&feed);
    for (size_t at = 0; at < wire->size && state == REPLY_WAITING; at += piece) {
        size_t size = wire->size - at < piece ? wire->size - at : piece;
        assert_int_equal(reply_append(&feed, wire->bytes + at, size), size);
        state = reply_decode(&feed, bms, request, false, pack);
    }
    return state == REPLY_WAITING ? reply_decode(&feed, bms, request, true, pack) : state;
}

TEST(control)
{
    static const struct {
        enum bms_switch which;
        bool on;
        const char *request, *answer;
    } cases[] = {
        {BMS_CHARGE_MOS, true, "01 10 10 70 00 02 04 00 00 00 01 F8 8B ",
         "01 10 10 70 00 02 44 D3 "},
        {BMS_CHARGE_MOS, false, "01 10 10 70 00 02 04 00 00 00 00 39 4B ",
         "01 10 10 70 00 02 44 D3 "},
        {BMS_DISCHARGE_MOS, true, "01 10 10 74 00 02 04 00 00 00 01 F9 78 ",
         "01 10 10 74 00 02 05 12 "},
        {BMS_DISCHARGE_MOS, false, "01 10 10 74 00 02 04 00 00 00 00 38 B8 ",
         "01 10 10 74 00 02 05 12 "},
    };
    static const uint8_t late[] = {0x01, 0x10, 0x16, 0x20,
                                   0x00, 0x01, 0x04, 0x4B}; /* of a status before */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms, simulator;
        struct bms_request request;
        struct bms_output out;
        struct pack simulated, pack;
        struct wire wire = {.size = 0};
        bms = bms_at(1, VARIANT_TRIGGER);
        simulator = bms_at(1, VARIANT_TRIGGER);
        fill(&simulated, 1, 16);
        assert_true(driver->control(&bms, cases[i].which, cases[i].on, &request));
        assert_bytes(request.bytes, request.size, cases[i].request);
        assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out),
                         request.size);
        assert_bytes(out.bytes, out.size, cases[i].answer);
        enum pack_value mos = cases[i].which == BMS_CHARGE_MOS ? CHARGE_MOS : DISCHARGE_MOS;
        assert_values(&simulated, {mos, cases[i].on});
        put(&wire, late, sizeof late);
        put(&wire, request.bytes, request.size); /* echo */
        assert_int_equal(receive_wire(&bms, &request, &wire, 3, &pack), REPLY_WAITING);
        put(&wire, out.bytes, out.size);
        assert_int_equal(receive_wire(&bms, &request, &wire, 3, &pack), REPLY_DONE);
    }
}

/* Exceptions: function 06 is unknown, blocks end at 0x124, a switch is 0 or 1. */
TEST(refusals)
{
    static const struct {
        uint8_t request[11];
        size_t size;
        const char *answer;
    } cases[] = {
        {{1, 0x06, 0x10, 0x70, 0, 1}, 6, "01 86 01 83 A0 "},
        {{1, 0x03, 0x12, 0x00, 0, 0}, 6, "01 83 03 01 31 "},
        {{1, 0x03, 0x12, 0x00, 0, 126}, 6, "01 83 03 01 31 "},
        {{1, 0x03, 0x12, 0xF8, 0, 23}, 6, "01 83 02 C0 F1 "},
        {{1, 0x03, 0x20, 0x00, 0, 1}, 6, "01 83 02 C0 F1 "},
        {{1, 0x10, 0x10, 0x70, 0, 2, 4, 0, 0, 0, 2}, 11, "01 90 03 0C 01 "},
        {{1, 0x10, 0x16, 0x02, 0, 1, 2, 0, 0}, 9, "01 90 02 CD C1 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bms bms, simulator;
        struct bms_output out;
        struct pack simulated, pack;
        struct bms_request request = {.size = cases[i].size + 2};
        struct wire wire = {.size = 0};
        memcpy(request.bytes, cases[i].request, cases[i].size);
        put_crc(request.bytes, cases[i].size);
        bms = bms_at(1, VARIANT_TRIGGER);
        simulator = bms_at(1, VARIANT_TRIGGER);
        fill(&simulated, 1, 16);
        assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out),
                         request.size);
        assert_bytes(out.bytes, out.size, cases[i].answer);
        put(&wire, out.bytes, out.size);
        pack_clear(&pack);
        assert_int_equal(receive_wire(&bms, &request, &wire, 1, &pack), REPLY_REFUSED);
        /* Another address, a wrong CRC: no answer. */
        simulator.options.address = 2;
        assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out),
                         request.size);
        assert_int_equal(out.size, 0);
        request.bytes[2] ^= 1;
        assert_true(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out) > 0);
        assert_int_equal(out.size, 0);
        assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size - 1, &out),
                         0);
    }
}

/* Builds the bytes that a line receives from a list of words. */
enum part {
    END,
    ECHO,
    OURS,
    OURS_ACK,
    ZERO,
    NOISE,
    THEIRS,
    THEIRS_ACK,
    THEIR_REQUEST,
    OUR_SETTINGS,
    OUR_SETTINGS_ACK,
    CUT,
    MASTER
};

static void put_part(struct wire *wire, enum part part)
{
    static const uint8_t noise[] = {0xFE, 0x55, 0x01, 0x10, 0x16};
    struct bms_output status, other, settings, master;
    struct bms_request ours = build(1, STEP_STATUS), theirs = build(2, STEP_STATUS),
                       slow = build(1, STEP_SETTINGS);
    answer(1, 16, &ours, &status);
    answer(2, 16, &theirs, &other);
    answer(1, 16, &slow, &settings);
    struct bms_request of_master = ours;
    of_master.bytes[0] =
        0; /* the master names itself 0 in the acknowledgement of what nobody asked for */
    put_crc(of_master.bytes, 9);
    answer(0, 16, &of_master, &master);
    switch (part) {
    case ECHO:
        put(wire, ours.bytes, ours.size);
        break;
    case OURS:
        put(wire, status.bytes, RECORD);
        break;
    case OURS_ACK:
        put(wire, status.bytes + RECORD, 8);
        break;
    case ZERO:
        put(wire, "", 1);
        break;
    case NOISE:
        put(wire, noise, sizeof noise);
        break;
    case THEIRS:
        put(wire, other.bytes, RECORD);
        break;
    case THEIRS_ACK:
        put(wire, other.bytes + RECORD, 8);
        break;
    case THEIR_REQUEST:
        put(wire, theirs.bytes, theirs.size);
        break;
    case OUR_SETTINGS:
        put(wire, settings.bytes, RECORD);
        break;
    case OUR_SETTINGS_ACK:
        put(wire, settings.bytes + RECORD, 8);
        break;
    case CUT:
        put(wire, other.bytes, 287);
        break;
    case MASTER:
        put(wire, master.bytes, master.size);
        break;
    case END:
        break;
    }
}

TEST(attribution)
{
    static const struct {
        const char *name;
        enum part parts[12];
        bool accepted;
    } cases[] = {
        {"plain", {OURS, OURS_ACK}, true},
        {"echo and zero bytes", {ECHO, OURS, ZERO, OURS_ACK, ZERO}, true},
        {"acknowledged before", {OURS_ACK, OURS}, true},
        {"echo, acknowledged before", {ECHO, ZERO, OURS_ACK, ZERO, OURS}, true},
        {"not acknowledged on a quiet line", {OURS}, true},
        {"not acknowledged, noise", {NOISE, OURS, NOISE}, true},
        {"not acknowledged, others before", {THEIR_REQUEST, THEIRS, THEIRS_ACK, OURS}, false},
        {"of another pack", {THEIRS, THEIRS_ACK}, false},
        {"of another pack, zero byte", {THEIRS, ZERO, THEIRS_ACK}, false},
        {"of another pack, lost acknowledgement", {THEIR_REQUEST, THEIRS}, false},
        {"of another pack, acknowledged before", {THEIRS_ACK, THEIRS}, false},
        {"of the master", {MASTER}, false},
        {"behind the master", {MASTER, OURS, OURS_ACK}, true},
        {"behind another pack", {THEIR_REQUEST, THEIRS, THEIRS_ACK, ECHO, OURS, OURS_ACK}, true},
        {"behind another pack, acknowledged before",
         {THEIR_REQUEST, THEIRS, THEIRS_ACK, OURS_ACK, OURS},
         true},
        {"behind a fragment", {CUT, OURS, OURS_ACK}, true},
        {"behind a fragment with its acknowledgement", {CUT, THEIRS_ACK, OURS, OURS_ACK}, true},
        {"behind noise", {NOISE, OURS, OURS_ACK}, true},
        {"a late one", {OUR_SETTINGS, OUR_SETTINGS_ACK}, false},
        {"behind a late one", {OUR_SETTINGS, OUR_SETTINGS_ACK, OURS, OURS_ACK}, true},
        {"acknowledgement alone", {OURS_ACK}, false},
        {"acknowledged, then another pack's", {OURS_ACK, THEIR_REQUEST, THEIRS}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece <= 1000; piece = piece * 7 + 1) {
            struct pack pack, expected;
            struct wire wire = {.size = 0};
            struct bms_request request = build(1, STEP_STATUS);
            struct bms bms = bms_at(1, VARIANT_TRIGGER);
            fill(&expected, 1, 16);
            pack_clear(&pack);
            for (size_t p = 0; cases[i].parts[p] != END; p++)
                put_part(&wire, cases[i].parts[p]);
            bool accepted = receive_wire(&bms, &request, &wire, piece, &pack) == REPLY_DONE;
            if (accepted != cases[i].accepted)
                fail_msg("%s, in pieces of %zu: accepted %d", cases[i].name, piece, accepted);
            assert_true(accepted ? pack.value[VOLTAGE_V] == expected.value[VOLTAGE_V]
                                 : !pack_known(&pack, VOLTAGE_V));
        }
}

/* Once other packs were heard on the line, a record counts only with its acknowledgement, also in later exchanges. */
TEST(others_are_remembered)
{
    struct wire first = {.size = 0}, second = {.size = 0};
    struct bms_request request = build(1, STEP_STATUS);
    struct bms bms = bms_at(1, VARIANT_TRIGGER);
    struct pack pack = cleared_pack();
    put_part(&first, THEIR_REQUEST);
    put_part(&first, OURS);
    put_part(&first, OURS_ACK);
    assert_int_equal(receive_wire(&bms, &request, &first, 50, &pack), REPLY_DONE);
    pack_clear(&pack);
    put_part(&second, THEIRS);
    assert_int_equal(receive_wire(&bms, &request, &second, 50, &pack), REPLY_WAITING);
    assert_values(&pack, {VOLTAGE_V, NAN});
    /* A pack that acknowledges after its records does not confirm the next record. */
    second.size = 0;
    put_part(&second, OURS_ACK);
    put_part(&second, THEIRS);
    assert_int_equal(receive_wire(&bms, &request, &second, 50, &pack), REPLY_WAITING);
    assert_values(&pack, {VOLTAGE_V, NAN});
}

/* A record says nothing of whose it is, and this pack may be switched off: that other packs have answered is known to
 * the drivers of these only. */
TEST(others_share_the_line)
{
    struct wire alone = {.size = 0}, acknowledged = {.size = 0};
    struct bms_request request = build(1, STEP_STATUS);
    struct bms bms = bms_at(1, VARIANT_TRIGGER);
    bms.options.shared = true;
    struct pack pack = cleared_pack();
    put_part(&alone, THEIRS);
    assert_int_equal(receive_wire(&bms, &request, &alone, 50, &pack), REPLY_WAITING);
    assert_values(&pack, {VOLTAGE_V, NAN});
    put_part(&acknowledged, OURS);
    put_part(&acknowledged, OURS_ACK);
    assert_int_equal(receive_wire(&bms, &request, &acknowledged, 50, &pack), REPLY_DONE);
}

/* All fifteen packs answer into one line during every request: each driver accepts only its own pack's answer. */
TEST(fifteen_packs)
{
    struct wire wire = {.size = 0};
    for (int address = 15; address >= 1; address--) {
        struct bms_request request = build(address, STEP_STATUS);
        struct bms_output out;
        answer((unsigned) address, 16, &request, &out);
        put(&wire, request.bytes, request.size);
        put(&wire, out.bytes, out.size);
    }
    for (int address = 1; address <= 16; address++) {
        struct pack pack, expected;
        struct bms_request request = build(address, STEP_STATUS), none = {.size = 0};
        struct bms bms = bms_at(address, VARIANT_TRIGGER);
        fill(&expected, (unsigned) address, 16);
        for (int listening = 0; listening < 2; listening++) {
            pack_clear(&pack);
            enum reply_state fed =
                receive_wire(&bms, listening ? &none : &request, &wire, 4000, &pack);
            assert_int_equal(fed, address <= 15 ? REPLY_DONE : REPLY_WAITING);
            assert_true(address <= 15 ? pack.value[VOLTAGE_V] == expected.value[VOLTAGE_V]
                                      : !pack_known(&pack, VOLTAGE_V));
        }
    }
}

static enum reply_state read_words(struct bms *bms, uint16_t start, uint16_t words, unsigned cells,
                                   struct pack *pack)
{
    struct bms_request request = {.bytes = {1, 0x03}, .size = 8};
    struct bms_output out;
    struct wire wire = {.size = 0};
    put_be16(request.bytes + 2, start);
    put_be16(request.bytes + 4, words);
    put_crc(request.bytes, 6);
    answer(1, cells, &request, &out);
    put(&wire, request.bytes, request.size); /* echo */
    put(&wire, "\x01\x03\x00\x02", 4);       /* what is left of something else */
    put(&wire, out.bytes, out.size);
    return receive_wire(bms, &request, &wire, 5, pack);
}

/* Section 3: any part of a block can be read; incomplete values stay unknown. */
TEST(parts_of_blocks)
{
    struct pack pack, expected;
    struct bms bms = bms_at(1, VARIANT_REGISTERS);
    fill(&expected, 1, 16);

    pack_clear(&pack);
    assert_int_equal(read_words(&bms, 0x1290, 2, 16, &pack), REPLY_DONE);
    assert_values(&pack, {VOLTAGE_V, expected.value[VOLTAGE_V]}, {CURRENT_A, NAN});
    assert_int_equal(pack.alarms_known, 0);

    pack_clear(&pack);
    assert_int_equal(read_words(&bms, 0x1290, 1, 16, &pack), REPLY_DONE);
    assert_values(&pack, {VOLTAGE_V, NAN});

    pack_clear(&pack);
    assert_int_equal(read_words(&bms, 0x1278, 50, 16, &pack), REPLY_DONE);
    assert_values(&pack, {MOS_TEMP_C, 31}, {CURRENT_A, -6.5}, {TEMP_COUNT, 2}, {CELL_COUNT, NAN});

    pack_clear(&pack);
    assert_int_equal(read_words(&bms, 0x1200, 16, 16, &pack),
                     REPLY_DONE); /* cells without their mask */
    assert_values(&pack, {CELL_MV + 15, expected.value[CELL_MV + 15]}, {CELL_COUNT, NAN});

    pack_clear(&pack);
    assert_int_equal(read_words(&bms, 0x1200, 123, 16, &pack), REPLY_DONE);
    assert_values(&pack, {CELL_COUNT, 16}, {CYCLES, 101}, {DISCHARGE_MOS, 1});
}

/* An answer with another number of registers than requested is rejected. */
TEST(wrong_count)
{
    struct bms_output out;
    struct wire wire = {.size = 0};
    struct bms_request asked = build(1, STEP_READ_CELLS), answered = build(1, STEP_READ_VALUES);
    struct bms bms = bms_at(1, VARIANT_REGISTERS);
    struct pack pack = cleared_pack();
    answer(1, 16, &answered, &out);
    put(&wire, out.bytes, out.size);
    assert_int_equal(receive_wire(&bms, &asked, &wire, 1, &pack), REPLY_WAITING);
    answer(1, 16, &asked, &out);
    put(&wire, out.bytes, out.size);
    assert_int_equal(receive_wire(&bms, &asked, &wire, 1, &pack), REPLY_DONE);
    assert_values(&pack, {VOLTAGE_V, NAN}, {CELL_COUNT, 16});
}

/* An answer to our own read with a wrong CRC counts as damaged, not as noise. */
TEST(damaged_registers)
{
    struct bms_output out;
    struct bms_request request = build(1, STEP_READ_CELLS);
    struct bms bms = bms_at(1, VARIANT_REGISTERS);
    answer(1, 16, &request, &out);
    assert_int_equal(driver->frame(&bms, &request, out.bytes, out.size).kind, BMS_FRAME);
    for (size_t at = 3; at < out.size; at++) {
        out.bytes[at] ^= 0x10;
        struct bms_span span = driver->frame(&bms, &request, out.bytes, out.size);
        assert_int_equal(span.kind, BMS_DAMAGED);
        assert_int_equal(span.size, 1);
        out.bytes[at] ^= 0x10;
    }
}

static void take_status(struct bms *bms, const struct bms_request *request)
{
    struct bms_output out;
    struct wire wire = {.size = 0};
    struct pack pack = cleared_pack();
    answer(1, 16, request, &out);
    put(&wire, out.bytes, out.size);
    assert_int_equal(receive_wire(bms, request, &wire, 400, &pack), REPLY_DONE);
}

/* A board that answers the status only right after another request: detected after a missing reply, and remembered
 * after three. */
TEST(wake_up)
{
    struct bms_request request;
    unsigned missed = 0, led = 0;
    struct bms bms = bms_at(1, VARIANT_TRIGGER);
    for (int cycle = 0; cycle < 20; cycle++) {
        bool woken = driver->build(&bms, STEP_WAKE, &request);
        if (woken)
            assert_bytes(request.bytes, request.size, "01 10 16 1E 00 01 02 00 00 D2 2F ");
        assert_true(driver->build(&bms, STEP_STATUS, &request));
        if (woken)
            take_status(&bms, &request);
        missed += !woken;
        led += woken;
    }
    assert_int_equal(missed, 3);
    assert_int_equal(led, 17);
    /* A board that has only lost one reply is woken once. */
    bms = bms_at(1, VARIANT_TRIGGER);
    assert_true(driver->build(&bms, STEP_STATUS, &request));
    assert_true(driver->build(&bms, STEP_WAKE, &request));
    for (int cycle = 0; cycle < 20; cycle++) {
        assert_true(driver->build(&bms, STEP_STATUS, &request));
        take_status(&bms, &request);
        assert_false(driver->build(&bms, STEP_WAKE, &request));
    }
}

TEST(mask)
{
    static const char pin[] = "pin-pin", password[] = "password";
    struct pack pack;
    struct bms_request request = build(1, STEP_ABOUT);
    struct bms_output out;
    struct bms bms = bms_at(1, VARIANT_TRIGGER);
    for (int variant = 0; variant < 2; variant++) {
        request = build(1, variant == VARIANT_TRIGGER ? STEP_ABOUT : STEP_READ_ABOUT);
        answer(1, 16, &request, &out);
        if (variant == VARIANT_TRIGGER) {
            memcpy(out.bytes + 62, pin, sizeof pin);
            memcpy(out.bytes + 118, password, sizeof password);
            out.bytes[RECORD - 1] = (uint8_t) sum_bytes(out.bytes, RECORD - 1);
        } else {
            memcpy(out.bytes + 3 + 0x38, pin, sizeof pin);
            put_crc(out.bytes, out.size - 2);
        }
        struct bms_span span = driver->frame(&bms, &request, out.bytes, out.size);
        assert_int_equal(span.kind, BMS_FRAME);
        assert_int_equal(span.size, out.size);
        pack_clear(&pack);
        assert_int_equal(driver->decode(&bms, &request, out.bytes, out.size, &pack), BMS_DONE);
        assert_null(memmem(&pack, sizeof pack, pin, strlen(pin)));
        assert_null(memmem(&pack, sizeof pack, password, strlen(password)));
        driver->mask(out.bytes, out.size);
        assert_null(memmem(out.bytes, out.size, pin, strlen(pin)));
        assert_null(memmem(out.bytes, out.size, password, strlen(password)));
        span = driver->frame(&bms, &request, out.bytes, out.size);
        assert_int_equal(span.kind, BMS_FRAME);
        assert_int_equal(span.size, out.size);
    }
}
