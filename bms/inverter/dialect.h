// SPDX-License-Identifier: MIT
/*
 * Answers an inverter in the protocol of a BMS. The driver's emulator composes the replies; the
 * same driver's decoder checks them: a reply is sent only if it contains no number that is unknown
 * in the battery, or differs from it. Alarms that the battery does not have, and unknown balancing,
 * are sent as inactive.
 */
#pragma once

#include "shown.h"

#include "bms/driver.h"

struct dialect {
    struct bms board;   /* as seen by the inverter */
    struct bms reader;  /* the driver that has decoded the replies about `shown` */
    struct shown shown; /* that `wrong` is about */
    bool checked;       /* `wrong` is filled in */
    bool wrong_alarms;
    bool wrong
        [PACK_VALUES]; /* the decoder reads a number although it is unknown, or another number */
    bool carried[PACK_VALUES]; /* the protocol carries the value */
    double limit_steps[3]; /* resolution of the allowed voltage and currents, in A or V; 0: exact */
};

/** Whether there are inverters that use the protocol of this driver. */
bool dialect_possible(const struct bms_driver *driver);

/** Prepares a battery at options->address that uses options->variant. */
void dialect_init(struct dialect *dialect, const struct bms_driver *driver,
                  const struct bms_options *options);

/** Handles bytes from an inverter. Returns the number of handled bytes; 0: a request may need more.
 * `out` is the reply; size 0: none. Requests that would change the battery are never answered.
 * While `shown` is stopping, only replies that say that nothing is allowed are sent. `told`
 * gets the values that the driver decodes from the reply. */
size_t dialect_answer(struct dialect *dialect, const struct shown *shown, const uint8_t *bytes,
                      size_t size, struct bms_output *out, struct pack *told);

/** The values that an inverter would decode that polls like the driver, from the replies that would
 * be sent. */
void dialect_read(struct dialect *dialect, const struct shown *shown, struct pack *read);
