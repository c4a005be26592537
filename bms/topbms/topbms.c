// SPDX-License-Identifier: MIT
/*
 * TopBMS and its siblings in the YD/T 1363 family (Topband, PACE, Seplos V2, Pylontech LV, EG4):
 * the requests, and the decoding of replies. Follows the sheet `topbms`. Oddities: neither a reply
 * nor a return code names the command that it answers, so a reply with the wrong structure counts
 * as foreign; VER of a reply is meaningless; `auto` finds the variant by asking in one dialect
 * after the other.
 */
#include "topbms_reply.h"

#include "bms/bytes.h"

#include <math.h>

#define PATIENCE 3  /* unanswered requests in a row, after which a slower step is sent rarely */
#define RARELY 1024 /* poll cycles between two requests of such a step */

#define TDT_MOS_SENSOR 2 /* the sensor after the ambient one */
#define TDT_REST 20      /* bytes behind the sensors; a voltage is where PACE has SOC */

enum step { STEP_ANALOG, STEP_STATUS, STEP_IDENTITY, STEP_SERIAL, STEP_LIMITS, STEPS };

struct memory {
    uint8_t dialect;      /* index into dialects[]: how the pack is asked */
    uint8_t turn;         /* index into dialects[]: the one that `auto` tries */
    uint8_t asked;        /* number of 42H sent while the variant is unknown */
    bool woken;           /* 42H was repeated once, as the first may only have woken the pack */
    uint8_t variant;      /* enum topbms_id that answered; ID_AUTO: none yet */
    bool awaiting;        /* 42H was sent and has not been answered */
    bool analog_answered; /* the pack has answered 42H before */
    bool status_answered;
    bool product_refused; /* F1H: try E9H */
    struct topbms_board board;
    /* by slower step: requests that were never answered */
    uint16_t unanswered[STEPS];
    bool answers[STEPS]; /* by slower step: it has been answered before */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

/* ---- how a pack is asked ---- */

/* VER and CID1 by variant, the usual ones first. TopBMS and Topband, and Seplos and Pylontech, use
 * the same requests: in `auto` one row stands for both. */
// clang-format off
static const struct dialect {
    enum topbms_id variant;
    uint8_t version, device;
    bool in_auto;
    bool bare; /* 42H and 44H without COMMAND: the host port of Enjie boards (section 8.6) */
} dialects[] = {
    /* variant     VER   CID1  auto   bare */
    {ID_TOPBMS,    0x21, 0x46, true, false},
    {ID_PACE,      0x25, 0x46, true, false},
    {ID_SEPLOS,    0x20, 0x46, true, false},
    {ID_EG4,       0x20, 0x4A, true, false},
    {ID_TOPBMS,    0x52, 0x46, true, false},  /* Sylcin (section 5) */
    {ID_PACE,      0x25, 0x4F, true, false},  /* 14 cells, ternary */
    {ID_EG4,       0x20, 0x4E, true, false},
    {ID_EG4,       0x20, 0x4F, true, false},
    {ID_TOPBAND,   0x21, 0x46, false, false},
    {ID_PYLONTECH, 0x20, 0x46, false, false},
    {ID_SEPLOS,    0x20, 0x46, false, true},
    {ID_CREABEST,  0x11, 0x46, false, false},
};
// clang-format on
#define DIALECTS COUNT(dialects)

/* Requests to a pack behind a master have the master's ADR; only COMMAND names the pack (section
 * 9). */
static bool behind_master(const struct bms *bms)
{
    return topbms_adr(bms) != topbms_number(bms);
}

static bool names_pack(const struct dialect *dialect)
{
    return topbms_variants[dialect->variant].names_pack && !dialect->bare;
}

static bool dialect_fits(const struct bms *bms, const struct dialect *dialect)
{
    if (behind_master(bms) && !names_pack(dialect))
        return false;
    enum topbms_id configured = topbms_configured(bms);
    return configured == ID_AUTO ? dialect->in_auto : dialect->variant == configured;
}

/* While the variant is unknown: chooses the next dialect that fits the configuration, beginning at
 * `from` and wrapping around. */
static bool choose_dialect(struct bms *bms, size_t from)
{
    struct memory *memory = bms_memory(bms);
    for (size_t i = 0; i < DIALECTS; i++) {
        size_t at = (from + i) % DIALECTS;
        if (dialect_fits(bms, &dialects[at])) {
            memory->dialect = (uint8_t) at;
            return true;
        }
    }
    return false;
}

/* Two of three requests use the dialect of the last reply, as the pack may only have been absent;
 * the third tries another one, as the pack may have been replaced. */
static bool find_dialect(struct bms *bms, bool turn)
{
    struct memory *memory = bms_memory(bms);
    bool known = bms->way > 0 && dialect_fits(bms, &dialects[bms->way - 1]);
    if (known && memory->asked % 3 < 2) {
        memory->dialect = (uint8_t) (bms->way - 1);
        return true;
    }
    bool found = choose_dialect(bms, memory->turn + (turn ? 1u : 0u));
    memory->turn = memory->dialect;
    return found;
}

/* The dialect of a pack that replied as variant `id` to a request with the head `asked`. For
 * another master's request only CID1 is known: the first dialect with that one. */
static uint8_t dialect_of(enum topbms_id id, const struct ydt_head *asked, bool bare)
{
    size_t found = 0;
    int best = -1;
    for (size_t i = 0; i < DIALECTS; i++) {
        int likeness = 4 * (dialects[i].device == asked->device) +
                       2 * (dialects[i].version == asked->version) + (dialects[i].bare == bare);
        if (dialects[i].variant == id && likeness > best) {
            found = i;
            best = likeness;
        }
    }
    return (uint8_t) found;
}

/* The variant: as configured, or as found by a reply. */
static enum topbms_id known_variant(struct bms *bms)
{
    const struct memory *memory = bms_memory(bms);
    enum topbms_id configured = topbms_configured(bms);
    return configured == ID_AUTO ? (enum topbms_id) memory->variant : configured;
}

static const struct bms_step plan[STEPS] = {
    [STEP_ANALOG] = {.name = "analog values", .vital = true},
    [STEP_STATUS] = {.name = "alarms and states"},
    [STEP_IDENTITY] = {.name = "identity", .every_s = 3600},
    [STEP_SERIAL] = {.name = "serial number", .every_s = 3600},
    [STEP_LIMITS] = {.name = "limits", .every_s = 10},
};

static void make_request(struct bms *bms, uint8_t command, const uint8_t *info, size_t size,
                         struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    const struct dialect *dialect = &dialects[memory->dialect];
    const struct ydt_head head = {dialect->version, topbms_adr(bms), dialect->device, command};
    request->size = ydt_write(request->bytes, &head, info, size);
}

/* Sends COMMAND as INFO, or no INFO. Without INFO a request reaches only the pack at ADR, not one
 * behind it. */
static bool ask(struct bms *bms, uint8_t command, bool names_pack, struct bms_request *request)
{
    if (command == 0 || (!names_pack && behind_master(bms)))
        return false;
    make_request(bms, command, (const uint8_t[]){topbms_number(bms)}, names_pack, request);
    return true;
}

/* Many packs never answer these requests, and each of them costs a timeout: send a few, then one in
 * RARELY cycles. */
static bool ask_slowly(struct bms *bms, unsigned step, uint8_t command, bool names_pack,
                       struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    if (!ask(bms, command, names_pack, request))
        return false;
    if (memory->answers[step])
        return true;
    unsigned asked = memory->unanswered[step]++;
    return asked < PATIENCE || asked % RARELY == 0;
}

/* Until a pack has answered, each 42H uses the next dialect, and all of them again in turn, because
 * silence may mean that the pack does not know this one. The very first request is sent twice, as
 * it may only wake the pack. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const bool again = step == STEP_ANALOG && memory->awaiting, turn = again && memory->woken;
    memory->woken |= again;
    if (memory->variant == ID_AUTO && !find_dialect(bms, turn))
        return false;
    const bool named = names_pack(&dialects[memory->dialect]);
    if (step == STEP_ANALOG) {
        memory->asked++;
        memory->awaiting = true;
        return ask(bms, TOPBMS_ANALOG, named, request);
    }
    enum topbms_id id = known_variant(bms);
    if (id == ID_AUTO)
        return false;
    const struct topbms_variant *variant = &topbms_variants[id];
    switch ((enum step) step) {
    case STEP_STATUS:
        return variant->tails[0].size > 0 && ask(bms, TOPBMS_STATUS, named, request);
    case STEP_IDENTITY:
        if (!ask_slowly(bms, step, variant->identity, variant->identity == TOPBMS_PRODUCT, request))
            return false;
        memory->board.answered &= variant->identity != TOPBMS_BOARD;
        return true;
    case STEP_SERIAL:
        if (variant->serial == TOPBMS_SERIAL && !memory->product_refused)
            return false; /* F1H tells it */
        /* The replies to C1H and C2H can look alike: request C2H only after C1H was answered. */
        if (variant->serial == TOPBMS_SERIALS && !memory->board.answered)
            return false;
        return ask_slowly(bms, step, variant->serial, variant->serial != TOPBMS_SERIALS, request);
    default:
        return ask_slowly(bms, step, variant->limits, true, request);
    }
}

