// SPDX-License-Identifier: MIT
/*
 * JK boards behind a Bluetooth bridge or on the lines of their Bluetooth module: 20-byte requests
 * AA 55 90 EB, 300-byte frames 55 AA EB 90. Follows the sheet `jk02`. Oddities: after one request
 * the board sends status frames without further requests until the link drops; some boards only do
 * so after a request for the about record; acknowledgements, left-overs of the module and partial
 * frames lie between the frames. jk_record.c decodes the records.
 */
#include "jk_record.h"

#include "bms/bytes.h"
#include "bms/checksum.h"

#include <math.h>
#include <string.h>

#define REQUEST_SIZE 20
#define HEADER_SIZE 4
#define COMMAND_AT 4
#define SETTINGS_KEPT 100 /* statuses */

enum command { READ_STREAM = 0x96, READ_ABOUT = 0x97, ACKNOWLEDGE = 0xC8 };

/* Section 9: the commands of the switches. */
static const struct bms_code switches[] = {
    {0x1D, CHARGE_MOS}, {0x1E, DISCHARGE_MOS}, {0x1F, SET_BALANCER}};

/* The layout follows from the version or the frame itself. It can be configured for boards where
 * this fails, and for simulated ones. In the order of enum jk_layout. */
static const char *const variants[] = {"auto", "32s", "24s", NULL};

struct memory {
    struct jk_notes notes;
    /* Of the last settings frame, which does not come with every status. */
    double rated_ah; /* 0: none yet */
    uint8_t without; /* statuses without settings since then */
    double settings[SETTINGS_END - SETTINGS_FIRST];
    bool status_awaited; /* requested and not received since */
    uint8_t counter;     /* of the emulator: frame counter */
    bool introduced;     /* of the emulator: the about record was requested, so it streams */
};
_Static_assert(sizeof(struct memory) <= BMS_MEMORY, "a driver's notes must fit");

static const uint8_t header[HEADER_SIZE] = {0xAA, 0x55, 0x90, 0xEB};

/* Section 2: header, command, number of value bytes, 13 bytes of value, sum. */
static size_t put_request(uint8_t out[REQUEST_SIZE], uint8_t command, uint8_t length, uint8_t value)
{
    memset(out, 0, REQUEST_SIZE);
    memcpy(out, header, HEADER_SIZE);
    out[COMMAND_AT] = command;
    out[5] = length;
    out[6] = value;
    out[REQUEST_SIZE - 1] = (uint8_t) sum_bytes(out, REQUEST_SIZE - 1);
    return REQUEST_SIZE;
}

enum step { STEP_ABOUT, STEP_WAKE, STEP_STATUS, STEPS };

/* About comes first: layout and names follow from it, and without it there may be no stream. It is
 * asked again when a status stayed away, as after a restart of the board. */
static const struct bms_step plan[STEPS] = {
    [STEP_ABOUT] = {.name = "about", .every_s = 3600},
    [STEP_WAKE] = {.name = "wake-up"},
    [STEP_STATUS] = {.name = "status", .vital = true},
};

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    struct memory *memory = bms_memory(bms);
    if (step == STEP_WAKE && !memory->status_awaited)
        return false;
    if (step == STEP_STATUS)
        memory->status_awaited = true;
    request->size =
        put_request(request->bytes, step == STEP_STATUS ? READ_STREAM : READ_ABOUT, 0, 0);
    return true;
}

/* Requests (an echo) and acknowledgements have the same form. */
static struct bms_span find_short(const uint8_t *bytes, size_t size)
{
    if (memcmp(bytes, header, size < HEADER_SIZE ? size : HEADER_SIZE) != 0)
        return (struct bms_span){BMS_SKIP, 1};
    if (size < REQUEST_SIZE)
        return (struct bms_span){BMS_MORE, 0};
    if ((uint8_t) sum_bytes(bytes, REQUEST_SIZE - 1) != bytes[REQUEST_SIZE - 1])
        return (struct bms_span){BMS_DAMAGED, HEADER_SIZE};
    return (struct bms_span){BMS_FRAME, REQUEST_SIZE};
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    return bytes[0] == header[0] ? find_short(bytes, size) : jk_record_find(bytes, size);
}

