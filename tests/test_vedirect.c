// SPDX-License-Identifier: MIT
/*
 * VE.Direct: the worked examples of the sheet `vedirect`, blocks with every checksum byte, HEX
 * records in bad places, data that must not be accepted, and packs that went through the emulator
 * and back.
 */
#include "driver_test.h"

#include "bms/bytes.h"

#include <stdio.h>

extern const struct bms_driver vedirect_driver;

struct stream {
    uint8_t bytes[8192];
    size_t size;
};

static void add_bytes(struct stream *stream, const void *bytes, size_t size)
{
    assert_true(stream->size + size <= sizeof stream->bytes);
    memcpy(stream->bytes + stream->size, bytes, size);
    stream->size += size;
}

static void add(struct stream *stream, const char *text)
{
    add_bytes(stream, text, strlen(text));
}

/* The checksum of the bytes after `from`; HEX records, from colon to LF, are excluded. */
static uint8_t sum_from(const struct stream *stream, size_t from)
{
    uint8_t sum = 0;
    for (size_t i = from; i < stream->size; i++) {
        if (stream->bytes[i] == ':')
            while (stream->bytes[i] != '\n')
                i++;
        else
            sum = (uint8_t) (sum + stream->bytes[i]);
    }
    return (uint8_t) (0x100 - sum);
}

/* Fields as they are sent, to which the checksum is added. */
static void add_block(struct stream *stream, const char *fields)
{
    size_t from = stream->size;
    add(stream, fields);
    add(stream, "\r\nChecksum\t");
    uint8_t check = sum_from(stream, from);
    add_bytes(stream, &check, 1);
}

/* Feeds received bytes; returns the result of the last frame. The results of all frames are in `results`. */
static int receive_each(struct bms *bms, const char *asked, const struct stream *stream,
                        struct pack *pack, int results[64])
{
    struct bms_request request = {.size = strlen(asked)};
    memcpy(request.bytes, asked, request.size);
    int result = NOTHING;
    unsigned count = 0;
    for (size_t at = 0; at < stream->size;) {
        struct bms_span span =
            bms->driver->frame(bms, &request, stream->bytes + at, stream->size - at);
        if (span.kind == BMS_MORE)
            span = (struct bms_span){BMS_SKIP, 1};
        assert_in_range(span.size, 1, stream->size - at);
        if (span.kind == BMS_FRAME) {
            result = (int) bms->driver->decode(bms, &request, stream->bytes + at, span.size, pack);
            if (results && count < 64)
                results[count++] = result;
        }
        at += span.size;
    }
    if (results)
        results[count] = NOTHING;
    return result;
}

static int receive_stream(struct bms *bms, const char *asked, const struct stream *stream,
                          struct pack *pack)
{
    return receive_each(bms, asked, stream, pack, NULL);
}

static int receive_text(struct bms *bms, const char *asked, const char *text, struct pack *pack)
{
    struct stream stream = {.size = 0};
    add(&stream, text);
    return receive_stream(bms, asked, &stream, pack);
}

static int receive_block(struct bms *bms, const char *fields, struct pack *pack)
{
    struct stream stream = {.size = 0};
    add_block(&stream, fields);
    return receive_stream(bms, "", &stream, pack);
}

#define MAIN                                                                                       \
    "\r\nPID\t0xA389\r\nV\t53509\r\nI\t23866\r\nP\t1277\r\nCE\t-131099\r\nSOC\t548\r\nTTG\t-"      \
    "1\r\nAlarm\tOFF\r\nAR\t0"
#define HISTORY "\r\nH1\t-276495\r\nH4\t3\r\nH18\t8527"

/* Section 2.2, with its checksum as printed there. */
static const char worked[] = "\r\nPID\t0x203\r\nV\t12065\r\nI\t-7625\r\nP\t-92\r\nCE\t-"
                             "65473\r\nSOC\t839\r\nTTG\t942\r\nAlarm"
                             "\tOFF\r\nRelay\tOFF\r\nAR\t0\r\nBMV\t700\r\nFW\t0308\r\nChecksum\tq";

TEST(worked_example)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(strlen(worked), 123);
    assert_int_equal(receive_text(&bms, "", worked, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 12.065}, {CURRENT_A, -7.625}, {POWER_W, -92},
                  {SOC_PERCENT, 83.9});
    assert_string_equal(pack.text[MODEL], "BMV-700");
    assert_string_equal(pack.text[FIRMWARE], "3.08");
    assert_values(&pack, {REMAINING_AH, NAN}, {CYCLES, NAN}, {TEMP_COUNT, NAN});
}

