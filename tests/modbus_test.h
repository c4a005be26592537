// SPDX-License-Identifier: MIT
/* Shared by the tests of Modbus drivers: replies made of registers, and what the driver decodes from a reply. */
#pragma once

#include "driver_test.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

/** The request of a step of the driver's plan. */
static inline struct bms_request request_of_step(struct bms *bms, unsigned step)
{
    struct bms_request request = {.size = 0};
    assert_true(bms->driver->build(bms, step, &request));
    return request;
}

/* * A reply with these registers, to a request for as many of them. */
static inline struct bytes reply_of(const struct bms_request *request, const uint16_t *registers)
{
    struct bytes out = {.bytes = {request->bytes[0], request->bytes[1]}};
    unsigned count = be16(request->bytes + 4);
    out.bytes[2] = (uint8_t) (2 * count);
    for (unsigned i = 0; i < count; i++)
        put_be16(out.bytes + 3 + 2 * i, registers[i]);
    out.size = 3 + 2 * count;
    put_le16(out.bytes + out.size, crc16_modbus(out.bytes, out.size));
    out.size += 2;
    return out;
}

/* * The same registers as bytes, as they follow the byte count. */
static inline struct bytes reply_of_bytes(const struct bms_request *request, const uint8_t *data,
                                          size_t size)
{
    struct bytes out = {.bytes = {request->bytes[0], request->bytes[1], (uint8_t) size}};
    memcpy(out.bytes + 3, data, size);
    put_le16(out.bytes + 3 + size, crc16_modbus(out.bytes, 3 + size));
    out.size = 5 + size;
    return out;
}

/* * Decodes registers that answer a step of the driver's plan. */
static inline enum bms_result take_registers(struct bms *bms, unsigned step,
                                             const uint16_t *registers, struct pack *pack)
{
    struct bms_request request = request_of_step(bms, step);
    struct bytes reply = reply_of(&request, registers);
    return receive_frame(bms, &request, reply.bytes, reply.size, pack);
}

/* * Asserts that one alarm is active at one level, and no other. */
static inline void assert_only_alarm(const struct pack *pack, enum pack_alarm alarm, int level)
{
    uint32_t warning = level == ALARM_WARNING ? 1u << alarm : 0;
    uint32_t protection = level == ALARM_PROTECTION ? 1u << alarm : 0;
    if (pack->alarms_warning != warning || pack->alarms_protection != protection)
        fail_msg("%s: warning %08X, protection %08X", pack_alarm_name(alarm), pack->alarms_warning,
                 pack->alarms_protection);
}

/* * The reply of an emulated board to a request, in hexadecimal; "" for none. */
static inline void assert_answer(struct bms *board, struct pack *told, const char *request,
                                 const char *answer)
{
    struct bms_request asked = request_of(request);
    put_le16(asked.bytes + asked.size, crc16_modbus(asked.bytes, asked.size));
    asked.size += 2;
    struct bms_output out;
    assert_int_equal(bms_emulate(board, told, asked.bytes, asked.size, &out), asked.size);
    if (!*answer) {
        assert_int_equal(out.size, 0);
        return;
    }
    struct bytes expected = unhex(answer);
    put_le16(expected.bytes + expected.size, crc16_modbus(expected.bytes, expected.size));
    assert_int_equal(out.size, expected.size + 2);
    assert_memory_equal(out.bytes, expected.bytes, expected.size + 2);
}
