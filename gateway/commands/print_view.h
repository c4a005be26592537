// SPDX-License-Identifier: MIT
/* What stands in the registers of a view, for people and for programs. */
#ifndef PACKGATE_COMMANDS_PRINT_VIEW_H
#define PACKGATE_COMMANDS_PRINT_VIEW_H

#include "config/config.h"

/** "md", "json" or "csv"; false: no such format, and nothing was printed. */
bool print_view(const struct view_config *view, const char *format, FILE *out);

#endif
