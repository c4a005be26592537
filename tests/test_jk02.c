// SPDX-License-Identifier: MIT
/*
 * jk02 beyond its captures: both layouts with and without the about
 * record, other bytes in the stream, contradictory records, and simulated packs read back.
 */
#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#define RECORD 300

extern const struct bms_driver jk02_driver;
static const struct bms_driver *const driver = &jk02_driver;

enum { VARIANT_AUTO, VARIANT_32S, VARIANT_24S };
enum { SETTINGS = 1, STATUS = 2, ABOUT = 3 };

static const struct {
    const char *name;
    int variant;
    unsigned cells;
    uint16_t mask, voltage;
} layouts[] = {
    {"32s", VARIANT_32S, 32, 70, 150},
    {"24s", VARIANT_24S, 24, 54, 118},
};

static void fill(struct pack *pack, unsigned cells)
{
    double sum = 0;
    pack_clear(pack);
    pack_set(pack, CELL_COUNT, cells);
    for (unsigned i = 1; i <= cells; i++) {
        pack_set_cell(pack, i, 3300 + 3 * i);
        sum += 3300 + 3 * i;
    }
    set_values(pack, {VOLTAGE_V, sum / 1000}, {CURRENT_A, -12.345}, {SOC_PERCENT, 63},
               {SOH_PERCENT, 97}, {REMAINING_AH, 170.1}, {FULL_AH, 270}, {RATED_AH, 280},
               {CYCLES, 111});
    pack_set_temp(pack, 1, 21.6);
    pack_set_temp(pack, 2, -3.1);
    set_values(pack, {TEMP_COUNT, 2}, {MOS_TEMP_C, 30.5}, {CHARGE_MOS, 0}, {DISCHARGE_MOS, 1},
               {BALANCING, 1});
}

static struct bms_request ask(uint8_t command)
{
    struct bms_request request = {.bytes = {0xAA, 0x55, 0x90, 0xEB, command}, .size = 20};
    request.bytes[19] = (uint8_t) sum_bytes(request.bytes, 19);
    return request;
}

/* A simulated board's answers to 97 and 96, in this order. */
static void answer(int variant, struct pack *simulated, uint8_t command, struct bms_output *out)
{
    struct bms bms = new_bms(driver);
    bms.options.variant = variant;
    struct bms_request request = ask(0x97);
    assert_int_equal(bms_emulate(&bms, simulated, request.bytes, request.size, out), 20);
    if (command == 0x97)
        return;
    request = ask(command);
    assert_int_equal(bms_emulate(&bms, simulated, request.bytes, request.size, out), 20);
}

/* Finds the record of a type in an answer. */
static uint8_t *find(struct bms_output *out, uint8_t type)
{
    uint8_t header[] = {0x55, 0xAA, 0xEB, 0x90, type};
    uint8_t *record = memmem(out->bytes, out->size, header, sizeof header);
    assert_non_null(record);
    return record;
}

static void mend(uint8_t *record)
{
    record[RECORD - 1] = (uint8_t) sum_bytes(record, RECORD - 1);
}

/* Feeds all bytes, as a line would; returns the last result that is not BMS_FOREIGN. */
static enum bms_result feed(struct bms *bms, const struct bms_request *request,
                            const uint8_t *bytes, size_t size, struct pack *pack)
{
    enum bms_result result = BMS_FOREIGN;
    for (size_t at = 0; at < size && result != BMS_DONE;) {
        struct bms_span span = driver->frame(bms, request, bytes + at, size - at);
        if (span.kind == BMS_MORE)
            span = (struct bms_span){BMS_SKIP, 1};
        if (span.kind == BMS_FRAME) {
            enum bms_result one = driver->decode(bms, request, bytes + at, span.size, pack);
            result = one == BMS_FOREIGN ? result : one;
        }
        assert_true(span.size > 0 && span.size <= size - at);
        at += span.size;
    }
    return result;
}

