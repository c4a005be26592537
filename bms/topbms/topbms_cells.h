// SPDX-License-Identifier: MIT
/*
 * Finds the position and unit of cells and pack voltage in a reply: the cells must add up to the
 * voltage.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Whether cells of 16 bits, in mV, add up to this voltage. A cell that reads 0 is not connected,
 * or its wire is broken: its voltage may or may not be part of the sum. */
bool topbms_cells_fit(const uint8_t *cells, unsigned count, double volts);
