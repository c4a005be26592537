// SPDX-License-Identifier: MIT
/*
 * vedirect-hex: requests as in the sheet `vedirect`, the replacement of missing registers, text and
 * asynchronous records between the replies, and packs that went through the emulator and back.
 * test_vedirect.c tests the meaning of single replies.
 */
#include "driver_test.h"

#include "battery_random.h"

extern const struct bms_driver vedirect_hex_driver;

/* Recorded records, section 3.2, and the document's 200 Ah. */
#define FINE_CURRENT ":78CED006AFFFFFF6E\n" /* -0.150 A */
#define CONSUMED ":7FFEE00FAFAFFFF6F\n"     /* -128.6 Ah */
#define CAPACITY ":7001000C80076\n"         /* 200 Ah */

/* The text of section 2.2: -7.625 A and 83.9 %. */
#define TEXT                                                                                       \
    "\r\nPID\t0x203\r\nV\t12065\r\nI\t-7625\r\nP\t-92\r\nCE\t-65473\r\nSOC\t839\r\nTTG\t942\r\n"   \
    "Alarm\tOFF\r\nRelay\tOFF\r\nAR\t0\r\nBMV\t700\r\nFW\t0308\r\nChecksum\tq"

/* The request of the plan with that text; the driver is in the state that build leaves. */
static bool asks(struct bms *bms, const char *text, struct bms_request *request)
{
    for (unsigned step = 0; step < bms->driver->steps; step++)
        if (bms->driver->build(bms, step, request) && request->size == strlen(text) &&
            memcmp(request->bytes, text, request->size) == 0)
            return true;
    return false;
}

/* Sends a request and feeds bytes: returns the result of the last frame that is not foreign. */
static int ask(struct bms *bms, const char *asked, const char *heard, struct pack *pack)
{
    struct bms_request request;
    int result = NOTHING;
    if (!asks(bms, asked, &request))
        fail_msg("%s is not asked", asked);
    for (size_t at = 0, size = strlen(heard); at < size;) {
        const uint8_t *bytes = (const uint8_t *) heard + at;
        struct bms_span span = bms->driver->frame(bms, &request, bytes, size - at);
        assert_int_not_equal(span.kind, BMS_MORE);
        if (span.kind == BMS_FRAME) {
            int made = (int) bms->driver->decode(bms, &request, bytes, span.size, pack);
            result = made == BMS_FOREIGN && result != NOTHING ? result : made;
        }
        at += span.size;
    }
    return result;
}

/* A register that a model does not have is refused; one whose value is not available is answered without a value. */
TEST(answers)
{
    static const struct {
        const char *asked, *answer;
        int result;
        enum pack_value id;
        double value; /* NaN: not known */
    } cases[] = {
        {":78DED00D4\n", ":78DED006D0A5D\n", BMS_DONE, VOLTAGE_V, 26.69},
        {":78DED00D4\n", ":78DED00FF7F56\n", BMS_DONE, VOLTAGE_V, NAN},
        {":78CED00D5\n", FINE_CURRENT, BMS_DONE, CURRENT_A, -0.15},
        {":78CED00D5\n", ":78CED01D4\n", BMS_REFUSED, CURRENT_A, NAN},
        {":78CED00D5\n", ":78CED02D3\n", BMS_REFUSED, CURRENT_A, NAN},
        {":78FED00D2\n", ":78FED00FEFFD5\n", BMS_DONE, CURRENT_A, -0.2},
        {":7FF0F0040\n", ":7FF0F004F1BD6\n", BMS_DONE, SOC_PERCENT, 69.91},
        {":7FF0F0040\n", ":7FF0F00FFFF42\n", BMS_DONE, SOC_PERCENT, NAN},
        {":7ECED0075\n", ":7ECED00FFFF77\n", BMS_DONE, TEMP_C, NAN},
        /* 07 + EC + ED + 6E + 74 = 0x2C2; 29806 is 24.91 degrees. */
        {":7ECED0075\n", ":7ECED006E7493\n", BMS_DONE, TEMP_C, 24.91},
        {":70010003E\n", CAPACITY, BMS_DONE, RATED_AH, 200},
        {":71E03002D\n", ":71E03012C\n", BMS_REFUSED, RATED_AH, NAN},
        {":703030048\n", ":70303000C0000003C\n", BMS_DONE, CYCLES, 12},
        /* An echo, a late answer, an error, an asynchronous record. */
        {":78DED00D4\n", ":78DED00D4\n", BMS_FOREIGN, VOLTAGE_V, NAN},
        {":78CED00D5\n", ":78DED006D0A5D\n", BMS_FOREIGN, VOLTAGE_V, NAN},
        {":78DED00D4\n", ":4AAAAFD\n", BMS_FOREIGN, VOLTAGE_V, NAN},
        {":78DED00D4\n", ":A8DED00290A9E\n", BMS_FOREIGN, VOLTAGE_V, NAN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&vedirect_hex_driver);
        struct pack pack = cleared_pack();
        int result = ask(&bms, cases[i].asked, cases[i].answer, &pack);
        if (result != cases[i].result)
            fail_msg("%s: expected %d, got %d", cases[i].answer, cases[i].result, result);
        assert_values(&pack, {cases[i].id, cases[i].value});
    }
}

