// SPDX-License-Identifier: MIT
/* VE.Direct: a simulated shunt. */
#pragma once

#include "bms/driver.h"

/** The `emulate` of the driver: see driver.h. */
size_t vedirect_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                        struct bms_output *out);
