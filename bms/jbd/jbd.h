// SPDX-License-Identifier: MIT
/* JBD boards: what the driver and the emulated board share. */
#pragma once

#include "bms/driver.h"

#define JBD_READ 0xA5
#define JBD_WRITE 0x5A
#define JBD_ENTER_KEY 0x5678  /* of factory mode */
#define JBD_ZERO_CELSIUS 2731 /* in 0.1 K, as the boards compute it */
#define JBD_TAIL_SIZE 9       /* bytes, of newer firmware, section 4.1 */
#define JBD_HELD_BIT 12       /* protection word: a command holds a MOS off */

enum jbd_reg {
    REG_ENTER = 0x00, /* factory mode */
    REG_LEAVE = 0x01,
    REG_BASIC = 0x03,
    REG_CELLS = 0x04,
    REG_NAME = 0x05,
    REG_CAPACITY = 0x10,       /* design capacity, which register 03 has as well */
    REG_CYCLE_CAPACITY = 0x11, /* the capacity from which the board computes its SOC */
    REG_COUNTERS = 0xAA,
    REG_REMAINING = 0xE0,
    REG_SWITCH = 0xE1,
    REG_NEW_SWITCH = 0xFB
};

enum jbd_status {
    STATUS_DONE = 0x00,
    STATUS_UNKNOWN = 0x80,
    STATUS_REFUSED = 0x81,
    STATUS_BAD_SUM = 0x82
};

enum { HELD_CHARGE = 1, HELD_DISCHARGE = 2 };

/* Whether a board is in factory mode, as far as known; kept in bms->way, which outlives a
 * connection. An earlier program may have left it there. */
enum { PLACE_UNKNOWN, PLACE_OUTSIDE, PLACE_FACTORY };

struct jbd_memory {
    uint8_t cells_said; /* number of cells in register 03; 0: unknown */
    uint8_t cells_sent; /* number of cells in register 04; 0: unknown */
    uint8_t name_asked; /* requests for register 05 since the last answer */
    bool name_refused;
    bool state_known; /* `held` was derived from a reply */
    uint8_t held;     /* HELD_… by command; also used by the emulator */
    bool shows_held;  /* this board is known to set JBD_HELD_BIT */
    uint8_t settling; /* replies to come that may still show the state before the last command */
    bool new_switch;  /* this board does not know register E1: use FB */
    bool other_units; /* its capacities are not in steps of 10 mAh */
    uint16_t cycle_capacity; /* register 11, 10 mAh; 0: not read in this visit */
    uint8_t leave_asked;     /* commands to leave since the last answer to one */
    bool factory;            /* the emulator is in that mode */
};
_Static_assert(sizeof(struct jbd_memory) <= BMS_MEMORY, "a driver's notes must fit");

extern const struct bms_driver jbd_addressed_driver;

/** Whether byte 1 of a frame is an address; register, status and length always precede the data. */
static inline bool jbd_is_addressed(const struct bms *bms)
{
    return bms->driver == &jbd_addressed_driver;
}

#define JBD_ALARMS 26
/** The bits of the protections and, from 16 on, of the warnings. */
const struct alarm_bit *jbd_alarms(const struct bms *bms);

/** Bytes before the data. */
static inline size_t jbd_head_size(const struct bms *bms)
{
    return jbd_is_addressed(bms) ? 5 : 4;
}

/** Writes a frame. Requests have direction and register where replies have register and status. Returns its size. */
size_t jbd_put_frame(const struct bms *bms, uint8_t *out, uint8_t first, uint8_t second,
                     const uint8_t *data, size_t count);

/** The `frame` of the driver: see driver.h. */
struct bms_span jbd_find_frame(const struct bms *bms, const struct bms_request *request,
                               const uint8_t *bytes, size_t size);

/** The `emulate` of the driver. */
size_t jbd_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                   struct bms_output *out);
