// SPDX-License-Identifier: MIT
/*
 * Modbus RTU as used by battery management systems. Follows "MODBUS Application Protocol
 * Specification V1.1b3" and "MODBUS over Serial Line V1.02". Oddity: a reply contains neither its
 * register addresses nor, by itself, its length, so only the request gives it a meaning.
 */
#include "modbus.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CRC_SIZE 2
#define READ_SIZE 8 /* address, function, start, count, CRC; a written register as well */
#define EXCEPTION_SIZE 5

/* Range of a cell, and tolerance between the sum of all cells and the pack's voltage, which
 * another converter measures at another moment. */
#define CELL_LEAST_MV 500
#define CELL_MOST_MV 5000
#define SUM_OFF_PER_CELL_V 0.01
#define SUM_OFF_PART 0.03
#define POWER_MOST 10 /* largest power of ten by which a register can scale a value */

static bool reads(unsigned function)
{
    return function >= MODBUS_COILS && function <= MODBUS_INPUT;
}

bool modbus_crc_fits(const uint8_t *bytes, size_t size)
{
    return crc16_modbus(bytes, size - CRC_SIZE) == le16(bytes + size - CRC_SIZE);
}

size_t modbus_put_crc(uint8_t *bytes, size_t size)
{
    put_le16(bytes + size, crc16_modbus(bytes, size));
    return size + CRC_SIZE;
}

void modbus_read(uint8_t address, uint8_t function, unsigned start, unsigned count,
                 struct bms_request *request)
{
    request->bytes[0] = address;
    request->bytes[1] = function;
    put_be16(request->bytes + 2, start);
    put_be16(request->bytes + 4, count);
    request->size = modbus_put_crc(request->bytes, 6);
}

void modbus_write(uint8_t address, unsigned reg, unsigned value, struct bms_request *request)
{
    modbus_read(address, MODBUS_WRITE, reg, value, request);
}

void modbus_write_many(uint8_t address, unsigned reg, unsigned value, struct bms_request *request)
{
    modbus_write_words(address, reg, &(const uint16_t){(uint16_t) value}, 1, request);
}

void modbus_write_words(uint8_t address, unsigned reg, const uint16_t *words, unsigned count,
                        struct bms_request *request)
{
    modbus_read(address, MODBUS_WRITE_MANY, reg, count, request);
    request->bytes[6] = (uint8_t) (2 * count);
    for (unsigned i = 0; i < count; i++)
        put_be16(request->bytes + 7 + 2 * i, words[i]);
    request->size = modbus_put_crc(request->bytes, 7 + 2 * (size_t) count);
}

uint8_t modbus_address(const struct bms *bms)
{
    return (uint8_t) (bms_address(bms) + bms->driver->board->address_offset);
}

bool modbus_build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct bms_read *read = &bms->driver->plan[step].read;
    modbus_read(modbus_address(bms), read->function, read->start, read->count, request);
    return true;
}

static const struct bms_span more = {BMS_MORE, 0}, skip = {BMS_SKIP, 1};

/* The number of data bytes in the reply to a read; 0: there is no such reply. */
static size_t data_size(unsigned function, unsigned count)
{
    if (modbus_reads_bits(function))
        return count <= MODBUS_READ_MAX_BITS ? (count + 7) / 8 : 0;
    return count <= MODBUS_READ_MAX ? 2 * count : 0;
}

static struct bms_span whole(const uint8_t *bytes, size_t size, size_t length)
{
    if (size < length)
        return more;
    return modbus_crc_fits(bytes, length) ? (struct bms_span){BMS_FRAME, length}
                                          : (struct bms_span){BMS_DAMAGED, 1};
}

/* 01 10 | 15 10 | 00 01 | crc. Repeats the head of the request. */
static struct bms_span find_written(const struct bms_request *request, const uint8_t *bytes,
                                    size_t size)
{
    size_t known = size < 6 ? size : 6;
    if (memcmp(bytes, request->bytes, known) != 0)
        return skip;
    return size < READ_SIZE || modbus_crc_fits(bytes, READ_SIZE) ? whole(bytes, size, READ_SIZE)
                                                                 : skip;
}

