// SPDX-License-Identifier: MIT
/*
 * JK-PB boards on RS485 (protocol 001 and 013). Follows the sheet `jk-pb`. Two ways to the same
 * values: writing a trigger register makes the board send a 300-byte record 55 AA EB 90 and then
 * acknowledge the write ("trigger"), or the values are read as Modbus registers ("registers").
 * Oddities: the record does not say whose it is, only the acknowledgement does, and on a bus with a
 * master board the records of others come at any time; registers are addressed by bytes. What the
 * records hold is in jk_record.c.
 */
#include "jk_record.h"

#include "bms/bytes.h"
#include "bms/modbus/modbus.h"

#include <string.h>

#define ACK_SIZE 8  /* AA 10 16 RR 00 01 <crc> */
#define READ_SIZE 8 /* AA 03 <start> <count> <crc> */
#define EXCEPTION_SIZE 5
#define WRITE_MOST_WORDS 4 /* more than any write that was seen on these buses */
#define ABOUT_WORDS 48
#define ABOUT_PIN 0x38
#define BLOCK_DATA 6    /* byte 0 of a block is byte 6 of the frame */
#define BLOCK_END 0x124 /* after the last byte that can be read */
#define WAKE_AFTER 3    /* lone requests in a row that only a wake-up cured */

#define BAD_CRC 4 /* exception: only these boards use it like this */

enum variant { VARIANT_TRIGGER, VARIANT_REGISTERS };
static const char *const variants[] = {"trigger", "registers", NULL};

/* Sections 2 and 3: where each record is triggered, and where its registers are. Any other write to
 * 0x16xx calibrates, shuts down or overwrites all settings: never send one. */
static const struct source {
    uint16_t trigger, block;
} sources[] = {
    [JK_SETTINGS] = {0x161E, 0x1000},
    [JK_STATUS] = {0x1620, 0x1200},
    [JK_ABOUT] = {0x161C, 0x1400},
    [JK_LOG] = {0, 0}, /* is never asked for */
};

struct memory {
    struct jk_notes notes;
    bool others_heard;        /* packs or hosts other than ours were heard on this line */
    bool acknowledged;        /* our pack's acknowledgement stood alone and was the last message */
    bool acknowledges_behind; /* our pack was seen to acknowledge after its records */
    bool status_awaited;      /* requested and not received since */
    bool status_led;          /* the last request for it came directly after another one */
    bool led;                 /* another request was just sent */
    uint8_t lone_misses;      /* lone status requests unanswered since the last answered one */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

enum { STEP_WAKE = 5 };

// clang-format off
/* Sections 2 and 3. Steps that read no registers write a trigger. */
static const struct bms_step plan[] = {
    {.name = "about",               .every_s = 3600, .read.start = 0x161C},
    {.name = "settings",            .every_s = 300,  .read.start = 0x161E},
    {.name = "about registers",     .every_s = 3600, .read = {MODBUS_HOLDING, 0x1400, ABOUT_WORDS}},
    {.name = "settings registers",  .every_s = 300,  .read = {MODBUS_HOLDING, 0x106C, 10}},
    {.name = "limit registers",     .every_s = 3600, .read = {MODBUS_HOLDING, 0x1004, 66}},
    [STEP_WAKE] = {.name = "wake-up",                .read.start = 0x161E},
    {.name = "status",              .vital = true,   .read.start = 0x1620},
    {.name = "cell registers",      .vital = true,   .read = {MODBUS_HOLDING, 0x1200, 37}},
    {.name = "value registers",     .vital = true,   .read = {MODBUS_HOLDING, 0x128A, 36}},
    {.name = "temperatures 3 to 5",                  .read = {MODBUS_HOLDING, 0x12F8, 3}},
};
// clang-format on

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    uint8_t address = (uint8_t) bms_address(bms);
    const struct bms_read *read = &plan[step].read;
    /* Section 2, wake-up rule: some boards answer a request for the status only if another request
     * preceded it by less than 200 ms. The settings are then requested first: in the cycle after a
     * miss, and always once that has helped. It also works the other way round: some packs stop
     * answering reads when nothing is triggered. */
    const bool wake_is_due =
        !memory->led && (memory->status_awaited || memory->lone_misses >= WAKE_AFTER);
    if (step == STEP_WAKE ? !wake_is_due
                          : (read->count > 0) != (bms->options.variant == VARIANT_REGISTERS))
        return false;
    if (read->start == sources[JK_STATUS].trigger || read->start == sources[JK_STATUS].block) {
        if (memory->status_awaited && !memory->status_led && memory->lone_misses < WAKE_AFTER)
            memory->lone_misses++;
        memory->status_awaited = true;
        memory->status_led = memory->led;
        memory->led = false;
    }
    memory->led |= read->start == sources[JK_SETTINGS].trigger;
    memory->acknowledged = false;
    if (read->count > 0)
        modbus_read(address, read->function, read->start, read->count, request);
    else
        modbus_write_many(address, read->start, 0, request);
    return true;
}

