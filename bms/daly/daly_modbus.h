// SPDX-License-Identifier: MIT
/*
 * The differences between the two Modbus-like dialects of Daly: addresses, register maps, fault
 * words. daly_modbus.c handles the frames, the maps are in daly_maps.c.
 */
#pragma once

#include "bms/modbus/modbus.h"

/* A register that can be written: raw = value * factor. */
struct daly_register {
    uint16_t reg;
    uint8_t id;           /* enum pack_value */
    uint8_t factor;       /* 0: the end of the list */
    uint16_t least, most; /* raw; a unit does not answer others */
};

struct daly_map {
    struct modbus_map registers;
    uint8_t request_first, request_last; /* addresses of the boards in requests */
    uint8_t reply_shift;                 /* a board replies with its request address minus this */
    uint16_t cell_count;                 /* register with the number of cells */
    uint16_t flow;                       /* register with the direction of the current */
    uint16_t mos_step;                   /* the step whose values many units do not have; 0: none */
    uint16_t mos_temp;                   /* a register of it */
    const struct daly_register *writable;
    /* Faults and other special registers. */
    void (*decode_rest)(const struct modbus_window *window, struct pack *pack);

    /* For simulated packs: reads beyond last_reg are not answered; heartbeat is a register that
     * counts the reads, 0: none. */
    uint16_t last_reg, heartbeat;
    /* The content of a register that is not decoded by a table; -1: any other one. */
    int32_t (*encode_rest)(const struct pack *told, unsigned reg);
};

extern const struct daly_map daly_d2_map, daly_p81_map;

/** The rest of both maps. */
void daly_rest(struct bms *bms, const struct modbus_window *window, struct pack *pack);
