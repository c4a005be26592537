// SPDX-License-Identifier: MIT
/*
 * What the two Modbus-like dialects of Daly differ in: addresses, register maps, fault words. The
 * frames, and all that is done with a map, are in daly_modbus.c; the maps are in daly_d2_map.c and
 * daly_p81_map.c.
 */
#ifndef PACKGATE_BMS_DALY_MODBUS_H
#define PACKGATE_BMS_DALY_MODBUS_H

#include "bms/modbus/modbus.h"

struct daly_map {
    uint8_t request_first, request_last; /* addresses of the boards in requests */
    uint8_t reply_shift;                 /* a board replies from its request address minus this */

    unsigned mos_step;             /* the step that tells many units nothing; 0: none */
    uint16_t secret, secret_count; /* registers that nobody may see */

    uint16_t temp_reg;               /* sensor 1; cell 1 is register 0 */
    uint16_t max_cells, max_temps;   /* what there is room for */
    uint16_t cell_count, temp_count; /* the registers that tell how many of them are fitted */
    uint16_t mos_temp;
    uint16_t current;                  /* 30000 is 0 A, in 0.1 A; the sign is that of the wire */
    const struct modbus_value *values; /* all but cells, sensors and current */
    size_t value_count;
    /* Faults and what else is special. */
    void (*decode_rest)(const struct modbus_window *window, struct pack *pack);

    uint16_t charge_switch, discharge_switch;              /* write 1 for on, 0 for off */
    uint16_t soc_setting, rated_setting, balancer_setting; /* written; 0: not documented */

    /* For simulated packs: reads that go beyond last_reg stay unanswered; heartbeat is a register
     * that counts the reads, 0 for none. */
    uint16_t last_reg, heartbeat;
    /* Registers that the table does not have. */
    uint16_t (*encode_rest)(const struct pack *pack, unsigned reg);
};

extern const struct daly_map daly_d2_map, daly_p81_map;

/** Up to four registers that the window has as one number, the first in the lowest bits. */
uint64_t daly_bits(const struct modbus_window *window, unsigned reg, unsigned count);

/** For simulated packs: a value as raw = value * divisor - offset, 0 … FFFE;
 *  `blank` when it is not known. */
uint16_t daly_raw(const struct pack *pack, enum pack_value id, int offset, unsigned divisor,
                  uint16_t blank);

/** For simulated packs: the raw temperature of the hottest or coldest sensor, or 255. */
uint16_t daly_raw_extreme_temp(const struct pack *pack, bool hottest);

#endif
