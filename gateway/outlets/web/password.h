// SPDX-License-Identifier: MIT
/*
 * The password of the page: a file with its hash (yescrypt, by crypt(3)), which `packgate password`
 * writes. Comparing takes long on purpose, so a child process does it.
 */
#pragma once

#include "worker.h"

#define PASSWORD_MAX 256
#define PASSWORD_CHECKS_MAX 8 /* comparisons at the same time */
#define PASSWORD_LONGEST_S 20.0

enum password_result {
    PASSWORD_UNKNOWN, /* it could not be compared */
    PASSWORD_RIGHT,
    PASSWORD_WRONG
};

struct password_check {
    const char *file;
    char password[PASSWORD_MAX];
    enum password_result result;
};

/** Compares a password with the hash in a file: the work of a worker on a password_check. */
void password_compare(void *check, struct worker_result *result);

/** `packgate password [FILE]`: asks for one and writes its hash. Returns the exit status. */
int password_command(int argc, char **argv);
