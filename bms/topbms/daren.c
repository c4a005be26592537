// SPDX-License-Identifier: MIT
/*
 * Daren boards, which speak DR-1363: the frame of YD/T 1363 with VER 22 and CID1 4A. Follows the
 * sheet `daren`. Oddities: a reply does not name the request that it answers, so its structure has
 * to identify it; newer firmware omits the flag before the values, so the position of the cells
 * follows from their sum, which is the voltage; the maker's document swaps the two switches.
 */
#include "ydt1363.h"

#include "bms/bytes.h"

#include <math.h>
#include <string.h>

#define VERSION 0x22
#define DEVICE 0x4A
#define CELLS_MOST 32
#define SENSORS_MOST MAX_TEMPS
#define IDENTITY_SIZE 35 /* newer boards: 37 */
#define FIELD_SIZE 10    /* of its texts */
#define PARAMETERS_SIZE 65
#define MODULE_HEAD 6 /* of a reply to B0, which repeats the request */
#define SERIAL_SIZE 30
#define SOC_AGREES 2        /* % between the state of charge and that of the capacities */
#define STATE_SIZE 33       /* bytes from the state of the voltage on */
#define SHORT_STATE_SIZE 20 /* the same in the maker's document */

enum command { LIVE = 0x42, PARAMETERS = 0x47, IDENTITY = 0x51, MODULE = 0xB0 };
enum module { MODULE_MAKER = 3, MODULE_CAPACITY = 4 };
// clang-format off
/* What is read: a command, the number of a module, and the bytes of INFO. */
static const struct bms_step plan[] = {
    {.name = "values", .vital = true,           .read = {LIVE, 0, 1}},
    {.name = "parameters",    .every_s = 3600,  .read = {PARAMETERS, 0, 1}},
    {.name = "identity",      .every_s = 3600,  .read = {IDENTITY, 0, 0}},
    {.name = "serial number", .every_s = 3600,  .read = {MODULE, MODULE_MAKER, 5}},
    {.name = "capacity",      .every_s = 3600,  .read = {MODULE, MODULE_CAPACITY, 5}},
};
// clang-format on

/* Section 3: the requested group is the pack's own address. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct bms_read *read = &plan[step].read;
    const uint8_t address = (uint8_t) bms_address(bms);
    const uint8_t info[] = {address, 1, (uint8_t) read->start, 0xFF, 0};
    const struct ydt_head head = {VERSION, address, DEVICE, read->function};
    request->size = ydt_write(request->bytes, &head, info, read->count);
    return true;
}

static bool is_return_code(uint8_t code)
{
    return code <= RTN_NOT_DONE || code == RTN_ADDRESS || code == RTN_LINK;
}

static bool is_daren(const struct ydt_head *head)
{
    return head->version == VERSION && head->device == DEVICE;
}

static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    struct ydt_frame frame;
    struct bms_span span = ydt_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME)
        return span;
    if (ydt_parse(bytes, span.size, &frame) && is_daren(&frame.head) &&
        !is_return_code(frame.head.code))
        *address = frame.head.address;
    else
        span.kind = BMS_SKIP;
    return span;
}

/* ---- 42H (section 4) ----
 *   00   | 1A2C | 14C0 | 10 | 0D01 0D01 … | 010E 0104 010E  | 04 | 0104 …  | rest
 *   flag | SOC  | V    | M  | cells       | air, mean, MOS  | N  | sensors | */
struct live {
    const uint8_t *charge; /* the SOC, with the voltage behind it */
    const uint8_t *cells, *sensors, *rest;
    unsigned cell_count, sensor_count;
    size_t rest_size;
};

/* Behind the sensors:
 *   0000    | 0000       | 0050 | 01 | 1F40 | 14F0      | 00CC   | states …
 *   current | resistance | SOH  | -  | full | remaining | cycles | */
enum { CURRENT_AT = 0, SOH_AT = 4, FULL_AT = 7, REMAINING_AT = 9, CYCLES_AT = 11, STATES_AT = 13 };
enum { VOLTAGE_STATE, CURRENT_STATE, TEMPERATURE_STATE, ALARM_STATE, FET_STATE, STATE_WORDS };
enum { BALANCE_LOW = 9, BALANCE_HIGH = 10 }; /* numbered like these */