/* Section 8.4: PACE only; INFO 00 is on. The request has no pack number: it must never be sent to a
 * pack behind a master, because it would switch the master. */
static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    if (known_variant(bms) != ID_PACE || behind_master(bms))
        return false;
    if (memory->variant == ID_AUTO && !choose_dialect(bms, memory->dialect))
        return false;
    uint8_t command = which == BMS_CHARGE_MOS ? TOPBMS_CHARGE_MOS : TOPBMS_DISCHARGE_MOS;
    make_request(bms, command, (const uint8_t[]){on ? 0 : 1}, 1, request);
    return true;
}

/* A frame that does not answer the request: foreign (or late) if it can be decoded as 42H or 44H of
 * some pack, or of all; otherwise malformed. */
static enum bms_result reject(struct topbms_reply *reply)
{
    struct topbms_layout layout;
    reply->number = reply->asked.address = TOPBMS_ALL_PACKS;
    for (int all = 0; all <= 1; all++) {
        reply->names_pack = all;
        if (topbms_find_layout(reply, KIND_ANALOG, &layout) ||
            topbms_find_layout(reply, KIND_STATUS, &layout))
            return BMS_FOREIGN;
    }
    return BMS_INVALID;
}

/* ---- 42H ---- */

/* NaN: a capacity is unknown. */
static double capacity_percent(const struct pack *pack)
{
    /* A full pack may hold slightly more than its full capacity, which the BMS updates only now and
     * then. */
    double percent = 100 * pack->value[REMAINING_AH] / pack->value[FULL_AH];
    return percent > 100 && percent <= 105 ? 100 : percent;
}

