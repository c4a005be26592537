// SPDX-License-Identifier: MIT
/* Bytes that were heard on a line. */
#include "heard.h"

#include <math.h>
#include <string.h>

void heard_clear(struct heard *heard)
{
    heard->size = 0;
    heard->mark_count = 0;
}

/* Where there is no room for a mark, bytes are taken to have come with those before them. */
size_t heard_append(struct heard *heard, const uint8_t *bytes, size_t size, double at)
{
    const size_t room = sizeof heard->bytes - heard->size;
    const size_t part = size < room ? size : room;
    if (heard->mark_count < HEARD_MARKS)
        heard->marks[heard->mark_count++] = (struct heard_mark){heard->size, at};
    memcpy(heard->bytes + heard->size, bytes, part);
    heard->size += part;
    return part;
}

double heard_since(const struct heard *heard)
{
    double time = heard->marks[0].at;
    for (unsigned i = 0; i < heard->mark_count; i++) {
        const bool last = i + 1 == heard->mark_count;
        const size_t end = last ? heard->size : heard->marks[i + 1].offset;
        time = fmin(time, heard->marks[i].at - (double) end * heard->byte_s);
    }
    return time;
}

void heard_drop(struct heard *heard, size_t size)
{
    unsigned past = 0;
    heard->size -= size;
    memmove(heard->bytes, heard->bytes + size, heard->size);
    while (past + 1 < heard->mark_count && heard->marks[past + 1].offset <= size)
        past++;
    heard->mark_count -= past;
    memmove(heard->marks, heard->marks + past, heard->mark_count * sizeof *heard->marks);
    for (unsigned i = 0; i < heard->mark_count; i++)
        heard->marks[i].offset = heard->marks[i].offset > size ? heard->marks[i].offset - size : 0;
    if (heard->size == 0)
        heard->mark_count = 0;
}