static bool read_live(const uint8_t *d, size_t size, struct live *live)
{
    if (size < 5 || be16(d) > 10000 || d[4] < 1 || d[4] > CELLS_MOST)
        return false;
    size_t behind = 5 + 2 * (size_t) d[4];
    if (size < behind + 7 || d[behind + 6] > SENSORS_MOST)
        return false;
    size_t rest = behind + 7 + 2 * (size_t) d[behind + 6];
    const size_t states = size - rest - STATES_AT;
    if (size < rest + STATES_AT || (states != STATE_SIZE && states != SHORT_STATE_SIZE))
        return false;
    *live = (struct live){.charge = d,
                          .cells = d + 5,
                          .cell_count = d[4],
                          .sensors = d + behind + 7,
                          .sensor_count = d[behind + 6],
                          .rest = d + rest,
                          .rest_size = size - rest};
    return bms_cells_fit(live->cells, live->cell_count, be16(live->charge + 2) / 100.0);
}

// clang-format off
/* Section 5; bit 16 * word + bit. Alarms of the ambient air are only in the raw words. */
#define V(bit) (16 * VOLTAGE_STATE + (bit))
#define C(bit) (16 * CURRENT_STATE + (bit))
#define T(bit) (16 * TEMPERATURE_STATE + (bit))
#define A(bit) (16 * ALARM_STATE + (bit))
static const struct alarm_bit alarms[] = {
    ALARM_VOLTAGES(V(4), V(0), 1),
    {V(14), CELL_IMBALANCE, PROT},            {V(8), CELL_IMBALANCE, WARN},
    {V(11), TEMPERATURE_IMBALANCE, WARN},
    {V(12), HARDWARE_FAULT, PROT},            /* cell */
    {V(13), HARDWARE_FAULT, PROT},            /* fuse */
    {C(2), CHARGE_OVER_CURRENT, PROT},        {C(6), CHARGE_OVER_CURRENT, WARN},
    {C(4), DISCHARGE_OVER_CURRENT, PROT},     {C(7), DISCHARGE_OVER_CURRENT, WARN},
    {C(5), DISCHARGE_OVER_CURRENT, PROT},     /* level 2 */
    {C(3), SHORT_CIRCUIT, PROT},
    ALARM_TEMPERATURES(T(8), T(0), 1),
    {T(6), MOS_OVER_TEMPERATURE, PROT},       {T(14), MOS_OVER_TEMPERATURE, WARN},
    {A(0), CELL_IMBALANCE, WARN},
    {A(1), CHARGE_MOS_FAULT, PROT},
    {A(3), COMMUNICATION_FAULT, PROT},        /* front end */
    {A(4), HARDWARE_FAULT, PROT},             /* memory */
    {A(7), SOC_LOW, WARN},
    {A(8), MOS_OVER_TEMPERATURE, PROT},
    {A(10), HARDWARE_FAULT, PROT},            /* current limiting board */
    {A(11), HARDWARE_FAULT, PROT},            /* sampling */
    {A(12), HARDWARE_FAULT, PROT},            /* cell */
    {A(13), TEMP_SENSOR_FAULT, PROT},
    {A(14), CHARGE_MOS_FAULT, PROT},
    {A(15), DISCHARGE_MOS_FAULT, PROT},
};
static const struct alarm_bit fet_alarms[] = {
    {2,  CHARGE_MOS_FAULT,    PROT},
    {3,  DISCHARGE_MOS_FAULT, PROT},
    {13, HARDWARE_FAULT,      PROT},          /* front end */
};
// clang-format on
enum { FET_CHARGE = 1, FET_DISCHARGE = 2 };

static uint16_t state_word(const struct live *live, unsigned number)
{
    return be16(live->rest + STATES_AT + 2 * number);
}

