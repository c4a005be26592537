// SPDX-License-Identifier: MIT
/*
 * The checksums of the protocols.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Plain sum of bytes; the caller truncates it to 8 or 16 bits. */
uint32_t sum_bytes(const uint8_t *bytes, size_t size);

/** CRC-16/MODBUS: polynomial A001 (reflected), start FFFF. Goes on the wire low byte first. */
uint16_t crc16_modbus(const uint8_t *bytes, size_t size);

/** CRC-8: polynomial 07, not reflected, no final xor. `crc` is the start value, or the result
 * over earlier bytes. */
uint8_t crc8(uint8_t crc, const uint8_t *bytes, size_t size);
