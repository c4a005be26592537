// SPDX-License-Identifier: MIT
/* A broker tried before its section is saved. */
#pragma once

#include "outlets/pipe.h"

/** Prints "STEP ok" or "STEP failed TEXT" for each of connect,
 * tls, login and subscribe. For the last it sends a message below the section's topic and waits for it. Returns the exit
 * status. */
int mqtt_test(const struct pipe_config *config);
