// SPDX-License-Identifier: MIT
/*
 * The checks of a request; its framing is in test_conformance and test_sessions. Lengths and
 * quantities are those of "MODBUS Application Protocol Specification V1.1b3", section 6. Every frame
 * is handed over in memory of its own size, so that the address sanitizer sees a read behind its end.
 */
#include "modbus/mbap.h"
#include "bms/count.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* Adds the header to a PDU and checks the frame. */
static uint8_t check(const uint8_t *pdu, size_t size, struct mbap_request *request)
{
    uint8_t *frame = malloc(7 + size);
    assert_non_null(frame);
    const uint8_t header[7] = {0x12, 0x34, 0, 0, 0, (uint8_t) (1 + size), 17};
    memcpy(frame, header, 7);
    memcpy(frame + 7, pdu, size);
    const uint8_t result = mbap_check(frame, 7 + size, request);
    free(frame);
    assert_int_equal(request->unit, 17);
    assert_int_equal(request->function, pdu[0]);
    if (result != 0) {
        assert_int_equal(request->read.count, 0);
        assert_int_equal(request->write.count, 0);
    }
    return result;
}

/* A valid request of each function, with its ranges. */
// clang-format off
static const struct good_request {
    const char *name;
    uint8_t pdu[20];
    size_t size;
    struct mbap_range read, write;
} good_requests[] = {
    /* name                 PDU                                                     size  read         write       */
    {"read coils",          {1, 0x00, 0x13, 0x00, 0x13},                             5,   {19, 19},    {0, 0}},
    {"read inputs",         {2, 0x00, 0xC4, 0x00, 0x16},                             5,   {196, 22},   {0, 0}},
    {"read registers",      {3, 0x00, 0x6B, 0x00, 0x03},                             5,   {107, 3},    {0, 0}},
    {"read input registers",{4, 0x00, 0x08, 0x00, 0x01},                             5,   {8, 1},      {0, 0}},
    {"write coil on",       {5, 0x00, 0xAC, 0xFF, 0x00},                             5,   {0, 0},      {172, 1}},
    {"write coil off",      {5, 0x00, 0xAC, 0x00, 0x00},                             5,   {0, 0},      {172, 1}},
    {"write register",      {6, 0x00, 0x01, 0x00, 0x03},                             5,   {0, 0},      {1, 1}},
    {"write coils",         {15, 0x00, 0x13, 0x00, 0x0A, 2, 0xCD, 0x01},             8,   {0, 0},      {19, 10}},
    {"write registers",     {16, 0x00, 0x01, 0x00, 0x02, 4, 0, 0x0A, 1, 2},         10,   {0, 0},      {1, 2}},
    {"mask register",       {22, 0x00, 0x04, 0x00, 0xF2, 0x00, 0x25},                7,   {0, 0},      {4, 1}},
    {"read write registers",{23, 0, 3, 0, 6, 0, 0x0E, 0, 3, 6, 0, 0xFF, 0, 0xFF, 0, 0xFF}, 16, {3, 6}, {14, 3}},
    {"identification",      {43, 14, 1, 0},                                          4,   {0, 0},      {0, 0}},
};
// clang-format on

TEST(check_good)
{
    for (size_t i = 0; i < COUNT(good_requests); i++) {
        const struct good_request *good = &good_requests[i];
        struct mbap_request request;
        if (check(good->pdu, good->size, &request) != 0)
            fail_msg("%s was refused", good->name);
        assert_int_equal(request.read.address, good->read.address);
        assert_int_equal(request.read.count, good->read.count);
        assert_int_equal(request.write.address, good->write.address);
        assert_int_equal(request.write.count, good->write.count);
    }
}

/* One byte less or more, up to the longest PDU, is exception 3; so is a function code alone. */
TEST(check_lengths)
{
    for (size_t i = 0; i < COUNT(good_requests); i++) {
        const struct good_request *good = &good_requests[i];
        uint8_t pdu[MBAP_PDU_MAX] = {0};
        memcpy(pdu, good->pdu, good->size);
        for (size_t size = 1; size <= sizeof pdu; size++) {
            struct mbap_request request;
            const uint8_t result = check(pdu, size, &request);
            if (result != (size == good->size ? 0 : 3))
                fail_msg("%s of %zu bytes: %u", good->name, size, result);
        }
    }
}

