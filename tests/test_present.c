// SPDX-License-Identifier: MIT
/* The port of a [present] section: what is sent when. Modbus RTU frames, diagnostics, and the
 * states. */
#include "outlets/present/rtu.h"
#include "outlets/present/present.h"

#include "bms/checksum.h"
#include "bms/count.h"
#include "bms/prng.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static const uint8_t read_290[] = {0x02, 0x03, 0x01, 0x22, 0x00, 0x02, 0x65, 0xCE};

/* Adds address and CRC to a PDU in hexadecimal. */
static size_t frame_of(const char *text, uint8_t out[RTU_ADU_MAX])
{
    uint8_t bytes[RTU_ADU_MAX];
    size_t size = 0;
    for (char *end; *text; text = end + (*end == ' '))
        bytes[size++] = (uint8_t) strtoul(text, &end, 16);
    return rtu_compose(bytes[0], bytes + 1, size - 1, out);
}

TEST(compose)
{
    uint8_t out[RTU_ADU_MAX];
    assert_int_equal(frame_of("02 03 01 22 00 02", out), sizeof read_290);
    assert_memory_equal(out, read_290, sizeof read_290);
}

static const struct {
    const char *frame;
    enum rtu_kind kind;
} kinds[] = {
    {"01 03 00 00 00 01", RTU_REQUEST},
    {"01 03 02 12 34", RTU_ANSWER},
    {"01 83 02", RTU_ANSWER},
    {"01 05 00 00 FF 00", RTU_REQUEST},
    {"01 10 00 00 00 01 02 12 34", RTU_REQUEST},
    {"01 10 00 00 00 01", RTU_ANSWER},
    {"01 0F 00 00 00 02 01 03", RTU_REQUEST},
    {"01 16 00 00 00 00 00 00", RTU_REQUEST},
    {"01 17 00 00 00 01 00 00 00 01 02 00 00", RTU_REQUEST},
    {"01 08 00 00 12 34", RTU_REQUEST},
    {"01 2B 0E 01 00", RTU_REQUEST},
    {"01 41", RTU_REQUEST},          /* a function that nobody knows */
    {"01 03 00 00 00", RTU_REQUEST}, /* a wrong length */
};

TEST(whole_frames)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        uint8_t frame[RTU_ADU_MAX];
        const size_t size = frame_of(kinds[i].frame, frame);
        const struct rtu_span span = rtu_find_last(frame, size);
        if (span.kind != kinds[i].kind || span.at != 0 || span.size != size)
            fail_msg("%s: %d at %zu", kinds[i].frame, span.kind, span.at);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            frame[bit / 8] ^= (uint8_t) (1 << bit % 8);
            if (rtu_find_last(frame, size).kind != RTU_NOTHING)
                fail_msg("%s with bit %zu", kinds[i].frame, bit);
            frame[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
    }
}

/* After noise, after half a request, after a request that the master has given up, after the answer of another
 * device. */
TEST(the_last_of_several)
{
    static const uint8_t before[][9] = {
        {0},
        {0xFF, 0x00, 0xFF, 0x00, 0xFF, 0x00, 0xFF, 0x00, 0xFF},
        {0x02, 0x03, 0x01, 0x22, 0x00},
        {0x02, 0x03, 0x01, 0x22, 0x00, 0x02, 0x65, 0xCE},
        {0x03, 0x03, 0x02, 0x12, 0x34, 0xCC, 0xF3},
    };
    for (size_t i = 0; i < COUNT(before); i++)
        for (size_t n = 1; n <= sizeof before[i]; n++) {
            uint8_t bytes[32];
            memcpy(bytes, before[i], n);
            memcpy(bytes + n, read_290, sizeof read_290);
            const struct rtu_span span = rtu_find_last(bytes, n + sizeof read_290);
            assert_int_equal(span.kind, RTU_REQUEST);
            assert_int_equal(span.at, n);
            assert_int_equal(span.size, sizeof read_290);
        }
}

/* The data of a write are not a request, even if they look like one. */
TEST(data_is_no_request)
{
    uint8_t pdu[6 + sizeof read_290] = {0x10, 0, 0, 0, 4, sizeof read_290}, frame[RTU_ADU_MAX];
    memcpy(pdu + 6, read_290, sizeof read_290);
    const size_t size = rtu_compose(7, pdu, sizeof pdu, frame);
    assert_int_equal(rtu_find_last(frame, size).at, 0);
    assert_int_equal(rtu_find_first(frame, size).size, size);
    for (size_t n = 0; n < size; n++)
        assert_int_equal(rtu_find_first(frame, n).kind, RTU_NOTHING);
}

TEST(a_stream)
{
    uint8_t bytes[600];
    for (unsigned i = 0; i < 3; i++)
        memcpy(bytes + 8 * i, read_290, 8);
    for (size_t n = 0; n < 24; n++) {
        const struct rtu_span span = rtu_find_first(bytes, n);
        assert_int_equal(span.kind, n < 8 ? RTU_NOTHING : RTU_REQUEST);
        if (n >= 8)
            assert_int_equal(span.size, 8);
    }
    bytes[5] ^=
        1; /* the second and the third are complete, but where they begin is unknown: the last one counts */
    const struct rtu_span span = rtu_find_first(bytes, 24);
    assert_true(span.kind == RTU_REQUEST && span.at == 16 && span.size == 8);
    bytes[21] ^= 1;
    assert_int_equal(rtu_find_first(bytes, 24).kind, RTU_NOISE);
    assert_int_equal(rtu_find_first(bytes, 24).size, 24);
    memset(bytes, 0x41, sizeof bytes);
    assert_int_equal(rtu_find_first(bytes, 100).kind, RTU_NOTHING);
    assert_int_equal(rtu_find_first(bytes, RTU_ADU_MAX).kind, RTU_NOISE);
}

