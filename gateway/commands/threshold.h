// SPDX-License-Identifier: MIT
/*
 * Ranges by the guidelines of monitoring plug-ins: a value outside of START:END, both ends
 * included, raises an alert. "10" is 0:10, "10:" has no end, "~:10" no start, "@10:20" raises it
 * inside. Pure.
 */
#pragma once

#include <stdbool.h>

struct threshold {
    double start, end; /* may be infinite */
    bool inside;       /* raises an alert inside */
};

/** Parses a range. False: the text is none. */
bool threshold_parse(const char *text, struct threshold *threshold);

/** Whether a value raises the alert. */
bool threshold_alerts(const struct threshold *threshold, double value);
