// SPDX-License-Identifier: MIT
/* Checksums put right, form by form. */
#include "repair.h"

#include "tests/battery_random.h"
#include "bms/bytes.h"
#include "bms/checksum.h"

#include <string.h>

/* Each takes what stands at bytes[0…size-1], repairs a frame there and returns its size; 0: none
 * starts here. */
typedef size_t repair_frame(const struct bms_request *request, uint8_t *bytes, size_t size);

/* A5 … 13 bytes, the last their sum. */
static size_t daly(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (bytes[0] != 0xA5 || size < 13)
        return 0;
    bytes[12] = (uint8_t) sum_bytes(bytes, 12);
    return 13;
}

/* Modbus RTU, replies: the length stands in the third byte of a read, all others are short. */
static size_t modbus(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (size < 5)
        return 0;
    size_t length = bytes[1] & 0x80 ? 5 : 8;
    if (bytes[1] >= 0x01 && bytes[1] <= 0x04)
        length = 5u + bytes[2];
    if (length > size)
        length = size;
    put_le16(bytes + length - 2, crc16_modbus(bytes, length - 2));
    return length;
}

/* One reply with its CRC over request and data, as long as was asked for. */
static size_t sinowealth(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    if (request->size < 3 || size <= request->bytes[2])
        return 0;
    size_t count = request->bytes[2];
    bytes[count] = crc8(crc8(0, request->bytes, 3), bytes, count);
    return count + 1;
}

static size_t jbd_frame(uint8_t *bytes, size_t size, size_t header, size_t sum_from)
{
    if (bytes[0] != 0xDD || size < header + 3)
        return 0;
    size_t length = header + bytes[header - 1] + 3u;
    if (length > size)
        return 0;
    put_be16(bytes + length - 3, 0x10000 - sum_bytes(bytes + sum_from, length - 3 - sum_from));
    bytes[length - 1] = 0x77;
    return length;
}

static size_t jbd(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    return jbd_frame(bytes, size, 4, 2);
}

static size_t jbd_addressed(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    return jbd_frame(bytes, size, 5, 1);
}

static size_t jbd_up(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (size < 10 || be16(bytes + 6) + 10u > size)
        return 0;
    size_t length = be16(bytes + 6) + 10u;
    put_le16(bytes + length - 2, crc16_modbus(bytes, length - 2));
    return length;
}

/* 4E 57 | length | … | 68 | 00 00 | sum. A length that does not fit becomes one that does. */
static size_t jk_4e57(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (bytes[0] != 0x4E || size < 21 || bytes[1] != 0x57)
        return 0;
    size_t length = be16(bytes + 2) + 2u;
    if (length > size || length < 21) {
        length = size;
        put_be16(bytes + 2, (uint32_t) (length - 2));
    }
    bytes[length - 5] = 0x68;
    put_be16(bytes + length - 4, 0);
    put_be16(bytes + length - 2, sum_bytes(bytes, length - 4));
    return length;
}

/* 55 AA EB 90 … 300 bytes, and acknowledgements AA 55 90 EB … 20 bytes. */
static size_t jk02(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    static const uint8_t record[] = {0x55, 0xAA, 0xEB, 0x90},
                         short_one[] = {0xAA, 0x55, 0x90, 0xEB};
    size_t length = 0;
    if (size >= 300 && memcmp(bytes, record, sizeof record) == 0)
        length = 300;
    else if (size >= 20 && memcmp(bytes, short_one, sizeof short_one) == 0)
        length = 20;
    if (length > 0)
        bytes[length - 1] = (uint8_t) sum_bytes(bytes, length - 1);
    return length;
}

/* Records, their acknowledgements, and registers. */
static size_t jk_pb(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    size_t length = jk02(request, bytes, size);
    return length > 0 ? length : modbus(request, bytes, size);
}

