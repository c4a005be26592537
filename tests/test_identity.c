// SPDX-License-Identifier: MIT
/* Function 43/14 by "MODBUS Application Protocol Specification V1.1b3", 6.21. */
#include "modbus/identity.h"
#include "bms/count.h"

#include <string.h>

#include "unit.h"

static uint8_t ask(uint8_t code, uint8_t id, struct identity_reply *reply)
{
    const uint8_t pdu[4] = {43, 14, code, id};
    memset(reply, 0xEE, sizeof *reply);
    return identity_read("app", pdu, reply);
}

static const char *const texts[] = {[0] = "packgate",
                                    [1] = "packgate",
                                    [2] = PACKGATE_VERSION,
                                    [4] = "packgate, Modbus TCP gateway for battery packs",
                                    [6] = "app"};

// clang-format off
static const struct {
    const char *name;
    uint8_t code, id, count;
    uint8_t objects[5];
} answers[] = {
    /* name                     code  id  objects           */
    {"basic",                    1, 0x00, 3, {0, 1, 2}},
    {"basic from 1",             1, 0x01, 2, {1, 2}},
    {"basic from 2",             1, 0x02, 1, {2}},
    {"basic, not a basic one",   1, 0x04, 3, {0, 1, 2}},
    {"basic, unknown",           1, 0x80, 3, {0, 1, 2}},
    {"regular",                  2, 0x00, 5, {0, 1, 2, 4, 6}},
    {"regular from 4",           2, 0x04, 2, {4, 6}},
    {"regular, the last",        2, 0x06, 1, {6}},
    {"regular, left out",        2, 0x03, 5, {0, 1, 2, 4, 6}},
    {"extended gets regular",    3, 0x00, 5, {0, 1, 2, 4, 6}},
    {"extended, unknown",        3, 0xFF, 5, {0, 1, 2, 4, 6}},
    {"one, 0",                   4, 0x00, 1, {0}},
    {"one, 2",                   4, 0x02, 1, {2}},
    {"one, 6",                   4, 0x06, 1, {6}},
};
// clang-format on

/* 2B 0E code 82 more next count, then id, length and text of each object. */
TEST(answers)
{
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct identity_reply reply,
            expected = {.pdu = {0x2B, 0x0E, answers[i].code, 0x82, 0, 0, answers[i].count},
                        .size = 7};
        for (unsigned n = 0; n < answers[i].count; n++) {
            const char *text = texts[answers[i].objects[n]];
            const size_t size = strlen(text);
            expected.pdu[expected.size++] = answers[i].objects[n];
            expected.pdu[expected.size++] = (uint8_t) size;
            memcpy(expected.pdu + expected.size, text, size);
            expected.size += size;
        }
        if (ask(answers[i].code, answers[i].id, &reply) != 0)
            fail_msg("%s: refused", answers[i].name);
        if (reply.size != expected.size || memcmp(reply.pdu, expected.pdu, reply.size) != 0)
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
