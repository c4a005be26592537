// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: one received frame beside the request that it may answer. Says whether it
 * can be the answer at all and which variants it can come from; what is in it is left to others.
 */
#ifndef PACKGATE_BMS_TOPBMS_REPLY_H
#define PACKGATE_BMS_TOPBMS_REPLY_H

#include "topbms_variants.h"
#include "ydt1363.h"

struct topbms_reply {
    struct ydt_frame frame;
    struct ydt_head asked;
    bool unasked;    /* no request: the line is only listened to */
    bool relayed;    /* a master answers under its own ADR */
    bool is_tdt;     /* the command stands where RTN should */
    bool names_pack; /* the request has one byte of INFO, COMMAND as a rule: */
    uint8_t number;
    unsigned variants;        /* bit n: may come from enum topbms_id n */
    unsigned status_variants; /* for 44H, whose structure alone tells them apart */
    uint8_t info[YDT_INFO_MAX];
    size_t size; /* of info; 0 also for what is not hexadecimal */
};

/** False: not an answer to this request, whatever it is: an echo, another pack's, a request of
 * another master. */
bool topbms_read_reply(const struct bms *bms, const struct bms_request *request,
                       const uint8_t *bytes, size_t size, struct topbms_reply *reply);

/** Whether a frame is a question or an order of some master, and whom it is for: the pack that its
 * INFO names, else ADR. */
bool topbms_read_question(const uint8_t *bytes, size_t size, int *address);

#endif