static const struct bms_span more = {BMS_MORE, 0}, skip = {BMS_SKIP, 1};

static struct bms_span find_whole(const uint8_t *bytes, size_t size, size_t whole)
{
    if (size < whole)
        return more;
    return modbus_crc_fits(bytes, whole) ? (struct bms_span){BMS_FRAME, whole} : skip;
}

/* An acknowledgement of the record's own trigger, from any address. */
static struct bms_span find_ack(enum jk_type type, const uint8_t *bytes, size_t size)
{
    uint8_t expected[] = {MODBUS_WRITE_MANY, 0, 0, 0, 1};
    put_be16(expected + 1, sources[type].trigger);
    size_t known = size < 6 ? size : 6;
    if (known > 1 && memcmp(bytes + 1, expected, known - 1) != 0)
        return skip;
    return find_whole(bytes, size, ACK_SIZE);
}

/* A record and the acknowledgement right behind it are one span, because only the acknowledgement
 * says which pack sent the record. A record followed by something else is a span of its own.
 * While a record waits for its acknowledgement, more bytes are asked for; when none come, the
 * caller drops the record's first byte and calls again. A record without its first byte is
 * therefore one that nothing followed, and must not wait once more. Adapters that swallow the first
 * byte leave the same. */
static struct bms_span find_record(const uint8_t *bytes, size_t size)
{
    uint8_t whole[JK_RECORD_SIZE] = {0x55};
    const size_t cut = bytes[0] == 0x55 ? 0 : 1;
    const size_t rest = size < JK_RECORD_SIZE - cut ? size : JK_RECORD_SIZE - cut;
    memcpy(whole + cut, bytes, rest);
    const struct bms_span span = jk_record_find(whole, rest + cut);
    if (span.kind != BMS_FRAME)
        return cut == 0 || span.kind == BMS_MORE ? span : skip;
    const enum jk_type type = (enum jk_type) whole[4];
    const uint8_t *behind = bytes + rest;
    struct bms_span ack = size > rest ? find_ack(type, behind, size - rest) : more;
    if (ack.kind == BMS_SKIP && behind[0] == 0) { /* some adapters put a zero byte between them */
        ack = find_ack(type, behind + 1, size - rest - 1);
        ack.size++;
    }
    if (ack.kind == BMS_MORE && cut == 0)
        return more;
    return (struct bms_span){BMS_FRAME, rest + (ack.kind == BMS_FRAME ? ack.size : 0)};
}

/* Function 16, of or to any address: a request and its acknowledgement.
 *   02 | 10 | 16 20 | 00 01 | 02    | 00 00 | C2 01     trigger
 *   02 | 10 | 16 20 | 00 01 | 04 78                     its acknowledgement */
