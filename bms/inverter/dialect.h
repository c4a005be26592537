// SPDX-License-Identifier: MIT
/*
 * Answers an inverter in the protocol of a BMS. The answers come from the driver's emulator. The same driver's decoder
 * reads them first: an answer is sent only if no number in it is unknown in the battery that is shown, or differs from it.
 * Alarms that the battery does not have, and balancing that is not known, are told as not active.
 */
#ifndef PACKGATE_BMS_DIALECT_H
#define PACKGATE_BMS_DIALECT_H

#include "shown.h"

#include "bms/driver.h"

struct dialect {
    struct bms board;   /* as the inverter sees it */
    struct bms reader;  /* the driver that has read the answers about `shown` */
    struct shown shown; /* that `wrong` is about */
    bool checked;       /* `wrong` is filled in */
    bool wrong_alarms;
    bool wrong[PACK_VALUES];   /* the decoder reads a number where none is known, or another one */
    bool carried[PACK_VALUES]; /* the protocol has it at all */
    double limit_steps
        [3]; /* of the allowed voltage and currents: A or V that it can tell apart; 0: all */
};

/** Whether inverters ask in the protocol of this driver. */
bool dialect_possible(const struct bms_driver *driver);

/** A battery at options->address, which speaks options->variant. */
void dialect_init(struct dialect *dialect, const struct bms_driver *driver,
                  const struct bms_options *options);

/** Takes bytes that an inverter has sent. Returns how many of them are handled; 0: a request may need more. `out` is the
 * answer; size 0: none. Requests that would change the battery are never answered. While `shown` is stopping, only what
 * says that nothing is allowed is answered. */
size_t dialect_answer(struct dialect *dialect, const struct shown *shown, const uint8_t *bytes,
                      size_t size, struct bms_output *out);

/** What an inverter that polls as the driver does would read of `shown`: only from the answers that would be sent. */
void dialect_read(struct dialect *dialect, const struct shown *shown, struct pack *read);

#endif