/* All 256 of them: a colon, an LF and a NUL are valid checksums. The next block and a record follow at once. */
TEST(any_checksum)
{
    bool seen[256] = {false};
    unsigned different = 0;
    for (unsigned v = 10000; v < 20000 && different < 256; v++) {
        struct stream stream = {.size = 0};
        char fields[200];
        snprintf(fields, sizeof fields,
                 "\r\nPID\t0xA389\r\nV\t%u\r\nI\t-1\r\nSOC\t500\r\nX\t%.*s%c", v,
                 (int) (v / 26 % 8), "       ", (int) ('A' + v % 26));
        add_block(&stream, fields);
        uint8_t check = stream.bytes[stream.size - 1];
        if (seen[check])
            continue;
        seen[check] = true;
        different++;
        add(&stream, ":A8DED00290A9E\n");
        add_block(&stream, HISTORY);
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        int results[65];
        receive_each(&bms, "", &stream, &pack, results);
        assert_int_equal(results[0], BMS_DONE);
        assert_int_equal(results[1], BMS_PARTIAL);
        assert_int_equal(results[2], BMS_PARTIAL);
        assert_int_equal(results[3], NOTHING);
        assert_values(&pack, {VOLTAGE_V, v / 1000.0}, {CYCLES, 3});
    }
    assert_int_equal(different, 256);
}

/* A record at any position within a block does not change its values. */
TEST(record_anywhere)
{
    static const char record[] = ":A8DED00290A9E\n";
    struct stream plain = {.size = 0};
    add_block(&plain, MAIN);
    for (size_t at = 0; at <= plain.size; at++) {
        struct stream stream = {.size = 0};
        int results[65], done = 0;
        add_bytes(&stream, plain.bytes, at);
        add(&stream, record);
        add_bytes(&stream, plain.bytes + at, plain.size - at);
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        receive_each(&bms, "", &stream, &pack, results);
        for (size_t i = 0; results[i] != NOTHING; i++)
            done += results[i] == BMS_DONE;
        /* Exceptions: between a block's first CR and its LF, and before its checksum byte. There the block is
         * lost. */
        bool lost = at == 1 || at == plain.size - 1;
        assert_int_equal(done, !lost);
        if (!lost)
            assert_values(&pack, {VOLTAGE_V, 53.509});
    }
}

/* Section 3.3: a record that ends with FE is skipped; one that ends with a CR invalidates the block. */
TEST(broken_records)
{
    struct stream stream = {.size = 0};
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    add_block(&stream, MAIN);
    uint8_t check = stream.bytes[stream.size - 1];
    stream.size = 0;
    add(&stream, "\r\nPID\t0xA389\r\nV\t53:A0102\xFE"
                 "509\r\nI\t23866\r\nP\t1277\r\nCE\t-131099\r\nSOC\t548\r\nTTG\t-1"
                 "\r\nAlarm\tOFF\r\nAR\t0\r\nChecksum\t");
    add_bytes(&stream, &check, 1);
    assert_int_equal(receive_stream(&bms, "", &stream, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.509});
    /* 24442 adds up to 256 in ASCII: with its 2 damaged to a colon, the sum is still right. */
    stream.size = 0;
    add_block(&stream, MAIN "\r\nH6\t-5524442");
    *strstr((char *) stream.bytes, "24442") = ':';
    pack_clear(&pack);
    assert_int_equal(receive_stream(&bms, "", &stream, &pack), NOTHING);
}

/* A lost end does not invalidate the next block; nor does noise that contains a line end. */
TEST(restart)
{
    static const char *const starts[] = {"\r\nPID\t0xA389\r\nV\t50000\r\nI\t0\r\nSO",
                                         "\r\n\r\n\x01\x02\t\n",
                                         "H16\t0\r\nH17\t156\r\nCh",
                                         "8\t16783\r\nChecksum\t\x16",
                                         "\r\nH1\t-1\r\nPID\r",
                                         ":A8D",
                                         ":",
                                         "\r",
                                         "\r\n"};
    for (size_t i = 0; i < COUNT(starts); i++) {
        struct stream stream = {.size = 0};
        int results[65];
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        add(&stream, starts[i]);
        add_block(&stream, MAIN);
        add_block(&stream, HISTORY);
        receive_each(&bms, "", &stream, &pack, results);
        assert_int_equal(results[0], BMS_DONE);
        assert_int_equal(results[1], BMS_PARTIAL);
        assert_int_equal(results[2], NOTHING);
        assert_values(&pack, {VOLTAGE_V, 53.509}, {CURRENT_A, 23.866});
    }
}

