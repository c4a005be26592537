// SPDX-License-Identifier: MIT
/*
 * Modbus RTU frames. Follows "MODBUS over Serial Line Specification V1.02", 2.5.1 for frames and their ends, and "MODBUS Application
 * Protocol Specification V1.1b3", section 6, for the lengths of each function and for diagnostics (6.8).
 */
#include "rtu.h"

#include "bms/bytes.h"
#include "bms/checksum.h"
#include "bms/count.h"

#include <modbus.h>
#include <stdbool.h>
#include <string.h>

#define ADU_MIN 4 /* address, function, CRC */

/* The length of a frame: fixed, or fixed plus a byte count in the frame. */
struct length {
    uint8_t size;     /* without the counted bytes; 0: unknown */
    uint8_t count_at; /* position of the byte count; 0: none */
};

/* By function: the length of a request and of an answer. */
// clang-format off
static const struct lengths {
    uint8_t function;
    struct length request, answer;
} lengths[] = {
    {0x01, {8, 0},  {5, 2}}, {0x02, {8, 0},  {5, 2}}, {0x03, {8, 0},  {5, 2}}, {0x04, {8, 0}, {5, 2}},
    {0x05, {8, 0},  {8, 0}}, {0x06, {8, 0},  {8, 0}}, {0x07, {4, 0},  {5, 0}}, {0x08, {8, 0}, {8, 0}},
    {0x0B, {4, 0},  {8, 0}}, {0x0C, {4, 0},  {5, 2}}, {0x0F, {9, 6},  {8, 0}}, {0x10, {9, 6}, {8, 0}},
    {0x11, {4, 0},  {5, 2}}, {0x14, {5, 2},  {5, 2}}, {0x15, {5, 2},  {5, 2}}, {0x16, {10, 0}, {10, 0}},
    {0x17, {13, 10}, {5, 2}}, {0x18, {6, 0}, {0, 0}}, {0x2B, {7, 0},  {0, 0}},
};
// clang-format on

/* Length of the frame; 0: unknown. Larger than `size`: more bytes follow. */
static size_t length_of(struct length length, const uint8_t *bytes, size_t size)
{
    if (length.count_at == 0)
        return length.size;
    return size > length.count_at ? (size_t) length.size + bytes[length.count_at]
                                  : (size_t) length.count_at + 1;
}

/* NULL: an unknown function. */
static const struct lengths *find_lengths(uint8_t function)
{
    for (size_t i = 0; i < COUNT(lengths); i++)
        if (lengths[i].function == function)
            return &lengths[i];
    return NULL;
}

static bool is_intact(const uint8_t *bytes, size_t size)
{
    return size >= ADU_MIN && size <= RTU_ADU_MAX &&
           crc16_modbus(bytes, size - 2) == le16(bytes + size - 2);
}

/* By function and length. RTU_NOTHING: a frame of this function has another one. */
static enum rtu_kind kind_of(const uint8_t *bytes, size_t size)
{
    const struct lengths *of = find_lengths(bytes[1]);
    if (of && length_of(of->request, bytes, size) == size)
        return RTU_REQUEST;
    const bool answers =
        bytes[1] & 0x80 ? size == 5 : of && length_of(of->answer, bytes, size) == size;
    return answers ? RTU_ANSWER : RTU_NOTHING;
}

/* Classifies bytes with a valid CRC. A write request and its answer look alike: both count as
 * requests. Bytes of an unknown length count as a request, which the server rejects. */
static enum rtu_kind classify_frame(const uint8_t *bytes, size_t size)
{
    const enum rtu_kind kind = kind_of(bytes, size);
    return kind != RTU_NOTHING ? kind : bytes[1] & 0x80 ? RTU_ANSWER : RTU_REQUEST;
}

/* A CRC alone proves little: between other bytes a frame has the length of its function. */
struct rtu_span rtu_find_last(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; size - at >= ADU_MIN; at++)
        if (is_intact(bytes + at, size - at) &&
            (at == 0 || kind_of(bytes + at, size - at) != RTU_NOTHING))
            return (struct rtu_span){classify_frame(bytes + at, size - at), at, size - at};
    return (struct rtu_span){.kind = RTU_NOTHING};
}

struct rtu_span rtu_find_first(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return (struct rtu_span){.kind = RTU_NOTHING};
    const struct lengths *of = find_lengths(bytes[1]);
    if (!of) { /* unknown length: only the last byte can end it */
        if (is_intact(bytes, size))
            return (struct rtu_span){classify_frame(bytes, size), 0, size};
        return (struct rtu_span){size < RTU_ADU_MAX ? RTU_NOTHING : RTU_NOISE, 0, size};
    }
    const size_t length = length_of(of->request, bytes, size);
    if (length > RTU_ADU_MAX)
        return (struct rtu_span){RTU_NOISE, 0, size};
    if (length > size)
        return (struct rtu_span){.kind = RTU_NOTHING};
    if (is_intact(bytes, length))
        return (struct rtu_span){RTU_REQUEST, 0, length};
    /* A wrong length or a damaged byte: the next request can begin anywhere after it. */
    const struct rtu_span last = rtu_find_last(bytes, size);
    return last.kind == RTU_NOTHING ? (struct rtu_span){RTU_NOISE, 0, size} : last;
}

size_t rtu_compose(uint8_t address, const uint8_t *pdu, size_t pdu_size, uint8_t out[RTU_ADU_MAX])
{
    out[0] = address;
    memcpy(out + 1, pdu, pdu_size);
    const uint16_t crc = crc16_modbus(out, pdu_size + 1);
    out[pdu_size + 1] = (uint8_t) crc;
    out[pdu_size + 2] = (uint8_t) (crc >> 8);
    return pdu_size + 3;
}

double rtu_silence_s(unsigned baud, const char framing[4])
{
    const double bits = 1 + (framing[0] - '0') + (framing[1] != 'N') + (framing[2] - '0');
    return baud > 19200 ? 0.00175 : 3.5 * bits / baud;
}

/* "Force listen only" (4) is rejected on purpose: any device on the line could use it to suppress the stop that a master waits
 * for. */
uint8_t diagnostics_answer(struct diagnostics *counted, const uint8_t *pdu, size_t size,
                           uint8_t answer[DIAGNOSTICS_ANSWER])
{
    if (size != DIAGNOSTICS_ANSWER)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    const unsigned what = be16(pdu + 1), data = be16(pdu + 3);
    const uint32_t counters[] = {counted->messages, counted->errors,     counted->exceptions,
                                 counted->ours,     counted->unanswered, 0 /* NAK */,
                                 counted->busy,     counted->overruns};
    memcpy(answer, pdu, DIAGNOSTICS_ANSWER);
    if (what == 0) /* return the data of the request */
        return 0;
    if (data != 0 && !(what == 1 && data == 0xFF00))
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    if (what == 1 || what == 0x0A) { /* restart, clear */
        *counted = (struct diagnostics){0};
        return 0;
    }
    if (what == 0x14) {
        counted->overruns = 0;
        return 0;
    }
    if (what == 2) /* the diagnostic register has no bits */
        put_be16(answer + 3, 0);
    else if (what >= 0x0B && what <= 0x12)
        put_be16(answer + 3, counters[what - 0x0B]);
    else
        return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
    return 0;
}