static struct bms_span find_write(const uint8_t *bytes, size_t size)
{
    if (size > 2 && (bytes[2] < 0x10 || bytes[2] > 0x16))
        return skip;
    if (size > 4 && bytes[4] != 0)
        return skip;
    if (size > 5 && (bytes[5] < 1 || bytes[5] > WRITE_MOST_WORDS))
        return skip;
    if (size < ACK_SIZE)
        return more;
    if (modbus_crc_fits(bytes, ACK_SIZE))
        return (struct bms_span){BMS_FRAME, ACK_SIZE};
    return bytes[6] == 2 * bytes[5] ? find_whole(bytes, size, 9u + bytes[6]) : skip;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const bool record = bytes[0] == 0x55 || bytes[0] == 0xAA;
    const struct bms_span span = record ? find_record(bytes, size) : skip;
    if (span.kind != BMS_SKIP)
        return span;
    if (size < 2)
        return more;
    if (bytes[1] == MODBUS_WRITE_MANY)
        return find_write(bytes, size);
    if (bytes[1] == MODBUS_HOLDING)
        return request->size == READ_SIZE ? modbus_frame(bms, request, bytes, size) : skip;
    const bool refused = request->size > 1 && bytes[0] == request->bytes[0] &&
                         bytes[1] == (request->bytes[1] | MODBUS_EXCEPTION);
    if (!refused || (size > 2 && (bytes[2] < MODBUS_BAD_FUNCTION || bytes[2] > BAD_CRC)))
        return skip;
    return find_whole(bytes, size, EXCEPTION_SIZE);
}

/* A write with its data, or a read. An acknowledgement has only the head of a write. */
static struct bms_span find_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                     int *address)
{
    if (size < 2)
        return more;
    if (bytes[1] != MODBUS_WRITE_MANY && bytes[1] != MODBUS_HOLDING)
        return skip;
    return modbus_question(bms, bytes, size, address);
}

/* The record that a trigger requests; 0: it is no trigger. */
static enum jk_type type_of_trigger(const uint8_t *bytes, size_t size)
{
    if (size != 11 || bytes[1] != MODBUS_WRITE_MANY)
        return (enum jk_type) 0;
    enum jk_type type = JK_ABOUT;
    while (type > 0 && sources[type].trigger != be16(bytes + 2))
        type--;
    return type;
}

/* The record that a register belongs to; 0: none. */
static enum jk_type type_of_block(unsigned start)
{
    enum jk_type type = JK_ABOUT;
    while (type > 0 && start - sources[type].block >= BLOCK_END)
        type--;
    return type;
}

/* Section 2: a record is from the requested pack if that pack's acknowledgement follows it
 * directly, or precedes it on boards that do so. Without any acknowledgement it is accepted only
 * if the pack has the line for itself and no other device was ever heard there. */
static bool is_ours(struct bms *bms, bool asked_for, uint8_t address, const uint8_t *ack)
{
    struct memory *memory = bms_memory(bms);
    bool announced = memory->acknowledged && !memory->acknowledges_behind;
    memory->acknowledged = false;
    if (!ack)
        return announced || (asked_for && !memory->others_heard && !bms->options.shared);
    bool ours = ack[0] == address;
    memory->acknowledges_behind |= ours;
    memory->others_heard |= !ours;
    return ours;
}

static enum bms_result take_record(struct bms *bms, const struct jk_record *record,
                                   struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    enum bms_result result = jk_record_decode(bms, &memory->notes, record, pack);
    if (result == BMS_DONE && record->type == JK_STATUS) {
        memory->status_awaited = false;
        if (!memory->status_led)
            memory->lone_misses = 0;
    }
    return result;
}

