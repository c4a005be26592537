// SPDX-License-Identifier: MIT
/*
 * Reads and writes numbers in frames in both byte orders, without casting buffers, and hexadecimal digits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t be16(const uint8_t *b)
{
    return (uint16_t) (b[0] << 8 | b[1]);
}

static inline uint16_t le16(const uint8_t *b)
{
    return (uint16_t) (b[1] << 8 | b[0]);
}

static inline uint32_t be32(const uint8_t *b)
{
    return (uint32_t) be16(b) << 16 | be16(b + 2);
}

static inline uint32_t le32(const uint8_t *b)
{
    return (uint32_t) le16(b + 2) << 16 | le16(b);
}

static inline int16_t sbe16(const uint8_t *b)
{
    return (int16_t) be16(b);
}

static inline int16_t sle16(const uint8_t *b)
{
    return (int16_t) le16(b);
}

static inline int32_t sbe32(const uint8_t *b)
{
    return (int32_t) be32(b);
}

static inline void put_be16(uint8_t *b, uint32_t v)
{
    b[0] = (uint8_t) (v >> 8);
    b[1] = (uint8_t) v;
}

static inline void put_be32(uint8_t *b, uint32_t v)
{
    put_be16(b, v >> 16);
    put_be16(b + 2, v);
}

static inline void put_le16(uint8_t *b, uint32_t v)
{
    b[0] = (uint8_t) v;
    b[1] = (uint8_t) (v >> 8);
}

static inline void put_le32(uint8_t *b, uint32_t v)
{
    put_le16(b, v);
    put_le16(b + 2, v >> 16);
}

/** A number of `size` bytes in either order. */
static inline uint64_t get_sized(const uint8_t *b, size_t size, bool big_endian)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = v << 8 | b[big_endian ? i : size - 1 - i];
    return v;
}

static inline void put_sized(uint8_t *b, uint64_t v, size_t size, bool big_endian)
{
    for (size_t i = 0; i < size; i++, v >>= 8)
        b[big_endian ? size - 1 - i : i] = (uint8_t) v;
}

/** The value of a hexadecimal digit in either case; -1: it is none. */
static inline int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads pairs of hexadecimal digits, "A5 40 90" or "A54090". Returns where they end. */
static inline const char *hex_bytes(const char *text, uint8_t *out, size_t room, size_t *size)
{
    *size = 0;
    for (;; text += 2) {
        text += strspn(text, " \t\n\v\f\r");
        if (*size == room || hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
            return text;
        out[(*size)++] = (uint8_t) (hex_digit(text[0]) << 4 | hex_digit(text[1]));
    }
}

static inline void put_hex(uint8_t *text, size_t digits, uint32_t value)
{
    for (size_t i = digits; i > 0; i--, value >>= 4)
        text[i - 1] = (uint8_t) "0123456789ABCDEF"[value & 0x0F];
}
