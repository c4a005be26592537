// SPDX-License-Identifier: MIT
/*
 * Daly, UART protocol: 13-byte frames A5 <address> <command> 08 <8 bytes> <sum>. Follows the sheet
 * `daly`. Oddities: the current is offset by 30000 and firmwares disagree on its sign, so the sign
 * is taken from the state byte of 0x93 (section 8); a frame carries three cell voltages, so the
 * number of frames is known only after the cell count (0x94); unused bytes hold left-overs of
 * earlier replies (4.4); a few boards only answer the requests of the Bluetooth dongle (5).
 */
#include "daly_common.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <string.h>

#define FRAME_SIZE 13
#define CURRENT_ZERO 30000
#define CELLS_PER_FRAME 3
#define BYTES_PER_FRAME 7 /* temperatures, characters */
#define VERSION_SIZE 14   /* characters, in two frames, of 0x62 and 0x63 */
#define FIRST_YEAR 2025   /* an earlier clock was never set */
#define LAST_YEAR 2099

enum command {
    WRITE_SOC = 0x21,
    READ_RATED = 0x50,
    READ_CELL_LIMITS = 0x59,
    READ_PACK_LIMITS = 0x5A,
    READ_CURRENT_LIMITS = 0x5B,
    READ_DIFFERENCES = 0x5E,
    READ_BALANCING = 0x5F,
    READ_FIRMWARE = 0x62,
    READ_HARDWARE = 0x63,
    READ_PACK = 0x90,
    READ_EXTREMES = 0x91,
    READ_STATE = 0x93,
    READ_STATUS = 0x94,
    READ_CELLS = 0x95,
    READ_TEMPS = 0x96,
    READ_BALANCE = 0x97,
    READ_FAULTS = 0x98,
    WRITE_DISCHARGE = 0xD9,
    WRITE_CHARGE = 0xDA
};

/* The sender's address (section 5); `auto` detects the one that a board answers. */
enum variant { VARIANT_AUTO, VARIANT_RS485, VARIANT_BLUETOOTH };
static const char *const variants[] = {"auto", "rs485", "bluetooth", NULL};

#define HOST_BLUETOOTH 0x80
/* requests before the other address is tried: the first may only wake the board */
#define PATIENCE 2

