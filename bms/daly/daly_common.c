// SPDX-License-Identifier: MIT
#include "daly_common.h"

#include <math.h>
#include <stdlib.h>

/* Fault bits: the sheet `daly`, section 9, which is the sheet `daly-d2`, section 7 read byte by byte.
 * Level 1 of the maker only warns, level 2 acts; the faults of bytes 4 to 6 have no levels. Left out,
 * because they are no alarms: byte 6 bit 3 (too low to charge), bit 4 (FET opened by switch), bit 5
 * (charging cabinet), and byte 7 (number of the fault code). */
// clang-format off
/* Two bits: level 1 and level 2. */
#define LEVELS(bit, alarm) ALARM_LEVELS(bit, (bit) + 1, alarm)

static const struct alarm_bit fault_bits[] = {
    /* byte 0 */
    ALARM_VOLTAGES(0, 1, 2),
    /* byte 1 */
    ALARM_TEMPERATURES(8, 9, 2),
    /* byte 2 */
    LEVELS(16, CHARGE_OVER_CURRENT),
    LEVELS(18, DISCHARGE_OVER_CURRENT),
    LEVELS(20, SOC_HIGH),
    LEVELS(22, SOC_LOW),
    /* byte 3 */
    LEVELS(24, CELL_IMBALANCE),
    LEVELS(26, TEMPERATURE_IMBALANCE),
    /* byte 4: charge FET, discharge FET */
    {32, MOS_OVER_TEMPERATURE,        ALARM_PROTECTION},
    {33, MOS_OVER_TEMPERATURE,        ALARM_PROTECTION},
    {34, TEMP_SENSOR_FAULT,           ALARM_PROTECTION},
    {35, TEMP_SENSOR_FAULT,           ALARM_PROTECTION},
    {36, CHARGE_MOS_FAULT,            ALARM_PROTECTION}, /* stuck closed */
    {37, DISCHARGE_MOS_FAULT,         ALARM_PROTECTION},
    {38, CHARGE_MOS_FAULT,            ALARM_PROTECTION}, /* open circuit */
    {39, DISCHARGE_MOS_FAULT,         ALARM_PROTECTION},
    /* byte 5 */
    {40, HARDWARE_FAULT,              ALARM_PROTECTION}, /* measuring chip */
    {41, VOLTAGE_SENSOR_FAULT,        ALARM_PROTECTION}, /* cell sense wire */
    {42, TEMP_SENSOR_FAULT,           ALARM_PROTECTION},
    {43, HARDWARE_FAULT,              ALARM_PROTECTION}, /* EEPROM */
    {44, HARDWARE_FAULT,              ALARM_PROTECTION}, /* clock */
    {45, HARDWARE_FAULT,              ALARM_PROTECTION}, /* pre-charge */
    {46, COMMUNICATION_FAULT,         ALARM_PROTECTION}, /* vehicle */
    {47, COMMUNICATION_FAULT,         ALARM_PROTECTION}, /* internal */
    /* byte 6 */
    {48, HARDWARE_FAULT,              ALARM_PROTECTION}, /* current measuring */
    {49, VOLTAGE_SENSOR_FAULT,        ALARM_PROTECTION}, /* pack voltage measuring */
    {50, SHORT_CIRCUIT,               ALARM_PROTECTION},
};
// clang-format on

void daly_alarms(struct pack *pack, uint64_t word)
{
    pack_clear_alarms(pack);
    pack_alarm_bits(pack, fault_bits, COUNT(fault_bits), word);
    for (int shift = 0; shift < 64; shift += 16)
        pack_raw_alarm(pack, (uint16_t) (word >> shift));
}

uint64_t daly_alarm_word(const struct pack *pack)
{
    return pack_alarm_word(pack, fault_bits, COUNT(fault_bits), true);
}

static const double LEARN_FROM_A = 1; /* A; below, noise around zero can have either sign */
static const int SURE = 3;            /* states that it takes to change what was learned for long */

/* The sheets `daly`, section 8 and `daly-d2`, section 6. The state is often of a later message, and may be of the other
 * direction if the current reverses in between, while the polarity is that of the firmware: each state counts for one of
 * the two, and the one that leads is used; the state itself while none leads. */
void daly_current_settle(struct daly_direction *direction, struct pack *pack, double offset_a,
                         enum daly_polarity usual, enum bms_current option)
{
    const bool counts = direction->state_is_new && fabs(offset_a) >= LEARN_FROM_A;
    direction->state_is_new = false;
    if (isnan(offset_a)) {
        pack_unset(pack, CURRENT_A);
        return;
    }
    int polarity = option == BMS_CURRENT_INVERTED ? -usual : usual;
    const double flow = pack->value[FLOW];
    if (option == BMS_CURRENT_AUTO && (flow == FLOW_CHARGING || flow == FLOW_DISCHARGING)) {
        polarity =
            (offset_a > 0) == (flow == FLOW_CHARGING) ? DALY_ABOVE_CHARGES : DALY_ABOVE_DISCHARGES;
        if (counts && abs(direction->learned + polarity) <= SURE)
            direction->learned = (int8_t) (direction->learned + polarity);
    }
    if (option == BMS_CURRENT_AUTO && direction->learned != 0)
        polarity = direction->learned > 0 ? DALY_ABOVE_CHARGES : DALY_ABOVE_DISCHARGES;
    pack_set(pack, CURRENT_A, offset_a * polarity + 0.0); /* + 0.0: never minus zero */
}
