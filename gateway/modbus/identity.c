// SPDX-License-Identifier: MIT
/* An unknown object id restarts a stream, but is an error for individual access. */
#include "identity.h"

#include "bms/count.h"

#include <modbus.h>
#include <string.h>

#define CONFORMITY 0x82 /* regular, stream and individual access */
#define HEAD 7          /* bytes before the first object */
#define OBJECT_HEAD 2   /* id and length, in bytes */

enum access_code { STREAM_BASIC = 1, STREAM_REGULAR, STREAM_EXTENDED, INDIVIDUAL };

/* The last object of a stream. A request for extended objects gets the regular ones. */
static const uint8_t last_id[] = {
    [STREAM_BASIC] = 0x02, [STREAM_REGULAR] = 0x7F, [STREAM_EXTENDED] = 0x7F};

/* The answer:
 *   2B       | 0E   | 01             | 82         | 00           | 00          | 03      | 00 | 07     | …
 *   function | type | code, as asked | conformity | more follows | next object | objects | id | length | text */
uint8_t identity_read(const char *unit, const uint8_t pdu[4], struct identity_reply *reply)
{
    /* In ascending order, and all of them fit into one answer. */
    const struct {
        uint8_t id;
        const char *text; /* ASCII */
    } objects[] = {
        {0x00, "packgate"},                                       /* vendor */
        {0x01, "packgate"},                                       /* product code */
        {0x02, PACKGATE_VERSION},                                 /* revision */
        {0x04, "packgate, Modbus TCP gateway for battery packs"}, /* product name */
        {0x06, unit},                                             /* application name */
    };
    const uint8_t code = pdu[2], asked = pdu[3];
    if (code < STREAM_BASIC || code > INDIVIDUAL)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    const uint8_t last = code == INDIVIDUAL ? asked : last_id[code];
    size_t i = 0;
    while (i < COUNT(objects) && objects[i].id != asked)
        i++;
    if (i == COUNT(objects) && code == INDIVIDUAL)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    if (i == COUNT(objects) || objects[i].id > last)
        i = 0;
    const uint8_t head[HEAD] = {MBAP_FC_IDENTIFY, MBAP_MEI_IDENTIFY, code, CONFORMITY, 0, 0, 0};
    memcpy(reply->pdu, head, HEAD);
    reply->size = HEAD;
    for (; i < COUNT(objects) && objects[i].id <= last; i++) {
        const size_t size = strlen(objects[i].text);
        if (reply->size + OBJECT_HEAD + size > sizeof reply->pdu)
            break;
        uint8_t *at = reply->pdu + reply->size;
        at[0] = objects[i].id;
        at[1] = (uint8_t) size;
        memcpy(at + OBJECT_HEAD, objects[i].text, size);
        reply->size += OBJECT_HEAD + size;
        reply->pdu[6]++;
    }
    return 0;
}
