// SPDX-License-Identifier: MIT
/*
 * What the commands that ask a running gateway have in common: finding it, and error messages if
 * it does not answer.
 */
#pragma once

#include "control/client.h"

/* Which gateway to ask: the one of a configuration, or the one behind a socket. The options -c, --config and --control set the
 * first two. */
struct asking {
    const char *config;  /* its file */
    const char *control; /* the socket; NULL: as configured */
    const char *command; /* "status", for messages */
};

/** Connects. False: no gateway answers; the error was printed to standard error. */
bool asking_open(const struct asking *asking, struct control_link *link);

/** Calls control_ask and prints errors to standard error. */
json_t *asking_request(const struct asking *asking, struct control_link *link, json_t *request);

/** Texts and numbers of an answer; "" and NaN if they are missing. */
const char *asking_text(const json_t *object, const char *name);
double asking_number(const json_t *object, const char *name);
