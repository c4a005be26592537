// SPDX-License-Identifier: MIT
/*
 * Logs trouble with the registers of a push: once when the target rejects or does not answer some,
 * and once when it accepts them.
 */
#pragma once

#include "push_plan.h"

/** Logs new trouble with registers. Trouble that may pass by itself is logged only once it lasts,
 * so this must be called now and then. */
void push_report_troubles(struct push_plan *plan, double now);

/** The target has accepted the span; to be called before push_plan_done. */
void push_report_taken(struct push_plan *plan, const struct push_span *span);

/** Logs values of the span that are out of range for their registers. */
void push_report_clipped(struct push_plan *plan, const struct push_span *span);
