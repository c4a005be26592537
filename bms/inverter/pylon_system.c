// SPDX-License-Identifier: MIT
/*
 * Pylontech RS485, system level. Follows the sheet `inverter-rs485`. Oddities: a reply has a return code where the request
 * had its command; the discharge current is positive in 63H, negative in 92H.
 */
#include "pylon_system.h"

#include "bms/topbms/ydt1363.h"

#include <stdlib.h>
#include <string.h>

#define DEVICE 0x46 /* CID1 */
#define VERSION 0x20
#define PROTOCOL_VERSION 0x4F
#define FIRMWARE_VERSION 0x96
#define MAKER 0x51

// clang-format off
#define ALARM(name) (UINT32_C(1) << (name))
#define HOT      (ALARM(CHARGE_OVER_TEMPERATURE) | ALARM(DISCHARGE_OVER_TEMPERATURE))
#define COLD     (ALARM(CHARGE_UNDER_TEMPERATURE) | ALARM(DISCHARGE_UNDER_TEMPERATURE))
#define INTERNAL (ALARM(HARDWARE_FAULT) | ALARM(CHARGE_MOS_FAULT) | ALARM(DISCHARGE_MOS_FAULT))

#define NUMBER(command, byte, kind_, what, unit_) {.message = command, .at = byte, .kind = kind_, .id = what, .unit = unit_}
#define KELVIN(command, byte, what, unknown_) \
    {.message = command, .at = byte, .kind = TABLE_U16, .id = what, .unit = 0.1, .zero = -273.1, .unknown = unknown_}
#define PLACE(command, byte, what) \
    {.message = command, .at = byte, .kind = TABLE_U16, .id = what, .unit = 1, .unknown = UNKNOWN_ZERO}
#define BIT(command, byte, bit_, which, level_) \
    {.message = command, .at = byte, .bit = bit_, .kind = TABLE_ALARM, .alarms = which, .level = level_}

