// SPDX-License-Identifier: MIT
/*
 * Modbus function 8. Follows "MODBUS Application Protocol Specification V1.1b3", 6.8. Rejects "force listen only" (4) on
 * purpose: any device on the line could use it to suppress the stop that a master waits for.
 */
#include "diagnostics.h"

#include "bms/bytes.h"

#include <modbus.h>
#include <string.h>

uint8_t diagnostics_answer(struct diagnostics *counted, const uint8_t *pdu, size_t size,
                           uint8_t answer[DIAGNOSTICS_ANSWER])
{
    if (size != DIAGNOSTICS_ANSWER)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    const unsigned what = be16(pdu + 1), data = be16(pdu + 3);
    const uint32_t counters[] = {counted->messages, counted->errors,     counted->exceptions,
                                 counted->ours,     counted->unanswered, 0 /* NAK */,
                                 counted->busy,     counted->overruns};
    memcpy(answer, pdu, DIAGNOSTICS_ANSWER);
    if (what == 0) /* return the data of the request */
        return 0;
    if (data != 0 && !(what == 1 && data == 0xFF00))
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    if (what == 1 || what == 0x0A) { /* restart, clear */
        *counted = (struct diagnostics){0};
        return 0;
    }
    if (what == 0x14) {
        counted->overruns = 0;
        return 0;
    }
    if (what == 2) /* the diagnostic register has no bits */
        put_be16(answer + 3, 0);
    else if (what >= 0x0B && what <= 0x12)
        put_be16(answer + 3, counters[what - 0x0B]);
    else
        return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
    return 0;
}
