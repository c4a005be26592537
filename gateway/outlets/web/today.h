// SPDX-License-Identifier: MIT
/* The values of today of each pack and bank, from the history. */
#pragma once

#include "render.h"
#include "past.h"

/** Answers `api/v1/today` for `count` packs. */
void today_answer(struct past *past, struct http_request *request, const struct render_pack *packs,
                  unsigned count, double wall);
