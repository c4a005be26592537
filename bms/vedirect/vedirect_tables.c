// SPDX-License-Identifier: MIT
/* VE.Direct: products, alarm reasons and registers of the shunts. */
#include "vedirect_tables.h"

#define KELVIN 273.15

// clang-format off
/* Section 2.5. 8 and 16 are the starter battery's, 256 and up those of inverters. No name fits a
 * battery that is too hot or cold as such: both directions have it. */
const struct alarm_bit vedirect_reasons[VEDIRECT_REASON_BITS] = {
    {0, PACK_UNDER_VOLTAGE,          ALARM_WARNING},
    {1, PACK_OVER_VOLTAGE,           ALARM_WARNING},
    {2, SOC_LOW,                     ALARM_WARNING},
    {5, CHARGE_UNDER_TEMPERATURE,    ALARM_WARNING},
    {5, DISCHARGE_UNDER_TEMPERATURE, ALARM_WARNING},
    {6, CHARGE_OVER_TEMPERATURE,     ALARM_WARNING},
    {6, DISCHARGE_OVER_TEMPERATURE,  ALARM_WARNING},
    {7, CELL_IMBALANCE,              ALARM_WARNING},
};

/* Section 2.6. */
const struct vedirect_product vedirect_products[VEDIRECT_PRODUCTS] = {
    {0x0203, "BMV-700"},
    {0x0204, "BMV-702"},
    {0x0205, "BMV-700H"},
    {0xA381, "BMV-712 Smart"},
    {0xA382, "BMV-710H Smart"},
    {0xA383, "BMV-712 Smart Rev2"},
    {0xA389, "SmartShunt 500A/50mV"},
    {0xA38A, "SmartShunt 1000A/50mV"},
    {0xA38B, "SmartShunt 2000A/50mV"},
    {0xA38C, "SmartShunt IP67 500A/50mV"},
    {0xA38D, "SmartShunt IP67 1000A/50mV"},
    {0xA38E, "SmartShunt IP67 2000A/50mV"},
    {0xC030, "SmartShunt IP65 500A/50mV"},
    {0xC031, "SmartShunt IP65 1000A/50mV"},
    {0xC032, "SmartShunt IP65 2000A/50mV"},
    {0xC034, "BMV-800 Smart"},
    {0xC035, "SmartShunt IP65 500A/50mV"},
    {0xC036, "SmartShunt IP65 1000A/50mV"},
    {0xC037, "SmartShunt IP65 2000A/50mV"},
    {0xC038, "SmartShunt 300A/50mV"},
    {0xC039, "SmartShunt IP65 300A/50mV"},
};

/* Section 3.2. */
const struct vedirect_number vedirect_numbers[VEDIRECT_NUMBERS] = {
    /* id                     size signed unit   zero     value */
    {VEDIRECT_VOLTAGE,        2, true,  0.01,  0,       VOLTAGE_V},
    {VEDIRECT_CURRENT,        4, true,  0.001, 0,       CURRENT_A},
    {VEDIRECT_COARSE_CURRENT, 2, true,  0.1,   0,       CURRENT_A},
    {VEDIRECT_POWER,          2, true,  1,     0,       POWER_W},
    {VEDIRECT_SOC,            2, false, 0.01,  0,       SOC_PERCENT},
    {VEDIRECT_TEMPERATURE,    2, false, 0.01,  -KELVIN, TEMP_C},
    {VEDIRECT_CYCLES,         4, false, 1,     0,       CYCLES},
};
// clang-format on

const char *vedirect_product_name(unsigned id)
{
    for (size_t i = 0; i < VEDIRECT_PRODUCTS; i++)
        if (vedirect_products[i].id == id)
            return vedirect_products[i].name;
    return NULL;
}

uint16_t vedirect_told_reasons(const struct pack *pack)
{
    return (uint16_t) pack_alarm_word(vedirect_reasons, VEDIRECT_REASON_BITS,
                                      pack->alarms_warning | pack->alarms_protection);
}

const struct vedirect_number *vedirect_find_number(unsigned id)
{
    for (size_t i = 0; i < VEDIRECT_NUMBERS; i++)
        if (vedirect_numbers[i].id == id)
            return &vedirect_numbers[i];
    return NULL;
}