struct bms_span modbus_frame(const struct bms *bms, const struct bms_request *request,
                             const uint8_t *bytes, size_t size)
{
    if (request->size < READ_SIZE || bytes[0] != request->bytes[0])
        return skip;
    if (size < 2)
        return more;
    const unsigned function = request->bytes[1];
    if (bytes[1] == (function | MODBUS_EXCEPTION)) {
        /* 01 83 | 02 | C0 F1 */
        if (size > 2 && bytes[2] == 0)
            return skip;
        return whole(bytes, size, EXCEPTION_SIZE);
    }
    if (bytes[1] != function)
        return skip;
    /* The echo of the request on two-wire adapters. */
    struct bms_span echo =
        size < request->size ? more : (struct bms_span){BMS_FRAME, request->size};
    if (memcmp(bytes, request->bytes, size < request->size ? size : request->size) != 0)
        echo = skip;
    if (reads(function)) {
        /* 01 03 | 04 | 0C FF 0D 02 | crc */
        const size_t data = data_size(function, be16(request->bytes + 4));
        if (echo.kind != BMS_SKIP || size < 3)
            return echo.kind != BMS_SKIP ? echo : more;
        return data > 0 && bytes[2] == data ? whole(bytes, size, 5 + data) : skip;
    }
    const struct bms_span written = find_written(request, bytes, size);
    return written.kind == BMS_SKIP ? echo : written;
}

/* 01 03 | 13 88 | 00 22 | crc          a read, or a written register
 * 01 10 | 10 70 | 00 02 | 04 | … | crc  many are written */
struct bms_span modbus_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                int *address)
{
    size_t length = READ_SIZE;
    if (size < 2 || (bytes[1] == MODBUS_WRITE_MANY && size < 7))
        return more;
    if (bytes[1] == MODBUS_WRITE_MANY)
        length = bytes[6] == 2 * be16(bytes + 4) ? 9u + bytes[6] : 0;
    else if (bytes[1] < MODBUS_COILS || bytes[1] > MODBUS_WRITE)
        length = 0;
    if (length == 0)
        return skip;
    struct bms_span span = whole(bytes, size, length);
    if (span.kind == BMS_DAMAGED)
        return skip;
    *address = bytes[0];
    return span;
}

static bool within(const struct modbus_window *window, unsigned first, unsigned count)
{
    return first >= window->start && first + count <= window->start + window->count;
}

bool modbus_has(const struct modbus_window *window, unsigned reg, unsigned count)
{
    return !modbus_reads_bits(window->function) && within(window, reg, count);
}

bool modbus_has_coils(const struct modbus_window *window, unsigned coil, unsigned count)
{
    return modbus_reads_bits(window->function) && within(window, coil, count);
}

unsigned modbus_width(unsigned type)
{
    if (type == MODBUS_U48 || type == MODBUS_U48_LOW)
        return 3;
    return type >= MODBUS_U32 && type <= MODBUS_F32_LOW ? 2 : 1;
}

unsigned modbus_registers(const struct modbus_value *row)
{
    unsigned count = row->count > 0 ? row->count : 1;
    if (row->type == MODBUS_S8)
        return (count + 1) / 2;
    return (count - 1) * modbus_step(row) + modbus_width(row->type);
}

/* A register with its bytes in order; also one beside the value that belongs to it. */
static unsigned ordered_word(const struct modbus_window *window, const struct modbus_value *row,
                             unsigned reg)
{
    const unsigned word = modbus_word(window, reg);
    return row->swapped ? (word >> 8 | word << 8) & 0xFFFF : word;
}

/* The same reduced to the bits of the number. */
static unsigned masked_word(const struct modbus_window *window, const struct modbus_value *row,
                            unsigned reg)
{
    const unsigned word = ordered_word(window, row, reg);
    return row->mask ? (word & row->mask) / (row->mask & (0u - row->mask)) : word;
}

static double integer_at(const struct modbus_window *window, const struct modbus_value *row,
                         unsigned reg)
{
    const unsigned width = modbus_width(row->type);
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++)
        number |= (uint64_t) masked_word(window, row, reg + i)
                  << 16 * (modbus_low_first(row->type) ? i : width - 1 - i);
    if (row->type == MODBUS_F32 || row->type == MODBUS_F32_LOW) {
        const uint32_t pattern = (uint32_t) number;
        float value;
        memcpy(&value, &pattern, sizeof value);
        return (double) value;
    }
    if (row->type != MODBUS_S16 && row->type != MODBUS_S32 && row->type != MODBUS_S32_LOW)
        return (double) number;
    uint64_t full = UINT64_C(1) << 16 * width; /* one more than the largest number */
    if (row->mask)
        full = row->mask / (row->mask & (0u - row->mask)) + UINT64_C(1);
    return 2 * number >= full ? (double) number - (double) full : (double) number;
}

/* Number n of a run, from 0; NaN: it is not in this window. */
static double number_at(const struct modbus_window *window, const struct modbus_value *row,
                        unsigned n)
{
    unsigned reg = row->reg + (row->type == MODBUS_S8 ? n / 2 : n * modbus_step(row));
    if (row->type == MODBUS_BIT && row->bit == MODBUS_COIL)
        return modbus_has_coils(window, reg, 1) ? modbus_coil(window, reg) : (double) NAN;
    if (!modbus_has(window, reg, modbus_width(row->type)))
        return (double) NAN;
    if (row->type == MODBUS_BIT)
        return modbus_word(window, reg) >> row->bit & 1;
    if (row->type != MODBUS_S8)
        return integer_at(window, row, reg);
    unsigned word = masked_word(window, row, reg);
    return (int8_t) (n % 2 == 0 ? word >> 8 : word & 0xFF);
}

