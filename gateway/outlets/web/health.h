// SPDX-License-Identifier: MIT
/* A pack's health according to the history, as JSON: columns of days, and findings. */
#pragma once

#include "past.h"

/** Answers `…/health`: the last `days` of the request, 186 by default. */
void health_answer(struct past *past, struct http_request *request, const struct outlet_pack *pack,
                   double wall);