static void decode_field(const struct bms *bms, struct pack *pack,
                         const struct topbms_layout *layout, const struct topbms_field *field,
                         const uint8_t *d, double *balance)
{
    switch (field->id) {
    case CURRENT_A:
        bms_set(bms, pack, CURRENT_A, sbe16(d) * field->unit);
        break;
    case VOLTAGE_V:
        pack_set(pack, VOLTAGE_V, layout->voltage_v);
        break;
    case FIELD_COUNT:
    case FIELD_OTHER:
        break;
    case FIELD_BALANCE_LOW:
        *balance = (double) get_sized(d, field->size, true);
        break;
    case FIELD_BALANCE_HIGH:
        *balance += (double) get_sized(d, field->size, true) * 0x10000;
        break;
    case FIELD_LARGE_CAPACITIES: /* 0174E4 | 01B198      95460 of 111000 mAh */
        if (!pack_known(pack, REMAINING_AH) && !pack_known(pack, FULL_AH)) {
            pack_set(pack, REMAINING_AH, (double) get_sized(d, 3, true) * field->unit);
            pack_set(pack, FULL_AH, (double) get_sized(d + 3, 3, true) * field->unit);
        }
        break;
    case FIELD_PACE_SOC:
        /* 24  | 7148 7148 7148 7148 | 64
         *  SOC | capacities          | SOH
         * Used only if SOC agrees with the capacities before it: some firmwares end after these, others
         * send something else here. */
        if (layout->rest_size != TDT_REST && fabs(d[0] - capacity_percent(pack)) <= 2)
            pack_set(pack, SOC_PERCENT, d[0]);
        break;
    case FIELD_PACE_SOH:
        if (pack_known(pack, SOC_PERCENT))
            pack_set(pack, SOH_PERCENT, d[8]);
        break;
    default: {
        double raw = (double) get_sized(d, field->size, true);
        /* FFFF means "see below" at Pylontech and saturation elsewhere; a capacity of 0 is not
         * configured. */
        bool none = (field->id == REMAINING_AH || field->id == FULL_AH || field->id == RATED_AH) &&
                    (raw == 0xFFFF || (raw == 0 && field->id != REMAINING_AH));
        if (!none)
            pack_set(pack, field->id, raw * field->unit);
    }
    }
}