/* Reads: every possible quantity. */
TEST(check_read_quantities)
{
    static const struct {
        uint8_t function;
        unsigned max;
    } limits[] = {{1, 2000}, {2, 2000}, {3, 125}, {4, 125}};
    for (size_t i = 0; i < COUNT(limits); i++)
        for (unsigned quantity = 0; quantity <= 0xFFFF; quantity++) {
            const uint8_t pdu[5] = {limits[i].function, 0, 0, (uint8_t) (quantity >> 8),
                                    (uint8_t) quantity};
            struct mbap_request request;
            const bool good = quantity >= 1 && quantity <= limits[i].max;
            if (check(pdu, sizeof pdu, &request) != (good ? 0 : 3))
                fail_msg("function %u, quantity %u", limits[i].function, quantity);
        }
}

/* Writes: every quantity with every byte count that fits into a PDU, with data as long as the byte count says. */
static void check_write_quantities(uint8_t function, size_t fixed, unsigned max, unsigned bits)
{
    uint8_t pdu[MBAP_PDU_MAX] = {function, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    const size_t quantity_at = fixed - 3;
    for (unsigned quantity = 0; quantity <= 2100; quantity++)
        for (size_t bytes = 0; fixed + bytes <= sizeof pdu; bytes++) {
            pdu[quantity_at] = (uint8_t) (quantity >> 8);
            pdu[quantity_at + 1] = (uint8_t) quantity;
            pdu[fixed - 1] = (uint8_t) bytes;
            struct mbap_request request;
            const bool good =
                quantity >= 1 && quantity <= max && (quantity * bits + 7) / 8 == bytes;
            if (check(pdu, fixed + bytes, &request) != (good ? 0 : 3))
                fail_msg("function %u, quantity %u, %zu bytes", function, quantity, bytes);
        }
}

TEST(check_write_quantities)
{
    check_write_quantities(15, 6, 1968, 1);
    check_write_quantities(16, 6, 123, 16);
    check_write_quantities(23, 10, 121, 16);
}

TEST(check_read_of_read_write)
{
    for (unsigned quantity = 0; quantity <= 0xFFFF; quantity++) {
        const uint8_t pdu[] = {23, 0, 3, (uint8_t) (quantity >> 8), (uint8_t) quantity, 0, 14, 0, 1,
                               2,  0, 9};
        struct mbap_request request;
        const bool good = quantity >= 1 && quantity <= 125;
        assert_int_equal(check(pdu, sizeof pdu, &request), good ? 0 : 3);
    }
}

/* Only type 14 of function 43 is supported, whatever the length of others; without a type the request is too
 * short. */
TEST(check_interface_types)
{
    struct mbap_request request;
    const uint8_t bare = 43;
    assert_int_equal(check(&bare, 1, &request), 3);
    for (unsigned type = 0; type < 256; type++) {
        const uint8_t pdu[] = {43, (uint8_t) type, 1, 0};
        for (size_t size = 2; size <= sizeof pdu; size++)
            assert_int_equal(check(pdu, size, &request), type != 14 ? 1 : size == 4 ? 0 : 3);
    }
}

TEST(writes)
{
    for (unsigned function = 0; function < 256; function++) {
        bool writes = false;
        for (size_t i = 0; i < COUNT(good_requests); i++)
            if (good_requests[i].pdu[0] == function)
                writes = good_requests[i].write.count > 0;
        assert_int_equal(mbap_writes((uint8_t) function), writes);
    }
}

TEST(reply_header)
{
    const uint8_t request[] = {0xAB, 0xCD, 0, 0, 0, 5, 0xF7, 43, 14, 1, 0};
    const uint8_t expected[7] = {0xAB, 0xCD, 0, 0, 0, 254, 0xF7};
    uint8_t header[7];
    mbap_reply_header(request, 253, header);
    assert_memory_equal(header, expected, 7);
}
