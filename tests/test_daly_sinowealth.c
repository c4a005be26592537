// SPDX-License-Identifier: MIT
/*
 * Daly boards with a Sinowealth chip: what the exchange files do not cover. Requests, replies and
 * tables are those of the sheet `daly-sinowealth`.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

extern const struct bms_driver daly_sinowealth_driver;

/* A request and what answers it; `wanted` data bytes, the value in the first two or four of them.
 */
static struct bms_request make_request(unsigned command, unsigned wanted)
{
    return (struct bms_request){.bytes = {0x0A, (uint8_t) command, (uint8_t) wanted}, .size = 3};
}

static size_t make_reply(const struct bms_request *request, uint32_t value, uint8_t *out)
{
    uint8_t all[4];
    unsigned wanted = request->bytes[2];
    bool is_wide = request->bytes[1] >= 0x10 && request->bytes[1] <= 0x12 && wanted == 4;
    put_be32(all, is_wide ? value : value << 16);
    memcpy(out, all, wanted);
    out[wanted] = crc8(crc8(0, request->bytes, 3), out, wanted);
    return wanted + 1;
}

/* Bytes in the buffer when a reply is awaited, and how the frame in them is classified. */
static enum bms_result feed(struct bms *bms, const struct bms_request *request,
                            const uint8_t *bytes, size_t size, struct pack *pack)
{
    while (size > 0) {
        struct bms_span span = bms->driver->frame(bms, request, bytes, size);
        if (span.kind == BMS_FRAME)
            return bms->driver->decode(bms, request, bytes, span.size, pack);
        size_t step = span.kind == BMS_MORE ? 1 : span.size;
        assert_true(step >= 1 && step <= size);
        bytes += step;
        size -= step;
    }
    return BMS_FOREIGN;
}

static enum bms_result answer(struct bms *bms, unsigned command, unsigned wanted, uint32_t value,
                              struct pack *pack)
{
    struct bms_request request = make_request(command, wanted);
    uint8_t reply[8];
    return feed(bms, &request, reply, make_reply(&request, value, reply), pack);
}

static void settle(struct bms *bms, struct pack *pack)
{
    bms->driver->finish(bms, pack);
    pack_derive(pack);
}

/* The CRC covers the request: a reply never matches another command of the same length. */
TEST(reply_to_another_command)
{
    struct bms bms = new_bms(&daly_sinowealth_driver);
    for (unsigned command = 1; command <= 0x18; command++) {
        struct bms_request request = make_request(command, 2);
        uint8_t bytes[] = {0x34, 0x0D, 0x0F};
        enum bms_span_kind kind = bms.driver->frame(&bms, &request, bytes, sizeof bytes).kind;
        assert_int_equal(kind, command == 0x0B ? BMS_FRAME : BMS_DAMAGED);
    }
}