TEST(limits)
{
    static const struct {
        const char *fields;
        int result;
    } cases[] = {
        {MAIN "\r\n12345678\t0", BMS_DONE},
        {MAIN "\r\n123456789\t0", NOTHING},
        {MAIN "\r\nX\t12345678901234567890123456789012", BMS_DONE},
        {MAIN "\r\nX\t123456789012345678901234567890123", NOTHING},
        /* 8 and 14 fields; 8 and 15 */
        {MAIN "\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\n"
              "A\t1\r\nA\t1\r\nA\t1",
         BMS_DONE},
        {MAIN "\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\nA\t1\r\n"
              "A\t1\r\nA\t1\r\nA\t1\r\nA\t1",
         NOTHING},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        assert_int_equal(receive_block(&bms, cases[i].fields, &pack), cases[i].result);
        assert_int_equal(pack_known(&pack, VOLTAGE_V), cases[i].result == BMS_DONE);
    }
}

/* A text that is not a number is unknown; so is a value that is no longer sent. */
TEST(not_known)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    bms.options.capacity_ah = 290;
    assert_int_equal(receive_block(&bms, MAIN "\r\nT\t21", &pack), BMS_DONE);
    assert_values(&pack, {TEMP_C, 21}, {TEMP_COUNT, 1}, {RATED_AH, 290},
                  {REMAINING_AH, 290 - 131.099});
    assert_int_equal(
        receive_block(
            &bms,
            "\r\nPID\t0xA389\r\nV\t53500\r\nI\t-1000\r\nP\t-54\r\nCE\t---\r\nSOC\t---\r\nT\t---",
            &pack),
        BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.5}, {CURRENT_A, -1}, {SOC_PERCENT, NAN},
                  {REMAINING_AH, NAN}, {TEMP_C, NAN}, {TEMP_COUNT, NAN});
    assert_int_equal(pack.alarms_known, 0);
    assert_int_equal(pack.raw_alarm_count, 0);
    assert_int_equal(pack.implausible, 0);
    /* Without a measurement there is no block. */
    assert_int_equal(
        receive_block(&bms, "\r\nPID\t0xA389\r\nV\t53500\r\nI\t-y1000\r\nSOC\t500", &pack),
        BMS_FOREIGN);
    assert_int_equal(receive_block(&bms, "\r\nPID\t0xA389\r\nV\t\r\nI\t-1000\r\nSOC\t500", &pack),
                     BMS_FOREIGN);
    assert_int_equal(receive_block(&bms, "\r\nPID\t0xA389\r\nV\t53500\r\nSOC\t500", &pack),
                     BMS_FOREIGN);
}

TEST(last_field_counts)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_block(&bms, MAIN "\r\nV\t50000", &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 50});
}

/* Section 2.3, 5: the first block is accepted only with its product id, which a fragment lacks. */
TEST(first_block)
{
    static const char fragment[] = "\r\nV\t53509\r\nI\t23866\r\nSOC\t548";
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_block(&bms, fragment, &pack), BMS_FOREIGN);
    assert_values(&pack, {VOLTAGE_V, NAN});
    assert_int_equal(receive_block(&bms, fragment, &pack), BMS_DONE);
    bms = new_bms(&vedirect_driver);
    pack_clear(&pack);
    assert_int_equal(receive_block(&bms, MAIN, &pack), BMS_DONE);
    assert_int_equal(receive_block(&bms, fragment, &pack), BMS_DONE);
    /* A BMV-60x has no product id; the voltage is its first field. */
    bms = new_bms(&vedirect_driver);
    pack_clear(&pack);
    assert_int_equal(receive_block(&bms, "\r\nI\t15\r\nV\t12800\r\nBMV\t602S", &pack), BMS_FOREIGN);
    bms = new_bms(&vedirect_driver);
    assert_int_equal(receive_block(&bms, "\r\nV\t12800\r\nI\t15\r\nSOC\t868\r\nBMV\t602S", &pack),
                     BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 12.8}, {SOC_PERCENT, 86.8});
}