static enum bms_result read_back(struct bms *bms, int variant, bool introduce,
                                 struct pack *simulated, struct pack *pack)
{
    struct bms_output out;
    struct bms_request request = ask(0x97);
    pack_clear(pack);
    if (introduce) {
        answer(variant, simulated, 0x97, &out);
        assert_int_equal(feed(bms, &request, out.bytes, out.size, pack), BMS_DONE);
    }
    request = ask(0x96);
    answer(variant, simulated, 0x96, &out);
    return feed(bms, &request, out.bytes, out.size, pack);
}

TEST(control)
{
    struct bms bms, simulator;
    struct pack simulated, pack;
    struct bms_output out;
    struct bms_request request;
    bms_init(&bms, driver);
    bms_init(&simulator, driver);
    fill(&simulated, 8);
    assert_true(driver->control(&bms, BMS_DISCHARGE_MOS, false, &request));
    assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, request.size, &out), 20);
    assert_bytes(out.bytes, out.size,
                 "AA 55 90 EB C8 01 01 00 00 00 00 00 00 00 00 00 00 00 00 44 ");
    assert_values(&simulated, {DISCHARGE_MOS, 0});
    assert_int_equal(driver->decode(&bms, &request, request.bytes, 20, &pack),
                     BMS_FOREIGN); /* echo */
    assert_int_equal(driver->decode(&bms, &request, out.bytes, 20, &pack), BMS_DONE);
    request = ask(0x96);
    assert_int_equal(driver->decode(&bms, &request, out.bytes, 20, &pack), BMS_FOREIGN);
}

static void assert_same(const struct pack *got, const struct pack *expected, unsigned cells)
{
    static const enum pack_value same[] = {VOLTAGE_V,    CURRENT_A,  SOC_PERCENT,   SOH_PERCENT,
                                           REMAINING_AH, FULL_AH,    RATED_AH,      CYCLES,
                                           CELL_COUNT,   TEMP_COUNT, TEMP_C,        TEMP_C + 1,
                                           MOS_TEMP_C,   CHARGE_MOS, DISCHARGE_MOS, BALANCING};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (!(fabs(got->value[same[i]] - expected->value[same[i]]) < 1e-9)) {
            char name[VALUE_NAME_SIZE];
            fail_msg("%u cells: %s: expected %g, got %g", cells, pack_value_name(same[i], name),
                     expected->value[same[i]], got->value[same[i]]);
        }
    for (unsigned i = 0; i < MAX_CELLS; i++)
        assert_true(i < cells ? got->value[CELL_MV + i] == expected->value[CELL_MV + i]
                              : !pack_known(got, CELL_MV + i));
}

/* Section 4: the version decides the layout, and without it the frame does, even for a board without cell wires. */
TEST(layouts)
{
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++)
        for (unsigned cells = 0; cells <= layouts[l].cells; cells++)
            for (int introduce = 0; introduce < 2; introduce++) {
                struct pack simulated, pack;
                struct bms bms = new_bms(driver);
                fill(&simulated, cells);
                assert_int_equal(read_back(&bms, layouts[l].variant, introduce, &simulated, &pack),
                                 BMS_DONE);
                assert_same(&pack, &simulated, cells);
            }
}

/* What a case begins with: a simulated board with this layout has answered. */
static struct bms bms;
static struct pack simulated, pack;
static struct bms_request request;
static struct bms_output out;

/* Returns the record of that type, for the case to change. */
static uint8_t *begin(int variant, unsigned cells, uint8_t command, uint8_t type)
{
    bms = new_bms(driver);
    pack_clear(&pack);
    fill(&simulated, cells);
    request = ask(command);
    answer(variant, &simulated, command, &out);
    return find(&out, type);
}

/* Without cells and about record, the layout follows from the bytes that are resistances of missing cells in the
 * 32-cell layout; a frame that fits neither is dropped. */
