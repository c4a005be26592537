// SPDX-License-Identifier: MIT
/*
 * The driver for a BMS that is described by a map file. It cannot recognize a device: whatever
 * answers at the address is decoded by the map, if each value is plausible.
 */
#include "modbus.h"

#include <string.h>

#define SLOW_S 60

// clang-format off
#define FAST {.name = "registers", .vital = true}
#define SLOW {.name = "slow registers", .every_s = SLOW_S}
static const struct bms_step plan[2 * MODBUS_USER_READS] = {
    FAST, FAST, FAST, FAST, FAST, FAST, FAST, FAST,
    SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW,
};
// clang-format on

static bool build(struct bms *bms, unsigned step, struct bms_request *request)
{
    const struct modbus_user *user = bms->options.map;
    if (user->reads[step].count == 0)
        return false;
    const struct bms_read *read = &user->reads[step];
    const uint8_t address = (uint8_t) bms_address(bms);
    if (read->function == MODBUS_WRITE_MANY)
        modbus_write_words(address, read->start, user->written[step], read->count, request);
    else
        modbus_read(address, read->function, read->start, read->count, request);
    memmove(request->bytes + user->head_size, request->bytes, request->size);
    memcpy(request->bytes, user->head, user->head_size);
    request->size += user->head_size;
    return true;
}

/* Skips the bytes before the request; replies have them as well, as noise. */
static struct bms_request without_head(const struct bms *bms, const struct bms_request *request)
{
    const struct modbus_user *user = bms->options.map;
    struct bms_request inner = *request;
    if (inner.size < user->head_size || memcmp(inner.bytes, user->head, user->head_size) != 0)
        return inner;
    inner.size -= user->head_size;
    memmove(inner.bytes, inner.bytes + user->head_size, inner.size);
    return inner;
}

static struct bms_span find_frame(const struct bms *bms, const struct bms_request *request,
                                  const uint8_t *bytes, size_t size)
{
    const struct bms_request inner = without_head(bms, request);
    return modbus_frame(bms, &inner, bytes, size);
}

/* Rejects replies of a device that is not ready yet, or of another one. */
static enum bms_result check(struct bms *bms, const struct modbus_window *window)
{
    const struct modbus_user *user = bms->options.map;
    for (size_t i = 0; i < user->expected_count; i++)
        if (modbus_has(window, user->expected[i].reg, 1) &&
            modbus_word(window, user->expected[i].reg) != user->expected[i].value)
            return BMS_INVALID;
    return BMS_DONE;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const struct bms_request inner = without_head(bms, request);
    return modbus_decode(bms, &inner, frame, size, pack);
}

/* ---- the device's side: a board with the registers of the map ---- */

/* What the map expects. */
static int32_t board_word(struct bms *bms, const struct pack *told, unsigned function, unsigned reg)
{
    const struct modbus_user *user = bms->options.map;
    for (size_t i = 0; !modbus_reads_bits(function) && i < user->expected_count; i++)
        if (user->expected[i].reg == reg && modbus_is_read(bms, function, reg))
            return user->expected[i].value;
    return -1;
}

/* Accepts the writes of the map without storing them. */
static unsigned board_write(struct bms *bms, struct pack *told, unsigned reg, unsigned value)
{
    const struct modbus_user *user = bms->options.map;
    for (unsigned i = 0; i < MODBUS_USER_READS; i++) {
        const struct bms_read *write = &user->reads[i];
        if (write->function == MODBUS_WRITE_MANY && reg >= write->start &&
            reg - write->start < write->count && user->written[i][reg - write->start] == value)
            return 0;
    }
    return MODBUS_BAD_ADDRESS;
}

static const struct modbus_map map = {.check = check};

static const struct modbus_board board = {
    .word = board_word,
    .write = board_write,
    .functions = {MODBUS_COILS, MODBUS_DISCRETE, MODBUS_HOLDING, MODBUS_INPUT},
};

static size_t emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out)
{
    const struct modbus_user *user = bms->options.map;
    const size_t head = user->head_size;
    if (memcmp(bytes, user->head, size < head ? size : head) != 0)
        return 1;
    if (size <= head)
        return 0;
    const size_t used = modbus_emulate(bms, pack, bytes + head, size - head, out);
    if (head > 0 && out->size > 0) {
        memmove(out->bytes + head, out->bytes, out->size);
        memcpy(out->bytes, user->head, head);
        out->size += head;
    }
    return used > 0 ? head + used : 0;
}

const struct bms_driver modbus_user_driver = {
    .name = "modbus",
    .title = "a Modbus RTU BMS described by a map",
    .guide =
        {.makes =
             "any other BMS that speaks Modbus RTU, described by a file; maps of Vatrer, Ective "
             "(LiPower), Buknuwo, Anenji (Saihang), BYD LVS, Huawei ESM and Felicity "
             "LPBF48 are in conf/maps",
         .port = "RS485",
         .wires = "as its manual says",
         .address = "1 if not given"},
    .address = {.min = 0, .max = 247, .usual = 1},
    .line = {.baud = 9600, .reply_ms = 500, .gap_ms = 50},
    .check = BMS_CHECK_CRC16,
    BMS_PLAN(plan),
    .build = build,
    .frame = find_frame,
    .question = modbus_question,
    .decode = decode,
    .finish = modbus_finish,
    .emulate = emulate,
    .map = &map,
    .board = &board,
};
