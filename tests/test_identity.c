// SPDX-License-Identifier: MIT
/* Function 43/14 by "MODBUS Application Protocol Specification V1.1b3", 6.21. */
#include "modbus/identity.h"
#include "bms/count.h"

#include <string.h>

#include "unit.h"

static const struct identity_object objects[] = {
    {0, "Company"}, {1, "code"}, {2, "V2.11"}, {4, "name"}, {6, "app"}};

static uint8_t ask(uint8_t code, uint8_t id, struct identity_reply *reply)
{
    const uint8_t pdu[4] = {43, 14, code, id};
    memset(reply, 0xEE, sizeof *reply);
    return identity_read(objects, COUNT(objects), pdu, reply);
}

// clang-format off
#define BASIC "\x00\x07" "Company" "\x01\x04" "code" "\x02\x05" "V2.11"
#define REGULAR "\x04\x04" "name" "\x06\x03" "app"
#define PDU(text) text, sizeof text - 1

static const struct {
    const char *name;
    uint8_t code, id;
    const char *pdu;
    size_t size;
} answers[] = {
    /* name                     code  id   2B 0E code 82 more next count, objects                                   */
    {"basic",                    1, 0x00, PDU("\x2B\x0E\x01\x82\x00\x00\x03" BASIC)},
    {"basic from 1",             1, 0x01, PDU("\x2B\x0E\x01\x82\x00\x00\x02" "\x01\x04" "code" "\x02\x05" "V2.11")},
    {"basic from 2",             1, 0x02, PDU("\x2B\x0E\x01\x82\x00\x00\x01" "\x02\x05" "V2.11")},
    {"basic, not a basic one",   1, 0x04, PDU("\x2B\x0E\x01\x82\x00\x00\x03" BASIC)},
    {"basic, unknown",           1, 0x80, PDU("\x2B\x0E\x01\x82\x00\x00\x03" BASIC)},
    {"regular",                  2, 0x00, PDU("\x2B\x0E\x02\x82\x00\x00\x05" BASIC REGULAR)},
    {"regular from 4",           2, 0x04, PDU("\x2B\x0E\x02\x82\x00\x00\x02" REGULAR)},
    {"regular, the last",        2, 0x06, PDU("\x2B\x0E\x02\x82\x00\x00\x01" "\x06\x03" "app")},
    {"regular, left out",        2, 0x03, PDU("\x2B\x0E\x02\x82\x00\x00\x05" BASIC REGULAR)},
    {"extended gets regular",    3, 0x00, PDU("\x2B\x0E\x03\x82\x00\x00\x05" BASIC REGULAR)},
    {"extended, unknown",        3, 0xFF, PDU("\x2B\x0E\x03\x82\x00\x00\x05" BASIC REGULAR)},
    {"one, 0",                   4, 0x00, PDU("\x2B\x0E\x04\x82\x00\x00\x01" "\x00\x07" "Company")},
    {"one, 2",                   4, 0x02, PDU("\x2B\x0E\x04\x82\x00\x00\x01" "\x02\x05" "V2.11")},
    {"one, 6",                   4, 0x06, PDU("\x2B\x0E\x04\x82\x00\x00\x01" "\x06\x03" "app")},
};
// clang-format on

TEST(answers)
{
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct identity_reply reply;
        if (ask(answers[i].code, answers[i].id, &reply) != 0)
            fail_msg("%s: refused", answers[i].name);
        if (reply.size != answers[i].size || memcmp(reply.pdu, answers[i].pdu, reply.size) != 0)
            fail_msg("%s: %zu bytes", answers[i].name, reply.size);
    }
}

/* A missing object is exception 2 when it is requested individually; an undefined code is exception 3. */
TEST(exceptions)
{
    struct identity_reply reply;
    for (unsigned id = 0; id < 256; id++) {
        const bool there = id <= 2 || id == 4 || id == 6;
        assert_int_equal(ask(4, (uint8_t) id, &reply), there ? 0 : 2);
    }
    for (unsigned code = 0; code < 256; code++)
        assert_int_equal(ask((uint8_t) code, 0, &reply), code >= 1 && code <= 4 ? 0 : 3);
}
