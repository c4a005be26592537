// SPDX-License-Identifier: MIT
/* The difference of two texts, line by line. */
#pragma once

#include <stddef.h>

#define DIFF_AROUND 3 /* equal lines that are reported before and after a difference */

/** Calls `line` for each line that only one of the texts has, in order, and for some equal lines around them. `op` is '-' (old
 * text), '+' (new text) or ' ' (both); `number` is the line's number in its text, from 1, in the new one for ' '. If the
 * texts differ in very many lines, all lines between the first and the last difference count as different. */
void diff_lines(const char *old, const char *fresh,
                void (*line)(void *data, char op, unsigned number, const char *text, size_t size),
                void *data);
