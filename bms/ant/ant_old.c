// SPDX-License-Identifier: MIT
/*
 * ANT boards of 2019 and 2020: request 5A 5A, reply AA 55 AA FF and 136 more bytes. Follows the
 * sheet `ant-old`. Oddities: the request has two forms, of which a board may know only one; there
 * is no end mark; current and power are positive when the pack discharges; the charge switch comes
 * before the discharge switch, unlike in newer boards; there are no alarm words, only the reason
 * why a switch is off. The board's own highest, lowest and average cell (115 to 121) can be
 * derived from the cells and are not read: a sum misses some damage, and a cell that jumps is read
 * again, but one of these would not be.
 */
#include "ant_codes.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <string.h>

#define STATUS_SIZE 140
#define COMMAND_SIZE 6
#define CELLS_MOST 32
#define SENSORS 4
#define READ 0x5A
#define READ_BLUETOOTH 0xDB
#define WRITE 0xA5

enum reg { DISCHARGE_SWITCH = 0xF9, CHARGE_SWITCH = 0xFA, APPLY = 0xFF };
enum { PASSWORD_FIRST = 0xF1, PASSWORD_LAST = 0xF4 };

static const uint8_t header[4] = {0xAA, 0x55, 0xAA, 0xFF};

struct memory {
    bool papers_form;   /* the form of the request in the maker's paper */
    bool awaited;       /* requested, and not answered since */
    bool answered;      /* the form in use was answered */
    uint8_t ordered[2]; /* of the emulator: discharge, charge; 1 off, 2 on, 0: no order */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

static const struct bms_step plan[] = {{.name = "status", .vital = true}};

// clang-format off
/* Section 3: reasons why the charge switch (byte 103) and the discharge switch (104) are off, each as
 * the bit that its code numbers. */
static const struct alarm_bit charge_reasons[] = {
    { 2, CELL_OVER_VOLTAGE,          PROT},
    { 3, CHARGE_OVER_CURRENT,        PROT},
    { 5, PACK_OVER_VOLTAGE,          PROT},
    { 6, CHARGE_OVER_TEMPERATURE,    PROT},
    { 7, MOS_OVER_TEMPERATURE,       PROT},
    { 9, VOLTAGE_SENSOR_FAULT,       PROT},
    {10, MOS_OVER_TEMPERATURE,       PROT},
    {12, CHARGE_MOS_FAULT,           PROT},
    {13, DISCHARGE_MOS_FAULT,        PROT},
}, discharge_reasons[] = {
    { 2, CELL_UNDER_VOLTAGE,         PROT},
    { 3, DISCHARGE_OVER_CURRENT,     PROT},
    { 4, DISCHARGE_OVER_CURRENT,     PROT}, /* second level */
    { 5, PACK_UNDER_VOLTAGE,         PROT},
    { 6, DISCHARGE_OVER_TEMPERATURE, PROT},
    { 7, MOS_OVER_TEMPERATURE,       PROT},
    { 9, VOLTAGE_SENSOR_FAULT,       PROT},
    {10, MOS_OVER_TEMPERATURE,       PROT},
    {12, SHORT_CIRCUIT,              PROT},
    {13, DISCHARGE_MOS_FAULT,        PROT},
    {14, DISCHARGE_MOS_FAULT,        PROT},
};
// clang-format on

/* ---- requests (sections 2 and 4) ---- */

/* 5A 5A rr hi lo sum */
static void put_command(uint8_t kind, uint8_t reg, unsigned value, struct bms_request *request)
{
    uint8_t *b = request->bytes + request->size;
    b[0] = b[1] = kind;
    b[2] = reg;
    put_be16(b + 3, value);
    b[5] = (uint8_t) sum_bytes(b + 2, 3);
    request->size += COMMAND_SIZE;
}

/* Alternates between the form seen on the wire and the one in the paper until one is answered. */
static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    if (memory->awaited && !memory->answered)
        memory->papers_form = !memory->papers_form;
    memory->awaited = true;
    request->size = 0;
    put_command(READ, 0, memory->papers_form ? 0 : 1, request);
    return true;
}

/* A write has no documented reply: a status request right after it shows the result. */
static bool build_switch(struct bms *bms, enum bms_switch which, bool on,
                         struct bms_request *request)
{
    const struct memory *memory = bms_memory(bms);
    request->size = 0;
    put_command(WRITE, which == BMS_CHARGE_MOS ? CHARGE_SWITCH : DISCHARGE_SWITCH, on, request);
    put_command(WRITE, APPLY, 0, request);
    put_command(READ, 0, memory->papers_form ? 0 : 1, request);
    return true;
}

