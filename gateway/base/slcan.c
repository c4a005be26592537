// SPDX-License-Identifier: MIT
#include "slcan.h"

#include "bms/bytes.h"

#include <stdio.h>
#include <string.h>

#define NO_FRAME 9
#define HEAD 5 /* t, identifier, size */

size_t slcan_write(const struct can_message *frame, uint8_t out[SLCAN_LINE])
{
    char line[SLCAN_LINE + 1];
    int size = snprintf(line, sizeof line, "t%03X%u", frame->id & 0xFFFu, frame->size & 15u);
    for (unsigned i = 0; i < frame->size; i++)
        size += snprintf(line + size, 3, "%02X", frame->data[i]);
    line[size++] = '\r';
    memcpy(out, line, (size_t) size);
    return (size_t) size;
}

/* Adapters may add a time stamp behind the data. */
static void parse_frame(const uint8_t *line, size_t size, struct can_message *frame)
{
    frame->size = NO_FRAME;
    if (size < HEAD || line[0] != 't')
        return;
    for (size_t i = 1; i < size; i++)
        if (hex_digit(line[i]) < 0)
            return;
    const unsigned count = (unsigned) hex_digit(line[4]);
    if (count > 8 || size < HEAD + 2 * count)
        return;
    frame->id = (uint16_t) (hex_digit(line[1]) << 8 | hex_digit(line[2]) << 4 | hex_digit(line[3]));
    for (unsigned i = 0; i < count; i++)
        frame->data[i] =
            (uint8_t) (hex_digit(line[HEAD + 2 * i]) << 4 | hex_digit(line[HEAD + 2 * i + 1]));
    frame->size = (uint8_t) count;
}

size_t slcan_read(const uint8_t *bytes, size_t size, struct can_message *frame)
{
    const uint8_t *end = size > 0 ? memchr(bytes, '\r', size) : NULL;
    if (!end)
        return 0;
    parse_frame(bytes, (size_t) (end - bytes), frame);
    return (size_t) (end - bytes) + 1;
}
