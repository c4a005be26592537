// SPDX-License-Identifier: MIT
/*
 * JBD (Xiaoxiang, Overkill Solar, LLT): frames DD … 77, plain (`jbd`) and with an address (`jbd-
 * addressed`). Follows the sheet `jbd`, sections 1…9.1. Oddities: a sleeping board loses the first
 * request; the echo of a request is itself a valid reply and only its register tells them apart;
 * the sum of a plain reply does not cover its register; a switch holds a MOS off, which is not the
 * same as the MOS being off (section 7); SOC and capacity can only be written in factory mode,
 * which a board does not leave without a command (section 7.1).
 */
#include "jbd.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define START 0xDD
#define END 0x77
#define TRAILER 3     /* bytes: sum and end */
#define BASIC_SIZE 23 /* bytes of register 03 without sensors */
#define DAREN_SIZE 16 /* bytes of the different tail of Daren's boards */
#define ADDRESSED_SIZE 29
#define SETTLING_REPLIES 2
/* commands to leave factory mode before a remark reports that none was answered */
#define LEAVE_TRIES 6
#define NAME_TRIES 6 /* requests for register 05 that may stay unanswered */

#define LEAVE_KEY 0x0000
#define SAVE_KEY 0x2828 /* leaves as well */

/* The parts of a reply. */
struct reply {
    const struct bms_request *request;
    uint8_t reg, status;
    const uint8_t *data;
    size_t size;
};

/* ---- frames (section 2) ---- */

/* Of the address on, or the second of the bytes behind the start. */
static uint16_t frame_sum(const struct bms *bms, const uint8_t *frame, size_t size)
{
    const size_t from = jbd_is_addressed(bms) ? 1 : 2;
    return (uint16_t) (0x10000 - sum_bytes(frame + from, size - TRAILER - from));
}

size_t jbd_put_frame(const struct bms *bms, uint8_t *out, uint8_t first, uint8_t second,
                     const uint8_t *data, size_t count)
{
    const size_t head = jbd_head_size(bms);
    size_t size = head + count + TRAILER;
    out[0] = START;
    if (jbd_is_addressed(bms))
        out[1] = (uint8_t) bms_address(bms);
    out[head - 3] = first;
    out[head - 2] = second;
    out[head - 1] = (uint8_t) count;
    if (count > 0)
        memcpy(out + head, data, count);
    put_be16(out + size - TRAILER, frame_sum(bms, out, size));
    out[size - 1] = END;
    return size;
}

struct bms_span jbd_find_frame(const struct bms *bms, const struct bms_request *request,
                               const uint8_t *bytes, size_t size)
{
    const size_t head = jbd_head_size(bms);
    const uint8_t *start = memchr(bytes, START, size);
    if (start != bytes)
        return (struct bms_span){BMS_SKIP, start ? (size_t) (start - bytes) : size};
    if (size < head)
        return (struct bms_span){BMS_MORE, 0};
    /* Whether it is a request (an echo), or a reply with a valid status. */
    uint8_t first = bytes[head - 3], second = bytes[head - 2];
    if (first != JBD_READ && first != JBD_WRITE && second != STATUS_DONE && second < STATUS_UNKNOWN)
        return (struct bms_span){BMS_SKIP, 1};
    size_t whole = head + bytes[head - 1] + TRAILER;
    if (size < whole)
        return (struct bms_span){BMS_MORE, 0};
    if (bytes[whole - 1] != END || be16(bytes + whole - TRAILER) != frame_sum(bms, bytes, whole))
        return (struct bms_span){BMS_DAMAGED, 1};
    return (struct bms_span){BMS_FRAME, whole};
}

/* A read has no data and contains a register; some boards repeat A5 in its place, followed by a
 * status of 0 (section 11). */
static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    struct bms_span span = jbd_find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME)
        return span;
    const uint8_t *h = bytes + jbd_head_size(bms) - 3;
    const bool asks = (h[0] == JBD_READ && h[1] != 0 && h[2] == 0) || h[0] == JBD_WRITE;
    if (jbd_is_addressed(bms))
        *address = bytes[1];
    return (struct bms_span){asks ? BMS_FRAME : BMS_SKIP, asks ? span.size : 1};
}

