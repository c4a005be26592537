// SPDX-License-Identifier: MIT
/*
 * Emulates TopBMS and siblings: answers 42H, 44H and the identity of each variant from a struct
 * pack, and switches the MOS of a PACE pack. Follows the sheet `topbms`, sections 3, 7, 8 and 12.
 * Emulated oddities: TopBMS answers with VER 52, a Seplos pack at address 00 reports itself as 01,
 * PACE does not open both MOS, Topband answers 51H in plain text; requests for another ADR are
 * ignored.
 */
#include "topbms_variants.h"

#include "bms/bytes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A reply under construction. */
struct answer {
    enum topbms_id id;
    const struct topbms_variant *variant;
    struct pack *pack;
    uint8_t number;       /* of the emulated pack: COMMAND */
    uint8_t command;      /* of the request */
    const uint8_t *asked; /* INFO of the request */
    size_t asked_size;
    uint8_t info[512];
    size_t size;
    bool plain; /* INFO is text already */
    enum ydt_return code;
};

/* The MOS switches as two bits of a byte. */
static uint32_t mos_bits(const struct pack *pack, unsigned charge_bit, unsigned discharge_bit)
{
    uint32_t charge = pack_value_or(pack, CHARGE_MOS, 1) > 0,
             discharge = pack_value_or(pack, DISCHARGE_MOS, 1) > 0;
    return charge << charge_bit | discharge << discharge_bit;
}

static void put_uint(struct answer *answer, uint32_t value, unsigned size)
{
    put_sized(answer->info + answer->size, value, size, true);
    answer->size += size;
}

/* A text, truncated or padded to a fixed size. */
static void put_text(struct answer *answer, const char *text, size_t size, char filling)
{
    size_t length = strlen(text);
    memset(answer->info + answer->size, filling, size);
    memcpy(answer->info + answer->size, text, length < size ? length : size);
    answer->size += size;
}

/* A number in its unit, saturated; 0 if unknown. */
static void put_number(struct answer *answer, double value, double unit, unsigned size,
                       bool is_signed)
{
    double highest = ldexp(1, (int) (8 * size - is_signed)) - 1;
    double raw = isnan(value) ? 0 : round(value / unit);
    raw = fmin(fmax(raw, is_signed ? -highest - 1 : 0), highest);
    put_uint(answer, (uint32_t) (int64_t) raw, size);
}

/* INFOFLAG and the group byte. */
static void put_group(struct answer *answer)
{
    if (!answer->variant->flag_absent)
        put_uint(answer, answer->id == ID_PYLONTECH ? 0x11 : 0, 1);
    if (answer->variant->no_group)
        return;
    bool all = answer->asked_size == 1 && answer->asked[0] == TOPBMS_ALL_PACKS;
    bool renamed = answer->id == ID_SEPLOS && answer->number == 0;
    put_uint(answer, all || renamed ? 1 : answer->number, 1);
}

/* ---- 42H ---- */

/* The reported number, or up to the last one that is known. */
static unsigned count_known(const struct pack *pack, enum pack_value id, enum pack_value first,
                            unsigned most)
{
    unsigned count = (unsigned) pack_value_or(pack, id, 0);
    for (unsigned i = count; i < most; i++)
        if (pack_known(pack, first + i))
            count = i + 1;
    return count;
}

static unsigned count_cells(const struct pack *pack)
{
    return count_known(pack, CELL_COUNT, CELL_MV, MAX_CELLS);
}

static unsigned mos_sensor(const struct answer *answer, unsigned count)
{
    return answer->variant->mos_sensor == LAST_SENSOR ? count : answer->variant->mos_sensor;
}

/* The number of sensors of the pack, including a place for the MOS sensor if the variant has one.
 */
static unsigned count_sensors(const struct answer *answer)
{
    const struct topbms_variant *variant = answer->variant;
    const struct pack *pack = answer->pack;
    unsigned count = count_known(pack, TEMP_COUNT, TEMP_C, MAX_TEMPS);
    unsigned needed = variant->mos_sensor;
    if (needed == LAST_SENSOR) /* after the cells, or after the environment sensors of EG4 */
        needed = variant->uncounted_sensors > 0 ? 4u + variant->uncounted_sensors : 5;
    if (pack_known(pack, MOS_TEMP_C) && count < needed)
        count = needed;
    return count < variant->uncounted_sensors ? variant->uncounted_sensors : count;
}

