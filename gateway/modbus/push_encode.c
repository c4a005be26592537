// SPDX-License-Identifier: MIT
/*
 * Registers and requests of a push. Follows "MODBUS Application Protocol Specification V1.1b3",
 * sections 6.6 and 6.12.
 */
#include "push_encode.h"

#include "row_number.h"

#include "registers/types.h"
#include "bms/bytes.h"

#include <math.h>
#include <modbus.h>
#include <string.h>

static void put_words(const struct register_row *write, uint64_t pattern, uint16_t words[2])
{
    map_put_words(words, pattern, map_types[write->type].registers, write->big_words);
}

enum push_encoded push_encode(const struct register_row *write, double value, uint16_t words[2])
{
    double number = row_number(write, value);
    if (isnan(number) && write->on_stale.kind == INSTEAD_UNKNOWN)
        put_words(write, map_types[write->type].unknown, words);
    else if (isnan(number) && write->on_stale.kind == INSTEAD_NUMBER)
        put_words(write, map_pattern(write->type, write->on_stale.number), words);
    else if (isnan(number))
        return PUSH_NOTHING;
    if (isnan(number))
        return PUSH_EXACT;
    /* If a pattern means "unknown", a known number must not be encoded as this pattern. */
    bool reserved = write->on_stale.kind == INSTEAD_UNKNOWN;
    if (row_is_limit(write))
        number = map_lower(write->type, number);
    if (write->type != REG_FLOAT32)
        number = round(number);
    double fitting = map_fit(write->type, number, reserved);
    put_words(write, map_pattern(write->type, fitting), words);
    return fitting == number ? PUSH_EXACT : PUSH_CLIPPED;
}

void push_request_build(struct push_request *request, uint16_t transaction, uint8_t unit,
                        bool single, unsigned address, const uint16_t *words, unsigned count)
{
    uint8_t *pdu = request->bytes + MBAP_HEADER, *data = pdu + 3;
    pdu[0] = single ? MODBUS_FC_WRITE_SINGLE_REGISTER : MODBUS_FC_WRITE_MULTIPLE_REGISTERS;
    put_be16(pdu + 1, address);
    if (!single) {
        put_be16(pdu + 3, count);
        pdu[5] = (uint8_t) (2 * count);
        data = pdu + 6;
    }
    for (unsigned i = 0; i < count; i++)
        put_be16(data + 2 * i, words[i]);
    request->size = (size_t) (data + 2 * count - request->bytes);
    put_be16(request->bytes, transaction);
    put_be16(request->bytes + 2, 0);
    put_be16(request->bytes + 4, (uint32_t) (request->size - 6));
    request->bytes[6] = unit;
}

/*
 * The response to both functions is the first five bytes of the request: function, address, and
 * the value or the count. The unit is not compared: some devices insert their own, and the
 * transaction identifies the request.
 */
enum push_reply push_reply_check(const struct push_request *request, const uint8_t *frame,
                                 size_t size, uint8_t *exception)
{
    const uint8_t *asked = request->bytes + MBAP_HEADER, *answer = frame + MBAP_HEADER;
    size_t answer_size = size - MBAP_HEADER;
    if (be16(frame) != be16(request->bytes))
        return PUSH_FOREIGN;
    if (answer_size == 2 && answer[0] == (asked[0] | 0x80)) {
        *exception = answer[1];
        return PUSH_REFUSED;
    }
    return answer_size == 5 && memcmp(answer, asked, 5) == 0 ? PUSH_DONE : PUSH_MALFORMED;
}