/* A step reads a register, the last one writes it. */
static const struct bms_step plan[] = {
    {.name = "basic information", .vital = true, .read.start = REG_BASIC},
    {.name = "cell voltages", .read.start = REG_CELLS},
    {.name = "hardware name", .every_s = 3600, .read.start = REG_NAME},
    {.name = "leaving factory mode", .read.start = REG_LEAVE},
};
enum { ADDRESSED_STEPS = 2 }; /* addressed boards have only the first two registers */

static void put_write(const struct bms *bms, enum jbd_reg reg, unsigned word,
                      struct bms_request *request)
{
    uint8_t data[2];
    put_be16(data, word);
    request->size = jbd_put_frame(bms, request->bytes, JBD_WRITE, (uint8_t) reg, data, sizeof data);
}

/* Some firmware rejects the request for its name, some does not answer: neither is asked again
 * before the next connection (2.3). */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct jbd_memory *memory = bms_memory(bms);
    const uint8_t reg = (uint8_t) plan[step].read.start;
    if (reg == REG_NAME) {
        if (memory->name_refused || memory->name_asked >= NAME_TRIES)
            return false;
        memory->name_asked++;
    }
    if (reg == REG_LEAVE) {
        /* Requested as often as the poller likes: a device that answers nothing else is no board.
         * Whether the board may be in factory mode, and this gateway has to bring it out: */
        if (!(bms->way == PLACE_FACTORY || (bms->way == PLACE_UNKNOWN && bms->options.settable)))
            return false;
        if (memory->leave_asked < LEAVE_TRIES)
            memory->leave_asked++;
        else
            snprintf(bms->remark, sizeof bms->remark,
                     "may be in factory mode: it does not confirm that it has left it");
        put_write(bms, REG_LEAVE, LEAVE_KEY, request);
        return true;
    }
    request->size = jbd_put_frame(bms, request->bytes, JBD_READ, reg, NULL, 0);
    return true;
}

// clang-format off
/* Sections 4.2 and 4.1; bit 12 of the protections is a state. */
static const struct alarm_bit plain_alarms[JBD_ALARMS] = {
    ALARM_VOLTAGES(16 + 0, 0, 1),
    ALARM_TEMPERATURES(16 + 4, 4, 1),
    ALARM_LEVELS(16 + 8,  8, CHARGE_OVER_CURRENT),
    ALARM_LEVELS(16 + 9,  9, DISCHARGE_OVER_CURRENT),
    {10,      SHORT_CIRCUIT,       PROT},
    {11,      HARDWARE_FAULT,      PROT},
    {13,      CHARGE_MOS_FAULT,    PROT},
    {14,      DISCHARGE_MOS_FAULT, PROT},
    {16 + 10, CELL_IMBALANCE,      WARN},
    {16 + 11, SOC_LOW,             WARN},
};
/* Section 9.1: the warnings have another order. Left out are the ambient's, 13 and 14 of the
 * protections, 10 and 11 of the warnings; 12 is the board, whose sensor is the MOSFETs'. */
static const struct alarm_bit addressed_alarms[JBD_ALARMS] = {
    ALARM_LEVELS(16 + 1,  0, CELL_OVER_VOLTAGE),
    ALARM_LEVELS(16 + 0,  1, CELL_UNDER_VOLTAGE),
    ALARM_LEVELS(16 + 3,  2, PACK_OVER_VOLTAGE),
    ALARM_LEVELS(16 + 2,  3, PACK_UNDER_VOLTAGE),
    ALARM_LEVELS(16 + 6,  4, CHARGE_OVER_TEMPERATURE),
    ALARM_LEVELS(16 + 7,  5, CHARGE_UNDER_TEMPERATURE),
    ALARM_LEVELS(16 + 8,  6, DISCHARGE_OVER_TEMPERATURE),
    ALARM_LEVELS(16 + 9,  7, DISCHARGE_UNDER_TEMPERATURE),
    ALARM_LEVELS(16 + 4,  8, CHARGE_OVER_CURRENT),
    ALARM_LEVELS(16 + 5,  9, DISCHARGE_OVER_CURRENT),
    {10,      SHORT_CIRCUIT,       PROT},
    {11,      HARDWARE_FAULT,      PROT},
    ALARM_LEVELS(16 + 12, 15, MOS_OVER_TEMPERATURE),
    {16 + 13, CELL_IMBALANCE,      WARN},
    {16 + 14, SOC_LOW,             WARN},
};
// clang-format on

