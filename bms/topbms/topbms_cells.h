// SPDX-License-Identifier: MIT
/*
 * Cells and pack voltage in one reply tell where it holds them, and in which unit: they add up.
 */
#ifndef PACKGATE_BMS_TOPBMS_CELLS_H
#define PACKGATE_BMS_TOPBMS_CELLS_H

#include <stdbool.h>
#include <stdint.h>

/** Whether cells of 16 bits, in mV, add up to so many volts. One that reads 0 is not connected, or its
 * wire is broken: it may be in the voltage or not. */
bool topbms_cells_fit(const uint8_t *cells, unsigned count, double volts);

#endif
