// SPDX-License-Identifier: MIT
/*
 * The differences between the two Modbus-like dialects of Daly: addresses, register maps, fault
 * words. daly_modbus.c handles the frames and evaluates the maps, which are in daly_maps.c.
 */
#pragma once

#include "bms/modbus/modbus.h"

struct daly_map {
    uint8_t request_first, request_last; /* addresses of the boards in requests */
    uint8_t reply_shift;                 /* a board replies with its request address minus this */

    unsigned mos_step; /* the step whose values many units do not have; 0: none */

    uint16_t max_cells;  /* cell 1 is register 0 */
    uint16_t cell_count; /* register with the number of fitted ones */
    uint16_t mos_temp;
    uint16_t current;                  /* 30000 is 0 A, in 0.1 A; the sign is that of the wire */
    const struct modbus_value *values; /* all values except cells and current */
    size_t value_count;
    /* Faults and other special registers. */
    void (*decode_rest)(const struct modbus_window *window, struct pack *pack);

    uint16_t charge_switch, discharge_switch;              /* write 1 for on, 0 for off */
    uint16_t soc_setting, rated_setting, balancer_setting; /* writable; 0: not documented */

    /* For simulated packs: reads beyond last_reg are not answered; heartbeat is a register that
     * counts the reads, 0: none. */
    uint16_t last_reg, heartbeat;
    /* Registers that are not decoded: of the cells, of all sensors (0: none). */
    uint16_t cell_average, cell_delta, power;
    uint16_t hottest, coldest, temp_delta;
    /* Computes registers that neither the table nor the members have. */
    uint16_t (*encode_rest)(const struct pack *pack, unsigned reg);
};

extern const struct daly_map daly_d2_map, daly_p81_map;

/** Up to four registers of the window as one number, the first in the lowest bits. */
uint64_t daly_bits(const struct modbus_window *window, unsigned reg, unsigned count);
