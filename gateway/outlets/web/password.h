// SPDX-License-Identifier: MIT
/*
 * The password of the page: a file with its hash (yescrypt, by crypt(3)), which `packgate password`
 * writes. Comparing takes long on purpose, so a child process does it.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>

#define PASSWORD_MAX 256
#define PASSWORD_CHECKS_MAX 8 /* comparisons at the same time */

enum password_result {
    PASSWORD_RIGHT,
    PASSWORD_WRONG,
    PASSWORD_UNKNOWN /* it could not be compared */
};

/** Compares a password with the hash in a file. `done` follows, never from within. False: too many
 * comparisons are running, or no process can be started. */
bool password_check(struct ev_loop *loop, const char *file, const char *password,
                    void (*done)(void *data, enum password_result result), void *data);

/** `packgate password [FILE]`: asks for one and writes its hash. Returns the exit status. */
int password_command(int argc, char **argv);
