// SPDX-License-Identifier: MIT
/* Checks what this host lacks for a configuration. */
#pragma once

#include "config/config.h"
#include "config/mistakes.h"

/** Adds the warnings of `packgate check` to `mistakes`: devices, addresses, files, outlets. */
void check_host(const struct config *config, struct mistakes *mistakes);
