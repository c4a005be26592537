// SPDX-License-Identifier: MIT
/*
 * A pack in one line of the log, said again when its state changes: fresh or not, direction of the
 * current, switches, alarms. Values that merely move do not count.
 */
#ifndef PACKGATE_PACKS_SUMMARY_H
#define PACKGATE_PACKS_SUMMARY_H

#include "bms/pack.h"

#define SUMMARY_SIZE 600

/* The state that was last told; zeroed: nothing yet. */
struct summary {
    bool told;
    bool fresh;
    enum pack_flow flow;
    double charge_mos, discharge_mos;
    uint32_t alarms;
};

/** Whether the state differs from what was last told; then it is kept as told and `text` says
 * it. */
bool summary_changed(struct summary *summary, const struct pack *pack, bool fresh,
                     char text[SUMMARY_SIZE]);

#endif
