// SPDX-License-Identifier: MIT
/*
 * VE.Direct: what the two ways of asking a shunt, text and HEX, have in common on the way into
 * struct pack, and what both remember.
 */
#ifndef PACKGATE_BMS_VEDIRECT_VALUES_H
#define PACKGATE_BMS_VEDIRECT_VALUES_H

#include "bms/driver.h"

/* A value that arrives more seldom than the pack is published. */
struct vedirect_fact {
    bool known;
    double value;
};

struct vedirect_notes {
    struct vedirect_fact cycles; /* of the last history block */
    struct vedirect_fact consumed_ah;
    struct vedirect_fact capacity_ah; /* by register 1000 */
    char serial[TEXT_SIZE];
    bool believed;       /* a main block has been seen: the next is no fragment */
    bool has_text;       /* main blocks are coming */
    bool fine_current;   /* register ED8C is there */
    bool named;          /* the product id was one of the list */
    bool unsynchronised; /* by register EEB6: what it counts has no beginning yet */
    unsigned blocks;     /* main blocks since the last history block */
};
_Static_assert(sizeof(struct vedirect_notes) <= BMS_MEMORY, "a driver's notes must fit");

/** Sets a text up to its NUL. */
void vedirect_set_text(struct pack *pack, enum pack_text id, const char *text);

/** Sets the model by its product id; one that is not in the list sets none. */
void vedirect_set_product(struct vedirect_notes *notes, struct pack *pack, unsigned id);

/** Sets a number; current and power with the sign that the configuration wants. */
void vedirect_set_value(const struct bms *bms, struct pack *pack, enum pack_value id, double value);

/** Takes the bits of an alarm reason (section 2.5). */
void vedirect_set_alarms(struct pack *pack, uint16_t word);

/** Sets the capacity, the user's word before the shunt's, and what is left of it when it is known
 * how much was consumed. */
void vedirect_set_capacity(const struct bms *bms, struct pack *pack);

#endif
