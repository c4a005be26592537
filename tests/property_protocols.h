// SPDX-License-Identifier: MIT
/* The values that each protocol carries and their resolution, from its sheet, for the property tests. A row is a
 * driver and a variant, or a part of it that differs, for example by address or number of cells. */
#pragma once

#include "bms/driver.h"

/* A value and its resolution on the wire. CELL_MV and TEMP_C stand for all cells and sensors. */
struct carried {
    uint8_t id;
    double step;
};

struct protocol {
    const char *driver;
    const char *variant; /* NULL: the driver has none */
    bool undetected;     /* `auto` does not try this variant */
    int address;         /* the address to which this row applies; 0: all */
    unsigned cells_min, cells_max;
    unsigned temps_min, temps_max;
    unsigned mask_bits;             /* of the balance mask */
    unsigned mos_sensor;            /* the number of the sensor at the MOS */
    bool mos_sensor_last;           /* the sensor at the MOS is the last one */
    double hottest_mos_c;           /* 0: no limit */
    bool counts_temps_read;         /* the number of sensors is not on the wire, but counted */
    bool temp_per_cell;             /* one sensor per cell, and no others */
    bool no_checksum;               /* a flipped bit can produce another valid value */
    bool no_zero_celsius;           /* 0 °C means that the sensor is missing */
    bool capacity_given;            /* configured by the user, as the rated capacity */
    const struct carried *values;   /* ends with step 0 */
    const char *texts[PACK_TEXTS];  /* sent and read back; NULL: not carried */
    uint32_t warnings, protections; /* the alarms carried at each level, a bit for each */
    uint32_t always_off;            /* alarms without a bit that count as known and inactive */
    uint32_t
        unsaid_warnings; /* warnings that the driver decodes and the emulated board never sends */
    const uint8_t (*twins)[2]; /* pairs of alarms that share a bit; ends with two equal ones */
    bool alarms_are_reasons;   /* one alarm for each MOS, and only while it is off */
    bool twins_by_mos;         /* the MOS that is off decides which of the two alarms it is */
};