static void decode_live(const struct bms *bms, const struct live *live, struct pack *pack)
{
    /* Hundredths of a percent; one board sends whole percent, which then agree with the capacities. */
    const double raw = be16(live->charge), full = be16(live->rest + FULL_AT);
    const double percent = full > 0 ? 100.0 * be16(live->rest + REMAINING_AT) / full : NAN;
    const double as_hundredths = fabs(raw / 100 - percent);
    const bool is_whole = raw <= 100 && fabs(raw - percent) < fmin(as_hundredths, SOC_AGREES);
    pack_set(pack, SOC_PERCENT, is_whole ? raw : raw / 100);
    pack_set(pack, VOLTAGE_V, be16(live->charge + 2) / 100.0);
    pack_set(pack, CELL_COUNT, live->cell_count);
    for (unsigned i = 0; i < live->cell_count; i++) {
        uint16_t mv = be16(live->cells + 2 * i);
        if (mv > 0)
            pack_set_cell(pack, i + 1, mv);
        else
            pack_unset(pack, CELL_MV + i);
    }
    pack_set(pack, MOS_TEMP_C, sbe16(live->sensors - 3) / 10.0);
    pack_set(pack, TEMP_COUNT, live->sensor_count);
    for (unsigned i = 0; i < live->sensor_count; i++)
        pack_set_temp(pack, i + 1, sbe16(live->sensors + 2 * i) / 10.0);
    bms_set(bms, pack, CURRENT_A, sbe16(live->rest + CURRENT_AT) / 100.0);
    pack_set(pack, SOH_PERCENT, be16(live->rest + SOH_AT));
    pack_set(pack, FULL_AH, be16(live->rest + FULL_AT) / 100.0);
    pack_set(pack, REMAINING_AH, be16(live->rest + REMAINING_AT) / 100.0);
    pack_set(pack, CYCLES, be16(live->rest + CYCLES_AT));
    uint64_t word = 0;
    pack_clear_alarms(pack);
    for (unsigned i = 0; i < STATE_WORDS; i++) {
        pack_raw_alarm(pack, state_word(live, i));
        if (i < FET_STATE)
            word |= (uint64_t) state_word(live, i) << 16 * i;
    }
    pack_alarm_bits(pack, alarms, COUNT(alarms), word);
    pack_alarm_bits(pack, fet_alarms, COUNT(fet_alarms), state_word(live, FET_STATE));
    pack_set(pack, CHARGE_MOS, (state_word(live, FET_STATE) & FET_CHARGE) != 0);
    pack_set(pack, DISCHARGE_MOS, (state_word(live, FET_STATE) & FET_DISCHARGE) != 0);
    double mask = state_word(live, BALANCE_LOW);
    if (live->rest_size == STATES_AT + STATE_SIZE)
        mask += 65536.0 * state_word(live, BALANCE_HIGH);
    pack_set(pack, BALANCE_MASK, fmod(mask, ldexp(1, (int) live->cell_count)));
}

/* ---- the other replies (section 6) ---- */

/* The kind of a reply, by its structure alone; behind the first one in the order of the plan. */
enum kind { KIND_NONE, KIND_LIVE, KIND_PARAMETERS, KIND_IDENTITY, KIND_MAKER, KIND_CAPACITY };

static bool is_text(const uint8_t *d, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (d[i] != 0 && (d[i] < ' ' || d[i] > '~'))
            return false;
    return true;
}

static bool is_module(const uint8_t *d, size_t size, enum module module, size_t least)
{
    return size >= MODULE_HEAD + least && d[0] == MODULE && d[2] == 1 && d[3] == module &&
           d[4] == 0xFF;
}

static enum kind kind_of(const uint8_t *d, size_t size, struct live *live)
{
    if (is_module(d, size, MODULE_MAKER, SERIAL_SIZE))
        return KIND_MAKER;
    if (is_module(d, size, MODULE_CAPACITY, 6))
        return KIND_CAPACITY;
    if ((size == IDENTITY_SIZE || size == IDENTITY_SIZE + 2) && is_text(d, 3 * FIELD_SIZE))
        return KIND_IDENTITY;
    /* With or without the flag; a reply that fits both ways is rejected. */
    struct live other;
    bool flagged = size > 1 && read_live(d + 1, size - 1, live);
    bool bare = read_live(d, size, flagged ? &other : live);
    if (flagged != bare)
        return KIND_LIVE;
    return size == PARAMETERS_SIZE && be16(d + 15) <= CELLS_MOST ? KIND_PARAMETERS : KIND_NONE;
}

static enum kind asked_kind(const struct ydt_frame *asked)
{
    uint8_t info[YDT_INFO_MAX];
    size_t size = 0;
    if (!ydt_read_info(asked, info, &size))
        size = 0;
    for (unsigned i = 0; i < COUNT(plan); i++)
        if (asked->head.code == plan[i].read.function &&
            (asked->head.code != MODULE || (size > 2 && info[2] == plan[i].read.start)))
            return (enum kind)(KIND_LIVE + i);
    return KIND_NONE;
}