const struct alarm_bit *jbd_alarms(const struct bms *bms)
{
    return jbd_is_addressed(bms) ? addressed_alarms : plain_alarms;
}

/* Section 7: what is held off, from what a reply to 03 shows. A MOS that is on is not held; one
 * that is off may also have been opened by a protection. Right after a command the reply may still
 * show the state before it. */
static void note_held(struct jbd_memory *memory, uint16_t protection_word, uint8_t fet)
{
    bool held = protection_word >> JBD_HELD_BIT & 1;
    memory->shows_held |= held;
    if (memory->settling > 0) {
        memory->settling--;
        return;
    }
    uint8_t off = ~fet & (HELD_CHARGE | HELD_DISCHARGE);
    memory->held &= off;
    if (!held && memory->shows_held)
        memory->held = 0;
    if (held && memory->held == 0)
        memory->held = off;
    memory->state_known = true;
}

/* Both registers 03 and 04 contain it; if they disagree, the smaller number is used (section 5). */
static void set_cell_count(const struct jbd_memory *memory, struct pack *pack)
{
    unsigned said = memory->cells_said, sent = memory->cells_sent;
    if (said || sent)
        pack_set(pack, CELL_COUNT, said && (said < sent || !sent) ? said : sent);
}

/* At `at`: the number of sensors, and as many as the frame has room for. Returns the end. */
static size_t decode_temps(const struct reply *reply, size_t at, struct pack *pack)
{
    size_t room = (reply->size - at - 1) / 2;
    size_t count = reply->data[at] < room ? reply->data[at] : room;
    pack_set(pack, TEMP_COUNT, (double) count);
    for (size_t i = 0; i < count; i++)
        pack_set_temp(pack, (unsigned) i + 1,
                      (be16(reply->data + at + 1 + 2 * i) - JBD_ZERO_CELSIUS) / 10.0);
    return at + 1 + 2 * (size_t) reply->data[at];
}

/* Current and capacities come in steps of 0.01, or of 0.1 where bit 7 of the FET byte is set. */
static double per_unit(const uint8_t *d)
{
    return d[20] & 0x80 ? 10 : 100;
}

/* Register 03 up to the number of cells, section 4:
 *   05 4A   | 01 76   | 4D C3     | 4E 20    | 00 E7  | 28 91 | 00 08 00 00 |
 *   voltage | current | remaining | capacity | cycles | date  | balancing   |
 *   00 00       | 16      | 64  | 03  | 04         13.54 V, +3.74 A charging, 199.07 of 200.00 Ah,
 *   protections | version | SOC | FET | cells      231 cycles, cell 4 balancing, 100 %, both on
 * Both capacities are unsigned. They do not give the SOC: the board has its own idea of full. */
static void decode_common(struct bms *bms, const uint8_t *d, enum pack_value capacity,
                          struct pack *pack)
{
    struct jbd_memory *memory = bms_memory(bms);
    pack_set(pack, VOLTAGE_V, be16(d) / 100.0);
    bms_set(bms, pack, CURRENT_A, sbe16(d + 2) / per_unit(d));
    pack_set(pack, REMAINING_AH, be16(d + 4) / per_unit(d));
    pack_set(pack, capacity, be16(d + 6) / per_unit(d));
    pack_set(pack, CYCLES, be16(d + 8));
    pack_set(pack, BALANCE_MASK, (uint32_t) be16(d + 14) << 16 | be16(d + 12));
    char version[8];
    snprintf(version, sizeof version, "%d.%d", d[18] >> 4, d[18] & 15);
    pack_set_text(pack, FIRMWARE, version, sizeof version);
    pack_set(pack, SOC_PERCENT, d[19]);
    pack_set(pack, CHARGE_MOS, d[20] & 1);
    pack_set(pack, DISCHARGE_MOS, d[20] >> 1 & 1);
    memory->cells_said = d[21];
    memory->other_units = per_unit(d) < 100 || be16(d + 4) == 0xFFFF;
    set_cell_count(memory, pack);
    note_held(memory, be16(d + 16), d[20]);
    pack_clear_alarms(pack);
    pack_raw_alarm(pack, be16(d + 16));
    pack_alarm_bits_at(pack, jbd_alarms(bms), JBD_ALARMS, be16(d + 16), PROT);
}

