// SPDX-License-Identifier: MIT
/* `packgate notify --test NAME`: one message by a section, from the command line. */
#ifndef PACKGATE_OUTLETS_NOTIFY_TRY_H
#define PACKGATE_OUTLETS_NOTIFY_TRY_H

#include "outlets/pipe.h"

/** Sends a message by the section and prints what became of it. Returns the exit status. */
int notify_test(const struct pipe_config *config);

#endif