/* Text between request and answer, around the answer, and alone: nothing of it is used, because the part of a slow
 * step would keep it for too long. */
TEST(text_is_skipped)
{
    static const struct {
        const char *heard;
        int result;
    } cases[] = {
        {TEXT CAPACITY, BMS_DONE},
        {CAPACITY TEXT, BMS_DONE},
        /* An answer within a field does not count for the sum of the block. */
        {"\r\nPID\t0x203\r\nV\t12" CAPACITY "065\r\nI\t-7625\r\nP\t-92\r\nCE\t-65473\r\nSOC\t839"
         "\r\nTTG\t942\r\nAlarm\tOFF\r\nRelay\tOFF\r\nAR\t0\r\nBMV\t700\r\nFW\t0308\r\nChecksum\tq",
         BMS_DONE},
        {TEXT, BMS_FOREIGN},
        {TEXT ":A8DED00290A9E\n", BMS_FOREIGN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack expected;
        struct bms bms = new_bms(&vedirect_hex_driver);
        struct pack pack = cleared_pack();
        pack_clear(&expected);
        assert_int_equal(ask(&bms, ":70010003E\n", cases[i].heard, &pack), cases[i].result);
        if (cases[i].result == BMS_DONE)
            pack_set(&expected, RATED_AH, 200);
        for (int id = 0; id < PACK_VALUES; id++)
            assert_true(isnan(expected.value[id]) ? isnan(pack.value[id])
                                                  : pack.value[id] == expected.value[id]);
        for (int id = 0; id < PACK_TEXTS; id++)
            assert_string_equal(pack.text[id], "");
        assert_int_equal(pack.alarms_known, 0);
    }
}

/* The current in tenths is requested as long as nothing finer is available. */
TEST(coarse_current)
{
    struct bms_request request;
    struct bms bms = new_bms(&vedirect_hex_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(ask(&bms, ":78CED00D5\n", FINE_CURRENT, &pack), BMS_DONE);
    assert_false(vedirect_hex_driver.build(&bms, 2, &request));
    /* Not available, refused, no answer. */
    static const char *const without[] = {":78CED00FFFFFF7F58\n", ":78CED01D4\n", ""};
    for (size_t i = 0; i < COUNT(without); i++) {
        assert_int_equal(ask(&bms, ":78CED00D5\n", FINE_CURRENT, &pack), BMS_DONE);
        ask(&bms, ":78CED00D5\n", without[i], &pack);
        assert_true(vedirect_hex_driver.build(&bms, 2, &request));
        assert_memory_equal(request.bytes, ":78FED00D2\n", request.size);
    }
}

/* The remaining charge is computed in the part that reads the consumed charge: the part with the capacity, which is
 * kept for minutes, must not contain it. */
TEST(remaining)
{
    struct bms bms = new_bms(&vedirect_hex_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(ask(&bms, ":70010003E\n", CAPACITY, &pack), BMS_DONE);
    pack_clear(&pack);
    assert_int_equal(ask(&bms, ":7FFEE0061\n", CONSUMED, &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 200 - 128.6});
    pack_clear(&pack);
    assert_int_equal(ask(&bms, ":70010003E\n", CAPACITY, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, 200}, {REMAINING_AH, NAN});
    bms.options.capacity_ah = 150;
    assert_int_equal(ask(&bms, ":7FFEE0061\n", CONSUMED, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, 150}, {REMAINING_AH, 150 - 128.6});
}

TEST(unsynchronised)
{
    static const struct {
        const char *answer;
        bool counts;
    } cases[] = {
        {":7B6EE0001A9\n", true},  {":7B6EE0000AA\n", false}, {":7B6EE00FFAB\n", true},
        {":7B6EE0000AA\n", false}, {":7B6EE0001A9\n", true},
    };
    struct bms bms = new_bms(&vedirect_hex_driver);
    struct pack pack = cleared_pack();
    for (size_t i = 0; i < COUNT(cases); i++) {
        pack_clear(&pack);
        assert_int_equal(ask(&bms, ":7B6EE00AA\n", cases[i].answer, &pack), BMS_DONE);
        set_values(&pack, {SOC_PERCENT, 100}, {REMAINING_AH, 100}, {VOLTAGE_V, 26});
        vedirect_hex_driver.finish(&bms, &pack);
        assert_int_equal(pack_known(&pack, SOC_PERCENT), cases[i].counts);
        assert_int_equal(pack_known(&pack, REMAINING_AH), cases[i].counts);
        assert_values(&pack, {VOLTAGE_V, 26});
    }
}

/* The register with its text is requested if the product is not known by `:4`. */
TEST(model)
{
    struct bms_request request;
    struct bms bms = new_bms(&vedirect_hex_driver);
    struct pack pack = cleared_pack();
    /* 0xA3FF is not in the list: 01 + FF + A3 = 0x1A3. */
    assert_int_equal(ask(&bms, ":451\n", ":1FFA3B2\n", &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "");
    assert_int_equal(ask(&bms, ":70001004D\n", ":70001000089A3FE23\n", &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "SmartShunt 500A/50mV");
    assert_false(asks(&bms, ":70B010042\n", &request));
    assert_int_equal(ask(&bms, ":451\n", ":1FFA3B2\n", &pack), BMS_DONE);
    pack_clear(&pack);
    assert_int_equal(ask(&bms, ":70B010042\n",
                         ":70B0100424D562D536D6172745368756E7420353030412F35306D5600CA\n", &pack),
                     BMS_DONE);
    assert_string_equal(pack.text[MODEL], "BMV-SmartShunt 500A/50mV");
}

/* One cycle as in the poller: each step with its own part, merged in the order of the plan. */
static void poll(struct bms *host, struct bms *device, struct pack *from, struct pack *got)
{
    pack_clear(got);
    for (unsigned step = 0; step < host->driver->steps; step++) {
        struct bms_request request;
        struct bms_output out;
        if (!host->driver->build(host, step, &request))
            continue;
        struct pack part = cleared_pack();
        assert_int_equal(bms_emulate(device, from, request.bytes, request.size, &out),
                         request.size);
        struct bms_span span = host->driver->frame(host, &request, out.bytes, out.size);
        assert_int_equal(span.kind, BMS_FRAME);
        assert_int_equal(span.size, out.size);
        if (host->driver->decode(host, &request, out.bytes, span.size, &part) == BMS_DONE)
            pack_merge(got, &part);
    }
    host->driver->finish(host, got);
    pack_derive(got);
}

/* A BMV has no alarms by HEX; a shunt without any values reports nothing. */
TEST(less_is_known)
{
    struct bms host, device;
    struct pack from, got;
    host = new_bms(&vedirect_hex_driver);
    pack_clear(&got);
    bms_init(&device, &vedirect_hex_driver);
    pack_clear(&from);
    pack_set_text(&from, MODEL, (const uint8_t *) "BMV-712 Smart", 13);
    pack_set(&from, VOLTAGE_V, 12.5);
    poll(&host, &device, &from, &got);
    assert_values(&got, {VOLTAGE_V, 12.5});
    assert_string_equal(got.text[MODEL], "BMV-712 Smart");
    assert_int_equal(got.alarms_known, 0);
    static const enum pack_value ids[] = {CURRENT_A, POWER_W, SOC_PERCENT, REMAINING_AH,
                                          RATED_AH,  TEMP_C,  TEMP_COUNT,  CYCLES};
    for (size_t i = 0; i < COUNT(ids); i++)
        assert_values(&got, {ids[i], NAN});
}
