// SPDX-License-Identifier: MIT
/* Shared by the tests of drivers: bytes as written in the sheets, and a frame through framer and decoder. */
#pragma once

#include "bms/bytes.h"
#include "bms/count.h"
#include "bms/driver.h"

#include <stdlib.h>
#include <string.h>

#include "pack_test.h"

#define NOTHING (-1) /* in place of an enum bms_result: no frame was found */

/* * Converts "A5 40 90" or "A54090" to bytes; returns their number. */
static inline size_t parse_hex(const char *hex, uint8_t *out)
{
    size_t size;
    assert_true(*hex_bytes(hex, out, SIZE_MAX, &size) == '\0');
    return size;
}

struct bytes {
    uint8_t bytes[BMS_FRAME_MAX];
    size_t size;
};

static inline struct bytes unhex(const char *hex)
{
    struct bytes out;
    out.size = parse_hex(hex, out.bytes);
    return out;
}

static inline struct bms_request request_of(const char *hex)
{
    struct bms_request request = {.size = 0};
    request.size = parse_hex(hex, request.bytes);
    return request;
}

static inline struct bms new_bms(const struct bms_driver *driver)
{
    struct bms bms;
    bms_init(&bms, driver);
    return bms;
}

/* * Passes a single whole frame through framer and decoder. */
static inline enum bms_result receive_frame(struct bms *bms, const struct bms_request *request,
                                            const uint8_t *frame, size_t size, struct pack *pack)
{
    struct bms_span span = bms->driver->frame(bms, request, frame, size);
    assert_int_equal(span.kind, BMS_FRAME);
    assert_int_equal(span.size, size);
    return bms->driver->decode(bms, request, frame, size, pack);
}

/** The same in hexadecimal. */
static inline enum bms_result receive(struct bms *bms, const char *request_hex,
                                      const char *frame_hex, struct pack *pack)
{
    struct bms_request request = request_of(request_hex);
    struct bytes frame = unhex(frame_hex);
    return receive_frame(bms, &request, frame.bytes, frame.size, pack);
}

/* * Passes all received bytes through framer and decoder. Returns the result of the last frame, or NOTHING. */
static inline int receive_all(struct bms *bms, const struct bms_request *request,
                              const uint8_t *bytes, size_t size, struct pack *pack)
{
    int result = NOTHING;
    while (size > 0) {
        struct bms_span span = bms->driver->frame(bms, request, bytes, size);
        if (span.kind == BMS_MORE)
            span = (struct bms_span){BMS_SKIP, 1};
        assert_in_range(span.size, 1, size);
        if (span.kind == BMS_FRAME)
            result = (int) bms->driver->decode(bms, request, bytes, span.size, pack);
        bytes += span.size;
        size -= span.size;
    }
    return result;
}

/** The same in hexadecimal. */
static inline int exchange(struct bms *bms, const char *request_hex, const char *bytes_hex,
                           struct pack *pack)
{
    struct bms_request request = request_of(request_hex);
    struct bytes bytes = unhex(bytes_hex);
    return receive_all(bms, &request, bytes.bytes, bytes.size, pack);
}

static inline void assert_bytes(const uint8_t *got, size_t size, const char *hex)
{
    struct bytes expected = unhex(hex);
    assert_int_equal(size, expected.size);
    assert_memory_equal(got, expected.bytes, size);
}

static inline void assert_request(const struct bms_request *request, const char *hex)
{
    assert_bytes(request->bytes, request->size, hex);
}
