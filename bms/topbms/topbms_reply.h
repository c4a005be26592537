// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: matches a received frame with the request that it may answer. Decides
 * whether it can be the reply at all and which variants it can come from; its content is decoded
 * elsewhere.
 */
#pragma once

#include "topbms_variants.h"
#include "ydt1363.h"

struct topbms_reply {
    struct ydt_frame frame;
    struct ydt_head asked;
    bool unasked;    /* no request: the line is only listened to */
    bool relayed;    /* a master replies with its own ADR */
    bool is_tdt;     /* the command is in the place of RTN */
    bool names_pack; /* the request has one byte of INFO, usually COMMAND: */
    uint8_t number;
    unsigned variants;        /* bit n: may come from enum topbms_id n */
    unsigned status_variants; /* for 44H, whose structure alone distinguishes them */
    uint8_t info[YDT_INFO_MAX];
    size_t size; /* of info; 0 if it is not hexadecimal */
};

/** False: not a reply to this request: an echo, a reply of another pack, a request of another
 * master. */
bool topbms_read_reply(const struct bms *bms, const struct bms_request *request,
                       const uint8_t *bytes, size_t size, struct topbms_reply *reply);

/** Whether a frame is a request of some master, and its destination: the pack in its INFO, else
 * ADR. */
bool topbms_read_question(const uint8_t *bytes, size_t size, int *address);
