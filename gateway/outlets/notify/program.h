// SPDX-License-Identifier: MIT
/*
 * `type = command`: runs a program with the message on its standard input. Without a shell, one at
 * a time; after 30 seconds it is killed with all that it has started.
 */
#pragma once

#include "message.h"

#include <ev.h>

struct program;

/** `over` follows each successful start. NULL: out of memory. Works on the default loop only, as
 * the end of a child is a signal. */
struct program *program_new(struct ev_loop *loop,
                            void (*over)(void *data, bool good, const char *why), void *data);
/** NULL is fine. */
void program_free(struct program *program);

/** Starts it. False: `why` has the error. */
bool program_start(struct program *program, const char *path, const struct message *message,
                   const char *json, char *why, size_t size);
