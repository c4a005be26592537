// SPDX-License-Identifier: MIT
/* The slave's side of Modbus RTU, for simulated packs: the replies of a board, and when it does
 * not reply. */
#include "modbus.h"

#include "bms/bytes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MANY_HEAD 7 /* bytes of a request that writes registers, before the data */

void modbus_exception(const uint8_t *asked, unsigned error, struct bms_output *out)
{
    out->bytes[0] = asked[0];
    out->bytes[1] = asked[1] | MODBUS_EXCEPTION;
    out->bytes[2] = (uint8_t) error;
    out->size = modbus_put_crc(out->bytes, 3);
}

bool modbus_is_read(const struct bms *bms, unsigned function, unsigned reg)
{
    const struct modbus_user *user = bms->options.map;
    for (unsigned i = 0; i < bms->driver->steps; i++) {
        const struct bms_read *read = user ? &user->reads[i] : &bms->driver->plan[i].read;
        if (read->function == function && reg >= read->start && reg - read->start < read->count)
            return true;
    }
    return false;
}

/* What the board says by itself, else what the driver's tables have. */
static int32_t word_at(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const struct modbus_board *board = bms->driver->board;
    const struct modbus_map map = modbus_map_of(bms);
    int32_t word = board->word ? board->word(bms, told, function, reg) : -1;
    if (word != -1 || !modbus_is_read(bms, function, reg))
        return word;
    word = modbus_told_rows(map.values, map.value_count, told, function, reg);
    return (word < 0 ? 0 : word) | modbus_told_alarms(&map, told, reg);
}

static void answer_read(struct bms *bms, const struct modbus_board *board, const struct pack *told,
                        const uint8_t *asked, struct bms_output *out)
{
    const unsigned function = asked[1], start = be16(asked + 2), count = be16(asked + 4);
    const bool bits = modbus_reads_bits(function);
    const unsigned allowed = bits ? MODBUS_READ_MAX_BITS : MODBUS_READ_MAX;
    if (count == 0 || count > allowed || (board->most > 0 && count > board->most)) {
        modbus_exception(
            asked, count == 0 || count > allowed ? MODBUS_BAD_VALUE : MODBUS_BAD_ADDRESS, out);
        return;
    }
    const size_t size = bits ? (count + 7) / 8 : 2 * (size_t) count;
    memset(out->bytes, 0, 3 + size);
    for (unsigned n = 0; n < count; n++) {
        int32_t word = word_at(bms, told, function, start + n);
        if (word < 0) {
            modbus_exception(asked, MODBUS_BAD_ADDRESS, out);
            return;
        }
        /* Writes one number into the reply. */
        uint8_t *data = out->bytes + 3;
        if (!bits)
            put_be16(data + 2 * n, (uint32_t) word);
        else
            data[n / 8] |= (uint8_t) ((word != 0) << n % 8);
    }
    out->bytes[0] = asked[0];
    out->bytes[1] = asked[1];
    out->bytes[2] = (uint8_t) size;
    out->size = modbus_put_crc(out->bytes, 3 + size);
}

static void answer_write(struct bms *bms, const struct modbus_board *board, struct pack *told,
                         const uint8_t *asked, struct bms_output *out)
{
    const bool many = asked[1] == MODBUS_WRITE_MANY;
    const unsigned count = many ? be16(asked + 4) : 1;
    const uint8_t *data = asked + (many ? MANY_HEAD : 4);
    unsigned error = count == 0 ? MODBUS_BAD_VALUE : 0;
    for (unsigned i = 0; i < count && !error; i++)
        error = board->write(bms, told, be16(asked + 2) + i, be16(data + 2 * i));
    if (error) {
        modbus_exception(asked, error, out);
        return;
    }
    memcpy(out->bytes, asked, 6);
    out->size = modbus_put_crc(out->bytes, 6);
}