TEST(surroundings)
{
    static const struct {
        const char *name, *bytes;
    } cases[] = {
        {"alone", "0D 03 FD"},
        {"after its echo", "0A 01 02 0D 03 FD"},
        {"after the echo of a request sent twice", "0A 01 02 0A 01 02 0D 03 FD"},
        {"after noise", "00 FF 7E 0D 0D 03 FD"},
        {"after a late reply", "34 0D 0F 0D 03 FD"},
        {"after a late reply of four bytes", "FF FF FF 6B 79 0D 03 FD"},
        {"before noise", "0D 03 FD 00"},
        {"twice", "0D 03 FD 0D 03 FD"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        struct bms_request request = request_of("0A 01 02");
        uint8_t bytes[32];
        size_t size = parse_hex(cases[i].bytes, bytes);
        if (feed(&bms, &request, bytes, size, &pack) != BMS_DONE || pack.value[CELL_MV] != 3331)
            fail_msg("%s: got %g", cases[i].name, pack.value[CELL_MV]);
    }
}

TEST(other_requests)
{
    struct bms bms = new_bms(&daly_sinowealth_driver);
    struct pack pack = cleared_pack();
    uint8_t bytes[] = {0x0D, 0x03, 0xFD};
    static const char *const foreign[] = {
        "", "0A 01", "0B 01 02", "0A 01 00", "0A 01 FF", "A5 40 90 08 00 00 00 00 00 00 00 00 7D"};
    for (size_t i = 0; i < COUNT(foreign); i++) {
        struct bms_request request = request_of(foreign[i]);
        assert_int_equal(bms.driver->frame(&bms, &request, bytes, 3).kind, BMS_SKIP);
        assert_int_equal(bms.driver->decode(&bms, &request, bytes, 3, &pack), BMS_FOREIGN);
    }
    assert_values(&pack, {CELL_MV, NAN});
    /* Sent twice in a row, as by the vendor's program, or for four bytes, as by another one. */
    struct bms_request twice = request_of("0A 01 02 0A 01 02");
    assert_int_equal(feed(&bms, &twice, bytes, 3, &pack), BMS_DONE);
    assert_int_equal(answer(&bms, 0x02, 4, 3332, &pack), BMS_DONE);
    assert_int_equal(answer(&bms, 0x13, 4, 77, &pack), BMS_DONE);
    assert_int_equal(answer(&bms, 0x18, 2, 0x1234, &pack), BMS_DONE);
    assert_int_equal(answer(&bms, 0x10, 2, 0x1234, &pack), BMS_FOREIGN);
    assert_values(&pack, {CELL_MV, 3331}, {CELL_MV + 1, 3332}, {SOC_PERCENT, 77}, {CURRENT_A, NAN});
}

TEST(ranges)
{
    static const struct {
        unsigned command, wanted;
        uint32_t raw;
        enum bms_result result;
        enum pack_value id;
        double value; /* NaN: not known */
    } cases[] = {
        {0x01, 2, 5000, BMS_DONE, CELL_MV, 5000},
        {0x01, 2, 5001, BMS_INVALID, CELL_MV, NAN},
        {0x0B, 2, 65535, BMS_DONE, VOLTAGE_V, 65.535},
        {0x0B, 2, 0, BMS_DONE, VOLTAGE_V, NAN},
        {0x0C, 2, 2731, BMS_DONE, TEMP_C, 0},
        {0x0C, 2, 2231, BMS_DONE, TEMP_C, -50},
        {0x0C, 2, 0, BMS_DONE, TEMP_C, NAN},
        {0x0D, 2, 4032, BMS_DONE, TEMP_C + 1, NAN},
        {0x10, 4, 0x00011364, BMS_DONE, CURRENT_A, 70.5},
        {0x10, 4, 0xFFFF0E52, BMS_DONE, CURRENT_A, -61.87},
        {0x11, 4, 280000, BMS_DONE, FULL_AH, 280},
        {0x12, 4, 310, BMS_DONE, REMAINING_AH, 0.31},
        {0x13, 2, 100, BMS_DONE, SOC_PERCENT, 100},
        {0x13, 2, 101, BMS_INVALID, SOC_PERCENT, NAN},
        {0x14, 2, 903, BMS_DONE, CYCLES, 903},
        {0x15, 2, 0x0001, BMS_DONE, CHARGE_MOS, 1},
        {0x15, 2, 0x0001, BMS_DONE, DISCHARGE_MOS, 0},
        {0x15, 2, 0xF87E, BMS_DONE, CHARGE_MOS, 0},
        {0x15, 2, 0xF87E, BMS_DONE, DISCHARGE_MOS, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        assert_int_equal(answer(&bms, cases[i].command, cases[i].wanted, cases[i].raw, &pack),
                         cases[i].result);
        double got = pack.value[cases[i].id];
        if (isnan(cases[i].value) ? !isnan(got) : !(fabs(got - cases[i].value) < 1e-9))
            fail_msg("command %02X, %u: expected %g, got %g", cases[i].command, cases[i].raw,
                     cases[i].value, got);
    }
}

/* Section 5: the configuration and the number of cells with a voltage should agree. */
TEST(cell_count)
{
    static const struct {
        const char *name;
        int config;
        uint16_t mv[10];
        double count; /* NaN: not known */
    } cases[] = {
        {"4S", 0x41, {3300, 3301, 3302, 3303}, 4},
        {"10S", 0x47, {3300, 3300, 3300, 3300, 3300, 3300, 3300, 3300, 3300, 3300}, 10},
        {"no configuration", -1, {3300, 3301, 3302}, 3},
        {"dead cell in the middle", 0x41, {3300, 0, 3302, 3303}, 4},
        {"dead cell at the end", 0x41, {3300, 3301, 3302, 0}, 4},
        {"more cells than configured", 0x41, {3300, 3301, 3302, 3303, 3304}, 5},
        {"configuration of another chip", 0x47, {3300, 3301, 3302, 3303}, 4},
        {"nothing measured yet", 0x41, {0}, NAN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        for (unsigned n = 1; n <= 10; n++)
            assert_int_equal(answer(&bms, n, 2, cases[i].mv[n - 1], &pack), BMS_DONE);
        if (cases[i].config >= 0)
            assert_int_equal(answer(&bms, 0x17, 2, (uint32_t) cases[i].config, &pack), BMS_DONE);
        settle(&bms, &pack);
        double got = pack.value[CELL_COUNT];
        if (isnan(cases[i].count) ? !isnan(got) : got != cases[i].count)
            fail_msg("%s: expected %g, got %g", cases[i].name, cases[i].count, got);
        for (unsigned n = 1; n <= 10; n++)
            assert_int_equal(pack_known(&pack, (enum pack_value)(CELL_MV + n - 1)),
                             n <= cases[i].count);
    }
}

TEST(second_sensor)
{
    static const struct {
        int config;
        uint32_t raw;
        double celsius; /* NaN: not known */
    } cases[] = {
        {0x41, 2731, 0},   {0x41, 2951, 22}, {0x01, 2731, NAN},
        {0x01, 2951, NAN}, {-1, 2731, NAN},  {-1, 2951, 22},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        answer(&bms, 0x0C, 2, 2931, &pack);
        answer(&bms, 0x0D, 2, cases[i].raw, &pack);
        if (cases[i].config >= 0)
            answer(&bms, 0x17, 2, (uint32_t) cases[i].config, &pack);
        settle(&bms, &pack);
        double got = pack.value[TEMP_C + 1];
        assert_true(isnan(cases[i].celsius) ? isnan(got) : fabs(got - cases[i].celsius) < 1e-9);
        assert_values(&pack, {TEMP_C, 20});
    }
}

/* Section 9. */
TEST(16s)
{
    struct bms bms = new_bms(&daly_sinowealth_driver);
    struct pack pack = cleared_pack();
    for (unsigned n = 1; n <= 16; n++)
        assert_int_equal(answer(&bms, n, 2, 3301 + n, &pack), BMS_DONE);
    settle(&bms, &pack);
    assert_values(&pack, {VOLTAGE_V, (16 * 3301 + 16 * 17 / 2) / 1000.0}, {CELL_COUNT, 16},
                  {CELL_MV + 15, 3317});
    static const enum pack_value unknown[] = {CURRENT_A, TEMP_C, TEMP_C + 1, SOC_PERCENT,
                                              CHARGE_MOS};
    for (size_t i = 0; i < COUNT(unknown); i++)
        assert_values(&pack, {unknown[i], NAN});
    /* From then on it is asked for exactly 16 cells. */
    for (unsigned step = 0; step < bms.driver->steps; step++) {
        struct bms_request request;
        assert_int_equal(bms.driver->build(&bms, step, &request), step < 16);
        if (step < 16)
            assert_int_equal(request.bytes[2], 2);
    }
    /* A single odd reading must not change it permanently. */
    assert_int_equal(answer(&bms, 0x0B, 2, 33000, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 33});
}

/* Section 9: all ten cells decide what 0B is. Until then nothing after it is requested or accepted. */
TEST(eleventh_in_doubt)
{
    static const struct {
        const char *name;
        unsigned lost, dead, fitted; /* cells; 0: none */
        uint32_t raw;
        bool believed;
        double voltage_v; /* NaN: not known */
    } cases[] = {
        {"16S", 0, 0, 10, 3300, true, NAN},
        {"16S, a reply lost", 5, 0, 10, 3300, false, NAN},
        {"16S, a wire broken", 0, 5, 10, 3300, false, NAN},
        {"16S, cell 11 without its wire", 0, 0, 10, 0, false, NAN},
        {"10S", 0, 0, 10, 33000, true, 33},
        {"10S, a reply lost", 5, 0, 10, 33000, true, 33},
        {"4S", 0, 0, 4, 13200, true, 13.2},
        {"3S, discharged deeply", 0, 0, 3, 4950, true, 4.95},
        {"3S, discharged deeply, a reply lost", 9, 0, 3, 4950, false, NAN},
        {"3S and a voltage of something else", 0, 0, 3, 3300, false, NAN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        for (unsigned n = 1; n <= 10; n++) {
            bool fitted = n <= cases[i].fitted && n != cases[i].dead;
            if (n != cases[i].lost)
                answer(&bms, n, 2, !fitted ? 0 : cases[i].fitted == 3 ? 1650 : 3300, &pack);
        }
        assert_int_equal(answer(&bms, 0x0B, 2, cases[i].raw, &pack), BMS_DONE);
        bool asked = false;
        for (unsigned step = 0x0B; step < bms.driver->steps; step++) {
            struct bms_request request;
            asked |= bms.driver->build(&bms, step, &request);
        }
        assert_int_equal(asked, cases[i].believed);
        answer(&bms, 0x0C, 2, 3300, &pack);
        answer(&bms, 0x13, 2, 50, &pack);
        settle(&bms, &pack);
        double got = pack.value[VOLTAGE_V];
        if (isnan(cases[i].voltage_v) ? !isnan(got) : !(fabs(got - cases[i].voltage_v) < 1e-9))
            fail_msg("%s: %g V", cases[i].name, got);
        assert_int_equal(pack_known(&pack, SOC_PERCENT), !isnan(cases[i].voltage_v));
        assert_int_equal(pack_known(&pack, TEMP_C), !isnan(cases[i].voltage_v));
        assert_true(pack.value[CELL_MV] == (cases[i].fitted == 3 ? 1650 : 3300));
    }
}

/* The last cells do not answer: their number is unknown, and so is the sum, unless the cells are configured. */
TEST(last_cell_lost)
{
    for (int config = 0; config <= 1; config++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        for (unsigned n = 1; n <= 10; n++)
            if (n != 4)
                answer(&bms, n, 2, n < 4 ? 3300 : 0, &pack);
        answer(&bms, 0x0B, 2, 13200, &pack);
        if (config)
            answer(&bms, 0x17, 2, 0x41, &pack);
        settle(&bms, &pack);
        assert_true(config ? pack.value[CELL_COUNT] == 4 : !pack_known(&pack, CELL_COUNT));
        assert_values(&pack, {CELL_MV + 2, 3300}, {CELL_MV + 3, NAN}, {CELL_MIN_MV, NAN},
                      {CELL_AVG_MV, NAN});
    }
    struct bms bms = new_bms(&daly_sinowealth_driver);
    struct pack pack = cleared_pack();
    for (unsigned n = 1; n <= 15; n++)
        answer(&bms, n, 2, 3300, &pack);
    settle(&bms, &pack);
    assert_values(&pack, {CELL_COUNT, NAN}, {VOLTAGE_V, NAN});
    answer(&bms, 16, 2, 0, &pack);
    settle(&bms, &pack);
    assert_values(&pack, {CELL_COUNT, 15});
}

/* Each cell takes a request, so values are published before all are read. The extremes of some of the cells
 * are not those of the pack. */
TEST(extremes_of_all_cells)
{
    for (int config = 0; config <= 1; config++) {
        struct bms bms = new_bms(&daly_sinowealth_driver);
        struct pack pack = cleared_pack();
        answer(&bms, 0x0B, 2, 13206, &pack);
        if (config)
            answer(&bms, 0x17, 2, 0x41, &pack);
        for (unsigned n = 1; n <= 10; n++) {
            struct pack published;
            answer(&bms, n, 2, n <= 4 ? 3299 + n : 0, &pack);
            published = pack;
            settle(&bms, &published);
            if (pack_known(&published, CELL_MAX_MV) || pack_known(&published, CELL_AVG_MV))
                assert_true(n >= (config ? 4 : 10));
        }
        settle(&bms, &pack);
        assert_values(&pack, {CELL_COUNT, 4}, {CELL_MAX_MV, 3303}, {CELL_MIN_MV, 3300},
                      {CELL_AVG_MV, 3301.5});
    }
}

static void make_pack(struct pack *pack, unsigned cells)
{
    pack_clear(pack);
    double sum = 0;
    for (unsigned n = 1; n <= cells; n++) {
        pack_set_cell(pack, n, 3200 + 7 * (n * 5 % 13));
        sum += pack->value[CELL_MV + n - 1];
    }
    set_values(pack, {CELL_COUNT, cells}, {VOLTAGE_V, sum / 1000});
}

static size_t ask(struct pack *simulated, const struct bms_request *request, struct bms_output *out)
{
    struct bms device = new_bms(&daly_sinowealth_driver);
    for (size_t size = 0; size < request->size; size++)
        assert_int_equal(bms_emulate(&device, simulated, request->bytes, size, out), 0);
    assert_int_equal(bms_emulate(&device, simulated, request->bytes, request->size, out),
                     request->size);
    return out->size;
}

/* Runs a whole poll cycle against the emulator; returns the number of requests. */
static unsigned poll(struct bms *host, struct pack *simulated, struct pack *pack)
{
    unsigned requests = 0;
    pack_clear(pack);
    for (unsigned step = 0; step < host->driver->steps; step++) {
        struct bms_request request;
        struct bms_output out;
        if (!host->driver->build(host, step, &request))
            continue;
        requests++;
        assert_true(ask(simulated, &request, &out) > 0);
        assert_int_equal(feed(host, &request, out.bytes, out.size, pack), BMS_DONE);
    }
    settle(host, pack);
    return requests;
}

/* In the second cycle only existing cells are requested. */
TEST(asks_for_existing_cells)
{
    for (unsigned cells = 3; cells <= 16; cells++) {
        struct bms host = new_bms(&daly_sinowealth_driver);
        struct pack simulated, pack;
        make_pack(&simulated, cells);
        assert_int_equal(poll(&host, &simulated, &pack), cells > 10 ? 16 : 10 + 11);
        assert_int_equal(poll(&host, &simulated, &pack), cells > 10 ? 16 : cells + 11);
    }
}
