// SPDX-License-Identifier: MIT
/* The [view] of a [present] section. The gateway passes it on as text, because its size has no limit that a struct could hold. */
#pragma once

#include "present.h"

#include "config/config.h"

/** Parses a configuration with that view and the packs and banks of the outlet. The caller frees it with config_free. NULL: it
 * cannot be parsed; the reason is logged. */
struct config *view_text_read(const struct present *present);
