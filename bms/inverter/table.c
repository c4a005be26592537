// SPDX-License-Identifier: MIT
/* Encodes and decodes messages for inverters by tables. */
#include "table.h"

#include "bms/bytes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAIR_ACTIVE 1
#define PAIR_INACTIVE 2

static const struct table_message *find_message(const struct table *table, unsigned message)
{
    for (unsigned i = 0; i < table->message_count; i++)
        if (table->messages[i].message == message)
            return &table->messages[i];
    return NULL;
}

static unsigned width(const struct table_field *field)
{
    return field->kind == TABLE_U8 ? 1 : field->kind == TABLE_U32 ? 4 : 2;
}

static bool is_number(const struct table_field *field)
{
    return field->kind <= TABLE_U32;
}

static bool is_active(const struct pack *pack, const struct table_field *field)
{
    return pack_alarms_at(pack, field->level) & field->alarms;
}

/* Eight bytes, padded with NUL; all NUL: unknown. */
static void make_text(const struct shown *shown, unsigned id, uint8_t out[8])
{
    /* The pack that has an extreme, and the cell; 0: of no cell. */
    static const unsigned places[][2] = {
        [TEXT_CELL_MIN] = {SHOWN_CELL_MIN_PACK, CELL_MIN_INDEX},
        [TEXT_CELL_MAX] = {SHOWN_CELL_MAX_PACK, CELL_MAX_INDEX},
        [TEXT_TEMP_MIN] = {SHOWN_TEMP_MIN_PACK, 0},
        [TEXT_TEMP_MAX] = {SHOWN_TEMP_MAX_PACK, 0},
    };
    char text[SHOWN_NAME] = "";
    const double pack = shown_number(shown, places[id][0]);
    const double cell = places[id][1] ? shown_number(shown, places[id][1]) : (double) NAN;
    if (id == TEXT_NAME_1 || id == TEXT_NAME_2)
        strcpy(text, shown->name + (id == TEXT_NAME_1 ? 0 : strnlen(shown->name, 8)));
    else if (!isnan(cell))
        snprintf(text, 9, "P%.0f C%.0f", isnan(pack) ? 1 : pack, cell);
    else if (!isnan(pack))
        snprintf(text, 9, "P%.0f", pack);
    memset(out, 0, 8);
    memcpy(out, text, strnlen(text, 8));
}

/* False: unknown, or does not fit. A current that does not fit is limited. */
static bool number_to_raw(const struct table_field *field, double value, int64_t *raw)
{
    const bool is_signed = field->kind == TABLE_S16;
    const double highest = ldexp(1, (int) (8 * width(field)) - is_signed) - 1;
    const double lowest = is_signed ? -highest - 1 : 0;
    const bool limits_current =
        field->id == CHARGE_CURRENT_LIMIT_A || field->id == DISCHARGE_CURRENT_LIMIT_A;
    double number = (value - field->zero) / field->unit;
    if (limits_current || field->id == CHARGE_VOLTAGE_LIMIT_V) /* never rounded up */
        number = number < 0 ? ceil(number - 1e-6) : floor(number + 1e-6);
    else
        number = round(number);
    if (limits_current)
        number = number > highest ? highest : number < lowest ? lowest : number;
    if (!(number >= lowest && number <= highest))
        return false;
    *raw = (int64_t) number;
    return true;
}

/* False: the message is not sent. `*size` is reduced if it ends early. */
static bool write_field(const struct table *table, const struct table_field *field,
                        const struct shown *shown, uint8_t *out, unsigned *size)
{
    const struct pack *values = &shown->values;
    const double number = is_number(field) || field->kind == TABLE_SWITCH
                              ? shown_number(shown, field->id)
                              : (double) NAN;
    int64_t raw;
    switch (field->kind) {
    case TABLE_SWITCH:
        out[field->at] |= (uint8_t) ((number > 0) << field->bit);
        return !isnan(number);
    case TABLE_ALARM:
        out[field->at] |= (uint8_t) (is_active(values, field) << field->bit);
        return values->alarms_known != 0;
    case TABLE_PAIR: {
        const uint32_t can =
            field->level == ALARM_WARNING ? values->alarms_can_warn : values->alarms_can_protect;
        const bool known = can & values->alarms_known & field->alarms;
        const unsigned pair = is_active(values, field) ? PAIR_ACTIVE : known ? PAIR_INACTIVE : 0;
        out[field->at] |= (uint8_t) (pair << field->bit);
        return values->alarms_known != 0;
    }
    case TABLE_BYTES:
        memcpy(out + field->at, field->bytes, field->bit);
        return true;
    case TABLE_TEXT:
        make_text(shown, field->id, out + field->at);
        return out[field->at] != 0;
    default:
        if (number_to_raw(field, number, &raw)) {
            put_sized(out + field->at, (uint64_t) raw, width(field), table->big_endian);
            return true;
        }
        if (field->unknown == UNKNOWN_END && field->at < *size)
            *size = field->at;
        return field->unknown != UNKNOWN_SILENCE;
    }
}