static enum bms_result decode_record(struct bms *bms, const struct jk_record *record, bool last,
                                     struct pack *pack)
{
    struct memory *memory = bms_memory(bms);
    enum bms_result result = jk_record_decode(bms, &memory->notes, record, pack);
    if (result != BMS_DONE)
        return result;
    if (record->type == JK_STATUS) {
        /* Keeps the settings frame, which comes once after each request for the stream, before the
         * status or after it, in case it is late. It is only kept together with the status that it
         * came with: the caller checks both and discards both if in doubt, whereas a damaged
         * settings frame on its own would affect each following status. After several statuses
         * without settings, the kept ones may be outdated. */
        bool came = pack_known(pack, RATED_AH);
        memory->without = came ? 0 : (uint8_t) (memory->without + 1);
        if (memory->without > SETTINGS_KEPT)
            memory->rated_ah = memory->without = 0;
        for (unsigned i = 0; i < COUNT(memory->settings); i++) {
            double *value = &pack->value[SETTINGS_FIRST + i];
            if (came)
                memory->settings[i] = *value;
            else if (memory->rated_ah > 0 && isnan(*value))
                *value = memory->settings[i];
        }
        if (came)
            memory->rated_ah = pack->value[RATED_AH];
        else if (memory->rated_ah > 0)
            pack_set(pack, RATED_AH, memory->rated_ah);
        memory->status_awaited = false;
    }
    return last ? BMS_DONE : BMS_PARTIAL;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    /* The command of a request; 0: no request, or not of this protocol. */
    bool ours = request->size == REQUEST_SIZE && memcmp(request->bytes, header, HEADER_SIZE) == 0;
    uint8_t asked = ours ? request->bytes[COMMAND_AT] : 0;
    if (size == REQUEST_SIZE) {
        /* An acknowledgement, which has no command, also follows reads: only a switch waits for it. */
        const bool switching = bms_code_find(switches, COUNT(switches), asked);
        return switching && frame[COMMAND_AT] == ACKNOWLEDGE ? BMS_DONE : BMS_FOREIGN;
    }
    struct jk_record record = {
        .type = (enum jk_type) frame[HEADER_SIZE],
        .layout = (enum jk_layout) bms->options.variant,
        .bytes = frame,
        .size = size,
    };
    bool about = record.type == JK_ABOUT, status = record.type == JK_STATUS;
    if (request->size == 0)
        return decode_record(bms, &record, status, pack);
    if (asked == READ_ABOUT ? !about : asked != READ_STREAM || about)
        return BMS_FOREIGN;
    return decode_record(bms, &record, about || status, pack);
}

static void mask(uint8_t *frame, size_t size)
{
    if (size == JK_RECORD_SIZE)
        jk_record_mask(frame, 0);
}

static const struct bms_setting settings[] = {{SET_BALANCER, 0, 1, 1, 0}};

static bool build_setting(struct bms *bms, enum pack_value id, double value, unsigned part,
                          const struct bms_moment *now, struct bms_request *request)
{
    const uint8_t command = (uint8_t) bms_code_of(switches, COUNT(switches), id);
    request->size = put_request(request->bytes, command, 4, value > 0);
    return true;
}

/* ---- emulator ---- */

static void write_reply(struct bms *bms, const struct pack *pack, enum jk_type type,
                        struct bms_output *out)
{
    struct memory *memory = bms_memory(bms);
    jk_encode(out->bytes + out->size, false, type, (enum jk_layout) bms->options.variant,
              memory->counter++, 1, pack);
    out->size += JK_RECORD_SIZE;
}

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    struct bms_span span = find_short(bytes, size);
    if (span.kind != BMS_FRAME)
        return span.size;
    /* As recorded: acknowledgements directly before frames, and left-overs of the Bluetooth
     * module. A board streams only after a request for the about record. */
    static const uint8_t module_says[] = {'A', 'T', 0x0D, 0x0A};
    struct memory *memory = bms_memory(bms);
    const uint8_t command = bytes[COMMAND_AT];
    const struct bms_code *written = bms_code_find(switches, COUNT(switches), command);
    if (written && bytes[5] == 4 && le32(bytes + 6) <= 1)
        pack_set(pack, written->id, bytes[6]);
    if (command == READ_ABOUT) {
        memory->introduced = true;
        write_reply(bms, pack, JK_ABOUT, out);
    }
    if (written || command == READ_ABOUT || command == READ_STREAM)
        out->size += put_request(out->bytes + out->size, ACKNOWLEDGE, 1, 1);
    if (command == READ_STREAM) {
        write_reply(bms, pack, JK_SETTINGS, out);
        memcpy(out->bytes + out->size, module_says, sizeof module_says);
        out->size += sizeof module_says;
        if (memory->introduced)
            write_reply(bms, pack, JK_STATUS, out);
    }
    return span.size;
}

/* Some firmware only streams after a request for its about record, which the second poll sends. */
static const struct bms_guess guesses[] = {{.address = -1, .polls = 2}};

/* Section 2 waits 5 s for a status before both requests are repeated: two tries of 3 s, then the
 * wake-up. */
const struct bms_driver jk02_driver = {
    .name = "jk02",
    .on_air = true,
    .title = "JK, Bluetooth frames (55 AA EB 90) over a bridge or a module line",
    .guide = {.makes = "JK over Bluetooth",
              .port = "Bluetooth, TCP bridge, UART",
              .wires = "none, `port = ble:ADDRESS`; or a Bluetooth-to-TCP bridge (characteristic "
                       "FFE1), or the 3.3 V lines of the Bluetooth module",
              .setting = "close the app: Bluetooth takes one connection",
              .address = "`auto`, `32s`, `24s`"},
    .variants = variants,
    .line = {.baud = 115200, .reply_ms = 3000, .gap_ms = 200, .tries = 2, .one_pack = true},
    .check = BMS_CHECK_SUM,
    BMS_PLAN(plan),
    BMS_GUESSES(guesses),
    .build = build,
    .frame = find_frame,
    .decode = decode,
    .control = bms_control_by_set,
    BMS_SETTINGS(settings),
    .set = build_setting,
    .control_blindly = true,
    .mask = mask,
    .emulate = emulate,
};