// clang-format off
/* The sheet `daly`, section 6. */
static const struct carried daly_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.1}, {SOC_PERCENT, 0.1}, {REMAINING_AH, 0.001}, {RATED_AH, 0.001}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
    {BALANCE_MASK, 1},
    {SET_CELL_HIGH_MV, 1}, {SET_CELL_LOW_MV, 1}, {SET_CELL_DIFFERENCE_MV, 1}, {SET_BALANCE_START_MV, 1},
    {SET_BALANCE_DIFFERENCE_MV, 1}, {SET_PACK_HIGH_V, 0.1}, {SET_PACK_LOW_V, 0.1}, {SET_CHARGE_CURRENT_A, 0.1},
    {SET_DISCHARGE_CURRENT_A, 0.1},
    {0, 0},
};
/* The sheet `daly-d2`, sections 4 and 5. */
static const struct carried daly_d2_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.1}, {SOC_PERCENT, 0.1}, {REMAINING_AH, 0.1}, {RATED_AH, 0.1}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {MOS_TEMP_C, 1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {BALANCING, 1},
    {SET_CELL_HIGH_MV, 1}, {SET_CELL_LOW_MV, 1}, {SET_CELL_DIFFERENCE_MV, 1}, {SET_BALANCE_START_MV, 1},
    {SET_BALANCE_DIFFERENCE_MV, 1}, {SET_BALANCER, 1}, {SET_PACK_HIGH_V, 0.1}, {SET_PACK_LOW_V, 0.1},
    {SET_CHARGE_CURRENT_A, 0.1},
    {SET_DISCHARGE_CURRENT_A, 0.1},
    {SET_CHARGE_HOT_C, 1}, {SET_CHARGE_COLD_C, 1}, {SET_DISCHARGE_HOT_C, 1}, {SET_DISCHARGE_COLD_C, 1},
    
    {0, 0},
};
/* The same sheet, section 8: the capacity in mAh. */
static const struct carried daly_p81_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.1}, {SOC_PERCENT, 0.1}, {REMAINING_AH, 0.1}, {RATED_AH, 0.001}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {MOS_TEMP_C, 1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {BALANCING, 1}, {0, 0},
};
/* The sheet `daly-sinowealth`, section 5, and section 9 for 16 cells. */
static const struct carried sinowealth_values[] = {
    {VOLTAGE_V, 0.001}, {CURRENT_A, 0.001}, {SOC_PERCENT, 1}, {REMAINING_AH, 0.001}, {FULL_AH, 0.001}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {0, 0},
};
static const struct carried sinowealth_16s_values[] = {
    {VOLTAGE_V, 0.001}, {CELL_COUNT, 1}, {CELL_MV, 1}, {0, 0},
};
/* The sheet `jbd`, sections 4 and 5, 9.1, 9.2. */
static const struct carried jbd_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01}, {RATED_AH, 0.01},
    {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
    {BALANCE_MASK, 1}, {0, 0},
};
static const struct carried jbd_addressed_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* The master's current limits are those of the bank. */
static const struct carried jbd_up_master_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 0.01}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {CHARGE_VOLTAGE_LIMIT_V, 0.1},
    {DISCHARGE_VOLTAGE_LIMIT_V, 0.1}, {0, 0},
};
static const struct carried jbd_up_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {CHARGE_VOLTAGE_LIMIT_V, 0.1},
    {DISCHARGE_VOLTAGE_LIMIT_V, 0.1}, {CHARGE_CURRENT_LIMIT_A, 0.1}, {DISCHARGE_CURRENT_LIMIT_A, 0.1}, {0, 0},
};
/* The sheet `jk-4e57`, section 4. */
static const struct carried jk_4e57_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {FULL_AH, 1}, {RATED_AH, 1}, {CYCLES, 1}, {CELL_COUNT, 1},
    {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {MOS_TEMP_C, 1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCING, 1},
    {SET_CELL_HIGH_MV, 1}, {SET_CELL_HIGH_RELEASE_MV, 1}, {SET_CELL_LOW_MV, 1}, {SET_CELL_LOW_RELEASE_MV, 1},
    {SET_CELL_DIFFERENCE_MV, 1}, {SET_BALANCE_START_MV, 1}, {SET_BALANCE_DIFFERENCE_MV, 1}, {SET_BALANCER, 1},
    {SET_CHARGE_CURRENT_A, 1}, {SET_DISCHARGE_CURRENT_A, 1}, {SET_CHARGE_HOT_C, 1}, {SET_CHARGE_COLD_C, 1},
    {SET_CHARGE_COLD_RELEASE_C, 1}, {SET_DISCHARGE_HOT_C, 1}, {SET_DISCHARGE_COLD_C, 1},
    {SET_DISCHARGE_COLD_RELEASE_C, 1}, {SET_MOS_HOT_C, 1}, {SET_MOS_HOT_RELEASE_C, 1}, {SET_PACK_HIGH_V, 0.01},
    {SET_PACK_LOW_V, 0.01},
    {0, 0},
};
/* The sheet `jk02`, sections 5 and 7; `jk-pb`, sections 4 and 7. */
static const struct carried jk_record_values[] = {
    {VOLTAGE_V, 0.001}, {CURRENT_A, 0.001}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.001},
    {FULL_AH, 0.001}, {RATED_AH, 0.001}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1},
    {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCING, 1},
    {SET_CELL_HIGH_MV, 1}, {SET_CELL_HIGH_RELEASE_MV, 1}, {SET_CELL_LOW_MV, 1}, {SET_CELL_LOW_RELEASE_MV, 1},
    {SET_BALANCE_START_MV, 1}, {SET_BALANCE_DIFFERENCE_MV, 1}, {SET_BALANCER, 1}, {SET_CHARGE_CURRENT_A, 0.001},
    {SET_DISCHARGE_CURRENT_A, 0.001}, {SET_CHARGE_HOT_C, 0.1}, {SET_CHARGE_HOT_RELEASE_C, 0.1},
    {SET_CHARGE_COLD_C, 0.1}, {SET_CHARGE_COLD_RELEASE_C, 0.1}, {SET_DISCHARGE_HOT_C, 0.1},
    {SET_DISCHARGE_HOT_RELEASE_C, 0.1}, {SET_MOS_HOT_C, 0.1}, {SET_MOS_HOT_RELEASE_C, 0.1},
    {0, 0},
};
/* The sheet `topbms`, sections 4, 8 and 8.1. If the wire has no SOC, it is computed from the remaining and the full
 * capacity, which are rounded to 0.01 Ah: 0.1 % of the smallest capacity here. A voltage in mV is at most 65 V. */
