// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: the replies other than 42H and 44H: identity, limits and the confirmation
 * of a switch.
 */
#pragma once

#include "topbms_reply.h"

#define TOPBMS_BOARD_SIZE 20 /* PACE: C1H, and each half of C2H */

/* PACE: the reply to C1H, so that a late copy of it is not mistaken for the reply to C2H. */
struct topbms_board {
    bool answered;
    uint8_t text[TOPBMS_BOARD_SIZE];
};

/** BMS_DONE; BMS_INVALID: not the form of the reply; BMS_FOREIGN: unknown command. */
enum bms_result topbms_take_message(struct topbms_board *board, const struct topbms_reply *reply,
                                    struct pack *pack);