/* Pylontech sends FFFF and appends 3-byte fields if a capacity in mAh does not fit into 16 bits. */
static bool is_large(const struct answer *answer)
{
    return answer->id == ID_PYLONTECH &&
           fmax(pack_value_or(answer->pack, FULL_AH, 0),
                pack_value_or(answer->pack, REMAINING_AH, 0)) >= 65.535;
}

static uint8_t count_byte(const struct answer *answer)
{
    if (answer->id == ID_PYLONTECH && !is_large(answer))
        return 2;
    /* PACE and Topband: as recorded, or as in the only known source. */
    uint8_t any = answer->id == ID_PACE ? 3 : 4;
    return answer->variant->lengths[0].count ? answer->variant->lengths[0].count : any;
}

static void put_field(struct answer *answer, const struct topbms_field *field)
{
    const struct pack *pack = answer->pack;
    uint64_t mask = (uint64_t) pack_value_or(pack, BALANCE_MASK, 0);
    switch (field->id) {
    case FIELD_COUNT:
        put_uint(answer, count_byte(answer), 1);
        break;
    case FIELD_BALANCE_LOW:
        put_uint(answer, mask & 0xFFFF, 2);
        break;
    case FIELD_BALANCE_HIGH:
        put_uint(answer, mask >> 16 & 0xFFFF, 2);
        break;
    case FIELD_LARGE_CAPACITIES:
        put_number(answer, pack->value[REMAINING_AH], field->unit, 3, false);
        put_number(answer, pack->value[FULL_AH], field->unit, 3, false);
        break;
    case FIELD_OTHER:
        put_uint(answer, 0, field->size);
        break;
    case VOLTAGE_V: {
        double sum = 0;
        for (unsigned i = 0; i < count_cells(pack); i++)
            sum += pack_value_or(pack, CELL_MV + i, 0) / 1000;
        put_number(answer, pack_value_or(pack, VOLTAGE_V, sum), field->unit, field->size, false);
        break;
    }
    default:
        if (is_large(answer) && (field->id == REMAINING_AH || field->id == FULL_AH))
            put_uint(answer, 0xFFFF, 2);
        else
            put_number(answer, pack->value[field->id], field->unit, field->size,
                       field->id == CURRENT_A);
    }
}

static void answer_analog(struct answer *answer)
{
    unsigned cells = count_cells(answer->pack);
    put_group(answer);
    put_uint(answer, cells, 1);
    for (unsigned i = 0; i < cells; i++)
        put_number(answer, answer->pack->value[CELL_MV + i], 1, 2, false);
    const struct topbms_variant *variant = answer->variant;
    unsigned count = count_sensors(answer);
    put_uint(answer, count - variant->uncounted_sensors, 1);
    for (unsigned i = 0; i < count; i++) {
        double celsius = answer->pack->value[TEMP_C + i];
        if (i + 1 == mos_sensor(answer, count))
            celsius = pack_value_or(answer->pack, MOS_TEMP_C, celsius);
        double raw = round(celsius / variant->sensor_unit) + variant->sensor_zero;
        raw = isnan(raw) ? 0 : fmin(fmax(raw, variant->sensor_min), variant->sensor_max);
        if (variant->sensor_signed)
            put_number(answer, fmax(celsius, -0.1 * variant->sensor_min), variant->sensor_unit, 2,
                       true);
        else
            put_uint(answer, (uint32_t) raw, 2);
    }
    size_t end = answer->size + variant->lengths[0].size;
    for (unsigned i = 0; i < variant->field_count; i++) {
        const struct topbms_field *field = &variant->fields[i];
        bool optional = field->id == FIELD_PACE_SOC || field->id == FIELD_PACE_SOH;
        if (!optional && field->count <= count_byte(answer))
            put_field(answer, field);
    }
    /* Unused fields, such as the counters of EG4. */
    while (answer->size < end && !(answer->id == ID_PYLONTECH && !is_large(answer)))
        put_uint(answer, 0, 1);
}

