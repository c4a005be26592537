// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: the replies besides 42H and 44H, which are identity, limits and the answer
 * of a switch.
 */
#ifndef PACKGATE_BMS_TOPBMS_MESSAGES_H
#define PACKGATE_BMS_TOPBMS_MESSAGES_H

#include "topbms_reply.h"

#define TOPBMS_BOARD_SIZE 20 /* PACE: C1H, and each half of C2H */

/* PACE: what C1H has answered, so that a late repetition of it is not taken for the answer to C2H.
 */
struct topbms_board {
    bool answered;
    uint8_t text[TOPBMS_BOARD_SIZE];
};

/** BMS_DONE; BMS_INVALID: it does not have the form of the answer; BMS_FOREIGN: nothing is known of
 * this command. */
enum bms_result topbms_take_message(struct topbms_board *board, const struct topbms_reply *reply,
                                    struct pack *pack);

#endif