struct memory {
    struct daly_direction direction; /* of the current */
    bool answered;                   /* with the address of bms->way, an enum variant */
    uint8_t asked;                   /* number of earlier requests, wraps */
    bool other_way;                  /* the request in flight uses the other address */
    uint8_t cell_count;              /* of 0x94; 0: not answered yet */
    uint8_t temp_count;
    /* The multi-frame reply being received (section 7). */
    uint8_t collecting;          /* its command */
    int first, last;             /* frame numbers: 0 or 1 for the first one; -1: none yet */
    uint32_t seen;               /* bit n: the n-th frame of the reply was received */
    bool began_at_0;             /* it contains a frame 0 */
    bool counts_from_0;          /* a whole reply of this board did */
    uint8_t data[2 * MAX_CELLS]; /* of its frames */
    uint8_t heartbeat;           /* of the emulator */
    bool soft_switched;          /* of the emulator: a command opened a MOS (0x98 byte 6 bit 4) */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

/* Bluetooth's address 0x80 only reaches board 1. The reaction of other boards on the line is
 * unknown, so it is not tried if there are any. */
static bool may_be_either(const struct bms *bms)
{
    return bms->options.variant == VARIANT_AUTO && bms_address(bms) == 1 && !bms->options.shared;
}

/* Section 5: the host's address byte, which selects the kind of host. */
static uint8_t host_byte(struct bms *bms)
{
    const struct memory *memory = bms_memory(bms);
    bool bluetooth = bms->options.variant == VARIANT_BLUETOOTH;
    if (may_be_either(bms))
        bluetooth = (bms->way == VARIANT_BLUETOOTH) != memory->other_way;
    return bluetooth ? HOST_BLUETOOTH : (uint8_t) (0x3F + bms_address(bms));
}

/* The board that a host's address byte calls: the GPRS module (0x20) and the app (0x80) use board 1. */
static unsigned board_of(uint8_t host)
{
    return host >= 0x40 && host <= 0x4F ? host - 0x3Fu : 1;
}

static size_t put_frame(uint8_t *out, uint8_t address, uint8_t command, const uint8_t data[8])
{
    out[0] = 0xA5;
    out[1] = address;
    out[2] = command;
    out[3] = 8;
    memcpy(out + 4, data, 8);
    out[12] = (uint8_t) sum_bytes(out, FRAME_SIZE - 1);
    return FRAME_SIZE;
}

/* Values that change quickly are read in each cycle; the others are spread out, so that pack,
 * state, faults and 16 cells fit into a second at 9600 baud even with a slow board. The extremes
 * are read besides the cells, because among equal cells only the BMS knows which one it means. */
// clang-format off
static const struct bms_step plan[] = {
    {.name = "pack voltage, current and SOC", .read.function = READ_PACK, .vital = true},
    {.name = "state",              .read.function = READ_STATE},
    {.name = "cell count",         .read.function = READ_STATUS,         .every_s = 30},
    {.name = "cell voltages",      .read.function = READ_CELLS},
    {.name = "faults",             .read.function = READ_FAULTS},
    {.name = "extreme cells",      .read.function = READ_EXTREMES},
    {.name = "temperatures",       .read.function = READ_TEMPS,          .every_s = 5},
    {.name = "balancing",          .read.function = READ_BALANCE,        .every_s = 5},
    {.name = "rated capacity",     .read.function = READ_RATED,          .every_s = 3600},
    {.name = "software version",   .read.function = READ_FIRMWARE,       .every_s = 3600},
    {.name = "hardware version",   .read.function = READ_HARDWARE,       .every_s = 3600},
    {.name = "cell limits",        .read.function = READ_CELL_LIMITS,    .every_s = 3600},
    {.name = "pack limits",        .read.function = READ_PACK_LIMITS,    .every_s = 3600},
    {.name = "current limits",     .read.function = READ_CURRENT_LIMITS, .every_s = 3600},
    {.name = "difference limits",  .read.function = READ_DIFFERENCES,    .every_s = 3600},
    {.name = "start of balancing", .read.function = READ_BALANCING,      .every_s = 3600},
};
// clang-format on

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    const uint8_t command = plan[step].read.function;
    if ((command == READ_CELLS && memory->cell_count == 0) ||
        (command == READ_TEMPS && memory->temp_count == 0))
        return false;
    memory->collecting = 0;
    memory->began_at_0 = false;
    if (command == READ_PACK && !memory->answered) {
        /* Until the board answers, each third request uses the other address. */
        memory->other_way = memory->asked == PATIENCE;
        memory->asked = memory->other_way ? 0 : (uint8_t) (memory->asked + 1);
    }
    request->size = put_frame(request->bytes, host_byte(bms), command, (const uint8_t[8]){0});
    return true;
}

/* ---- framer (section 4, rule 2) ---- */

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const uint8_t *start = memchr(bytes, 0xA5, size);
    if (start != bytes)
        return (struct bms_span){BMS_SKIP, start ? (size_t) (start - bytes) : size};
    if (size >= 4 && bytes[3] != 8)
        return (struct bms_span){BMS_SKIP, 1};
    if (size < FRAME_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    if ((uint8_t) sum_bytes(bytes, FRAME_SIZE - 1) != bytes[FRAME_SIZE - 1])
        return (struct bms_span){BMS_DAMAGED, 1};
    return (struct bms_span){BMS_FRAME, FRAME_SIZE};
}

/* The host's address, in the place of the board's. */
static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    struct bms_span span = find_frame(bms, NULL, bytes, size);
    if (span.kind == BMS_FRAME && bytes[1] < 0x20)
        span.kind = BMS_SKIP;
    if (span.kind == BMS_FRAME)
        *address = (int) board_of(bytes[1]);
    return span;
}

// clang-format off
/* How a number is read: always; unless it is 0 or FFFF, which is a limit that is not set; never, because a simulated
 * pack only tells it. */
enum reading { NUMBER, LIMIT, TOLD };

