// SPDX-License-Identifier: MIT
/*
 * What the protocols of Daly share: the fault bits of the classic Daly (0x98) and of the D2 register
 * map (58-61), and the direction of the current, on which firmwares disagree.
 */
#pragma once

#include "bms/driver.h"

/** Sets alarms and raw words from the fault bits. `word` contains the data bytes of 0x98 in little-
 * endian order (byte 0 in bits 0-7), which equals register 58 in bits 0-15, 59 in 16-31 and so on;
 * byte 7, the fault code, is only kept in the raw words. Clears earlier alarms. */
void daly_alarms(struct pack *pack, uint64_t word);

/** The reverse for simulated packs: the fault bits for the alarms of `pack`. */
uint64_t daly_alarm_word(const struct pack *pack);

/* The meaning of a raw current above 30000; also the factor from (raw - 30000) / 10 to our sign. */
enum daly_polarity { DALY_ABOVE_DISCHARGES = -1, DALY_ABOVE_CHARGES = 1 };

/* What the driver's memory holds about the direction; zeroed at first. */
struct daly_direction {
    int8_t learned;    /* its sign is that of an enum daly_polarity */
    bool state_is_new; /* set by the decoder: a reading of FLOW arrived that is not counted yet */
};

/** Sets CURRENT_A. `offset_a` is (raw - 30000) / 10 with the sign of the wire; FLOW in `pack` must
 * be of the same cycle or unknown. `usual` is the protocol's default; `option` overrides the
 * detection: NORMAL uses `usual` and INVERTED the opposite, whatever direction the BMS reports. A
 * NaN offset makes the current unknown. A reading of FLOW is counted once, however often the cycle
 * is published. */
void daly_current_settle(struct daly_direction *direction, struct pack *pack, double offset_a,
                         enum daly_polarity usual, enum bms_current option);