static void decode_warnings(const struct bms *bms, uint16_t word, struct pack *pack)
{
    pack_raw_alarm(pack, word);
    pack_alarm_bits_at(pack, jbd_alarms(bms), JBD_ALARMS, (uint32_t) word << 16, WARN);
}

/* Register 03 of a plain board, after the number of cells:
 *   03      | 0B 91 0B 98 0B 97 | …
 *   sensors | 0.1 K each        | tail, if any */
static void decode_plain(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    const uint8_t *d = reply->data;
    decode_common(bms, d, RATED_AH, pack);
    size_t tail = decode_temps(reply, 22, pack);
    size_t size = tail < reply->size ? reply->size - tail : 0;
    if (size >= JBD_TAIL_SIZE && be16(d + tail + 5) == be16(d + 4)) {
        /* After the sensors, newer firmware (4.1), recognized by the remaining capacity that it repeats:
         *   00       | 00 00    | 90 24 | 36 C5     | 00 00
         *   humidity | warnings | full  | remaining | balancing, mA */
        decode_warnings(bms, be16(d + tail + 1), pack);
        if (be16(d + tail + 3) > 0)
            pack_set(pack, FULL_AH, be16(d + tail + 3) / per_unit(d));
    } else if (size == DAREN_SIZE && be16(d + 2) == 0xFFFF && be16(d + 4) == 0xFFFF) {
        /* After the sensors, boards of Daren (captures/jbd/16s-daren…), in steps of 0.1; the current and
         * capacities before them read FFFF there:
         *   0B AB | 0B C2   | 63  | 00 00 00 | 05 90     | 0B B8    | FF FF FF 7C
         *   MOS   | ambient | SOH | -        | remaining | capacity | current, -13.2 A */
        d += tail;
        pack_set(pack, MOS_TEMP_C, (be16(d) - JBD_ZERO_CELSIUS) / 10.0);
        pack_set(pack, SOH_PERCENT, d[4]);
        pack_set(pack, REMAINING_AH, be16(d + 8) / 10.0);
        pack_set(pack, RATED_AH, be16(d + 10) / 10.0);
        bms_set(bms, pack, CURRENT_A, sbe32(d + 12) / 10.0);
    }
}

/* Register 03 of an addressed board, after the number of cells (section 9.1):
 *   10 00    | 0B E6   | 0E 23 | 04      | 0B 7D 0B 78 0A 9C 0A AB
 *   warnings | ambient | MOS   | sensors | 0.1 K each */
static void decode_addressed(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    const uint8_t *d = reply->data;
    decode_common(bms, d, FULL_AH, pack);
    decode_warnings(bms, be16(d + 22), pack);
    pack_set(pack, MOS_TEMP_C, (be16(d + 26) - JBD_ZERO_CELSIUS) / 10.0);
    decode_temps(reply, 28, pack);
}

/* Register 04, section 5: a word in mV per cell, 0 if its wire is broken. */
static void decode_cells(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct jbd_memory *memory = bms_memory(bms);
    size_t count = reply->size / 2;
    memory->cells_sent = (uint8_t) count;
    set_cell_count(memory, pack);
    for (size_t i = 0; i < count; i++)
        pack_set_cell(pack, (unsigned) i + 1, be16(reply->data + 2 * i));
}

/* Register 05, section 6: only the name, without length or end. */
static void decode_name(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct jbd_memory *memory = bms_memory(bms);
    memory->name_asked = 0;
    pack_set_text(pack, MODEL, reply->data, reply->size);
}

/* Section 7: only the request shows what the board has confirmed. */
static void decode_switch(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct jbd_memory *memory = bms_memory(bms);
    const uint8_t *asked = reply->request->bytes;
    if (asked[1] != JBD_WRITE || asked[3] != 2)
        return;
    if (reply->reg == REG_SWITCH) {
        memory->held = asked[5] & (HELD_CHARGE | HELD_DISCHARGE);
    } else {
        uint8_t bit = asked[4] == 1 ? HELD_CHARGE : HELD_DISCHARGE;
        memory->held = (uint8_t) (asked[5] ? memory->held | bit : memory->held & ~bit);
    }
    memory->state_known = true;
    memory->settling = SETTLING_REPLIES;
}

