// SPDX-License-Identifier: MIT
/* A simulated JBD board: section 10 of the sheet `jbd`. */
#include "jbd.h"

#include "bms/bytes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EMULATED_CELLS 32

static size_t put_temps(const struct pack *pack, uint8_t *d, size_t at)
{
    size_t count = pack_scaled(pack, TEMP_COUNT, 1, 0, MAX_TEMPS);
    d[at++] = (uint8_t) count;
    for (size_t i = 0; i < count; i++, at += 2)
        put_be16(d + at, pack_scaled(pack, (enum pack_value)(TEMP_C + i), 10, JBD_ZERO_CELSIUS,
                                     UINT16_MAX));
    return at;
}

/* The tail of a plain board is that of newer firmware, which reports its full capacity. Values
 * beyond 655.35 Ah or 327.67 A need the coarse steps. */
static size_t put_basic(const struct bms *bms, const struct pack *pack, uint8_t *d)
{
    const struct jbd_memory *memory = (const void *) bms->memory.bytes;
    const bool addressed = jbd_is_addressed(bms);
    const double most_ah =
        fmax(fmax(pack->value[REMAINING_AH], pack->value[FULL_AH]), pack->value[RATED_AH]);
    const bool coarse =
        fabs(pack->value[CURRENT_A]) > INT16_MAX / 100.0 || most_ah > UINT16_MAX / 100.0;
    const double factor = coarse ? 10 : 100;
    const double current = pack_known(pack, CURRENT_A) ? round(pack->value[CURRENT_A] * factor) : 0;
    const uint32_t mask = pack_scaled(pack, BALANCE_MASK, 1, 0, UINT32_MAX);
    put_be16(d, pack_scaled(pack, VOLTAGE_V, 100, 0, UINT16_MAX));
    put_be16(d + 2, (uint16_t) (int16_t) fmax(INT16_MIN, fmin(INT16_MAX, current)));
    put_be16(d + 4, pack_scaled(pack, REMAINING_AH, factor, 0, UINT16_MAX));
    put_be16(d + 6, pack_scaled(pack, addressed ? FULL_AH : RATED_AH, factor, 0, UINT16_MAX));
    put_be16(d + 8, pack_scaled(pack, CYCLES, 1, 0, UINT16_MAX));
    put_be16(d + 10, 22 << 9 | 3 << 5 | 28); /* made on 2022-03-28 */
    put_be16(d + 12, mask & 0xFFFF);
    put_be16(d + 14, mask >> 16);
    const uint32_t alarms = (uint32_t) pack_alarm_word(pack, jbd_alarms(bms), JBD_ALARMS, false);
    put_be16(d + 16, alarms | (memory->held ? 1u << JBD_HELD_BIT : 0));
    char *minor;
    unsigned long major = strtoul(pack->text[FIRMWARE], &minor, 10);
    d[18] = (uint8_t) (major << 4 | (*minor ? strtoul(minor + 1, NULL, 10) & 15 : 0));
    d[19] = (uint8_t) pack_scaled(pack, SOC_PERCENT, 1, 0, 100);
    d[20] = (uint8_t) (pack_scaled(pack, CHARGE_MOS, 1, 0, 1) |
                       pack_scaled(pack, DISCHARGE_MOS, 1, 0, 1) << 1 | (coarse ? 0x80 : 0));
    d[21] = (uint8_t) pack_scaled(pack, CELL_COUNT, 1, 0, EMULATED_CELLS);
    if (addressed) {
        put_be16(d + 22, alarms >> 16);
        put_be16(d + 24, 250 + JBD_ZERO_CELSIUS);
        put_be16(d + 26, pack_scaled(pack, MOS_TEMP_C, 10, JBD_ZERO_CELSIUS, UINT16_MAX));
        return put_temps(pack, d, 28);
    }
    size_t at = put_temps(pack, d, 22);
    if (!pack_known(pack, FULL_AH))
        return at;
    put_be16(d + at + 1, alarms >> 16);
    put_be16(d + at + 3, pack_scaled(pack, FULL_AH, factor, 0, UINT16_MAX));
    put_be16(d + at + 5, be16(d + 4));
    return at + JBD_TAIL_SIZE;
}

/* A MOS that is held off stays off, whatever has changed its state in the meantime. */
static void keep_held(const struct jbd_memory *memory, struct pack *pack)
{
    if (memory->held & HELD_CHARGE)
        pack_set(pack, CHARGE_MOS, 0);
    if (memory->held & HELD_DISCHARGE)
        pack_set(pack, DISCHARGE_MOS, 0);
}