static enum bms_result decode_record(struct bms *bms, const struct bms_request *request,
                                     uint8_t address, const uint8_t *frame, size_t size,
                                     struct pack *pack)
{
    size_t cut = frame[0] == 0x55 ? 0 : 1;
    struct jk_record record = {
        .type = (enum jk_type) frame[4 - cut],
        .layout = JK_32S,
        .first = cut,
        .bytes = frame,
        .size = JK_RECORD_SIZE - cut,
    };
    enum jk_type wanted = type_of_trigger(request->bytes, request->size);
    if (!is_ours(bms, wanted == record.type, address,
                 size > JK_RECORD_SIZE ? frame + size - ACK_SIZE : NULL))
        return BMS_FOREIGN;
    if (request->size != 0 && record.type != wanted)
        return BMS_FOREIGN;
    enum bms_result result = take_record(bms, &record, pack);
    return result == BMS_DONE && request->size == 0 && record.type != JK_STATUS ? BMS_PARTIAL
                                                                                : result;
}

/* Section 3: block base + byte offset, whichever part of a block was requested. */
static enum bms_result decode_registers(struct bms *bms, const struct bms_request *request,
                                        const uint8_t *frame, struct pack *pack)
{
    const unsigned start = be16(request->bytes + 2);
    const enum jk_type type = type_of_block(start);
    if (type == 0 || start % 2 != 0)
        return BMS_FOREIGN;
    struct jk_record record = {
        .type = type,
        .layout = JK_32S,
        .big_endian = true,
        .first = BLOCK_DATA + (start - sources[type].block),
        .bytes = frame + 3,
        .size = frame[2],
    };
    return take_record(bms, &record, pack);
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    uint8_t address = request->size ? request->bytes[0] : (uint8_t) bms_address(bms);
    if (size >= JK_RECORD_SIZE - 1)
        return decode_record(bms, request, address, frame, size, pack);
    struct memory *memory = bms_memory(bms);
    memory->acknowledged = false;
    memory->others_heard |= frame[0] != address;
    bool echo = size == request->size && memcmp(frame, request->bytes, size) == 0;
    if (frame[0] != address || request->size < READ_SIZE || echo)
        return BMS_FOREIGN;
    if (frame[1] & MODBUS_EXCEPTION)
        return frame[2] == BAD_CRC ? BMS_INVALID : BMS_REFUSED;
    if (frame[1] == MODBUS_HOLDING)
        return decode_registers(bms, request, frame, pack);
    /* The acknowledgement of a switch confirms it. That of a trigger comes before its record on some
     * boards; behind a damaged record it stands alone as well. Answers are matched by register: late
     * ones of other requests do occur. */
    if (size != ACK_SIZE || memcmp(frame, request->bytes, 6) != 0)
        return BMS_FOREIGN;
    memory->acknowledged = type_of_trigger(request->bytes, request->size) != 0;
    return memory->acknowledged ? BMS_PARTIAL : BMS_DONE;
}

/* The about registers, with the Bluetooth PIN, are the only ones of which 96 bytes are read. */
static void mask(uint8_t *frame, size_t size)
{
    if (size >= JK_RECORD_SIZE - 1) {
        jk_record_mask(frame, frame[0] == 0x55 ? 0 : 1);
    } else if (frame[1] == MODBUS_HOLDING && frame[2] == 2 * ABOUT_WORDS &&
               size == 5 + 2 * ABOUT_WORDS) {
        memset(frame + 3 + ABOUT_PIN, '*', 16);
        modbus_put_crc(frame, size - 2);
    }
}

/* Section 8. */
static const struct bms_code switches[] = {
    {0x1070, CHARGE_MOS}, {0x1074, DISCHARGE_MOS}, {0x1078, SET_BALANCER}};
static const struct bms_setting settings[] = {{SET_BALANCER, 0, 1, 1, 0}};

static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    const uint16_t words[] = {0, value > 0};
    const uint16_t start = bms_code_of(switches, COUNT(switches), id);
    modbus_write_words((uint8_t) bms_address(bms), start, words, COUNT(words), request);
    return true;
}

/* ---- emulator ---- */

