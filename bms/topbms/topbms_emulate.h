// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings, the device's side: answers requests from a struct pack, in the configured
 * variant (auto: TopBMS).
 */
#pragma once

#include "bms/driver.h"

/** As `emulate` of struct bms_driver. */
size_t topbms_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out);