TEST(no_cells)
{
    static const struct {
        const char *name;
        int variant;
        uint16_t at;
        uint8_t byte;
        enum bms_result result;
    } cases[] = {
        {"32 cells", VARIANT_32S, 166, 4, BMS_DONE},
        {"24 cells", VARIANT_24S, 136, 4, BMS_DONE},
        {"32 cells, a resistance that was left over", VARIANT_32S, 126, 49, BMS_INVALID},
        {"24 cells, no MOS there", VARIANT_24S, 166, 2, BMS_INVALID},
        {"one cell in the mask of 24, none read", VARIANT_24S, 54, 1, BMS_INVALID},
        {"one cell in the mask of 32, none read", VARIANT_32S, 70, 1, BMS_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *record = begin(cases[i].variant, 0, 0x96, STATUS);
        /* As recorded: the alarm for a wrong number of cells. */
        put_le16(record + (cases[i].variant == VARIANT_32S ? 166 : 136), 4);
        record[cases[i].at] = cases[i].byte;
        mend(record);
        enum bms_result result = feed(&bms, &request, out.bytes, out.size, &pack);
        if (result != cases[i].result)
            fail_msg("%s: expected %d, got %d", cases[i].name, cases[i].result, result);
        if (result == BMS_DONE) {
            assert_same(&pack, &simulated, 0);
            assert_true(pack.alarms_protection >> VOLTAGE_SENSOR_FAULT & 1);
        }
    }
}

/* Sensors: -200 °C is not fitted; 0 in T4 and T5 is a temperature only from software 14 on. */
TEST(temperatures)
{
    static const struct {
        const char *software;
        int16_t t1, t2, t4, t5;
        unsigned count;
        double temps[4];
    } cases[] = {
        {"15.41", 216, -31, 0, -2000, 3, {21.6, -3.1, 0}},
        {"19.04", 277, 275, -2000, -2000, 2, {27.7, 27.5}},
        {"11.17", 297, 298, 0, 0, 2, {29.7, 29.8}},
        {"11.48", 297, 298, 5, 5, 2, {29.7, 29.8}},
        {"", 216, -2000, 0, 171, 2, {21.6, 17.1}},
        {"14.20", -2000, -2000, -2000, -2000, 0, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *record = begin(VARIANT_32S, 8, 0x97, ABOUT);
        memset(record + 30, 0, 8);
        memcpy(record + 30, cases[i].software, strlen(cases[i].software));
        mend(record);
        assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_DONE);
        assert_string_equal(pack.text[FIRMWARE], cases[i].software);
        request = ask(0x96);
        answer(VARIANT_32S, &simulated, 0x96, &out);
        record = find(&out, STATUS);
        put_le16(record + 162, (uint16_t) cases[i].t1);
        put_le16(record + 164, (uint16_t) cases[i].t2);
        put_le16(record + 256, (uint16_t) cases[i].t4);
        put_le16(record + 258, (uint16_t) cases[i].t5);
        put_le16(record + 144, (uint16_t) -2000);
        mend(record);
        assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_DONE);
        assert_values(&pack, {TEMP_COUNT, cases[i].count}, {MOS_TEMP_C, NAN});
        for (unsigned t = 0; t < 4; t++)
            assert_true(t < cases[i].count ? fabs(pack.value[TEMP_C + t] - cases[i].temps[t]) < 1e-9
                                           : !pack_known(&pack, (enum pack_value)(TEMP_C + t)));
        assert_int_equal(pack.implausible, 0);
    }
}

/* Section 10: a record that contradicts itself sets no value at all. */
TEST(contradictions)
{
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++)
        for (int fault = 0; fault < 5; fault++) {
            struct pack empty;
            uint8_t *record = begin(layouts[l].variant, 8, 0x96, STATUS);
            bms.options.variant = layouts[l].variant;
            if (fault == 0)
                put_le32(record + layouts[l].voltage, 1216000000);
            if (fault == 1)
                put_le16(record + 6, 16473); /* the upper half of a float: an old board */
            if (fault == 2)
                put_le32(record + layouts[l].mask, 0);
            if (fault == 3)
                memset(record + 6, 0, RECORD - 7); /* a request of JK's own program */
            if (fault == 4)
                memcpy(record + 200, "\x55\xAA\xEB\x90\x02", 5);
            mend(record);
            pack_clear(&empty);
            assert_int_not_equal(feed(&bms, &request, record, RECORD, &pack), BMS_DONE);
            assert_memory_equal(&pack, &empty, sizeof pack);
        }
}