/* Solar chargers use the same protocol. */
TEST(wrong_device)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(
        receive_block(
            &bms, "\r\nPID\t0xA053\r\nFW\t159\r\nV\t13790\r\nI\t-10\r\nVPV\t15950\r\nCS\t5", &pack),
        BMS_FOREIGN);
    assert_values(&pack, {VOLTAGE_V, NAN});
    /* A shunt that is not in the list yet has a state of charge, even if it is "---". */
    assert_int_equal(
        receive_block(&bms, "\r\nPID\t0xA3FF\r\nV\t13790\r\nI\t-10\r\nSOC\t---", &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "VE.Direct 0xA3FF");
    assert_int_equal(
        receive_block(&bms, "\r\nPID\t0xA3FF\r\nV\t13790\r\nI\t-10\r\nSOC\t---\r\nBMV\t900 Smart",
                      &pack),
        BMS_DONE);
    assert_string_equal(pack.text[MODEL], "900 Smart");
}

TEST(texts)
{
    static const struct {
        const char *fields, *model, *firmware, *serial;
    } cases[] = {
        {"\r\nPID\t0x203\r\nFW\t0308", "BMV-700", "3.08", ""},
        {"\r\nPID\t0xA38B\r\nFW\t0414\r\nBMV\tSmartShunt 2000A/50mV", "SmartShunt 2000A/50mV",
         "4.14", ""},
        {"\r\nPID\t0xA381\r\nFW\tC208\r\nSER#\tHQ2117NTVX4", "BMV-712 Smart", "2.08 candidate C",
         "HQ2117NTVX4"},
        {"\r\nPID\t0xC030\r\nFWE\t0208FF", "SmartShunt IP65 500A/50mV", "2.08", ""},
        {"\r\nPID\t0xC030\r\nFWE\t020801", "SmartShunt IP65 500A/50mV", "2.08 beta 1", ""},
        {"\r\nPID\t0xA389\r\nFW\t1.19", "SmartShunt 500A/50mV", "", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char fields[200];
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        snprintf(fields, sizeof fields, "%s\r\nV\t12000\r\nI\t0\r\nSOC\t500", cases[i].fields);
        assert_int_equal(receive_block(&bms, fields, &pack), BMS_DONE);
        assert_string_equal(pack.text[MODEL], cases[i].model);
        assert_string_equal(pack.text[FIRMWARE], cases[i].firmware);
        assert_string_equal(pack.text[SERIAL], cases[i].serial);
    }
}

/* A history block's values stay with the main blocks after it, but not for ever. */
TEST(history)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_block(&bms, HISTORY, &pack), BMS_PARTIAL);
    assert_values(&pack, {CYCLES, 3});
    unsigned kept = 0;
    for (unsigned i = 0; i < 100; i++) {
        pack_clear(&pack);
        assert_int_equal(receive_block(&bms, MAIN, &pack), BMS_DONE);
        kept += pack_known(&pack, CYCLES);
    }
    assert_in_range(kept, 3, 30);
    assert_int_equal(receive_block(&bms, HISTORY, &pack), BMS_PARTIAL);
    assert_int_equal(receive_block(&bms, "\r\nH1\t---\r\nH4\t---", &pack), BMS_PARTIAL);
    assert_values(&pack, {CYCLES, NAN});
    assert_int_equal(receive_block(&bms, MAIN, &pack), BMS_DONE);
    assert_values(&pack, {CYCLES, NAN});
}