/* 0, or an enum modbus_error. */
static unsigned emulate_read(const uint8_t *request, const struct pack *pack,
                             struct bms_output *out)
{
    unsigned start = be16(request + 2), words = be16(request + 4);
    const enum jk_type type = type_of_block(start);
    const unsigned offset = start - sources[type].block;
    if (words == 0 || words > MODBUS_READ_MAX)
        return MODBUS_BAD_VALUE;
    if (type == 0 || offset + 2 * words > BLOCK_END)
        return MODBUS_BAD_ADDRESS;
    uint8_t record[JK_RECORD_SIZE];
    jk_encode(record, true, type, JK_32S, 0, request[0], pack);
    memcpy(out->bytes, request, 2);
    out->bytes[2] = (uint8_t) (2 * words);
    memcpy(out->bytes + 3, record + BLOCK_DATA + offset, 2u * words);
    out->size = modbus_put_crc(out->bytes, 3 + 2u * words);
    return 0;
}

/* The record first, then the acknowledgement, as recorded. */
static unsigned emulate_write(const uint8_t *request, size_t size, struct pack *pack,
                              struct bms_output *out)
{
    const enum jk_type type = type_of_trigger(request, size);
    const struct bms_code *written = bms_code_find(switches, COUNT(switches), be16(request + 2));
    if (type == 0 && (!written || be16(request + 4) != 2))
        return MODBUS_BAD_ADDRESS;
    if (type == 0 && be32(request + 7) > 1)
        return MODBUS_BAD_VALUE;
    if (type == 0) {
        pack_set(pack, written->id, be32(request + 7));
    } else {
        jk_encode(out->bytes, false, type, JK_32S, 5, request[0], pack);
        out->size = JK_RECORD_SIZE;
    }
    memcpy(out->bytes + out->size, request, 6);
    out->size += modbus_put_crc(out->bytes + out->size, 6);
    return 0;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    int address;
    const struct bms_span span = modbus_question(bms, bytes, size, &address);
    unsigned error = MODBUS_BAD_FUNCTION;
    if (span.kind != BMS_FRAME || address != bms_address(bms) || span.size > BMS_REQUEST_MAX)
        return span.size;
    if (bytes[1] == MODBUS_HOLDING)
        error = emulate_read(bytes, pack, out);
    else if (bytes[1] == MODBUS_WRITE_MANY)
        error = emulate_write(bytes, span.size, pack, out);
    if (error != 0)
        modbus_exception(bytes, error, out);
    return span.size;
}

/* The addresses that a board's switches can set; 9600 baud is protocol 013. The second poll has a
 * wake-up before the status. */
// clang-format off
static const struct bms_guess guesses[] = {
    {.address = 1, .polls = 2}, {.address = 2}, {.address = 3}, {.address = 4}, {.address = 5},
    {.address = 6}, {.address = 7}, {.address = 8}, {.address = 9}, {.address = 10},
    {.address = 11}, {.address = 12}, {.address = 13}, {.address = 14}, {.address = 15},
    {.address = 1, .baud = 9600},
};
// clang-format on

const struct bms_driver jk_pb_driver = {
    .name = "jk-pb",
    .title = "JK-PB, RS485 Modbus (protocol 001)",
    .guide = {.makes = "JK-PB inverter BMS; JK-B, JK-BD of hardware 11 and later with the RS485 "
                       "dongle",
              .port = "RS485",
              .wires = "RS485-1, the RJ45 beside the DIP switches: 1 or 8 B, 2 or 7 A, 3 or 6 "
                       "GND",
              .setting = "UART1 Protocol No. 001 (013: `baud = 9600`). DIP switches 1…15; 0 is a "
                         "master that talks by itself",
              .address = "`trigger`, `registers` (as Modbus registers)"},
    .variants = variants,
    /* A request is a write: other devices may have higher addresses. */
    .address = {.min = 1, .max = 247, .usual = 1, .sweep_last = 15},
    .line = {.baud = 115200, .reply_ms = 500, .gap_ms = 100, .tries = 2},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    .frame = find_frame,
    .question = find_question,
    .tells_itself = true,
    .decode = decode,
    .control = bms_control_by_set,
    BMS_SETTINGS(settings),
    .set = build_setting,
    .mask = mask,
    .emulate = emulate,
};
