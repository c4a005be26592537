// SPDX-License-Identifier: MIT
/*
 * Fuzzer of what finds Modbus RTU frames among the bytes of a master. The first byte of the input says where the others are cut. What
 * is found must lie within the bytes and be intact, a request at the beginning must be the same however many bytes behind it have come,
 * and a stream must come to an end.
 */
#include "fuzz.h"

#include "outlets/present/rtu.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <string.h>

#define MOST 512

static void require_frame(const uint8_t *bytes, size_t size, const struct rtu_span *span)
{
    if (span->kind == RTU_NOTHING)
        return;
    REQUIRE(span->size > 0 && span->at + span->size <= size);
    if (span->kind == RTU_NOISE)
        return;
    const uint8_t *frame = bytes + span->at;
    REQUIRE(span->size >= 4 && span->size <= RTU_ADU_MAX);
    REQUIRE(crc16_modbus(frame, span->size - 2) == le16(frame + span->size - 2));
}

/* A copy of its own size, so that reading beyond it is seen. */
static struct rtu_span find(struct rtu_span (*how)(const uint8_t *, size_t), const uint8_t *bytes,
                            size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    REQUIRE(copy);
    if (size)
        memcpy(copy, bytes, size);
    const struct rtu_span span = how(copy, size);
    require_frame(copy, size, &span);
    free(copy);
    return span;
}

static void ask_diagnostics(const uint8_t *frame, size_t size)
{
    static struct diagnostics counted = {1, 2, 3, 4, 5, 6, 7};
    uint8_t answer[DIAGNOSTICS_ANSWER];
    if (frame[1] == DIAGNOSTICS_FC)
        REQUIRE(diagnostics_answer(&counted, frame + 1, size - 3, answer) <= 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 1 || size > MOST)
        return 0;
    const size_t cut = bytes[0];
    bytes++;
    size--;
    const struct rtu_span whole = find(rtu_find_first, bytes, size);
    const size_t come = cut < size ? cut : size;
    const struct rtu_span part = find(rtu_find_first, bytes, come);
    if (part.kind == RTU_REQUEST && part.at == 0 && part.size < come)
        REQUIRE(whole.kind == RTU_REQUEST && whole.at == 0 && whole.size == part.size);
    const struct rtu_span last = find(rtu_find_last, bytes, size);
    REQUIRE(last.kind == RTU_NOTHING || last.at + last.size == size);
    if (last.kind == RTU_REQUEST)
        ask_diagnostics(bytes + last.at, last.size);
    size_t over = 0;
    for (struct rtu_span span = whole; span.kind != RTU_NOTHING;
         span = find(rtu_find_first, bytes + over, size - over)) {
        over += span.at + span.size;
        REQUIRE(over <= size);
    }
    return 0;
}
