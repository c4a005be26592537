// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: matches a received frame with the request that it may answer: whether it can
 * be the reply at all, which variants it can come from, and the structure of a 42H or 44H. Such a
 * reply contains neither its command nor its variant nor whether INFOFLAG comes first; only one
 * combination of the three fits (the sheet `topbms`, section 6).
 */
#pragma once

#include "topbms_variants.h"

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

/** The `question` of the driver: the destination is the pack in INFO, else ADR. */
struct bms_span topbms_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                int *address);

enum topbms_kind { KIND_ANALOG, KIND_STATUS };

/*   01    | 10 | 0D12 0D15 … | 06 | 003D 003E … | 0180 14EE 33B3 06 3A98 …
 *   group | M  | cells       | N  | sensors     | rest
 *
 * 44H has one byte per cell and sensor instead of two. INFOFLAG may stand before the group byte. */
struct topbms_layout {
    enum topbms_id id;
    const struct topbms_variant *variant;
    uint8_t flag; /* INFOFLAG; 0 if absent */
    const uint8_t *cells, *sensors, *rest;
    unsigned cell_count, sensor_count;
    size_t rest_size;
    double voltage_v;               /* 42H: in the unit in which the cells add up */
    const struct topbms_tail *tail; /* 44H */
};

/** Finds the one layout that fits. False: none fits, or both with and without INFOFLAG, or 42H was
 * requested and the reply could also be one to 44H. The layout points into `reply`. */
bool topbms_find_layout(const struct topbms_reply *reply, enum topbms_kind kind,
                        struct topbms_layout *layout);

/* ---- the other replies: identity, limits, the confirmation of a switch ---- */

#define TOPBMS_BOARD_SIZE 20 /* PACE: C1H, and each half of C2H */

/* PACE: the reply to C1H, so that a late copy of it is not mistaken for the reply to C2H. */
struct topbms_board {
    bool answered;
    uint8_t text[TOPBMS_BOARD_SIZE];
};

/** BMS_DONE; BMS_INVALID: not the form of the reply; BMS_FOREIGN: unknown command. */
enum bms_result topbms_take_message(struct topbms_board *board, const struct topbms_reply *reply,
                                    struct pack *pack);
