// SPDX-License-Identifier: MIT
/* What a pack has ever reported: once it does not, what depends on it is unknown as well. */
#pragma once

#include "bms/pack.h"

/* All zeros: nothing yet. */
struct seen {
    bool value[PACK_VALUES];
    uint32_t protections; /* alarms_can_protect */
    unsigned device;      /* poller->devices of the one that has reported all this */
};

/** Adds what the pack reports now, and forgets another device. */
static inline void seen_add(struct seen *seen, const struct pack *pack, unsigned device)
{
    if (seen->device != device)
        *seen = (struct seen){.device = device};
    for (int id = 0; id < PACK_VALUES; id++)
        seen->value[id] |= pack_known(pack, (enum pack_value) id);
    seen->protections |= pack->alarms_can_protect;
}
