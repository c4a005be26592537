// SPDX-License-Identifier: MIT
/* JK boards on the GPS port: what the driver and the emulated board share. */
#pragma once

#include "bms/driver.h"

/* Section 2 of the sheet `jk-4e57`: offsets in a frame, and its largest length. */
#define COMMAND_AT 8
#define TYPE_AT 10
#define INFO_AT 11
#define TAIL 9 /* record number, end mark, unused, checksum */
#define MOST_LENGTH 0x200
#define OVERHEAD (INFO_AT + TAIL)

enum jk_4e57_command {
    ACTIVATE = 0x01,
    WRITE = 0x02,
    READ_ONE = 0x03,
    PASSWORD = 0x05,
    READ_ALL = 0x06
};
enum jk_4e57_source { FROM_BMS = 0, FROM_GPS = 2, FROM_PC = 3 };
enum jk_4e57_type { REQUEST = 0, REPLY = 1, UPLOAD = 2 };

enum jk_4e57_code {
    CELLS = 0x79,
    MOS_TEMP = 0x80,
    TEMP_1 = 0x81,
    TEMP_2 = 0x82,
    VOLTAGE = 0x83,
    CURRENT = 0x84,
    SOC = 0x85,
    TEMPS = 0x86,
    CYCLE_COUNT = 0x87,
    STRINGS = 0x8A,
    ALARMS = 0x8B,
    STATE = 0x8C,
    BALANCER_SWITCH = 0x9D,
    CELL_SETTING = 0xA9,
    CAPACITY = 0xAA,
    CHARGE_SWITCH = 0xAB,
    DISCHARGE_SWITCH = 0xAC,
    PASSWORD_TEXT = 0xB2,
    VERSION = 0xB7,
    FULL_CAPACITY = 0xB9,
    MAKER = 0xBA,
    PROTOCOL = 0xC0
};

/* Bytes of the value behind each code; 0: an unknown code. CELLS contains its own size. */
extern const uint8_t jk_4e57_value_size[0x100];

/* Section 6. */
#define JK_4E57_ALARMS 11
#define JK_4E57_HOT_BIT 4
#define JK_4E57_COLD_BIT 9
extern const struct alarm_bit jk_4e57_alarms[JK_4E57_ALARMS];

struct jk_4e57_setting {
    uint8_t code;
    bool is_signed;
    enum pack_value id;
    double divisor;
};
#define JK_4E57_SETTINGS 19
extern const struct jk_4e57_setting jk_4e57_settings[JK_4E57_SETTINGS];

/** Writes a frame, and returns its size. */
size_t jk_4e57_put_frame(uint8_t *out, enum jk_4e57_command command, enum jk_4e57_source source,
                         enum jk_4e57_type type, const uint8_t *info, size_t size);

/** The `frame` of the driver: see driver.h. */
struct bms_span jk_4e57_find_frame(const struct bms *bms, const struct bms_request *request,
                                   const uint8_t *bytes, size_t size);

/** The `emulate` of the driver. */
size_t jk_4e57_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                       struct bms_output *out);