static enum jbd_status emulate_switch(struct bms *bms, struct pack *pack, const uint8_t *data,
                                      size_t size)
{
    struct jbd_memory *memory = bms_memory(bms);
    if (size != 2 || data[0] != 0 || data[1] > (HELD_CHARGE | HELD_DISCHARGE))
        return STATUS_REFUSED;
    /* A MOS that a protection has opened does not close because the command does not concern it. */
    uint8_t open = pack->alarms_protection ? memory->held : HELD_CHARGE | HELD_DISCHARGE;
    uint8_t released = open & ~data[1];
    memory->held = data[1];
    if (released & HELD_CHARGE)
        pack_set(pack, CHARGE_MOS, 1);
    if (released & HELD_DISCHARGE)
        pack_set(pack, DISCHARGE_MOS, 1);
    keep_held(memory, pack);
    return STATUS_DONE;
}

static double cycle_capacity_ah(const struct pack *pack)
{
    return pack->value[pack_known(pack, FULL_AH) ? FULL_AH : RATED_AH];
}

/* Returns the number of bytes; -1: there is no such register. 10 and 11 are read in factory mode. */
static int put_register(struct bms *bms, const struct pack *pack, uint8_t reg, uint8_t *d)
{
    const struct jbd_memory *memory = bms_memory(bms);
    const unsigned cells = pack_scaled(pack, CELL_COUNT, 1, 0, EMULATED_CELLS);
    const double ah = reg == REG_CAPACITY ? pack->value[RATED_AH] : cycle_capacity_ah(pack);
    switch (reg) {
    case REG_BASIC:
        return (int) put_basic(bms, pack, d);
    case REG_CELLS:
        for (unsigned i = 0; i < cells; i++)
            put_be16(d + 2 * i, pack_scaled(pack, CELL_MV + i, 1, 0, UINT16_MAX));
        return (int) (2 * cells);
    case REG_NAME:
        memcpy(d, pack->text[MODEL], TEXT_SIZE);
        return (int) strlen(pack->text[MODEL]);
    case REG_COUNTERS: /* no events */
        return 24;
    case REG_CAPACITY:
    case REG_CYCLE_CAPACITY:
        put_be16(d, (uint32_t) lround(fmin(fmax(ah * 100, 0), UINT16_MAX)));
        return memory->factory ? 2 : -1;
    }
    return -1;
}

/* The writes around and in factory mode. */
static enum jbd_status emulate_factory(struct jbd_memory *memory, struct pack *pack, uint8_t reg,
                                       const uint8_t *data, size_t size)
{
    if (size != 2)
        return STATUS_REFUSED;
    if (reg == REG_ENTER || reg == REG_LEAVE) {
        memory->factory = reg == REG_ENTER && be16(data) == JBD_ENTER_KEY;
        return reg == REG_LEAVE || memory->factory ? STATUS_DONE : STATUS_REFUSED;
    }
    if (!memory->factory)
        return STATUS_REFUSED;
    if (reg == REG_CAPACITY) {
        pack_set(pack, RATED_AH, be16(data) / 100.0);
    } else {
        pack_set(pack, REMAINING_AH, be16(data) / 100.0);
        pack_set(pack, SOC_PERCENT, fmin(be16(data) / cycle_capacity_ah(pack), 100));
    }
    return STATUS_DONE;
}

/* A wrong sum, another address and anything but a request are not answered. */
size_t jbd_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                   struct bms_output *out)
{
    struct bms_span span = jbd_find_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME)
        return span.size;
    const uint8_t *data = bytes + jbd_head_size(bms);
    uint8_t direction = data[-3], reg = data[-2], d[255] = {0};
    bool called = !jbd_is_addressed(bms) || bytes[1] == bms_address(bms);
    if (!called || (direction != JBD_READ && direction != JBD_WRITE))
        return span.size;
    keep_held(bms_memory(bms), pack);
    const int count = direction == JBD_READ ? put_register(bms, pack, reg, d) : -1;
    enum jbd_status status = count >= 0 ? STATUS_DONE : STATUS_UNKNOWN;
    const bool writes = direction == JBD_WRITE && !jbd_is_addressed(bms);
    const bool parameter = (reg >= 0x10 && reg <= 0xA2) || reg == REG_REMAINING || reg == 0xFA;
    if (writes && reg == REG_SWITCH)
        status = emulate_switch(bms, pack, data, data[-1]);
    else if (writes &&
             (reg == REG_ENTER || reg == REG_LEAVE || reg == REG_CAPACITY || reg == REG_REMAINING))
        status = emulate_factory(bms_memory(bms), pack, reg, data, data[-1]);
    else if (reg == REG_LEAVE || reg == 0x06) /* and the default password: always confirmed */
        status = STATUS_DONE;
    else if (status != STATUS_DONE && parameter)
        status = STATUS_REFUSED;
    out->size =
        jbd_put_frame(bms, out->bytes, reg, (uint8_t) status, d, count > 0 ? (size_t) count : 0);
    return span.size;
}
