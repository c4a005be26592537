// SPDX-License-Identifier: MIT
/*
 * `protocol = modbus`: a Modbus RTU BMS that its owner describes in a file instead of a driver. The
 * file is read elsewhere; here it is a table in the options of a pack.
 */
#ifndef PACKGATE_BMS_MODBUS_MODBUS_USER_H
#define PACKGATE_BMS_MODBUS_MODBUS_USER_H

#include "modbus.h"

#define MODBUS_USER_READS 8 /* of each kind: in each cycle, and once a minute */
#define MODBUS_USER_VALUES 128
#define MODBUS_USER_ALARMS 96

struct modbus_user {
    struct bms_read
        reads[2 * MODBUS_USER_READS]; /* the slow ones in the second half; count 0: none */
    struct modbus_value values[MODBUS_USER_VALUES];
    size_t value_count;
    struct modbus_alarm alarms[MODBUS_USER_ALARMS];
    size_t alarm_count;
    uint16_t raw_first, raw_count;
    uint64_t contents; /* differs where the file did */
};

/** Not in the list of drivers: it does nothing without bms->options.map. */
extern const struct bms_driver modbus_user_driver;

#endif
