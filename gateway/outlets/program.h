// SPDX-License-Identifier: MIT
/* The program files of outlets, which packgate starts. */
#ifndef PACKGATE_OUTLETS_PROGRAM_H
#define PACKGATE_OUTLETS_PROGRAM_H

#include "config/config.h"

/** The path of an outlet's program: beside packgate, or below lib/ of the same prefix. */
void program_find(const char *kind, char out[PORT_SIZE]);

/** The reason why it cannot be started, by errno: strerror, or what to install if the file is
 * missing. */
const char *program_why(int error);

#endif