/* Numbers at fixed places: raw = value * factor + zero.
 *   A5 01 90 08 | 02 14   | 00 00    | 75 45   | 03 78 | 89      53.2 V, raw current 30021, 88.8 %
 *               | voltage | not used | current | SOC   | sum
 *   A5 01 91 08 | 0D 1E   | 03   | 0C F8  | 07   | 00 00 | 78     3358 mV in cell 3, 3320 mV in cell 7
 *               | highest | cell | lowest | cell | -     | sum
 *   A5 01 93 08 | 02    | 01     | 01        | 78        | 00 03 CB 40 | CB      discharging, both on, 248.64 Ah
 *               | state | charge | discharge | heartbeat | mAh         | sum
 *   A5 01 94 08 | 10    | 01      | 00      | 00   | 00  | 00 03  | 40 | 96      16 cells, 1 sensor, 3 cycles
 *               | cells | sensors | charger | load | I/O | cycles | -  | sum
 * Section 11: of the limits, all of 16 bits, 0x59 to 0x5B have high 1, high 2, low 1, low 2, and the second one
 * switches off. */
static const struct field {
    uint8_t command, at, size;
    uint8_t reading; /* enum reading */
    uint8_t id;
    double factor, zero;
} fields[] = {
    {READ_PACK,           0, 2, TOLD,   VOLTAGE_V,                 10,   0},
    {READ_PACK,           4, 2, TOLD,   CURRENT_A,                 -10,  CURRENT_ZERO},
    {READ_PACK,           6, 2, NUMBER, SOC_PERCENT,               10,   0},
    {READ_EXTREMES,       0, 2, NUMBER, CELL_MAX_MV,               1,    0},
    {READ_EXTREMES,       2, 1, NUMBER, CELL_MAX_INDEX,            1,    0},
    {READ_EXTREMES,       3, 2, NUMBER, CELL_MIN_MV,               1,    0},
    {READ_EXTREMES,       5, 1, NUMBER, CELL_MIN_INDEX,            1,    0},
    {READ_STATE,          0, 1, NUMBER, FLOW,                      1,    0},
    {READ_STATE,          1, 1, NUMBER, CHARGE_MOS,                1,    0},
    {READ_STATE,          2, 1, NUMBER, DISCHARGE_MOS,             1,    0},
    {READ_STATE,          4, 4, NUMBER, REMAINING_AH,              1000, 0},
    {READ_STATUS,         0, 1, NUMBER, CELL_COUNT,                1,    0},
    {READ_STATUS,         1, 1, NUMBER, TEMP_COUNT,                1,    0},
    {READ_STATUS,         5, 2, NUMBER, CYCLES,                    1,    0},
    {READ_RATED,          0, 4, NUMBER, RATED_AH,                  1000, 0},
    {READ_CELL_LIMITS,    0, 2, TOLD,   SET_CELL_HIGH_MV,          1,    -50},
    {READ_CELL_LIMITS,    2, 2, LIMIT,  SET_CELL_HIGH_MV,          1,    0},
    {READ_CELL_LIMITS,    4, 2, TOLD,   SET_CELL_LOW_MV,           1,    100},
    {READ_CELL_LIMITS,    6, 2, LIMIT,  SET_CELL_LOW_MV,           1,    0},
    {READ_PACK_LIMITS,    0, 2, TOLD,   SET_PACK_HIGH_V,           10,   -5},
    {READ_PACK_LIMITS,    2, 2, LIMIT,  SET_PACK_HIGH_V,           10,   0},
    {READ_PACK_LIMITS,    4, 2, TOLD,   SET_PACK_LOW_V,            10,   10},
    {READ_PACK_LIMITS,    6, 2, LIMIT,  SET_PACK_LOW_V,            10,   0},
    {READ_CURRENT_LIMITS, 0, 2, TOLD,   SET_CHARGE_CURRENT_A,      -10,  CURRENT_ZERO + 50},
    {READ_CURRENT_LIMITS, 2, 2, TOLD,   SET_CHARGE_CURRENT_A,      -10,  CURRENT_ZERO},
    {READ_CURRENT_LIMITS, 4, 2, TOLD,   SET_DISCHARGE_CURRENT_A,   10,   CURRENT_ZERO - 50},
    {READ_CURRENT_LIMITS, 6, 2, TOLD,   SET_DISCHARGE_CURRENT_A,   10,   CURRENT_ZERO},
    {READ_DIFFERENCES,    0, 2, TOLD,   SET_CELL_DIFFERENCE_MV,    0.5,  0},
    {READ_DIFFERENCES,    2, 2, LIMIT,  SET_CELL_DIFFERENCE_MV,    1,    0},
    {READ_BALANCING,      0, 2, LIMIT,  SET_BALANCE_START_MV,      1,    0},
    {READ_BALANCING,      2, 2, LIMIT,  SET_BALANCE_DIFFERENCE_MV, 1,    0},
};
// clang-format on

