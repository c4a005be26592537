// SPDX-License-Identifier: MIT
#include "switches.h"

#include "bms/bytes.h"
#include "bms/count.h"

#include <math.h>
#include <modbus.h>
#include <string.h>

/* Function 22 (mask write) and 23 (read and write at once) add pitfalls to switches, and no use. */
bool access_sets(uint8_t function)
{
    return mbap_writes(function) && function != MODBUS_FC_MASK_WRITE_REGISTER &&
           function != MODBUS_FC_WRITE_AND_READ_REGISTERS;
}

uint8_t access_decide(const struct sockaddr *client, uint8_t function, bool writable,
                      const struct allow_list *allow_write)
{
    const bool may = access_sets(function) && writable && allow_write &&
                     (!client || allow_contains(allow_write, client));
    return may || !mbap_writes(function) ? 0 : MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
}

/* The switch of a register; -1: none. */
static int switch_of_register(const struct map_settings *map, unsigned address)
{
    const int blocks[] = {map->base, map->also_at};
    for (unsigned i = 0; i < COUNT(blocks); i++) {
        if (blocks[i] == MAP_NONE)
            continue;
        if ((int) address == blocks[i] + MAP_OFFSET_CHARGE)
            return BMS_CHARGE_MOS;
        if ((int) address == blocks[i] + MAP_OFFSET_DISCHARGE)
            return BMS_DISCHARGE_MOS;
    }
    return -1;
}

/* The value for the n-th coil or register. The fields follow the function code:
 *    05, 06: address, value       0F, 10: address, quantity, byte count, values */
static unsigned word_at(const struct mbap_request *request, const uint8_t *fields, unsigned n)
{
    switch (request->function) {
    case MODBUS_FC_WRITE_SINGLE_COIL:
        return be16(fields + 2) == 0xFF00;
    case MODBUS_FC_WRITE_SINGLE_REGISTER:
        return be16(fields + 2);
    case MODBUS_FC_WRITE_MULTIPLE_COILS:
        return fields[5 + n / 8] >> n % 8 & 1;
    default:
        return be16(fields + 5 + 2 * n);
    }
}

/* A setting: a float in its two registers, and nothing else in the same request. */
static bool read_setting(const struct map_settings *map, const struct mbap_request *request,
                         const uint8_t *fields, struct switches *switches)
{
    if (request->function != MODBUS_FC_WRITE_MULTIPLE_REGISTERS || request->write.count != 2 ||
        !map_setting_at(map, request->write.address, &switches->setting))
        return false;
    const unsigned first = word_at(request, fields, 0), second = word_at(request, fields, 1);
    const uint32_t bits = map->big_floats ? first << 16 | second : second << 16 | first;
    float value;
    memcpy(&value, &bits, sizeof value);
    switches->sets = true;
    switches->value = (double) value;
    switches->before = NAN;
    return true;
}

uint8_t switches_read(const struct map_settings *map, const struct mbap_request *request,
                      const uint8_t *frame, struct switches *switches)
{
    bool coils = request->function == MODBUS_FC_WRITE_SINGLE_COIL ||
                 request->function == MODBUS_FC_WRITE_MULTIPLE_COILS;
    uint8_t exception = 0;
    *switches = (struct switches){0};
    if (read_setting(map, request, frame + MBAP_HEADER + 1, switches))
        return isfinite(switches->value) ? 0 : MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    for (unsigned n = 0; n < request->write.count; n++) {
        unsigned address = request->write.address + n;
        int which = !coils                          ? switch_of_register(map, address)
                    : address == MAP_COIL_CHARGE    ? BMS_CHARGE_MOS
                    : address == MAP_COIL_DISCHARGE ? BMS_DISCHARGE_MOS
                                                    : -1;
        unsigned value = word_at(request, frame + MBAP_HEADER + 1, n);
        if (which < 0)
            return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
        if (value > 1)
            exception = MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE; /* a wrong address takes precedence */
        switches->wanted[which] = true;
        switches->on[which] = value == 1;
    }
    return exception;
}

uint8_t switches_exception(enum order_result result)
{
    switch (result) {
    case ORDER_PENDING:
    case ORDER_LOOK:
    case ORDER_DONE:
        return 0;
    case ORDER_REFUSED:
        return MODBUS_EXCEPTION_SLAVE_OR_SERVER_FAILURE;
    case ORDER_UNANSWERED:
    case ORDER_TOO_LATE:
    case ORDER_NO_LINE:
        return MODBUS_EXCEPTION_GATEWAY_TARGET;
    case ORDER_NOT_NOW:
    case ORDER_BUSY:
        return MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY;
    case ORDER_NO_SETTING:
        return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    case ORDER_OUT_OF_RANGE:
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    case ORDER_NOT_ALLOWED:
        break;
    }
    return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
}
