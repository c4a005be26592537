// SPDX-License-Identifier: MIT
/* Follows "MODBUS Messaging on TCP/IP Implementation Guide V1.0b" for the header, and "MODBUS
 * Application Protocol Specification V1.1b3", section 6, for the lengths and quantities. */
#include "mbap.h"

#include "bms/bytes.h"
#include "bms/count.h"

#include <modbus.h>

#define LENGTH_MIN 2 /* bytes: unit and function */
#define LENGTH_MAX (1 + MBAP_PDU_MAX)
#define COUNTED_FROM 6 /* bytes before those that the length counts */

#define COIL_ON 0xFF00
#define COIL_OFF 0x0000

/* Position of a range in the PDU of a function. */
struct range_fields {
    uint8_t address_at;
    uint8_t count_at; /* 0: always one item */
    uint16_t max;     /* items; 0: the function has no such range */
};

struct function_rule {
    uint8_t function;
    uint8_t size;      /* of the PDU without data, in bytes */
    uint8_t item_bits; /* bits per data item; 0: no data. The last of the `size` bytes is
                          its byte count */
    struct range_fields read, write;
};

// clang-format off
static const struct function_rule rules[] = {
    /* function                             size bits  read: address, count, max           write                      */
    {MODBUS_FC_READ_COILS,                    5,   0, {1, 3, MODBUS_MAX_READ_BITS},         {0, 0, 0}},
    {MODBUS_FC_READ_DISCRETE_INPUTS,          5,   0, {1, 3, MODBUS_MAX_READ_BITS},         {0, 0, 0}},
    {MODBUS_FC_READ_HOLDING_REGISTERS,        5,   0, {1, 3, MODBUS_MAX_READ_REGISTERS},    {0, 0, 0}},
    {MODBUS_FC_READ_INPUT_REGISTERS,          5,   0, {1, 3, MODBUS_MAX_READ_REGISTERS},    {0, 0, 0}},
    {MODBUS_FC_WRITE_SINGLE_COIL,             5,   0, {0, 0, 0},                            {1, 0, 1}},
    {MODBUS_FC_WRITE_SINGLE_REGISTER,         5,   0, {0, 0, 0},                            {1, 0, 1}},
    {MODBUS_FC_WRITE_MULTIPLE_COILS,          6,   1, {0, 0, 0},                            {1, 3, MODBUS_MAX_WRITE_BITS}},
    {MODBUS_FC_WRITE_MULTIPLE_REGISTERS,      6,  16, {0, 0, 0},                            {1, 3, MODBUS_MAX_WRITE_REGISTERS}},
    {MODBUS_FC_MASK_WRITE_REGISTER,           7,   0, {0, 0, 0},                            {1, 0, 1}},
    {MODBUS_FC_WRITE_AND_READ_REGISTERS,     10,  16, {1, 3, MODBUS_MAX_WR_READ_REGISTERS}, {5, 7, MODBUS_MAX_WR_WRITE_REGISTERS}},
    {MBAP_FC_IDENTIFY,                        4,   0, {0, 0, 0},                            {0, 0, 0}},
};
// clang-format on

/*
 * A frame with another protocol id is "simply discarded" (guide, 4.4.2.2) as a whole: bytes inside
 * it that look like a request are none. After an impossible length the start of the next frame is
 * unknown, and a guess could turn data into a request, so the connection is closed.
 */
struct mbap_span mbap_find(const uint8_t *bytes, size_t size)
{
    if (size < COUNTED_FROM)
        return (struct mbap_span){.kind = MBAP_MORE};
    const uint16_t protocol = be16(bytes + 2);
    const uint16_t length = be16(bytes + 4);
    if (length < LENGTH_MIN || length > LENGTH_MAX)
        return (struct mbap_span){.kind = MBAP_BROKEN};
    if (size < (size_t) COUNTED_FROM + length)
        return (struct mbap_span){.kind = MBAP_MORE};
    return (struct mbap_span){.kind = protocol == 0 ? MBAP_FRAME : MBAP_FOREIGN,
                              .size = (size_t) COUNTED_FROM + length};
}

static const struct function_rule *find_rule(uint8_t function)
{
    for (size_t i = 0; i < COUNT(rules); i++)
        if (rules[i].function == function)
            return &rules[i];
    return NULL;
}

static bool read_range(const struct range_fields *fields, const uint8_t *pdu,
                       struct mbap_range *range)
{
    if (fields->max == 0)
        return true;
    range->address = be16(pdu + fields->address_at);
    range->count = fields->count_at ? be16(pdu + fields->count_at) : 1;
    return range->count >= 1 && range->count <= fields->max;
}

uint8_t mbap_check(const uint8_t *frame, size_t size, struct mbap_request *request)
{
    const uint8_t *pdu = frame + MBAP_HEADER;
    const size_t pdu_size = size - MBAP_HEADER;
    const struct function_rule *rule = find_rule(pdu[0]);
    struct mbap_request found = {.unit = frame[MBAP_HEADER - 1], .function = pdu[0]};

    *request = found;
    /* Only one interface type is supported. A request too short to contain its type has a wrong length. */
    if (!rule || (pdu[0] == MBAP_FC_IDENTIFY && pdu_size > 1 && pdu[1] != MBAP_MEI_IDENTIFY))
        return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
    /* Exception 3 also stands for "the implied length is incorrect" (specification, 7). */
    if (pdu_size < rule->size || !read_range(&rule->read, pdu, &found.read) ||
        !read_range(&rule->write, pdu, &found.write))
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    /* The data must match its byte count and contain exactly the items to write. */
    const unsigned data = (rule->item_bits * (unsigned) found.write.count + 7) / 8;
    if (pdu_size != rule->size + data || (data > 0 && pdu[rule->size - 1] != data) ||
        (pdu[0] == MODBUS_FC_WRITE_SINGLE_COIL && be16(pdu + 3) != COIL_ON &&
         be16(pdu + 3) != COIL_OFF))
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    *request = found;
    return 0;
}

bool mbap_writes(uint8_t function)
{
    const struct function_rule *rule = find_rule(function);
    return rule && rule->write.max > 0;
}

void mbap_reply_header(const uint8_t *request, size_t pdu_size, uint8_t header[MBAP_HEADER])
{
    put_be16(header, be16(request));
    put_be16(header + 2, 0);
    put_be16(header + 4, (uint32_t) pdu_size + 1);
    header[6] = request[6];
}