/* ~ VV AA TT CC LLLL … KKKK CR: both checks, and a length that goes up to the CR. */
static size_t topbms(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    const uint8_t *end = memchr(bytes, '\r', size);
    size_t length = end ? (size_t) (end - bytes) + 1 : size;
    if (bytes[0] != '~' || length < 18 || length - 18 > 0xFFF)
        return 0;
    unsigned count = (unsigned) length - 18;
    unsigned check = (16 - ((count >> 8) + (count >> 4 & 15) + (count & 15)) % 16) % 16;
    put_hex(bytes + 9, 4, check << 12 | count);
    put_hex(bytes + length - 5, 4, 0x10000 - sum_bytes(bytes + 1, length - 6));
    bytes[length - 1] = '\r';
    return length;
}

static unsigned hex_value(uint8_t digit)
{
    return digit >= 'A' ? (digit - 'A' + 10u) & 15 : digit & 15;
}

/* ":7FF0F0040\n": all digits and the check make 55. */
static size_t vedirect_hex(uint8_t *bytes, size_t size)
{
    const uint8_t *end = memchr(bytes, '\n', size);
    size_t length = end ? (size_t) (end - bytes) + 1 : 0;
    if (length < 5)
        return 0;
    unsigned sum = hex_value(bytes[1]);
    for (size_t i = 2; i + 4 < length; i += 2)
        sum += hex_value(bytes[i]) << 4 | hex_value(bytes[i + 1]);
    put_hex(bytes + length - 3, 2, (0x55 - sum) & 0xFF);
    return length;
}

/* Lines up to the byte behind "Checksum\t", which makes them 0; HEX in between does not count. */
static size_t vedirect(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    static const char label[] = "Checksum\t";
    const size_t label_size = sizeof label - 1;
    if (bytes[0] == ':')
        return vedirect_hex(bytes, size);
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        size_t skipped = bytes[i] == ':' ? vedirect_hex(bytes + i, size - i) : 0;
        if (skipped > 0) {
            i += skipped - 1;
            continue;
        }
        bool last = i >= label_size && memcmp(bytes + i - label_size, label, label_size) == 0;
        if (last)
            bytes[i] = (uint8_t) (0x100 - sum);
        sum = (uint8_t) (sum + bytes[i]);
        if (last)
            return i + 1;
    }
    return size;
}

/* 7E A1 | function | register | n | data | CRC | … . What only asks has no data. */
static size_t ant(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (bytes[0] != 0x7E || size < 10 || bytes[1] != 0xA1)
        return 0;
    bool bare = bytes[2] == 0x01 || bytes[2] == 0x02 || bytes[2] == 0x22 || bytes[2] == 0x51;
    size_t length = 8u + (bare ? 0 : bytes[5]);
    if (length > size)
        return 0;
    put_le16(bytes + length - 2, crc16_modbus(bytes + 1, length - 3));
    return length;
}

/* AA 55 AA FF … 140 bytes, and commands of six. */
static size_t ant_old(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (size >= 6 && bytes[0] == bytes[1] && (bytes[0] == 0x5A || bytes[0] == 0xA5)) {
        bytes[5] = (uint8_t) sum_bytes(bytes + 2, 3);
        return 6;
    }
    if (size < 140 || bytes[0] != 0xAA || bytes[1] != 0x55)
        return 0;
    put_be16(bytes + 138, sum_bytes(bytes + 4, 134));
    return 140;
}

/* "VA", a length, so many bytes and their CRC. */
static size_t victron_ble(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (size < 5 || bytes[0] != 'V' || bytes[1] != 'A' || size < 5u + bytes[2])
        return 0;
    size_t length = 3u + bytes[2];
    put_le16(bytes + length, crc16_modbus(bytes, length));
    return length + 2;
}

/* 74 bytes from EB 90 on. */
static size_t jk_balancer(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    (void) request;
    if (size < 74 || bytes[0] != 0xEB || bytes[1] != 0x90)
        return 0;
    bytes[73] = (uint8_t) sum_bytes(bytes, 73);
    return 74;
}

