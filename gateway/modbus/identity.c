// SPDX-License-Identifier: MIT
/*
 * Read device identification. A stream that does not fit into one answer ends with "more follows"
 * and the id of the next object. An unknown object id restarts a stream, but is an error for
 * individual access.
 */
#include "identity.h"

#include <modbus.h>
#include <string.h>

#define CONFORMITY 0x82 /* regular, stream and individual access */
#define MORE_FOLLOWS 0xFF
#define HEAD 7        /* bytes before the first object */
#define OBJECT_HEAD 2 /* id and length, in bytes */
#define TEXT_MAX (MBAP_PDU_MAX - HEAD - OBJECT_HEAD)

enum access_code { STREAM_BASIC = 1, STREAM_REGULAR, STREAM_EXTENDED, INDIVIDUAL };

/* The last object of a stream. There are only the regular objects; a request for extended ones
 * gets these. */
static const uint8_t last_id[] = {
    [STREAM_BASIC] = 0x02, [STREAM_REGULAR] = 0x7F, [STREAM_EXTENDED] = 0x7F};

static bool append_object(const struct identity_object *object, struct identity_reply *reply)
{
    const size_t size = strnlen(object->text, TEXT_MAX);
    if (reply->size + OBJECT_HEAD + size > sizeof reply->pdu)
        return false;
    uint8_t *at = reply->pdu + reply->size;
    at[0] = object->id;
    at[1] = (uint8_t) size;
    memcpy(at + OBJECT_HEAD, object->text, size);
    reply->size += OBJECT_HEAD + size;
    reply->pdu[6]++;
    return true;
}

/* The head of an answer:
 *   2B       | 0E   | 01             | 82         | 00 or FF     | 00          | 03
 *   function | type | code, as asked | conformity | more follows | next object | objects in this
 * answer */
static void begin_reply(const uint8_t pdu[4], struct identity_reply *reply)
{
    const uint8_t head[HEAD] = {MBAP_FC_IDENTIFY, MBAP_MEI_IDENTIFY, pdu[2], CONFORMITY, 0, 0, 0};
    memcpy(reply->pdu, head, HEAD);
    reply->size = HEAD;
}

/* Index of an object, or `count` if there is none. */
static size_t find_object(const struct identity_object *objects, size_t count, uint8_t id)
{
    size_t i = 0;
    while (i < count && objects[i].id != id)
        i++;
    return i;
}

static void read_stream(const struct identity_object *objects, size_t count, const uint8_t pdu[4],
                        struct identity_reply *reply)
{
    const uint8_t last = last_id[pdu[2]];
    size_t i = find_object(objects, count, pdu[3]);
    if (i == count || objects[i].id > last)
        i = 0;
    begin_reply(pdu, reply);
    while (i < count && objects[i].id <= last && append_object(&objects[i], reply))
        i++;
    if (i < count && objects[i].id <= last) {
        reply->pdu[4] = MORE_FOLLOWS;
        reply->pdu[5] = objects[i].id;
    }
}

uint8_t identity_read(const struct identity_object *objects, size_t count, const uint8_t pdu[4],
                      struct identity_reply *reply)
{
    switch (pdu[2]) {
    case STREAM_BASIC:
    case STREAM_REGULAR:
    case STREAM_EXTENDED:
        read_stream(objects, count, pdu, reply);
        return 0;
    case INDIVIDUAL: {
        const size_t i = find_object(objects, count, pdu[3]);
        if (i == count)
            return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
        begin_reply(pdu, reply);
        append_object(&objects[i], reply);
        return 0;
    }
    default:
        return MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE;
    }
}