/* Handles the number of a frame of a multi-frame reply (section 7). Frames count from 1, in the
 * documents from 0. A reply may begin with a late frame of an earlier one, so the first number
 * restarts it. Returns the position of the frame in the reply, or -1 if it must be ignored. */
static int take_number(struct memory *memory, int number)
{
    memory->began_at_0 |= number == 0;
    int first = memory->counts_from_0 || memory->began_at_0 ? 0 : 1;
    if (number == first) {
        memory->first = first;
        memory->seen = 0;
    } else if (memory->last < 0 || number < memory->last) {
        return -1;
    }
    int position = number - memory->first;
    if (position < 0 || position > 31)
        return -1;
    memory->last = number;
    memory->seen |= 1u << position;
    return position;
}

/* Replies of several frames: 0x95 cell voltages, 0x96 temperatures, 0x62 and 0x63 versions.
 *   A5 01 95 08 | 01     | 0C FD  | 0C FE    | 0C FE    | 40 | A1      cells 1, 2, 3
 *               | number | cell n | cell n+1 | cell n+2 | -  | sum
 *   A5 02 96 08 | 01     | 35 36 FF FF FF FF FF | AC      13 and 14 °C
 *               | number | seven sensors, + 40  | sum
 * Cell slots after the last cell contain left-overs that look like good voltages. If the frame is
 * lost that shows where the numbers start, all others would be off by three cells: no cell is set
 * before the first (0) or last (from 1) has arrived. Sensors that are missing read 00 or FF. */
static enum bms_result decode_frames(struct memory *memory, uint8_t command, const uint8_t d[8],
                                     struct pack *pack)
{
    const bool cells = command == READ_CELLS, temps = command == READ_TEMPS;
    const int count = cells ? memory->cell_count : temps ? memory->temp_count : VERSION_SIZE;
    const int per_frame = cells ? CELLS_PER_FRAME : BYTES_PER_FRAME;
    const int frames = (count + per_frame - 1) / per_frame;
    const int position = take_number(memory, d[0]);
    if (position < 0 || position >= frames)
        return BMS_PARTIAL;
    const size_t size = cells ? 2 * CELLS_PER_FRAME : BYTES_PER_FRAME;
    memcpy(memory->data + (size_t) position * size, d + 1, size);
    const uint32_t all = (uint32_t) ((1ull << frames) - 1);
    const bool complete = (memory->seen & all) == all;
    /* A single frame numbered 0 may be damaged; several are not. */
    memory->counts_from_0 |= complete && frames > 1 && memory->first == 0;
    const bool settled = memory->first == 0 || memory->last == frames;
    for (int i = 0; i < count; i++) {
        const uint16_t mv = be16(memory->data + 2 * i);
        const uint8_t raw = memory->data[i];
        if (!(memory->seen >> i / per_frame & 1))
            continue;
        if (cells && settled)
            pack_set_cell(pack, (unsigned) i + 1, mv > 0 && mv <= 5000 ? mv : NAN);
        else if (temps && raw != 0x00 && raw != 0xFF)
            pack_set_temp(pack, (unsigned) i + 1, raw - 40);
    }
    if (cells && complete)
        pack_unset(pack, CELLS_UNREAD);
    else if (cells)
        pack_set(pack, CELLS_UNREAD, 1);
    else if (!temps && complete)
        pack_set_text(pack, command == READ_FIRMWARE ? FIRMWARE : MODEL, memory->data,
                      VERSION_SIZE);
    return complete ? BMS_DONE : BMS_PARTIAL;
}