/* A lost sense wire: the following cells keep their numbers, whether the layout is known or guessed. */
TEST(broken_wire)
{
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++)
        for (int variant = VARIANT_AUTO; variant <= layouts[l].variant;
             variant += layouts[l].variant) {
            uint8_t *record = begin(layouts[l].variant, 8, 0x96, STATUS);
            bms.options.variant = variant;
            put_le32(record + layouts[l].mask, 0xFF & ~(1u << 4));
            put_le16(record + 6 + 2 * 4, 0);
            mend(record);
            assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_DONE);
            pack_derive(&pack);
            assert_values(&pack, {CELL_COUNT, 8}, {CELL_MV + 4, NAN}, {CELL_MV + 7, 3324},
                          {CELL_MIN_MV, 3303}, {SOC_PERCENT, 63});
        }
}

/* A dead cell is a fault to report, and the record is accepted; but while the layout is still being guessed, it is
 * dropped. */
TEST(dead_cell)
{
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        uint8_t *record = begin(layouts[l].variant, 8, 0x96, STATUS);
        put_le16(record + 6 + 2 * 4, 0);
        mend(record);
        assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_INVALID);
        bms.options.variant = layouts[l].variant;
        assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_DONE);
        assert_values(&pack, {CELL_MV + 4, NAN}, {CELL_COUNT, 8});
    }
}

/* Section 4, JK04: the same header, followed by floats. Only the names are read. */
TEST(old_hardware)
{
    struct pack before;
    uint8_t *record = begin(VARIANT_24S, 8, 0x97, ABOUT);
    memcpy(record + 22, "3.0\0\0\0\0", 8);
    memcpy(record + 30, "3.3.0\0\0", 8);
    mend(record);
    assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "3.3.0");
    before = pack;
    request = ask(0x96);
    answer(VARIANT_24S, &simulated, 0x96, &out);
    assert_int_equal(driver->decode(&bms, &request, find(&out, STATUS), RECORD, &pack),
                     BMS_REFUSED);
    assert_memory_equal(&pack, &before, sizeof pack);
}

/* Settings of a JK-B5A24S, hardware 8.X, recorded in docs/b5a24s of syssi/esphome-jk-bms: floats, of which 114 reads as a
 * count of 1 and the limits as 0. A merged frame there whose sum fits has a limit of 1073741928 mV. */
TEST(settings_of_floats)
{
    static const uint32_t limits[] = {0, 1073741928};
    for (size_t i = 0; i < COUNT(limits); i++) {
        uint8_t *record = begin(VARIANT_24S, 16, 0x96, SETTINGS);
        put_le32(record + 18, limits[i]);
        put_le32(record + 114, 1);
        mend(record);
        const struct pack before = pack;
        assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_INVALID);
        assert_memory_equal(&pack, &before, sizeof pack);
    }
}

/* One firmware sends a constant remaining capacity: the SOC is right (section 10). */
TEST(stuck_remaining)
{
    bms = new_bms(driver);
    fill(&simulated, 16);
    set_values(&simulated, {REMAINING_AH, 316.801}, {FULL_AH, 314}, {SOC_PERCENT, 40});
    assert_int_equal(read_back(&bms, VARIANT_32S, true, &simulated, &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, NAN}, {SOC_PERCENT, 40});
}

/* Section 7: the simulated board takes its offsets from the decoder, and no recording shows this one. */
TEST(count_of_settings)
{
    uint8_t *record = begin(VARIANT_32S, 16, 0x96, SETTINGS);
    assert_int_equal(record[114], 16);
    record[114] = 13;
    mend(record);
    driver->decode(&bms, &request, record, RECORD, &pack);
    assert_values(&pack, {CELL_COUNT, 13});
}

/* The rated capacity is in the settings frame, which may follow the status: it is kept. Frames that do not answer the
 * request are ignored. */
