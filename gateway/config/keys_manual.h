// SPDX-License-Identifier: MIT
/* The table of keys as text, and as the part of a manual page that man/packgate.ini.5 holds. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/** Every section and key with type, range, default and meaning: as text (`packgate check --keys`), or for man(7) macros
 * (`packgate check --keys=man`). */
void keys_manual_print(bool manual, FILE *out);