/* What is not, or not only, a number at a fixed place. BMS_FOREIGN: nothing of this command. */
static enum bms_result decode_message(struct memory *memory, uint8_t command, const uint8_t d[8],
                                      struct pack *pack)
{
    switch (command) {
    case READ_PACK:
        /* Right after wake-up voltages of 0 turn up (section 13, 8): that is no measurement, and a
         * raw current of 0 is none of 3000 A. */
        pack_set(pack, VOLTAGE_V, be16(d) ? be16(d) / 10.0 : NAN);
        /* The sign is still that of the wire; finish() corrects it when the state is known. */
        if (be16(d + 4) != 0 && be16(d + 4) != 0xFFFF)
            pack_set(pack, CURRENT_A, (be16(d + 4) - CURRENT_ZERO) / 10.0);
        return BMS_DONE;
    case READ_STATE:
        memory->direction.state_is_new = true;
        return BMS_DONE;
    case READ_STATUS: /* no cells means "not ready" (section 6) */
        if (d[0] == 0 || d[0] > MAX_CELLS || d[1] > MAX_TEMPS)
            return BMS_INVALID;
        memory->cell_count = d[0];
        memory->temp_count = d[1];
        return BMS_DONE;
    case READ_CELLS:
    case READ_TEMPS:
    case READ_FIRMWARE:
    case READ_HARDWARE:
        return decode_frames(memory, command, d, pack);
    case READ_BALANCE: /* 48 bits, bit 0 of byte 0 is cell 1 */
        pack_set(pack, BALANCE_MASK, (double) get_sized(d, 6, false));
        return BMS_DONE;
    case READ_FAULTS: /* bytes 0…6 are bits (section 9), byte 7 a fault code */
        daly_alarms(pack, get_sized(d, 8, false));
        return BMS_DONE;
    case READ_CURRENT_LIMITS:
        /* Charge 1, 2, discharge 1, 2; one program has the pairs in reverse. Charging is below 30000
         * in both cases, so the number itself shows which it is. */
        for (int at = 2; at <= 6; at += 4) {
            const int raw = be16(d + at) - CURRENT_ZERO;
            if (raw != 0 && be16(d + at) != 0 && be16(d + at) != 0xFFFF)
                pack_set(pack, raw < 0 ? SET_CHARGE_CURRENT_A : SET_DISCHARGE_CURRENT_A,
                         (raw < 0 ? -raw : raw) / 10.0);
        }
        return BMS_DONE;
    }
    return BMS_FOREIGN;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    if (request->size > 0 && request->size < FRAME_SIZE) /* a partial request asks for nothing */
        return BMS_FOREIGN;
    uint8_t command = frame[2];
    /* The board that must answer; 0: any. An echo carries the host's address, which no board has. */
    const unsigned board = request->size == 0 ? 0 : board_of(request->bytes[1]);
    if (board ? frame[1] != board || command != request->bytes[2] : frame[1] < 1 || frame[1] > 16)
        return BMS_FOREIGN;
    struct memory *memory = bms_memory(bms);
    if (request->size != 0 && may_be_either(bms)) {
        bms->way = request->bytes[1] == HOST_BLUETOOTH ? VARIANT_BLUETOOTH : VARIANT_RS485;
        memory->answered = true;
        memory->other_way = false;
    }
    if (command == WRITE_CHARGE || command == WRITE_DISCHARGE)
        return request->size && frame[4] == request->bytes[4] ? BMS_DONE : BMS_REFUSED;
    if (command == WRITE_SOC)
        return request->size && frame[4] == 1 ? BMS_DONE : BMS_REFUSED;
    if (memory->collecting != command) {
        memory->collecting = command;
        memory->began_at_0 = false;
        memory->last = -1;
    }
    const uint8_t *d = frame + 4;
    enum bms_result result = decode_message(memory, command, d, pack);
    if (result == BMS_INVALID || result == BMS_PARTIAL)
        return result;
    if (command == READ_EXTREMES && be16(d) == 0) /* not measured */
        return BMS_DONE;
    for (size_t i = 0; i < COUNT(fields); i++) {
        const struct field *field = &fields[i];
        const uint64_t raw = get_sized(d + field->at, field->size, true);
        if (field->command != command)
            continue;
        result = BMS_DONE;
        if (field->reading == NUMBER || (field->reading == LIMIT && raw != 0 && raw != 0xFFFF))
            pack_set(pack, field->id, (double) raw / field->factor);
    }
    return result;
}