static const struct table_message messages[] = {
    {PYLON_SYSTEM_ANALOG, 49}, {PYLON_SYSTEM_ALARMS, 4}, {PYLON_SYSTEM_LIMITS, 9},
};
static const struct table_field fields[] = {
    /* C2BF | 0000 | 55 | 0008 0008 | 64 64 | 0CFC 0002 0CFB 0002 | 0BAB 0BAC 0002 0BA9 0002 | 0BA8 … | 0BB0 …
     * mV   | 10mA | %  | cycles    | %     | cells, pack         | cells, 0.1 K, pack       | MOS    | board */
    NUMBER(0x61, 0,  TABLE_U16, VOLTAGE_V,   0.001),
    NUMBER(0x61, 2,  TABLE_S16, CURRENT_A,   0.01),
    NUMBER(0x61, 4,  TABLE_U8,  SOC_PERCENT, 1),
    NUMBER(0x61, 5,  TABLE_U16, CYCLES,      1), /* on average; of a bank only the most are known */
    NUMBER(0x61, 7,  TABLE_U16, CYCLES,      1), /* the most */
    NUMBER(0x61, 9,  TABLE_U8,  SOH_PERCENT, 1), /* on average */
    NUMBER(0x61, 10, TABLE_U8,  SOH_PERCENT, 1), /* the lowest; of a bank only the average is known */
    NUMBER(0x61, 11, TABLE_U16, CELL_MAX_MV, 1),
    PLACE(0x61,  13, SHOWN_CELL_MAX_PACK),
    NUMBER(0x61, 15, TABLE_U16, CELL_MIN_MV, 1),
    PLACE(0x61,  17, SHOWN_CELL_MIN_PACK),
    KELVIN(0x61, 19, TEMP_AVG_C,             UNKNOWN_SILENCE),
    KELVIN(0x61, 21, SHOWN_TEMP_MAX_C,       UNKNOWN_SILENCE),
    PLACE(0x61,  23, SHOWN_TEMP_MAX_PACK),
    KELVIN(0x61, 25, SHOWN_TEMP_MIN_C,       UNKNOWN_SILENCE),
    PLACE(0x61,  27, SHOWN_TEMP_MIN_PACK),
    KELVIN(0x61, 29, SHOWN_MOS_TEMP_C,       UNKNOWN_ZERO), /* on average */
    KELVIN(0x61, 31, MOS_TEMP_C,             UNKNOWN_ZERO), /* the hottest */
    KELVIN(0x61, 35, SHOWN_MOS_TEMP_C,       UNKNOWN_ZERO), /* the coldest */
    /* The temperatures of the board, from 39 on, are unknown: 0, like a missing sensor. */

    /* 00 00 | 00 00   alarms, protections. Only one source has the bits. */
    BIT(0x62, 0, 7, ALARM(PACK_OVER_VOLTAGE),      ALARM_WARNING),
    BIT(0x62, 0, 6, ALARM(PACK_UNDER_VOLTAGE),     ALARM_WARNING),
    BIT(0x62, 0, 5, ALARM(CELL_OVER_VOLTAGE),      ALARM_WARNING),
    BIT(0x62, 0, 4, ALARM(CELL_UNDER_VOLTAGE),     ALARM_WARNING),
    BIT(0x62, 0, 3, HOT,                           ALARM_WARNING),
    BIT(0x62, 0, 2, COLD,                          ALARM_WARNING),
    BIT(0x62, 0, 1, ALARM(MOS_OVER_TEMPERATURE),   ALARM_WARNING),
    BIT(0x62, 0, 0, ALARM(CELL_IMBALANCE),         ALARM_WARNING),
    BIT(0x62, 1, 7, ALARM(TEMPERATURE_IMBALANCE),  ALARM_WARNING),
    BIT(0x62, 1, 6, ALARM(CHARGE_OVER_CURRENT),    ALARM_WARNING),
    BIT(0x62, 1, 5, ALARM(DISCHARGE_OVER_CURRENT), ALARM_WARNING),
    BIT(0x62, 1, 4, ALARM(COMMUNICATION_FAULT),    ALARM_WARNING),
    BIT(0x62, 2, 7, ALARM(PACK_OVER_VOLTAGE),      ALARM_PROTECTION),
    BIT(0x62, 2, 6, ALARM(PACK_UNDER_VOLTAGE),     ALARM_PROTECTION),
    BIT(0x62, 2, 5, ALARM(CELL_OVER_VOLTAGE),      ALARM_PROTECTION),
    BIT(0x62, 2, 4, ALARM(CELL_UNDER_VOLTAGE),     ALARM_PROTECTION),
    BIT(0x62, 2, 3, HOT,                           ALARM_PROTECTION),
    BIT(0x62, 2, 2, COLD,                          ALARM_PROTECTION),
    BIT(0x62, 2, 1, ALARM(MOS_OVER_TEMPERATURE),   ALARM_PROTECTION),
    BIT(0x62, 3, 6, ALARM(CHARGE_OVER_CURRENT),    ALARM_PROTECTION),
    BIT(0x62, 3, 5, ALARM(DISCHARGE_OVER_CURRENT) | ALARM(SHORT_CIRCUIT), ALARM_PROTECTION),
    BIT(0x62, 3, 3, INTERNAL,                      ALARM_PROTECTION),

    /* 7080 | 5460 | 0640 | 06A4 | C0   28.8 V, 21.6 V, 160 A, 170 A, may charge and discharge */
    NUMBER(0x63, 0, TABLE_U16, CHARGE_VOLTAGE_LIMIT_V,    0.001),
    NUMBER(0x63, 2, TABLE_U16, DISCHARGE_VOLTAGE_LIMIT_V, 0.001),
    NUMBER(0x63, 4, TABLE_S16, CHARGE_CURRENT_LIMIT_A,    0.1),
    NUMBER(0x63, 6, TABLE_S16, DISCHARGE_CURRENT_LIMIT_A, 0.1),
    {.message = 0x63, .at = 8, .bit = 7, .kind = TABLE_SWITCH, .id = CHARGE_MOS},
    {.message = 0x63, .at = 8, .bit = 6, .kind = TABLE_SWITCH, .id = DISCHARGE_MOS},
};
// clang-format on