/* Section 7.1: 11 | 00 | 02 | 6D 60                   280.00 Ah */
static void decode_cycle_capacity(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct jbd_memory *memory = bms_memory(bms);
    memory->cycle_capacity = be16(reply->data);
}

static void decode_leave(struct bms *bms, const struct reply *reply, struct pack *pack)
{
    struct jbd_memory *memory = bms_memory(bms);
    memory->leave_asked = 0;
    bms->remark[0] = '\0';
    bms->way = PLACE_OUTSIDE;
}

// clang-format off
static const struct message {
    uint8_t reg;
    uint8_t min, max; /* bytes of data */
    void (*take)(struct bms *bms, const struct reply *reply, struct pack *pack); /* NULL: nothing useful */
} plain_messages[] = {
    {REG_ENTER,      0,          0,             NULL},
    {REG_LEAVE,      0,          0,             decode_leave},
    {REG_CAPACITY,   0,          0,             NULL},
    {REG_CYCLE_CAPACITY, 2,      2,             decode_cycle_capacity},
    {REG_REMAINING,  0,          0,             NULL},
    {REG_BASIC,      BASIC_SIZE, 255,           decode_plain},
    {REG_CELLS,      2,          2 * MAX_CELLS, decode_cells},
    {REG_NAME,       0,          255,           decode_name},
    {REG_COUNTERS,   22,         255,           NULL},
    {REG_SWITCH,     0,          0,             decode_switch},
    {REG_NEW_SWITCH, 0,          0,             decode_switch},
}, addressed_messages[] = {
    {REG_BASIC,      ADDRESSED_SIZE, 255,           decode_addressed},
    {REG_CELLS,      2,              2 * MAX_CELLS, decode_cells},
    {REG_NAME,       0,              255,           decode_name},
};
// clang-format on

/* Some boards have A5 in place of the register, which no sum covers (section 11); then only the
 * form of the data shows what it is: a word of a cell is never text. Without data it is an echo. */
static uint8_t register_of(const struct reply *reply)
{
    if (reply->reg != JBD_READ || reply->status != STATUS_DONE || reply->size == 0)
        return reply->reg;
    size_t sensors = reply->size >= BASIC_SIZE ? reply->data[22] : 0;
    size_t basic = BASIC_SIZE + 2 * sensors;
    if (reply->size == basic || reply->size == basic + JBD_TAIL_SIZE)
        return REG_BASIC;
    bool text = true;
    for (size_t i = 0; i < reply->size; i++)
        text &= reply->data[i] >= ' ' && reply->data[i] <= '~';
    return text ? REG_NAME : REG_CELLS;
}

/* Whether a frame answers the request; without a request, whether it identifies itself. */
static bool is_answer(const struct bms *bms, const struct reply *reply, const uint8_t *frame)
{
    const size_t head = jbd_head_size(bms);
    const struct bms_request *request = reply->request;
    if (request->size == 0) {
        bool ours =
            !jbd_is_addressed(bms) || bms->options.address < 0 || frame[1] == bms->options.address;
        return ours && reply->status == STATUS_DONE && reply->size > 0;
    }
    if (request->size < head + TRAILER || request->bytes[head - 2] != reply->reg)
        return false;
    return !jbd_is_addressed(bms) || frame[1] == request->bytes[1];
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const size_t head = jbd_head_size(bms);
    const uint8_t *data = frame + head;
    struct reply reply = {request, data[-3], data[-2], data, size - head - TRAILER};
    if (!jbd_is_addressed(bms))
        reply.reg = register_of(&reply);
    const struct message *rows = jbd_is_addressed(bms) ? addressed_messages : plain_messages;
    const size_t count = jbd_is_addressed(bms) ? COUNT(addressed_messages) : COUNT(plain_messages);
    const struct message *message = NULL;
    for (size_t i = 0; i < count; i++)
        if (rows[i].reg == reply.reg)
            message = &rows[i];
    if (!message || !is_answer(bms, &reply, frame))
        return BMS_FOREIGN;
    if (reply.status != STATUS_DONE) {
        /* Section 2.3. A sum that was damaged on the way is worth a retry. */
        struct jbd_memory *memory = bms_memory(bms);
        if (reply.status == STATUS_BAD_SUM)
            return BMS_INVALID;
        if (reply.reg == REG_LEAVE) /* it does not know factory mode */
            bms->way = PLACE_OUTSIDE;
        if (reply.reg == REG_NAME)
            memory->name_refused = true;
        if (reply.reg == REG_SWITCH && reply.status == STATUS_UNKNOWN)
            memory->new_switch = true;
        return BMS_REFUSED;
    }
    const bool odd = reply.reg == REG_CELLS && reply.size % 2 != 0;
    if (reply.size < message->min || reply.size > message->max || odd)
        return BMS_INVALID;
    if (message->take)
        message->take(bms, &reply, pack);
    return BMS_DONE;
}

