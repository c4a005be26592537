// SPDX-License-Identifier: MIT
/* If the sources of the sheet contradict one another, recorded frames decide. */
#include "can.h"

#include "bms/count.h"

#include <string.h>

// clang-format off
#define ALARM(name) (UINT32_C(1) << (name))
#define ANY_ALARM    ((UINT32_C(1) << PACK_ALARM_COUNT) - 1)
#define HIGH_VOLTAGE (ALARM(CELL_OVER_VOLTAGE) | ALARM(PACK_OVER_VOLTAGE))
#define LOW_VOLTAGE  (ALARM(CELL_UNDER_VOLTAGE) | ALARM(PACK_UNDER_VOLTAGE))
#define HOT          (ALARM(CHARGE_OVER_TEMPERATURE) | ALARM(DISCHARGE_OVER_TEMPERATURE) | ALARM(MOS_OVER_TEMPERATURE))
#define COLD         (ALARM(CHARGE_UNDER_TEMPERATURE) | ALARM(DISCHARGE_UNDER_TEMPERATURE))
#define CONTACTOR    (ALARM(CHARGE_MOS_FAULT) | ALARM(DISCHARGE_MOS_FAULT))
#define INTERNAL     (ALARM(HARDWARE_FAULT) | ALARM(COMMUNICATION_FAULT) | ALARM(TEMP_SENSOR_FAULT) | ALARM(VOLTAGE_SENSOR_FAULT))

#define U16(frame, byte, what, unit_)  {.message = frame, .at = byte, .kind = TABLE_U16, .id = what, .unit = unit_}
#define S16(frame, byte, what, unit_)  {.message = frame, .at = byte, .kind = TABLE_S16, .id = what, .unit = unit_}
#define SWITCH(frame, byte, bit_, what) {.message = frame, .at = byte, .bit = bit_, .kind = TABLE_SWITCH, .id = what}
#define BIT(frame, byte, bit_, which, level_) \
    {.message = frame, .at = byte, .bit = bit_, .kind = TABLE_ALARM, .alarms = which, .level = level_}
#define BYTES(frame, byte, size, text) {.message = frame, .at = byte, .bit = size, .kind = TABLE_BYTES, .bytes = text}
#define TEXT(frame, what)              {.message = frame, .kind = TABLE_TEXT, .id = what}

/* 351  14 02 | 74 0E | 74 0E | CC 01    53.2 V, 370.0 A, 370.0 A, 46.0 V
 *      charge voltage, charge current, discharge current, discharge voltage, which may be absent */
#define LIMITS \
    U16(0x351, 0, CHARGE_VOLTAGE_LIMIT_V, 0.1), \
    S16(0x351, 2, CHARGE_CURRENT_LIMIT_A, 0.1), \
    S16(0x351, 4, DISCHARGE_CURRENT_LIMIT_A, 0.1), \
    {.message = 0x351, .at = 6, .kind = TABLE_U16, .id = DISCHARGE_VOLTAGE_LIMIT_V, .unit = 0.1, .unknown = UNKNOWN_END}

/* 355  58 00 | 5E 00                    88 %, health 94 % */
#define CHARGE \
    U16(0x355, 0, SOC_PERCENT, 1), \
    U16(0x355, 2, SOH_PERCENT, 1)

/* 356  7A 13 | F2 FE | 6B 01            49.86 V, -27.0 A, 36.3 degrees; charging is positive */
#define MEASURED \
    S16(0x356, 0, VOLTAGE_V, 0.01), \
    S16(0x356, 2, CURRENT_A, 0.1), \
    S16(0x356, 4, TEMP_AVG_C, 0.1)

#define PAIR(number, alarms_, half, level_) \
    {.message = 0x35A, .at = 4 * (half) + (number) / 4, .bit = 2 * ((number) % 4), .kind = TABLE_PAIR, .alarms = alarms_, .level = level_}
#define PAIRS(half, level) \
    PAIR(0,  ANY_ALARM,                          half, level), \
    PAIR(1,  HIGH_VOLTAGE,                       half, level), \
    PAIR(2,  LOW_VOLTAGE,                        half, level), \
    PAIR(3,  ALARM(DISCHARGE_OVER_TEMPERATURE),  half, level), \
    PAIR(4,  ALARM(DISCHARGE_UNDER_TEMPERATURE), half, level), \
    PAIR(5,  ALARM(CHARGE_OVER_TEMPERATURE),     half, level), \
    PAIR(6,  ALARM(CHARGE_UNDER_TEMPERATURE),    half, level), \
    PAIR(7,  ALARM(DISCHARGE_OVER_CURRENT),      half, level), \
    PAIR(8,  ALARM(CHARGE_OVER_CURRENT),         half, level), \
    PAIR(9,  CONTACTOR,                          half, level), \
    PAIR(10, ALARM(SHORT_CIRCUIT),               half, level), \
    PAIR(11, INTERNAL,                           half, level), \
    PAIR(12, ALARM(CELL_IMBALANCE),              half, level)

/* 35A  AA AA AA 02 | AA AA AA 02        alarms, warnings: all known, none active */
#define ALARM_PAIRS PAIRS(0, ALARM_PROTECTION), PAIRS(1, ALARM_WARNING)

