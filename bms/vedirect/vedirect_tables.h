// SPDX-License-Identifier: MIT
/*
 * Tables from Victron's papers on the shunts: products, alarm reasons, commands and registers of
 * HEX records. Sections 2.5, 2.6 and 3 of the sheet `vedirect`.
 */
#pragma once

#include "bms/pack.h"

enum vedirect_command {
    VEDIRECT_PING = 1,
    VEDIRECT_VERSION = 3,
    VEDIRECT_PRODUCT = 4,
    VEDIRECT_RESTART = 6,
    VEDIRECT_GET = 7,
    VEDIRECT_SET = 8
};

enum vedirect_response {
    VEDIRECT_IS_DONE = 1,
    VEDIRECT_IS_UNKNOWN = 3,
    VEDIRECT_IS_ERROR = 4,
    VEDIRECT_IS_PING = 5,
    VEDIRECT_IS_GET = 7,
    VEDIRECT_IS_SET = 8,
    VEDIRECT_IS_ASYNC = 0xA /* as VEDIRECT_IS_GET, unsolicited */
};

enum vedirect_flags { VEDIRECT_FINE = 0, VEDIRECT_NO_SUCH = 1, VEDIRECT_NOT_SUPPORTED = 2 };

enum vedirect_register {
    VEDIRECT_PRODUCT_ID = 0x0100,
    VEDIRECT_SERIAL = 0x010A,
    VEDIRECT_MODEL = 0x010B,
    VEDIRECT_CYCLES = 0x0303,
    VEDIRECT_REASONS = 0x031E,
    VEDIRECT_SOC = 0x0FFF,
    VEDIRECT_CAPACITY = 0x1000,
    VEDIRECT_VOLTAGE = 0xED8D,
    VEDIRECT_CURRENT = 0xED8C,
    VEDIRECT_POWER = 0xED8E,
    VEDIRECT_COARSE_CURRENT = 0xED8F,
    VEDIRECT_TEMPERATURE = 0xEDEC,
    VEDIRECT_SYNCHRONISED = 0xEEB6,
    VEDIRECT_CONSUMED = 0xEEFF
};

struct vedirect_product {
    uint16_t id;
    const char *name;
};

/* A register with one of a pack's values: value = raw * unit + zero. */
struct vedirect_number {
    uint16_t id;
    uint8_t size; /* bytes, by the sheet; a decoder uses the size in the record */
    bool is_signed;
    double unit, zero;
    enum pack_value value;
};

#define VEDIRECT_PRODUCTS 21
#define VEDIRECT_REASON_BITS 8
#define VEDIRECT_NUMBERS 7
extern const struct vedirect_product vedirect_products[VEDIRECT_PRODUCTS];
extern const struct alarm_bit vedirect_reasons[VEDIRECT_REASON_BITS];
extern const struct vedirect_number vedirect_numbers[VEDIRECT_NUMBERS];

/** NULL: not a shunt. */
const char *vedirect_product_name(unsigned id);

/** The bits of the reasons for the active alarms, for simulated shunts. */
uint16_t vedirect_told_reasons(const struct pack *pack);

/** NULL: unknown. */
const struct vedirect_number *vedirect_find_number(unsigned id);
