// SPDX-License-Identifier: MIT
/*
 * The frame of YD/T 1363:
 *
 *   ~  21  01   46    42    E   002     01    FD34    CR
 *      VER ADR  CID1  CID2  |   LENID   INFO  CHKSUM
 *                           LCHKSUM
 *
 * Follows the sheet `topbms`, section 2. Oddities: LENID counts characters; CHKSUM does not detect
 * two swapped characters; a frame never contains '~', so this character always begins a new one.
 */
#include "ydt1363.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <string.h>

#define SOI '~'
#define EOI '\r'
#define LENGTH_AT 9

/* Parses `digits` hexadecimal characters; -1: not hexadecimal. */
static int32_t number(const uint8_t *text, size_t digits)
{
    int32_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (hex_digit(text[i]) < 0)
            return -1;
        value = value << 4 | hex_digit(text[i]);
    }
    return value;
}

/* The difference of the sum of LENID's three digits from a multiple of 16. */
static uint32_t length_checksum(uint32_t lenid)
{
    return (0x10 - ((lenid >> 8) + (lenid >> 4 & 0x0F) + (lenid & 0x0F)) % 0x10) % 0x10;
}

static uint16_t checksum(const uint8_t *frame, size_t size)
{
    return (uint16_t) (0x10000 - (sum_bytes(frame + 1, size - 1) & 0xFFFF));
}

static bool ends_line(uint8_t c)
{
    /* A terminal in between may have changed CR to LF (section 11, 5). */
    return c == EOI || c == '\n';
}

enum ydt_state ydt_find(const uint8_t *bytes, size_t size, size_t *span)
{
    if (bytes[0] != SOI) {
        const uint8_t *start = memchr(bytes, SOI, size);
        *span = start ? (size_t) (start - bytes) : size;
        return YDT_NOISE;
    }
    for (size_t i = 1; i < YDT_HEAD_SIZE; i++) {
        if (i == size)
            return YDT_MORE;
        if (hex_digit(bytes[i]) < 0) {
            *span = i;
            return YDT_NOISE;
        }
    }
    /* Checks the rest of a frame whose head is complete and hexadecimal. */
    uint32_t length = (uint32_t) number(bytes + LENGTH_AT, 4);
    *span = YDT_HEAD_SIZE;
    if (length_checksum(length & 0xFFF) != length >> 12)
        return YDT_BAD_LENGTH;
    size_t total = YDT_FRAME_SIZE(length & 0xFFF);
    size_t end = size < total ? size : total;
    size_t last = end == total ? total - 1 : end;
    /* The first character between the head and the last one that can be neither INFO nor CHKSUM. */
    size_t at = YDT_HEAD_SIZE;
    while (at < last && bytes[at] != SOI && !ends_line(bytes[at]))
        at++;
    if (at < last) {
        *span = bytes[at] == SOI ? at : at + 1;
        return YDT_BROKEN;
    }
    if (size < total)
        return YDT_MORE;
    *span = bytes[total - 1] == SOI ? total - 1 : total;
    /* Checks the end and the checksum of a line that has the right length. */
    if (!ends_line(bytes[total - 1]))
        return YDT_BROKEN;
    return number(bytes + total - 5, 4) == checksum(bytes, total - 5) ? YDT_GOOD : YDT_BAD_SUM;
}

struct bms_span ydt_frame(const struct bms *bms, const struct bms_request *request,
                          const uint8_t *bytes, size_t size)
{
    static const enum bms_span_kind kinds[] = {
        [YDT_MORE] = BMS_MORE,      [YDT_GOOD] = BMS_FRAME,         [YDT_NOISE] = BMS_SKIP,
        [YDT_BROKEN] = BMS_DAMAGED, [YDT_BAD_LENGTH] = BMS_DAMAGED, [YDT_BAD_SUM] = BMS_DAMAGED};
    size_t span = 0;
    const enum ydt_state state = ydt_find(bytes, size, &span);
    return (struct bms_span){kinds[state], state == YDT_MORE ? 0 : span};
}

bool ydt_read_head(const uint8_t *bytes, size_t size, struct ydt_head *head)
{
    if (size < YDT_HEAD_SIZE || bytes[0] != SOI)
        return false;
    const int32_t first = number(bytes + 1, 4), second = number(bytes + 5, 4);
    if (first < 0 || second < 0)
        return false;
    *head = (struct ydt_head){(uint8_t) (first >> 8), (uint8_t) first, (uint8_t) (second >> 8),
                              (uint8_t) second};
    return true;
}

bool ydt_parse(const uint8_t *bytes, size_t size, struct ydt_frame *frame)
{
    size_t span = 0;
    if (size == 0 || ydt_find(bytes, size, &span) != YDT_GOOD || span != size)
        return false;
    frame->info = bytes + YDT_HEAD_SIZE;
    frame->info_size = size - YDT_FRAME_SIZE(0);
    return ydt_read_head(bytes, size, &frame->head);
}

bool ydt_read_info(const struct ydt_frame *frame, uint8_t info[YDT_INFO_MAX], size_t *size)
{
    if (frame->info_size % 2 != 0)
        return false;
    for (size_t i = 0; i < frame->info_size / 2; i++) {
        int32_t value = number(frame->info + 2 * i, 2);
        if (value < 0)
            return false;
        info[i] = (uint8_t) value;
    }
    *size = frame->info_size / 2;
    return true;
}

/* Completes a frame around the characters of INFO that stand in it; returns its size. */
static size_t enclose(uint8_t *out, const struct ydt_head *head, size_t characters)
{
    const uint32_t lenid = (uint32_t) characters;
    const size_t end = YDT_HEAD_SIZE + characters;
    out[0] = SOI;
    put_hex(out + 1, 4, (uint32_t) head->version << 8 | head->address);
    put_hex(out + 5, 4, (uint32_t) head->device << 8 | head->code);
    put_hex(out + LENGTH_AT, 4, length_checksum(lenid) << 12 | lenid);
    put_hex(out + end, 4, checksum(out, end));
    out[end + 4] = EOI;
    return end + 5;
}

size_t ydt_write(uint8_t *out, const struct ydt_head *head, const uint8_t *info, size_t size)
{
    for (size_t i = 0; i < size; i++)
        put_hex(out + YDT_HEAD_SIZE + 2 * i, 2, info[i]);
    return enclose(out, head, 2 * size);
}

size_t ydt_write_text(uint8_t *out, const struct ydt_head *head, const uint8_t *text, size_t size)
{
    if (size > 0)
        memcpy(out + YDT_HEAD_SIZE, text, size);
    return enclose(out, head, size);
}
