// SPDX-License-Identifier: MIT
/* Prints the registers of a view, for people and for programs. */
#pragma once

#include "config/config.h"

/** `format`: "md", "json" or "csv"; false: unknown format, nothing was printed. */
bool print_view(const struct view_config *view, const char *format, FILE *out);