static const struct table_message pylon_12_messages[] = {
    {0x359, 7}, {0x351, 8}, {0x355, 4}, {0x356, 6}, {0x35C, 2}, {0x35E, 8},
};
static const struct table_field pylon_12_fields[] = {
    LIMITS,
    CHARGE,
    MEASURED,
    /* 359  00 00 | 00 00 | 06 | 50 4E   protections, alarms, modules, "PN" */
    BIT(0x359, 0, 1, HIGH_VOLTAGE,                  ALARM_PROTECTION),
    BIT(0x359, 0, 2, LOW_VOLTAGE,                   ALARM_PROTECTION),
    BIT(0x359, 0, 3, HOT,                           ALARM_PROTECTION),
    BIT(0x359, 0, 4, COLD,                          ALARM_PROTECTION),
    BIT(0x359, 0, 7, ALARM(DISCHARGE_OVER_CURRENT) | ALARM(SHORT_CIRCUIT), ALARM_PROTECTION),
    BIT(0x359, 1, 0, ALARM(CHARGE_OVER_CURRENT),    ALARM_PROTECTION),
    BIT(0x359, 1, 3, INTERNAL | CONTACTOR,          ALARM_PROTECTION),
    BIT(0x359, 2, 1, HIGH_VOLTAGE,                  ALARM_WARNING),
    BIT(0x359, 2, 2, LOW_VOLTAGE,                   ALARM_WARNING),
    BIT(0x359, 2, 3, HOT,                           ALARM_WARNING),
    BIT(0x359, 2, 4, COLD,                          ALARM_WARNING),
    BIT(0x359, 2, 7, ALARM(DISCHARGE_OVER_CURRENT), ALARM_WARNING),
    BIT(0x359, 3, 0, ALARM(CHARGE_OVER_CURRENT),    ALARM_WARNING),
    BIT(0x359, 3, 3, ALARM(COMMUNICATION_FAULT),    ALARM_WARNING),
    {.message = 0x359, .at = 4, .kind = TABLE_U8, .id = SHOWN_PACKS, .unit = 1},
    BYTES(0x359, 5, 2, "PN"),
    /* 35C  C0 00                        may charge, may discharge */
    SWITCH(0x35C, 0, 7, CHARGE_MOS),
    SWITCH(0x35C, 0, 6, DISCHARGE_MOS),
    BYTES(0x35E, 0, 8, "PYLON   "),
};

static const struct table_message pylon_13_messages[] = {
    {0x351, 8}, {0x355, 6}, {0x356, 6}, {0x35A, 8}, {0x35E, 8}, {0x35F, 8},
};
static const struct table_field pylon_13_fields[] = {
    LIMITS,
    CHARGE,
    MEASURED,
    ALARM_PAIRS,
    BYTES(0x35E, 0, 8, "PYLON   "),
    /* 35F  4C 49 | 01 03 | 3C 02 | AA 00   lithium, version, 572 Ah, maker */
    BYTES(0x35F, 0, 4, "LI\x01\x03"),
    U16(0x35F, 4, FULL_AH, 1),
    BYTES(0x35F, 6, 2, "\xAA\x00"),
};

static const struct table_message victron_messages[] = {
    {0x351, 8}, {0x355, 6}, {0x356, 6}, {0x35A, 8}, {0x35E, 8}, {0x35F, 6}, {0x370, 8}, {0x371, 8}, {0x372, 8},
    {0x373, 8}, {0x374, 8}, {0x375, 8}, {0x376, 8}, {0x377, 8}, {0x378, 8}, {0x379, 2},
};
static const struct table_field victron_fields[] = {
    LIMITS,
    CHARGE,
    U16(0x355, 4, SOC_PERCENT, 0.01),
    MEASURED,
    ALARM_PAIRS,
    BYTES(0x35E, 0, 8, "packgate"),
    U16(0x35F, 4, FULL_AH, 1), /* product and firmware: 0 */
    TEXT(0x370, TEXT_NAME_1),
    TEXT(0x371, TEXT_NAME_2),
    U16(0x372, 0, SHOWN_PACKS, 1),
    U16(0x372, 2, SHOWN_BLOCKING_CHARGE, 1),
    U16(0x372, 4, SHOWN_BLOCKING_DISCHARGE, 1),
    U16(0x372, 6, SHOWN_MISSING, 1),
    U16(0x373, 0, CELL_MIN_MV, 1),
    U16(0x373, 2, CELL_MAX_MV, 1),
    {.message = 0x373, .at = 4, .kind = TABLE_U16, .id = SHOWN_TEMP_MIN_C, .unit = 1, .zero = -273},
    {.message = 0x373, .at = 6, .kind = TABLE_U16, .id = SHOWN_TEMP_MAX_C, .unit = 1, .zero = -273},
    TEXT(0x374, TEXT_CELL_MIN),
    TEXT(0x375, TEXT_CELL_MAX),
    TEXT(0x376, TEXT_TEMP_MIN),
    TEXT(0x377, TEXT_TEMP_MAX),
    {.message = 0x378, .at = 0, .kind = TABLE_U32, .id = SHOWN_CHARGED_WH, .unit = 100},
    {.message = 0x378, .at = 4, .kind = TABLE_U32, .id = SHOWN_DISCHARGED_WH, .unit = 100},
    U16(0x379, 0, RATED_AH, 1),
};

#define TABLE(prefix) \
    .messages = prefix##_messages, .message_count = COUNT(prefix##_messages), .fields = prefix##_fields, \
    .field_count = COUNT(prefix##_fields)

const struct table can_tables[] = {
    {.name = "pylon-1.2", .title = "Pylontech CAN, version 1.2", TABLE(pylon_12)},
    {.name = "pylon-1.3", .title = "Pylontech CAN, version 1.3", TABLE(pylon_13)},
    {.name = "victron",   .title = "Victron CAN-bus BMS",        TABLE(victron)},
    {0},
};
// clang-format on

const struct table *can_table_find(const char *name)
{
    for (size_t i = 0; can_tables[i].name; i++)
        if (strcmp(can_tables[i].name, name) == 0)
            return &can_tables[i];
    return NULL;
}
