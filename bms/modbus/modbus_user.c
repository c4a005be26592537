// SPDX-License-Identifier: MIT
/*
 * The driver for a BMS that is described by a map. It recognises nothing: what answers at the
 * address is taken for what the map says, as far as each value is plausible.
 */
#include "modbus_user.h"

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
    if (!user || user->reads[step].count == 0)
        return false;
    const struct bms_read *read = &user->reads[step];
    modbus_read((uint8_t) bms_address(bms), read->function, read->start, read->count, request);
    return true;
}

static enum bms_result decode(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack)
{
    const struct modbus_user *user = bms->options.map;
    if (!user)
        return BMS_FOREIGN;
    const struct modbus_map map = {
        .values = user->values,
        .value_count = user->value_count,
        .alarms = user->alarms,
        .alarm_count = user->alarm_count,
        .raw_first = user->raw_first,
        .raw_count = user->raw_count,
    };
    return modbus_decode(bms, &map, request, frame, size, pack);
}

const struct bms_driver modbus_user_driver = {
    .name = "modbus",
    .title = "a Modbus RTU BMS described by a map",
    .guide = {.makes = "any other BMS that speaks Modbus RTU, described by a file",
              .port = "RS485",
              .wires = "as its manual says",
              .setting = "",
              .address = "1 if not given"},
    .address_min = 0,
    .address_max = 247,
    .address_default = 1,
    .line = {.baud = 9600, .framing = "8N1", .reply_ms = 500, .gap_ms = 50, .tries = 3},
    .check = BMS_CHECK_CRC16,
    .plan = plan,
    .steps = 2 * MODBUS_USER_READS,
    .build = build,
    .frame = modbus_frame,
    .question = modbus_question,
    .decode = decode,
    .finish = modbus_finish,
};
