// SPDX-License-Identifier: MIT
/* Decides whether a request is allowed. */
#include "access.h"

#include "mbap.h"

#include <modbus.h>

/* Function 22 (mask write) and 23 (read and write at once) are rejected for switches: they add
 * pitfalls and no use. */
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
