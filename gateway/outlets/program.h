// SPDX-License-Identifier: MIT
/* The program of an outlet, which packgate starts. */
#ifndef PACKGATE_OUTLETS_PROGRAM_H
#define PACKGATE_OUTLETS_PROGRAM_H

#include "config/config.h"

/** Where the program of a kind of outlets is: beside packgate, or below lib/ of the same prefix. */
void program_find(const char *kind, char out[PORT_SIZE]);

/** Why it cannot be started, by errno: strerror, but of one that is not there what to install. */
const char *program_why(int error);

#endif
