// SPDX-License-Identifier: MIT
/*
 * `protocol = modbus`: a Modbus RTU BMS that its owner describes in a map file instead of a
 * driver. The configuration parses the file; here it is a table in the options of a pack.
 */
#pragma once

#include "modbus.h"

#define MODBUS_USER_READS 8 /* per kind: in each cycle, and once a minute */
#define MODBUS_USER_VALUES 128
#define MODBUS_USER_ALARMS 96
#define MODBUS_USER_WORDS 8    /* registers of one write request */
#define MODBUS_USER_EXPECTED 8 /* registers with required values */
#define MODBUS_USER_HEAD 4     /* bytes before each request */

struct modbus_user {
    /* The slow ones in the second half; count 0: none. With function MODBUS_WRITE_MANY: a write. */
    struct bms_read reads[2 * MODBUS_USER_READS];
    uint16_t written[MODBUS_USER_READS]
                    [MODBUS_USER_WORDS]; /* values for the writes of the first half */
    struct {
        uint16_t reg, value;
    } expected[MODBUS_USER_EXPECTED]; /* a reply with another value is rejected */
    size_t expected_count;
    uint8_t head[MODBUS_USER_HEAD];
    size_t head_size;
    struct modbus_value values[MODBUS_USER_VALUES];
    size_t value_count;
    struct modbus_test alarms[MODBUS_USER_ALARMS];
    size_t alarm_count;
    uint16_t raw_first, raw_count;
    uint64_t contents; /* a hash, to detect changes of the file */
};

/** Not in the list of drivers: it requires bms->options.map. */
extern const struct bms_driver modbus_user_driver;