/* ---- control (section 7) ---- */

/* E1 sets both switches at once, so the other one is written as last commanded; FB sets one.
 * Factory mode is not needed. */
static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    struct jbd_memory *memory = bms_memory(bms);
    bool charge = which == BMS_CHARGE_MOS;
    const unsigned bit = charge ? HELD_CHARGE : HELD_DISCHARGE;
    if (memory->new_switch)
        put_write(bms, REG_NEW_SWITCH, (unsigned) charge << 8 | !on, request);
    else if (memory->state_known)
        put_write(bms, REG_SWITCH, on ? memory->held & ~bit : memory->held | bit, request);
    return memory->new_switch || memory->state_known;
}

/* ---- settings (section 7.1) ---- */

static const struct bms_setting settings[] = {
    {.id = SOC_PERCENT, .min = 0, .max = 100, .step = 1, .parts = 4},
    {.id = RATED_AH, .min = 1, .max = 655.3, .step = 0.1, .parts = 3},
};

/* Register E0 sets the remaining capacity as a percentage of register 11. Leaving with SAVE_KEY
 * keeps a parameter over a restart, and resets the counters of register AA. */
static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    struct jbd_memory *memory = bms_memory(bms);
    const bool charge = id == SOC_PERCENT;
    if (part == 0) {
        if (memory->other_units)
            return false;
        memory->cycle_capacity = 0;
        bms->way = PLACE_FACTORY;
        put_write(bms, REG_ENTER, JBD_ENTER_KEY, request);
    } else if (part == (charge ? 3 : 2)) {
        put_write(bms, REG_LEAVE, charge ? LEAVE_KEY : SAVE_KEY, request);
    } else if (charge && part == 1) {
        request->size = jbd_put_frame(bms, request->bytes, JBD_READ, REG_CYCLE_CAPACITY, NULL, 0);
    } else {
        if (charge && memory->cycle_capacity == 0)
            return false;
        const double raw = charge ? memory->cycle_capacity * value / 100 : value * 100;
        put_write(bms, charge ? REG_REMAINING : REG_CAPACITY, (unsigned) lround(raw), request);
    }
    return true;
}

/* Members of both drivers. */
#define BOTH_FORMATS                                                                               \
    .check = BMS_CHECK_SUM, .build = build, .frame = jbd_find_frame, .question = find_question,    \
    .decode = decode, .emulate = jbd_emulate

const struct bms_driver jbd_driver = {
    .name = "jbd",
    .on_air = true,
    .title = "JBD, Xiaoxiang, Overkill Solar, LLT (UART, RS485)",
    .guide = {.makes = "JBD, Xiaoxiang, Overkill Solar, LLT: SP, AP, DP boards",
              .port = "UART, RS485, RS232",
              .wires = "UART TTL (4 pins, JST PA 2.0), RS232 or RS485",
              .setting = "unplug the Bluetooth box if it is on the same port"},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 50, .one_pack = true},
    BMS_PLAN(plan),
    BOTH_FORMATS,
    .control = build_switch,
    BMS_SETTINGS(settings),
    .set = build_setting,
};

static const struct bms_guess addressed_guesses[] = {{.address = 0}, {.address = 1}};

/* The document has neither a name nor a switch (section 9.1); the boards need a longer pause. */
const struct bms_driver jbd_addressed_driver = {
    .name = "jbd-addressed",
    .title = "JBD with addresses (UPS1601 rack boards, RS485)",
    .guide = {.makes = "JBD UP16S010, UPS1601 rack boards",
              .port = "RS485",
              .wires = "RS485",
              .setting = "board address"},
    .address = {.min = 0, .max = 31, .usual = 0},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 300},
    .plan = plan,
    .steps = ADDRESSED_STEPS,
    BMS_GUESSES(addressed_guesses),
    BOTH_FORMATS,
};
