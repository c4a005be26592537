// SPDX-License-Identifier: MIT
/* The checksums of the protocols, bit by bit: frames are short and lines are slow, so tables would gain
 * nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Plain sum of bytes; the caller truncates it to 8 or 16 bits. */
static inline uint32_t sum_bytes(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    return sum;
}

/** CRC-16/MODBUS: polynomial A001 (reflected), start FFFF. Goes on the wire low byte first. */
static inline uint16_t crc16_modbus(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1;
    }
    return (uint16_t) crc;
}

/** CRC-8: polynomial 07, not reflected, no final xor. `crc` is the start value, or the result
 * over earlier bytes. */
static inline uint8_t crc8(uint8_t crc, const uint8_t *bytes, size_t size)
{
    uint32_t value = crc;
    for (size_t i = 0; i < size; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            value = (value & 0x80 ? value << 1 ^ 0x07 : value << 1) & 0xFF;
    }
    return (uint8_t) value;
}
