// SPDX-License-Identifier: MIT
/* `packgate notify --test NAME`: one message by a section, from the command line. */
#pragma once

#include "outlets/pipe.h"

/** Sends a message by the section and prints what became of it. Returns the exit status. */
int notify_test(const struct pipe_config *config);
