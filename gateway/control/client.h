// SPDX-License-Identifier: MIT
/*
 * The client side of the control socket, for the commands that send requests to a running gateway.
 * These calls block, for at most CONTROL_PATIENCE_S.
 */
#pragma once

#include "config/config.h"

#include <jansson.h>

#define CONTROL_PATIENCE_S 10

struct control_link {
    int fd;
    char *bytes; /* received, not returned yet */
    size_t size, room;
    char why[PORT_SIZE + 200]; /* the last error */
};

/** The path on which the gateway of a configuration file listens: the value of `control`, even if
 * the file has mistakes elsewhere; the default if it has none, or cannot be read. "" for none. */
void control_path(const char *config, char out[PORT_SIZE]);

/** Connects. False: no gateway answers, `link->why` says why. Must be closed in any case. */
bool control_link_open(struct control_link *link, const char *path);
void control_link_close(struct control_link *link);

/** Sends a request, which is released, and waits for its answer, which the caller releases. NULL:
 * there is none, or it is an error; see `link->why`. */
json_t *control_ask(struct control_link *link, json_t *request);

/** Waits up to `wait_s` (may be infinite) for the next line. NULL: the connection ended, or an
 * error; see `link->why`. */
json_t *control_next(struct control_link *link, double wait_s);
