// SPDX-License-Identifier: MIT
/* What can be ordered of a pack, and what becomes of an order. */
#pragma once

#include "driver.h"

#define ORDER_SWITCHES 2                               /* enum bms_switch */
extern const char *const switch_names[ORDER_SWITCHES]; /* "charge_mos", as the value is called */
/* Longest time from an order to its last request; nobody waits longer for its turn. */
#define ORDER_VALID_S 5.0

/* The switches to set and their positions, or the setting to write and its value. */
struct switches {
    bool wanted[ORDER_SWITCHES];
    bool on[ORDER_SWITCHES];
    bool sets; /* writes this setting, no switch: */
    enum pack_value setting;
    double value;
    double before; /* as read before; NaN: not read yet */
};

enum order_result {
    ORDER_PENDING,
    ORDER_LOOK,        /* the state has to be read back: order_look follows */
    ORDER_DONE,        /* confirmed by the BMS */
    ORDER_REFUSED,     /* the BMS refused */
    ORDER_UNANSWERED,  /* it was not carried out, or that is not known */
    ORDER_TOO_LATE,    /* the line was not free in time, or is gone: nothing was sent */
    ORDER_NOT_NOW,     /* the state that the request builds on is not known yet */
    ORDER_BUSY,        /* another order for this pack is under way */
    ORDER_NO_LINE,     /* the line is down, or the pack is still to be found */
    ORDER_NOT_ALLOWED, /* a bank, or a pack that is not writable */
    ORDER_NO_SETTING,  /* its protocol cannot write that one */
    ORDER_OUT_OF_RANGE /* the setting cannot have that value */
};
#define ORDER_RESULTS (ORDER_OUT_OF_RANGE + 1)

/** "charge on, discharge off", "soc_percent 80.5 instead of 63.4", for the log. */
#define SWITCHES_TEXT 80
const char *switches_format(const struct switches *switches, char out[SWITCHES_TEXT]);
