// SPDX-License-Identifier: MIT
/* When alarms of a pack were active, from the history. */
#pragma once

#include "past.h"

/** Answers `…/alarms`. */
void spells_answer(struct past *past, struct http_request *request, const struct outlet_pack *pack,
                   double wall);
