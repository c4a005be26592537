// SPDX-License-Identifier: MIT
/* What the history tells of a pack's health, as JSON: columns of days, and findings. */
#ifndef PACKGATE_OUTLETS_WEB_HEALTH_H
#define PACKGATE_OUTLETS_WEB_HEALTH_H

#include "worker.h"

/** Answers `…/health` of a pack from the database `file`; the last `days` of the request, 186 unless it says so. */
void health_answer(struct workers *workers, const char *file, struct http_request *request,
                   const char *pack, double wall);

#endif