/* ---- 44H ---- */

static void set_bit(uint8_t *status, uint8_t bit)
{
    status[bit / 8] |= (uint8_t) (1 << bit % 8);
}

/* The first bit of this alarm at this level, if the variant has one. NULL: it has none. */
static const struct alarm_bit *find_bit(const struct topbms_variant *variant, unsigned alarm,
                                        uint8_t level)
{
    const struct alarm_bit *found = NULL;
    for (unsigned i = 0; i < variant->alarm_count; i++) {
        const struct alarm_bit *row = &variant->alarms[i];
        if (row->alarm == alarm && (!found || (found->level != level && row->level == level)))
            found = row;
    }
    return found;
}

static void answer_status(struct answer *answer)
{
    const struct topbms_variant *variant = answer->variant;
    const struct pack *pack = answer->pack;
    unsigned cells = count_cells(pack), highest = 0, lowest = 0;
    put_group(answer);
    put_uint(answer, cells, 1);
    /* One item byte per cell: for an over-voltage alarm the highest cell is above its limit, for an
     * under-voltage alarm the lowest one is below it. */
    uint8_t *items = answer->info + answer->size;
    for (unsigned i = 0; i < cells; i++) {
        put_uint(answer, 0, 1);
        highest = pack->value[CELL_MV + i] > pack->value[CELL_MV + highest] ? i : highest;
        lowest = pack->value[CELL_MV + i] < pack->value[CELL_MV + lowest] ? i : lowest;
    }
    if (cells > 0 && pack_alarm_active(pack, CELL_UNDER_VOLTAGE))
        items[lowest] = 1;
    if (cells > 0 && pack_alarm_active(pack, CELL_OVER_VOLTAGE))
        items[highest] = 2;
    if (cells > 0 && pack_alarm_active(pack, VOLTAGE_SENSOR_FAULT))
        items[0] = 0xF0;
    unsigned count = count_sensors(answer);
    put_uint(answer, count - variant->uncounted_sensors, 1);
    for (unsigned i = 0; i < count; i++)
        put_uint(answer, i == 0 && pack_alarm_active(pack, TEMP_SENSOR_FAULT) ? 0xF0 : 0, 1);
    uint8_t *rest = answer->info + answer->size, *status = rest + variant->tails[0].status_at;
    rest[1] = pack_alarm_active(pack, PACK_OVER_VOLTAGE)    ? 2
              : pack_alarm_active(pack, PACK_UNDER_VOLTAGE) ? 1
                                                            : 0;
    if (variant->tail_count_at != NOWHERE)
        rest[variant->tail_count_at] = variant->tail_count;
    for (unsigned alarm = 0; alarm < PACK_ALARM_COUNT; alarm++) {
        const struct alarm_bit *warning = find_bit(variant, alarm, ALARM_WARNING);
        const struct alarm_bit *protection = find_bit(variant, alarm, ALARM_PROTECTION);
        bool louder = warning && warning->level != ALARM_WARNING;
        /* Item bytes report the warnings of these alarms. */
        if (warning && pack->alarms_warning >> alarm & 1 &&
            !(louder && (alarm == CELL_OVER_VOLTAGE || alarm == CELL_UNDER_VOLTAGE ||
                         alarm == PACK_OVER_VOLTAGE || alarm == PACK_UNDER_VOLTAGE)))
            set_bit(status, warning->bit);
        if (protection && pack->alarms_protection >> alarm & 1)
            set_bit(status, protection->bit);
    }
    if (variant->balance_at != NOWHERE)
        put_sized(status + variant->balance_at, (uint64_t) pack_value_or(pack, BALANCE_MASK, 0),
                  variant->balance_size, variant->balance_big_endian);
    if (pack_value_or(pack, CHARGE_MOS, 1) > 0)
        set_bit(status, variant->charge_mos);
    if (pack_value_or(pack, DISCHARGE_MOS, 1) > 0)
        set_bit(status, variant->discharge_mos);
    answer->size += variant->tails[0].size;
}