/* Random bytes in random pieces: each frame that is found is within them and intact. */
TEST(any_bytes)
{
    uint64_t random = 27;
    unsigned requests = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[RTU_ADU_MAX];
        size_t size = 0;
        while (size < 40) {
            if (prng_range(&random, 0, 2) == 0) {
                memcpy(bytes + size, read_290, 8);
                size += 8;
            } else {
                bytes[size++] = (uint8_t) prng_next(&random);
            }
        }
        const struct rtu_span found[] = {rtu_find_first(bytes, size), rtu_find_last(bytes, size)};
        for (size_t i = 0; i < COUNT(found); i++) {
            if (found[i].kind == RTU_NOTHING)
                continue;
            assert_true(found[i].size > 0 && found[i].at + found[i].size <= size);
            if (found[i].kind == RTU_NOISE)
                continue;
            const uint8_t *frame = bytes + found[i].at;
            const size_t end = found[i].size - 2;
            assert_int_equal(crc16_modbus(frame, end), frame[end] | frame[end + 1] << 8);
            requests++;
        }
    }
    assert_true(requests > 1000);
}

TEST(silence)
{
    assert_true(rtu_silence_s(9600, "8N1") > 0.00364 && rtu_silence_s(9600, "8N1") < 0.00365);
    assert_true(rtu_silence_s(9600, "8E1") > 0.0040 && rtu_silence_s(9600, "8E1") < 0.0041);
    assert_true(rtu_silence_s(19200, "8E1") > 0.0020 && rtu_silence_s(115200, "8N1") == 0.00175);
}

static unsigned ask(struct diagnostics *counted, unsigned what, unsigned data)
{
    const uint8_t pdu[] = {8, (uint8_t) (what >> 8), (uint8_t) what, (uint8_t) (data >> 8),
                           (uint8_t) data};
    uint8_t answer[DIAGNOSTICS_ANSWER];
    const uint8_t exception = diagnostics_answer(counted, pdu, sizeof pdu, answer);
    if (exception)
        return 0x10000u + exception;
    assert_memory_equal(answer, pdu, 3);
    return (unsigned) answer[3] << 8 | answer[4];
}

TEST(diagnostics)
{
    struct diagnostics counted = {1, 2, 3, 4, 5, 6, 0x10007};
    assert_int_equal(ask(&counted, 0, 0xA537), 0xA537);
    static const unsigned told[] = {1, 2, 3, 4, 5, 0, 6, 7};
    for (unsigned i = 0; i < COUNT(told); i++)
        assert_int_equal(ask(&counted, 0x0B + i, 0), told[i]);
    assert_int_equal(ask(&counted, 2, 0), 0);
    assert_int_equal(ask(&counted, 4, 0),
                     0x10001); /* no device on the line can suppress the stop */
    assert_int_equal(ask(&counted, 3, 0), 0x10001);
    assert_int_equal(ask(&counted, 0x0B, 1), 0x10003);
    assert_int_equal(ask(&counted, 1, 7), 0x10003);
    assert_int_equal(ask(&counted, 0x14, 0), 0);
    assert_int_equal(ask(&counted, 0x12, 0), 0);
    assert_int_equal(ask(&counted, 0x0B, 0), 1);
    assert_int_equal(ask(&counted, 0x0A, 0), 0);
    assert_int_equal(ask(&counted, 0x0B, 0), 0);
    counted.errors = 9;
    assert_int_equal(ask(&counted, 1, 0xFF00), 0xFF00);
    assert_int_equal(counted.errors, 0);
    uint8_t answer[DIAGNOSTICS_ANSWER];
    assert_int_equal(diagnostics_answer(&counted, (const uint8_t[]){8, 0}, 2, answer), 3);
}

TEST(states)
{
    double until = NAN;
    assert_int_equal(present_state(until, 5), PRESENT_WAITING);
    present_update(&until, false, NAN, 5); /* never fresh: nothing was sent, so no stop is needed */
    assert_int_equal(present_state(until, 1e6), PRESENT_WAITING);
    present_update(&until, true, 103, 100);
    assert_int_equal(present_state(until, 103), PRESENT_RUNNING);
    assert_int_equal(present_state(until, 103.1), PRESENT_STOPPING);
    assert_int_equal(present_state(until, 113), PRESENT_STOPPING);
    assert_int_equal(present_state(until, 113.1), PRESENT_SILENT);
    present_update(&until, false, 103, 110); /* a long time without updates makes no difference */
    assert_int_equal(present_state(until, 113.1), PRESENT_SILENT);
    present_update(&until, true, 203, 200);
    present_update(&until, false, 203, 201); /* stale earlier than expected: from now on */
    assert_int_equal(present_state(until, 201.1), PRESENT_STOPPING);
    assert_int_equal(present_state(until, 211.1), PRESENT_SILENT);
    present_update(&until, true, 303, 300);
    assert_int_equal(present_state(until, 300), PRESENT_RUNNING);
}
