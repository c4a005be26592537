// SPDX-License-Identifier: MIT
/* Parses times. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** "2026-11-22", "2026-11-22T13:05", "2026-11-22T13:05:10", local unless Z or +01:00 follows, or
 * seconds since 1970. False: none of these. */
bool when_parse(const char *text, int64_t *at);