/* ---- identity, limits, switches ---- */

static void answer_product(struct answer *answer)
{
    const struct pack *pack = answer->pack;
    put_uint(answer, answer->number, 1);
    put_text(answer, "TOPBMS", 30, ' ');
    put_text(answer, "2023-10-18", 30, ' ');
    put_text(answer, pack->text[MODEL], 30, ' ');
    put_text(answer, pack->text[FIRMWARE], 30, ' ');
    put_text(answer, "LiFePO4", 30, ' ');
    put_text(answer, pack->text[SERIAL], 30, ' ');
    put_text(answer, "", 30, ' ');
}

static void answer_board(struct answer *answer)
{
    put_text(answer, answer->pack->text[FIRMWARE], 20, 0);
}

static void answer_serials(struct answer *answer)
{
    put_text(answer, answer->pack->text[SERIAL], 20, ' ');
    put_text(answer, "", 20, ' ');
}

static void answer_maker(struct answer *answer)
{
    const char *firmware = answer->pack->text[FIRMWARE];
    const char *dot = strchr(firmware, '.');
    put_text(answer, answer->pack->text[MODEL], 10, answer->id == ID_SEPLOS ? ' ' : 0);
    put_uint(answer, (uint32_t) strtoul(firmware, NULL, 10), 1);
    put_uint(answer, dot ? (uint32_t) strtoul(dot + 1, NULL, 10) : 0, 1);
    put_text(answer, answer->id == ID_SEPLOS ? "CAN Protocol:Sofar" : "Pylon", 20,
             answer->id == ID_SEPLOS ? ' ' : '-');
}

static void answer_plain(struct answer *answer)
{
    answer->plain = true;
    put_text(answer, answer->pack->text[MODEL], 20, ' ');
    put_text(answer, answer->pack->text[FIRMWARE], 4, ' ');
    put_text(answer, answer->pack->text[SERIAL], 40, ' ');
}

static void answer_module(struct answer *answer)
{
    put_uint(answer, answer->number, 1);
    put_text(answer, answer->pack->text[SERIAL], 16, ' ');
}

static void answer_limits(struct answer *answer)
{
    const struct pack *pack = answer->pack;
    put_uint(answer, answer->number, 1);
    put_number(answer, pack->value[CHARGE_VOLTAGE_LIMIT_V], 0.001, 2, false);
    put_number(answer, pack->value[DISCHARGE_VOLTAGE_LIMIT_V], 0.001, 2, false);
    put_number(answer, pack->value[CHARGE_CURRENT_LIMIT_A], 0.1, 2, true);
    put_number(answer, -pack->value[DISCHARGE_CURRENT_LIMIT_A], 0.1, 2, true);
    put_uint(answer, mos_bits(pack, 7, 6), 1);
}

/* 00 is on, 01 is off; one of the two MOS stays on. Even if refused, the reply contains both
 * states, like the byte "instruction" of 44H. */
static void answer_switch(struct answer *answer)
{
    const bool charge = answer->command == TOPBMS_CHARGE_MOS;
    if (answer->asked[0] > 1) {
        answer->code = RTN_DATA;
        return;
    }
    bool on = answer->asked[0] == 0;
    bool refused =
        !on && !(pack_value_or(answer->pack, charge ? DISCHARGE_MOS : CHARGE_MOS, 1) > 0);
    if (!refused)
        pack_set(answer->pack, charge ? CHARGE_MOS : DISCHARGE_MOS, on);
    put_uint(answer, mos_bits(answer->pack, 1, 2), 1);
    answer->code = refused ? RTN_NOT_DONE : RTN_OK;
}

enum asked_info { INFO_NONE, INFO_NUMBER, INFO_SWITCH, INFO_AS_VARIANT };

#define ONLY(id) (1u << (id))
#define EACH (ONLY(TOPBMS_IDS) - 2)