size_t modbus_emulate(struct bms *bms, struct pack *told, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    const struct modbus_board *board = bms->driver->board;
    int address;
    const struct bms_span span = modbus_question(bms, bytes, size, &address);
    if (span.kind != BMS_FRAME || address != modbus_address(bms))
        return span.size;
    struct pack derived = *told;
    pack_derive(&derived);
    bool writes = bytes[1] == MODBUS_WRITE || bytes[1] == MODBUS_WRITE_MANY;
    if (writes && board->write)
        answer_write(bms, board, told, bytes, out);
    else if (memchr(board->functions, bytes[1], sizeof board->functions))
        answer_read(bms, board, &derived, bytes, out);
    else
        modbus_exception(bytes, MODBUS_BAD_FUNCTION, out);
    return span.size;
}

/* ---- encoding values ---- */

/* Two characters from character `at` on, padded with NULs. */
static unsigned text_word(const char *text, unsigned at)
{
    const size_t length = strlen(text);
    return (at < length ? (unsigned) (uint8_t) text[at] << 8 : 0) |
           (at + 1 < length ? (uint8_t) text[at + 1] : 0);
}

/* The raw number of a value; for an unknown one a raw number that means unknown, if there is any. */
static double raw_of(const struct modbus_value *row, const struct pack *told, unsigned n)
{
    const enum pack_value id = row->id + n;
    const double divisor = row->divisor != 0 ? row->divisor : 1;
    const bool bounded = row->lowest != 0 || row->highest != 0;
    if (row->digits)
        return n == 0 ? strtod(told->text[row->id], NULL) * divisor - row->offset : 0;
    if (row->matched)
        return pack_known(told, id) && told->value[id] > 0 ? row->match : row->match == 0;
    if (pack_known(told, id) && row->sign_mask)
        return fabs(told->value[id]) * divisor - row->offset;
    if (pack_known(told, id))
        return told->value[id] * divisor - row->offset;
    if (row->blank != 0)
        return row->blank;
    return bounded && row->lowest <= 0 && row->highest >= 0 ? row->lowest - 1 : 0;
}

/* One register of a number that spans several; the first one is 0. */
static unsigned wide_word(const struct modbus_value *row, double raw, unsigned n)
{
    const unsigned width = modbus_width(row->type);
    const bool is_signed = row->type == MODBUS_S32 || row->type == MODBUS_S32_LOW;
    const double most = is_signed ? INT32_MAX : pow(2, 16 * (int) width) - 1;
    const double least = is_signed ? INT32_MIN : 0;
    uint64_t bits = (uint64_t) (int64_t) fmax(fmin(round(raw), most), least);
    if (row->type == MODBUS_F32 || row->type == MODBUS_F32_LOW) {
        const float number = (float) raw;
        uint32_t pattern;
        memcpy(&pattern, &number, sizeof pattern);
        bits = pattern;
    }
    return bits >> 16 * (modbus_low_first(row->type) ? n : width - 1 - n) & 0xFFFF;
}

static unsigned byte_of(const struct modbus_value *row, const struct pack *told, unsigned n)
{
    if (n >= (row->count ? row->count : 1u))
        return 0;
    return (uint8_t) (int8_t) fmax(fmin(round(raw_of(row, told, n)), INT8_MAX), INT8_MIN);
}

static unsigned swap_bytes(const struct modbus_value *row, unsigned word)
{
    return row->swapped ? (word >> 8 | word << 8) & 0xFFFF : word;
}

static unsigned short_word(const struct modbus_value *row, double raw)
{
    if (row->type == MODBUS_BIT)
        return swap_bytes(row, raw > 0 ? row->bit == MODBUS_COIL ? 1 : 1u << row->bit : 0);
    const unsigned mask = row->mask ? row->mask : 0xFFFF,
                   unit = row->mask ? row->mask & (0u - row->mask) : 1;
    const double full = mask / unit + 1.0, least = row->type == MODBUS_S16 ? -full / 2 : 0;
    raw = fmax(fmin(round(raw), full - 1 + least), least);
    return swap_bytes(row, (unsigned) (int) raw * unit & mask);
}

