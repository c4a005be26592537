// SPDX-License-Identifier: MIT
/* The slave's side of Modbus RTU, for simulated packs: the replies of a board, and when it does
 * not reply. */
#include "modbus.h"

#include "bms/bytes.h"

#include <math.h>
#include <string.h>

#define READ_SIZE 8
#define MANY_HEAD 7 /* bytes of a request that writes registers, before the data */
#define MANY_MOST 123

static void finish_answer(struct bms_output *out)
{
    out->size = modbus_put_crc(out->bytes, out->size);
}

static void write_exception(const uint8_t *asked, unsigned error, struct bms_output *out)
{
    out->bytes[0] = asked[0];
    out->bytes[1] = asked[1] | MODBUS_EXCEPTION;
    out->bytes[2] = (uint8_t) error;
    out->size = 3;
    finish_answer(out);
}

static bool knows(const struct modbus_board *board, unsigned function)
{
    for (size_t i = 0; i < sizeof board->functions && board->functions[i]; i++)
        if (board->functions[i] == function)
            return true;
    return false;
}

/* Writes one number into the reply. */
static void put_word(uint8_t *data, bool bits, unsigned n, int32_t word)
{
    if (!bits)
        put_be16(data + 2 * n, (uint32_t) word);
    else
        data[n / 8] |= (uint8_t) ((word != 0) << n % 8);
}

static void answer_read(struct bms *bms, const struct modbus_board *board, const struct pack *told,
                        const uint8_t *asked, struct bms_output *out)
{
    const unsigned function = asked[1], start = be16(asked + 2), count = be16(asked + 4);
    const bool bits = function == MODBUS_COILS || function == MODBUS_DISCRETE;
    const unsigned allowed = bits ? MODBUS_READ_MAX_BITS : MODBUS_READ_MAX;
    if (count == 0 || count > allowed || (board->most > 0 && count > board->most)) {
        write_exception(asked,
                        count == 0 || count > allowed ? MODBUS_BAD_VALUE : MODBUS_BAD_ADDRESS, out);
        return;
    }
    const size_t size = bits ? (count + 7) / 8 : 2 * (size_t) count;
    memset(out->bytes, 0, 3 + size);
    for (unsigned n = 0; n < count; n++) {
        int32_t word = board->word(bms, told, function, start + n);
        if (word < 0) {
            write_exception(asked, MODBUS_BAD_ADDRESS, out);
            return;
        }
        put_word(out->bytes + 3, bits, n, word);
    }
    out->bytes[0] = asked[0];
    out->bytes[1] = asked[1];
    out->bytes[2] = (uint8_t) size;
    out->size = 3 + size;
    finish_answer(out);
}

static void answer_write(struct bms *bms, const struct modbus_board *board, struct pack *told,
                         const uint8_t *asked, struct bms_output *out)
{
    const bool many = asked[1] == MODBUS_WRITE_MANY;
    unsigned error = MODBUS_BAD_ADDRESS;
    if (!many || be16(asked + 4) == 1)
        error = board->write(bms, told, be16(asked + 2), be16(asked + (many ? MANY_HEAD : 4)));
    if (error) {
        write_exception(asked, error, out);
        return;
    }
    memcpy(out->bytes, asked, 6);
    out->size = 6;
    finish_answer(out);
}

/* Size of a request; 0: not known yet, 1: not a request. */
static size_t request_size(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    if (bytes[1] >= MODBUS_COILS && bytes[1] <= MODBUS_WRITE)
        return READ_SIZE;
    if (bytes[1] != MODBUS_WRITE_MANY)
        return 1;
    if (size < MANY_HEAD)
        return 0;
    unsigned count = be16(bytes + 4);
    return count >= 1 && count <= MANY_MOST && bytes[6] == 2 * count ? MANY_HEAD + 2 * count + 2
                                                                     : 1;
}

size_t modbus_emulate(struct bms *bms, struct pack *told, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    const struct modbus_board *board = bms->driver->board;
    out->size = 0;
    size_t length = request_size(bytes, size);
    if (length == 0 || size < length)
        return 0;
    if (length == 1 || !modbus_crc_fits(bytes, length))
        return 1;
    if (bytes[0] != (uint8_t) bms_address(bms))
        return length;
    struct pack derived = *told;
    pack_derive(&derived);
    bool writes = bytes[1] == MODBUS_WRITE || bytes[1] == MODBUS_WRITE_MANY;
    if (writes && board->write)
        answer_write(bms, board, told, bytes, out);
    else if (knows(board, bytes[1]))
        answer_read(bms, board, &derived, bytes, out);
    else
        write_exception(bytes, MODBUS_BAD_FUNCTION, out);
    return length;
}

/* ---- encoding values ---- */

int32_t modbus_told(const struct pack *told, enum pack_value id, double per_unit, double shift,
                    int32_t blank)
{
    if (!pack_known(told, id))
        return blank;
    return (int32_t) fmin(fmax(round(told->value[id] * per_unit + shift), 0), 0xFFFF);
}

int32_t modbus_told_signed(const struct pack *told, enum pack_value id, double per_unit,
                           int32_t blank)
{
    if (!pack_known(told, id))
        return blank;
    return (int32_t) fmin(fmax(round(told->value[id] * per_unit), -0x8000), 0x7FFF) & 0xFFFF;
}

int32_t modbus_told_half(const struct pack *told, enum pack_value id, double per_unit, bool high)
{
    if (!pack_known(told, id))
        return 0;
    uint32_t number = (uint32_t) fmin(fmax(round(told->value[id] * per_unit), 0), 0xFFFFFFFF);
    return (int32_t) (high ? number >> 16 : number & 0xFFFF);
}

int32_t modbus_told_text(const struct pack *told, enum pack_text id, unsigned at)
{
    const char *text = told->text[id];
    size_t length = strlen(text);
    unsigned high = at < length ? (uint8_t) text[at] : 0;
    unsigned low = at + 1 < length ? (uint8_t) text[at + 1] : 0;
    return (int32_t) (high << 8 | low);
}

static bool is_active(const struct pack *told, const struct modbus_alarm *row)
{
    return pack_alarms_at(told, row->level) >> row->alarm & 1;
}

static bool told_before(const struct modbus_alarm *rows, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (rows[i].alarm == rows[at].alarm && rows[i].level == rows[at].level)
            return true;
    return false;
}

uint16_t modbus_told_alarms(const struct modbus_alarm *rows, size_t count, unsigned reg,
                            const struct pack *told)
{
    unsigned word = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].reg == reg && is_active(told, &rows[i]) && !told_before(rows, i))
            word |= rows[i].bit == MODBUS_COIL ? 1u : 1u << rows[i].bit;
    }
    return (uint16_t) word;
}