const struct table pylon_system_table = {
    .name = "pylontech",
    .title = "Pylontech RS485, system level",
    .big_endian = true,
    .messages = messages,
    .message_count = COUNT(messages),
    .fields = fields,
    .field_count = COUNT(fields),
};

bool pylon_system_answers(const struct bms_driver *driver, int variant)
{
    return strcmp(driver->name, "topbms") == 0 &&
           strcmp(driver->variants[variant], "pylontech") == 0;
}

/* 02 | 02 03 00 06 05: the number of the battery, and up to five numbers of its firmware. */
static unsigned write_firmware(uint8_t address, const char *text, uint8_t info[TABLE_MESSAGE_MAX])
{
    unsigned size = 0;
    memset(info, 0, 6);
    info[0] = address;
    while (*text && size < 5) {
        char *end;
        unsigned long number = strtoul(text, &end, 10);
        if (end > text)
            info[++size] = (uint8_t) (number > UINT8_MAX ? UINT8_MAX : number);
        text = end > text ? end : text + 1;
    }
    return size > 0 ? 6 : 0;
}

size_t pylon_system_answer(uint8_t address, const struct shown *shown, const uint8_t *bytes,
                           size_t size, struct bms_output *out, struct shown *told)
{
    struct ydt_frame asked;
    size_t span = 0;
    out->size = 0;
    if (size == 0 || ydt_find(bytes, size, &span) != YDT_GOOD || !ydt_parse(bytes, span, &asked))
        return 0;
    uint8_t info[TABLE_MESSAGE_MAX];
    const uint8_t command = asked.head.code;
    const bool is_version = command == PROTOCOL_VERSION || command == FIRMWARE_VERSION;
    if (!is_version && (command < PYLON_SYSTEM_ANALOG || command > PYLON_SYSTEM_LIMITS))
        return 0;
    if (asked.head.address != address || asked.head.device != DEVICE)
        return span;
    unsigned used = is_version ? 0 : table_write(&pylon_system_table, command, shown, info);
    table_read(&pylon_system_table, command, info, used, told);
    if (command == FIRMWARE_VERSION && !shown->stopping)
        used = write_firmware(address, shown->values.text[FIRMWARE], info);
    if (used == 0 && command != PROTOCOL_VERSION)
        return span;
    const struct ydt_head head = {.version = VERSION, .address = address, .device = DEVICE};
    out->size = ydt_write(out->bytes, &head, info, used);
    return span;
}

size_t pylon_system_shorten(const uint8_t *bytes, size_t size, struct bms_request *request)
{
    struct ydt_frame asked;
    uint8_t info[YDT_INFO_MAX];
    size_t span = 0, info_size;
    if (size == 0 || ydt_find(bytes, size, &span) != YDT_GOOD || !ydt_parse(bytes, span, &asked) ||
        !ydt_read_info(&asked, info, &info_size) || info_size != 2 || asked.head.code == 0)
        return 0;
    request->size = ydt_write(request->bytes, &asked.head, info, asked.head.code != MAKER);
    return span;
}

void pylon_system_ask(uint8_t address, uint8_t command, struct bms_request *request)
{
    const struct ydt_head head = {VERSION, address, DEVICE, command};
    request->size = ydt_write(request->bytes, &head, NULL, 0);
}

bool pylon_system_read(uint8_t address, uint8_t command, const uint8_t *frame, size_t size,
                       struct shown *shown)
{
    struct ydt_frame reply;
    uint8_t info[YDT_INFO_MAX];
    size_t info_size;
    return ydt_parse(frame, size, &reply) && reply.head.address == address &&
           reply.head.device == DEVICE && reply.head.code == 0 &&
           ydt_read_info(&reply, info, &info_size) &&
           table_read(&pylon_system_table, command, info, (unsigned) info_size, shown);
}
