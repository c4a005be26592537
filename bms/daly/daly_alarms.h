// SPDX-License-Identifier: MIT
/*
 * The fault bits that the classic Daly (0x98) and the D2 register map (58-61) share.
 */
#pragma once

#include "bms/pack.h"

/** Sets alarms and raw words from the fault bits. `word` contains the data bytes of 0x98 in little-
 * endian order (byte 0 in bits 0-7), which equals register 58 in bits 0-15, 59 in 16-31 and so on;
 * byte 7, the fault code, is only kept in the raw words. Clears earlier alarms. */
void daly_alarms(struct pack *pack, uint64_t word);

/** The reverse for simulated packs: the fault bits for the alarms of `pack`. */
uint64_t daly_alarm_word(const struct pack *pack);
