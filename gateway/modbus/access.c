// SPDX-License-Identifier: MIT
/* The decision on a request. */
#include "access.h"

#include "mbap.h"

#include <modbus.h>

/* Masking bits of a switch, or reading and writing at once, has no use that would be worth its
 * pitfalls. */
bool access_sets(uint8_t function)
{
    return mbap_writes(function) && function != MODBUS_FC_MASK_WRITE_REGISTER &&
           function != MODBUS_FC_WRITE_AND_READ_REGISTERS;
}

uint8_t access_decide(const struct access_request *request)
{
    if (!mbap_writes(request->function))
        return 0;
    bool may = access_sets(request->function) && request->writable && request->allow_write &&
               allow_contains(request->allow_write, request->client);
    return may ? 0 : MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
}
