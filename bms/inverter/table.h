// SPDX-License-Identifier: MIT
/*
 * Messages for inverters as tables: the position of each number, alarm and text in a message. The
 * same rows encode and decode a message. The tables are in can.c (CAN frames) and pylon_system.c
 * (Pylontech RS485).
 */
#pragma once

#include "shown.h"

#define TABLE_MESSAGE_MAX 64 /* bytes; the longest has 49 */

enum table_kind {
    TABLE_U8,
    TABLE_U16,
    TABLE_S16,
    TABLE_U32,
    TABLE_SWITCH, /* one bit: the number is not 0 */
    TABLE_ALARM,  /* one bit: one of `alarms` is active at `level` */
    TABLE_PAIR,   /* two bits: 1 active, 2 not active, 0 unknown */
    TABLE_BYTES,  /* constant, as recorded */
    TABLE_TEXT    /* derived from the battery: enum table_text */
};

enum table_text {
    TEXT_NAME_1, /* the name of the battery, 8 characters, and the next 8 */
    TEXT_NAME_2,
    TEXT_CELL_MIN, /* the position of an extreme: "P2 C7" */
    TEXT_CELL_MAX,
    TEXT_TEMP_MIN,
    TEXT_TEMP_MAX
};

/* What happens if a number is unknown. */
enum table_unknown {
    UNKNOWN_SILENCE, /* the message is not sent */
    UNKNOWN_END,     /* the message ends before it */
    UNKNOWN_ZERO     /* raw 0, which is no valid value: no sensor, no pack */
};

struct table_field {
    uint16_t message;
    uint8_t at;  /* byte */
    uint8_t bit; /* of that byte; the lower one of a pair */
    enum table_kind kind;
    unsigned id; /* enum pack_value, enum shown_number or enum table_text */
    double unit, zero;
    enum table_unknown unknown;
    uint32_t alarms; /* bit n: enum pack_alarm n */
    uint8_t level;   /* enum alarm_level */
    const char *bytes;
};

/* A message: its name on the wire, and its size. */
struct table_message {
    uint16_t message;
    uint8_t size;
};

struct table {
    const char *name;  /* "pylon-1.2" */
    const char *title; /* "Pylontech CAN, version 1.2" */
    bool big_endian;
    const struct table_message *messages; /* in the order in which they are sent */
    unsigned message_count;
    const struct table_field *fields;
    unsigned field_count;
};

/** Encodes a message. Returns its size; 0: it is not in the table, or must not be sent: it needs a
 * number that is unknown or does not fit, or does not say stop while `shown` is stopping. */
unsigned table_write(const struct table *table, unsigned message, const struct shown *shown,
                     uint8_t out[TABLE_MESSAGE_MAX]);

/** Decodes a message. False: not in the table, or too short. */
bool table_read(const struct table *table, unsigned message, const uint8_t *bytes, unsigned size,
                struct shown *shown);