/* Recorded and printed answers of sections 3.1 and 3.2. */
TEST(answers)
{
    static const struct {
        const char *asked, *answer;
        int result;
        enum pack_value id;
        double value; /* NaN: not known */
    } cases[] = {
        {":78DED00D4\n", ":78DED006D0A5D\n", BMS_DONE, VOLTAGE_V, 26.69},
        {":78CED00D5\n", ":78CED006AFFFFFF6E\n", BMS_DONE, CURRENT_A, -0.15},
        {":78EED00D3\n", ":78EED00FCFFD8\n", BMS_DONE, POWER_W, -4},
        {":7FF0F0040\n", ":7FF0F004F1BD6\n", BMS_DONE, SOC_PERCENT, 69.91},
        {":7FE0F0041\n", ":7FE0F004038C9\n", BMS_DONE, SOC_PERCENT, NAN},
        {":703030048\n", ":70303000C0000003C\n", BMS_DONE, CYCLES, 12},
        {":7ECED0075\n", ":7ECED00FFFF77\n", BMS_DONE, TEMP_C, NAN},
        {":70010003E\n", ":7001000C80076\n", BMS_DONE, RATED_AH, 200},
        {":70010003E\n", ":70010007800C6\n", BMS_DONE, RATED_AH, 120},
        {"\n:70010003E\n", ":70010007800C6\n", BMS_DONE, RATED_AH, 120},
        /* Unknown register, another register, echo, errors, another command's answer, lower-case letters, no
         * checksum. */
        {":70010003E\n", ":70010013D\n", BMS_REFUSED, RATED_AH, NAN},
        {":70010003E\n", ":78DED006D0A5D\n", BMS_FOREIGN, VOLTAGE_V, NAN},
        {":70010003E\n", ":70010003E\n", BMS_FOREIGN, RATED_AH, NAN},
        {":70010003E\n", ":4AAAAFD\n", BMS_FOREIGN, RATED_AH, NAN},
        {":70010003E\n", ":352\n", BMS_REFUSED, RATED_AH, NAN},
        {":352\n", ":352\n", BMS_FOREIGN, RATED_AH, NAN},
        {":70010003E\n", ":189A328\n", BMS_FOREIGN, RATED_AH, NAN},
        {":78DED00D4\n", ":78ded006d0a5d\n", NOTHING, VOLTAGE_V, NAN},
        {":78DED00D4\n", ":78DED006D0A5E\n", NOTHING, VOLTAGE_V, NAN},
        {":78DED00D4\n", ":78DED006D0A5D\r", NOTHING, VOLTAGE_V, NAN},
        /* Three bytes are not a number. */
        {":78DED00D4\n", ":78DED006D0A005D\n", BMS_INVALID, VOLTAGE_V, NAN},
        /* Without a request: records that identify themselves. */
        {"", ":78DED006D0A5D\n", BMS_PARTIAL, VOLTAGE_V, 26.69},
        {"", ":189A328\n", BMS_FOREIGN, VOLTAGE_V, NAN},
        {"", ":4AAAAFD\n", BMS_FOREIGN, VOLTAGE_V, NAN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        int result = receive_text(&bms, cases[i].asked, cases[i].answer, &pack);
        if (result != cases[i].result)
            fail_msg("%s: expected %d, got %d", cases[i].answer, cases[i].result, result);
        assert_values(&pack, {cases[i].id, cases[i].value});
    }
}

TEST(texts_by_hex)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_text(&bms, ":70B010042\n",
                                  ":70B0100424D562D536D6172745368756E7420353030412F35306D5600CA\n",
                                  &pack),
                     BMS_DONE);
    assert_string_equal(pack.text[MODEL], "BMV-SmartShunt 500A/50mV");
    assert_int_equal(receive_text(&bms, ":451\n", ":189A328\n", &pack), BMS_DONE);
    assert_string_equal(pack.text[MODEL], "SmartShunt 500A/50mV");
    assert_int_equal(receive_text(&bms, ":70B010042\n",
                                  ":70B0100424D562D536D6172745368756E7420353030412F35306D5600CA\n",
                                  &pack),
                     BMS_DONE);
    assert_string_equal(pack.text[MODEL], "SmartShunt 500A/50mV");
    assert_int_equal(receive_text(&bms, ":154\n", ":51444F8\n", &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "4.14");
    assert_int_equal(receive_text(&bms, ":352\n", ":101440F\n", &pack), BMS_DONE);
    assert_string_equal(pack.text[FIRMWARE], "4.01");
    assert_int_equal(
        receive_text(&bms, ":70A010043\n",
                     ":70A01004851323131374E54565834000000000000000000000000000000000000005B\n",
                     &pack),
        BMS_DONE);
    assert_string_equal(pack.text[SERIAL], "HQ2117NTVX4");
    /* The value stays with the blocks that follow. */
    pack_clear(&pack);
    assert_int_equal(receive_block(&bms, MAIN, &pack), BMS_DONE);
    assert_string_equal(pack.text[SERIAL], "HQ2117NTVX4");
}

/* With the capacity, once read, the remaining Ah follow from the consumed ones, by text and by register; the
 * configured capacity takes precedence. */
