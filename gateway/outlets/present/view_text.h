// SPDX-License-Identifier: MIT
/* The [view] of a [present] section, which travels as text: what it is made of has no end that a struct could hold. */
#ifndef PACKGATE_OUTLETS_PRESENT_VIEW_TEXT_H
#define PACKGATE_OUTLETS_PRESENT_VIEW_TEXT_H

#include "present.h"

#include "config/config.h"

/** Reads it as a configuration with that view and the packs and banks of the outlet. The caller frees it with config_free. NULL: it
 * cannot be read, and the log says why. */
struct config *view_text_read(const struct present *present);

#endif
