// SPDX-License-Identifier: MIT
/*
 * The client side of the control socket, for the commands that send requests to a running gateway:
 * finding it, and error messages if it does not answer. Each call blocks, for at most 10 s.
 */
#pragma once

#include "config/config.h"

#include <jansson.h>

/* Which gateway to ask: the one of a configuration, or the one behind a socket. The caller fills in the first three. */
struct asking {
    const char *config;        /* its file */
    const char *control;       /* the socket; NULL: as configured */
    const char *command;       /* "status", for error messages; NULL: none are printed */
    char why[PORT_SIZE + 200]; /* the last error */
    bool denied;               /* this user may not ask there */
    FILE *answers;             /* reads from the connection; NULL: none */
    int fd;                    /* of the connection */
    char *line;
    size_t room;
};

/* The options that set the first two. */
#define ASKING_OPTIONS(asking)                                                                     \
    {"config", 'c', .text = &(asking).config},                                                     \
    {                                                                                              \
        "control", 0, .text = &(asking).control                                                    \
    }
#define ASKING_USAGE                                                                               \
    "  -c, --config FILE   the gateway of this configuration, " CONFIG_DEFAULT " by default\n"     \
    "      --control PATH  the gateway behind this control socket\n"

/** Connects, sends a request, which is released, and returns its answer, which the caller releases.
 * NULL: there is none, or it is an error; `why` was printed to standard error, and the connection
 * is closed. */
json_t *asking_open(struct asking *asking, json_t *request);
void asking_close(struct asking *asking);

/** Sends a further request. NULL: see `why`. After a time-out the connection returns no more answers. */
json_t *asking_request(struct asking *asking, json_t *request);

/** Waits for a further line, without end. NULL: the connection ended, or an error; see `why`. */
json_t *asking_next(struct asking *asking);

/** Connects, asks and closes. */
json_t *asking_once(struct asking *asking, json_t *request);

/** Warns on standard error if the gateway that runs on a configuration uses a TCP port, which accepts more than one client. */
void asking_warn_of_port(const char *command, const char *config, const char *port);

/** Texts and numbers of an answer; "" and NaN if they are missing. */
const char *asking_text(const json_t *object, const char *name);
double asking_number(const json_t *object, const char *name);