/* The one that knows records and registers is behind those that know one of them. */
static repair_frame *const forms[] = {
    modbus, jk02,    jk_pb,         daly,     ant,         ant_old,     topbms,     jbd,
    jbd_up, jk_4e57, jbd_addressed, vedirect, victron_ble, jk_balancer, sinowealth,
};

#define FORMS (sizeof forms / sizeof *forms)
#define DAMAGES 16 /* places in each reply */

static repair_frame *form; /* NULL: none of them */

/* What stands at the first byte of a reply, behind what is in no frame. */
static struct bms_span first_frame(const struct bms *bms, const struct bms_request *request,
                                   const uint8_t *bytes, size_t size, size_t *at)
{
    struct bms_span span = {BMS_MORE, 0};
    for (*at = 0; *at < size; *at += span.size) {
        span = bms->driver->frame(bms, request, bytes + *at, size - *at);
        if (span.kind != BMS_SKIP)
            break;
    }
    return span;
}

struct score {
    unsigned damages, repaired[FORMS];
};

static void try_forms(const struct bms *bms, const struct bms_request *request,
                      const struct bms_output *whole, struct score *score)
{
    static uint8_t damaged[BMS_FRAME_MAX];
    size_t at, start;
    struct bms_span frame = first_frame(bms, request, whole->bytes, whole->size, &start);
    for (unsigned i = 0; frame.kind == BMS_FRAME && i < DAMAGES; i++) {
        size_t place = start + frame.size * i / DAMAGES;
        memcpy(damaged, whole->bytes, whole->size);
        damaged[place] ^= 1;
        if (first_frame(bms, request, damaged, whole->size, &at).kind == BMS_FRAME && at == start)
            continue; /* no checksum notices it */
        score->damages++;
        for (unsigned n = 0; n < FORMS; n++) {
            memcpy(damaged, whole->bytes, whole->size);
            damaged[place] ^= 1;
            forms[n](request, damaged + start, frame.size);
            struct bms_span span = first_frame(bms, request, damaged, whole->size, &at);
            score->repaired[n] += span.kind == BMS_FRAME && at == start && span.size == frame.size;
        }
    }
}

static void try_variant(const struct bms_driver *driver, const struct bms_driver *board_driver,
                        const struct bms_options *options, struct score *score)
{
    static struct bms_output out;
    uint64_t seed = 1;
    struct bms bms, board;
    struct pack told;
    bms_init(&bms, driver);
    bms_init(&board, board_driver);
    bms.options = board.options = *options;
    battery_random(&told, &seed, 16, 4);
    for (unsigned step = 0; step < driver->steps || (step == 0 && bms_talks(driver)); step++) {
        struct bms_request request = {.size = 0};
        if (!bms_talks(driver) && !driver->build(&bms, step, &request))
            continue;
        bms_emulate(&board, &told, request.bytes, request.size, &out);
        try_forms(&bms, &request, &out, score);
    }
}

bool repair_learn(const struct bms_driver *driver, const struct bms_driver *board_driver,
                  const struct modbus_user *map)
{
    struct bms_options options = {.address = driver->address.usual, .adr = -1, .map = map};
    struct score score = {0};
    unsigned best = 0;
    for (int i = 0; i == 0 || (driver->variants && driver->variants[i]); i++) {
        options.variant = i;
        try_variant(driver, board_driver, &options, &score);
    }
    for (unsigned n = 1; n < FORMS; n++)
        if (score.repaired[n] > score.repaired[best])
            best = n;
    /* Some damage changes what tells the length. */
    form = score.repaired[best] > score.damages / 2 ? forms[best] : NULL;
    return form != NULL;
}

void repair(const struct bms_request *request, uint8_t *bytes, size_t size)
{
    for (size_t at = 0; form && at < size;) {
        size_t length = form(request, bytes + at, size - at);
        at += length > 0 ? length : 1;
    }
}