static const struct carried topbms_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
    {BALANCE_MASK, 1}, {0, 0},
};
static const struct carried topband_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {0, 0},
};
static const struct carried pace_values[] = {
    {VOLTAGE_V, 0.001}, {CURRENT_A, 0.01}, {SOC_PERCENT, 0.2}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01}, {RATED_AH, 0.01},
    {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
static const struct carried seplos_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 0.1}, {SOH_PERCENT, 0.1}, {REMAINING_AH, 0.01},
    {FULL_AH, 0.01}, {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1},
    {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* Section 8.7. */
static const struct carried creabest_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.1}, {SOC_PERCENT, 1}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1},
    {TEMP_C, 0.1}, {0, 0},
};
static const struct carried pylontech_values[] = {
    {VOLTAGE_V, 0.001}, {CURRENT_A, 0.1}, {SOC_PERCENT, 0.2}, {REMAINING_AH, 0.001}, {FULL_AH, 0.001}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
    {CHARGE_VOLTAGE_LIMIT_V, 0.001}, {CHARGE_CURRENT_LIMIT_A, 0.1}, {DISCHARGE_VOLTAGE_LIMIT_V, 0.001},
    {DISCHARGE_CURRENT_LIMIT_A, 0.1}, {0, 0},
};
static const struct carried eg4_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* The sheet `seplos-v3`, sections 4 to 7. */
static const struct carried seplos_v3_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 0.1}, {SOH_PERCENT, 0.1}, {REMAINING_AH, 0.01},
    {FULL_AH, 0.01}, {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1},
    {MOS_TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {CHARGE_CURRENT_LIMIT_A, 1},
    {DISCHARGE_CURRENT_LIMIT_A, 1}, {SET_CELL_HIGH_MV, 1}, {SET_CELL_HIGH_RELEASE_MV, 1}, {SET_CELL_LOW_MV, 1},
    {SET_CELL_LOW_RELEASE_MV, 1}, {SET_PACK_HIGH_V, 0.01}, {SET_PACK_LOW_V, 0.01}, {SET_CHARGE_CURRENT_A, 1},
    {SET_DISCHARGE_CURRENT_A, 1}, {SET_CHARGE_HOT_C, 0.1}, {SET_CHARGE_HOT_RELEASE_C, 0.1}, {SET_CHARGE_COLD_C, 0.1},
    {SET_CHARGE_COLD_RELEASE_C, 0.1}, {SET_DISCHARGE_HOT_C, 0.1}, {SET_DISCHARGE_HOT_RELEASE_C, 0.1},
    {SET_DISCHARGE_COLD_C, 0.1}, {SET_DISCHARGE_COLD_RELEASE_C, 0.1}, {SET_MOS_HOT_C, 0.1}, {SET_MOS_HOT_RELEASE_C, 0.1},
    {SET_CELL_DIFFERENCE_MV, 1}, {SET_BALANCE_START_MV, 1}, {SET_BALANCE_DIFFERENCE_MV, 1}, {0, 0},
};
/* The sheet `pace-modbus`, section 3. */
static const struct carried pace_modbus_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {SET_CELL_HIGH_MV, 1}, {SET_CELL_HIGH_RELEASE_MV, 1},
    {SET_CELL_LOW_MV, 1}, {SET_CELL_LOW_RELEASE_MV, 1}, {SET_CHARGE_CURRENT_A, 1}, {SET_DISCHARGE_CURRENT_A, 1},
    {SET_CHARGE_HOT_C, 0.1}, {SET_CHARGE_HOT_RELEASE_C, 0.1}, {SET_CHARGE_COLD_C, 0.1}, {SET_CHARGE_COLD_RELEASE_C, 0.1},
    {SET_DISCHARGE_HOT_C, 0.1}, {SET_DISCHARGE_HOT_RELEASE_C, 0.1}, {SET_DISCHARGE_COLD_C, 0.1},
    {SET_DISCHARGE_COLD_RELEASE_C, 0.1}, {SET_MOS_HOT_C, 0.1}, {SET_MOS_HOT_RELEASE_C, 0.1}, {SET_BALANCE_START_MV, 1},
    {SET_BALANCE_DIFFERENCE_MV, 1}, {0, 0},
};
static const struct carried pace_modbus_long_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* The sheet `eg4-ll`, section 3. */
static const struct carried eg4_ll_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 1}, {FULL_AH, 1e-6},
    {RATED_AH, 0.1}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_C, 1}, {MOS_TEMP_C, 1}, {BALANCE_MASK, 1},
    {CHARGE_CURRENT_LIMIT_A, 1}, {0, 0},
};
/* The sheet `daren`, sections 4 and 6. */
static const struct carried daren_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.01}, {SOC_PERCENT, 0.01}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.01}, {FULL_AH, 0.01},
    {RATED_AH, 0.01}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {MOS_TEMP_C, 0.1},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {SET_CELL_HIGH_MV, 1}, {SET_CELL_LOW_MV, 1},
    {SET_CHARGE_CURRENT_A, 0.01}, {0, 0},
};
/* The sheet `jk-balancer`, section 4. */
static const struct carried jk_balancer_values[] = {
    {VOLTAGE_V, 0.01}, {CELL_COUNT, 1}, {CELL_MV, 1}, {BALANCING, 1}, {SET_BALANCE_DIFFERENCE_MV, 1}, {SET_BALANCER, 1},
    {0, 0},
};
/* The sheet `felicity`, section 3. */
static const struct carried felicity_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.1}, {SOC_PERCENT, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1},
    {MOS_TEMP_C, 1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {CHARGE_VOLTAGE_LIMIT_V, 0.01},
    {DISCHARGE_VOLTAGE_LIMIT_V, 0.01}, {CHARGE_CURRENT_LIMIT_A, 0.1}, {DISCHARGE_CURRENT_LIMIT_A, 0.1}, {0, 0},
};
/* The sheet `renogy`, section 3. Cells are truncated to 100 mV, the coarsest step of all. */
static const struct carried renogy_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.01}, {SOC_PERCENT, 0.01}, {REMAINING_AH, 0.001}, {FULL_AH, 0.001}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 200}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
    {CHARGE_VOLTAGE_LIMIT_V, 0.1}, {DISCHARGE_VOLTAGE_LIMIT_V, 0.1}, {CHARGE_CURRENT_LIMIT_A, 0.01},
    {DISCHARGE_CURRENT_LIMIT_A, 0.01}, {0, 0},
};
static const struct carried renogy_pro_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.1}, {SOC_PERCENT, 0.01}, {REMAINING_AH, 0.001}, {FULL_AH, 0.001}, {CYCLES, 1},
    {CELL_COUNT, 1}, {CELL_MV, 200}, {TEMP_COUNT, 1}, {TEMP_C, 0.1}, {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1},
    {CHARGE_VOLTAGE_LIMIT_V, 0.1}, {DISCHARGE_VOLTAGE_LIMIT_V, 0.1}, {0, 0},
};
/* The sheet `ant`, section 3. */
static const struct carried ant_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.1}, {POWER_W, 1}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 1e-6},
    {FULL_AH, 1e-6}, {CELL_COUNT, 1}, {CELL_MV, 1}, {CELL_AVG_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {MOS_TEMP_C, 1},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* The sheet `ant-old`, section 3. */
static const struct carried ant_old_values[] = {
    {VOLTAGE_V, 0.1}, {CURRENT_A, 0.1}, {POWER_W, 1}, {SOC_PERCENT, 1}, {REMAINING_AH, 1e-6}, {FULL_AH, 1e-6},
    {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {MOS_TEMP_C, 1}, {CHARGE_MOS, 1},
    {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* The sheet `pylon-console`, sections 4 to 6. */
static const struct carried pylon_console_values[] = {
    {VOLTAGE_V, 0.001}, {CURRENT_A, 0.001}, {SOC_PERCENT, 1}, {SOH_PERCENT, 1}, {REMAINING_AH, 0.001},
    {FULL_AH, 0.001}, {RATED_AH, 0.001}, {CYCLES, 1}, {CELL_COUNT, 1}, {CELL_MV, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.001},
    {CHARGE_MOS, 1}, {DISCHARGE_MOS, 1}, {BALANCE_MASK, 1}, {0, 0},
};
/* The sheet `vedirect`, section 2.4. */
static const struct carried vedirect_values[] = {
    {VOLTAGE_V, 0.001}, {CURRENT_A, 0.001}, {POWER_W, 1}, {SOC_PERCENT, 0.1}, {REMAINING_AH, 0.001}, {RATED_AH, 1},
    {CYCLES, 1}, {TEMP_COUNT, 1}, {TEMP_C, 1}, {0, 0},
};

/* Section 3.2: the consumed charge has steps of 0.1 Ah. */
static const struct carried vedirect_hex_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.001}, {POWER_W, 1}, {SOC_PERCENT, 0.01}, {REMAINING_AH, 0.1}, {RATED_AH, 1},
    {CYCLES, 1}, {TEMP_COUNT, 1}, {TEMP_C, 0.01}, {0, 0},
};

/* The sheet `ble`, section 6. */
static const struct carried victron_ble_values[] = {
    {VOLTAGE_V, 0.01}, {CURRENT_A, 0.001}, {SOC_PERCENT, 0.1}, {REMAINING_AH, 0.1}, {TEMP_COUNT, 1}, {TEMP_C, 0.01}, {RATED_AH, 1},
    {0, 0},
};

/* Over- and undertemperature are reported without a direction. */
static const uint8_t temperature_twins[][2] = {
    {CHARGE_OVER_TEMPERATURE, DISCHARGE_OVER_TEMPERATURE},
    {CHARGE_UNDER_TEMPERATURE, DISCHARGE_UNDER_TEMPERATURE},
    {0, 0},
};

/* All alarms at each level, by their bits in enum pack_alarm. The sheets say them, and the table of each driver and its
 * own test by name; these numbers show that none was lost on the way. */
#define ALARMS(can_warn, can_protect) .warnings = can_warn, .protections = can_protect
#define DALY_ALARMS ALARMS(0x00F7BF, 0x3FFFFF)
/* `jk-pb`, section 5; the 24-cell layout has the first 16 bits. */
#define JK_32S_ALARMS ALARMS(0x080001, 0x3F0FFE)
/* These are 0 in the recording of a pack with 24 cells. */
#define JK_24S_ALWAYS_OFF (1u << CHARGE_MOS_FAULT | 1u << DISCHARGE_MOS_FAULT | 1u << TEMP_SENSOR_FAULT | \
    1u << DISCHARGE_UNDER_TEMPERATURE)
/* Bit 21, overtemperature without a direction. */
#define JK_32S_UNSAID (1u << CHARGE_OVER_TEMPERATURE | 1u << DISCHARGE_OVER_TEMPERATURE)

#define TEXTS(serial, model, firmware) .texts = {[SERIAL] = serial, [MODEL] = model, [FIRMWARE] = firmware}
#define CELLS(min, max) .cells_min = min, .cells_max = max
#define TEMPS(min, max) .temps_min = min, .temps_max = max

static const struct protocol protocols[] = {
    {.driver = "daly", .variant = "auto", CELLS(1, 48), TEMPS(0, 16), .mask_bits = 48, .values = daly_values,
     TEXTS(NULL, "DL-BMS-R32-01E", "20210222-1.01T"), DALY_ALARMS},
    {.driver = "daly", .variant = "rs485", CELLS(1, 48), TEMPS(0, 16), .mask_bits = 48, .values = daly_values,
     TEXTS(NULL, "DL-BMS-R32-01E", "20210222-1.01T"), DALY_ALARMS},
    {.driver = "daly", .variant = "bluetooth", .address = 1, CELLS(1, 48), TEMPS(0, 16), .mask_bits = 48,
     .values = daly_values, TEXTS(NULL, "DL-BMS-R32-01E", "20210222-1.01T"), DALY_ALARMS},
    {.driver = "daly-d2", CELLS(1, 32), TEMPS(0, 8), .mask_bits = 32, .values = daly_d2_values,
     TEXTS("221JA152300033", "H2.0_103R_309F9F", "11_240518_K00T"), DALY_ALARMS},
    {.driver = "daly-p81", CELLS(1, 48), TEMPS(0, 8), .mask_bits = 48, .values = daly_p81_values,
     TEXTS("221LD091400444", "H2.1_103E_30XF", "12_260120_K00T"), ALARMS(0x007FBF, 0x3F7FFF)},
    {.driver = "daly-sinowealth", CELLS(3, 10), TEMPS(1, 2), .values = sinowealth_values,
     ALARMS(0x000000, 0x0807F3)},
    {.driver = "daly-sinowealth", CELLS(11, 16), TEMPS(0, 2), .values = sinowealth_16s_values},
    {.driver = "jbd", CELLS(1, 32), TEMPS(0, 16), .mask_bits = 32, .values = jbd_values,
     TEXTS(NULL, "JBD-SP04S034-L4S-200A-B-U", "4.4"), ALARMS(0x0057BF, 0x2307FF)},
    {.driver = "jbd-addressed", CELLS(1, 32), TEMPS(0, 16), .mask_bits = 32, .values = jbd_addressed_values,
     TEXTS(NULL, NULL, "2.1"), ALARMS(0x005FBF, 0x200FFF)},
    {.driver = "jbd-up", .address = 1, CELLS(1, 48), TEMPS(0, 16), .mask_bits = 16, .values = jbd_up_master_values,
     TEXTS("UP16S019000123525032200332", "JBD48100000", "12.4"), ALARMS(0x007FBF, 0x2F7FFF)},
    {.driver = "jbd-up", .address = 2, CELLS(1, 48), TEMPS(0, 16), .mask_bits = 16, .values = jbd_up_values,
     TEXTS(NULL, "JBD48100000", NULL), ALARMS(0x007FBF, 0x2F7FFF)},
    {.driver = "jk-4e57", CELLS(1, 32), TEMPS(0, 2), .hottest_mos_c = 99, .values = jk_4e57_values,
     TEXTS(NULL, "JK_B1A20S15P", "11.XW_S11.262H"), ALARMS(0x004000, 0x201FBF),
     .twins = temperature_twins, .twins_by_mos = true},
    {.driver = "jk02", .variant = "32s", .counts_temps_read = true, CELLS(1, 32), TEMPS(0, 4), .values = jk_record_values,
     TEXTS("3083135411223344", "JK_B2A8S20P", "19.04"), JK_32S_ALARMS,
     .unsaid_warnings = JK_32S_UNSAID},
    {.driver = "jk02", .variant = "auto", .counts_temps_read = true, CELLS(1, 32), TEMPS(0, 4), .values = jk_record_values,
     TEXTS("3083135411223344", "JK_B2A8S20P", "15.10"), JK_32S_ALARMS,
     .unsaid_warnings = JK_32S_UNSAID},
    {.driver = "jk02", .variant = "24s", .counts_temps_read = true, CELLS(1, 24), TEMPS(0, 2), .values = jk_record_values,
     TEXTS("1022100121", "JK-B2A24S15P", "10.08"), ALARMS(0x080001, 0x380BFE),
     .always_off = JK_24S_ALWAYS_OFF},
    {.driver = "jk-pb", .variant = "trigger", .counts_temps_read = true, CELLS(1, 32), TEMPS(0, 4), .values = jk_record_values,
     TEXTS("503144902950", "JK_PB2A16S20P", "15.41"), JK_32S_ALARMS,
     .unsaid_warnings = JK_32S_UNSAID},
    {.driver = "jk-pb", .variant = "registers", .counts_temps_read = true, CELLS(1, 32), TEMPS(0, 4), .values = jk_record_values,
     TEXTS("503144902950", "JK_PB2A16S20P", "15.41"), JK_32S_ALARMS,
     .unsaid_warnings = JK_32S_UNSAID},
    {.driver = "topbms", .variant = "auto", CELLS(1, 48), TEMPS(0, 16), .mask_bits = 32, .values = topbms_values,
     TEXTS("SERIAL-OF-30-CHARACTERS-000001", "MODULE", "V1.7"), ALARMS(0x005FBF, 0x2F1FFF)},
    {.driver = "topbms", .variant = "topbms", CELLS(1, 48), TEMPS(0, 16), .mask_bits = 32, .values = topbms_values,
     TEXTS("SERIAL-OF-30-CHARACTERS-000001", "MODULE", "V1.7"), ALARMS(0x005FBF, 0x2F1FFF)},
    {.driver = "topbms", .variant = "topband", CELLS(1, 48), TEMPS(5, 16), .mos_sensor_last = true,
     .values = topband_values, TEXTS("ID-OF-A-TOPBAND-PACK", "TB-15S", "2.67"), ALARMS(0x004FBF, 0x2F087F),
     .twins = temperature_twins},
    {.driver = "topbms", .variant = "pace", CELLS(1, 16), TEMPS(5, 16), .mask_bits = 16, .mos_sensor = 5,
     .values = pace_values, TEXTS("1234567890ABCDEFGHIJ", NULL, "P16S100A-1812-1.00"), ALARMS(0x004FBF, 0x3F0FFF)},
    {.driver = "topbms", .variant = "seplos", CELLS(1, 48), TEMPS(6, 16), .mask_bits = 16, .mos_sensor = 6,
     .values = seplos_values, TEXTS(NULL, "1101-SP15", "2.7"), ALARMS(0x005FBF, 0x2F4FFF)},
    {.driver = "topbms", .variant = "pylontech", CELLS(1, 16), TEMPS(1, 16), .values = pylontech_values,
     TEXTS("PYLON-SERIAL-016", "US2000C", "2.7"), ALARMS(0x00000F, 0x2C02BE)},
    {.driver = "topbms", .variant = "eg4", CELLS(1, 48), TEMPS(6, 16), .mask_bits = 32, .mos_sensor_last = true,
     .values = eg4_values, ALARMS(0x0057BF, 0x2F0FFF)},
    {.driver = "topbms", .variant = "creabest", .undetected = true, CELLS(1, 48), TEMPS(0, 16), .values = creabest_values},
    {.driver = "daren", CELLS(1, 32), TEMPS(0, 16), .mask_bits = 32, .values = daren_values,
     TEXTS("NIE-JC4810025C303276", "16S100JC25", "STD08"), ALARMS(0x007FBF, 0x371FFF)},
    {.driver = "seplos-v3", CELLS(9, 16), TEMPS(4, 4), .mask_bits = 16, .values = seplos_v3_values,
     TEXTS("SP05B2311260063", "BMS16S200A-SP05B", "13"), ALARMS(0x005FBF, 0x1F5FFF)},
    {.driver = "pace-modbus", CELLS(1, 16), TEMPS(1, 4), .mask_bits = 16, .values = pace_modbus_values,
     TEXTS("10A1123202304017", NULL, "P16S100A-1123-3.00"), ALARMS(0x004FBF, 0x370FFF)},
    {.driver = "pace-modbus", CELLS(17, 30), TEMPS(0, 10), .mask_bits = 16, .values = pace_modbus_long_values,
     TEXTS("4056911A1100032P", NULL, "P4S200A-40569-1.02"), ALARMS(0x004FBF, 0x370FFF)},
    {.driver = "eg4-ll", CELLS(1, 16), TEMPS(0, 6), .no_zero_celsius = true, .mask_bits = 16, .values = eg4_ll_values,
     TEXTS("EG4LL00480012345", "LL-51.2V100AH", "V03R04"), ALARMS(0x004FBF, 0x0C5FFF)},
    {.driver = "jk-balancer", CELLS(2, 24), TEMPS(0, 0), .values = jk_balancer_values, ALARMS(0x080004, 0x000000)},
    {.driver = "felicity", CELLS(1, 16), TEMPS(0, 4), .values = felicity_values,
     TEXTS("12345678912345678912", NULL, "207"), ALARMS(0x000000, 0x000FB3), .twins = temperature_twins},
    {.driver = "renogy", .variant = "standard", CELLS(1, 16), TEMPS(0, 16), .values = renogy_values,
     TEXTS("22RBH4A051020000", "RBT50LFP48S", "V104"), ALARMS(0x000FBF, 0x0007FF)},
    {.driver = "renogy", .variant = "pro", CELLS(1, 16), TEMPS(0, 16), .values = renogy_pro_values,
     TEXTS("22RBH4A051020000", "RBT50LFP48S", "V104"), ALARMS(0x000FBF, 0x0007FF)},
    {.driver = "ant", CELLS(1, 32), TEMPS(0, 4), .mask_bits = 32, .values = ant_values,
     TEXTS(NULL, "16ZM", "16ZMUB00-211026A"), ALARMS(0x005FBF, 0x3B1FFF)},
    {.driver = "ant-old", CELLS(1, 32), TEMPS(0, 4), .mask_bits = 32, .values = ant_old_values,
     ALARMS(0x000000, 0x0B0AFF), .alarms_are_reasons = true},
    {.driver = "pylon-console", CELLS(1, 16), .temp_per_cell = true, .no_checksum = true, .mask_bits = 16,
     .values = pylon_console_values, TEXTS("PPTBH02401234567", "US5000", "B69.8.0"), ALARMS(0x004FBF, 0x200FFF)},
    {.driver = "vedirect-hex", TEMPS(1, 1), .capacity_given = true, .values = vedirect_hex_values,
     TEXTS("HQ2145ABCDE", "SmartShunt 500A/50mV", "4.16"), ALARMS(0x00578C, 0x000000), .twins = temperature_twins},
    {.driver = "vedirect", TEMPS(1, 1), .capacity_given = true, .values = vedirect_values,
     TEXTS(NULL, "SmartShunt 500A/50mV", "4.16"), ALARMS(0x00578C, 0x000000), .twins = temperature_twins},
    {.driver = "victron-ble", TEMPS(1, 1), .capacity_given = true, .values = victron_ble_values,
     TEXTS(NULL, "SmartShunt 500A/50mV", NULL), ALARMS(0x00578C, 0x000000), .twins = temperature_twins},
};
// clang-format on