static struct bms_span find_command(const uint8_t *bytes, size_t size)
{
    const bool known = bytes[0] == READ || bytes[0] == WRITE || bytes[0] == READ_BLUETOOTH;
    if (size < 2 && (bytes[0] == READ || bytes[0] == WRITE))
        return (struct bms_span){BMS_MORE, 0};
    if (size < 2 || !known || bytes[1] != bytes[0])
        return (struct bms_span){BMS_SKIP, 1};
    if (size < COMMAND_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    return (uint8_t) sum_bytes(bytes + 2, 3) == bytes[5]
               ? (struct bms_span){BMS_FRAME, COMMAND_SIZE}
               : (struct bms_span){BMS_SKIP, 1};
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    if (memcmp(bytes, header, size < sizeof header ? size : sizeof header) != 0)
        return find_command(bytes, size);
    if (size < STATUS_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    return (uint16_t) sum_bytes(bytes + 4, STATUS_SIZE - 6) == be16(bytes + STATUS_SIZE - 2)
               ? (struct bms_span){BMS_FRAME, STATUS_SIZE}
               : (struct bms_span){BMS_DAMAGED, 1};
}

/* ---- status (section 3) ---- */

static enum bms_result decode_status(const struct bms *bms, const uint8_t *b, struct pack *pack)
{
    unsigned cells = b[123];
    if (cells < 1 || cells > CELLS_MOST)
        return BMS_INVALID;
    pack_set(pack, VOLTAGE_V, be16(b + 4) / 10.0);
    pack_set(pack, CELL_COUNT, cells);
    for (unsigned n = 0; n < cells; n++)
        pack_set_cell(pack, n + 1, be16(b + 6 + 2 * n));
    ant_set_current(bms, pack, sbe32(b + 70), sbe32(b + 111));
    pack_set(pack, SOC_PERCENT, b[74]);
    if (be32(b + 75) > 0) /* else it was never set */
        pack_set(pack, FULL_AH, be32(b + 75) / 1e6);
    pack_set(pack, REMAINING_AH, be32(b + 79) / 1e6);
    unsigned fitted = 0;
    ant_set_temp(pack, MOS_TEMP_C, sbe16(b + 91));
    for (unsigned n = 0; n < SENSORS; n++) {
        int celsius = sbe16(b + 95 + 2 * n);
        ant_set_temp(pack, TEMP_C + n, celsius);
        if (celsius != ANT_ABSENT_C)
            fitted = n + 1;
    }
    pack_set(pack, TEMP_COUNT, fitted);
    pack_set(pack, CHARGE_MOS, b[103] == ANT_ON);
    pack_set(pack, DISCHARGE_MOS, b[104] == ANT_ON);
    pack_clear_alarms(pack);
    pack_alarm_bits(pack, charge_reasons, COUNT(charge_reasons), b[103] < 64 ? 1ull << b[103] : 0);
    pack_alarm_bits(pack, discharge_reasons, COUNT(discharge_reasons),
                    b[104] < 64 ? 1ull << b[104] : 0);
    pack_raw_alarm(pack, be16(b + 103));
    pack_raw_alarm(pack, b[105]);
    pack_set(pack, BALANCE_MASK, be32(b + 132));
    return BMS_DONE;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    const uint8_t *asked = request->bytes;
    if (size != STATUS_SIZE)
        return BMS_FOREIGN;
    bool order = request->size == 3 * COMMAND_SIZE && asked[0] == WRITE;
    bool wanted = request->size == 0 || order ||
                  (request->size == COMMAND_SIZE && asked[0] != WRITE && asked[2] == 0);
    /* An order waits for a status that shows the ordered state of the switch. */
    const unsigned code = asked[2] == CHARGE_SWITCH ? frame[103] : frame[104];
    if (!wanted || (order && (code == ANT_ON) != (asked[4] == 1)))
        return BMS_FOREIGN;
    enum bms_result result = decode_status(bms, frame, pack);
    if (result == BMS_DONE) {
        memory->awaited = false;
        memory->answered = true;
    }
    return result;
}

/* Section 4. */
static void mask(uint8_t *frame, size_t size)
{
    if (size != COMMAND_SIZE || frame[2] < PASSWORD_FIRST || frame[2] > PASSWORD_LAST)
        return;
    frame[3] = frame[4] = '*';
    frame[5] = (uint8_t) sum_bytes(frame + 2, 3);
}

/* ---- emulator ---- */

/* On, or the reason why not; of several alarms the first. */
static uint8_t told_code(const struct pack *told, enum pack_value id, const struct alarm_bit *rows,
                         size_t count)
{
    if (told->value[id] > 0)
        return ANT_ON;
    for (size_t i = 0; i < count; i++)
        if (told->alarms_protection >> rows[i].alarm & 1)
            return rows[i].bit;
    return ANT_OFF_BY_HAND;
}

static void tell_status(const struct pack *told, struct bms_output *out)
{
    uint8_t *b = out->bytes;
    unsigned cells = (unsigned) fmin(fmax(told->value[CELL_COUNT], 0), CELLS_MOST);
    memset(b, 0, STATUS_SIZE);
    memcpy(b, header, sizeof header);
    put_be16(b + 4, pack_raw(told, VOLTAGE_V, 10, 0));
    for (unsigned n = 0; n < cells; n++)
        put_be16(b + 6 + 2 * n, pack_raw(told, CELL_MV + n, 1, 0));
    put_be32(b + 70, pack_raw(told, CURRENT_A, -10, 0));
    b[74] = (uint8_t) pack_raw(told, SOC_PERCENT, 1, 0);
    put_be32(b + 75, pack_raw(told, FULL_AH, 1e6, 0));
    put_be32(b + 79, pack_raw(told, REMAINING_AH, 1e6, 0));
    put_be16(b + 91, (uint32_t) ant_told_temp(told, MOS_TEMP_C));
    put_be16(b + 93, 25);
    for (unsigned n = 0; n < SENSORS; n++)
        put_be16(b + 95 + 2 * n, (uint32_t) ant_told_temp(told, TEMP_C + n));
    b[103] = told_code(told, CHARGE_MOS, charge_reasons, COUNT(charge_reasons));
    b[104] = told_code(told, DISCHARGE_MOS, discharge_reasons, COUNT(discharge_reasons));
    put_be32(b + 111, pack_raw(told, POWER_W, -1, 0));
    b[115] = (uint8_t) pack_raw(told, CELL_MAX_INDEX, 1, 0);
    put_be16(b + 116, pack_raw(told, CELL_MAX_MV, 1, 0));
    b[118] = (uint8_t) pack_raw(told, CELL_MIN_INDEX, 1, 0);
    put_be16(b + 119, pack_raw(told, CELL_MIN_MV, 1, 0));
    put_be16(b + 121, pack_raw(told, CELL_AVG_MV, 1, 0));
    b[123] = (uint8_t) cells;
    put_be32(b + 132, (uint32_t) (uint64_t) fmax(told->value[BALANCE_MASK], 0));
    put_be16(b + 138, sum_bytes(b + 4, 134));
    out->size = STATUS_SIZE;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct bms_span span = find_command(bytes, size);
    if (span.kind != BMS_FRAME)
        return span.size;
    if (bytes[0] == WRITE) {
        struct memory *memory = bms_memory(bms);
        if (bytes[2] == DISCHARGE_SWITCH || bytes[2] == CHARGE_SWITCH)
            memory->ordered[bytes[2] - DISCHARGE_SWITCH] = be16(bytes + 3) == 1 ? 2 : 1;
        /* A write takes effect with the apply frame. */
        for (unsigned i = 0; i < 2 && bytes[2] == APPLY; i++) {
            if (memory->ordered[i] > 0)
                pack_set(pack, i == 0 ? DISCHARGE_MOS : CHARGE_MOS, memory->ordered[i] == 2);
            memory->ordered[i] = 0;
        }
    } else if (bytes[2] == 0) {
        struct pack told = *pack;
        pack_derive(&told);
        tell_status(&told, out);
    }
    return COMMAND_SIZE;
}

/* The paper has another baud rate than known boards. A poll for each form of the request. */
static const struct bms_guess guesses[] = {
    {.address = -1, .polls = 2},
    {.address = -1, .baud = 9600},
};

const struct bms_driver ant_old_driver = {
    .name = "ant-old",
    .title = "ANT boards of 2019 and 2020 (request 5A 5A)",
    .guide = {.makes = "ANT boards of 2019 and 2020 (ANT24C…)",
              .port = "UART",
              .wires = "the UART socket of the Bluetooth module: 3.3 V TTL, its VCC pin must be "
                       "fed with 3.3 V",
              .setting = "the board falls asleep without current: wake it by button or charger; "
                         "some are set to 9600; a board that answers both: `ant`"},
    .line = {.baud = 19200, .reply_ms = 500, .gap_ms = 100, .one_pack = true},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    .frame = find_frame,
    .decode = decode,
    .control = build_switch,
    .mask = mask,
    .emulate = emulate,
};