static void decode_kind(const struct bms *bms, enum kind kind, const uint8_t *d,
                        const struct live *live, struct pack *pack)
{
    if (kind == KIND_LIVE)
        decode_live(bms, live, pack);
    else if (kind == KIND_PARAMETERS) {
        /*   00   | 0E42    | 09C4   | 003C | FFFB | 2EE0    | …
         *   flag | highest | lowest | °C   | °C   | 10 mA   | cells, in mV */
        pack_set(pack, SET_CELL_HIGH_MV, be16(d + 1));
        pack_set(pack, SET_CELL_LOW_MV, be16(d + 3));
        pack_set(pack, SET_CHARGE_CURRENT_A, be16(d + 9) / 100.0);
    } else if (kind == KIND_IDENTITY) {
        /* Hardware, firmware, model: ten characters each. */
        pack_set_text(pack, FIRMWARE, d + FIELD_SIZE, FIELD_SIZE);
        pack_set_text(pack, MODEL, d + 2 * FIELD_SIZE, FIELD_SIZE);
    } else if (kind == KIND_MAKER) {
        /* Unwritten characters are FF. */
        d += MODULE_HEAD;
        const uint8_t *end = memchr(d, 0xFF, SERIAL_SIZE);
        pack_set_text(pack, SERIAL, d, end ? (size_t) (end - d) : SERIAL_SIZE);
    } else if (be16(d + MODULE_HEAD + 4) > 0)
        pack_set(pack, RATED_AH, be16(d + MODULE_HEAD + 4) / 100.0);
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *bytes, size_t size, struct pack *pack)
{
    struct ydt_frame asked, frame;
    struct live live = {0};
    uint8_t info[YDT_INFO_MAX];
    size_t length = 0;
    bool unasked = request->size == 0;
    if (!ydt_parse(bytes, size, &frame) || !is_daren(&frame.head) ||
        !is_return_code(frame.head.code))
        return BMS_FOREIGN;
    if (unasked ? bms->options.address >= 0 && frame.head.address != bms->options.address
                : !ydt_parse(request->bytes, request->size, &asked) || !is_daren(&asked.head) ||
                      frame.head.address != asked.head.address)
        return BMS_FOREIGN;
    const uint8_t code = frame.head.code;
    if (code != RTN_OK && unasked)
        return BMS_FOREIGN;
    /* Section 2. Checksum errors and a pack that is temporarily absent are retried. */
    if (code == RTN_CHKSUM || code == RTN_LCHKSUM || code == RTN_ADDRESS || code == RTN_LINK)
        return BMS_INVALID;
    if (code != RTN_OK)
        return BMS_REFUSED;
    if (!ydt_read_info(&frame, info, &length))
        return BMS_INVALID;
    const enum kind kind = kind_of(info, length, &live);
    if (kind == KIND_NONE)
        return unasked ? BMS_FOREIGN : BMS_INVALID;
    if (!unasked && kind != asked_kind(&asked))
        return BMS_FOREIGN;
    decode_kind(bms, kind, info, &live, pack);
    return BMS_DONE;
}

/* ---- emulator ---- */

/* A value in 16 bits; 0 if it is unknown. */
static void put_value(uint8_t *d, const struct pack *pack, enum pack_value id, double factor)
{
    const double raw = round(pack_value_or(pack, id, 0) * factor);
    put_be16(d, (uint32_t) (int32_t) fmax(-32768, fmin(65535, raw)));
}

static size_t put_live(const struct pack *pack, uint8_t *d)
{
    const unsigned cells = pack_scaled(pack, CELL_COUNT, 1, 0, CELLS_MOST);
    const unsigned sensors = pack_scaled(pack, TEMP_COUNT, 1, 0, SENSORS_MOST);
    uint8_t *behind = d + 6 + 2 * cells, *rest = behind + 7 + 2 * sensors;
    uint8_t *states = rest + STATES_AT;
    put_value(d + 1, pack, SOC_PERCENT, 100);
    put_value(d + 3, pack, VOLTAGE_V, 100);
    d[5] = (uint8_t) cells;
    for (unsigned i = 0; i < cells; i++)
        put_value(d + 6 + 2 * i, pack, CELL_MV + i, 1);
    put_be16(behind, 250);
    put_value(behind + 2, pack, TEMP_AVG_C, 10);
    put_value(behind + 4, pack, MOS_TEMP_C, 10);
    behind[6] = (uint8_t) sensors;
    for (unsigned i = 0; i < sensors; i++)
        put_value(behind + 7 + 2 * i, pack, TEMP_C + i, 10);
    put_value(rest + CURRENT_AT, pack, CURRENT_A, 100);
    put_value(rest + SOH_AT, pack, SOH_PERCENT, 1);
    rest[6] = 1;
    put_value(rest + FULL_AT, pack, FULL_AH, 100);
    put_value(rest + REMAINING_AT, pack, REMAINING_AH, 100);
    put_value(rest + CYCLES_AT, pack, CYCLES, 1);
    const uint64_t word = pack_alarm_word(pack, alarms, COUNT(alarms), true);
    const uint64_t mask = (uint64_t) pack_value_or(pack, BALANCE_MASK, 0);
    const unsigned fet = (pack->value[CHARGE_MOS] > 0 ? FET_CHARGE : 0u) |
                         (pack->value[DISCHARGE_MOS] > 0 ? FET_DISCHARGE : 0u) | 0x20;
    for (unsigned i = 0; i < FET_STATE; i++)
        put_be16(states + 2 * i, (uint32_t) (word >> 16 * i));
    put_be16(states + 2 * FET_STATE, fet);
    put_be16(states + 2 * BALANCE_LOW, (uint32_t) mask);
    put_be16(states + 2 * BALANCE_HIGH, (uint32_t) (mask >> 16));
    return (size_t) (states + STATE_SIZE - d);
}

