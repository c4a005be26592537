// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: the structure of the replies to 42H and 44H. A reply contains neither its
 * command nor its variant nor whether INFOFLAG comes first; only one combination of the three fits
 * (the sheet `topbms`, section 6).
 */
#pragma once

#include "topbms_reply.h"

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