static double raw_at(const struct modbus_window *window, const struct modbus_value *row, unsigned n)
{
    double number = number_at(window, row, n);
    /* A negative number is also written as its pattern of 16 bits. */
    return row->matched && !isnan(number)
               ? number == row->match || number == row->match - (UINT16_MAX + 1)
               : number;
}

/* Applies other registers to a value: its sign, its power of ten. NaN: these registers are not in
 * this window, or the power is out of range. */
static double factor_of(const struct modbus_window *window, const struct modbus_value *row)
{
    double factor = 1;
    if (row->sign_mask) {
        if (!modbus_has(window, row->sign_reg, 1))
            return (double) NAN;
        factor = (ordered_word(window, row, row->sign_reg) & row->sign_mask) == row->sign ? -1 : 1;
    }
    if (row->scaled) {
        if (!modbus_has(window, row->exponent, 1))
            return (double) NAN;
        int power = (int16_t) ordered_word(window, row, row->exponent);
        factor *= power >= -POWER_MOST && power <= POWER_MOST ? pow(10, power) : (double) NAN;
    }
    return factor;
}

/* The limits are those of the number in the register, also of one that is compared with another. */
static bool is_there(const struct modbus_window *window, const struct modbus_value *row, unsigned n)
{
    const double number = number_at(window, row, n);
    return (row->lowest == 0 && row->highest == 0) ||
           (number >= row->lowest && number <= row->highest);
}

static double scale(const struct modbus_value *row, double raw)
{
    return (raw + row->offset) / (row->divisor != 0 ? row->divisor : 1);
}

/* The length of a run. Without the register that counts them, the last cell is the last one that is
 * not 0, and not beyond the window; so is the last sensor of those that have such a register. */
static unsigned length_of(const struct modbus_window *window, const struct modbus_value *row)
{
    unsigned count = row->count > 0 ? row->count : 1;
    if (row->counted > 0 && modbus_has(window, row->counted, 1)) {
        unsigned counted = ordered_word(window, row, row->counted);
        return counted < count ? counted : count;
    }
    const bool cells = count > 1 && row->id >= CELL_MV && row->id < TEMP_C;
    while ((cells || row->counted > 0) && count > 0 && !(fabs(raw_at(window, row, count - 1)) > 0))
        count--;
    return count;
}

static void decode_text(const struct modbus_window *window, const struct modbus_value *row,
                        struct pack *pack)
{
    uint8_t text[2 * UINT8_MAX];
    unsigned count = row->count > 0 ? row->count : 1;
    if (!modbus_has(window, row->reg, count))
        return;
    for (unsigned i = 0; i < count; i++)
        put_be16(text + 2 * i, masked_word(window, row, row->reg + i));
    pack_set_text(pack, row->id, text, 2 * count);
}

/* A serial number made of numbers. */
static void decode_digits(const struct modbus_window *window, const struct modbus_value *row,
                          struct pack *pack)
{
    char text[TEXT_SIZE] = "";
    size_t used = 0;
    for (unsigned n = 0; n < length_of(window, row); n++) {
        double raw = raw_at(window, row, n);
        if (isnan(raw))
            return;
        if (!is_there(window, row, n)) {
            used = 0;
            break;
        }
        int size = snprintf(text + used, sizeof text - used, "%.15g", scale(row, raw));
        if (size < 0 || (size_t) size >= sizeof text - used)
            return;
        used += (size_t) size;
    }
    pack_set_text(pack, row->id, text, used);
}

void modbus_take(const struct bms *bms, const struct modbus_value *rows, size_t count,
                 const struct modbus_window *window, struct pack *pack)
{
    for (size_t i = 0; i < count; i++) {
        const struct modbus_value *row = &rows[i];
        if (row->type == MODBUS_TEXT || row->digits) {
            (row->digits ? decode_digits : decode_text)(window, row, pack);
            continue;
        }
        unsigned length = length_of(window, row);
        double factor = factor_of(window, row);
        for (unsigned n = 0; n < length; n++) {
            const enum pack_value id = row->id + n;
            const double raw = raw_at(window, row, n), value = scale(row, raw) * factor;
            if (isnan(raw))
                continue;
            if (!is_there(window, row, n) || isnan(value))
                pack_unset(pack, id);
            else
                bms_set(bms, pack, id, id == BALANCING ? value != 0 : value);
        }
    }
}