/* While stopping: whether the message contains the limits, or is constant. */
static bool says_stop(const struct table *table, unsigned message)
{
    bool constant = true;
    for (unsigned i = 0; i < table->field_count; i++) {
        const struct table_field *field = &table->fields[i];
        if (field->message != message)
            continue;
        if ((is_number(field) || field->kind == TABLE_SWITCH) && shown_allows(field->id))
            return true;
        constant = constant && field->kind == TABLE_BYTES;
    }
    return constant;
}

unsigned table_write(const struct table *table, unsigned message, const struct shown *shown,
                     uint8_t out[TABLE_MESSAGE_MAX])
{
    const struct table_message *row = find_message(table, message);
    if (!row || (shown->stopping && !says_stop(table, message)))
        return 0;
    unsigned size = row->size;
    memset(out, 0, TABLE_MESSAGE_MAX);
    for (unsigned i = 0; i < table->field_count; i++)
        if (table->fields[i].message == message &&
            !write_field(table, &table->fields[i], shown, out, &size))
            return 0;
    return size;
}

static void read_alarm(const struct table_field *field, unsigned bits, struct pack *pack)
{
    if (field->kind == TABLE_PAIR && bits == 0)
        return;
    for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++)
        if (field->alarms >> alarm & 1)
            pack_alarm_at(pack, (enum pack_alarm) alarm, field->level, bits == PAIR_ACTIVE);
}

static void read_field(const struct table *table, const struct table_field *field,
                       const uint8_t *bytes, struct shown *shown)
{
    unsigned bits = bytes[field->at] >> field->bit;
    switch (field->kind) {
    case TABLE_SWITCH:
        shown_set(shown, field->id, bits & 1);
        break;
    case TABLE_ALARM:
        read_alarm(field, bits & 1, &shown->values);
        break;
    case TABLE_PAIR:
        read_alarm(field, bits & 3, &shown->values);
        break;
    case TABLE_TEXT:
        if (field->id == TEXT_NAME_1 || field->id == TEXT_NAME_2)
            memcpy(shown->name + (field->id == TEXT_NAME_1 ? 0 : 8), bytes + field->at, 8);
        break;
    case TABLE_BYTES:
        break;
    default: {
        const uint64_t raw = get_sized(bytes + field->at, width(field), table->big_endian);
        const double number = field->kind == TABLE_S16 ? (double) (int16_t) raw : (double) raw;
        if (raw != 0 || field->unknown != UNKNOWN_ZERO)
            shown_set(shown, field->id, number * field->unit + field->zero);
    }
    }
}

static unsigned end_of(const struct table_field *field)
{
    unsigned size = is_number(field)             ? width(field)
                    : field->kind == TABLE_TEXT  ? 8
                    : field->kind == TABLE_BYTES ? field->bit
                                                 : 1;
    return field->at + size;
}

bool table_read(const struct table *table, unsigned message, const uint8_t *bytes, unsigned size,
                struct shown *shown)
{
    const struct table_message *row = find_message(table, message);
    if (!row)
        return false;
    for (unsigned i = 0; i < table->field_count; i++) {
        const struct table_field *field = &table->fields[i];
        if (field->message == message && end_of(field) > size && field->unknown != UNKNOWN_END)
            return false;
    }
    for (unsigned i = 0; i < table->field_count; i++)
        if (table->fields[i].message == message && end_of(&table->fields[i]) <= size)
            read_field(table, &table->fields[i], bytes, shown);
    return true;
}
