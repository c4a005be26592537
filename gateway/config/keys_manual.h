// SPDX-License-Identifier: MIT
/* The table of keys as text, and as the part of a manual page that man/packgate.ini.5 holds. */
#pragma once

#include <stdio.h>

/** Every key with section, type, range, default and meaning, as text (`packgate check --keys`). */
void keys_manual_print_plain(FILE *out);

/** Every section and key with range, default and meaning, for man(7) macros (`packgate check
 * --keys=man`). */
void keys_manual_print(FILE *out);
