// SPDX-License-Identifier: MIT
/*
 * Function 43/14, read device identification ("MODBUS Application Protocol Specification
 * V1.1b3", 6.21), at the regular level with stream and individual access. Pure.
 */
#pragma once

#include "mbap.h"

enum identity_id {
    IDENTITY_VENDOR = 0x00,
    IDENTITY_PRODUCT_CODE = 0x01,
    IDENTITY_REVISION = 0x02,
    IDENTITY_PRODUCT_NAME = 0x04,
    IDENTITY_APPLICATION_NAME = 0x06
};

struct identity_object {
    uint8_t id;
    const char *text; /* ASCII */
};

struct identity_reply {
    uint8_t pdu[MBAP_PDU_MAX];
    size_t size;
};

/** Answers the PDU of a request that mbap_check has passed. The objects are in ascending order of
 * their ids, starting with object 0, and all of them fit into one answer. Returns 0, or the exception code for the answer. */
uint8_t identity_read(const struct identity_object *objects, size_t count, const uint8_t pdu[4],
                      struct identity_reply *reply);