/* Bits after the last cell are meaningless. */
static void set_balance(struct pack *pack, double mask, unsigned cell_count)
{
    pack_set(pack, BALANCE_MASK, fmod(mask, ldexp(1, (int) cell_count)));
}

static void decode_fields(const struct bms *bms, struct pack *pack,
                          const struct topbms_layout *layout)
{
    const struct topbms_variant *variant = layout->variant;
    const uint8_t *d = layout->rest;
    size_t left = layout->rest_size;
    uint8_t count = d[variant->count_at];
    double balance = NAN;
    if (variant->balance_at == NOWHERE) /* otherwise 44H reports it */
        pack_unset(pack, BALANCE_MASK);
    for (unsigned i = 0; i < variant->field_count; i++) {
        const struct topbms_field *field = &variant->fields[i];
        if (field->size > left || field->count > count)
            break;
        decode_field(bms, pack, layout, field, d, &balance);
        d += field->size;
        left -= field->size;
    }
    if (!isnan(balance))
        set_balance(pack, balance, layout->cell_count);
}

static unsigned mos_sensor(const struct topbms_layout *layout)
{
    const struct topbms_variant *variant = layout->variant;
    if (variant->mos_sensor != LAST_SENSOR)
        return variant->mos_sensor;
    /* Up to four sensors are those of the cells, unless they include EG4's two uncounted ones. */
    return layout->sensor_count > 4 || variant->uncounted_sensors > 0 ? layout->sensor_count : 0;
}

static void decode_sensors(struct pack *pack, const struct topbms_layout *layout, unsigned mos)
{
    const struct topbms_variant *variant = layout->variant;
    pack_set(pack, TEMP_COUNT, layout->sensor_count);
    for (unsigned i = 0; i < layout->sensor_count; i++) {
        uint16_t raw = be16(layout->sensors + 2 * i);
        double celsius = (raw - (double) variant->sensor_zero) * variant->sensor_unit;
        if (variant->sensor_signed)
            celsius = (int16_t) raw * variant->sensor_unit;
        if ((raw == 0 || raw == TOPBMS_NO_SENSOR) && !variant->sensor_signed)
            continue;
        pack_set_temp(pack, i + 1, celsius);
        if (i + 1 == mos)
            pack_set(pack, MOS_TEMP_C, celsius);
    }
}

/* PACE boards that emulate Pylontech send units of 10 mAh instead of 1 mAh (section 8.1): no pack
 * of 15 or 16 cells is that small. */
static void correct_capacities(struct pack *pack, const struct topbms_layout *layout)
{
    bool pace = layout->id == ID_PYLONTECH && layout->flag == 0 &&
                layout->rest[layout->variant->count_at] == 2 &&
                (layout->cell_count == 15 || layout->cell_count == 16);
    if (!pace || !(pack->value[FULL_AH] < 20))
        return;
    pack_set(pack, FULL_AH, 10 * pack->value[FULL_AH]);
    if (pack_known(pack, REMAINING_AH))
        pack_set(pack, REMAINING_AH, 10 * pack->value[REMAINING_AH]);
}

static void decode_analog(struct bms *bms, const struct topbms_reply *reply,
                          const struct topbms_layout *layout, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    memory->awaiting = false;
    memory->analog_answered = true;
    memory->variant = (uint8_t) layout->id;
    struct ydt_head unasked = {.device = reply->frame.head.device};
    memory->dialect = dialect_of(layout->id, reply->unasked ? &unasked : &reply->asked,
                                 !reply->unasked && !reply->names_pack);
    bms->way = (uint8_t) (memory->dialect + 1);
    /* Clears the values of an earlier reply: some are derived, others may be missing in this
     * one. */
    static const enum pack_value analog[] = {CURRENT_A, SOC_PERCENT, SOH_PERCENT, REMAINING_AH,
                                             FULL_AH,   RATED_AH,    CYCLES,      MOS_TEMP_C};
    for (size_t i = 0; i < COUNT(analog); i++)
        pack_unset(pack, analog[i]);
    for (unsigned id = CELL_MV; id < PACK_VALUES; id++)
        pack_unset(pack, id);
    pack_set(pack, CELL_COUNT, layout->cell_count);
    for (unsigned i = 0; i < layout->cell_count; i++)
        if (be16(layout->cells + 2 * i) > 0)
            pack_set_cell(pack, i + 1, be16(layout->cells + 2 * i));
    decode_sensors(pack, layout, reply->is_tdt ? TDT_MOS_SENSOR : mos_sensor(layout));
    decode_fields(bms, pack, layout);
    correct_capacities(pack, layout);
    double percent = capacity_percent(pack);
    if (layout->variant->soc_by_capacities && !pack_known(pack, SOC_PERCENT) && !isnan(percent))
        pack_set(pack, SOC_PERCENT, percent);
}

