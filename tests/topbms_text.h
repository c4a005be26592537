// SPDX-License-Identifier: MIT
/* Shared by the tests of TopBMS and siblings: requests and replies as text, and checks. */
#pragma once

#include "bms/driver.h"
#include "bms/topbms/ydt1363.h"

#include <stdio.h>
#include <string.h>

#include "pack_test.h"

extern const struct bms_driver topbms_driver;

/* The variants that `auto` finds, then the one that it does not try. */
enum variant { AUTO, TOPBMS, TOPBAND, PACE, SEPLOS, PYLONTECH, EG4, VARIANTS, CREABEST = VARIANTS };
enum step { ANALOG, STATUS, IDENTITY, SERIAL_NUMBER, LIMITS };

static inline struct bms new_bms(enum variant variant, int address, int adr)
{
    struct bms bms;
    bms_init(&bms, &topbms_driver);
    bms.options.variant = (int) variant;
    bms.options.address = address;
    bms.options.adr = adr;
    return bms;
}

/* Makes a request of the text of a frame without its line end. */
static inline struct bms_request request_of(const char *text)
{
    struct bms_request request = {.size = strlen(text) + (text[0] != '\0')};
    assert_true(request.size <= sizeof request.bytes);
    memcpy(request.bytes, text, strlen(text));
    if (request.size > 0)
        request.bytes[request.size - 1] = '\r';
    return request;
}

static inline void assert_request(const struct bms_request *request, const char *text)
{
    struct bms_request expected = request_of(text);
    if (request->size != expected.size || memcmp(request->bytes, expected.bytes, expected.size))
        fail_msg("expected %s, got %.*s", text, (int) request->size, (const char *) request->bytes);
}

static inline enum bms_result decode_bytes(struct bms *bms, const struct bms_request *request,
                                           const uint8_t *bytes, size_t size, struct pack *pack)
{
    struct bms_span span = topbms_driver.frame(bms, request, bytes, size);
    assert_int_equal(span.kind, BMS_FRAME);
    assert_int_equal(span.size, size);
    return topbms_driver.decode(bms, request, bytes, size, pack);
}

/* Feeds a reply, given as text without its line end, for a request. */
static inline enum bms_result decode_text(struct bms *bms, const char *request, const char *reply,
                                          struct pack *pack)
{
    struct bms_request asked = request_of(request);
    char line[BMS_FRAME_MAX + 2];
    snprintf(line, sizeof line, "%s\r", reply);
    return decode_bytes(bms, &asked, (const uint8_t *) line, strlen(line), pack);
}

/* A frame around INFO that is given as hexadecimal text, blanks allowed; two frames at a time have a buffer each. */
static inline const char *framed(uint8_t version, uint8_t address, uint8_t device, uint8_t code,
                                 const char *info)
{
    static char frames[2][BMS_FRAME_MAX + 1];
    static unsigned turn;
    uint8_t text[BMS_FRAME_MAX];
    size_t count = 0;
    for (; *info; info++)
        if (*info != ' ')
            text[count++] = (uint8_t) *info;
    char *frame = frames[turn++ % 2];
    struct ydt_head head = {version, address, device, code};
    size_t size = ydt_write_text((uint8_t *) frame, &head, text, count);
    frame[size - 1] = '\0';
    return frame;
}

static inline void assert_untouched(const struct pack *pack)
{
    struct pack empty = cleared_pack();
    for (int i = 0; i < PACK_VALUES; i++)
        assert_values(pack, {i, NAN});
    assert_int_equal(pack->alarms_known, 0);
    assert_int_equal(pack->raw_alarm_count, 0);
    assert_memory_equal(pack->text, empty.text, sizeof empty.text);
}