TEST(capacity)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_text(&bms, ":70010003E\n", ":7001000C80076\n", &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, NAN});
    assert_int_equal(receive_block(&bms, MAIN, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, 200}, {REMAINING_AH, 200 - 131.099});
    assert_int_equal(receive_text(&bms, ":7FFEE0061\n", ":7FFEE00FAFAFFFF6F\n", &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 200 - 128.6});
    bms.options.capacity_ah = 300;
    assert_int_equal(receive_block(&bms, MAIN, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, 300}, {REMAINING_AH, 300 - 131.099});
    bms = new_bms(&vedirect_driver);
    pack_clear(&pack);
    assert_int_equal(receive_text(&bms, ":7FFEE0061\n", ":7FFEE00FAFAFFFF6F\n", &pack), BMS_DONE);
    assert_int_equal(receive_text(&bms, ":70010003E\n", ":7001000C80076\n", &pack), BMS_DONE);
    assert_values(&pack, {REMAINING_AH, 200 - 128.6});
}

/* The coarse current does not replace the fine one. */
TEST(two_currents)
{
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    /* 07 + 8F + ED + 00 + FE + FF = 0x380 */
    assert_int_equal(receive_text(&bms, ":78FED00D2\n", ":78FED00FEFFD5\n", &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -0.2});
    assert_int_equal(receive_text(&bms, ":78CED00D5\n", ":78CED006AFFFFFF6E\n", &pack), BMS_DONE);
    assert_int_equal(receive_text(&bms, ":78FED00D2\n", ":78FED00FEFFD5\n", &pack), BMS_DONE);
    assert_values(&pack, {CURRENT_A, -0.15});
}

/* An answer within a block, and the text beside it; asynchronous records do not override the text. */
TEST(text_beside_questions)
{
    struct stream stream = {.size = 0};
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    add_block(&stream, MAIN "\r\nX\t12:7001000C80076\n34");
    assert_int_equal(receive_stream(&bms, ":70010003E\n", &stream, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.509}, {REMAINING_AH, 200 - 131.099});
    stream.size = 0;
    add_block(&stream, MAIN);
    assert_int_equal(receive_stream(&bms, ":70010003E\n", &stream, &pack), BMS_PARTIAL);
    assert_int_equal(receive_text(&bms, "", ":A8DED00290A9E\n", &pack), BMS_PARTIAL);
    assert_int_equal(receive_text(&bms, "", ":78DED006D0A5D\n", &pack), BMS_PARTIAL);
    assert_values(&pack, {VOLTAGE_V, 53.509});
    assert_int_equal(receive_text(&bms, ":78DED00D4\n", ":78DED006D0A5D\n", &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 26.69});
}

/* A record is reported even if the text around it is unusable. */
TEST(record_in_foreign_text)
{
    struct stream stream = {.size = 0};
    add_block(&stream, "\r\nX\t12:7001000C80076\n34");
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    assert_int_equal(receive_stream(&bms, "", &stream, &pack), BMS_PARTIAL);
    assert_values(&pack, {RATED_AH, 200});
    bms = new_bms(&vedirect_driver);
    pack_clear(&pack);
    assert_int_equal(receive_stream(&bms, ":70010003E\n", &stream, &pack), BMS_DONE);
    assert_values(&pack, {RATED_AH, 200});
    bms = new_bms(&vedirect_driver);
    pack_clear(&pack);
    assert_int_equal(receive_stream(&bms, ":78DED00D4\n", &stream, &pack), BMS_FOREIGN);
    assert_values(&pack, {RATED_AH, NAN});
}

/* Random bytes: every span makes sense, and none is read beyond its end. */
TEST(rubbish)
{
    static const char pieces[] = "\r\n\r\n\t::PIDVH1Checksum\t0123456789ABCDEFabc\x00\xFE-";
    uint32_t random = 12345;
    for (unsigned round = 0; round < 2000; round++) {
        struct stream stream = {.size = 0};
        struct bms bms = new_bms(&vedirect_driver);
        struct pack pack = cleared_pack();
        for (unsigned i = 0; i < 300; i++) {
            random = random * 1664525 + 1013904223;
            add_bytes(&stream, &pieces[(random >> 16) % (sizeof pieces - 1)], 1);
        }
        uint8_t *exact = malloc(stream.size);
        assert_non_null(exact);
        memcpy(exact, stream.bytes, stream.size);
        struct bms_request none = {.size = 0};
        for (size_t at = 0; at < stream.size;) {
            struct bms_span span = vedirect_driver.frame(&bms, &none, exact + at, stream.size - at);
            if (span.kind == BMS_MORE)
                break;
            assert_in_range(span.size, 1, stream.size - at);
            at += span.size;
        }
        free(exact);
        receive_stream(&bms, "", &stream, &pack);
        assert_values(&pack, {VOLTAGE_V, NAN});
    }
}