/* ---- 44H ---- */

static bool status_bit(const uint8_t *status, uint8_t bit)
{
    return status[bit / 8] >> bit % 8 & 1;
}

static void decode_raw_words(struct pack *pack, const uint8_t *d, size_t size)
{
    for (size_t i = 0; i < size; i += 2)
        pack_raw_alarm(pack, (uint16_t) (d[i] << 8 | (i + 1 < size ? d[i + 1] : 0)));
}

/* Alarms, switches and balancing. The raw words are all bytes after the sensors, then the item
 * bytes of the sensors, two per word. What a shorter status of older firmware lacks stays unknown.
 */
static void decode_status(const struct topbms_layout *layout, struct pack *pack)
{
    const struct topbms_variant *variant = layout->variant;
    const uint8_t *status = layout->rest + layout->tail->status_at;
    pack_clear_alarms(pack);
    /* Section 5: 01 below the lower limit, 02 above the upper limit, F0 another fault. */
    for (unsigned i = 0; i < layout->cell_count; i++) {
        uint8_t item = layout->cells[i];
        pack_alarm_at(pack, CELL_UNDER_VOLTAGE, ALARM_WARNING, item == 1);
        pack_alarm_at(pack, CELL_OVER_VOLTAGE, ALARM_WARNING, item == 2);
        pack_alarm_at(pack, VOLTAGE_SENSOR_FAULT, ALARM_PROTECTION, item == 0xF0);
    }
    for (unsigned i = 0; i < layout->sensor_count; i++)
        pack_alarm_at(pack, TEMP_SENSOR_FAULT, ALARM_PROTECTION, layout->sensors[i] == 0xF0);
    pack_alarm_at(pack, PACK_UNDER_VOLTAGE, ALARM_WARNING, layout->rest[1] == 1);
    pack_alarm_at(pack, PACK_OVER_VOLTAGE, ALARM_WARNING, layout->rest[1] == 2);
    for (unsigned i = 0; i < variant->alarm_count; i++) {
        const struct alarm_bit *row = &variant->alarms[i];
        if (row->bit / 8 < layout->tail->status_size)
            pack_alarm_at(pack, row->alarm, row->level, status_bit(status, row->bit));
    }
    pack_set(pack, CHARGE_MOS, status_bit(status, variant->charge_mos));
    pack_set(pack, DISCHARGE_MOS, status_bit(status, variant->discharge_mos));
    if (variant->balance_at != NOWHERE) {
        const uint64_t mask = get_sized(status + variant->balance_at, variant->balance_size,
                                        variant->balance_big_endian);
        set_balance(pack, (double) mask, layout->cell_count);
    }
    decode_raw_words(pack, layout->rest, layout->rest_size);
    decode_raw_words(pack, layout->sensors, layout->sensor_count);
}

static void note_answer(struct bms *bms, uint8_t command)
{
    struct memory *memory = bms_memory(bms);
    const struct topbms_variant *variant = &topbms_variants[known_variant(bms)];
    memory->answers[STEP_IDENTITY] |= command == variant->identity;
    memory->answers[STEP_SERIAL] |= command == variant->serial;
    memory->answers[STEP_LIMITS] |= command == variant->limits;
}

/* Section 3. A return code does not name the command that it answers: if it contradicts an earlier
 * reply of the pack, it is a late one. */
