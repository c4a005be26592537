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
    const char *command; /* "status", for error messages; NULL: none are printed */
};

/** Connects and returns the answer to a request, which is released. NULL: there is none, and
 * `link->why` was printed to standard error. The link must be closed in any case. */
json_t *asking_open(const struct asking *asking, struct control_link *link, json_t *request);

/** The same for a single request. */
json_t *asking_once(const struct asking *asking, json_t *request);

/** Texts and numbers of an answer; "" and NaN if they are missing. */
const char *asking_text(const json_t *object, const char *name);
double asking_number(const json_t *object, const char *name);