bool modbus_cells_fit(const struct modbus_window *window, unsigned reg, unsigned count,
                      double volts)
{
    unsigned sum_mv = 0, plausible = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned mv = modbus_word(window, reg + i);
        plausible += mv >= CELL_LEAST_MV && mv <= CELL_MOST_MV;
        sum_mv += mv;
    }
    if (plausible < count)
        return plausible > 0;
    return fabs(sum_mv / 1000.0 - volts) <= SUM_OFF_PER_CELL_V * count + SUM_OFF_PART * volts;
}

bool modbus_alarm_limited(const struct modbus_value *value)
{
    return !value->matched && value->lowest != value->highest &&
           (isfinite(value->lowest) || isfinite(value->highest));
}

void modbus_take_alarms(const struct modbus_map *map, const struct modbus_window *window,
                        struct pack *pack)
{
    bool any = false;
    for (size_t i = 0; i < map->alarm_count; i++) {
        const struct modbus_alarm *row = &map->alarms[i];
        const double raw = raw_at(window, &row->value, 0);
        if (isnan(raw))
            continue;
        if (!any)
            pack_clear_alarms(pack);
        any = true;
        pack_alarm_at(pack, row->alarm, row->level,
                      (raw != 0 || modbus_alarm_limited(&row->value)) &&
                          is_there(window, &row->value, 0));
    }
    if (!any && map->raw_count > 0 && modbus_has(window, map->raw_first, 1)) {
        pack->raw_alarm_count = 0;
        any = true;
    }
    for (unsigned i = 0; any && i < map->raw_count; i++)
        if (modbus_has(window, map->raw_first + i, 1))
            pack_raw_alarm(pack, modbus_word(window, map->raw_first + i));
}

struct modbus_map modbus_map_of(const struct bms *bms)
{
    struct modbus_map map = *bms->driver->map;
    const struct modbus_user *user = bms->options.map;
    if (user) {
        map.values = user->values;
        map.value_count = user->value_count;
        map.alarms = user->alarms;
        map.alarm_count = user->alarm_count;
        map.raw_first = user->raw_first;
        map.raw_count = user->raw_count;
    }
    return map;
}

static enum bms_result decode_read(struct bms *bms, const struct bms_request *request,
                                   const uint8_t *frame, size_t size, struct pack *pack)
{
    const struct modbus_map map = modbus_map_of(bms);
    const struct modbus_window window = {frame[1], be16(request->bytes + 2),
                                         be16(request->bytes + 4), frame + 3};
    if (size != 5 + data_size(window.function, window.count))
        return BMS_FOREIGN;
    enum bms_result result = map.check ? map.check(bms, &window) : BMS_DONE;
    for (size_t i = 0; i < map.value_count && result == BMS_DONE; i++) {
        const double raw = map.values[i].required ? raw_at(&window, &map.values[i], 0) : NAN;
        if (!isnan(raw) && !is_there(&window, &map.values[i], 0))
            result = BMS_INVALID;
    }
    if (result != BMS_DONE)
        return result;
    modbus_take(bms, map.values, map.value_count, &window, pack);
    modbus_take_alarms(&map, &window, pack);
    if (map.rest)
        map.rest(bms, &window, pack);
    return BMS_DONE;
}

enum bms_result modbus_decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const uint8_t *asked = request->bytes;
    if (request->size < READ_SIZE || frame[0] != asked[0])
        return BMS_FOREIGN;
    if (frame[1] == (asked[1] | MODBUS_EXCEPTION))
        return frame[2] == MODBUS_ACKNOWLEDGED || frame[2] == MODBUS_BUSY ? BMS_INVALID
                                                                          : BMS_REFUSED;
    bool echo = size == request->size && memcmp(frame, asked, size) == 0;
    if (frame[1] != asked[1] || echo)
        return BMS_FOREIGN;
    if (reads(frame[1]))
        return decode_read(bms, request, frame, size, pack);
    return size == READ_SIZE && memcmp(frame, asked, 6) == 0 ? BMS_DONE : BMS_FOREIGN;
}

static unsigned last_known(const struct pack *pack, enum pack_value first, unsigned count)
{
    while (count > 0 && !pack_known(pack, first + count - 1))
        count--;
    return count;
}

void modbus_finish(struct bms *bms, struct pack *pack)
{
    unsigned cells = last_known(pack, CELL_MV, MAX_CELLS);
    unsigned temps = last_known(pack, TEMP_C, MAX_TEMPS);
    if (cells > 0 && !pack_known(pack, CELL_COUNT))
        pack_set(pack, CELL_COUNT, cells);
    if (temps > 0 && !pack_known(pack, TEMP_COUNT))
        pack_set(pack, TEMP_COUNT, temps);
    for (unsigned n = 0; n < MAX_TEMPS; n++)
        if (pack->value[TEMP_COUNT] <= n)
            pack_unset(pack, TEMP_C + n);
}
