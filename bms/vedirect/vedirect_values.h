// SPDX-License-Identifier: MIT
/*
 * VE.Direct: the common part of the two protocols of a shunt, text and HEX: conversion into struct
 * pack, and the driver's memory.
 */
#pragma once

#include "bms/driver.h"

/* A value that arrives less often than the pack is published. */
struct vedirect_fact {
    bool known;
    double value;
};

struct vedirect_notes {
    struct vedirect_fact cycles; /* of the last history block */
    struct vedirect_fact consumed_ah;
    struct vedirect_fact capacity_ah; /* of register 1000 */
    char serial[TEXT_SIZE];
    bool believed;       /* a main block was received, so the next one is no fragment */
    bool has_text;       /* main blocks arrive */
    bool fine_current;   /* register ED8C exists */
    bool named;          /* the product id is in the list */
    bool unsynchronised; /* by register EEB6: its counters have no starting point yet */
    unsigned blocks;     /* main blocks since the last history block */
};
_Static_assert(sizeof(struct vedirect_notes) <= BMS_MEMORY, "a driver's notes must fit");

/** What both drivers do: takes a HEX record, clears the values of a shunt that has not been
 * synchronised, simulates a shunt. */
enum bms_result vedirect_take_record(struct bms *bms, const struct bms_request *request,
                                     const uint8_t *bytes, size_t size, struct pack *pack);
void vedirect_finish(struct bms *bms, struct pack *pack);
size_t vedirect_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                        struct bms_output *out);

/** Sets a text up to its NUL. */
void vedirect_set_text(struct pack *pack, enum pack_text id, const char *text);

/** Sets the model by its product id; an unknown id sets none. */
void vedirect_set_product(struct vedirect_notes *notes, struct pack *pack, unsigned id);

/** Sets a number; current and power with the configured sign. */
void vedirect_set_value(const struct bms *bms, struct pack *pack, enum pack_value id, double value);

/** Takes the bits of an alarm reason (section 2.5). */
void vedirect_set_alarms(struct pack *pack, uint16_t word);

/** Sets the capacity, the configured one rather than the shunt's, and the remaining capacity if the
 * consumed one is known. */
void vedirect_set_capacity(const struct bms *bms, struct pack *pack);
