// SPDX-License-Identifier: MIT
/* Function 43/14, read device identification ("MODBUS Application Protocol Specification V1.1b3",
 * 6.21), at the regular level with stream and individual access. Pure. */
#pragma once

#include "mbap.h"

struct identity_reply {
    uint8_t pdu[MBAP_PDU_MAX];
    size_t size;
};

/** Answers the PDU of a request that mbap_check has passed, for the unit with this name. Returns 0, or the exception code
 * for the answer. */
uint8_t identity_read(const char *unit, const uint8_t pdu[4], struct identity_reply *reply);