TEST(order)
{
    struct bms_request stream = ask(0x96), about = ask(0x97), log = ask(0xA1), none = {.size = 0};
    begin(VARIANT_32S, 8, 0x96, STATUS);
    assert_int_equal(driver->decode(&bms, &about, find(&out, STATUS), RECORD, &pack), BMS_FOREIGN);
    assert_int_equal(driver->decode(&bms, &log, find(&out, STATUS), RECORD, &pack), BMS_FOREIGN);
    assert_int_equal(driver->decode(&bms, &stream, find(&out, STATUS), RECORD, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, NAN});
    /* Settings are kept if they arrive together with the status, but not if they arrived alone, because then nothing
     * confirms them. */
    assert_int_equal(driver->decode(&bms, &none, find(&out, SETTINGS), RECORD, &pack), BMS_PARTIAL);
    pack_clear(&pack);
    assert_int_equal(driver->decode(&bms, &none, find(&out, STATUS), RECORD, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, NAN});
    pack_clear(&pack);
    assert_int_equal(driver->decode(&bms, &none, find(&out, SETTINGS), RECORD, &pack), BMS_PARTIAL);
    assert_int_equal(driver->decode(&bms, &none, find(&out, STATUS), RECORD, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, 280});
    for (int statuses = 1; statuses <= 101; statuses++) {
        pack_clear(&pack);
        assert_int_equal(driver->decode(&bms, &none, find(&out, STATUS), RECORD, &pack), BMS_DONE);
        assert_int_equal(pack_known(&pack, RATED_AH), statuses <= 100);
    }
}

/* A truncated frame before a whole one, with acknowledgements and the module's "AT" between them. */
TEST(stream)
{
    static const size_t cuts[] = {1, 4, 5, 150, 280, 299};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        uint8_t stream[2 * RECORD + 30];
        const uint8_t *record = begin(VARIANT_32S, 8, 0x96, STATUS);
        memcpy(stream, record, cuts[i]);
        memcpy(stream + cuts[i], "AT\r\n", 4);
        memcpy(stream + cuts[i] + 4, out.bytes, 20); /* the simulated board acknowledges first */
        memcpy(stream + cuts[i] + 24, record, RECORD);
        assert_int_equal(feed(&bms, &request, stream, cuts[i] + 24 + RECORD, &pack), BMS_DONE);
        assert_values(&pack, {SOC_PERCENT, 63});
    }
}

/* PIN and password are never decoded, and are masked in logs. */
TEST(secrets)
{
    uint8_t *record = begin(VARIANT_32S, 8, 0x97, ABOUT);
    memcpy(record + 62, "pin-pin-pin-pin-", 16);
    memcpy(record + 118, "password", 8);
    memcpy(record + 86, "50418574A202534\0old", 19);
    mend(record);
    assert_int_equal(driver->decode(&bms, &request, record, RECORD, &pack), BMS_DONE);
    assert_string_equal(pack.text[SERIAL], "50418574A202534");
    assert_null(memmem(&pack, sizeof pack, "pin-", 4));
    assert_null(memmem(&pack, sizeof pack, "password", 8));
    driver->mask(record, RECORD);
    assert_null(memmem(record, RECORD, "pin-", 4));
    assert_null(memmem(record, RECORD, "password", 8));
    assert_int_equal(driver->frame(&bms, &request, record, RECORD).kind, BMS_FRAME);
}

/* A board that was not asked for the about record first does not stream (section 2). */
TEST(shy_simulator)
{
    request = ask(0x96);
    struct bms simulator = new_bms(driver);
    fill(&simulated, 8);
    assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, 10, &out), 0);
    assert_int_equal(bms_emulate(&simulator, &simulated, request.bytes, 20, &out), 20);
    assert_null(memmem(out.bytes, out.size, "\x55\xAA\xEB\x90\x02", 5));
    request.bytes[19]++;
    assert_true(bms_emulate(&simulator, &simulated, request.bytes, 20, &out) > 0);
    assert_int_equal(out.size, 0);
}