/* A block without an end is given up within the length that a line can buffer. */
TEST(endless_block)
{
    struct bms_request none = {.size = 0};
    struct stream stream = {.size = 0};
    struct bms bms = new_bms(&vedirect_driver);
    struct pack pack = cleared_pack();
    while (stream.size < BMS_FRAME_MAX)
        add(&stream, "\r\nV\t12000");
    assert_int_equal(vedirect_driver.frame(&bms, &none, stream.bytes, stream.size).kind,
                     BMS_DAMAGED);
    add_block(&stream, MAIN);
    assert_int_equal(receive_stream(&bms, "", &stream, &pack), BMS_DONE);
    assert_values(&pack, {VOLTAGE_V, 53.509});
}

static void sample_pack(struct pack *pack)
{
    pack_clear(pack);
    set_values(pack, {VOLTAGE_V, 26.012}, {CURRENT_A, -18.25}, {SOC_PERCENT, 86.6},
               {REMAINING_AH, 259.79}, {FULL_AH, 300}, {CYCLES, 41}, {TEMP_COUNT, 1});
    pack_set_temp(pack, 1, 23);
    pack_set_text(pack, SERIAL, (const uint8_t *) "HQ2117NTVX4", 11);
}

static void hear(struct bms *device, struct pack *pack, struct stream *stream)
{
    struct bms_output out;
    assert_int_equal(bms_emulate(device, pack, NULL, 0, &out), 0);
    add_bytes(stream, out.bytes, out.size);
}

TEST(unknown_stays_unknown)
{
    struct bms host, device;
    struct pack pack, got;
    struct stream stream = {.size = 0};
    host = new_bms(&vedirect_driver);
    pack_clear(&got);
    bms_init(&device, &vedirect_driver);
    pack_clear(&pack);
    pack_set(&pack, VOLTAGE_V, 12);
    pack_set(&pack, CURRENT_A, 0);
    hear(&device, &pack, &stream);
    assert_int_equal(receive_stream(&host, "", &stream, &got), BMS_PARTIAL);
    assert_values(&got, {VOLTAGE_V, 12}, {SOC_PERCENT, NAN}, {CYCLES, NAN}, {TEMP_C, NAN});
}

TEST(emulated_answers)
{
    static const struct {
        const char *asked, *expected;
        size_t used;
    } cases[] = {
        {":154\n", ":51644F6\n", 5},
        {":352\n", ":11644FA\n", 5},
        {":451\n", ":189A328\n", 5},
        {":64F\n", "", 5},
        {":78DED00D4\n", ":78DED00290AA1\n", 11}, /* 26.01 V: 07 + 8D + ED + 29 + 0A = 0x1B4 */
        {":70010003E\n", ":70010002C0111\n", 11}, /* 300 Ah: 07 + 10 + 2C + 01 = 0x44 */
        {":7FFEE0061\n", ":7FFEE006EFEFFFFF7\n",
         11}, /* -40.2 Ah: 07 + FF + EE + 6E + FE + FF + FF = 0x55E */
        {":7820300C9\n", ":7820301C8\n", 11},     /* a register that is not there */
        {":7B6EE00AA\n", ":7B6EE0001A9\n", 11},   /* synchronised: 07 + B6 + EE + 01 = 0x1AC */
        {":71E03002D\n", ":71E030000002D\n", 11}, /* no alarm: 07 + 1E + 03 = 0x28 */
        {":8F0ED0064000C\n", ":8F0ED026E\n", 15}, /* Set is refused */
        {":70010003F\n", ":4AAAAFD\n", 11},
        {":700", "", 0},
        {"text:", "", 4},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack pack;
        struct bms_output out;
        struct bms device = new_bms(&vedirect_driver);
        sample_pack(&pack);
        const char *asked = cases[i].asked;
        assert_int_equal(bms_emulate(&device, &pack, (const uint8_t *) asked, strlen(asked), &out),
                         cases[i].used);
        if (out.size != strlen(cases[i].expected) ||
            memcmp(out.bytes, cases[i].expected, out.size) != 0)
            fail_msg("%s: got %.*s", asked, (int) out.size, (const char *) out.bytes);
    }
}
