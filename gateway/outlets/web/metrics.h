// SPDX-License-Identifier: MIT
/*
 * Metrics for Prometheus, text format 0.0.4. A metric is packgate_ and the name of the value in the
 * register map, so that a dashboard for the line protocol works on scraped data, too. While a pack is
 * silent its values are left out; packgate_fresh 0 stays.
 */
#pragma once

#include "web.h"

/** Answers `metrics`. */
void metrics_answer(struct web *web, struct web_request *request);