static enum bms_result decode_refusal(struct bms *bms, const struct topbms_reply *reply)
{
    struct memory *memory = bms_memory(bms);
    uint8_t code = reply->frame.head.code, command = reply->asked.code;
    if (reply->unasked)
        return BMS_FOREIGN;
    if (code == RTN_CHKSUM || code == RTN_LCHKSUM || code == RTN_ADDRESS || code == RTN_LINK)
        return BMS_INVALID; /* a damaged request, or a pack that is temporarily absent: ask again */
    bool wrong_dialect = code == RTN_VERSION || code == RTN_DEVICE;
    if (command == TOPBMS_ANALOG && (wrong_dialect || !memory->analog_answered)) {
        /* After wrong VER, CID1 or INFO: uses the next dialect, and identifies the pack again. */
        if (bms->way == memory->dialect + 1)
            bms->way = 0; /* it is another pack */
        memory->asked = 0;
        choose_dialect(bms, memory->dialect + 1u);
        memory->turn = memory->dialect;
        memory->variant = ID_AUTO;
        memory->awaiting = memory->analog_answered = memory->status_answered = false;
    } else if (command == TOPBMS_ANALOG || (command == TOPBMS_STATUS && memory->status_answered))
        return BMS_INVALID;
    memory->product_refused |= command == TOPBMS_PRODUCT;
    memory->board.answered |= command == TOPBMS_BOARD;
    note_answer(bms, command);
    return BMS_REFUSED;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct topbms_reply reply;
    if (!topbms_read_reply(bms, request, frame, size, &reply))
        return BMS_FOREIGN;
    if (reply.frame.head.code != RTN_OK)
        return decode_refusal(bms, &reply);
    /* A reply whose request is unknown is identified by its structure alone. */
    const bool analog = reply.unasked || reply.asked.code == TOPBMS_ANALOG;
    const bool status = reply.unasked || reply.asked.code == TOPBMS_STATUS;
    struct memory *memory = bms_memory(bms);
    struct topbms_layout layout;
    if (analog && topbms_find_layout(&reply, KIND_ANALOG, &layout)) {
        decode_analog(bms, &reply, &layout, pack);
        return BMS_DONE;
    }
    if (status && topbms_find_layout(&reply, KIND_STATUS, &layout)) {
        memory->status_answered = true;
        decode_status(&layout, pack);
        return BMS_DONE;
    }
    if (analog || status)
        return reply.unasked ? BMS_FOREIGN : reject(&reply);
    enum bms_result result = topbms_take_message(&memory->board, &reply, pack);
    if (result == BMS_DONE)
        note_answer(bms, reply.asked.code);
    return result == BMS_INVALID ? reject(&reply) : result;
}

/* In `auto` each poll uses the next dialect: TopBMS twice, PACE, Seplos (and Pylontech), EG4,
 * Sylcin, the latter two only at the most likely address. Pylontech packs count from 2 and may use
 * 115200 baud. */
static const struct bms_guess guesses[] = {
    {.address = 1, .polls = 6},
    {.address = 0, .polls = 4},
    {.address = 2, .polls = 4},
    {.address = 2, .variant = ID_PYLONTECH, .baud = 115200},
    {.address = 1, .variant = ID_CREABEST},
};

/* EG4 and packs behind TCP serial servers take up to 2 s to answer; EG4 and Topband need a pause of
 * 0.2 s (section 10). `auto` uses the slowest values. */
const struct bms_driver topbms_driver = {
    .name = "topbms",
    .title = "TopBMS, Topband, PACE, Seplos V2, Pylontech LV, EG4 (YD/T 1363, ASCII)",
    .guide =
        {.makes =
             "Topband (EET), PACE, Seplos V2, Pylontech US series and other low "
             "voltage, EG4 LifePower4, Enjie EMU1101 (`seplos`), Creabest VB (`creabest`), TopBMS",
         .port = "RS485, RS232",
         .wires = "RS485 or RS232. PACE RS232 (RJ11, tab down): 2 GND, 3 TX, 4 RX; PACE "
                  "RS485: RJ45 7/8. Port for the host, not the link port between packs",
         .setting = "DIP switch: address. Some Seplos ports: `baud = 19200`. Pylontech: `baud "
                    "= 115200` unless DIP 1 is on",
         .address = "1 if not given (PACE, Seplos: often 0; Pylontech: from 2). `auto`, "
                    "`topbms`, `topband`, `pace`, `seplos`, `pylontech`, `eg4`, `creabest`",
         .switching = "`pace`"},
    .variants = topbms_names,
    .address = {.min = 0, .max = 254, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 2000, .gap_ms = 200},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    .ways = 7, /* of `auto`, in dialects[] */
    BMS_GUESSES(guesses),
    .build = build,
    .frame = ydt_frame,
    .question = topbms_question,
    .decode = decode,
    .control = build_switch,
    .emulate = topbms_emulate,
};
