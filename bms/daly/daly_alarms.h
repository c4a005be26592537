// SPDX-License-Identifier: MIT
/*
 * The fault bits that the classic Daly (0x98) and the D2 register map (58-61) share.
 */
#ifndef PACKGATE_BMS_DALY_ALARMS_H
#define PACKGATE_BMS_DALY_ALARMS_H

#include "bms/pack.h"

/** Sets alarms and raw words from the fault bits. `word` holds the data bytes of 0x98 in
 * little-endian order (byte 0 in bits 0-7), which is the same as register 58 in bits 0-15, 59 in
 * 16-31 and so on; byte 7, the number of the fault code, only shows in the raw words. Forgets the
 * alarms of before. */
void daly_alarms(struct pack *pack, uint64_t word);

/** The other way round, for simulated packs: the fault bits that tell the alarms of `pack`. */
uint64_t daly_alarm_word(const struct pack *pack);

#endif
