// SPDX-License-Identifier: MIT
/*
 * What the log says about the registers of a push: which of them the target does not take or does
 * not answer, once, and when it does.
 */
#ifndef PACKGATE_MODBUS_PUSH_REPORT_H
#define PACKGATE_MODBUS_PUSH_REPORT_H

#include "push_plan.h"

/** Says what is new about registers that the target does not take. What may pass by itself is only
 * told once it lasts, so that this wants to be called now and then. */
void push_report_troubles(struct push_plan *plan, double now);

/** The target has taken the span, before push_plan_done. */
void push_report_taken(struct push_plan *plan, const struct push_span *span);

/** Values of the span that do not fit into their registers. */
void push_report_clipped(struct push_plan *plan, const struct push_span *span);

#endif
