// SPDX-License-Identifier: MIT
/* The difference of two texts, line by line. */
#ifndef PACKGATE_CONFIG_INI_DIFF_H
#define PACKGATE_CONFIG_INI_DIFF_H

#include <stddef.h>

#define DIFF_AROUND 3 /* lines that are the same, shown before and behind those that differ */

/** Calls `line` for each line that only one of the texts has, in order, and for some around them. `op` is '-' (of the old
 * text), '+' (of the new one) or ' '; `number` counts from 1 in the text that it is of, the new one for ' '. If memory
 * runs out, or the texts differ in very many lines, all lines between the first and the last difference count as
 * different. */
void diff_lines(const char *old, const char *fresh,
                void (*line)(void *data, char op, unsigned number, const char *text, size_t size),
                void *data);

#endif
