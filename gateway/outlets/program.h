// SPDX-License-Identifier: MIT
/* The program files of outlets, which packgate starts. */
#pragma once

#include "config/config.h"

#include <stdio.h>
#include <sys/types.h>

#define PROGRAM_FILE_SIZE 32

/** The path of an outlet's program: beside packgate, or below lib/ of the same prefix. */
void program_find(const char *kind, char out[PORT_SIZE]);

/** Why it cannot be started, by errno: strerror, or what to install. */
const char *program_why(int error);

/** Executes the program of an outlet; list[0] becomes its path. Returns only if that fails, after it
 * printed why, behind `who`. */
void program_execute(const char *kind, const char **list, const char *who);

/** Starts it in a process that ends with this one. The file has its output, and with `errors` its error messages, also
 * the one that it cannot be started. NULL with errno. */
FILE *program_open(const char *kind, const char **list, const char *who, bool errors, pid_t *pid);

/** A file in memory, which programs started by this one inherit. `path` "": there is none. */
void program_put_file(const void *bytes, size_t size, char path[PROGRAM_FILE_SIZE]);

/** Puts the section [KIND NAME] into such a file, which `packgate-outlet-KIND test PATH` tries.
 * False: the configuration has no such section. */
bool program_put_section(const struct config *config, const char *kind, const char *name,
                         char path[PROGRAM_FILE_SIZE]);