static void finish(struct bms *bms, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    daly_current_settle(&memory->direction, pack, pack->value[CURRENT_A], DALY_ABOVE_DISCHARGES,
                        bms->options.current);
}

/* Section 10: D9 discharge, DA charge; 01 is on, although the maker's web page disagrees. */
static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    request->size =
        put_frame(request->bytes, host_byte(bms),
                  which == BMS_CHARGE_MOS ? WRITE_CHARGE : WRITE_DISCHARGE, (const uint8_t[8]){on});
    return true;
}

static const struct bms_setting settings[] = {{SOC_PERCENT, 0, 100, 0.1, 0}};

/* Section 10. The order also sets the clock; a host without a valid time would set it wrong.
 *   A5 40 21 08 | 1A 06 0F | 0A 1E 00 | 03 25  | 8D      2026-06-15 10:30:00, 80.5 %
 *               | date     | time     | 0.1 %  | sum */
static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    if (now->year < FIRST_YEAR || now->year > LAST_YEAR)
        return false;
    uint8_t data[8] = {(uint8_t) (now->year - 2000), (uint8_t) now->month,  (uint8_t) now->day,
                       (uint8_t) now->hour,          (uint8_t) now->minute, (uint8_t) now->second};
    put_be16(data + 6, (uint32_t) lround(value * 10));
    request->size = put_frame(request->bytes, host_byte(bms), WRITE_SOC, data);
    return true;
}

/* ---- emulator ---- */

/* Fills in the data bytes of a one-frame reply; false: this board does not answer the command. */
static bool emulate_simple(struct memory *memory, struct pack *pack, uint8_t command, uint8_t d[8])
{
    bool known = command == READ_BALANCE || command == READ_FAULTS;
    for (size_t i = 0; i < COUNT(fields); i++) {
        const struct field *field = &fields[i];
        if (field->command != command)
            continue;
        put_sized(d + field->at, pack_raw(pack, field->id, field->factor, field->zero), field->size,
                  true);
        known = true;
    }
    if (command == READ_STATE) {
        d[0] = (uint8_t) pack_flow(pack);
        d[3] = memory->heartbeat++;
    } else if (command == READ_BALANCE) {
        put_sized(d, (uint64_t) pack_value_or(pack, BALANCE_MASK, 0), 8, false);
    } else if (command == READ_FAULTS) {
        put_sized(d, daly_alarm_word(pack), 8, false);
        d[6] |= memory->soft_switched ? 1 << 4 : 0;
    } else if (command == READ_RATED) {
        put_be32(d + 4, 3200);
    }
    return known;
}

/* A reply in numbered frames of 7 bytes, or of 3 cells. Slots behind the last cell keep their
 * left-overs from the frame before, as on real boards. False: another command. */