/* The n-th register of a row. */
static unsigned emulated_word(const struct modbus_value *row, const struct pack *told, unsigned n)
{
    if (row->type == MODBUS_TEXT)
        return swap_bytes(row, text_word(told->text[row->id], 2 * n));
    if (row->type == MODBUS_S8)
        return swap_bytes(row, byte_of(row, told, 2 * n) << 8 | byte_of(row, told, 2 * n + 1));
    const unsigned step = modbus_step(row), width = modbus_width(row->type);
    double raw = raw_of(row, told, n / step);
    if (row->id == BALANCE_MASK && raw > 0) /* of as many cells as there are bits */
        raw = fmod(raw, ldexp(1, 16 * (int) width));
    if (n % step >= width)
        return 0;
    return width > 1 ? swap_bytes(row, wide_word(row, raw, n % step)) : short_word(row, raw);
}

/* The register with the sign of a value. */
static unsigned sign_word(const struct modbus_value *row, const struct pack *told, unsigned reg)
{
    if (!row->sign_mask || row->sign_reg != reg)
        return 0;
    const bool negative = told->value[row->id] < 0;
    return negative ? row->sign : row->sign == 0 ? row->sign_mask & (0u - row->sign_mask) : 0;
}

/* Several rows may share a register: bits, signs, and the number of elements of runs that others
 * count by. */
int32_t modbus_told_rows(const struct modbus_value *rows, size_t count, const struct pack *told,
                         unsigned function, unsigned reg)
{
    int32_t word = -1, more = 0;
    for (size_t i = 0; i < count; i++) {
        const struct modbus_value *row = &rows[i];
        const bool coil = row->type == MODBUS_BIT && row->bit == MODBUS_COIL;
        if (coil == modbus_reads_bits(function) && reg >= row->reg &&
            reg - row->reg < modbus_registers(row))
            word = (word < 0 ? 0 : word) | (int32_t) emulated_word(row, told, reg - row->reg);
    }
    for (size_t i = 0; i < count && !modbus_reads_bits(function); i++) {
        const enum pack_value counter = rows[i].id >= TEMP_C ? TEMP_COUNT : CELL_COUNT;
        more |= (int32_t) swap_bytes(&rows[i], sign_word(&rows[i], told, reg));
        if (word < 0 && rows[i].counted == reg && reg != 0)
            more |= (int32_t) swap_bytes(&rows[i], pack_scaled(told, counter, 1, 0, UINT16_MAX));
    }
    return word < 0 && more != 0 ? more : word | more;
}

static unsigned alarm_bits(const struct modbus_value *value)
{
    if (value->type == MODBUS_BIT)
        return value->bit == MODBUS_COIL ? 1 : 1u << value->bit;
    return value->mask ? value->mask : 0xFFFF;
}

/* A number that is the alarm, or one that is not. */
static double alarm_number(const struct modbus_value *value, bool active)
{
    const bool limited = modbus_alarm_limited(value);
    if (value->matched)
        return active ? value->match : value->match == 0;
    if (limited && active)
        return isfinite(value->lowest) ? ceil(value->lowest) : floor(value->highest);
    if (limited && value->lowest <= 0 && value->highest >= 0)
        return isfinite(value->highest) ? floor(value->highest) + 1 : ceil(value->lowest) - 1;
    return active ? fmax(value->lowest, 1) : 0;
}

/* Whether a value is a number in this register, which by itself is beyond the limits of an alarm or not. */
static bool has_number(const struct modbus_map *map, unsigned reg)
{
    for (size_t i = 0; i < map->value_count; i++)
        if (map->values[i].type != MODBUS_BIT && reg >= map->values[i].reg &&
            reg - map->values[i].reg < modbus_registers(&map->values[i]))
            return true;
    return false;
}

int32_t modbus_told_alarms(const struct modbus_map *map, const struct pack *told, unsigned reg)
{
    uint32_t left[] = {0, told->alarms_warning, told->alarms_protection};
    unsigned taken = 0, word = 0;
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < map->alarm_count; i++) {
            const struct modbus_alarm *row = &map->alarms[i];
            const struct modbus_value *value = &row->value;
            const bool active = left[row->level] >> row->alarm & 1;
            if (pass == 0)
                left[row->level] &= ~(1u << row->alarm);
            if (value->reg != reg || (pass == 0) != active || (taken & alarm_bits(value)) ||
                (modbus_alarm_limited(value) && has_number(map, reg)))
                continue;
            taken |= active ? alarm_bits(value) : 0;
            word |= short_word(value, alarm_number(value, active));
        }
    return (int32_t) word;
}
