// SPDX-License-Identifier: MIT
/* A database tried before its section is saved. */
#pragma once

#include "outlets/pipe.h"

/** Sends a comment, which is line protocol without any point, and
 * prints "write ok" or "write failed TEXT". Returns the exit status. */
int influx_test(const struct pipe_config *config);