// clang-format off
static const struct service {
    uint8_t command;
    uint8_t variants;     /* bit n: enum topbms_id n */
    enum asked_info info;
    void (*answer)(struct answer *answer);
} services[] = {
    /* command             variants                              INFO             answer */
    {TOPBMS_ANALOG,        EACH,                                 INFO_AS_VARIANT, answer_analog},
    {TOPBMS_STATUS,        EACH & ~ONLY(ID_CREABEST),            INFO_AS_VARIANT, answer_status},
    {TOPBMS_PRODUCT,       ONLY(ID_TOPBMS),                      INFO_NUMBER,     answer_product},
    {TOPBMS_BOARD,         ONLY(ID_PACE),                        INFO_NONE,       answer_board},
    {TOPBMS_SERIALS,       ONLY(ID_PACE),                        INFO_NONE,       answer_serials},
    {TOPBMS_CHARGE_MOS,    ONLY(ID_PACE),                        INFO_SWITCH,     answer_switch},
    {TOPBMS_DISCHARGE_MOS, ONLY(ID_PACE),                        INFO_SWITCH,     answer_switch},
    {TOPBMS_MAKER,         ONLY(ID_SEPLOS) | ONLY(ID_PYLONTECH), INFO_NONE,       answer_maker},
    {TOPBMS_MAKER,         ONLY(ID_TOPBAND),                     INFO_NONE,       answer_plain},
    {TOPBMS_MODULE,        ONLY(ID_PYLONTECH),                   INFO_NUMBER,     answer_module},
    {TOPBMS_LIMITS,        ONLY(ID_PYLONTECH),                   INFO_NUMBER,     answer_limits},
};
// clang-format on

static enum ydt_return check_info(const struct answer *answer, const struct service *service)
{
    const bool values = service->info == INFO_AS_VARIANT;
    const bool numbered = service->info == INFO_NUMBER || (values && answer->variant->names_pack);
    if (answer->asked_size != (numbered || service->info == INFO_SWITCH))
        return RTN_FORMAT;
    const bool called =
        answer->asked[0] == answer->number || (values && answer->asked[0] == TOPBMS_ALL_PACKS);
    return numbered && !called ? RTN_DATA : RTN_OK;
}

static enum ydt_return serve_frame(struct answer *answer, const struct ydt_frame *asked,
                                   uint8_t info[YDT_INFO_MAX])
{
    if (asked->head.version != answer->variant->version)
        return RTN_VERSION;
    if (!ydt_read_info(asked, info, &answer->asked_size))
        return RTN_FORMAT;
    answer->asked = info;
    answer->command = asked->head.code;
    for (size_t i = 0; i < COUNT(services); i++) {
        const struct service *service = &services[i];
        if (service->command != asked->head.code || !(service->variants >> answer->id & 1))
            continue;
        answer->code = check_info(answer, service);
        if (answer->code == RTN_OK)
            service->answer(answer);
        return answer->code;
    }
    return RTN_COMMAND;
}

size_t topbms_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    size_t span = 0;
    enum ydt_state state = ydt_find(bytes, size, &span);
    if (state == YDT_MORE)
        return 0;
    if (state != YDT_GOOD && state != YDT_BAD_LENGTH && state != YDT_BAD_SUM)
        return span;
    enum topbms_id id = topbms_configured(bms);
    struct answer answer = {
        .id = id == ID_AUTO ? ID_TOPBMS : id, .pack = pack, .number = topbms_number(bms)};
    answer.variant = &topbms_variants[answer.id];
    uint8_t info[YDT_INFO_MAX];
    struct ydt_frame asked;
    struct ydt_head head;
    if (!ydt_read_head(bytes, span, &head) || head.address != topbms_adr(bms))
        return span;
    bool known = head.device == (answer.id == ID_EG4 ? 0x4A : 0x46);
    if (!known && answer.id != ID_SEPLOS)
        return span;
    enum ydt_return code = state == YDT_BAD_LENGTH ? RTN_LCHKSUM : RTN_CHKSUM;
    if (ydt_parse(bytes, span, &asked))
        code = known ? serve_frame(&answer, &asked, info) : RTN_DEVICE;
    head.version = answer.variant->reply_version;
    head.code = (uint8_t) code;
    out->size =
        (answer.plain ? ydt_write_text : ydt_write)(out->bytes, &head, answer.info, answer.size);
    return span;
}
