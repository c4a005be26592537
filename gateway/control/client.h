// SPDX-License-Identifier: MIT
/*
 * The other end of the control socket: the commands that ask a running gateway. These calls wait,
 * for CONTROL_PATIENCE_S at most.
 */
#ifndef PACKGATE_CONTROL_CLIENT_H
#define PACKGATE_CONTROL_CLIENT_H

#include "config/config.h"

#include <jansson.h>

#define CONTROL_PATIENCE_S 10

struct control_link {
    int fd;
    char *bytes; /* received, not taken yet */
    size_t size, room;
    char why[200]; /* what went wrong last, in words */
};

/** Where the gateway of a configuration file listens: the value of `control`, also where the file
 * has mistakes elsewhere; the preset where it has none, or cannot be read. "" for none. */
void control_path(const char *config, char out[PORT_SIZE]);

/** False: nobody is there, and `link->why` says so. Must be closed in any case. */
bool control_link_open(struct control_link *link, const char *path);
void control_link_close(struct control_link *link);

/** Sends a request, which is given up, and waits for its answer, which the caller gives up. NULL:
 * there is none, or it is an error: `link->why`. */
json_t *control_ask(struct control_link *link, json_t *request);

/** The next line, without an end to the patience where `wait_s` is infinite. NULL: the end, or an
 * error, `link->why`. */
json_t *control_next(struct control_link *link, double wait_s);

#endif