static bool emulate_frames(const struct pack *pack, uint8_t board, uint8_t command, bool all_cells,
                           struct bms_output *out)
{
    uint8_t data[2 * MAX_CELLS] = {0};
    size_t per_frame = BYTES_PER_FRAME, frames = 0;
    if (command == READ_CELLS) {
        const unsigned count = pack_raw(pack, CELL_COUNT, 1, 0);
        per_frame = 2 * CELLS_PER_FRAME;
        frames = all_cells ? 16 : (count + CELLS_PER_FRAME - 1) / CELLS_PER_FRAME;
        for (unsigned i = 0; i < frames * CELLS_PER_FRAME; i++)
            if (i < count)
                put_be16(data + 2 * i, pack_raw(pack, CELL_MV + i, 1, 0));
            else if (i >= CELLS_PER_FRAME)
                memcpy(data + 2 * i, data + 2 * (i - CELLS_PER_FRAME), 2);
    } else if (command == READ_TEMPS) {
        const unsigned count = pack_raw(pack, TEMP_COUNT, 1, 0);
        frames = (count + BYTES_PER_FRAME - 1) / BYTES_PER_FRAME;
        for (unsigned i = 0; i < count; i++)
            data[i] = (uint8_t) pack_raw(pack, TEMP_C + i, 1, 40);
    } else if (command == READ_FIRMWARE || command == READ_HARDWARE) {
        const char *text = pack->text[command == READ_FIRMWARE ? FIRMWARE : MODEL];
        frames = text[0] ? VERSION_SIZE / BYTES_PER_FRAME : 0;
        memcpy(data, text, strnlen(text, VERSION_SIZE));
    } else {
        return false;
    }
    for (size_t i = 0; i < frames; i++) {
        uint8_t d[8] = {(uint8_t) (i + 1)};
        memcpy(d + 1, data + i * per_frame, per_frame);
        out->size += put_frame(out->bytes + out->size, board, command, d);
    }
    return true;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct bms_request none = {.size = 0};
    struct bms_span span = find_frame(bms, &none, bytes, size);
    if (span.kind != BMS_FRAME)
        return span.size;
    bool bluetooth = bytes[1] == HOST_BLUETOOTH && bms_address(bms) == 1;
    bool rs485 = bytes[1] == 0x3F + bms_address(bms);
    bool called = (bluetooth && bms->options.variant != VARIANT_RS485) ||
                  (rs485 && bms->options.variant != VARIANT_BLUETOOTH);
    if (!called)
        return FRAME_SIZE;
    struct memory *memory = bms_memory(bms);
    uint8_t board = (uint8_t) bms_address(bms);
    uint8_t command = bytes[2];
    uint8_t d[8] = {0};
    bool known = true;
    if (emulate_frames(pack, board, command, bytes[1] == HOST_BLUETOOTH, out))
        return FRAME_SIZE;
    if (command == WRITE_CHARGE || command == WRITE_DISCHARGE) {
        d[0] = bytes[4];
        pack_set(pack, command == WRITE_CHARGE ? CHARGE_MOS : DISCHARGE_MOS, d[0]);
        memory->soft_switched = d[0] == 0;
    } else if (command == WRITE_SOC) {
        /* Values above 100 % and invalid dates are rejected. */
        const uint8_t *date = bytes + 4;
        d[0] = be16(bytes + 10) <= 1000 && date[1] >= 1 && date[1] <= 12 && date[2] >= 1 &&
               date[2] <= 31 && date[3] < 24 && date[4] < 60 && date[5] < 60;
        if (d[0])
            pack_set(pack, SOC_PERCENT, be16(bytes + 10) / 10.0);
    } else {
        known = emulate_simple(memory, pack, command, d);
    }
    out->size = known ? put_frame(out->bytes, board, command, d) : 0;
    return FRAME_SIZE;
}

/* A few boards answer only one of the two addresses (section 5). */
static const struct bms_guess guesses[] = {
    {.address = 1},
    {.address = 1, .variant = VARIANT_BLUETOOTH},
};

const struct bms_driver daly_driver = {
    .name = "daly",
    .on_air = true,
    .title = "Daly, UART and RS485 (A5 frames)",
    .guide = {.makes = "Daly R16T, R25T, R32, J, T, A, U, W, ND, early K; MGod",
              .port = "UART, RS485",
              .wires = "UART 3.3…5 V (ground is battery minus) or RS485 with ground",
              .setting = "Board number (BMSTool) for several on RS485; sleep time 65535: never",
              .address = "`auto` (a pack that is alone on its line is also asked as the Bluetooth "
                         "dongle would), `rs485`, `bluetooth`"},
    .variants = variants,
    .address = {.min = 1, .max = 16, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 20},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    .frame = find_frame,
    .question = find_question,
    .decode = decode,
    .finish = finish,
    .control = build_switch,
    BMS_SETTINGS(settings),
    .set = build_setting,
    .emulate = emulate,
};
