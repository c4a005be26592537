// SPDX-License-Identifier: MIT
/*
 * What the commands that ask a running gateway have in common: finding it, and error messages if
 * it does not answer.
 */
#ifndef PACKGATE_COMMANDS_ASKING_H
#define PACKGATE_COMMANDS_ASKING_H

#include "control/client.h"

#include <getopt.h>

/* Which gateway to ask: the one of a configuration, or the one behind a socket. */
struct asking {
    const char *config;  /* its file */
    const char *control; /* the socket; NULL: as configured */
    const char *command; /* "status", for messages */
};

/* The options that all of these commands have, for getopt_long; `ASKING_SHORT` are the short ones. */
enum { ASKING_CONTROL = 256, ASKING_OTHER };
#define ASKING_SHORT "c:h"
#define ASKING_OPTIONS                                                                             \
    {"config", required_argument, NULL, 'c'},                                                      \
        {"control", required_argument, NULL, ASKING_CONTROL},                                      \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }

/** Handles one of them. Returns -1, or the exit status: the usage was printed, for --help or an
 * option that does not exist. */
int asking_option(struct asking *asking, int option, const char *usage);

/** Connects. False: no gateway answers; the error was printed to standard error. */
bool asking_open(const struct asking *asking, struct control_link *link);

/** Calls control_ask and prints errors to standard error. */
json_t *asking_request(const struct asking *asking, struct control_link *link, json_t *request);

/** Texts and numbers of an answer; "" and NaN if they are missing. */
const char *asking_text(const json_t *object, const char *name);
double asking_number(const json_t *object, const char *name);

#endif