static size_t put_module(const struct pack *pack, const uint8_t *asked, uint8_t *d)
{
    const uint8_t head[MODULE_HEAD] = {MODULE, asked[0], asked[1], asked[2], asked[3], 0};
    memcpy(d, head, sizeof head);
    if (asked[2] == MODULE_MAKER) {
        d[5] = 0x71;
        memcpy(d + MODULE_HEAD, pack->text[SERIAL], strnlen(pack->text[SERIAL], SERIAL_SIZE));
        return MODULE_HEAD + 0x71;
    }
    d[5] = 0x12;
    put_value(d + MODULE_HEAD, pack, REMAINING_AH, 100);
    put_value(d + MODULE_HEAD + 2, pack, FULL_AH, 100);
    put_value(d + MODULE_HEAD + 4, pack, RATED_AH, 100);
    return MODULE_HEAD + 0x12;
}

/* Ignores requests for another address or VER, and malformed ones. */
static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct ydt_frame frame;
    struct bms_span span = ydt_frame(bms, NULL, bytes, size);
    bool called = span.kind == BMS_FRAME && ydt_parse(bytes, span.size, &frame) &&
                  is_daren(&frame.head) && !is_return_code(frame.head.code) &&
                  frame.head.address == bms_address(bms);
    if (!called)
        return span.size;
    uint8_t question[YDT_INFO_MAX], d[YDT_INFO_MAX] = {0};
    size_t question_size = 0, length = 0;
    struct ydt_head head = frame.head;
    head.code = RTN_OK;
    if (!ydt_read_info(&frame, question, &question_size))
        question_size = 0;
    if (frame.head.code == LIVE) {
        length = put_live(pack, d);
    } else if (frame.head.code == PARAMETERS) {
        put_value(d + 1, pack, SET_CELL_HIGH_MV, 1);
        put_value(d + 3, pack, SET_CELL_LOW_MV, 1);
        put_be16(d + 5, 60);
        put_be16(d + 7, 0xFFFB);
        put_value(d + 9, pack, SET_CHARGE_CURRENT_A, 100);
        put_value(d + 15, pack, CELL_COUNT, 1);
        put_value(d + 17, pack, SET_CHARGE_CURRENT_A, 100);
        length = PARAMETERS_SIZE;
    } else if (frame.head.code == IDENTITY) {
        memcpy(d, "T1", 2);
        memcpy(d + FIELD_SIZE, pack->text[FIRMWARE], strnlen(pack->text[FIRMWARE], FIELD_SIZE));
        memcpy(d + 2 * FIELD_SIZE, pack->text[MODEL], strnlen(pack->text[MODEL], FIELD_SIZE));
        length = IDENTITY_SIZE + 2;
    } else if (asked_kind(&frame) != KIND_NONE && question_size == 5)
        length = put_module(pack, question, d);
    else
        head.code = 4;
    out->size = ydt_write(out->bytes, &head, d, length);
    return span.size;
}

const struct bms_driver daren_driver = {
    .name = "daren",
    .title = "Daren, DR-1363 (YD/T 1363, VER 22)",
    .guide = {.makes =
                  "Daren (DR-JC, DR48100), Docan, BASEN, Sacred Sun and others with Tian-Power or "
                  "Daren boards",
              .port = "RS485",
              .wires = "RS485: RJ45 7/8 or 1 B, 2 A",
              .setting = "DIP switch: address. Some boards: `baud = 19200`",
              .address = "1 if not given"},
    .address = {.min = 0, .max = 15, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 50},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    .build = build,
    .frame = ydt_frame,
    .question = find_question,
    .decode = decode,
    .emulate = emulate,
};
